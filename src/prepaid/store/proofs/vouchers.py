"""What `check` reads of vouchers, what they posted, and the batches that they were made in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import and_, case, func, or_, select

from .. import schema
from ..database import Tx
from .reading import belongs, micros, named, stream
from .scope import Scope, new_or_caused, new_transfers

_voucher = schema.voucher
_transfer = schema.transfer
_account = schema.account
_grant = schema.grant

_REDEEMED: Final = (_voucher.c.redeemed_by, _voucher.c.redeemed_at, _voucher.c.transaction_id)


def redeemed(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every voucher that says it was redeemed, with the transfer and the grant of the transaction it names."""
    head = and_(
        _transfer.c.book_id == _voucher.c.book_id,
        _transfer.c.transaction_id == _voucher.c.transaction_id,
        _transfer.c.part == 0,
    )
    joined = (
        _voucher.outerjoin(_transfer, head)
        .outerjoin(_account, _account.c.id == _transfer.c.wallet_id)
        .outerjoin(_grant, belongs(_transfer, _grant, "grant_id"))
    )
    wanted = select(
        *named(_voucher, "id currency amount credit_valid_s redeemed_by redeemed_at transaction_id"),
        *named(_transfer, "amount currency kind cause_type cause_id key_hash fingerprint actor", prefix="posted_"),
        *named(_transfer, "effective_at posted_at", prefix="posted_"),
        _account.c.owner,
        _grant.c.posting,
    ).select_from(joined)
    limits = new_or_caused(tx, scope, _voucher.c.id, kind="vou", cause="voucher")
    return stream(tx, wanted.where(_voucher.c.book_id == tx.book_id, _voucher.c.redeemed_by.is_not(None), *limits))


def postings_without_voucher(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give transfers of vouchers that are not the one transfer of a voucher that names their transaction."""
    joined = _transfer.outerjoin(_voucher, belongs(_transfer, _voucher, "cause_id"))
    of_vouchers = or_(_transfer.c.cause_type == "voucher", _transfer.c.kind == "voucher")
    wrong = or_(
        _transfer.c.part != 0,
        _voucher.c.redeemed_by.is_(None),
        func.coalesce(_voucher.c.transaction_id, "") != _transfer.c.transaction_id,
    )
    wanted = select(_transfer.c.id, _transfer.c.cause_id).select_from(joined)
    return stream(tx, wanted.where(*new_transfers(tx, scope), of_vouchers, wrong))


def impossible(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give vouchers whose row cannot be: partly redeemed, or at an instant at which they were not open."""
    is_redeemed = _voucher.c.redeemed_by.is_not(None)
    wrong = or_(
        _voucher.c.amount <= 0,
        *(column.is_not(None) != is_redeemed for column in _REDEEMED[1:]),
        and_(is_redeemed, _voucher.c.ended_at.is_not(None)),
        _voucher.c.redeemed_at >= _voucher.c.expires_at,
        _voucher.c.ended_at >= _voucher.c.expires_at,
        _voucher.c.expires_at <= _voucher.c.created_at,
        micros(_voucher.c.ended_at) < 0,
    )
    shown = "id amount created_at expires_at ended_at redeemed_by redeemed_at transaction_id"
    limits = new_or_caused(tx, scope, _voucher.c.id, kind="vou", cause="voucher")
    return stream(tx, select(*named(_voucher, shown)).where(_voucher.c.book_id == tx.book_id, wrong, *limits))


def batches(tx: Tx) -> Iterator[Any]:
    """Count the vouchers of every batch, and those that were ended, by what all of one batch have in common."""
    common = named(_voucher, BATCH)
    ended = func.sum(case((_voucher.c.ended_at.is_not(None), 1), else_=0)).label("ended")
    wanted = select(*common, func.count().label("vouchers"), ended).where(_voucher.c.book_id == tx.book_id)
    columns = [_voucher.c[name] for name in BATCH.split()]
    return stream(tx, wanted.group_by(*columns).order_by(_voucher.c.batch))


BATCH: Final = "batch currency amount expires_at credit_valid_s actor created_at"
"""What the vouchers of a batch have in common."""
