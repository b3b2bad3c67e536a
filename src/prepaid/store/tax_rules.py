"""Stored tax rules: dated data that an operator adds and retires, never edits."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from ..core.hashing import canonical_json
from ..core.tax_rules import TaxRule, rule_from_record, rule_record
from . import schema
from .database import Tx

_rule = schema.tax_rule


def add(tx: Tx, rule: TaxRule, now: datetime) -> None:
    """Keep a rule under its id."""
    row = {
        "book_id": tx.book_id,
        "id": rule.id,
        "country": rule.country,
        "content": canonical_json(rule_record(rule)),
        "created_at": now,
    }
    tx.execute(insert(_rule).values(row))


def active(tx: Tx) -> tuple[TaxRule, ...]:
    """Read the rules that are not retired, by country and date."""
    wanted = select(_rule).where(_rule.c.book_id == tx.book_id, _rule.c.retired_at.is_(None))
    rules = [_from_row(row) for row in tx.execute(wanted.order_by(_rule.c.country, _rule.c.id))]
    return tuple(sorted(rules, key=lambda rule: (rule.country, rule.valid_from, rule.id)))


def _from_row(row: Any) -> TaxRule:
    return rule_from_record(json.loads(row.content), country=row.country, rule_id=row.id)


def stamp(tx: Tx) -> tuple[Any, ...]:
    """Give values that change whenever the rules in use do."""
    counted = select(func.count(), func.max(_rule.c.id), func.count(_rule.c.retired_at))
    return tuple(tx.execute(counted.where(_rule.c.book_id == tx.book_id)).one())


def retire(tx: Tx, rule_id: str, now: datetime) -> bool:
    """Take a rule out of use; False if it is not in use."""
    statement = update(_rule).where(_rule.c.book_id == tx.book_id, _rule.c.id == rule_id, _rule.c.retired_at.is_(None))
    return bool(tx.execute(statement.values(retired_at=now)).rowcount)


def retired_at(tx: Tx, rule_id: str) -> datetime | None:
    """Give when a rule was taken out of use, or None."""
    found: datetime | None = tx.execute(
        select(_rule.c.retired_at).where(_rule.c.book_id == tx.book_id, _rule.c.id == rule_id)
    ).scalar()
    return found


def lock(tx: Tx) -> None:
    """Keep others from changing the rules until the commit: rules are checked against each other."""
    book = schema.book
    tx.execute(update(book).where(book.c.id == tx.book_id).values(name=book.c.name))
