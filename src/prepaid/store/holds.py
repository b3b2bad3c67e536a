"""Hold rows: credit reserved for later, and what became of it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from ..core.grants import NEVER
from ..core.hashing import canonical_json
from ..core.holds import Hold
from ..core.money import Money
from . import schema
from .database import Tx

_hold = schema.hold
_account = schema.account


def _select(tx: Tx) -> Any:
    joined = _hold.join(_account, (_account.c.book_id == _hold.c.book_id) & (_account.c.id == _hold.c.wallet_id))
    return select(_hold, _account.c.owner, _account.c.currency).select_from(joined).where(_hold.c.book_id == tx.book_id)


def _from_row(row: Any) -> Hold:
    return Hold(
        id=row.id,
        customer=row.owner,
        amount=Money(row.amount, row.currency),
        state=row.state,
        captured=Money(row.captured, row.currency),
        expires_at=row.expires_at,
        created_at=row.created_at,
        closed_at=row.closed_at,
        transaction_id=row.transaction_id,
        dispute_id=row.dispute_id,
        **json.loads(row.label),
    )


def add(tx: Tx, hold: Hold, wallet_id: int, *, key_hash: str, fingerprint: str) -> None:
    """Write an open hold.

    Raises:
        sqlalchemy.exc.IntegrityError: The key exists.
    """
    label = {name: getattr(hold, name) for name in ("description", "resource", "kind", "project")}
    row = {
        "id": hold.id,
        "book_id": tx.book_id,
        "wallet_id": wallet_id,
        "amount": hold.amount.units,
        "captured": 0,
        "state": "open",
        "label": canonical_json(label),
        "key_hash": key_hash,
        "fingerprint": fingerprint,
        "dispute_id": hold.dispute_id,
        "expires_at": hold.expires_at,
        "created_at": hold.created_at,
    }
    tx.execute(insert(_hold).values(row))


def find(tx: Tx, hold_id: str) -> Hold | None:
    """Read a hold."""
    row = tx.execute(_select(tx).where(_hold.c.id == hold_id)).first()
    return None if row is None else _from_row(row)


def find_by_key(tx: Tx, key_hash: str, *, current: bool = False) -> tuple[Hold, str] | None:
    """Find a hold by its key, with the fingerprint of what the key was used for.

    Args:
        tx: The transaction.
        key_hash: Of the key.
        current: Look for what was committed after a host's snapshot too. The lock that
            this takes keeps others from making holds, so not before there is a reason.
    """
    wanted = _select(tx).where(_hold.c.key_hash == key_hash)
    row = tx.execute(tx.current(wanted) if current else wanted).first()
    return None if row is None else (_from_row(row), str(row.fingerprint))


def read_held(tx: Tx, hold_id: str) -> Hold | None:
    """Read a hold as it is now, whatever snapshot the transaction has; its wallet must be held."""
    row = tx.execute(_select(tx).where(_hold.c.id == hold_id).with_for_update(of=_hold)).first()
    return None if row is None else _from_row(row)


def of_disputes(tx: Tx, topup_id: str) -> dict[str, int]:
    """Give what open holds of a top-up's disputes reserve, in ledger units, by dispute."""
    its = (schema.dispute.c.book_id == _hold.c.book_id) & (schema.dispute.c.hold_id == _hold.c.id)
    wanted = select(schema.dispute.c.id, _hold.c.amount).join_from(schema.dispute, _hold, its)
    wanted = wanted.where(_hold.c.book_id == tx.book_id, schema.dispute.c.topup_id == topup_id, _hold.c.state == "open")
    return {row.id: int(row.amount) for row in tx.execute(tx.current(wanted))}


def close(
    tx: Tx, hold_id: str, *, state: str, now: datetime, captured: int = 0, transaction_id: str | None = None
) -> bool:
    """End an open hold; False if it is not open."""
    statement = update(_hold).where(_hold.c.book_id == tx.book_id, _hold.c.id == hold_id, _hold.c.state == "open")
    values = {"state": state, "captured": captured, "transaction_id": transaction_id, "closed_at": now}
    return bool(tx.execute(statement.values(values)).rowcount)


def lapsed(tx: Tx, wallet_id: int, now: datetime) -> list[tuple[str, int]]:
    """Read id and ledger units of open holds whose time is over; the wallet must be held."""
    wanted = select(_hold.c.id, _hold.c.amount).where(
        _hold.c.wallet_id == wallet_id, _hold.c.state == "open", _hold.c.expires_at <= now
    )
    return [(row.id, int(row.amount)) for row in tx.execute(wanted.with_for_update())]


def next_expiry(tx: Tx, wallet_id: int) -> datetime:
    """Give when the next open hold of a wallet lapses; `NEVER` if none does."""
    wanted = select(_hold.c.expires_at).where(_hold.c.wallet_id == wallet_id, _hold.c.state == "open")
    # The first row rather than a minimum: it can be read with a lock.
    found: datetime | None = tx.execute(tx.current(wanted.order_by(_hold.c.expires_at).limit(1))).scalar()
    return NEVER if found is None else found


def lapsed_amount(tx: Tx, wallet_id: int, now: datetime) -> int:
    """Sum open holds whose time is over, in ledger units."""
    wanted = select(func.coalesce(func.sum(_hold.c.amount), 0)).where(
        _hold.c.wallet_id == wallet_id, _hold.c.state == "open", _hold.c.expires_at <= now
    )
    return int(tx.execute(wanted).scalar_one())


def held_at(tx: Tx, wallet_id: int, at: datetime) -> int:
    """Sum what holds reserved at an instant, in ledger units."""
    over = (_hold.c.closed_at.is_(None)) | (_hold.c.closed_at > at)
    wanted = select(func.coalesce(func.sum(_hold.c.amount), 0)).where(
        _hold.c.wallet_id == wallet_id, _hold.c.created_at <= at, _hold.c.expires_at > at, over
    )
    return int(tx.execute(wanted).scalar_one())


def open_of(tx: Tx, customer: str, now: datetime) -> list[Hold]:
    """Read a customer's open holds whose time is not over, the oldest first."""
    is_open = (_hold.c.state == "open", _hold.c.expires_at > now)
    wanted = _select(tx).where(_account.c.kind == "wallet", _account.c.owner == customer, *is_open)
    return [_from_row(row) for row in tx.execute(wanted.order_by(_hold.c.id))]
