"""Alembic's environment: one connection, given by the caller, inside its transaction."""

from alembic import context

from prepaid.store import schema
from prepaid.store.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=VERSION_TABLE,
    transaction_per_migration=False,
    # SQLite cannot alter most things in place.
    render_as_batch=True,
)
context.run_migrations()
