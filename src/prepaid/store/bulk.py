"""Many wallets, grants and transfers by a few statements, inside a transaction that the caller opened.

The same questions and changes as in `accounts`, `grants` and `ledger`, for ten
thousand rows at once. How rows are written best is the engine's own; a module
for each knows it, and `BY_ROWS` serves every other driver. Rows are in the order of
`TRANSFER`, values as the driver takes them: instants are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from importlib import import_module
from itertools import repeat, tee
from operator import add
from typing import Any, Final, NamedTuple

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    String,
    any_,
    bindparam,
    case,
    column,
    func,
    insert,
    select,
    table,
    type_coerce,
    update,
)

from ..core.batches import GrantChange, Part, WalletChange
from ..core.grants import OpenGrant
from ..core.instants import to_micros
from ..core.records import record
from ..core.transfers import AccountRef
from . import accounts, arrays, fast, schema
from .accounts import WALLET, Wallet
from .database import BookDatabase, Tx
from .engines import Duplicate
from .grants import BURN_ORDER, OPEN, USED_UP
from .ledger import Header, Label, Posted
from .meters import COUNTED, COUNTING
from .servers import is_mariadb

_account = schema.account
_customer = schema.customer
_grant = schema.grant
_meter = schema.meter
_transfer = schema.transfer

_ROWS_A_STATEMENT: Final = 1000

TRANSFER: Final = tuple(fast.COLUMNS.split(", "))
"""Columns of a transfer, in the order of a row."""


TransferRow = tuple[Any, ...]
"""Values of a transfer as the driver takes them, in the order of `TRANSFER`."""


class TransferRows(NamedTuple):
    """Transfers to write: the names of what their rows give, and the rows."""

    columns: Sequence[str]
    rows: Iterable[TransferRow]


class HeldWallet(NamedTuple):
    """A wallet that the transaction holds: amounts in ledger units, instants in microseconds."""

    id: int
    owner: str
    currency: str
    balance: int
    held: int
    floor: int
    seq: int
    next_due_at: int
    alert_at: int | None


FirstGrant = tuple[int, str, int]
"""Row id of a wallet, the grant of it that burns first, and what is left of that."""


class MeterChange(NamedTuple):
    """How far a meter is counted, and how far it was before; instants in microseconds, parts as the row has them."""

    id: str
    before: int
    until: int
    residue: int
    month: str
    month_cost: str
    due_at: int | None


@frozen
class Ways:
    """How an engine reads and writes many rows; what writes gives how many that were.

    Wallets are held by the names of their owners and of currencies, first grants read by row ids of held wallets.
    """

    hold_wallets: Callable[[Tx, Collection[str], Collection[str]], list[HeldWallet]]
    first_grants: Callable[[Tx, Collection[int]], Iterable[FirstGrant]]
    add_transfers: Callable[[Tx, TransferRows], int]
    lower_wallets: Callable[[Tx, Sequence[WalletChange]], int]
    lower_grants: Callable[[Tx, Sequence[GrantChange]], int]
    move_meters: Callable[[Tx, Sequence[MeterChange]], int]


MODULES: Final[dict[tuple[str, str], str]] = {
    ("postgresql", "psycopg"): "bulk_postgresql",
    ("sqlite", "pysqlite"): "bulk_sqlite",
    ("mysql", "pymysql"): "bulk_mariadb",
    ("mariadb", "pymysql"): "bulk_mariadb",
}
"""Who knows the best ways of a dialect and driver; without an entry rows are written one by one."""


def sends_while_making(database: BookDatabase) -> bool:
    """Tell whether transfers go to the server one by one, so that the next is made while it works on the last."""
    return database.dialect == "postgresql"


def ways_of(tx: Tx) -> Ways:
    """Give how many rows are read and written through the transaction's driver."""
    dialect = tx.connection.dialect
    name = MODULES.get((dialect.name, dialect.driver))
    found: Ways = BY_ROWS if name is None else import_module(f".{name}", __package__).WAYS
    return found


def among(tx: Tx, wanted: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Limit a column to many values by as few parameters as the engine can do with."""
    if tx.dialect == "postgresql":
        # An array: a list of parameters is planned for each length anew, and badly on a table that has grown.
        kind = arrays.TEXTS if isinstance(wanted.type, String) else arrays.NUMBERS
        within: ColumnElement[bool] = wanted == any_(bindparam(None, values, type_=kind))
        return within
    if tx.dialect == "sqlite":
        given = func.json_each(json.dumps(list(values))).table_valued("value")
        inside: ColumnElement[bool] = wanted.in_(select(given.c.value))
        return inside
    named: ColumnElement[bool] = wanted.in_(list(values))
    return named


_HELD = (
    _account.c.id,
    _account.c.owner,
    _account.c.currency,
    _account.c.balance,
    _account.c.held,
    _account.c.floor,
    _account.c.seq,
    type_coerce(_account.c.next_due_at, BigInteger),
    _account.c.alert_at,
)


def hold_wallets(tx: Tx, owners: Collection[str], currencies: Collection[str]) -> list[HeldWallet]:
    """Read the wallets of customers and keep their rows from others until the commit, locked in the order of their ids.

    Always in one order: two batches that lock in different orders would wait for each other.
    """
    return ways_of(tx).hold_wallets(tx, owners, sorted(currencies))


def _hold_wallets(tx: Tx, owners: Collection[str], currencies: Collection[str]) -> list[HeldWallet]:
    # Some engines lock in the order in which they find: by name first without a lock, then by id.
    by_name = select(_account.c.id).where(
        _account.c.book_id == tx.book_id,
        _account.c.kind == "wallet",
        among(tx, _account.c.owner, owners),
        _account.c.currency.in_(currencies),
    )
    return read_wallets(tx, sorted(tx.execute(tx.current(by_name)).scalars()))


def read_wallets(tx: Tx, ids: Collection[int]) -> list[HeldWallet]:
    """Read wallets by id, and keep their rows from others."""
    if not ids:
        return []
    wanted = select(*_HELD).where(_account.c.book_id == tx.book_id, among(tx, _account.c.id, ids))
    return [HeldWallet._make(row) for row in tx.execute(wanted.order_by(_account.c.id).with_for_update()).all()]


def whole_wallets(tx: Tx, ids: Collection[int]) -> list[Wallet]:
    """Read held wallets with all that is known of them, by id."""
    wanted = WALLET.where(_account.c.book_id == tx.book_id, among(tx, _account.c.id, ids))
    return [Wallet(*row) for row in tx.execute(wanted.order_by(_account.c.id))]


def first_grants(tx: Tx, wallet_ids: Collection[int]) -> dict[int, tuple[OpenGrant, ...]]:
    """Read of each held wallet the grant that burns first; nothing of a wallet without credit."""
    found = ways_of(tx).first_grants(tx, wallet_ids)
    return {wallet: (record(OpenGrant, (grant, left)),) for wallet, grant, left in found}


def _first_grants(tx: Tx, wallet_ids: Collection[int]) -> Iterable[FirstGrant]:
    return [(wallet, grants[0].id, grants[0].remaining) for wallet, grants in open_grants(tx, wallet_ids).items()]


def open_grants(tx: Tx, wallet_ids: Collection[int]) -> dict[int, tuple[OpenGrant, ...]]:
    """Read of each held wallet all grants with credit left, in burn order."""
    if not wallet_ids:
        return {}
    wanted = (
        select(_grant.c.wallet_id, _grant.c.id, _grant.c.remaining)
        .where(_grant.c.book_id == tx.book_id, among(tx, _grant.c.wallet_id, wallet_ids), _grant.c.open == OPEN)
        .order_by(_grant.c.wallet_id, *BURN_ORDER)
    )
    found: dict[int, tuple[OpenGrant, ...]] = {}
    for wallet, grant, left in tx.execute(_latest(tx, wanted)).all():
        found[wallet] = (*found.get(wallet, ()), OpenGrant(grant, left))
    return found


def _latest(tx: Tx, wanted: Any) -> Any:
    """Read what is there now: at other isolation levels MariaDB's plain reads are older than the locks.

    PostgreSQL refuses to lock a wallet that changed since such a read, and every
    change of a grant changes its wallet; SQLite has one writer.
    """
    return wanted.with_for_update() if is_mariadb(tx.dialect) else wanted


def find_posted(tx: Tx, keys: Collection[str]) -> dict[str, Posted]:
    """Find the transactions of many keys, each with the balance after its last wallet transfer."""
    columns = (_transfer.c.key_hash, _transfer.c.transaction_id, _transfer.c.fingerprint)
    wanted = (
        select(*columns, _transfer.c.wallet_id, _transfer.c.wallet_after)
        .where(
            _transfer.c.book_id == tx.book_id,
            among(tx, _transfer.c.key_hash, keys),
            _transfer.c.wallet_id.is_not(None),
        )
        .order_by(_transfer.c.part)
    )
    return {key: Posted(*rest) for key, *rest in tx.execute(tx.current(wanted))}


def charged_periods(tx: Tx, periods: Collection[str]) -> set[str]:
    """Find which of many periods are charged."""
    if not periods:
        return set()
    wanted = select(_transfer.c.charge_period_key).where(
        _transfer.c.book_id == tx.book_id, among(tx, _transfer.c.charge_period_key, periods)
    )
    return set(tx.execute(tx.current(wanted)).scalars())


def mark_replayed(tx: Tx, wallet_ids: Collection[int], now: datetime) -> None:
    """Write durably that keys of wallets were asked for again; see `ledger.mark_replayed`."""
    statement = update(_account).where(_account.c.book_id == tx.book_id, among(tx, _account.c.id, wallet_ids))
    tx.execute(statement.values(replayed_at=now))


def without_wallet(tx: Tx, names: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Find which of many wallets, each named by its customer and currency, are not open."""
    owners = {owner for owner, _ in names}
    found = select(_account.c.owner, _account.c.currency).where(
        _account.c.book_id == tx.book_id, _account.c.kind == "wallet", among(tx, _account.c.owner, owners)
    )
    return set(names) - {(owner, currency) for owner, currency in tx.execute(found)}


def open_wallets(database: BookDatabase, names: Collection[tuple[str, str]], now: datetime) -> None:
    """Open many wallets, in transactions of their own.

    Raises:
        ConfigurationError: The book keeps a currency at another scale.
    """
    for currency in sorted({currency for _, currency in names}):
        accounts.ensure_currency(database, currency)
    for some in _slices(sorted(names)):
        try:
            database.write(lambda tx: _add_wallets(tx, some, now))  # noqa: B023 - called at once
        except Duplicate:  # somebody else opened one of them meanwhile
            for owner, currency in some:
                accounts.ensure_wallet(database, owner, currency, now)


def _slices(names: Sequence[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    return (names[start : start + _ROWS_A_STATEMENT] for start in range(0, len(names), _ROWS_A_STATEMENT))


def _add_wallets(tx: Tx, names: Iterable[tuple[str, str]], now: datetime) -> None:
    new = [accounts.new_account(AccountRef("wallet", owner), currency, now) for owner, currency in names]
    tx.execute(insert(_account).values([{"book_id": tx.book_id, **row} for row in new]))


def registered(tx: Tx, customers: Collection[str]) -> set[str]:
    """Find which of many customers are registered."""
    wanted = select(_customer.c.id).where(_customer.c.book_id == tx.book_id, among(tx, _customer.c.id, customers))
    return set(tx.execute(wanted).scalars())


Debited = tuple[Header, Label, str, int, int, Sequence[Part]]
"""A debit to write: header, label, currency, row ids of its wallet and of the account it is posted to, parts."""


def rows_of(book_id: int, debits: Iterable[Debited], of_resources: bool) -> TransferRows:
    """Give the transfers of debits, one for each part; the first carries the label, as `ledger.add_transfers` does.

    ``debits`` are gone over as rows are taken. What only usage of a resource has is left out if no debit has it.
    """
    if not of_resources:
        return TransferRows(TRANSFER[: -len(_OF_NO_RESOURCE)], _rows(book_id, debits))
    debits, labelled = tee(debits)
    return TransferRows(TRANSFER, map(add, _rows(book_id, debits), _resources(labelled)))


_OF_NO_RESOURCE: Final[TransferRow] = tuple(Label()[1:])


def _rows(book_id: int, debits: Iterable[Debited]) -> Iterator[TransferRow]:
    micros = _Micros()
    for header, label, currency, wallet, to, parts in debits:
        transaction, kind, cause_type, cause, key, content, actor, effective, posted, _ = header
        begun, made, text = micros[effective], micros[posted], label[0] or None
        for number, (grant, amount, seq, after) in enumerate(parts):
            # fmt: off
            yield (
                book_id, transaction, number, currency, wallet, to, amount, wallet, seq, after, grant,
                kind, cause_type, cause, key, content, actor, begun, made, None if number else text,
            )
            # fmt: on


def _resources(debits: Iterable[Debited]) -> Iterator[TransferRow]:
    """Give what follows in the rows of debits for usage of a resource."""
    micros = _Micros()
    for _, (_, resource, sort, project, start, end, period), *_, parts in debits:
        yield resource, sort, project, micros[start], micros[end], period
        yield from repeat(_OF_NO_RESOURCE, len(parts) - 1)


class _Micros(dict[datetime | None, int | None]):
    """Instants as microseconds: those of a batch are nearly all the same few."""

    def __missing__(self, instant: datetime | None) -> int | None:
        self[instant] = found = None if instant is None else to_micros(instant)
        return found


def _add_transfers(tx: Tx, new: TransferRows) -> int:
    # Without types: the values are as the driver takes them.
    plain = insert(table(_transfer.name, *map(column, new.columns)))
    rows = [dict(zip(new.columns, row, strict=True)) for row in new.rows]
    return tx.execute(plain, rows).rowcount if rows else 0


_LOWER_WALLET = (
    update(_account)
    .where(
        _account.c.book_id == bindparam("in_book"),
        _account.c.id == bindparam("wallet"),
        _account.c.seq == bindparam("before"),
    )
    .values(balance=_account.c.balance - bindparam("taken"), seq=_account.c.seq + bindparam("numbers"))
)

_LOWER_GRANT = (
    update(_grant)
    .where(
        _grant.c.book_id == bindparam("in_book"),
        _grant.c.id == bindparam("which"),
        _grant.c.remaining == bindparam("before"),
    )
    # ``open`` first: MariaDB evaluates assignments from left to right with the new values.
    .ordered_values(
        (_grant.c.open, case((_grant.c.remaining > bindparam("taken"), OPEN), else_=USED_UP)),
        (_grant.c.remaining, _grant.c.remaining - bindparam("taken")),
    )
)


def _lower_wallets(tx: Tx, changes: Iterable[WalletChange]) -> int:
    return tx.execute(_LOWER_WALLET, _named(tx, ("wallet", "taken", "numbers", "before"), changes)).rowcount


def _lower_grants(tx: Tx, changes: Iterable[GrantChange]) -> int:
    return tx.execute(_LOWER_GRANT, _named(tx, ("which", "taken", "before"), changes)).rowcount


_MOVE_METER = (
    update(_meter)
    .where(
        _meter.c.book_id == bindparam("in_book"),
        _meter.c.id == bindparam("which"),
        type_coerce(_meter.c.billed_until, BigInteger) == bindparam("before"),
    )
    .values(
        billed_until=bindparam("until", type_=BigInteger),
        residue=bindparam("left"),
        month=bindparam("in_month"),
        month_cost=bindparam("cost"),
        due_at=bindparam("due", type_=BigInteger),
        open=case((bindparam("due", type_=BigInteger).is_(None), COUNTED), else_=COUNTING),
    )
)


def _move_meters(tx: Tx, changes: Iterable[MeterChange]) -> int:
    names = ("which", "before", "until", "left", "in_month", "cost", "due")
    return tx.execute(_MOVE_METER, _named(tx, names, changes)).rowcount


def _named(tx: Tx, names: Sequence[str], changes: Iterable[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [{"in_book": tx.book_id, **dict(zip(names, change, strict=True))} for change in changes]


BY_ROWS: Final = Ways(_hold_wallets, _first_grants, _add_transfers, _lower_wallets, _lower_grants, _move_meters)
