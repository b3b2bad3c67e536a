"""Voucher rows: made in bulk, redeemed once by a conditional update, ended; none is ever removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from sqlalchemy import ColumnElement, and_, insert, or_, select, update

from ..core.money import Money
from ..core.vouchers import RedeemedVoucher, Voucher, VoucherState
from . import schema
from .database import Tx

_voucher = schema.voucher


@frozen(kw_only=True)
class VoucherTerms:
    """What all vouchers of a batch have in common.

    Attributes:
        batch: ``bat_…``.
        amount: The credit of each.
        expires_at: From when none can be redeemed any more, or None.
        credit_valid_s: Seconds that the credit lasts once it is redeemed, or None.
        actor: Who made them.
        created_at: When.
    """

    batch: str
    amount: Money
    expires_at: datetime | None
    credit_valid_s: int | None
    actor: str
    created_at: datetime


@frozen(kw_only=True)
class StoredVoucher:
    """A voucher row with how long its credit lasts and whether it was ended."""

    voucher: Voucher
    credit_valid_s: int | None

    def lapses_at(self, redeemed_at: datetime) -> datetime | None:
        """Give when the credit lapses if the voucher is redeemed at an instant; None if it does not."""
        return None if self.credit_valid_s is None else redeemed_at + timedelta(seconds=self.credit_valid_s)

    def answer(self) -> RedeemedVoucher | None:
        """Give what whoever redeemed it was told; None if nobody has."""
        voucher = self.voucher
        if voucher.transaction_id is None or voucher.redeemed_at is None:
            return None
        return RedeemedVoucher(voucher.transaction_id, voucher.amount, self.lapses_at(voucher.redeemed_at))


def add(tx: Tx, terms: VoucherTerms, rows: Sequence[tuple[str, str, str]]) -> None:
    """Keep new vouchers: the id, the hash of the code and its ending of each.

    Raises:
        sqlalchemy.exc.IntegrityError: One of them exists already.
    """
    common = {
        "book_id": tx.book_id,
        "batch": terms.batch,
        "currency": terms.amount.currency,
        "amount": terms.amount.units,
        "expires_at": terms.expires_at,
        "credit_valid_s": terms.credit_valid_s,
        "actor": terms.actor,
        "created_at": terms.created_at,
    }
    names = ("id", "code_hash", "ending")
    tx.execute(insert(_voucher), [{**common, **dict(zip(names, row, strict=True))} for row in rows])


def exists(tx: Tx, id_or_batch: str) -> bool:
    """Tell whether there is a voucher of an id, or any of a batch."""
    wanted = select(_voucher.c.id).where(_voucher.c.book_id == tx.book_id, _named(id_or_batch))
    return tx.execute(wanted.limit(1)).first() is not None


def _named(id_or_batch: str) -> ColumnElement[bool]:
    return (_voucher.c.batch if id_or_batch.startswith("bat_") else _voucher.c.id) == id_or_batch


def batch_of(tx: Tx, id_or_batch: str) -> str:
    """Give the batch that an id or a batch names; there must be a voucher of it."""
    wanted = select(_voucher.c.batch).where(_voucher.c.book_id == tx.book_id, _named(id_or_batch))
    return str(tx.execute(wanted.limit(1)).scalar_one())


def find(tx: Tx, code_hash: str, *, now: datetime, hold: bool = False) -> StoredVoucher | None:
    """Find a voucher by the hash of its code; ``hold`` reads what is committed now and keeps the row."""
    wanted = select(_voucher).where(_voucher.c.book_id == tx.book_id, _voucher.c.code_hash == code_hash)
    row = tx.execute(wanted.with_for_update() if hold else wanted).first()
    return None if row is None else StoredVoucher(voucher=_shown(row, now), credit_valid_s=row.credit_valid_s)


def _is_open(now: datetime) -> ColumnElement[bool]:
    """Tell what can be redeemed; at the instant at which it expires a voucher counts no more."""
    return and_(
        _voucher.c.redeemed_by.is_(None),
        _voucher.c.ended_at.is_(None),
        or_(_voucher.c.expires_at.is_(None), _voucher.c.expires_at > now),
    )


def redeem(tx: Tx, code_hash: str, *, customer: str, transaction_id: str, now: datetime) -> bool:
    """Give an open voucher to a customer; False if it is not open, or not any more."""
    statement = update(_voucher).where(
        _voucher.c.book_id == tx.book_id, _voucher.c.code_hash == code_hash, _is_open(now)
    )
    values = {"redeemed_by": customer, "redeemed_at": now, "transaction_id": transaction_id}
    return bool(tx.execute(statement.values(values)).rowcount)


def end(tx: Tx, id_or_batch: str, *, now: datetime) -> int:
    """Let open vouchers be redeemed no more, and count them."""
    statement = update(_voucher).where(_voucher.c.book_id == tx.book_id, _named(id_or_batch), _is_open(now))
    return int(tx.execute(statement.values(ended_at=now)).rowcount)


def page(
    tx: Tx, *, batch: str | None, state: VoucherState | None, now: datetime, before: str | None, limit: int
) -> list[Voucher]:
    """Read vouchers, newest first, below an id."""
    wanted = select(_voucher).where(_voucher.c.book_id == tx.book_id)
    if batch is not None:
        wanted = wanted.where(_voucher.c.batch == batch)
    if state is not None:
        wanted = wanted.where(_in_state(state, now))
    if before is not None:
        wanted = wanted.where(_voucher.c.id < before)
    return [_shown(row, now) for row in tx.execute(wanted.order_by(_voucher.c.id.desc()).limit(limit))]


def _in_state(state: VoucherState, now: datetime) -> ColumnElement[bool]:
    match state:
        case "open":
            return _is_open(now)
        case "redeemed":
            return _voucher.c.redeemed_by.is_not(None)
        case "ended":
            return and_(_voucher.c.redeemed_by.is_(None), _voucher.c.ended_at.is_not(None))
        case "expired":
            lapsed = _voucher.c.expires_at <= now
            return and_(_voucher.c.redeemed_by.is_(None), _voucher.c.ended_at.is_(None), lapsed)


def _state(row: Any, now: datetime) -> VoucherState:
    if row.redeemed_by is not None:
        return "redeemed"
    if row.ended_at is not None:
        return "ended"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "open"


def _shown(row: Any, now: datetime) -> Voucher:
    names = "id batch ending expires_at created_at actor redeemed_by redeemed_at transaction_id".split()
    amount = Money(row.amount, row.currency)
    return Voucher(amount=amount, state=_state(row, now), **{name: getattr(row, name) for name in names})
