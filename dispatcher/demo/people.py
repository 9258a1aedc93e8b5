"""The demo's sample customers and mailings, and who is meant to get what: said here a second time, on purpose.

Everything is the same in every run. Who is meant is worked out from the sample by the rules as people read them
(product.md, section 5), without a line of the dispatcher's own code: what the demo checks must not come from what it
checks. Addresses lie in a domain that is reserved for examples, and nothing leaves the machine anyway.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from dispatcher.core.times import format_instant

DAY: Final = 86_400_000
ACTIVE_WITHIN: Final = 30
"""Days: the dispatcher's default."""
SUPPRESSED: Final = 2
"""Of a hundred customers."""
_FIRST: Final = ("Ada", "Ben", "Cleo", "Dora", "Emre", "Femke", "Gaël", "Hana", "Ivo", "Jürgen", "Kim", "Łucja", "Zoë")
_LAST: Final = ("Albers", "Brandt", "Çelik", "Dubois", "Eriksen", "Fischer", "García", "O'Neil", "Petit", "Šimić")
_PLACES: Final = (("DE/Berlin", 36), ("DE/Hamburg", 30), ("FR/Paris", 27), ("AT/Wien", 7))     # no mailing is to Wien
_PLANS: Final = (("team", 15), ("pro", 35), ("free", 50))
_ACTIVITIES: Final = (("product", 60), ("order", 25), ("support", 15))


@dataclass(frozen=True, slots=True)
class Person:
    """A sample customer."""

    id: str
    email: str                  # "" for none
    name: str
    location: str
    plan: str
    promotional: bool           # has agreed to promotional mail
    activity: str               # the kind of the last one
    idle: int | None            # days since then; None: never active
    suppressed: bool


@dataclass(frozen=True, slots=True)
class Mailing:
    """One of the demo's campaigns; it has a sender, and so a lane, of its own."""

    id: str
    sender: str
    segment_by: str             # location | plan
    segments: tuple[str, ...]
    promotional: bool

    @property
    def lane(self) -> str:
        """The only lane it uses: the provider of an example domain is not known."""
        return f"{self.sender}/other"

    @property
    def envelope(self) -> str:
        """The envelope's sender, by which the mail server can tell the lanes apart."""
        return f"{self.sender}@acme.example"


MAILINGS: Final = (
    Mailing("delay", "support", "location", ("DE/Berlin", "DE/Hamburg", "FR/Paris"), promotional=False),
    Mailing("spring", "news", "plan", ("team", "pro", "free"), promotional=True),
)


@dataclass(frozen=True, slots=True)
class Meant:
    """What a mailing should come to."""

    reached: Mapping[str, int]          # address -> position of its segment
    left_out: Mapping[str, int]         # reason -> customers


def sample(count: int) -> list[Person]:
    """So many customers."""
    return [_person(number) for number in range(1, count + 1)]


def rows(people: Sequence[Person], now: int) -> Iterator[dict[str, Any]]:
    """The sample as rows of an import, numbered like the lines of a file; the last one is bad, and to be refused."""
    for line, person in enumerate(people, 2):
        yield {"line": line, "values": _values(person, now)}
    yield {"line": len(people) + 2, "values": {"id": "c-bad", "email": "no address", "location": "DE/Berlin"}}


def meant(people: Sequence[Person], mailing: Mailing) -> Meant:
    """Who should get a mailing, and for which reasons the others should not."""
    reached: dict[str, int] = {}
    left_out: Counter[str] = Counter()
    for person in people:
        reason = _reason(person, mailing)
        if reason:
            left_out[reason] += 1
        else:
            reached[person.email] = mailing.segments.index(_segment(person, mailing))
    return Meant(reached, left_out)


def _segment(person: Person, mailing: Mailing) -> str:
    return person.location if mailing.segment_by == "location" else person.plan


def _reason(person: Person, mailing: Mailing) -> str:
    """Why a person should not get a mailing, "" if they should; the first reason in the dispatcher's order counts."""
    reasons = (
        ("no_segment", _segment(person, mailing) not in mailing.segments),
        ("no_address", not person.email),
        ("suppressed", person.suppressed),
        ("no_consent", mailing.promotional and not person.promotional),
        ("inactive", person.idle is None or person.idle >= ACTIVE_WITHIN),
    )
    return next((reason for reason, holds in reasons if holds), "")


def _person(number: int) -> Person:
    idle = _draw(number, "idle")
    return Person(
        id=f"c-{number}",
        email=f"c{number}@mail.example" if _draw(number, "email") >= 3 else "",  # noqa: PLR2004 -- of a hundred
        name=f"{_FIRST[_draw(number, 'first') % len(_FIRST)]} {_LAST[_draw(number, 'last') % len(_LAST)]}",
        location=_share(number, "place", _PLACES),
        plan=_share(number, "plan", _PLANS),
        promotional=_draw(number, "consent") < 55,  # noqa: PLR2004 -- of a hundred
        activity=_share(number, "activity", _ACTIVITIES),
        idle=None if idle < 3 else ACTIVE_WITHIN + 1 + 10 * idle if idle < 24 else idle % 29,  # noqa: PLR2004 -- of a hundred
        suppressed=_draw(number, "suppressed") < SUPPRESSED,
    )


def _values(person: Person, now: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": person.id, "email": person.email, "name": person.name, "location": person.location, "plan": person.plan,
        "consent": "promotional" if person.promotional else "none",
    }
    if person.idle is not None:
        values[f"last_{person.activity}_at"] = format_instant(now - person.idle * DAY)
    return values


def _draw(number: int, what: str) -> int:
    """A number from 0 to 99, always the same for the same customer and question."""
    return int.from_bytes(sha256(f"{what} {number}".encode()).digest()[:4]) % 100


def _share(number: int, what: str, shares: Sequence[tuple[str, int]]) -> str:
    drawn = _draw(number, what)
    for name, share in shares:
        drawn -= share
        if drawn < 0:
            return name
    raise ValueError(f"the shares of {what} do not add up to 100")
