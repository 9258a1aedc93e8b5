"""A whole small drill from a number: policies, people, campaigns, and what befalls them. Always exact, always the same.

Chance chooses what, the number chooses chance. What must hold is what must hold in any drill (checks.py); at its end
everything is well again, so that everything comes to rest.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from config.units import MILLISECONDS
from dispatcher.drill.file import Drill, read_drill
from dispatcher.drill.house import to_toml

_HOUR: Final = MILLISECONDS["h"] // 60_000     # minutes
_ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
_STARTS: Final = ("2026-03-02 07:00", "2026-03-28 21:00", "2026-10-24 21:00", "2026-12-31 19:00", "2026-04-04 21:30")
_PROVIDERS: Final = ("gmail", "outlook", "yahoo", "other")
_REPLIES: Final = ("450 4.2.1 Try again later", "421 4.7.28 Our system has detected an unusual rate of mail",
                   "421 4.7.0 [TSS04] Messages temporarily deferred",
                   "451 4.7.650 The mail server has been rate limited",
                   "452 4.2.2 Over quota")
_TURNS: Final = 40
_SOON: Final = 60         # minutes after a campaign was sent, when most is under way
TROUBLED: Final = 4 * _HOUR
"""Minutes in which things happen; what follows is rest."""
REST: Final = 5 * _HOUR
_CALM: Final = 2        # hours of rest after which all is well, and nobody is held any more


def drill_of(seed: int, folder: Path) -> Drill:
    """The drill of a seed, by way of its file."""
    file = folder / f"seed-{seed}.toml"
    file.write_text(text_of(seed), encoding="utf-8")
    return read_drill(file)


def text_of(seed: int) -> str:
    """The drill file of a seed."""
    chance = random.Random(seed)  # noqa: S311 -- the same drill from the same number, guards nothing
    return f"# dispatcher drill --seed {seed}\n" + to_toml(_drill(chance, seed))


def _drill(chance: random.Random, seed: int) -> dict[str, Any]:
    zone = chance.choice(_ZONES)
    providers = list(chance.sample(_PROVIDERS, chance.choice((1, 1, 2, 2, 3))))
    senders = ["support", "news"][:chance.choice((1, 1, 1, 2))]
    campaigns = list(_campaigns(chance, senders))
    whole: dict[str, Any] = {
        "start": chance.choice(_STARTS), "until": f"{TROUBLED + REST}m", "timezone": zone, "seed": seed, "exact": True,
        "ramps": {"careful": _ramp(chance, zone)},
        "senders": {name: {"from": f"Acme <{name}@acme.example>", "ramp": "careful",
                           "connections": chance.choice((1, 2, 10)),
                           "in_doubt": chance.choice(("resend", "resend", "hold"))} for name in senders},
        "retry": {"delays": ["5m", "20m"], "give_up_after": chance.choice(("2h", "12h"))},
        "campaigns": {"approval": _maybe(chance, 0.1)},
        "customers": {"count": chance.randint(10, 28), "providers": _shared(providers),
                      "active": chance.choice((1.0, 0.9, 0.7)),
                      "timezones": _shared(list(chance.sample(_ZONES, 2)))},
        "sends": campaigns,
    }
    if _maybe(chance, 0.2):
        whole["frequency"] = {"service": {"most": chance.randint(1, 2), "within": "1d"}}
    if _maybe(chance, 0.2):
        whole["quiet"] = {"hours": chance.choice(("21:00-06:00", "23:00-01:30"))}
    lanes = [f"{sender}/{provider}" for sender in senders for provider in providers]
    chosen = _Chosen(chance, zone, providers, lanes, campaigns)
    resumes = chance.choice(((_CALM,), (_CALM,), (_CALM, 3)))     # once more, for what is held meanwhile
    events = list(chosen.events())
    looked_up = {"frequency", "quiet"} & whole.keys() or any(
        one["kind"] in {"suppress", "complaints"} for one in events)
    if not looked_up:       # else whom they stop is known only when it is their turn
        whole["expect"] = {"plan_kept_from": f"{TROUBLED + (resumes[-1] + 1) * _HOUR + 13}m"}
    whole["events"] = [*events, *chosen.rest(resumes, approval=whole["campaigns"]["approval"])]
    return whole


def _ramp(chance: random.Random, zone: str) -> dict[str, Any]:
    step = chance.choice(("1d", "6h", "3h", "2h"))
    ramp: dict[str, Any] = {
        "start": chance.choice((5, 12, 25)), "ceiling": 60, "growth": chance.choice((1.2, 1.5, 1.9)), "step": step,
        "every": chance.choice(("15m", "30m", "1h")), "timezone": zone,
        "largest_batch": chance.choice((5, 20, 50)), "offset": chance.choice(("0s", "auto", "90s")),
    }
    if step == "1d":
        ramp["hours"] = chance.choice(("00:00-24:00", "08:00-20:00", "00:00-24:00"))
    return ramp


def _campaigns(chance: random.Random, senders: list[str]) -> Iterator[dict[str, Any]]:
    thread = _maybe(chance, 0.4)
    count = chance.choice((1, 1, 2, 2, 3))
    for number in range(count):
        one: dict[str, Any] = {
            "id": f"c{number}", "at": f"{chance.randint(0, 2 * _HOUR)}m",
            "category": chance.choice(("service", "service", "promotional", "critical")),
            "senders": [chance.choice(senders)],
            "email": {"subject": f"Campaign {number}", "text": "Dear {{ customer.name }} of {{ segment }}."},
        }
        if _maybe(chance, 0.3):
            one["useful_for"] = chance.choice(("2h", "6h", "1d"))
        if thread:
            one |= {"incident": "flood", "sequence": number + 1, "category": "service"}
            if number and number == count - 1 and _maybe(chance, 0.6):
                one["closes"] = True
        if _maybe(chance, 0.2):
            one["canary"] = {"size": chance.randint(1, 5), "wait": chance.choice(("30m", "90m"))}
        if _maybe(chance, 0.2):
            one["replies"] = {"agents": 1, "per_hour": 4, "expected": 1.0}
        yield one


class _Chosen:
    """What befalls a drill, event by event."""

    def __init__(self, chance: random.Random, zone: str, providers: list[str], lanes: list[str],
                 campaigns: list[dict[str, Any]]) -> None:
        self.chance, self.zone = chance, zone
        self.providers, self.lanes = providers, lanes
        self.campaigns = [one["id"] for one in campaigns]
        self.sent_at = [int(one["at"].removesuffix("m")) for one in campaigns]

    def events(self) -> Iterator[dict[str, Any]]:
        """Some of everything, at any time of the troubled hours."""
        makers = (
            self._deferrals, self._deferrals, self._bounces, self._unreachable, self._slow, self._slow, self._doubt,
            self._doubt, self._crash, self._crash, self._crash, self._stop, self._reload, self._reload, self._brake,
            self._clock, self._hold, self._hold, self._resume, self._suppress, self._complaints, self._cancel,
            self._send,
        )
        for _ in range(self.chance.randint(2, 6)):
            made = self.chance.choice(makers)()
            at = self.chance.randint(0, TROUBLED)
            if _maybe(self.chance, 0.7):
                at = self.chance.choice(self.sent_at) + self.chance.randint(1, _SOON)
            yield {"at": f"{at}m", **made}

    def rest(self, hours_of_resumes: Sequence[int], *, approval: bool) -> Iterator[dict[str, Any]]:
        """All is well again: nothing is held, and there is room for everybody."""
        if approval:
            for name in self.campaigns:
                yield {"at": f"{self.chance.randint(1, TROUBLED)}m", "kind": "approve", "campaign": name, "by": "Ada"}
        for hours in hours_of_resumes:
            yield {"at": f"{TROUBLED + hours * _HOUR}m", "kind": "resume"}
        wide = {"start": 200, "ceiling": 200, "hours": "00:00-24:00", "step": "1d", "largest_batch": 50,
                "timezone": self.zone}
        yield {"at": f"{TROUBLED + _CALM * _HOUR}m", "kind": "reload", "set": {"ramps": {"careful": wide}}}

    def _where(self) -> dict[str, Any]:
        where = {"provider": self.chance.choice(self.providers)} if _maybe(self.chance, 0.7) else {}
        senders = sorted({lane.partition("/")[0] for lane in self.lanes})
        return where | ({"sender": self.chance.choice(senders)} if _maybe(self.chance, 0.4) else {})

    def _for(self) -> str:
        return f"{self.chance.choice((1, 10, 40, 100))}m"

    def _share(self) -> float:
        return self.chance.choice((1.0, 0.5, 0.2))

    def _deferrals(self) -> dict[str, Any]:
        return {"kind": "deferrals", "share": self._share(), "for": self._for(), **self._where(),
                "reply": self.chance.choice(_REPLIES)}

    def _bounces(self) -> dict[str, Any]:
        return {"kind": "bounces", "share": self._share(), "for": self._for(), **self._where(),
                "reply": self.chance.choice(("550 5.1.1 No such user", "554 5.7.1 Not wanted"))}

    def _unreachable(self) -> dict[str, Any]:
        return {"kind": "unreachable", "for": self._for(), **self._where()}

    def _slow(self) -> dict[str, Any]:
        return {"kind": "slow", "for": self._for(), "takes": self.chance.choice(("200ms", "40s", "20m")),
                "share": self._share(), **self._where()}

    def _doubt(self) -> dict[str, Any]:
        return {"kind": "doubt", "share": self._share(), "for": self._for(), **self._where()}

    def _crash(self) -> dict[str, Any]:
        lasts = self.chance.choice((1, 1, 60, 3600))
        during = {"during": "hand_over"} if _maybe(self.chance, 0.6) else {}
        return {"kind": "crash", "for": f"{lasts}s", "turns": self.chance.randint(0, _TURNS), **during}

    def _stop(self) -> dict[str, Any]:
        return {"kind": "stop", "for": self._for()}

    def _reload(self) -> dict[str, Any]:
        start = self.chance.choice((3, 10, 25, 40))
        ramp = {"start": start, "ceiling": self.chance.choice((start, 60)), "every": self.chance.choice(("15m", "1h")),
                "timezone": self.chance.choice(_ZONES)}
        if _maybe(self.chance, 0.2):
            return {"kind": "reload", "set": {"ramps": {"careful": {"growth": 7.0}}}}       # refused, whole
        if _maybe(self.chance, 0.2):
            return {"kind": "reload", "set": {"senders": {"support": {"connections": self.chance.randint(1, 5)}}}}
        return {"kind": "reload", "set": {"ramps": {"careful": ramp}}}

    def _brake(self) -> dict[str, Any]:
        """A rate far below what the step may have spent."""
        return {"kind": "reload", "set": {"ramps": {"careful": {"start": 3, "ceiling": 3, "every": "15m"}}}}

    def _clock(self) -> dict[str, Any]:
        return {"kind": "clock", "jump": self.chance.choice(("+1h", "-1h", "+1d", "-5m", "+20s"))}

    def _hold(self) -> dict[str, Any]:
        name = self.chance.choice(["", *self.lanes, *self.campaigns, "service"])
        held: dict[str, Any] = {"kind": "hold", "reason": "a person says so"} | ({"name": name} if name else {})
        return held | ({"for": self._for()} if _maybe(self.chance, 0.5) else {})

    def _resume(self) -> dict[str, Any]:
        return {"kind": "resume"}

    def _suppress(self) -> dict[str, Any]:
        return {"kind": "suppress", "count": self.chance.randint(1, 4)}

    def _complaints(self) -> dict[str, Any]:
        return {"kind": "complaints", "count": self.chance.randint(1, 3)}

    def _cancel(self) -> dict[str, Any]:
        return {"kind": "cancel", "campaign": self.chance.choice(self.campaigns)}

    def _send(self) -> dict[str, Any]:
        return {"kind": "send", "campaign": self.chance.choice(self.campaigns)}


def _shared(names: list[str]) -> dict[str, float]:
    """The same share for each."""
    return {name: round(1 / len(names), 4) for name in names}


def _maybe(chance: random.Random, share: float) -> bool:
    """True as often as the share says."""
    return chance.random() < share
