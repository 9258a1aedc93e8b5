"""The kinds of value that a configuration file holds: read from the words of the file, written back as them.

Each kind refuses what it cannot use with a ValueError that says what is allowed; the loader adds file, line and key.
What a word means may depend on where it was read (relative paths, secrets): that is the Origin, given as pydantic's
validation context.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, PlainValidator, SecretStr, ValidationInfo

from config.addresses import Mailbox, header_safe, parse_mailbox
from config.faults import kind_of, nearest
from config.nameservers import Nameserver, parse_nameserver
from config.secrets import read_secret
from config.servers import Server, is_host_name, parse_server
from config.units import DAY, WEEKDAYS, format_duration, parse_duration, parse_hours, parse_weekdays

LONGEST: Final = 3660 * DAY     # ten years: more is a slip, and less than any arithmetic minds
_LARGEST_SHOWN: Final = 10**18
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_BRACKETED: Final = re.compile(r"\[[0-9A-Fa-f:.]{2,45}\]", re.ASCII)
_LARGEST_CA_FILE: Final = 4 * 1024 * 1024
_ZONES_OF_THE_MACHINE: Final = {"localtime", "posixrules", "Factory"}   # not the same everywhere
_Number = TypeVar("_Number", int, float)


class Table(BaseModel):
    """A table of a file: its keys and no others, their types as written, unchangeable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where words were read, and with what around them."""

    folder: Path = Path()                                       # of the file: relative paths start here
    environ: Mapping[str, str] = field(default_factory=dict)
    secrets: bool = True                                        # read them, or leave them empty


def origin_of(info: ValidationInfo) -> Origin:
    """The origin that a validation was given, or one that knows nothing."""
    return info.context if isinstance(info.context, Origin) else Origin()


def text_of(value: object, example: str) -> str:
    """The value, where it is a text; else ValueError with an example of one."""
    if not isinstance(value, str):
        raise ValueError(f'must be a text such as "{example}", not {kind_of(value)}')  # noqa: TRY004 -- pydantic reads ValueError
    return value


def shown(value: float) -> str:
    """`, not 7`: a number that was refused, where it is short enough to be shown."""
    return f", not {value}" if -_LARGEST_SHOWN < value < _LARGEST_SHOWN else ""


def between(low: _Number, high: _Number) -> AfterValidator:
    """A number from low to high, both included."""
    def check(value: _Number) -> _Number:
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}{shown(value)}")
        return value
    return AfterValidator(check)


def duration(shortest: int, longest: int = LONGEST) -> PlainValidator:
    """A duration from shortest to longest (milliseconds, both included)."""
    def check(value: object) -> int:
        milliseconds = parse_duration(text_of(value, "5m"))
        if not shortest <= milliseconds <= longest:
            raise ValueError(f'must be from "{format_duration(shortest)}" to "{format_duration(longest)}"')
        return milliseconds
    return PlainValidator(check)


def _growth(value: float) -> float:
    if not 1.0 <= value < 2.0:  # noqa: PLR2004 -- the range of product.md
        raise ValueError(f"must be at least 1.0 and below 2.0{shown(value)}")
    return value


def _guard(value: float) -> float:
    if not 1.0 < value <= 1000.0:  # noqa: PLR2004 -- more guards nothing
        raise ValueError(f"must be above 1.0 and at most 1000{shown(value)}")
    return value


def _offset(value: object) -> int | None:
    return None if value == "auto" else parse_duration(text_of(value, "auto"))


def _hours_text(hours: tuple[int, int]) -> str:
    (first, first_minute), (last, last_minute) = (divmod(minutes, 60) for minutes in hours)
    return f"{first:02}:{first_minute:02}-{last:02}:{last_minute:02}"


def _weekdays_text(days: frozenset[int]) -> str:
    if len(days) == len(WEEKDAYS):
        return "mon-sun"
    return ",".join(WEEKDAYS[day] for day in sorted(days))


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError('is no name: letters, digits, ".", "_" and "-", at most 64, a letter or digit first')
    return value


def _timezone(value: object) -> str:
    name = text_of(value, "Europe/Berlin")
    try:
        if name not in _ZONES_OF_THE_MACHINE and not name.startswith(("posix/", "right/")):
            return ZoneInfo(name).key
    except (KeyError, OSError, ValueError):
        pass    # ZoneInfo says the same thing in three ways
    hint = nearest(name, available_timezones())
    raise ValueError(f'is no time zone{hint}; write an IANA name such as "Europe/Berlin"')


def plain_path(text: str) -> str:
    """The text of a path, or ValueError: something, and nothing that no path should hold."""
    if not text:
        raise ValueError("is empty; write a path")
    header_safe(text)
    if text.startswith("~"):
        raise ValueError('starts with "~", which only a shell knows; write the path in full')
    return text


def absolute(text: str, origin: Origin) -> Path:
    """A path as meant: a relative one starts at the folder of the file."""
    return Path(os.path.normpath(origin.folder / plain_path(text)))


def _path(value: object, info: ValidationInfo) -> Path:
    text = str(value) if isinstance(value, Path) else text_of(value, "campaigns")     # a default is a Path already
    return absolute(text, origin_of(info))


def _ca_file(value: object, info: ValidationInfo) -> Path:
    origin = origin_of(info)
    path = absolute(text_of(value, "/etc/ssl/private-ca.pem"), origin)
    if origin.secrets:
        try:
            if not path.is_file():
                raise ValueError(f"cannot be read: there is no file {path}")
            with path.open("rb") as file:
                content = file.read(_LARGEST_CA_FILE)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        if b"-----BEGIN CERTIFICATE-----" not in content:
            raise ValueError("holds no certificate; write a PEM file with the authorities to trust")
    return path


def _mailbox(value: object) -> Mailbox:
    mailbox = parse_mailbox(text_of(value, "Acme Support <support@acme.example>"))
    if mailbox.address.smtputf8:
        raise ValueError("must be ASCII before the @: not every server takes another sender")
    return mailbox


def _host(value: object) -> str:
    name = text_of(value, "mail.acme.example")
    if not is_host_name(name) and not _BRACKETED.fullmatch(name):
        raise ValueError('is no host name; write one such as "mail.acme.example"')
    return name


def _secret(value: object, info: ValidationInfo) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, dict):
        raise ValueError('must say where the secret is: { credential = "NAME" }, { file = "PATH" } or '  # noqa: TRY004 -- pydantic reads ValueError
                         '{ env = "NAME" }; no secret stands in this file')
    origin = origin_of(info)
    return SecretStr(read_secret(value, origin.folder, origin.environ, read=origin.secrets))


def _line(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    header_safe(value)
    return value


def _words(write: Callable[..., str]) -> PlainSerializer:
    return PlainSerializer(write, return_type=str)


_Duration = _words(format_duration)
Duration = Annotated[int, duration(1_000), _Duration]                      # a second or more
Delay = Annotated[int, duration(1_000, 30 * DAY), _Duration]
Lease = Annotated[int, duration(1_000, 600_000), _Duration]
StopWithin = Annotated[int, duration(1_000, 3_600_000), _Duration]
Patience = Annotated[int, duration(100, 60_000), _Duration]
Every = Annotated[int, duration(100, DAY), _Duration]
Step = Annotated[int, duration(1_000, DAY), _Duration]
Offset = Annotated[int | None, PlainValidator(_offset),
                   PlainSerializer(lambda value: "auto" if value is None else format_duration(value))]
Count = Annotated[int, between(1, 1_000_000_000)]
BatchSize = Annotated[int, between(1, 100_000)]
Connections = Annotated[int, between(1, 1_000)]
CapSize = Annotated[int, between(1, 10_000)]
Growth = Annotated[float, AfterValidator(_growth)]
Guard = Annotated[float, AfterValidator(_guard)]
Hours = Annotated[tuple[int, int], PlainValidator(lambda value: parse_hours(text_of(value, "08:00-20:00"))),
                  _words(_hours_text)]
Weekdays = Annotated[frozenset[int], PlainValidator(lambda value: parse_weekdays(text_of(value, "mon-sun"))),
                     _words(_weekdays_text)]
Timezone = Annotated[str, PlainValidator(_timezone)]
Name = Annotated[str, AfterValidator(_name)]
Line = Annotated[str, AfterValidator(_line)]
AbsolutePath = Annotated[Path, PlainValidator(_path), _words(str)]
CaFile = Annotated[Path, PlainValidator(_ca_file), _words(str)]
MailboxText = Annotated[Mailbox, PlainValidator(_mailbox), _words(str)]
ServerUrl = Annotated[Server, PlainValidator(lambda value: parse_server(text_of(value, "smtp://localhost:25"))),
                      _words(str)]
HostName = Annotated[str, PlainValidator(_host)]
NameserverText = Annotated[Nameserver, PlainValidator(lambda value: parse_nameserver(text_of(value, "127.0.0.1:53"))),
                           _words(str)]
Secret = Annotated[SecretStr, PlainValidator(_secret),
                   PlainSerializer(lambda _: "**********", return_type=str, when_used="json")]
