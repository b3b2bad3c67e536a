"""Settings and job leases: the small tables of running a book."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update

from ..core.hashing import canonical_json
from ..core.instants import EPOCH
from . import schema, server_clock
from .database import Tx

_setting = schema.setting
_lease = schema.job_lease


def read_setting(tx: Tx, name: str, *, hold: bool = False) -> dict[str, Any] | None:
    """Read a setting of the book; ``hold`` keeps others from changing it until the commit."""
    wanted = select(_setting.c.value).where(_setting.c.book_id == tx.book_id, _setting.c.name == name)
    value = tx.execute(wanted.with_for_update() if hold else tx.current(wanted)).scalar()
    return None if value is None else dict(json.loads(value))


def write_setting(tx: Tx, name: str, value: dict[str, Any], now: datetime) -> None:
    """Set a setting of the book."""
    scope = (_setting.c.book_id == tx.book_id, _setting.c.name == name)
    text = canonical_json(value)
    if not tx.execute(update(_setting).where(*scope).values(value=text, updated_at=now)).rowcount:
        row = {"book_id": tx.book_id, "name": name, "value": text, "updated_at": now}
        tx.execute(insert(_setting).values(row))


def take_lease(tx: Tx, name: str, holder: str, lasts: timedelta) -> int | None:
    """Take a job's lease if it is free or lapsed, and give its fencing token; None if it is held."""
    scope, ends_at = (_lease.c.book_id == tx.book_id, _lease.c.name == name), server_clock.in_(lasts)
    free = or_(server_clock.is_over(_lease.c.expires_at, lasts), _lease.c.holder == holder)
    statement = update(_lease).where(*scope, free)
    if tx.execute(statement.values(holder=holder, expires_at=ends_at, token=_lease.c.token + 1)).rowcount:
        return int(tx.execute(select(_lease.c.token).where(*scope)).scalar_one())
    if tx.execute(select(_lease.c.token).where(*scope)).first() is not None:
        return None
    row = {"book_id": tx.book_id, "name": name, "holder": holder, "expires_at": ends_at, "token": 1}
    tx.execute(insert(_lease).values(row))
    return 1


def return_lease(tx: Tx, name: str, token: int, now: datetime) -> bool:
    """Give a lease back; False if somebody else took it over meanwhile."""
    statement = update(_lease).where(_lease.c.book_id == tx.book_id, _lease.c.name == name, _lease.c.token == token)
    return bool(tx.execute(statement.values(expires_at=EPOCH, finished_at=now)).rowcount)
