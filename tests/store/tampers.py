"""Tampers: one row of a book changed, removed or doubled by somebody whom nothing holds back.

What a tamper may pick is what `check` claims to prove. Left out is what no other
row repeats, so that the book after it is as good as the book before: top-ups that
nobody paid, holds that ended without a capture, accounts that nothing was posted
to, and of every table the columns that the page about `check` lists.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
import pymysql

REFUSALS = (
    sqlite3.IntegrityError,
    psycopg.IntegrityError,
    psycopg.DataError,
    pymysql.IntegrityError,
    pymysql.DataError,
)

Row = dict[str, Any]

MONEY = {
    "account": ("balance", "held", "floor", "seq"),
    "transfer": ("amount", "wallet_after"),
    "grant": ("size", "remaining", "debt_paid", "cost_net_minor", "cost_tax_minor"),
    "hold": ("amount", "captured"),
    "topup": ("credit", "bonus", "discount", "net", "tax", "total"),
    "payment": ("captured",),
    "invoice": ("net", "tax", "total", "sequence"),
    "voucher": ("amount", "redeemed_at", "ended_at", "credit_valid_s"),
    "refund": ("amount", "credit", "clawback", "net", "tax"),
    "refund_request": ("amount",),
    "dispute": ("withdrawn", "credit", "clawback", "net", "tax", "turn"),
}


class Tamper(NamedTuple):
    """One row of a table: with other values, gone (no values), or a copy with other values (no id)."""

    table: str
    id: object
    values: Row | None
    copied: Row | None = None

    def __str__(self) -> str:
        what = "removed" if self.values is None else "doubled with" if self.copied else "given"
        return f"{self.table} {self.id} {what} {self.values or ''}"


class Refused(Exception):
    """The database itself refused the change: a unique key, or a number out of range."""


class Tables:
    """The rows of one book, read and changed past the library."""

    def __init__(self, intruder, book: int, dialect: str) -> None:
        self._intruder, self._book = intruder, book
        self._mark = "?" if dialect == "sqlite" else "%s"
        self._quote = "`" if dialect == "mariadb" else '"'

    def rows(self, table: str, wanted: Callable[[Row], bool] = lambda row: True) -> list[Row]:
        """Read a table."""
        cursor = self._intruder.execute(
            f"SELECT * FROM prepaid_{table} WHERE book_id = {self._mark} ORDER BY id", (self._book,)
        )
        names = [column[0] for column in cursor.description]
        return [row for row in (dict(zip(names, values, strict=True)) for values in cursor.fetchall()) if wanted(row)]

    def _run(self, statement: str, values: list[object]) -> None:
        assert self._intruder.execute(statement, tuple(values)).rowcount == 1, (statement, values)

    def _update(self, table: str, row_id: object, values: Row) -> None:
        assigned = ", ".join(f"{self._quote}{name}{self._quote} = {self._mark}" for name in values)
        self._run(f"UPDATE prepaid_{table} SET {assigned} WHERE id = {self._mark}", [*values.values(), row_id])

    def _delete(self, table: str, row_id: object) -> None:
        self._run(f"DELETE FROM prepaid_{table} WHERE id = {self._mark}", [row_id])

    def _insert(self, table: str, row: Row) -> None:
        names = ", ".join(f"{self._quote}{name}{self._quote}" for name in row)
        marks = ", ".join([self._mark] * len(row))
        self._run(f"INSERT INTO prepaid_{table} ({names}) VALUES ({marks})", list(row.values()))

    @contextmanager
    def tampered(self, tamper: Tamper):
        """Do it, and put it right again."""
        [before] = self.rows(tamper.table, lambda row: row["id"] == tamper.id)
        try:
            self._do(tamper)
        except REFUSALS as refusal:
            self._intruder.rollback()
            raise Refused(str(refusal)) from refusal
        self._intruder.commit()
        try:
            yield
        finally:
            self._undo(tamper, before)
            self._intruder.commit()

    def _do(self, tamper: Tamper) -> None:
        if tamper.values is None:
            self._delete(tamper.table, tamper.id)
        elif tamper.copied is not None:
            self._insert(tamper.table, tamper.copied | tamper.values)
        else:
            self._update(tamper.table, tamper.id, tamper.values)

    def _undo(self, tamper: Tamper, before: Row) -> None:
        if tamper.values is None:
            self._insert(tamper.table, before)
        elif tamper.copied is not None:
            self._delete(tamper.table, tamper.values["id"])
        else:
            self._update(tamper.table, tamper.id, {name: before[name] for name in tamper.values})


def is_proved(table: str, used: set[int]) -> Callable[[Row], bool]:
    """Tell which rows of a table others repeat."""
    match table:
        case "account":
            return lambda row: row["id"] in used
        case "hold":
            return lambda row: row["state"] in ("open", "captured")
        case "topup":
            return lambda row: row["state"] in ("credited", "review")
        case _:
            return lambda row: True


def _pick(tables: Tables, chance: random.Random, table: str, wanted: Callable[[Row], bool] = lambda row: True) -> Row:
    used = {row[side] for row in tables.rows("transfer") for side in ("debit_id", "credit_id")}
    proved = is_proved(table, used)
    found = tables.rows(table, lambda row: proved(row) and wanted(row))
    if not found:
        raise LookupError(table)
    return chance.choice(found)


def _figure(tables: Tables, chance: random.Random, wanted: Callable[[int], bool] = lambda value: True):
    table = chance.choice(list(MONEY))
    column = chance.choice(MONEY[table])
    row = _pick(tables, chance, table, lambda row: row[column] is not None and wanted(row[column]))
    return table, column, row


def amount(tables: Tables, chance: random.Random) -> Tamper:
    table, column, row = _figure(tables, chance)
    more = chance.choice((1, -1, 10**6, -(10**6), chance.randint(1, 10**9), 2**63 - 1 - abs(row[column])))
    return Tamper(table, row["id"], {column: row[column] + more})


def sign(tables: Tables, chance: random.Random) -> Tamper:
    table, column, row = _figure(tables, chance, lambda value: value != 0)
    return Tamper(table, row["id"], {column: -row[column]})


def wallet(tables: Tables, chance: random.Random) -> Tamper:
    table = chance.choice(("transfer", "transfer", "grant", "hold"))
    row = _pick(tables, chance, table, lambda row: row["wallet_id"] is not None)
    others = [other["id"] for other in tables.rows("account") if other["kind"] == "wallet"]
    other = chance.choice([each for each in others if each != row["wallet_id"]])
    if table != "transfer":
        return Tamper(table, row["id"], {"wallet_id": other})
    side = "debit_id" if row["debit_id"] == row["wallet_id"] else "credit_id"
    place = {"wallet_seq": 10**6}  # its own is taken in the other wallet, as a rule
    changes = ({side: other}, {"wallet_id": other} | place, {side: other, "wallet_id": other} | place)
    return Tamper("transfer", row["id"], chance.choice(changes))


def delete(tables: Tables, chance: random.Random) -> Tamper:
    table = chance.choice(
        ("transfer", "transfer", "grant", "hold", "topup", "payment", "invoice", "account", "voucher")
    )
    return Tamper(table, _pick(tables, chance, table)["id"], None)


def duplicate(tables: Tables, chance: random.Random) -> Tamper:
    table = chance.choice(("transfer", "transfer", "grant", "hold", "invoice", "voucher"))
    row = _pick(tables, chance, table, lambda row: table != "hold" or row["state"] == "open")
    taken = max(each["id"] for each in tables.rows(table))
    new: Row = {"id": taken + 1 if isinstance(taken, int) else f"{row['id'][:-4]}zzzz"}
    other_key = f"{chance.getrandbits(128):032x}"
    match table:
        case "transfer":
            new |= chance.choice(({"key_hash": other_key}, {"part": row["part"] + chance.randint(50, 60)}))
            new |= {"charge_period_key": None}
            if row["wallet_seq"] is not None:
                new |= {"wallet_seq": 1 + max(each["wallet_seq"] or 0 for each in tables.rows("transfer"))}
        case "grant" | "hold":
            new |= {} if row["key_hash"] is None else {"key_hash": other_key}
        case "voucher":
            new |= {"code_hash": other_key}
        case "invoice":
            new |= {"sequence": row["sequence"] + 1000, "number": f"{row['number']}9"}
    return Tamper(table, row["id"], new, copied=row)


def order(tables: Tables, chance: random.Random) -> Tamper:
    row = _pick(tables, chance, "transfer", lambda row: row["wallet_seq"] is not None)
    last = max(each["wallet_seq"] or 0 for each in tables.rows("transfer"))
    new = chance.choice(({"wallet_seq": 0}, {"wallet_seq": last + chance.randint(1, 9)}, {"part": row["part"] + 40}))
    return Tamper("transfer", row["id"], new)


def currency(tables: Tables, chance: random.Random) -> Tamper:
    table = chance.choice(("transfer", "transfer", "topup", "payment", "invoice", "account"))
    row = _pick(tables, chance, table)
    other = chance.choice([code for code in ("EUR", "USD", "JPY", "XXX") if code != row["currency"]])
    return Tamper(table, row["id"], {"currency": other})


def balance(tables: Tables, chance: random.Random) -> Tamper:
    if chance.random() < 0.3:
        row = _pick(tables, chance, "transfer", lambda row: row["wallet_after"] is not None)
        return Tamper("transfer", row["id"], {"wallet_after": row["wallet_after"] + chance.choice((1, -1, 10**9))})
    row = _pick(tables, chance, "account", lambda row: row["kind"] == "wallet")
    column = chance.choice(("balance", "held", "seq", "floor"))
    return Tamper("account", row["id"], {column: row[column] + chance.choice((1, -1, 10**9))})


def grant(tables: Tables, chance: random.Random) -> Tamper:
    if chance.random() < 0.5:
        row = _pick(tables, chance, "transfer", lambda row: row["wallet_id"] is not None)
        ids = [each["id"] for each in tables.rows("grant")]
        other = chance.choice([each for each in (*ids, None, "grt_none") if each != row["grant_id"]])
        return Tamper("transfer", row["id"], {"grant_id": other})
    row = _pick(tables, chance, "grant")
    column = chance.choice(("remaining", "debt_paid", "size", "open", "kind", "key_hash", "source_topup", "wallet_id"))
    texts = {"kind": "voucher", "key_hash": "f" * 32, "source_topup": "top_none"}
    new = texts[column] if column in texts else (row[column] + 1) % 3 if column == "open" else row[column] + 1
    return Tamper("grant", row["id"], {column: new})


def real_or_text(tables: Tables, chance: random.Random) -> Tamper:
    table, column, row = _figure(tables, chance)
    return Tamper(
        table, row["id"], {column: chance.choice((row[column] + 0.5, "much", f"{row[column]} or so", b"\x00"))}
    )


KINDS = (amount, sign, wallet, delete, duplicate, order, currency, balance, grant)
ON_SQLITE = (*KINDS, real_or_text)
"""Servers refuse what is no number in a column of numbers."""


def any_tamper(tables: Tables, chance: random.Random, kinds=KINDS) -> Tamper:
    """Draw one; every kind as often as any other."""
    kind = chance.choice(kinds)
    for _ in range(20):  # a kind may pick a table in which nothing of its sort is left
        try:
            return kind(tables, chance)
        except LookupError:
            continue
    raise LookupError(kind.__name__)
