"""Tables of sums over transfers by day, part of `prepaid.store.schema`."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, String

from .columns import KEY, NAME, WORD, Instant, book_column, table, to, to_book

rollup = table(
    "rollup",
    book_column(primary=True),
    Column("zone", NAME, nullable=False),
    # The sums hold every transfer of the book up to this row number, and no other.
    Column("through", BigInteger, nullable=False),
    # The row number up to which they are to be made; nothing up to it is still on its way.
    Column("mark", BigInteger, nullable=False),
    # When that was reached last and the mark was set; NULL while they are made for the first time.
    Column("made_at", Instant),
    CheckConstraint("through >= 0 and through <= mark", name="in_order"),
    to_book(),
)

rollup_day = table(
    "rollup_day",
    book_column(primary=True),
    # Of the zone that the row of `rollup` names.
    Column("day", String(10), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("debit_kind", WORD, primary_key=True),
    Column("debit_owner", KEY, primary_key=True),
    Column("credit_kind", WORD, primary_key=True),
    Column("credit_owner", KEY, primary_key=True),
    Column("kind", WORD, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("transfers", BigInteger, nullable=False),
    CheckConstraint("amount > 0 and transfers > 0", name="above_zero"),
    to("currency", "currency", remote=("code",)),
)
