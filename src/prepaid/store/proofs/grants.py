"""What `check` reads of grants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import FromClause, and_, case, func, or_, select, tuple_

from ...core.grants import NEVER
from ...core.instants import to_micros
from .. import schema
from ..database import Tx
from .reading import belongs, halves, micros, named, stream
from .scope import Conditions, Scope, new_objects, new_transfers, touched_wallets

_account = schema.account
_transfer = schema.transfer
_grant = schema.grant
_debit = _account.alias("debit")

RETURNS: Final = ("reversal", "refund-reversal", "clawback", "dispute-reversal")
"""Kinds of transfers that give credit back to the grants it came from."""

_IS_CREDIT: Final = _transfer.c.credit_id == _transfer.c.wallet_id


def grant_rows(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every grant with what its transfers put in and took out, and what opened it, each in two halves."""
    sums = (
        select(
            _transfer.c.grant_id,
            *halves(_transfer.c.amount, "put", when=_IS_CREDIT),
            *halves(_transfer.c.amount, "took", when=~_IS_CREDIT),
            *halves(_transfer.c.amount, "opened", when=and_(_IS_CREDIT, _transfer.c.kind.not_in(RETURNS))),
            *halves(_transfer.c.amount, "gone", when=and_(~_IS_CREDIT, _transfer.c.cause_type == "grant")),
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.grant_id.is_not(None))
        .where(*touched_wallets(tx, scope, _transfer.c.wallet_id))
        .group_by(_transfer.c.grant_id)
        .subquery()
    )
    joined = _grant.outerjoin(sums, sums.c.grant_id == _grant.c.id).outerjoin(
        _account, belongs(_grant, _account, "wallet_id")
    )
    wanted = select(
        *named(_grant, "id wallet_id size remaining debt_paid gone open posting"),
        _account.c.kind.label("wallet_kind"),
        *(total for name, total in sums.c.items() if name != "grant_id"),
    ).select_from(joined)
    return stream(tx, wanted.where(*_touched(tx, scope)))


def _touched(tx: Tx, scope: Scope) -> Conditions:
    return (_grant.c.book_id == tx.book_id, *touched_wallets(tx, scope, _grant.c.wallet_id))


def left_of_wallets(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every wallet with its balance and what is left of its open grants, in two halves."""
    left = (
        select(_grant.c.wallet_id, *halves(_grant.c.remaining, "left"))
        .where(_grant.c.book_id == tx.book_id, _grant.c.open == 1)
        .group_by(_grant.c.wallet_id)
        .subquery()
    )
    joined = _account.outerjoin(left, left.c.wallet_id == _account.c.id)
    wanted = select(_account.c.id, _account.c.balance, left.c.left_high, left.c.left_low).select_from(joined)
    of_book = (_account.c.book_id == tx.book_id, _account.c.kind == "wallet")
    return stream(tx, wanted.where(*of_book, *touched_wallets(tx, scope, _account.c.id)))


def misplaced_grants(tx: Tx, scope: Scope, listed: Iterable[tuple[str, str]]) -> Iterator[Any]:
    """Give wallet transfers whose grant is none of their wallet's, or not of the kind and source they give."""
    source = case((_transfer.c.cause_type == "topup", _transfer.c.cause_id), else_="")
    is_gift = _transfer.c.cause_type.in_(("operator", "voucher"))
    wrong = or_(
        _grant.c.id.is_(None),
        func.coalesce(_transfer.c.wallet_id, -1) != _grant.c.wallet_id,
        and_(_IS_CREDIT, tuple_(_transfer.c.kind, _grant.c.kind).not_in(list(listed))),
        and_(_IS_CREDIT, _transfer.c.kind.not_in(RETURNS), func.coalesce(_grant.c.source_topup, "") != source),
        and_(is_gift, func.coalesce(_grant.c.key_hash, "") != _transfer.c.key_hash),
        and_(_transfer.c.cause_type == "grant", _transfer.c.cause_id != _grant.c.id),
    )
    joined = _transfer.outerjoin(_grant, belongs(_transfer, _grant, "grant_id"))
    wanted = select(_transfer.c.id, _transfer.c.grant_id).select_from(joined)
    needs_one = or_(_transfer.c.grant_id.is_not(None), _transfer.c.cause_type.in_(("operator", "voucher", "grant")))
    return stream(tx, wanted.where(*new_transfers(tx, scope), needs_one, wrong))


def impossible_grants(tx: Tx, scope: Scope, *, notice_before: timedelta) -> Iterator[Any]:
    """Give grants whose row cannot be: in figures, dates, source or price."""
    expires_at, notice_at = micros(_grant.c.expires_at), micros(_grant.c.notice_at)
    is_given = _grant.c.key_hash.is_not(None)
    priced = or_(_grant.c.cost_net_minor != 0, _grant.c.cost_tax_minor != 0)
    wrong = or_(
        _grant.c.size <= 0,
        ~_grant.c.remaining.between(0, _grant.c.size),
        ~_grant.c.debt_paid.between(0, _grant.c.size),
        ~_grant.c.open.between(0, 2),
        and_(_grant.c.open == 2, or_(_grant.c.remaining != _grant.c.size, _grant.c.debt_paid != 0)),
        _grant.c.tax_state != "taxed",
        and_(_grant.c.kind != "paid", priced),
        micros(_grant.c.effective_at) >= expires_at,
        notice_at != expires_at - notice_before // timedelta(microseconds=1),
        and_(expires_at == to_micros(NEVER), notice_at.is_not(None)),
        is_given == _grant.c.source_topup.is_not(None),
        is_given != _grant.c.posting.is_not(None),
    )
    shown = "id kind size remaining debt_paid open cost_net_minor cost_tax_minor effective_at expires_at notice_at"
    return stream(tx, select(*named(_grant, shown)).where(*_touched(tx, scope), wrong))


def given_grants(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every grant that a key gave with its owner and, once it is written, the transfer that opened it."""
    opening = and_(
        _transfer.c.book_id == _grant.c.book_id, _transfer.c.key_hash == _grant.c.key_hash, _transfer.c.part == 0
    )
    rows: FromClause = (
        _grant.outerjoin(_account, belongs(_grant, _account, "wallet_id"))
        .outerjoin(_transfer, opening)
        .outerjoin(_debit, _debit.c.id == _transfer.c.debit_id)
    )
    wanted = select(
        *named(_grant, "id kind size open priority effective_at key_hash posting"),
        *named(_account, "owner currency"),
        *named(
            _transfer,
            "id transaction_id kind cause_type cause_id fingerprint actor description effective_at grant_id",
            prefix="opening_",
        ),
        *named(_debit, "kind owner", prefix="source_"),
    ).select_from(rows)
    limits = () if scope.is_whole else (or_(*new_objects(scope, _grant.c.id, "grt"), _transfer.c.id > scope.after),)
    return stream(tx, wanted.where(_grant.c.book_id == tx.book_id, _grant.c.key_hash.is_not(None), *limits))


def voids_elsewhere(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give transfers that took credit back to another account than it came from."""
    opening, target = _transfer.alias("opening"), _account.alias("target")
    came_from = and_(
        opening.c.book_id == _grant.c.book_id, opening.c.key_hash == _grant.c.key_hash, opening.c.part == 0
    )
    joined = (
        _transfer.join(_grant, belongs(_transfer, _grant, "grant_id"))
        .outerjoin(opening, came_from)
        .outerjoin(target, target.c.id == _transfer.c.credit_id)
    )
    wrong = or_(
        _grant.c.kind == "paid",
        opening.c.debit_id != _transfer.c.credit_id,
        # One that no key gave came with a top-up, as its bonus.
        and_(opening.c.id.is_(None), target.c.kind != "promotion"),
    )
    is_void = (_transfer.c.cause_type == "grant", _transfer.c.kind == "adjustment")
    wanted = select(_transfer.c.id, _transfer.c.grant_id).select_from(joined)
    return stream(tx, wanted.where(*new_transfers(tx, scope), *is_void, wrong))
