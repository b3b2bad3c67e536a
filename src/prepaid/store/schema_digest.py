"""The table of daily digests; `prepaid.store.schema` has it among the others."""

from __future__ import annotations

from sqlalchemy import Column, String, UniqueConstraint

from .columns import ID, PROSE, WORD, Instant, book_column, table, to_book

digest = table(
    "digest",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("day", String(10), nullable=False),
    # Which form the facts have, so that later ones may say more.
    Column("form", WORD, nullable=False),
    Column("facts", PROSE, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("book_id", "day"),
    to_book(),
)
