"""The tables beside queue and ledger: what lanes have come to, what happened, what was promised, who runs a domain.

And those by which daemons that share a store know of each other. As in tables.py, instants are milliseconds since the
epoch, and JSON is text by our own hands.
"""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, PrimaryKeyConstraint, Table, Text

from dispatcher.store.tables import Id, Instant, String, metadata

# A lane's reputation, as core/reputation.py has it; a lane without a row is healthy.
lanes = Table(
    "lanes", metadata,
    Column("lane", String, primary_key=True),
    Column("state", String, nullable=False),       # healthy | slow | held
    Column("share", Double, nullable=False),       # of a slot's size that is released
    Column("per_minute", Integer),                 # a reply rule's bound, until
    Column("per_minute_until", Instant),
    Column("held_until", Instant),                 # of a held lane; none: until a person resumes it
    Column("cause", Text, nullable=False),
    Column("since", Instant, nullable=False),      # when the state became what it is
    Column("judged_from", Instant, nullable=False),    # what was before has had its say
    Column("resumed_at", Instant, nullable=False),     # when a person last let it go on
    Column("slowed_slot", Instant, nullable=False),    # which slowed it last: many replies of one slot count once
)

# What an established sender sent before it came to this dispatcher, by day of the ramp's zone.
history = Table(
    "history", metadata,
    Column("lane", String, nullable=False),
    Column("day", String, nullable=False),         # 2026-03-01
    Column("sent", BigInteger, nullable=False),
    Column("imported_at", Instant, nullable=False),
    PrimaryKeyConstraint("lane", "day"),
)

# What happened to lanes, campaigns and the daemon, and why: for people, and for the causes that a report names.
events = Table(
    "events", metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("kind", String, nullable=False),        # store/events.py has them all
    Column("subject", String, nullable=False),     # the lane, the campaign; "" for the daemon
    Column("cause", Text, nullable=False),
    Column("by", String, nullable=False),          # the person; "" for the dispatcher itself
    Column("data", Text, nullable=False),          # JSON object
)

Index("ix_events_at", events.c.at)
Index("ix_events_kind", events.c.kind, events.c.id)
Index("ix_events_subject", events.c.subject, events.c.id)

# Which provider the mail servers of a domain belong to, as last asked of the DNS.
domains = Table(
    "domains", metadata,
    Column("domain", String, primary_key=True),
    Column("provider", String, nullable=False),    # "other" until known otherwise
    Column("host", String, nullable=False),        # the mail server that decided; "" for none
    Column("reason", String, nullable=False),      # asked_for | mx | no_rule | null_mx | no_mail | failed
    Column("asked_at", Instant),                   # None: never yet
    Column("due_at", Instant),                     # when it is to be asked (again); None: when a message next needs it
    Column("expires_at", Instant, nullable=False),     # the answer holds until then
    Column("failures", Integer, nullable=False),   # in a row
    Column("trouble", String, nullable=False),     # of the last failure
)

Index("ix_domains_due_at", domains.c.due_at)

# What was promised when a campaign began to be sent.
campaign_plans = Table(
    "campaign_plans", metadata,
    Column("campaign", String, nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("queued", BigInteger, nullable=False),  # messages that it is about
    Column("done_at", Instant),
    Column("late", BigInteger, nullable=False),    # who would hear too late
    Column("plan", Text, nullable=False),          # JSON: the batches
    PrimaryKeyConstraint("campaign"),
)

# How a campaign's canary fares; a campaign without one, or before it, has no row.
canaries = Table(
    "canaries", metadata,
    Column("campaign", String, primary_key=True),
    Column("state", String, nullable=False),       # out | waiting | passed | failed
    Column("released", Integer, nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("until", Instant),                      # waiting: when it is judged
    Column("why", Text, nullable=False),
)

# The messages that a canary was made of: what became of them decides whether the rest follows.
canary_messages = Table(
    "canary_messages", metadata,
    Column("campaign", String, nullable=False),
    Column("message", Id, nullable=False),
    PrimaryKeyConstraint("campaign", "message"),
)

# The daemons that share a store, where several may (instances.py): instants by the database's own clock.
instances = Table(
    "instances", metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("machine", String, nullable=False),
    Column("place", String, nullable=False),           # within which its process has its number
    Column("process", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),        # its last heartbeat
    Column("lease_until", Instant, nullable=False),    # after that it writes nothing any more
)

# How often others had something to hear of (changes.py).
changes = Table(
    "changes", metadata,
    Column("name", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
