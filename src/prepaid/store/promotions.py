"""Promotions and what is taken of their limits: counted by guarded updates of one row per promotion and customer."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from attrs import field, frozen
from sqlalchemy import BigInteger, ColumnElement, case, func, insert, literal, select, update

from ..core.hashing import canonical_json
from ..core.money import MAX_UNITS, Money
from ..core.promotion_records import promotion_from_record, promotion_record
from ..core.promotions import Promotion
from . import schema
from .database import Tx

_promotion = schema.promotion
_of_customer = schema.promotion_customer


@frozen(kw_only=True)
class StoredPromotion:
    """A promotion with what is taken of its limits.

    Attributes:
        id: ``prm_…``.
        rule: What its operator wrote.
        uses: Reserved and redeemed.
        spent: What these cost, in ledger units of the budget's currency; 0 without a budget.
        ended_at: When an operator ended it, or None.
        created_at: When it was made.
        actor: Who made it.
    """

    id: str
    rule: Promotion
    uses: int
    spent: int
    ended_at: datetime | None
    created_at: datetime
    actor: str = field(default="")


def _from_row(row: Any) -> StoredPromotion:
    return StoredPromotion(
        id=row.id,
        rule=promotion_from_record(json.loads(row.content)),
        uses=row.uses,
        spent=row.spent,
        ended_at=row.ended_at,
        created_at=row.created_at,
        actor=row.actor,
    )


def _limits(rule: Promotion) -> dict[str, Any]:
    budget = rule.budget
    return {
        "content": canonical_json(promotion_record(rule)),
        "uses_total": rule.uses_total,
        "currency": None if budget is None else budget.currency,
        "budget": None if budget is None else budget.units,
    }


def add(tx: Tx, promotion: StoredPromotion) -> None:
    """Keep a new promotion.

    Raises:
        sqlalchemy.exc.IntegrityError: There is one with its code.
    """
    row = {
        "id": promotion.id,
        "code": promotion.rule.identity,
        "uses": 0,
        "spent": 0,
        "actor": promotion.actor,
        "created_at": promotion.created_at,
    }
    tx.execute(insert(_promotion).values(book_id=tx.book_id, **row, **_limits(promotion.rule)))


def change(tx: Tx, promotion_id: str, rule: Promotion, *, spent: int) -> None:
    """Give a promotion that is held another rule, with what is spent of its budget."""
    tx.execute(update(_promotion).where(*_one(tx, promotion_id)).values(spent=spent, **_limits(rule)))


def end(tx: Tx, promotion_id: str, at: datetime) -> bool:
    """Let a promotion be used no more; False if it was ended before."""
    statement = update(_promotion).where(*_one(tx, promotion_id), _promotion.c.ended_at.is_(None))
    return bool(tx.execute(statement.values(ended_at=at)).rowcount)


def find(tx: Tx, code: str) -> StoredPromotion | None:
    """Read the promotion whose code has an identity."""
    wanted = select(_promotion).where(_promotion.c.book_id == tx.book_id, _promotion.c.code == code)
    row = tx.execute(wanted).first()
    return None if row is None else _from_row(row)


def hold(tx: Tx, promotion_id: str) -> StoredPromotion | None:
    """Read a promotion and let nobody else change what is taken of it until the commit."""
    row = tx.execute(select(_promotion).where(*_one(tx, promotion_id)).with_for_update()).first()
    return None if row is None else _from_row(row)


def lock(tx: Tx, promotion_id: str) -> None:
    """Let nobody else change what is taken of a promotion until the commit."""
    tx.execute(select(_promotion.c.id).where(*_one(tx, promotion_id)).with_for_update())


def page(tx: Tx, *, before: str | None, limit: int) -> list[StoredPromotion]:
    """Read promotions, newest first, below an id."""
    wanted = select(_promotion).where(_promotion.c.book_id == tx.book_id)
    if before is not None:
        wanted = wanted.where(_promotion.c.id < before)
    return [_from_row(row) for row in tx.execute(wanted.order_by(_promotion.c.id.desc()).limit(limit))]


def uses_of(tx: Tx, promotion_id: str, customer: str) -> int:
    """Count how often a customer uses a promotion."""
    found = tx.execute(select(_of_customer.c.uses).where(*_one_of(tx, promotion_id, customer))).scalar()
    return found or 0


def most_uses(tx: Tx, promotion_id: str) -> int:
    """Give how often the customer uses a promotion who does most often."""
    of_promotion = (_of_customer.c.book_id == tx.book_id, _of_customer.c.promotion_id == promotion_id)
    return tx.execute(select(func.max(_of_customer.c.uses)).where(*of_promotion)).scalar() or 0


def take(tx: Tx, promotion_id: str, customer: str, cost: Money, *, per_customer: int | None) -> bool:
    """Count one more use; False, and nothing is counted, if a limit or the budget is met.

    Raises:
        sqlalchemy.exc.IntegrityError: The customer's first uses begin at the same moment.
    """
    units = _of_budget(cost)
    guards = (
        (_promotion.c.uses_total.is_(None)) | (_promotion.c.uses < _promotion.c.uses_total),
        # Written so that no side of a comparison can leave 64 bits.
        (_promotion.c.budget.is_(None)) | (_promotion.c.spent <= _promotion.c.budget - units),
        _promotion.c.spent <= literal(MAX_UNITS, BigInteger) - units,
    )
    taken = update(_promotion).where(*_one(tx, promotion_id), *guards)
    if not tx.execute(taken.values(uses=_promotion.c.uses + 1, spent=_promotion.c.spent + units)).rowcount:
        return False
    if _take_of_customer(tx, promotion_id, customer, per_customer):
        return True
    _give_back(tx, promotion_id, units)
    return False


def _take_of_customer(tx: Tx, promotion_id: str, customer: str, most: int | None) -> bool:
    scope = _one_of(tx, promotion_id, customer)
    limit = MAX_UNITS if most is None else most
    statement = update(_of_customer).where(*scope, _of_customer.c.uses < limit)
    if tx.execute(statement.values(uses=_of_customer.c.uses + 1)).rowcount:
        return True
    if tx.execute(select(_of_customer.c.uses).where(*scope)).first() is not None:
        return False
    row = {"promotion_id": promotion_id, "customer": customer, "uses": 1}
    tx.execute(insert(_of_customer).values(book_id=tx.book_id, **row))
    return True


def give_back(tx: Tx, promotion_id: str, customer: str, cost: Money) -> None:
    """Count one use less."""
    _give_back(tx, promotion_id, _of_budget(cost))
    statement = update(_of_customer).where(*_one_of(tx, promotion_id, customer), _of_customer.c.uses > 0)
    tx.execute(statement.values(uses=_of_customer.c.uses - 1))


def _give_back(tx: Tx, promotion_id: str, units: Any) -> None:
    statement = update(_promotion).where(*_one(tx, promotion_id), _promotion.c.uses > 0)
    tx.execute(statement.values(uses=_promotion.c.uses - 1, spent=_promotion.c.spent - units))


def _of_budget(cost: Money) -> ColumnElement[int]:
    # Typed: PostgreSQL would take a number that it is told nothing of for a small one.
    units, nothing = (literal(each, BigInteger) for each in (cost.units, 0))
    return case((_promotion.c.currency == cost.currency, units), else_=nothing)


def _one(tx: Tx, promotion_id: str) -> tuple[ColumnElement[bool], ...]:
    return _promotion.c.book_id == tx.book_id, _promotion.c.id == promotion_id


def _one_of(tx: Tx, promotion_id: str, customer: str) -> tuple[ColumnElement[bool], ...]:
    return (
        _of_customer.c.book_id == tx.book_id,
        _of_customer.c.promotion_id == promotion_id,
        _of_customer.c.customer == customer,
    )
