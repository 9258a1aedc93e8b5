"""The tables: one definition for every database.

Instants are milliseconds since the epoch, UTC. JSON is stored as text by our own hands, so that both databases keep
the same bytes. The `batches` table is the ledger: its primary key says that a slot is released at most once, and a
step's spent is the sum of its batches; `steps` holds that sum and the outcomes' counts, written in the same
transactions. `tallies` counts messages by state in the same way, so that nobody counts a queue of millions.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy import String as AnyString

metadata: Final = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

# Sorted and compared by their bytes in every database, whatever its own order is.
String = AnyString().with_variant(AnyString(collation="C"), "postgresql")
# SQLite numbers rows by itself only for INTEGER PRIMARY KEY.
Id = BigInteger().with_variant(Integer(), "sqlite")
Instant = BigInteger

meta = Table(
    "meta", metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

customers = Table(
    "customers", metadata,
    Column("id", String, primary_key=True),
    Column("email", String, nullable=False),
    Column("phone", String, nullable=False),
    Column("name", String, nullable=False),
    Column("locale", String, nullable=False),
    Column("timezone", String, nullable=False),
    Column("location", String, nullable=False),
    Column("plan", String, nullable=False),
    Column("engagement", String, nullable=False),
    Column("last_product_at", Instant),
    Column("last_order_at", Instant),
    Column("last_support_at", Instant),
    Column("consent", Text, nullable=False),       # JSON list, sorted
    Column("attributes", Text, nullable=False),    # JSON object of texts, sorted
    Column("updated_at", Instant, nullable=False),
    Column("domain", String),                      # of the email: to find whose provider has changed
)

Index("ix_customers_domain", customers.c.domain, customers.c.id)

suppressions = Table(
    "suppressions", metadata,
    Column("address", String, nullable=False),     # normalised by config/addresses.py
    Column("category", String, nullable=False),    # "*" or one category
    Column("reason", String, nullable=False),      # manual | bounce | complaint | unsubscribe
    Column("note", String, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("address", "category"),
)

campaigns = Table(
    "campaigns", metadata,
    Column("id", String, primary_key=True),
    Column("version", Integer, nullable=False),    # the current one
    Column("category", String, nullable=False),
    Column("incident", String, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("canceled_at", Instant),
    Column("canceled_reason", String, nullable=False),
    Column("applied_at", Instant, nullable=False),
    Column("closes", Integer, nullable=False, server_default="0"),   # 1: its incident's last word
)

campaign_versions = Table(
    "campaign_versions", metadata,
    Column("campaign", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String, nullable=False),      # sha256 of content
    Column("content", Text, nullable=False),       # JSON, canonical: see intake/campaigns.py
    Column("applied_at", Instant, nullable=False),
    Column("approved_at", Instant),
    Column("approved_by", String, nullable=False),
    PrimaryKeyConstraint("campaign", "version"),
)

messages = Table(
    "messages", metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("campaign", String, ForeignKey("campaigns.id"), nullable=False),
    Column("key", String, nullable=False),
    Column("customer", String, nullable=False),
    Column("digest", String, nullable=False),      # of the send request: the same key with other content is a conflict
    Column("data", Text, nullable=False),          # JSON object
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),      # of a skip, a rejection, a wait
    Column("waiting", Integer, nullable=False),    # 1: queued, but not before not_before
    Column("not_before", Instant, nullable=False),  # 0: at once
    Column("expires_at", Instant),
    Column("segment", String, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("lane", String, nullable=False),        # "" for a message that was skipped at acceptance
    Column("created_at", Instant, nullable=False),
    Column("version", Integer),                    # campaign version and
    Column("released_at", Instant),                # instant of the first release: both stay, so that the bytes stay
    Column("snapshot", Text),                      # JSON of the customer at release, where it changed since
    Column("attempts", Integer, nullable=False),
    Column("doubts", Integer, nullable=False),
    Column("slot", Instant),                       # of the batch it is in, or was in last
    Column("begun", Integer, nullable=False),      # 1: sending, and perhaps handed over
    Column("finished_at", Instant),
    Column("owner", BigInteger),                   # sending: the instance that delivers it; none: no one in particular
    UniqueConstraint("campaign", "key"),
)

# SQLite uses a partial index only for a query that repeats its condition to the letter, so both say it by these.
QUEUED: Final = text("messages.state = 'queued'")
DUE: Final = text("messages.state = 'queued' AND messages.waiting = 0")
WAITING: Final = text("messages.state = 'queued' AND messages.waiting = 1")
EXPIRING: Final = text("messages.state = 'queued' AND messages.expires_at IS NOT NULL")
SENDING: Final = text("messages.state = 'sending'")


def _partial(name: str, condition: str, *columns: "Column[Any]") -> Index:
    return Index(name, *columns, sqlite_where=text(condition), postgresql_where=text(condition))


_partial("ix_messages_due", "state = 'queued' AND waiting = 0",
         messages.c.lane, messages.c.campaign, messages.c.priority, messages.c.rank, messages.c.id)
_partial("ix_messages_waiting", "state = 'queued' AND waiting = 1", messages.c.not_before, messages.c.id)
_partial("ix_messages_expiring", "state = 'queued' AND expires_at IS NOT NULL", messages.c.expires_at)
_partial("ix_messages_queued_campaign", "state = 'queued'", messages.c.campaign, messages.c.id)
_partial("ix_messages_sending", "state = 'sending'", messages.c.lane, messages.c.slot)
Index("ix_messages_customer", messages.c.customer, messages.c.id)

batches = Table(
    "batches", metadata,
    Column("lane", String, nullable=False),
    Column("slot", Instant, nullable=False),       # its planned start
    Column("slot_ends", Instant, nullable=False),
    Column("step", Instant, nullable=False),       # start of the step it belongs to
    Column("size", Integer, nullable=False),       # what was spent
    Column("allowance", Integer, nullable=False),  # in force when it was released
    Column("released_at", Instant, nullable=False),
    # What became of its attempts, as far as known; only what the provider saw counts as an outcome.
    Column("accepted", Integer, nullable=False, server_default="0"),
    Column("deferred", Integer, nullable=False, server_default="0"),
    Column("rejected", Integer, nullable=False, server_default="0"),
    Column("in_doubt", Integer, nullable=False, server_default="0"),
    Column("unsent", Integer, nullable=False, server_default="0"),     # came back without the provider having seen it
    PrimaryKeyConstraint("lane", "slot"),
)

# What a batch was made of: for the bounds that cover a campaign or a reply address across lanes, and for its report.
batch_parts = Table(
    "batch_parts", metadata,
    Column("lane", String, nullable=False),
    Column("slot", Instant, nullable=False),
    Column("campaign", String, nullable=False),
    Column("segment", String, nullable=False),
    Column("released_at", Instant, nullable=False),
    Column("size", Integer, nullable=False),
    Column("first", Integer, nullable=False),      # of size: released for the first time, no further attempt
    PrimaryKeyConstraint("lane", "slot", "campaign", "segment"),
)

Index("ix_batch_parts_campaign", batch_parts.c.campaign, batch_parts.c.slot)
Index("ix_batch_parts_released_at", batch_parts.c.released_at)

steps = Table(
    "steps", metadata,
    Column("lane", String, nullable=False),
    Column("step", Instant, nullable=False),
    Column("step_ends", Instant, nullable=False),
    Column("allowance", Integer, nullable=False),  # the last one in force
    Column("spent", Integer, nullable=False),
    Column("unsent", Integer, nullable=False),     # of spent: came back without the provider having seen it
    Column("accepted", Integer, nullable=False),   # outcomes that the provider gave
    Column("deferred", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("in_doubt", Integer, nullable=False),
    Column("last_at", Instant, nullable=False),    # the last release
    Column("complaints", Integer, nullable=False, server_default="0"),
    Column("unhealthy", Integer, nullable=False, server_default="0"),          # 1: the lane was slowed or held in it
    Column("state", String, nullable=False, server_default="healthy"),         # the worst of its releases
    PrimaryKeyConstraint("lane", "step"),
)

attempts = Table(
    "attempts", metadata,
    Column("message", Id, ForeignKey("messages.id"), nullable=False),
    Column("number", Integer, nullable=False),     # 1, 2, ...
    Column("at", Instant, nullable=False),
    Column("lane", String, nullable=False),
    Column("slot", Instant, nullable=False),
    Column("outcome", String, nullable=False),
    Column("code", String, nullable=False),
    Column("detail", String, nullable=False),
    PrimaryKeyConstraint("message", "number"),
)

tallies = Table(
    "tallies", metadata,
    Column("campaign", String, nullable=False),
    Column("lane", String, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("segment", String, nullable=False),
    Column("state", String, nullable=False),       # of a message; "waiting" is queued, but not yet due
    Column("reason", String, nullable=False),      # only of skipped; else ""
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("campaign", "lane", "priority", "rank", "segment", "state", "reason"),
)

# Of what is queued only: rows stay when their count is 0, and those are soon the most.
LIVE: Final = text("tallies.state IN ('queued', 'waiting') AND tallies.count > 0")
_partial("ix_tallies_live_lane", "state IN ('queued', 'waiting') AND count > 0",
         tallies.c.lane, tallies.c.campaign, tallies.c.segment)
_partial("ix_tallies_live_campaign", "state IN ('queued', 'waiting') AND count > 0", tallies.c.campaign, tallies.c.lane)

holds = Table(
    "holds", metadata,
    Column("kind", String, nullable=False),        # everything | sender | lane | campaign | category
    Column("name", String, nullable=False),        # "" for everything
    Column("reason", String, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("until", Instant),
    PrimaryKeyConstraint("kind", "name"),
)

expansions = Table(
    "expansions", metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("campaign", String, ForeignKey("campaigns.id"), nullable=False),
    Column("cursor", String, nullable=False),      # the last customer id that was done
    Column("accepted", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
)
