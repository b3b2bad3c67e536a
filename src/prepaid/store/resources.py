"""Resources and who bills them: this library unless another biller was named."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select, update

from . import schema
from .database import Tx

_owner = schema.resource_owner

PREPAID: Final = "prepaid"
"""The biller of every resource for which no other was named."""


def biller_of(tx: Tx, resource: str) -> str:
    """Read who bills a resource."""
    wanted = select(_owner.c.biller).where(_owner.c.book_id == tx.book_id, _owner.c.resource == resource)
    return tx.execute(wanted).scalar() or PREPAID


def billed_elsewhere(tx: Tx, resources: Iterable[str]) -> set[str]:
    """Find those of a batch's resources that another biller bills."""
    names = sorted(set(resources))
    if not names:
        return set()
    wanted = select(_owner.c.resource).where(_owner.c.book_id == tx.book_id, _owner.c.biller != PREPAID)
    return set(tx.execute(wanted.where(_owner.c.resource.in_(names))).scalars())


def assign(tx: Tx, resource: str, biller: str, now: datetime) -> None:
    """Record who bills a resource; `hold_billers` alone first."""
    known = update(_owner).where(_owner.c.book_id == tx.book_id, _owner.c.resource == resource)
    if not tx.execute(known.values(biller=biller)).rowcount:
        row = {"book_id": tx.book_id, "resource": resource, "biller": biller, "created_at": now}
        tx.execute(insert(_owner).values(row))


def hold_billers(tx: Tx, *, alone: bool) -> None:
    """Keep billers as they are until the commit or, ``alone``, keep everybody from relying on them.

    A start looks for a biller and an assignment for a running meter; neither
    sees what the other has not committed, so that they must not overlap.
    """
    book = select(schema.book.c.id).where(schema.book.c.id == tx.book_id)
    held = book.with_for_update() if alone else book.with_for_update(read=True, key_share=True)
    tx.execute(held)
