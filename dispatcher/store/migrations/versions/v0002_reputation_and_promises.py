"""Reputation, history, events, mail servers' providers, promised plans, canaries; what batches were made of."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Compared by bytes in every database: see tables.py.
STRING = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables and columns."""
    op.create_table(
        "batch_parts",
        sa.Column("lane", STRING, nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("campaign", STRING, nullable=False),
        sa.Column("segment", STRING, nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "slot", "campaign", "segment"),
    )
    op.create_index("ix_batch_parts_campaign", "batch_parts", ["campaign", "slot"])
    op.create_index("ix_batch_parts_released_at", "batch_parts", ["released_at"])
    op.create_table(
        "campaign_plans",
        sa.Column("campaign", STRING, nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.Column("queued", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("late", sa.BigInteger(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("campaign"),
    )
    op.create_table(
        "canaries",
        sa.Column("campaign", STRING, nullable=False),
        sa.Column("state", STRING, nullable=False),
        sa.Column("released", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("campaign"),
    )
    op.create_table(
        "canary_messages",
        sa.Column("campaign", STRING, nullable=False),
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "message"),
    )
    op.create_table(
        "domains",
        sa.Column("domain", STRING, nullable=False),
        sa.Column("provider", STRING, nullable=False),
        sa.Column("host", STRING, nullable=False),
        sa.Column("reason", STRING, nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("trouble", STRING, nullable=False),
        sa.PrimaryKeyConstraint("domain"),
    )
    op.create_index("ix_domains_due_at", "domains", ["due_at"])
    op.add_column("customers", sa.Column("domain", STRING, nullable=True))
    op.execute("UPDATE customers SET domain = substr(email, instr(email, '@') + 1) WHERE email <> ''"
               if op.get_bind().dialect.name == "sqlite" else
               "UPDATE customers SET domain = split_part(email, '@', 2) WHERE email <> ''")
    op.create_index("ix_customers_domain", "customers", ["domain", "id"])
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", STRING, nullable=False),
        sa.Column("subject", STRING, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("by", STRING, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("ix_events_kind", "events", ["kind", "id"])
    op.create_index("ix_events_subject", "events", ["subject", "id"])
    op.create_table(
        "history",
        sa.Column("lane", STRING, nullable=False),
        sa.Column("day", STRING, nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "day"),
    )
    op.create_table(
        "lanes",
        sa.Column("lane", STRING, nullable=False),
        sa.Column("state", STRING, nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=True),
        sa.Column("per_minute_until", sa.BigInteger(), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("judged_from", sa.BigInteger(), nullable=False),
        sa.Column("resumed_at", sa.BigInteger(), nullable=False),
        sa.Column("slowed_slot", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane"),
    )
    op.add_column("batches", sa.Column("accepted", sa.Integer(), server_default="0", nullable=False))
    op.add_column("batches", sa.Column("deferred", sa.Integer(), server_default="0", nullable=False))
    op.add_column("batches", sa.Column("rejected", sa.Integer(), server_default="0", nullable=False))
    op.add_column("batches", sa.Column("in_doubt", sa.Integer(), server_default="0", nullable=False))
    op.add_column("batches", sa.Column("unsent", sa.Integer(), server_default="0", nullable=False))
    op.add_column("campaigns", sa.Column("closes", sa.Integer(), server_default="0", nullable=False))
    op.add_column("steps", sa.Column("complaints", sa.Integer(), server_default="0", nullable=False))
    op.add_column("steps", sa.Column("unhealthy", sa.Integer(), server_default="0", nullable=False))
    op.add_column("steps", sa.Column("state", STRING, server_default="healthy", nullable=False))
    op.drop_index("ix_tallies_lane", "tallies")
    _partial("ix_tallies_live_lane", "tallies", ["lane", "campaign", "segment"],
             "state IN ('queued', 'waiting') AND count > 0")
    _partial("ix_tallies_live_campaign", "tallies", ["campaign", "lane"],
             "state IN ('queued', 'waiting') AND count > 0")
    op.drop_index("ix_messages_waiting", "messages")
    _partial("ix_messages_waiting", "messages", ["not_before", "id"], "state = 'queued' AND waiting = 1")


def _partial(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))
