"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Compared by bytes in every database: see tables.py.
STRING = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make every table and index."""
    op.create_table(
        "batches",
        sa.Column("lane", STRING, nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("slot_ends", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("allowance", sa.Integer(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "slot"),
    )
    op.create_table(
        "campaign_versions",
        sa.Column("campaign", STRING, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", STRING, nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("approved_by", STRING, nullable=False),
        sa.PrimaryKeyConstraint("campaign", "version"),
    )
    op.create_table(
        "campaigns",
        sa.Column("id", STRING, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("category", STRING, nullable=False),
        sa.Column("incident", STRING, nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("canceled_at", sa.BigInteger(), nullable=True),
        sa.Column("canceled_reason", STRING, nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "customers",
        sa.Column("id", STRING, nullable=False),
        sa.Column("email", STRING, nullable=False),
        sa.Column("phone", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("locale", STRING, nullable=False),
        sa.Column("timezone", STRING, nullable=False),
        sa.Column("location", STRING, nullable=False),
        sa.Column("plan", STRING, nullable=False),
        sa.Column("engagement", STRING, nullable=False),
        sa.Column("last_product_at", sa.BigInteger(), nullable=True),
        sa.Column("last_order_at", sa.BigInteger(), nullable=True),
        sa.Column("last_support_at", sa.BigInteger(), nullable=True),
        sa.Column("consent", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "holds",
        sa.Column("kind", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("reason", STRING, nullable=False),
        sa.Column("by", STRING, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "name"),
    )
    op.create_table(
        "meta",
        sa.Column("name", STRING, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "steps",
        sa.Column("lane", STRING, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("step_ends", sa.BigInteger(), nullable=False),
        sa.Column("allowance", sa.Integer(), nullable=False),
        sa.Column("spent", sa.Integer(), nullable=False),
        sa.Column("unsent", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("deferred", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("in_doubt", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "step"),
    )
    op.create_table(
        "suppressions",
        sa.Column("address", STRING, nullable=False),
        sa.Column("category", STRING, nullable=False),
        sa.Column("reason", STRING, nullable=False),
        sa.Column("note", STRING, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address", "category"),
    )
    op.create_table(
        "tallies",
        sa.Column("campaign", STRING, nullable=False),
        sa.Column("lane", STRING, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("segment", STRING, nullable=False),
        sa.Column("state", STRING, nullable=False),
        sa.Column("reason", STRING, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "lane", "priority", "rank", "segment", "state", "reason"),
    )
    op.create_index("ix_tallies_lane", "tallies", ["lane", "state"], unique=False)
    op.create_table(
        "expansions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("campaign", STRING, nullable=False),
        sa.Column("cursor", STRING, nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["campaigns.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("campaign", STRING, nullable=False),
        sa.Column("key", STRING, nullable=False),
        sa.Column("customer", STRING, nullable=False),
        sa.Column("digest", STRING, nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("state", STRING, nullable=False),
        sa.Column("reason", STRING, nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("segment", STRING, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("lane", STRING, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.Column("snapshot", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("doubts", sa.Integer(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=True),
        sa.Column("begun", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign"],
            ["campaigns.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("campaign", "key", name=op.f("uq_messages_campaign_key")),
    )
    op.create_index("ix_messages_customer", "messages", ["customer", "id"], unique=False)
    op.create_index(
        "ix_messages_due",
        "messages",
        ["lane", "campaign", "priority", "rank", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND waiting = 0"),
        postgresql_where=sa.text("state = 'queued' AND waiting = 0"),
    )
    op.create_index(
        "ix_messages_expiring",
        "messages",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND expires_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'queued' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_queued_campaign",
        "messages",
        ["campaign", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_messages_sending",
        "messages",
        ["lane", "slot"],
        unique=False,
        sqlite_where=sa.text("state = 'sending'"),
        postgresql_where=sa.text("state = 'sending'"),
    )
    op.create_index(
        "ix_messages_waiting",
        "messages",
        ["not_before"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND waiting = 1"),
        postgresql_where=sa.text("state = 'queued' AND waiting = 1"),
    )
    op.create_table(
        "attempts",
        sa.Column("message", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("lane", STRING, nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("outcome", STRING, nullable=False),
        sa.Column("code", STRING, nullable=False),
        sa.Column("detail", STRING, nullable=False),
        sa.ForeignKeyConstraint(
            ["message"],
            ["messages.id"],
        ),
        sa.PrimaryKeyConstraint("message", "number"),
    )
