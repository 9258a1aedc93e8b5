"""The keys of a campaign.toml, their meaning and their range: product.md, section 5, for what exists now.

A template named by text_file or html_file is read while its key is checked, so that a missing file is a fault like any
other, with its line. It lies inside the campaign's folder: no way leads out of it, by "..", a full path or a symlink.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, model_validator

from config.faults import Placed, any_of, nearest, placed
from config.fields import Duration, Line, MailboxText, Name, Table, between, duration, origin_of, text_of
from config.replies import RepliesTable
from config.units import DAY
from dispatcher.core.segments import EVERYONE_ELSE, FIELDS
from dispatcher.intake.customers import TEXT_LENGTH, is_attribute
from dispatcher.intake.strict import CONTROLS, DEPTH, canonical_json, too_deep

TEMPLATE_BYTES: Final = 256 * 1024
SAMPLE_BYTES: Final = 64 * 1024
_NOT_IN_TEMPLATES: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def _subject(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; a message needs a subject")
    if CONTROLS.search(value):
        raise ValueError("must be one line without control characters")
    if len(value) > TEXT_LENGTH:
        raise ValueError(f"has {len(value)} characters; at most {TEXT_LENGTH} are allowed")
    return value


def _template(value: str) -> str:
    text = value.replace("\r\n", "\n")
    if not text.strip():
        raise ValueError("is empty; write what the message says, or leave the key out")
    if len(text.encode()) > TEMPLATE_BYTES:
        raise ValueError(f"has {len(text.encode())} bytes; at most {TEMPLATE_BYTES} are allowed")
    if _NOT_IN_TEMPLATES.search(text):
        raise ValueError("holds a control character; only tabs and line breaks are allowed")
    return text


def _template_file(value: object, info: ValidationInfo) -> str:
    """The text of the file that the key names."""
    name = text_of(value, "email.txt")
    try:
        content = _read_inside(origin_of(info).folder, name)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(content) > TEMPLATE_BYTES:
        raise ValueError(f"is larger than {TEMPLATE_BYTES} bytes")
    try:
        return _template(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start + 1}); convert the file") from None


def _read_inside(folder: Path, name: str) -> bytes:
    if not name or CONTROLS.search(name):
        raise ValueError("is no name of a file")
    path = (folder / name).resolve()
    if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_relative_to(folder.resolve()):
        raise ValueError("must lie inside the campaign's folder")
    if not path.is_file():
        raise ValueError("is no file in the campaign's folder")
    with path.open("rb") as file:
        return file.read(TEMPLATE_BYTES + 4)


def _field_name(value: str) -> str:
    if value not in FIELDS and not is_attribute(value):
        raise ValueError(f"is no field that a campaign can go by; write {any_of(FIELDS)}, or the name of an attribute")
    return value


def _distinct(what: str) -> AfterValidator:
    def check(values: list[str]) -> list[str]:
        if not values:
            raise ValueError(f"is empty; name at least one {what}")
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f'names "{twice[0]}" more than once')
        return values
    return AfterValidator(check)


def _sample(value: dict[str, Any]) -> dict[str, Any]:
    if too_deep(value):
        raise ValueError(f"is nested more than {DEPTH} deep")
    try:
        size = len(canonical_json(value).encode())
    except TypeError:
        raise ValueError("holds a date or time, which data never does; write it as text in quotes") from None
    except ValueError:
        raise ValueError("holds nan or inf, which data never does") from None
    if size > SAMPLE_BYTES:
        raise ValueError(f"has {size} bytes as JSON; at most {SAMPLE_BYTES} are allowed")
    return value


Subject = Annotated[str, AfterValidator(_subject)]
Template = Annotated[str, AfterValidator(_template)]
TemplateFile = Annotated[str, PlainValidator(_template_file)]
FieldName = Annotated[str, AfterValidator(_field_name)]
Segment = Annotated[Line, Field(max_length=TEXT_LENGTH)]
Value = Annotated[str, Field(max_length=TEXT_LENGTH)]
Sequence = Annotated[int, between(0, 2**31 - 1)]


class WordsTable(Table):
    """One channel's words; a key left out here is taken from the words for everyone."""

    subject: Subject | None = None
    text: Template | None = None
    text_file: TemplateFile | None = None      # once checked, the text of the file
    html: Template | None = None
    html_file: TemplateFile | None = None
    reply_to: MailboxText | None = None        # as in a sender: an address, with a name or without

    @model_validator(mode="after")
    def _one_source_each(self) -> Self:
        _raise([((f"{key}_file",), f"stands beside {key}; give one of the two")
                for key in ("text", "html")
                if getattr(self, key) is not None and getattr(self, f"{key}_file") is not None])
        return self


class EmailTable(WordsTable):
    """The words of the email; complete, whatever the segments lay over them."""

    segments: dict[Segment, WordsTable] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        faults: list[Placed] = []
        if self.subject is None:
            faults.append((("subject",), "is required and missing"))
        if (self.text, self.text_file, self.html, self.html_file) == (None, None, None, None):
            faults.append((("text",), "is required and missing; give text, text_file, html or html_file"))
        _raise(faults)
        return self


class AudienceTable(Table):
    """To whom, beyond the segments."""

    where: dict[FieldName, Annotated[list[Value], _distinct("value")]] = Field(default_factory=dict)
    everyone: bool = False                     # inactive customers too; critical only
    reason: Line | None = None                 # why everyone

    @model_validator(mode="after")
    def _everyone_for_a_reason(self) -> Self:
        if self.everyone and self.reason is None:
            _raise([(("reason",), "is required with everyone = true: it sends to inactive customers too, so say why")])
        if self.reason is not None and not self.everyone:
            _raise([(("reason",), "means nothing without everyone = true")])
        return self


class CanaryTable(Table):
    """The first messages of a campaign, sent alone and waited for."""

    size: Annotated[int, between(1, 1_000_000)]
    wait: Annotated[int, duration(1_000, 30 * DAY)]


class CampaignTable(Table):
    """A whole campaign.toml."""

    id: Name
    category: Literal["critical", "service", "promotional"]
    senders: Annotated[list[Name], _distinct("sender")]
    segment_by: FieldName | None = None
    segments: Annotated[list[Segment], _distinct("segment")] = Field(default_factory=lambda: [EVERYONE_ELSE])
    incident: Annotated[Line, Field(max_length=200)] | None = None
    sequence: Sequence | None = None
    closes: bool = False                       # the incident's last update
    useful_for: Duration | None = None
    replies: RepliesTable | None = None        # pace by answers
    canary: CanaryTable | None = None
    audience: AudienceTable = AudienceTable()
    email: EmailTable
    sample: Annotated[dict[str, Any], AfterValidator(_sample)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        rules: Iterable[Callable[[CampaignTable], Iterator[Placed]]] = (
            _segments_need_a_field, _words_need_their_segment, _paths_are_whole, _sequence_needs_an_incident,
            _everyone_only_when_critical)
        _raise(list(chain.from_iterable(rule(self) for rule in rules)))
        return self


def _segments_need_a_field(campaign: CampaignTable) -> Iterator[Placed]:
    if campaign.segment_by is None and campaign.segments != [EVERYONE_ELSE]:
        yield ("segments",), 'needs segment_by = "location", "plan", "engagement" or an attribute\'s name'


def _words_need_their_segment(campaign: CampaignTable) -> Iterator[Placed]:
    for name in campaign.email.segments:
        if name not in campaign.segments:
            near = nearest(name, campaign.segments)
            yield ("email", "segments", name), f"is none of segments{near}; list it there too"


def _paths_are_whole(campaign: CampaignTable) -> Iterator[Placed]:
    """A path with an empty part covers nobody: a slip of the pen, at the end most often."""
    segments = campaign.segments if campaign.segment_by == "location" else []
    paths: list[Placed] = [(("segments", place), path) for place, path in enumerate(segments)]
    for place, path in enumerate(campaign.audience.where.get("location", [])):
        paths.append((("audience", "where", "location", place), path))
    for key, path in paths:
        if not all(part and part == part.strip() for part in path.split("/")):
            yield key, 'has an empty part, or one with a space around it; write a path such as "DE/Berlin"'


def _sequence_needs_an_incident(campaign: CampaignTable) -> Iterator[Placed]:
    if campaign.sequence is not None and campaign.incident is None:
        yield ("sequence",), "needs an incident, whose updates it counts"
    if campaign.closes and campaign.incident is None:
        yield ("closes",), "needs an incident, which it closes"


def _everyone_only_when_critical(campaign: CampaignTable) -> Iterator[Placed]:
    if campaign.audience.everyone and campaign.category != "critical":
        yield ("audience", "everyone"), 'is for category = "critical" only'


def _raise(faults: list[Placed]) -> None:
    if faults:
        raise placed(faults)
