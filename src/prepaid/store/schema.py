"""Every table, once; the migrations are compared with it by a test.

All names carry the prefix ``prepaid_``; every row carries its book, and foreign
keys include it, so that nothing crosses from one seller or mode to another.
Money is ``BIGINT`` ledger units, an instant ``BIGINT`` microseconds: types that
mean the same on every engine. On SQLite, whose columns take anything, a CHECK
keeps money an integer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from ..core.instants import from_micros, to_micros

PREFIX = "prepaid_"


class Instant(TypeDecorator[datetime]):
    """An aware datetime as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """Store the instant's microseconds."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """Read the instant back, in UTC."""
        return None if value is None else from_micros(value)


def _text(length: int) -> TypeEngine[str]:
    # Keys compare byte by byte on every engine; MariaDB would fold case and trailing blanks.
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


ID = _text(32)
KEY = _text(191)
HASH = _text(64)
WORD = _text(32)
NAME = _text(254)
PROSE = Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
BINARY = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
SERIAL = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

MONEY_COLUMNS: dict[str, tuple[str, ...]] = {
    "account": ("balance", "held", "floor", "seq"),
    "transfer": ("amount",),
    "grant": ("size", "remaining", "debt_paid"),
    "topup": ("credit", "bonus", "discount", "net", "tax", "total"),
    "payment": ("captured",),
    "invoice": ("net", "tax", "total", "sequence"),
}
"""Columns that must be integers even on an engine that takes anything."""


def _table(name: str, *parts: Any) -> Table:
    checks = [
        CheckConstraint(f"typeof({column}) = 'integer'", name=f"{column}_integer").ddl_if(dialect="sqlite")
        for column in MONEY_COLUMNS.get(name, ())
    ]
    return Table(PREFIX + name, metadata, *parts, *checks, mysql_engine="InnoDB", mysql_charset="utf8mb4")


def _book(*, primary: bool = False) -> Column[int]:
    return Column("book_id", Integer, nullable=False, primary_key=primary)


def _to_book() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["book_id"], [f"{PREFIX}book.id"])


def _to(table: str, *columns: str, remote: tuple[str, ...]) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["book_id", *columns], [f"{PREFIX}{table}.{name}" for name in ("book_id", *remote)])


book = _table(
    "book",
    Column("id", Integer, primary_key=True),
    Column("name", KEY, nullable=False),
    Column("mode", WORD, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("name", "mode"),
)

currency = _table(
    "currency",
    _book(primary=True),
    Column("code", String(3), primary_key=True),
    Column("scale", SmallInteger, nullable=False),
    Column("minor_digits", SmallInteger, nullable=False),
    _to_book(),
)

customer = _table(
    "customer",
    _book(primary=True),
    Column("id", KEY, primary_key=True),
    Column("email", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("locale", WORD, nullable=False),
    Column("group_names", PROSE, nullable=False),
    Column("since", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    _to_book(),
)

tax_profile = _table(
    "tax_profile",
    _book(primary=True),
    Column("customer", KEY, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("content", PROSE, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("created_at", Instant, nullable=False),
    _to("customer", "customer", remote=("id",)),
)

account = _table(
    "account",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    _book(),
    Column("kind", WORD, nullable=False),
    Column("owner", KEY, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("replayed_at", Instant),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("book_id", "kind", "owner", "currency"),
    UniqueConstraint("book_id", "id"),
    CheckConstraint("held >= 0", name="held_not_negative"),
    CheckConstraint("kind = 'wallet' or (balance = 0 and seq = 0)", name="only_wallets_have_balances"),
    _to("currency", "currency", remote=("code",)),
)

topup = _table(
    "topup",
    Column("id", ID, primary_key=True),
    _book(),
    Column("customer", KEY, nullable=False),
    Column("state", WORD, nullable=False),
    Column("gateway", WORD, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("credit", BigInteger, nullable=False),
    Column("bonus", BigInteger, nullable=False),
    Column("discount", BigInteger, nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("profile_version", Integer),
    Column("decision", PROSE, nullable=False),
    Column("key_hash", HASH, nullable=False),
    Column("fingerprint", HASH, nullable=False),
    Column("gateway_key", KEY, nullable=False),
    Column("request", PROSE, nullable=False),
    Column("checkout_id", KEY),
    Column("checkout", PROSE),
    Column("failure", WORD, nullable=False),
    Column("invoice_id", ID),
    Column("polls", Integer, nullable=False),
    Column("next_poll_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("settled_at", Instant),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "key_hash"),
    UniqueConstraint("book_id", "gateway", "checkout_id"),
    Index(None, "book_id", "customer", "id"),
    Index(None, "book_id", "next_poll_at"),
    Index(None, "book_id", "state"),
    CheckConstraint("credit > 0 and total >= 0 and net + tax = total", name="adds_up"),
    _to("customer", "customer", remote=("id",)),
)

payment = _table(
    "payment",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    _book(),
    Column("topup_id", ID, nullable=False),
    Column("gateway", WORD, nullable=False),
    Column("payment_id", KEY, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("method", WORD, nullable=False),
    Column("fee", BigInteger),
    Column("fee_currency", String(3)),
    Column("posted_as", WORD, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("book_id", "gateway", "payment_id"),
    UniqueConstraint("book_id", "topup_id"),
    CheckConstraint("captured > 0", name="captured_positive"),
    _to("topup", "topup_id", remote=("id",)),
)

grant = _table(
    "grant",
    Column("id", ID, primary_key=True),
    _book(),
    Column("wallet_id", BigInteger, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("debt_paid", BigInteger, nullable=False),
    Column("open", SmallInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tax_state", WORD, nullable=False),
    Column("source_topup", ID),
    Column("cost_net_minor", BigInteger, nullable=False),
    Column("cost_tax_minor", BigInteger, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("book_id", "id"),
    Index(None, "wallet_id", "open", "priority", "expires_at", "id"),
    CheckConstraint("size > 0 and remaining >= 0 and remaining <= size and debt_paid >= 0", name="within_size"),
    # The flag, not a predicate on remaining, keeps ordinary burns out of the index (heap-only updates on PostgreSQL).
    CheckConstraint("(open = 1 and remaining > 0) or (open = 0 and remaining = 0)", name="open_is_remaining"),
    _to("account", "wallet_id", remote=("id",)),
)

transfer = _table(
    "transfer",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    _book(),
    Column("transaction_id", ID, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("debit_id", BigInteger, nullable=False),
    Column("credit_id", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("wallet_id", BigInteger),
    Column("wallet_seq", BigInteger),
    Column("wallet_after", BigInteger),
    Column("kind", WORD, nullable=False),
    Column("grant_id", ID),
    Column("cause_type", WORD, nullable=False),
    Column("cause_id", KEY, nullable=False),
    Column("reverses", ID),
    Column("key_hash", HASH, nullable=False),
    Column("fingerprint", HASH, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("posted_at", Instant, nullable=False),
    Column("description", NAME),
    Column("resource", KEY),
    Column("resource_kind", KEY),
    Column("project", KEY),
    Column("period_start", Instant),
    Column("period_end", Instant),
    Column("charge_period_key", HASH),
    UniqueConstraint("book_id", "key_hash", "part"),
    UniqueConstraint("wallet_id", "wallet_seq"),
    UniqueConstraint("book_id", "charge_period_key"),
    Index(None, "book_id", "posted_at"),
    Index(None, "book_id", "transaction_id"),
    CheckConstraint("amount > 0", name="amount_positive"),
    CheckConstraint("debit_id <> credit_id", name="two_accounts"),
    CheckConstraint(
        "(wallet_id is null and wallet_seq is null and wallet_after is null) or "
        "(wallet_id in (debit_id, credit_id) and wallet_seq is not null and wallet_after is not null)",
        name="wallet_whole",
    ),
    _to("account", "debit_id", remote=("id",)),
    _to("account", "credit_id", remote=("id",)),
    _to("grant", "grant_id", remote=("id",)),
)

webhook_event = _table(
    "webhook_event",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    _book(),
    Column("gateway", WORD, nullable=False),
    Column("event_id", KEY, nullable=False),
    Column("type", KEY, nullable=False),
    Column("topup_id", ID),
    Column("body_sha256", HASH, nullable=False),
    Column("outcome", WORD, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("processed_at", Instant),
    UniqueConstraint("book_id", "gateway", "event_id"),
    _to_book(),
)

tax_rule = _table(
    "tax_rule",
    Column("id", ID, primary_key=True),
    _book(),
    Column("country", String(2), nullable=False),
    Column("content", PROSE, nullable=False),
    Column("retired_at", Instant),
    Column("created_at", Instant, nullable=False),
    Index(None, "book_id", "country"),
    _to_book(),
)

meter = _table(
    "meter",
    Column("id", ID, primary_key=True),
    _book(),
    Column("resource", KEY, nullable=False),
    # The resource again while it runs, NULL after: one running meter per resource, by a unique key.
    Column("running", KEY),
    Column("customer", KEY, nullable=False),
    Column("kind", KEY, nullable=False),
    Column("project", KEY, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("billed_hours", Integer, nullable=False),
    Column("due_at", Instant),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "running"),
    UniqueConstraint("book_id", "resource", "started_at"),
    Index(None, "book_id", "due_at"),
    Index(None, "book_id", "customer"),
    _to("customer", "customer", remote=("id",)),
)

meter_segment = _table(
    "meter_segment",
    _book(primary=True),
    Column("meter_id", ID, primary_key=True),
    Column("starts_at", Instant, primary_key=True, autoincrement=False),
    Column("ends_at", Instant),
    Column("rate", WORD, nullable=False),
    _to("meter", "meter_id", remote=("id",)),
)

invoice_series = _table(
    "invoice_series",
    _book(primary=True),
    Column("kind", WORD, primary_key=True),
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("last_on", String(10), nullable=False),
    _to_book(),
)

invoice = _table(
    "invoice",
    Column("id", ID, primary_key=True),
    _book(),
    Column("kind", WORD, nullable=False),
    Column("year", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("number", WORD, nullable=False),
    Column("customer", KEY, nullable=False),
    Column("topup_id", ID, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("issued_on", String(10), nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("snapshot", PROSE, nullable=False),
    Column("sha256", HASH, nullable=False),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "number"),
    UniqueConstraint("book_id", "kind", "year", "sequence"),
    Index(None, "book_id", "customer", "id"),
    Index(None, "book_id", "topup_id"),
    CheckConstraint("net + tax = total", name="adds_up"),
    _to("topup", "topup_id", remote=("id",)),
)

document_file = _table(
    "document_file",
    _book(primary=True),
    Column("invoice_id", ID, primary_key=True),
    Column("media_type", WORD, primary_key=True),
    Column("content", BINARY, nullable=False),
    Column("sha256", HASH, nullable=False),
    Column("renderer", KEY, nullable=False),
    Column("created_at", Instant, nullable=False),
    _to("invoice", "invoice_id", remote=("id",)),
)

outbox = _table(
    "outbox",
    Column("id", ID, primary_key=True),
    _book(),
    Column("topic", WORD, nullable=False),
    Column("dedupe_key", KEY, nullable=False),
    Column("payload", PROSE, nullable=False),
    Column("state", WORD, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("progress", PROSE, nullable=False),
    Column("last_error", NAME, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("done_at", Instant),
    UniqueConstraint("book_id", "topic", "dedupe_key"),
    Index(None, "book_id", "state", "next_at"),
    _to_book(),
)

audit = _table(
    "audit",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    _book(),
    Column("at", Instant, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("action", WORD, nullable=False),
    Column("target", KEY, nullable=False),
    Column("reason", PROSE, nullable=False),
    Column("state_before", PROSE, nullable=False),
    Column("state_after", PROSE, nullable=False),
    Index(None, "book_id", "at"),
    _to_book(),
)

job_lease = _table(
    "job_lease",
    _book(primary=True),
    Column("name", WORD, primary_key=True),
    Column("holder", KEY, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("finished_at", Instant),
    _to_book(),
)

setting = _table(
    "setting",
    _book(primary=True),
    Column("name", WORD, primary_key=True),
    Column("value", PROSE, nullable=False),
    Column("updated_at", Instant, nullable=False),
    _to_book(),
)

APPEND_ONLY: tuple[str, ...] = tuple(
    PREFIX + name for name in ("transfer", "audit", "invoice", "document_file", "tax_profile")
)
"""Tables whose rows triggers keep from being changed or removed."""
