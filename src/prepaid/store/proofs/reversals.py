"""What `check` reads of usage that was given back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import and_, func, or_, select

from .. import schema
from ..database import Tx
from .reading import stream, wide
from .scope import Scope, new_transfers

_transfer = schema.transfer

_COPIED: Final = "wallet_id currency effective_at resource resource_kind project period_start period_end".split()
"""What a reversal repeats of the charge that it gives back."""


def returned_too_much(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give charges of which more was given back to a grant, or without one, than they took of it."""
    back, taken = _transfer.alias("back"), _transfer.alias("taken")
    grant_of = func.coalesce(back.c.grant_id, "").label("grant_id")
    returned = select(back.c.reverses, grant_of, func.sum(wide(back.c.amount)).label("amount"))
    returned = returned.where(back.c.book_id == tx.book_id, back.c.reverses.is_not(None))
    if not scope.is_whole:
        new = select(_transfer.c.reverses).where(*new_transfers(tx, scope), _transfer.c.reverses.is_not(None))
        returned = returned.where(back.c.reverses.in_(new))
    sums = returned.group_by(back.c.reverses, grant_of).subquery()
    charged = select(func.coalesce(func.sum(wide(taken.c.amount)), 0)).where(
        taken.c.book_id == tx.book_id,
        taken.c.transaction_id == sums.c.reverses,
        taken.c.debit_id == taken.c.wallet_id,
        func.coalesce(taken.c.grant_id, "") == sums.c.grant_id,
    )
    compared = select(sums, charged.scalar_subquery().label("taken")).subquery()
    return stream(tx, select(compared).where(compared.c.amount > compared.c.taken))


def unlike_their_charge(tx: Tx, scope: Scope, *, kinds: Iterable[str], causes: Iterable[str]) -> Iterator[Any]:
    """Give reversals without a charge, or at odds with it in wallet, currency, period or label."""
    charge = _transfer.alias("charge")
    named = and_(
        charge.c.book_id == _transfer.c.book_id,
        charge.c.transaction_id == _transfer.c.reverses,
        charge.c.part == 0,
    )
    wrong = or_(
        charge.c.id.is_(None),
        charge.c.kind.not_in(tuple(kinds)),
        charge.c.cause_type.not_in(tuple(causes)),
        *(_transfer.c[name].is_distinct_from(charge.c[name]) for name in _COPIED),
    )
    wanted = select(_transfer.c.id, _transfer.c.reverses).select_from(_transfer.outerjoin(charge, named))
    is_head = (_transfer.c.kind == "reversal", _transfer.c.part == 0)
    return stream(tx, wanted.where(*new_transfers(tx, scope), *is_head, wrong))
