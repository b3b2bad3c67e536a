"""The outbox: effects to have after commit, written with what caused them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import evolve, frozen
from sqlalchemy import Update, insert, select, update

from ..core.hashing import canonical_json
from ..core.instants import EPOCH
from . import schema, server_clock
from .database import Tx

_outbox = schema.outbox

CLAIM_FOR: Final = timedelta(minutes=5)
"""How long one attempt may take before another worker takes the effect over."""

_IS_FREE: Final = server_clock.is_over(_outbox.c.claimed_until, CLAIM_FOR)


@frozen(kw_only=True)
class Effect:
    """An effect to have: its topic, payload and how far it got.

    Attributes:
        id: ``out_…``; stable over attempts.
        topic: Which delivery it needs.
        payload: Plain values.
        progress: Names of receivers that have it already.
        attempts: Deliveries tried so far.
    """

    id: str
    topic: str
    payload: dict[str, Any]
    progress: tuple[str, ...]
    attempts: int


def add(tx: Tx, *, id: str, topic: str, dedupe_key: str, payload: dict[str, Any], now: datetime) -> None:
    """Write an effect in the transaction that causes it; its key is unique per topic."""
    row = {
        "book_id": tx.book_id,
        "id": id,
        "topic": topic,
        "dedupe_key": dedupe_key,
        "payload": canonical_json(payload),
        "state": "pending",
        "attempts": 0,
        "next_at": now,
        "claimed_until": EPOCH,
        "progress": "[]",
        "last_error": "",
        "created_at": now,
    }
    tx.execute(insert(_outbox).values(row))


def exists(tx: Tx, topic: str, dedupe_key: str) -> bool:
    """Tell whether an effect was written."""
    wanted = select(_outbox.c.id).where(
        _outbox.c.book_id == tx.book_id, _outbox.c.topic == topic, _outbox.c.dedupe_key == dedupe_key
    )
    return tx.execute(wanted).first() is not None


def state_of(tx: Tx, topic: str, dedupe_key: str) -> str | None:
    """Give where an effect is: ``pending``, ``done`` or ``dead``, which is parked; None if it was not written."""
    wanted = select(_outbox.c.state).where(
        _outbox.c.book_id == tx.book_id, _outbox.c.topic == topic, _outbox.c.dedupe_key == dedupe_key
    )
    state: str | None = tx.execute(wanted).scalar()
    return state


def revive(tx: Tx, topic: str, dedupe_key: str, now: datetime) -> bool:
    """Let a parked effect be tried anew, as often as a new one; False if it is not parked."""
    statement = update(_outbox).where(
        _outbox.c.book_id == tx.book_id,
        _outbox.c.topic == topic,
        _outbox.c.dedupe_key == dedupe_key,
        _outbox.c.state == "dead",
    )
    return bool(tx.execute(statement.values(state="pending", attempts=0, next_at=now)).rowcount)


def find_due(tx: Tx, topic: str, dedupe_key: str, now: datetime) -> Effect | None:
    """Read an effect whose time has come and that nobody has claimed."""
    row = tx.execute(_due(tx, now).where(_outbox.c.topic == topic, _outbox.c.dedupe_key == dedupe_key)).first()
    return None if row is None else _from_row(row)


def due(tx: Tx, topics: Sequence[str], now: datetime, *, limit: int) -> list[Effect]:
    """Read effects of some topics whose time has come and that nobody has claimed, oldest first."""
    wanted = _due(tx, now).where(_outbox.c.topic.in_(topics)).order_by(_outbox.c.next_at, _outbox.c.id).limit(limit)
    return [_from_row(row) for row in tx.execute(wanted)]


def _due(tx: Tx, now: datetime) -> Any:
    return select(_outbox).where(
        _outbox.c.book_id == tx.book_id,
        _outbox.c.state == "pending",
        _outbox.c.next_at <= now,
        _IS_FREE,
    )


def _from_row(row: Any) -> Effect:
    return Effect(
        id=row.id,
        topic=row.topic,
        payload=json.loads(row.payload),
        progress=tuple(json.loads(row.progress)),
        attempts=row.attempts,
    )


def claim(tx: Tx, effect: Effect) -> Effect | None:
    """Take an effect for one attempt; None if another worker has it.

    The attempt is counted before it is made, so that a crash in the middle
    cannot repeat it for ever without anybody seeing.
    """
    statement = update(_outbox).where(
        _outbox.c.book_id == tx.book_id,
        _outbox.c.id == effect.id,
        _outbox.c.state == "pending",
        _outbox.c.attempts == effect.attempts,
        _IS_FREE,
    )
    values = {"attempts": effect.attempts + 1, "claimed_until": server_clock.in_(CLAIM_FOR)}
    taken = tx.execute(statement.values(**values)).rowcount
    return evolve(effect, attempts=effect.attempts + 1) if taken else None


def _mine(tx: Tx, effect: Effect) -> Update:
    # Not if another worker took it over meanwhile: the attempt is no longer ours to judge.
    return update(_outbox).where(
        _outbox.c.book_id == tx.book_id,
        _outbox.c.id == effect.id,
        _outbox.c.state == "pending",
        _outbox.c.attempts == effect.attempts,
    )


def has_left(tx: Tx, effect: Effect, span: timedelta) -> bool:
    """Tell whether an effect is claimed by this attempt for at least so long from now on."""
    wanted = select(_outbox.c.id).where(
        _outbox.c.book_id == tx.book_id,
        _outbox.c.id == effect.id,
        _outbox.c.state == "pending",
        _outbox.c.attempts == effect.attempts,
        _outbox.c.claimed_until >= server_clock.in_(span),
    )
    return tx.execute(wanted).first() is not None


def finish(tx: Tx, effect: Effect, now: datetime) -> None:
    """Record that an effect was had."""
    tx.execute(_mine(tx, effect).values(state="done", done_at=now, last_error=""))


def postpone(tx: Tx, effect: Effect, *, next_at: datetime | None, error: str, progress: tuple[str, ...] = ()) -> None:
    """Record a failed attempt: try again at ``next_at``, or park it for an operator if None."""
    values: dict[str, Any] = {"last_error": error[:250], "progress": canonical_json(list(progress))}
    values |= {"state": "dead"} if next_at is None else {"next_at": next_at}
    tx.execute(_mine(tx, effect).values(claimed_until=EPOCH, **values))


def counts(tx: Tx) -> dict[str, int]:
    """Count effects by state."""
    found: dict[str, int] = {}
    for (state,) in tx.execute(
        select(_outbox.c.state).where(_outbox.c.book_id == tx.book_id, _outbox.c.state != "done")
    ):
        found[state] = found.get(state, 0) + 1
    return found
