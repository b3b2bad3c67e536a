"""The table of daily digests, part of the first schema."""

from __future__ import annotations

import sqlalchemy as sa

from prepaid.store.migrations.building import DAY, ID, INSTANT, PROSE, WORD, refers, table


def digest() -> None:
    """Make the table of digests as they were written."""
    table(
        "digest",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("day", DAY, nullable=False),
        sa.Column("form", WORD, nullable=False),
        sa.Column("facts", PROSE, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "day"),
        refers("book"),
    )
