"""The tables of promotions, their redemptions, and vouchers; `prepaid.store.schema` has them among the others."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, SmallInteger, String, UniqueConstraint

from .columns import HASH, ID, KEY, PROSE, WORD, Instant, book_column, table, to, to_book

promotion = table(
    "promotion",
    Column("id", ID, primary_key=True),
    book_column(),
    # The one identity of its code, however it is typed; the code as its operator wrote it stands in the content.
    Column("code", KEY, nullable=False),
    Column("content", PROSE, nullable=False),
    Column("uses_total", BigInteger),
    Column("uses", BigInteger, nullable=False),
    # In ledger units of its currency; what is spent of it is counted in that alone.
    Column("currency", String(3)),
    Column("budget", BigInteger),
    Column("spent", BigInteger, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "code"),
    CheckConstraint("uses >= 0 and (uses_total is null or uses <= uses_total)", name="within_uses"),
    CheckConstraint("spent >= 0 and (budget is null or spent <= budget)", name="within_budget"),
    to_book(),
)

promotion_customer = table(
    "promotion_customer",
    book_column(primary=True),
    Column("promotion_id", ID, primary_key=True),
    Column("customer", KEY, primary_key=True),
    Column("uses", BigInteger, nullable=False),
    CheckConstraint("uses >= 0", name="counted"),
    to("promotion", "promotion_id", remote=("id",)),
)

redemption = table(
    "redemption",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("promotion_id", ID, nullable=False),
    Column("customer", KEY, nullable=False),
    Column("topup_id", ID, nullable=False),
    Column("code", KEY, nullable=False),
    Column("state", WORD, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("bonus", BigInteger, nullable=False),
    Column("discount", BigInteger, nullable=False),
    # 1 if only a first top-up may have it.
    Column("first_only", SmallInteger, nullable=False),
    # The rule as it was when the top-up was started.
    Column("terms", PROSE, nullable=False),
    Column("reserved_at", Instant, nullable=False),
    Column("lapses_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("reason", WORD, nullable=False),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "topup_id"),
    Index(None, "book_id", "promotion_id", "id"),
    Index(None, "book_id", "customer", "promotion_id"),
    Index(None, "book_id", "state", "lapses_at"),
    CheckConstraint("bonus >= 0 and discount >= 0 and bonus + discount > 0", name="gives"),
    to("promotion", "promotion_id", remote=("id",)),
    to("topup", "topup_id", remote=("id",)),
)

code_attempt = table(
    "code_attempt",
    book_column(primary=True),
    Column("customer", KEY, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("misses", Integer, nullable=False),
    # Hashes of what was counted: the same once more tells a guesser nothing new.
    Column("tried", PROSE, nullable=False),
    to("customer", "customer", remote=("id",)),
)

voucher = table(
    "voucher",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("batch", ID, nullable=False),
    # Of the code's identity: who reads the database cannot redeem.
    Column("code_hash", HASH, nullable=False),
    Column("ending", WORD, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at", Instant),
    # How long its credit lasts once redeemed, in seconds; without end if null.
    Column("credit_valid_s", BigInteger),
    Column("actor", KEY, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("redeemed_by", KEY),
    Column("redeemed_at", Instant),
    Column("transaction_id", ID),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "code_hash"),
    Index(None, "book_id", "batch", "id"),
    CheckConstraint("amount > 0", name="amount_positive"),
    to_book(),
)
