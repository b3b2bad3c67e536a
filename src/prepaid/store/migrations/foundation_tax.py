"""Tables of tax, part of the first schema."""

from __future__ import annotations

import sqlalchemy as sa

from prepaid.store.migrations.building import (
    CODE,
    DAY,
    ID,
    INSTANT,
    KEY,
    NAME,
    PROSE,
    SERIAL,
    WORD,
    index,
    refers,
    table,
)


def tax_profile() -> None:
    """Make the table of what customers say about their tax situation."""
    table(
        "tax_profile",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("content", PROSE, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "customer", "version"),
        refers("customer", "customer", "id"),
    )


def tax_rule() -> None:
    """Make the table of rules."""
    table(
        "tax_rule",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("content", PROSE, nullable=False),
        sa.Column("retired_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        refers("book"),
    )
    index("tax_rule", "book_id", "country")


def tax_identity() -> None:
    """Make the table of tax ids and what is known of them."""
    table(
        "tax_identity",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("register", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", WORD, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("consultation", KEY, nullable=False),
        sa.Column("answered_at", INSTANT),
        sa.Column("valid_at", INSTANT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT),
        sa.Column("asked_until", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "number"),
        refers("book"),
    )
    index("tax_identity", "book_id", "next_at")


def tax_id_check() -> None:
    """Make the table of every answer of a register."""
    table(
        "tax_id_check",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("register", WORD, nullable=False),
        sa.Column("requester", KEY, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", WORD, nullable=False),
        sa.Column("consultation", KEY, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("address", PROSE, nullable=False),
        sa.Column("raw", PROSE, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        refers("tax_identity", "number", "number"),
    )
    index("tax_id_check", "book_id", "number")


def tax_register() -> None:
    """Make the table of registers that do not answer."""
    table(
        "tax_register",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("rests_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "name", "country"),
        refers("book"),
    )


def tax_approval() -> None:
    """Make the table of exemptions, and of tax ids that operators vouch for."""
    table(
        "tax_approval",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("code", KEY, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("valid_to", DAY),
        sa.Column("ended_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        refers("customer", "customer", "id"),
    )
    index("tax_approval", "book_id", "customer")


def location_evidence() -> None:
    """Make the table of what tells where customers are."""
    table(
        "location_evidence",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("reference", NAME, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        refers("customer", "customer", "id"),
    )
    index("location_evidence", "book_id", "customer", "kind", "id")


def tax_entry() -> None:
    """Make the table of the taxes on documents."""
    table(
        "tax_entry",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("invoice_id", ID, nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("jurisdiction", WORD, nullable=False),
        sa.Column("treatment", WORD, nullable=False),
        sa.Column("category", WORD, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("percent", WORD, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("issued_on", DAY, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "invoice_id", "place"),
        refers("invoice", "invoice_id", "id"),
        integers=("base", "amount"),
    )
    index("tax_entry", "book_id", "issued_on")


def tax_correction() -> None:
    """Make the table of documents whose tax rests on a tax id that was not verified."""
    table(
        "tax_correction",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("invoice_id", ID, nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("found_at", INSTANT),
        sa.Column("closed_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "invoice_id"),
        refers("invoice", "invoice_id", "id"),
    )
    index("tax_correction", "book_id", "number", "state")
    index("tax_correction", "book_id", "state", "id")
