"""What `check` reads of promotions, their redemptions and the top-ups of these."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, case, func, or_, select

from ...core.redemption import COUNTED_STATES
from .. import schema
from ..database import Tx
from .reading import micros, named, stream
from .scope import Scope, new_or_caused

_promotion = schema.promotion
_of_customer = schema.promotion_customer
_redemption = schema.redemption
_topup = schema.topup


def promotion_rows(tx: Tx) -> Iterator[Any]:
    """Give every promotion with what its redemptions that count come to, by their number and by their cost."""
    counted = _counted(tx)
    sums = (
        select(
            counted.c.promotion_id,
            func.count().label("uses"),
            func.sum(case((counted.c.currency == _promotion.c.currency, _cost(counted)), else_=0)).label("spent"),
        )
        .select_from(counted.join(_promotion, _promotion.c.id == counted.c.promotion_id))
        .group_by(counted.c.promotion_id)
        .subquery()
    )
    found = (
        func.coalesce(sums.c.uses, 0).label("found_uses"),
        func.coalesce(sums.c.spent, 0).label("found_spent"),
    )
    wanted = select(*named(_promotion, "id code uses spent uses_total budget currency content"), *found)
    joined = _promotion.outerjoin(sums, sums.c.promotion_id == _promotion.c.id)
    return stream(tx, wanted.select_from(joined).where(_promotion.c.book_id == tx.book_id))


def promotion_rules(tx: Tx) -> Iterator[Any]:
    """Give what every promotion says, and when it was ended."""
    wanted = select(*named(_promotion, "id code content"), micros(_promotion.c.ended_at).label("ended_at"))
    return stream(tx, wanted.where(_promotion.c.book_id == tx.book_id))


def customer_rows(tx: Tx) -> Iterator[Any]:
    """Give promotions and customers whose counted uses differ from their redemptions, either way."""
    counted = _counted(tx)
    sums = (
        select(counted.c.promotion_id, counted.c.customer, func.count().label("found"))
        .group_by(counted.c.promotion_id, counted.c.customer)
        .subquery()
    )
    same = and_(sums.c.promotion_id == _of_customer.c.promotion_id, sums.c.customer == _of_customer.c.customer)
    kept = (
        select(*named(_of_customer, "promotion_id customer uses"), func.coalesce(sums.c.found, 0).label("found"))
        .select_from(_of_customer.outerjoin(sums, same))
        .where(_of_customer.c.book_id == tx.book_id, _of_customer.c.uses != func.coalesce(sums.c.found, 0))
    )
    yield from stream(tx, kept)
    missing = (
        select(sums.c.promotion_id, sums.c.customer, func.coalesce(_of_customer.c.uses, 0).label("uses"), sums.c.found)
        .select_from(sums.outerjoin(_of_customer, and_(same, _of_customer.c.book_id == tx.book_id)))
        .where(_of_customer.c.customer.is_(None))
    )
    yield from stream(tx, missing)


def redemption_rows(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give every redemption with its top-up and its promotion."""
    of_topup = and_(_topup.c.book_id == _redemption.c.book_id, _topup.c.id == _redemption.c.topup_id)
    of_promotion = and_(_promotion.c.book_id == _redemption.c.book_id, _promotion.c.id == _redemption.c.promotion_id)
    wanted = (
        select(
            *named(_redemption, "id customer state currency bonus discount first_only terms closed_at code topup_id"),
            *(micros(_redemption.c[name]).label(name) for name in ("reserved_at", "lapses_at")),
            *named(_topup, "state customer currency credit bonus discount resolved", prefix="topup_"),
            micros(_topup.c.expires_at).label("topup_expires_at"),
            _promotion.c.code.label("promotion_code"),
        )
        .select_from(_redemption.outerjoin(_topup, of_topup).outerjoin(_promotion, of_promotion))
        .where(
            _redemption.c.book_id == tx.book_id,
            *new_or_caused(tx, scope, _redemption.c.topup_id, kind="top", cause="topup"),
        )
    )
    return stream(tx, wanted)


def unexplained_topups(tx: Tx, scope: Scope) -> Iterator[Any]:
    """Give top-ups that have a bonus or a discount and no redemption."""
    its = and_(_redemption.c.book_id == _topup.c.book_id, _redemption.c.topup_id == _topup.c.id)
    wanted = (
        select(_topup.c.id, _topup.c.bonus, _topup.c.discount)
        .select_from(_topup.outerjoin(_redemption, its))
        .where(
            _topup.c.book_id == tx.book_id,
            _redemption.c.id.is_(None),
            or_(_topup.c.bonus != 0, _topup.c.discount != 0),
            *new_or_caused(tx, scope, _topup.c.id, kind="top", cause="topup"),
        )
    )
    return stream(tx, wanted)


def _counted(tx: Tx) -> Any:
    columns = (_redemption.c.promotion_id, _redemption.c.customer, _redemption.c.currency)
    wanted = select(*columns, _redemption.c.bonus, _redemption.c.discount)
    of_book = _redemption.c.book_id == tx.book_id
    return wanted.where(of_book, _redemption.c.state.in_(COUNTED_STATES)).subquery()


def _cost(counted: Any) -> Any:
    return counted.c.bonus + counted.c.discount
