"""Tables of top-ups and of what gateways say, part of the first schema."""

from __future__ import annotations

import sqlalchemy as sa

from prepaid.store.migrations.building import (
    CODE,
    DAY,
    HASH,
    ID,
    INSTANT,
    KEY,
    PROSE,
    SERIAL,
    WORD,
    index,
    refers,
    table,
)


def topup() -> None:
    """Make the table of top-ups."""
    table(
        "topup",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("bonus", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("profile_version", sa.Integer()),
        sa.Column("decision", PROSE, nullable=False),
        sa.Column("key_hash", HASH, nullable=False),
        sa.Column("fingerprint", HASH, nullable=False),
        sa.Column("gateway_key", KEY, nullable=False),
        sa.Column("request", PROSE, nullable=False),
        sa.Column("checkout_id", KEY),
        sa.Column("checkout", PROSE),
        sa.Column("failure", WORD, nullable=False),
        sa.Column("reserved", sa.SmallInteger(), nullable=False),
        sa.Column("confirmation", PROSE),
        sa.Column("further_of", ID),
        sa.Column("resolved", PROSE),
        sa.Column("invoice_id", ID),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("next_poll_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("settled_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "gateway", "checkout_id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "key_hash"),
        sa.CheckConstraint("credit > 0 and total >= 0 and net + tax = total", name="adds_up"),
        refers("customer", "customer", "id"),
        integers=("credit", "bonus", "discount", "net", "tax", "total"),
    )
    index("topup", "book_id", "customer", "id")
    index("topup", "book_id", "next_poll_at")
    index("topup", "book_id", "state")


def payment() -> None:
    """Make the table of the payments that settled top-ups."""
    table(
        "payment",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("topup_id", ID, nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("payment_id", KEY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("method", WORD, nullable=False),
        sa.Column("fee", sa.BigInteger()),
        sa.Column("fee_currency", CODE),
        sa.Column("posted_as", WORD, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "gateway", "payment_id"),
        sa.UniqueConstraint("book_id", "topup_id"),
        sa.CheckConstraint("captured > 0", name="captured_positive"),
        refers("topup", "topup_id", "id"),
        integers=("captured",),
    )


def topup_allowance() -> None:
    """Make the table of what a customer's open top-ups and those of a day come to."""
    table(
        "topup_allowance",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("day", DAY, nullable=False),
        sa.Column("of_day", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("book_id", "customer", "currency"),
        sa.CheckConstraint("pending >= 0 and of_day >= 0", name="counted"),
        refers("customer", "customer", "id"),
        integers=("pending", "of_day"),
    )


def refund() -> None:
    """Make the table of refunds at gateways."""
    table(
        "refund",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("topup_id", ID, nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("payment_id", KEY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("origin", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("clawback", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("is_of_credit", sa.SmallInteger(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("request_id", ID),
        sa.Column("gateway_key", KEY, nullable=False),
        sa.Column("gateway_refund_id", KEY),
        sa.Column("reference_hash", HASH),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("failure", WORD, nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("next_poll_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("settled_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "gateway", "gateway_refund_id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "reference_hash"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint(
            "credit >= 0 and clawback >= 0 and net >= 0 and tax >= 0 and net + tax <= amount", name="within_amount"
        ),
        refers("topup", "topup_id", "id"),
        integers=("amount", "credit", "clawback", "net", "tax"),
    )
    index("refund", "book_id", "next_poll_at")
    index("refund", "book_id", "topup_id")


def refund_request() -> None:
    """Make the table of refunds as customers ask for them."""
    table(
        "refund_request",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("subject_id", ID, nullable=False),
        sa.Column("open_subject", ID),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("approved", sa.BigInteger()),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("note", PROSE, nullable=False),
        sa.Column("confirmed_by", KEY, nullable=False),
        sa.Column("decided_by", KEY, nullable=False),
        sa.Column("refund_id", ID),
        sa.Column("transaction_id", ID),
        sa.Column("key_hash", HASH, nullable=False),
        sa.Column("fingerprint", HASH, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("decided_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "key_hash"),
        sa.UniqueConstraint("book_id", "open_subject"),
        sa.CheckConstraint("amount > 0 and (approved is null or approved > 0)", name="amounts_positive"),
        refers("customer", "customer", "id"),
        integers=("amount",),
    )
    index("refund_request", "book_id", "customer", "id")
    index("refund_request", "book_id", "refund_id")
    index("refund_request", "book_id", "subject_id")
    index("refund_request", "book_id", "state", "id")


def dispute() -> None:
    """Make the table of disputes."""
    table(
        "dispute",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("topup_id", ID, nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("dispute_id", KEY, nullable=False),
        sa.Column("payment_id", KEY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", WORD, nullable=False),
        sa.Column("booked", WORD, nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("lost_turn", sa.Integer()),
        sa.Column("withdrawn", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("clawback", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.BigInteger()),
        sa.Column("fee_currency", CODE),
        sa.Column("booked_fee", sa.BigInteger(), nullable=False),
        sa.Column("hold_id", ID),
        sa.Column("opened_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "gateway", "dispute_id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint(
            "credit >= 0 and clawback >= 0 and net >= 0 and tax >= 0 and net + tax <= withdrawn",
            name="within_withdrawn",
        ),
        refers("topup", "topup_id", "id"),
        integers=("amount", "withdrawn", "credit", "clawback", "net", "tax"),
    )
    index("dispute", "book_id", "booked", "id")
    index("dispute", "book_id", "topup_id")


def reconciliation() -> None:
    """Make the table of comparisons with gateways."""
    table(
        "reconciliation",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("report", PROSE, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        refers("book"),
    )


def webhook_event() -> None:
    """Make the table of verified webhooks."""
    table(
        "webhook_event",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("checkout_id", KEY),
        sa.Column("payment_id", KEY),
        sa.Column("reference", KEY),
        sa.Column("topup_id", ID),
        sa.Column("body_sha256", HASH, nullable=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("processed_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "gateway", "event_id"),
        refers("book"),
    )
    index("webhook_event", "book_id", "next_at")
