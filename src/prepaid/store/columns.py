"""What tables are built of: column types that mean the same on every engine, and references within a book."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
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


def exact_text(length: int) -> TypeEngine[str]:
    """Give a text column that compares byte by byte, also at its end."""
    # Keys compare byte by byte on every engine; MariaDB would fold case and trailing blanks, and PostgreSQL would order
    # by the rules of the database's language, each comparison in an index included.
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_nopad_bin")
    return String(length).with_variant(exact, "mysql", "mariadb").with_variant(String(length, "C"), "postgresql")


MARIADB_TABLE: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_nopad_bin"}.items()
}
"""Said of every table, under both names of the dialect: the defaults of a server may be anything."""

ID = exact_text(32)
KEY = exact_text(191)
HASH = exact_text(64)
WORD = exact_text(32)
NAME = exact_text(254)
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
    "hold": ("amount", "captured"),
    "transfer": ("amount",),
    "grant": ("size", "remaining", "debt_paid", "gone"),
    "topup": ("credit", "bonus", "discount", "net", "tax", "total"),
    "payment": ("captured",),
    "topup_allowance": ("pending", "of_day"),
    "promotion": ("uses", "spent"),
    "promotion_customer": ("uses",),
    "redemption": ("bonus", "discount"),
    "voucher": ("amount",),
    "refund": ("amount", "credit", "clawback", "net", "tax"),
    "refund_request": ("amount",),
    "dispute": ("amount", "withdrawn", "credit", "clawback", "net", "tax"),
    "invoice": ("net", "tax", "total", "sequence"),
    "tax_entry": ("base", "amount"),
    "meter": ("residue",),
    "rollup": ("through", "mark"),
    "rollup_day": ("amount", "transfers"),
}
"""Columns that must be integers even on an engine that takes anything."""


ROOM = {"fillfactor": "45"}
"""Room for a new version of every row of a page, as a batch may change them all: PostgreSQL then updates in place."""


def table(name: str, *parts: Any, postgresql_with: dict[str, str] | None = None) -> Table:
    """Describe a table; on SQLite, whose columns take anything, with checks that money is an integer."""
    checks = [
        CheckConstraint(f"typeof({column}) = 'integer'", name=f"{column}_integer").ddl_if(dialect="sqlite")
        for column in MONEY_COLUMNS.get(name, ())
    ]
    options = MARIADB_TABLE if postgresql_with is None else {**MARIADB_TABLE, "postgresql_with": postgresql_with}
    made: Table = Table(PREFIX + name, metadata, *parts, *checks, **options)
    return made


def book_column(*, primary: bool = False) -> Column[int]:
    """Give the column of the book, which every row has."""
    return Column("book_id", Integer, nullable=False, primary_key=primary)


def to_book() -> ForeignKeyConstraint:
    """Refer to the row's book."""
    return ForeignKeyConstraint(["book_id"], [f"{PREFIX}book.id"])


def to(table: str, *columns: str, remote: tuple[str, ...]) -> ForeignKeyConstraint:
    """Refer to a row of the same book in another table."""
    return ForeignKeyConstraint(["book_id", *columns], [f"{PREFIX}{table}.{name}" for name in ("book_id", *remote)])
