"""What `check` reads of holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import and_, case, func, or_, select

from .. import schema
from ..database import Tx
from .reading import belongs, halves, micros, named, stream, wide
from .scope import Conditions, Scope, new_or_caused, new_transfers, touched_wallets

_account = schema.account
_hold = schema.hold
_dispute = schema.dispute
_transfer = schema.transfer


def held_by_wallets(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every wallet that reserves anything, or has open holds, with what both say."""
    reserved = (
        select(_hold.c.wallet_id, *halves(_hold.c.amount, "reserved"))
        .where(_hold.c.book_id == tx.book_id, _hold.c.state == "open")
        .group_by(_hold.c.wallet_id)
        .subquery()
    )
    joined = _account.outerjoin(reserved, reserved.c.wallet_id == _account.c.id)
    columns = (reserved.c.reserved_high, reserved.c.reserved_low)
    wanted = select(_account.c.id, _account.c.held, *columns).select_from(joined)
    of_interest = or_(_account.c.held != 0, reserved.c.wallet_id.is_not(None))
    of_book = (_account.c.book_id == tx.book_id, *touched_wallets(tx, scope, _account.c.id))
    return stream(tx, wanted.where(*of_book, of_interest))


def hold_rows(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every hold with its owner, and label and sum of the transaction that captured it."""
    part = _transfer.alias("part")
    charged = select(func.sum(wide(part.c.amount))).where(
        part.c.book_id == _hold.c.book_id, part.c.transaction_id == _hold.c.transaction_id
    )
    head = and_(
        _transfer.c.book_id == _hold.c.book_id,
        _transfer.c.transaction_id == _hold.c.transaction_id,
        _transfer.c.part == 0,
    )
    joined = (
        _hold.outerjoin(_account, belongs(_hold, _account, "wallet_id"))
        .outerjoin(_transfer, head)
        .outerjoin(_dispute, belongs(_hold, _dispute, "dispute_id"))
    )
    wanted = select(
        *named(_hold, "id amount captured state label fingerprint transaction_id expires_at created_at closed_at"),
        *named(_hold, "key_hash dispute_id"),
        *named(_dispute, "turn", prefix="dispute_"),
        *named(_account, "kind currency"),
        *named(_transfer, "wallet_id cause_type cause_id description", prefix="capture_"),
        *named(_transfer, "resource resource_kind project", prefix="capture_"),
        (_transfer.c.wallet_id == _hold.c.wallet_id).label("same_wallet"),
        charged.scalar_subquery().label("charged"),
    ).select_from(joined)
    limits = new_or_caused(tx, scope, _hold.c.id, kind="hld", cause="hold")
    return stream(tx, wanted.where(_hold.c.book_id == tx.book_id, *limits))


def captures_without_hold(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give transfers that capture a hold which does not name them."""
    joined = _transfer.outerjoin(_hold, belongs(_transfer, _hold, "cause_id"))
    wrong = func.coalesce(_hold.c.transaction_id, "") != _transfer.c.transaction_id
    wanted = select(_transfer.c.id, _transfer.c.cause_id).select_from(joined)
    return stream(tx, wanted.where(*new_transfers(tx, scope), _transfer.c.cause_type == "hold", wrong))


# What is due on wallets


def due_too_late(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give wallets on which something begins or lapses before they are looked at, with when.

    Credit that a hold keeps past its expiry is looked at again when the hold lapses.
    """
    grant = schema.grant
    begins = case((grant.c.open == 2, micros(grant.c.effective_at)))
    lapses = case((grant.c.open == 1, micros(grant.c.expires_at)))
    due_at = micros(_account.c.next_due_at)
    by_grants = (
        select(
            grant.c.wallet_id,
            func.min(begins).label("begins_at"),
            func.min(lapses).label("lapses_at"),
            func.sum(case((lapses < due_at, grant.c.remaining), else_=0)).label("kept"),
        )
        .select_from(grant.join(_account, belongs(grant, _account, "wallet_id")))
        .where(grant.c.book_id == tx.book_id, grant.c.open.in_((1, 2)))
        .group_by(grant.c.wallet_id)
        .subquery()
    )
    by_holds = (
        select(_hold.c.wallet_id, func.min(micros(_hold.c.expires_at)).label("at"))
        .where(_hold.c.book_id == tx.book_id, _hold.c.state == "open")
        .group_by(_hold.c.wallet_id)
        .subquery()
    )
    joined = _account.outerjoin(by_grants, by_grants.c.wallet_id == _account.c.id).outerjoin(
        by_holds, by_holds.c.wallet_id == _account.c.id
    )
    lapses_at = case((by_grants.c.kept > _account.c.held, by_grants.c.lapses_at))
    wanted = select(
        _account.c.id,
        due_at.label("due_at"),
        by_grants.c.begins_at,
        lapses_at.label("lapses_at"),
        by_holds.c.at.label("hold_at"),
    )
    late = or_(due_at > by_grants.c.begins_at, due_at > lapses_at, due_at > by_holds.c.at)
    of_book: Conditions = (_account.c.book_id == tx.book_id, *touched_wallets(tx, scope, _account.c.id))
    return stream(tx, wanted.select_from(joined).where(*of_book, late))


LEVELS: Final = "id currency balance told alert_at suspend_at"


def wallet_levels(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every wallet whose levels were worked out, with what it was told."""
    of_book = (_account.c.book_id == tx.book_id, _account.c.kind == "wallet")
    wanted = select(*named(_account, LEVELS)).where(*of_book, *touched_wallets(tx, scope, _account.c.id))
    return stream(tx, wanted)
