"""Redemptions: the use of a promotion by one top-up, from its reservation on."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, cast

from attrs import frozen
from sqlalchemy import ColumnElement, and_, func, insert, literal, or_, select, update

from ..core.hashing import canonical_json
from ..core.money import Money
from ..core.promotion_records import promotion_record
from ..core.promotions import Promotion
from ..core.redemption import COUNTED_STATES, Redemption, RedemptionState, RedemptionTerms
from ..core.states import PAID_STATES
from . import schema
from .database import Tx

_redemption = schema.redemption
_topup = schema.topup


def _from_row(row: Any) -> Redemption:
    terms = json.loads(row.terms)
    return Redemption(
        id=row.id,
        promotion_id=row.promotion_id,
        code=row.code,
        customer=row.customer,
        topup_id=row.topup_id,
        state=cast(RedemptionState, row.state),
        bonus=Money(row.bonus, row.currency),
        discount=Money(row.discount, row.currency),
        reserved_at=row.reserved_at,
        lapses_at=row.lapses_at,
        closed_at=row.closed_at,
        reason=row.reason,
        typed=Money(int(terms["typed"]), row.currency),
        terms=_terms_from(terms["rule"]),
    )


def _terms_from(rule: dict[str, Any]) -> RedemptionTerms:
    # Not made a promotion of: what a later version refuses in one must not keep captured money from being credited.
    lasts = rule["bonus_expires_after"]
    return RedemptionTerms(
        uses_per_customer=rule["uses_per_customer"],
        first_topup_only=rule["first_topup_only"],
        bonus_expires_after=None if lasts is None else timedelta(seconds=lasts),
        bonus_priority=rule["bonus_priority"],
    )


def add(tx: Tx, redemption: Redemption, promotion: Promotion) -> None:
    """Reserve a promotion, as it is now, for a top-up that is kept already."""
    # Whom else it is for is no part of its terms, and may be a thousand names.
    rule = {**promotion_record(promotion), "customers": [], "groups": []}
    row = {
        "id": redemption.id,
        "promotion_id": redemption.promotion_id,
        "customer": redemption.customer,
        "topup_id": redemption.topup_id,
        "code": redemption.code,
        "state": redemption.state,
        "currency": redemption.bonus.currency,
        "bonus": redemption.bonus.units,
        "discount": redemption.discount.units,
        "first_only": int(redemption.terms.first_topup_only),
        "terms": canonical_json({"typed": str(redemption.typed.units), "rule": rule}),
        "reserved_at": redemption.reserved_at,
        "lapses_at": redemption.lapses_at,
        "reason": "",
    }
    tx.execute(insert(_redemption).values(book_id=tx.book_id, **row))


def step(
    tx: Tx, redemption: Redemption, source: RedemptionState, target: RedemptionState, *, at: datetime, reason: str = ""
) -> bool:
    """Move a redemption from one state to another; False if it is in another by now."""
    statement = update(_redemption).where(
        _redemption.c.book_id == tx.book_id, _redemption.c.id == redemption.id, _redemption.c.state == source
    )
    if reason == "lapsed":  # that of a top-up which was paid since does not
        statement = statement.where(~_is_paid())
    return bool(tx.execute(statement.values(state=target, closed_at=at, reason=reason)).rowcount)


def of_topup(tx: Tx, topup_id: str) -> Redemption | None:
    """Read the redemption of a top-up."""
    wanted = _of_book(tx).where(_redemption.c.topup_id == topup_id)
    row = tx.execute(tx.current(wanted)).first()
    return None if row is None else _from_row(row)


def open_of(tx: Tx, customer: str, promotion_id: str, *, first_only: bool) -> list[Redemption]:
    """Read a customer's reservations that a new start with a promotion would move.

    Those of the same promotion and, if it is for the first top-up only, of every
    other that is; not those of a top-up that is paid and waits in review.
    """
    same = _redemption.c.promotion_id == promotion_id
    moved = or_(same, _redemption.c.first_only == 1) if first_only else same
    wanted = _of_book(tx).where(
        _redemption.c.customer == customer, _redemption.c.state == "reserved", moved, ~_is_paid()
    )
    return [_from_row(row) for row in tx.execute(tx.current(wanted))]


def is_under_way(tx: Tx, reserved: Collection[Redemption]) -> bool:
    """Tell whether a payment of one of some reserved top-ups is on its way, so that its checkout cannot be closed."""
    wanted = select(literal(1)).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.id.in_([each.topup_id for each in reserved]),
        _topup.c.state == "processing",
    )
    return bool(reserved) and bool(tx.execute(select(wanted.exists())).scalar())


def lapsed(tx: Tx, now: datetime, *, limit: int, promotion_id: str | None = None) -> list[Redemption]:
    """Read reservations whose time is over, longest first; not those of a top-up that is paid."""
    wanted = _of_book(tx).where(_redemption.c.state == "reserved", _redemption.c.lapses_at <= now, ~_is_paid())
    if promotion_id is not None:
        wanted = wanted.where(_redemption.c.promotion_id == promotion_id)
    ordered = wanted.order_by(_redemption.c.lapses_at, _redemption.c.id).limit(limit)
    return [_from_row(row) for row in tx.execute(ordered)]


def has_first(tx: Tx, customer: str, *, besides: Collection[str]) -> bool:
    """Tell whether a customer has had a first top-up, or a promotion of first top-ups reserved; some top-ups aside."""
    paid = select(literal(1)).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.customer == customer,
        _topup.c.id.not_in(besides),
        _topup.c.state.in_(("credited", "review")),
    )
    reserved = select(literal(1)).where(
        _redemption.c.book_id == tx.book_id,
        _redemption.c.customer == customer,
        _redemption.c.topup_id.not_in(besides),
        _redemption.c.first_only == 1,
        _redemption.c.state.in_(COUNTED_STATES),
    )
    return bool(tx.execute(select(or_(paid.exists(), reserved.exists()))).scalar())


def page(tx: Tx, promotion_id: str, *, before: str | None, limit: int) -> list[Redemption]:
    """Read the redemptions of a promotion, newest first, below an id."""
    wanted = _of_book(tx).where(_redemption.c.promotion_id == promotion_id)
    if before is not None:
        wanted = wanted.where(_redemption.c.id < before)
    return [_from_row(row) for row in tx.execute(wanted.order_by(_redemption.c.id.desc()).limit(limit))]


@frozen(kw_only=True)
class Totals:
    """What redemptions of one promotion in one state and currency come to."""

    promotion_id: str
    state: RedemptionState
    count: int
    bonus: Money
    discount: Money


def totals(tx: Tx, promotion_ids: list[str]) -> list[Totals]:
    """Sum what promotions gave, by state and currency."""
    keys = (_redemption.c.promotion_id, _redemption.c.state, _redemption.c.currency)
    sums = (func.count(), func.sum(_redemption.c.bonus), func.sum(_redemption.c.discount))
    wanted = select(*keys, *sums).where(
        _redemption.c.book_id == tx.book_id, _redemption.c.promotion_id.in_(promotion_ids)
    )
    return [
        Totals(
            promotion_id=promotion_id,
            state=cast(RedemptionState, state),
            count=count,
            bonus=Money(int(bonus), currency),
            discount=Money(int(discount), currency),
        )
        for promotion_id, state, currency, count, bonus, discount in tx.execute(wanted.group_by(*keys))
    ]


def cost_of(tx: Tx, promotion_id: str, currency: str) -> int:
    """Sum what the uses of a promotion that count cost in a currency, in ledger units."""
    cost = func.coalesce(func.sum(_redemption.c.bonus + _redemption.c.discount), 0)
    wanted = select(cost).where(
        _redemption.c.book_id == tx.book_id,
        _redemption.c.promotion_id == promotion_id,
        _redemption.c.currency == currency,
        _redemption.c.state.in_(COUNTED_STATES),
    )
    return int(tx.execute(wanted).scalar_one())


def _of_book(tx: Tx) -> Any:
    return select(_redemption).where(_redemption.c.book_id == tx.book_id)


def _is_paid() -> ColumnElement[bool]:
    its = and_(_topup.c.book_id == _redemption.c.book_id, _topup.c.id == _redemption.c.topup_id)
    return select(literal(1)).where(its, _topup.c.state.in_(PAID_STATES)).exists()
