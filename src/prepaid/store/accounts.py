"""Ledger accounts and the currencies they are kept in."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import Select, bindparam, insert, select, update

from ..core.errors import ConfigurationError, TransactionAborted
from ..core.grants import NEVER
from ..core.money import MINOR_DIGITS, scale_of
from ..core.transfers import AccountRef
from . import schema
from .database import BookDatabase, Tx
from .engines import Duplicate

_account = schema.account
_currency = schema.currency


@frozen
class Wallet:
    """A wallet row: amounts in ledger units."""

    id: int
    owner: str
    currency: str
    balance: int
    held: int
    floor: int
    seq: int
    next_due_at: datetime
    alert_at: int | None
    told: int
    suspend_at: datetime | None

    @property
    def available(self) -> int:
        """What a charge may use: settled less held plus overdraft."""
        return self.balance - self.held - self.floor


WALLET = select(
    _account.c.id,
    _account.c.owner,
    _account.c.currency,
    _account.c.balance,
    _account.c.held,
    _account.c.floor,
    _account.c.seq,
    _account.c.next_due_at,
    _account.c.alert_at,
    _account.c.told,
    _account.c.suspend_at,
)


def find_wallet(tx: Tx, customer: str, currency: str) -> Wallet | None:
    """Read a customer's wallet in one currency."""
    return _wallet(tx, _of_customer(tx, customer, currency))


def hold_wallet(tx: Tx, customer: str, currency: str) -> Wallet | None:
    """Read a customer's wallet and keep its row from others until the commit.

    SQLite needs no lock of its own: whoever writes there is alone.
    """
    return _wallet(tx, _of_customer(tx, customer, currency).with_for_update())


def hold_wallet_by_id(tx: Tx, wallet_id: int) -> Wallet | None:
    """Read a wallet by its row id and keep its row from others until the commit."""
    return _wallet(tx, WALLET.where(_account.c.book_id == tx.book_id, _account.c.id == wallet_id).with_for_update())


def _of_customer(tx: Tx, customer: str, currency: str) -> Select[Any]:
    return WALLET.where(
        _account.c.book_id == tx.book_id,
        _account.c.kind == "wallet",
        _account.c.owner == customer,
        _account.c.currency == currency,
    )


def _wallet(tx: Tx, wanted: Select[Any]) -> Wallet | None:
    row = tx.execute(wanted).first()
    return None if row is None else Wallet(*row)


def wallets_of(tx: Tx, customer: str) -> list[Wallet]:
    """Read all wallets of a customer, by currency."""
    wanted = WALLET.where(
        _account.c.book_id == tx.book_id, _account.c.kind == "wallet", _account.c.owner == customer
    ).order_by(_account.c.currency)
    return [Wallet(*row) for row in tx.execute(wanted)]


def set_floor(tx: Tx, wallet_id: int, floor: int) -> None:
    """Let a wallet go down to ``floor`` ledger units (zero or below)."""
    tx.execute(update(_account).where(_account.c.book_id == tx.book_id, _account.c.id == wallet_id).values(floor=floor))


def set_told(tx: Tx, wallets: Iterable[Wallet]) -> None:
    """Record which levels held wallets were told, below what the next is told, and when a suspension is due."""
    rows = [
        {
            "in_book": tx.book_id,
            "wallet": wallet.id,
            "now_told": wallet.told,
            "below": wallet.alert_at,
            "later": wallet.suspend_at,
        }
        for wallet in wallets
    ]
    if rows:
        tx.execute(_SET_TOLD, rows)


_SET_TOLD = (
    update(_account)
    .where(_account.c.book_id == bindparam("in_book"), _account.c.id == bindparam("wallet"))
    .values(told=bindparam("now_told"), alert_at=bindparam("below"), suspend_at=bindparam("later"))
)


def forget_alerts(tx: Tx) -> None:
    """Let every wallet work out anew, at its next posting, what must be told of it."""
    statement = update(_account).where(_account.c.book_id == tx.book_id, _account.c.kind == "wallet")
    tx.execute(statement.values(alert_at=None))


def due_wallets(tx: Tx, now: datetime, *, limit: int) -> list[Wallet]:
    """Read wallets of which a grant or a hold begins or lapses by now, the earliest first."""
    wanted = WALLET.where(_account.c.book_id == tx.book_id, _account.c.next_due_at <= now)
    return [Wallet(*row) for row in tx.execute(wanted.order_by(_account.c.next_due_at, _account.c.id).limit(limit))]


def suspensions_due(tx: Tx, now: datetime, *, limit: int) -> list[Wallet]:
    """Read wallets whose grace below the suspend level has passed, the earliest first."""
    wanted = WALLET.where(_account.c.book_id == tx.book_id, _account.c.suspend_at <= now)
    return [Wallet(*row) for row in tx.execute(wanted.order_by(_account.c.suspend_at, _account.c.id).limit(limit))]


def account_id(tx: Tx, ref: AccountRef, currency: str, *, lock: bool = False) -> int | None:
    """Read the id of an account.

    Args:
        tx: The transaction.
        ref: Which.
        currency: Of the account.
        lock: Read what is committed now, though a host's snapshot be older.
    """
    wanted = select(_account.c.id).where(
        _account.c.book_id == tx.book_id,
        _account.c.kind == ref.kind,
        _account.c.owner == ref.owner,
        _account.c.currency == currency,
    )
    found = tx.execute(wanted.with_for_update(read=True) if lock else wanted).scalar()
    return None if found is None else int(found)


def ensure_wallet(database: BookDatabase, customer: str, currency: str, now: datetime) -> None:
    """Open a customer's wallet unless it is open; in a transaction of its own.

    Raises:
        ConfigurationError: The book keeps the currency at another scale.
    """
    if database.read(lambda tx: find_wallet(tx, customer, currency)) is None:
        _open(database, AccountRef("wallet", customer), currency, now)


def system_accounts(
    database: BookDatabase, refs: Iterable[AccountRef], currency: str, now: datetime
) -> dict[AccountRef, int]:
    """Give the ids of the book's own accounts, opening those that are missing.

    They are opened in a transaction of their own, before the one that posts:
    an id is remembered only once it is committed.

    Raises:
        ConfigurationError: The book keeps the currency at another scale.
    """
    known = database.account_ids
    wanted = set(refs)
    for ref in wanted:
        if (ref, currency) not in known:
            known[ref, currency] = _find_or_open(database, ref, currency, now)
    return {ref: known[ref, currency] for ref in wanted}


def _find_or_open(database: BookDatabase, ref: AccountRef, currency: str, now: datetime) -> int:
    found = database.read(lambda tx: account_id(tx, ref, currency))
    return _open(database, ref, currency, now) if found is None else found


def _open(database: BookDatabase, ref: AccountRef, currency: str, now: datetime) -> int:
    ensure_currency(database, currency)
    row = new_account(ref, currency, now)
    with suppress(Duplicate):  # somebody else opened it meanwhile
        database.write(lambda tx: tx.execute(insert(_account).values(book_id=tx.book_id, **row)))
    return database.write(lambda tx: _opened(tx, ref, currency))


def _opened(tx: Tx, ref: AccountRef, currency: str) -> int:
    found = account_id(tx, ref, currency, lock=True)
    if found is None:
        raise TransactionAborted("The transaction cannot see an account that was opened after it began.")
    return found


def new_account(ref: AccountRef, currency: str, now: datetime) -> dict[str, Any]:
    """Give the columns of an account that nothing was posted to, but for its book."""
    row = {"kind": ref.kind, "owner": ref.owner, "currency": currency, "created_at": now}
    return row | {"balance": 0, "held": 0, "floor": 0, "seq": 0, "next_due_at": NEVER, "told": 0}


def ensure_currency(database: BookDatabase, code: str) -> None:
    """Keep the scale of a currency at its first use, and compare it ever after.

    Raises:
        ConfigurationError: The book keeps the currency at another scale.
    """

    def scale(tx: Tx) -> int | None:
        found = tx.execute(
            select(_currency.c.scale).where(_currency.c.book_id == tx.book_id, _currency.c.code == code)
        ).scalar()
        return None if found is None else int(found)

    kept = database.read(scale)
    if kept is None:
        row = {"code": code, "scale": scale_of(code), "minor_digits": MINOR_DIGITS[code]}
        with suppress(Duplicate):  # somebody else added it meanwhile
            database.write(lambda tx: tx.execute(insert(_currency).values(book_id=tx.book_id, **row)))
    elif kept != scale_of(code):
        raise ConfigurationError(
            f"The book keeps {code} with {kept} decimal digits, this library with {scale_of(code)}: "
            "amounts would change their meaning."
        )
