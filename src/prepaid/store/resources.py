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
    return set(tx.execute(tx.current(wanted.where(_owner.c.resource.in_(names)))).scalars())


def hold(tx: Tx, resource: str, now: datetime) -> None:
    """Keep a resource from others who start or assign it until the commit.

    By a write to its own row, made if need be: also the very first start of a
    resource must be seen by another, at any isolation level.

    Raises:
        sqlalchemy.exc.IntegrityError: Somebody else made the row at the same moment.
    """
    known = update(_owner).where(_owner.c.book_id == tx.book_id, _owner.c.resource == resource)
    if not tx.execute(known.values(biller=_owner.c.biller)).rowcount:
        row = {"book_id": tx.book_id, "resource": resource, "biller": PREPAID, "created_at": now}
        tx.execute(insert(_owner).values(row))


def assign(tx: Tx, resource: str, biller: str) -> None:
    """Record who bills a held resource."""
    known = update(_owner).where(_owner.c.book_id == tx.book_id, _owner.c.resource == resource)
    tx.execute(known.values(biller=biller))
