"""Alembic's entry: migrations run on the connection and in the transaction that migrate.py hands over."""

from alembic import context

from dispatcher.store import record_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=record_tables.lanes.metadata,      # by way of these, so that all tables are known
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
