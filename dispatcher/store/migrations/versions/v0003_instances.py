"""Several daemons on one database: who they are, who delivers what, and what they tell each other."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Compared by bytes in every database: see tables.py.
STRING = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables and the column."""
    op.create_table(
        "instances",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("machine", STRING, nullable=False),
        sa.Column("place", STRING, nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "changes",
        sa.Column("name", STRING, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.add_column("messages", sa.Column("owner", sa.BigInteger(), nullable=True))
    # The one process that had the store, before there were several.
    op.execute("DELETE FROM meta WHERE name = 'holder'")
