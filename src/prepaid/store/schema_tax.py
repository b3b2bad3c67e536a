"""The tables of tax: rules, tax ids and what registers said, evidence, approvals, entries, corrections."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, String, UniqueConstraint

from .columns import ID, KEY, NAME, PROSE, SERIAL, WORD, Instant, book_column, table, to, to_book

tax_profile = table(
    "tax_profile",
    book_column(primary=True),
    Column("customer", KEY, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", PROSE, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("created_at", Instant, nullable=False),
    to("customer", "customer", remote=("id",)),
)

tax_rule = table(
    "tax_rule",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("country", String(2), nullable=False),
    Column("content", PROSE, nullable=False),
    Column("retired_at", Instant),
    Column("created_at", Instant, nullable=False),
    Index(None, "book_id", "country"),
    to_book(),
)

tax_identity = table(
    "tax_identity",
    book_column(primary=True),
    Column("number", KEY, primary_key=True),
    # Issuing country and kind: with them the number can be asked about again.
    Column("kind", WORD, nullable=False),
    Column("country", String(2), nullable=False),
    Column("register", WORD, nullable=False),
    Column("state", WORD, nullable=False),
    Column("reason", WORD, nullable=False),
    Column("name", NAME, nullable=False),
    Column("consultation", KEY, nullable=False),
    Column("answered_at", Instant),
    Column("valid_at", Instant),
    # How often in a row its register gave no answer.
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant),
    # Until when one worker asks, and no other; null while nobody does.
    Column("asked_until", Instant),
    Column("created_at", Instant, nullable=False),
    Index(None, "book_id", "next_at"),
    to_book(),
)

tax_id_check = table(
    "tax_id_check",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    book_column(),
    Column("number", KEY, nullable=False),
    Column("register", WORD, nullable=False),
    Column("requester", KEY, nullable=False),
    Column("state", WORD, nullable=False),
    Column("reason", WORD, nullable=False),
    Column("consultation", KEY, nullable=False),
    Column("name", NAME, nullable=False),
    Column("address", PROSE, nullable=False),
    Column("raw", PROSE, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "book_id", "number"),
    to("tax_identity", "number", remote=("number",)),
)

tax_register = table(
    "tax_register",
    book_column(primary=True),
    Column("name", WORD, primary_key=True),
    # The country whose part of it does not answer, or * for all of it.
    Column("country", String(2), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("rests_until", Instant, nullable=False),
    to_book(),
)

tax_approval = table(
    "tax_approval",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("customer", KEY, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("number", KEY, nullable=False),
    Column("reason", PROSE, nullable=False),
    Column("code", KEY, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("valid_to", String(10)),
    Column("ended_at", Instant),
    Column("created_at", Instant, nullable=False),
    Index(None, "book_id", "customer"),
    to("customer", "customer", remote=("id",)),
)

location_evidence = table(
    "location_evidence",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    book_column(),
    Column("customer", KEY, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("country", String(2), nullable=False),
    Column("reference", NAME, nullable=False),
    Column("at", Instant, nullable=False),
    Index(None, "book_id", "customer", "kind", "id"),
    to("customer", "customer", remote=("id",)),
)

tax_entry = table(
    "tax_entry",
    book_column(primary=True),
    Column("invoice_id", ID, primary_key=True),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    Column("jurisdiction", WORD, nullable=False),
    Column("treatment", WORD, nullable=False),
    Column("category", WORD, nullable=False),
    Column("name", KEY, nullable=False),
    Column("percent", WORD, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("base", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("issued_on", String(10), nullable=False),
    Index(None, "book_id", "issued_on"),
    to("invoice", "invoice_id", remote=("id",)),
)

tax_correction = table(
    "tax_correction",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("invoice_id", ID, nullable=False),
    Column("number", KEY, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("state", WORD, nullable=False),
    Column("reason", PROSE, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("found_at", Instant),
    Column("closed_at", Instant),
    UniqueConstraint("book_id", "invoice_id"),
    Index(None, "book_id", "number", "state"),
    Index(None, "book_id", "state", "id"),
    to("invoice", "invoice_id", remote=("id",)),
)
