"""Every key of dispatcher.toml: its default once, its meaning, its range. What a file leaves out stands here.

The words are those of docs and product; durations become milliseconds, paths absolute, secrets SecretStr (see
fields.py). Rules between the keys of one table stand with it; rules between tables stand in load.py. Ramps, whose
defaults and presets are data, have a file of their own (ramp_table.py).
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, model_validator

from config.faults import Placed, any_of, nearest, placed
from config.fields import (
    AbsolutePath,
    CaFile,
    CapSize,
    Connections,
    Delay,
    Duration,
    HostName,
    Hours,
    Lease,
    Line,
    MailboxText,
    Name,
    NameserverText,
    Patience,
    Secret,
    ServerUrl,
    StopWithin,
    Table,
)
from config.places import admin_address, store_url
from config.postgresql import SCHEME, VERIFYING, Postgresql, SslMode, parse_postgresql
from config.ramp_table import RampTable
from config.replies import RepliesTable, ReplyAddress
from config.reputation_table import ReputationTable
from config.servers import Server, Tls
from config.units import DAY, MILLISECONDS, WEEK, format_duration

CHANNELS: Final = ("email",)                             # of this version
ACTIVITIES: Final = ("product", "order", "support")
CAPPED: Final = ("service", "promotional")               # categories; critical messages are never too many
_MINUTE: Final = MILLISECONDS["m"]
_WHOLE_DAY: Final = (0, 1440)


def _channel(value: object) -> str:
    if not isinstance(value, str) or value not in CHANNELS:
        raise ValueError(f"is no channel of this version, which has {any_of(CHANNELS)}")
    return value


def _activities(kinds: tuple[str, ...]) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in ACTIVITIES:
            hint = nearest(kind, ACTIVITIES)
            raise ValueError(f"names no kind of activity{hint}; the kinds are {any_of(ACTIVITIES)}")
    if len(set(kinds)) < len(kinds):
        raise ValueError("names a kind twice; once is enough")
    return kinds


def _capped_category(category: str) -> str:
    if category not in CAPPED:
        hint = nearest(category, CAPPED)
        raise ValueError(f"is no category that may be capped{hint}; those are {any_of(CAPPED)}")
    return category


def _not_always(hours: tuple[int, int]) -> tuple[int, int]:
    if hours == _WHOLE_DAY:
        raise ValueError("leave no time at all to send in; quiet hours are a part of the day")
    return hours


class Service(Table):
    """[service]: the daemon as a process."""

    stop_within: StopWithin = 30 * MILLISECONDS["s"]     # what is in flight at SIGTERM gets this long; 1s to 1h


class Log(Table):
    """[log]."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Store(Table):
    """[store]: the durable queue and ledger."""

    url: Annotated[str, PlainValidator(store_url)] = "sqlite:////var/lib/dispatcher/dispatcher.db"
    password: Secret | None = None                       # of PostgreSQL's user
    ca_file: CaFile | None = None                        # PEM: authorities to trust instead of the system's
    keep: Duration | None = None                         # the details of what finished; None: for ever
    lease: Lease = 30 * MILLISECONDS["s"]                # PostgreSQL: a daemon unheard of so long has ended; 1s to 10m

    @property
    def path(self) -> Path | None:
        """The database file of SQLite; None where the store is PostgreSQL's."""
        return Path(self.url.removeprefix("sqlite:///")) if self.postgresql is None else None

    @property
    def postgresql(self) -> Postgresql | None:
        """The database of PostgreSQL; None where the store is a file."""
        return parse_postgresql(self.url) if self.url.startswith(f"{SCHEME}://") else None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        database, faults = self.postgresql, list[Placed]()
        if database is None:
            faults += [((key,), "means nothing to a store in a SQLite file; leave it out")
                       for key in ("password", "ca_file", "lease") if key in self.model_fields_set]
        else:
            if self.ca_file is not None and database.sslmode not in VERIFYING:
                faults.append((("ca_file",), f"means nothing unless the url insists: ?sslmode={SslMode.VERIFY_FULL}"))
            if self.password is not None and database.sslmode is SslMode.DISABLE and not database.loopback:
                problem = "would send all that is stored in clear, and perhaps the password; leave out ?sslmode=disable"
                faults.append((("url",), problem))
        if faults:
            raise placed(faults)
        return self


class Audience(Table):
    """[audience]: who is active, and when what we know of that is too old."""

    active_within: Duration = 30 * DAY                   # some counted activity within it makes a customer active
    activity: Annotated[tuple[str, ...], Field(strict=False, min_length=1), AfterValidator(_activities)] = ACTIVITIES
    stale_after: Duration = 7 * DAY                      # nothing came in for so long: hold, rather than skip everyone


class Sender(Table):
    """[senders.NAME]: an identity whose reputation is protected."""

    from_: MailboxText = Field(alias="from")
    ramp: str                                            # the NAME of a [ramps.NAME]
    channel: Annotated[str, PlainValidator(_channel)] = "email"
    reply_to: MailboxText | None = None
    server: ServerUrl = Server("localhost", 25, Tls.OFFERED)
    username: Line | None = None
    password: Secret | None = None
    connections: Connections = 10                        # 1 to 1000
    in_doubt: Literal["resend", "hold"] = "resend"       # again, the very same bytes; or wait for a person
    ca_file: CaFile | None = None                        # PEM: authorities to trust instead of the system's
    helo: HostName | None = None                         # the name to greet with; the machine's own where left out

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        faults: list[Placed] = []
        if self.username is not None and self.password is None:
            faults.append((("username",), "needs a password beside it"))
        if self.password is not None and self.username is None:
            faults.append((("password",), "needs a username beside it"))
        if self.password is not None and self.server.tls is Tls.OFF and not self.server.loopback:
            faults.append((("server",), "would send the password in clear; leave out ?tls=off, or write ?tls=required"))
        if self.server.direct:
            faults += [((key,), problem) for key, problem in (
                ("username", "means nothing to direct://: recipients' servers know no accounts; leave it out"),
                ("connections", "means nothing to direct://, which keeps to the bounds of each provider; leave it out"),
            ) if key in self.model_fields_set]
        if faults:
            raise placed(faults)
        return self


class Cap(Table):
    """[frequency] CATEGORY: how often a customer may be written to."""

    most: CapSize                                        # 1 to 10000
    within: Duration


class Quiet(Table):
    """[quiet]: hours in the customer's timezone in which nothing but critical messages goes out; none unless set."""

    hours: Annotated[Hours, AfterValidator(_not_always)] | None = None      # may pass midnight


class Retry(Table):
    """[retry]: when a deferred message is tried again; each time moves by up to 10 % either way (RFC 5321 4.5.4.1)."""

    delays: tuple[Delay, ...] = Field(strict=False, min_length=1, max_length=100,       # the last repeats
                                      default=(30 * _MINUTE, 30 * _MINUTE, 60 * _MINUTE, 120 * _MINUTE, 180 * _MINUTE))
    give_up_after: Duration = 4 * DAY


class Mx(Table):
    """[mx]: how the provider of a domain is found that the shipped table does not have, and the servers of its mail."""

    lookup: bool = True                                  # false: by the table alone; direct senders ask all the same
    nameservers: tuple[NameserverText, ...] = Field(strict=False, max_length=8, default=())     # none: the system's
    timeout: Patience = 5 * MILLISECONDS["s"]            # of one question, all nameservers together; 100ms to 60s


class Http(Table):
    """[http]: where the daemon listens."""

    admin: Annotated[str, PlainValidator(admin_address)] = "unix:/run/dispatcher/admin.sock"

    @property
    def socket(self) -> Path:
        """The admin listener's Unix socket."""
        return Path(self.admin.removeprefix("unix:"))


class Campaigns(Table):
    """[campaigns]: the folder whose campaigns are applied at start and at every reload."""

    directory: AbsolutePath = Field(default=Path("campaigns"), validate_default=True)
    approval: bool = False                               # true: a campaign sends only once approved


class Settings(Table):
    """dispatcher.toml, complete."""

    service: Service
    log: Log
    store: Store
    audience: Audience
    ramps: dict[Name, RampTable]
    senders: dict[Name, Sender]
    frequency: dict[Annotated[str, AfterValidator(_capped_category)], Cap]      # no cap unless set
    quiet: Quiet
    retry: Retry
    replies: dict[ReplyAddress, RepliesTable]            # pace by answers, of all mail with a reply address
    reputation: ReputationTable
    mx: Mx
    http: Http
    campaigns: Campaigns

    @model_validator(mode="before")
    @classmethod
    def _every_table(cls, data: Any) -> Any:  # noqa: ANN401 -- whatever the file holds
        """A table that is left out is an empty one, so that its defaults are read like what is written."""
        return {name: {} for name in cls.model_fields} | data if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _keeps_what_is_looked_back_at(self) -> Self:
        keep, (what, window) = self.store.keep, self._longest_look_back()
        if keep is not None and keep <= window:
            problem = f'must be longer than "{format_duration(window)}": so far back goes {what}'
            raise placed([(("store", "keep"), problem)])
        return self

    def _longest_look_back(self) -> tuple[str, int]:
        """What looks back the farthest at messages and what customers did, and how far: that is never pruned."""
        windows = [("the judgement of a lane", WEEK),
                   ("audience.active_within", self.audience.active_within),
                   ("retry.give_up_after", self.retry.give_up_after),
                   *((f"frequency.{category}", cap.within) for category, cap in self.frequency.items())]
        return max(windows, key=lambda one: one[1])
