"""Tables of promotions, vouchers and identity verification, part of the first schema."""

from __future__ import annotations

import sqlalchemy as sa

from prepaid.store.migrations.building import CODE, HASH, ID, INSTANT, KEY, PROSE, WORD, index, refers, table


def promotion() -> None:
    """Make the table of promotions."""
    table(
        "promotion",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("code", KEY, nullable=False),
        sa.Column("content", PROSE, nullable=False),
        sa.Column("uses_total", sa.BigInteger()),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.Column("currency", CODE),
        sa.Column("budget", sa.BigInteger()),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "code"),
        sa.UniqueConstraint("book_id", "id"),
        sa.CheckConstraint("uses >= 0 and (uses_total is null or uses <= uses_total)", name="within_uses"),
        sa.CheckConstraint("spent >= 0 and (budget is null or spent <= budget)", name="within_budget"),
        refers("book"),
        integers=("uses", "spent"),
    )


def promotion_customer() -> None:
    """Make the table of what customers used of promotions."""
    table(
        "promotion_customer",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("promotion_id", ID, nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("book_id", "promotion_id", "customer"),
        sa.CheckConstraint("uses >= 0", name="counted"),
        refers("promotion", "promotion_id", "id"),
        integers=("uses",),
    )


def redemption() -> None:
    """Make the table of top-ups that a promotion was, or is to be, redeemed with."""
    table(
        "redemption",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("promotion_id", ID, nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("topup_id", ID, nullable=False),
        sa.Column("code", KEY, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("bonus", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.BigInteger(), nullable=False),
        sa.Column("first_only", sa.SmallInteger(), nullable=False),
        sa.Column("terms", PROSE, nullable=False),
        sa.Column("reserved_at", INSTANT, nullable=False),
        sa.Column("lapses_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT),
        sa.Column("reason", WORD, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "topup_id"),
        sa.CheckConstraint("bonus >= 0 and discount >= 0 and bonus + discount > 0", name="gives"),
        refers("promotion", "promotion_id", "id"),
        refers("topup", "topup_id", "id"),
        integers=("bonus", "discount"),
    )
    index("redemption", "book_id", "promotion_id", "id")
    index("redemption", "book_id", "customer", "promotion_id")
    index("redemption", "book_id", "state", "lapses_at")


def code_attempt() -> None:
    """Make the table of codes that customers tried in vain."""
    table(
        "code_attempt",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("misses", sa.Integer(), nullable=False),
        sa.Column("tried", PROSE, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "customer"),
        refers("customer", "customer", "id"),
    )


def voucher() -> None:
    """Make the table of vouchers."""
    table(
        "voucher",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("batch", ID, nullable=False),
        sa.Column("code_hash", HASH, nullable=False),
        sa.Column("ending", WORD, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", INSTANT),
        sa.Column("credit_valid_s", sa.BigInteger()),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("redeemed_by", KEY),
        sa.Column("redeemed_at", INSTANT),
        sa.Column("transaction_id", ID),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "code_hash"),
        sa.UniqueConstraint("book_id", "id"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        refers("book"),
        integers=("amount",),
    )
    index("voucher", "book_id", "batch", "id")


def identity() -> None:
    """Make the table of verified customers."""
    table(
        "identity",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("case_id", ID, nullable=False),
        sa.Column("verified_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
        sa.PrimaryKeyConstraint("book_id", "customer"),
        refers("customer", "customer", "id"),
    )


def identity_case() -> None:
    """Make the table of attempts to verify customers."""
    table(
        "identity_case",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("open_for", KEY),
        sa.Column("provider", WORD, nullable=False),
        sa.Column("reference", KEY),
        sa.Column("state", WORD, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("return_url", PROSE, nullable=False),
        sa.Column("submission", KEY, nullable=False),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("next_look_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("submitted_at", INSTANT),
        sa.Column("decided_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "open_for"),
        sa.UniqueConstraint("book_id", "provider", "reference"),
        refers("customer", "customer", "id"),
    )
    index("identity_case", "book_id", "customer", "id")
    index("identity_case", "book_id", "state", "id")
    index("identity_case", "book_id", "next_look_at")
