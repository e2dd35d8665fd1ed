"""Where Alembic gets its connection from: the caller, who has begun a transaction and holds the lock."""

from __future__ import annotations

from alembic import context

from logservice.store.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
