"""Room that a purge has made is used again sooner, where the server vacuums by itself."""

from __future__ import annotations

from alembic import op

from logservice.store import dialects

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Change the settings of the two tables that grow for ever."""
    dialects.set_vacuum_where_unset(op.get_bind())
