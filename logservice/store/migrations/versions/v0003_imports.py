"""What was imported and how far; and what a gateway said last of its users and tokens."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, Text

from logservice.store import dialects

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a table, and a column to each of two; nothing has been imported yet."""
    op.create_table(
        "log_imports",
        Column("id", dialects.BigKey, primary_key=True, autoincrement=False),
        Column("kind", Text, nullable=False),
        Column("state", dialects.PlainText, nullable=False),
    )
    for name in ("log_users", "log_tokens"):
        op.add_column(name, Column("gateway", dialects.PlainText))
