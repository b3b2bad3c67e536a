"""The common charge by as few statements as an engine needs; everything else is left to the portable path.

It covers a debit of a wallet on which nothing is due, whose floor, holds and
levels allow it with nothing to tell, and whose first grant in burn order alone
pays for it. Then, and only then, it writes what the portable path would write,
row for row; a test compares them. Otherwise it has written nothing.

Each engine's module holds its statements as text, because building them anew
for each charge costs more than the database takes to run them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, PoolProxiedConnection

from ..core.instants import to_micros
from ..core.money import Money

if TYPE_CHECKING:
    from .ledger import Header, Label

FastPath = Callable[[PoolProxiedConnection, dict[str, Any]], int | None]
"""Takes a pooled connection and the values; gives the balance after, or None with nothing written."""

MODULES: Final[dict[tuple[str, str], str]] = {
    ("postgresql", "psycopg"): "fast_postgresql",
    ("sqlite", "pysqlite"): "fast_sqlite",
    ("mysql", "pymysql"): "fast_mariadb",
    ("mariadb", "pymysql"): "fast_mariadb",
}
"""Who knows the statements of a dialect and driver; without an entry every charge takes the portable path."""

COLUMNS: Final = (
    "book_id, transaction_id, part, currency, debit_id, credit_id, amount, wallet_id, wallet_seq, wallet_after, "
    "grant_id, kind, cause_type, cause_id, key_hash, fingerprint, actor, effective_at, posted_at, description, "
    "resource, resource_kind, project, period_start, period_end, charge_period_key"
)
"""Of a transfer, in the order in which the statements give them."""

COVERED_BY: Final = ("amount", "posted_at", "book_id", "resource")
"""The values that `COVERED` asks for."""

COVERED: Final = (
    "balance >= {amount} AND balance - held >= floor + {amount} AND next_due_at > {posted_at} "
    "AND balance - {amount} >= alert_at AND NOT EXISTS (SELECT 1 FROM prepaid_resource_owner AS owned "
    "WHERE owned.book_id = {book_id} AND owned.resource = {resource} AND owned.biller <> 'prepaid')"
)
"""What a wallet must be like, and the resource not billed by another. The first condition keeps every difference
within 64 bits; a first grant that covers the amount implies it. Without levels that were worked out (NULL) there is
something to find out first."""


def path_of(engine: Engine) -> FastPath | None:
    """Give the fast path of an engine, or None if it has none with this driver."""
    name = MODULES.get((engine.dialect.name, engine.dialect.driver))
    if name is None:
        return None
    path: FastPath = import_module(f".{name}", __package__).debit
    return path


def values_of(book_id: int, customer: str, amount: Money, *, header: Header, label: Label, to: int) -> dict[str, Any]:
    """Give the values of a debit as the driver takes them, ``to`` being the account it is posted to."""
    start, end = label.period_start, label.period_end
    return {
        "book_id": book_id,
        "customer": customer,
        "currency": amount.currency,
        "amount": amount.units,
        "credit_id": to,
        "transaction_id": header.transaction_id,
        "kind": header.kind,
        "cause_type": header.cause_type,
        "cause_id": header.cause_id,
        "key_hash": header.key_hash,
        "fingerprint": header.fingerprint,
        "actor": header.actor,
        "effective_at": to_micros(header.effective_at),
        "posted_at": to_micros(header.posted_at),
        "description": label.description or None,
        "resource": label.resource,
        "resource_kind": label.resource_kind,
        "project": label.project,
        "period_start": None if start is None else to_micros(start),
        "period_end": None if end is None else to_micros(end),
        "charge_period_key": label.charge_period_key,
    }
