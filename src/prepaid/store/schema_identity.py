"""The tables of identity verification; `prepaid.store.schema` has them among the others."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, UniqueConstraint

from .columns import ID, KEY, PROSE, WORD, Instant, book_column, table, to

identity = table(
    "identity",
    book_column(primary=True),
    Column("customer", KEY, primary_key=True),
    Column("level", Integer, nullable=False),
    Column("case_id", ID, nullable=False),
    Column("verified_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    to("customer", "customer", remote=("id",)),
)

identity_case = table(
    "identity_case",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("customer", KEY, nullable=False),
    # The customer again while it is open, NULL after: one open case per customer, by a unique key.
    Column("open_for", KEY),
    Column("provider", WORD, nullable=False),
    Column("reference", KEY),
    Column("state", WORD, nullable=False),
    Column("level", Integer, nullable=False),
    Column("return_url", PROSE, nullable=False),
    Column("submission", KEY, nullable=False),
    Column("reason", PROSE, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("polls", Integer, nullable=False),
    Column("next_look_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("submitted_at", Instant),
    Column("decided_at", Instant),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "open_for"),
    UniqueConstraint("book_id", "provider", "reference"),
    Index(None, "book_id", "customer", "id"),
    Index(None, "book_id", "state", "id"),
    Index(None, "book_id", "next_look_at"),
    to("customer", "customer", remote=("id",)),
)
