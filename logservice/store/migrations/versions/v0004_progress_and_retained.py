"""How far work is that has a mark, and which rows kept usage stems from."""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, LargeBinary

from logservice.store import dialects

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a column and a table; of rows that were purged before, nobody knows which they were."""
    op.add_column("log_marks", Column("progress", dialects.PlainText))
    op.create_table(
        "log_retained",
        Column("id", dialects.BigKey, primary_key=True, autoincrement=True),
        Column("retained", BigInteger, nullable=False),
        Column("type", BigInteger, nullable=False),
        Column("first_id", BigInteger, nullable=False),
        Column("last_id", BigInteger, nullable=False),
        Column("packed", LargeBinary, nullable=False),
    )
    op.create_index("log_retained_first", "log_retained", ["first_id"])
