"""The first schema's ledger: accounts, grants, holds, transfers.

Frozen as released, like the revision that makes them.
"""

from __future__ import annotations

import sqlalchemy as sa

from .building import CODE, HASH, ID, INSTANT, KEY, NAME, PROSE, SERIAL, WORD, index, refers, table

OPEN_IS_REMAINING = "(open in (1, 2) and remaining > 0) or (open = 0 and remaining = 0)"
WALLET_WHOLE = (
    "(wallet_id is null and wallet_seq is null and wallet_after is null) or "
    "(wallet_id in (debit_id, credit_id) and wallet_seq is not null and wallet_after is not null)"
)


def account() -> None:
    """Make the table of wallets and the book's own accounts."""
    table(
        "account",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("next_due_at", INSTANT, nullable=False),
        sa.Column("alert_at", sa.BigInteger()),
        sa.Column("told", sa.SmallInteger(), nullable=False),
        sa.Column("suspend_at", INSTANT),
        sa.Column("replayed_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "kind", "owner", "currency"),
        sa.CheckConstraint("held >= 0", name="held_not_negative"),
        sa.CheckConstraint("kind = 'wallet' or (balance = 0 and seq = 0)", name="only_wallets_have_balances"),
        refers("currency", "currency", "code"),
        integers=("balance", "held", "floor", "seq"),
        roomy=True,
    )
    index("account", "book_id", "next_due_at")
    index("account", "book_id", "suspend_at")


def grant() -> None:
    """Make the table of credit grants."""
    table(
        "grant",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("debt_paid", sa.BigInteger(), nullable=False),
        sa.Column("gone", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.SmallInteger(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("tax_state", WORD, nullable=False),
        sa.Column("source_topup", ID),
        sa.Column("cost_net_minor", sa.BigInteger(), nullable=False),
        sa.Column("cost_tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("effective_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("notice_at", INSTANT),
        sa.Column("key_hash", HASH),
        sa.Column("posting", PROSE),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "key_hash"),
        sa.CheckConstraint(OPEN_IS_REMAINING, name="open_is_remaining"),
        sa.CheckConstraint(
            "size > 0 and remaining >= 0 and remaining <= size and debt_paid >= 0 and gone >= 0", name="within_size"
        ),
        refers("account", "wallet_id", "id"),
        integers=("size", "remaining", "debt_paid", "gone"),
        roomy=True,
    )
    index("grant", "wallet_id", "open", "priority", "expires_at", "id")
    index("grant", "book_id", "open", "notice_at")
    index("grant", "book_id", "source_topup")


def hold() -> None:
    """Make the table of holds."""
    table(
        "hold",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("label", PROSE, nullable=False),
        sa.Column("key_hash", HASH, nullable=False),
        sa.Column("fingerprint", HASH, nullable=False),
        sa.Column("transaction_id", ID),
        sa.Column("dispute_id", ID),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "key_hash"),
        sa.CheckConstraint("amount > 0 and captured >= 0 and captured <= amount", name="within_amount"),
        refers("account", "wallet_id", "id"),
        integers=("amount", "captured"),
    )
    index("hold", "wallet_id", "state", "expires_at")


def transfer() -> None:
    """Make the table of transfers."""
    table(
        "transfer",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("transaction_id", ID, nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("debit_id", sa.BigInteger(), nullable=False),
        sa.Column("credit_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger()),
        sa.Column("wallet_seq", sa.BigInteger()),
        sa.Column("wallet_after", sa.BigInteger()),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("grant_id", ID),
        sa.Column("cause_type", WORD, nullable=False),
        sa.Column("cause_id", KEY, nullable=False),
        sa.Column("reverses", ID),
        sa.Column("key_hash", HASH, nullable=False),
        sa.Column("fingerprint", HASH, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("effective_at", INSTANT, nullable=False),
        sa.Column("posted_at", INSTANT, nullable=False),
        sa.Column("description", NAME),
        sa.Column("resource", KEY),
        sa.Column("resource_kind", KEY),
        sa.Column("project", KEY),
        sa.Column("period_start", INSTANT),
        sa.Column("period_end", INSTANT),
        sa.Column("charge_period_key", HASH),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "key_hash", "part"),
        sa.UniqueConstraint("wallet_id", "wallet_seq"),
        sa.CheckConstraint("amount > 0", name="amount_positive"),
        sa.CheckConstraint("debit_id <> credit_id", name="two_accounts"),
        sa.CheckConstraint(
            WALLET_WHOLE,
            name="wallet_whole",
        ),
        integers=("amount",),
    )
    index("transfer", "book_id", "posted_at")
    index("transfer", "book_id", "transaction_id")
    index("transfer", "book_id", "reverses", where="reverses IS NOT NULL")
    index("transfer", "book_id", "charge_period_key", where="charge_period_key IS NOT NULL", unique=True)
