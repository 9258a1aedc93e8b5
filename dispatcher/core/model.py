"""The nouns of product.md, section 2, as frozen values.

All instants are milliseconds since 1970-01-01T00:00:00Z (see times.py), all durations milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from fractions import Fraction
from math import floor
from typing import Any


class Category(StrEnum):
    """Why a campaign is sent; rules differ by it."""

    CRITICAL = "critical"
    SERVICE = "service"
    PROMOTIONAL = "promotional"


class Priority(IntEnum):
    """The first key of a batch's order; lower goes first."""

    URGENT = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class SkipReason(StrEnum):
    """Why a message was closed without having been sent. Final, and readable by a person."""

    INACTIVE = "inactive"
    UNSUBSCRIBED = "unsubscribed"
    NO_CONSENT = "no_consent"
    SUPPRESSED = "suppressed"
    NO_ADDRESS = "no_address"
    NO_SEGMENT = "no_segment"
    CAPPED = "capped"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    CANCELED = "canceled"
    UNKNOWN_CUSTOMER = "unknown_customer"


@dataclass(frozen=True, slots=True)
class Customer:
    """A person, as last told to us. Empty fields are "", unknown instants None."""

    id: str
    email: str = ""                 # checked at the border; domain lower-cased, as A-label
    phone: str = ""                 # E.164
    name: str = ""
    locale: str = ""
    timezone: str = ""              # IANA name, checked at the border
    location: str = ""              # a path: "DE/Berlin"
    plan: str = ""
    engagement: str = ""
    last_product_at: int | None = None
    last_order_at: int | None = None
    last_support_at: int | None = None
    consent: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Words:
    """One channel's templates of a campaign, for everyone or, laid over that, for one segment."""

    subject: str = ""
    text: str = ""
    html: str = ""
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Replies:
    """How many answers people can give to what a campaign, or mail from an address, makes customers ask."""

    agents: int
    per_hour: float                 # answers of one agent
    expected: float                 # answers expected for each message; above 0

    @property
    def messages_per_hour(self) -> int:
        """How many messages an hour bring no more answers than people can give; at least 1."""
        capacity = self.agents * Fraction(str(self.per_hour)) / Fraction(str(self.expected))
        return max(floor(capacity), 1)


@dataclass(frozen=True, slots=True)
class Canary:
    """The first so many messages of a campaign go out alone, and are waited for."""

    size: int
    wait: int                       # milliseconds after the last of them was released


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is said, to whom, by which senders, in which order of segments; one immutable version of it."""

    id: str
    category: Category
    senders: tuple[str, ...]
    segment_by: str = ""                                  # "" : everyone is in segment "*"
    segments: tuple[str, ...] = ("*",)
    incident: str = ""
    sequence: int = 0
    closes: bool = False                                  # the incident's last word: see core/audience.py
    useful_for: int | None = None
    replies: Replies | None = None
    canary: Canary | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    everyone: bool = False
    reason: str = ""
    words: Mapping[str, Words] = field(default_factory=dict)   # by channel: "email"
    segment_words: Mapping[str, Mapping[str, Words]] = field(default_factory=dict)   # channel, segment: complete words
    sample: Mapping[str, Any] = field(default_factory=dict)    # an example of the data, for apply and preview
    version: int = 0                                           # given by the store


@dataclass(frozen=True, slots=True)
class Message:
    """An item of the send queue as a release reads it."""

    id: int
    campaign: str
    key: str
    customer: str
    segment: str
    rank: int                       # position of the segment in the campaign's order
    priority: int
    lane: str
    data: Mapping[str, Any]
    expires_at: int | None
    attempts: int = 0               # made so far
    doubts: int = 0                 # of those, in doubt
    version: int | None = None      # campaign version and
    released_at: int | None = None  # instant of its first release; both stay, so that its bytes stay


@dataclass(frozen=True, slots=True)
class Lane:
    """Sender x provider; written "support/gmail"."""

    sender: str
    provider: str

    def __str__(self) -> str:
        return f"{self.sender}/{self.provider}"
