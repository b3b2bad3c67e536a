"""What `check` reads of meters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Select, and_, func, literal, null, select, union_all

from .. import schema
from ..database import Tx
from .reading import micros, named, stream

_account = schema.account
_transfer = schema.transfer
_meter = schema.meter
_segment = schema.meter_segment


CHARGED, METER, BY_HOST = 0, 1, 2
"""What a row of `metered_hours` is, in the order of rows of one instant: an hour ends before the next one begins."""


def metered_hours(tx: Tx) -> Iterator[Any]:
    """Give meters, the hours charged by them, and periods of their resources that the host charged.

    Resource by resource in the order of time: a meter stands at its start, an
    hour at its end, a host's period at its start.
    """
    ordered = union_all(_meters(tx), _charged_by_meter(tx), _charged_by_host(tx)).order_by("resource", "at", "what")
    return stream(tx, ordered)


def _meters(tx: Tx) -> Select[Any]:
    segment = and_(_segment.c.book_id == _meter.c.book_id, _segment.c.meter_id == _meter.c.id)
    return (
        select(
            _meter.c.resource.label("resource"),
            micros(_meter.c.started_at).label("at"),
            literal(METER).label("what"),
            *named(_meter, "id customer currency"),
            _meter.c.billed_hours.label("number"),
            *named(_meter, "running stopped_at due_at"),
            _segment.c.rate,
            micros(_segment.c.starts_at).label("rated_from"),
        )
        .select_from(_meter.outerjoin(_segment, segment))
        .where(_meter.c.book_id == tx.book_id)
    )


_OF_METERS_ONLY: Final = (null(),) * 5


def _charged_by_meter(tx: Tx) -> Select[Any]:
    return (
        select(
            _transfer.c.cause_id,
            micros(_transfer.c.effective_at),
            literal(CHARGED),
            _transfer.c.transaction_id,
            func.coalesce(_account.c.owner, ""),
            _transfer.c.currency,
            _transfer.c.amount,
            *_OF_METERS_ONLY,
        )
        .select_from(_transfer.outerjoin(_account, _account.c.id == _transfer.c.wallet_id))
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.cause_type == "meter")
    )


def _charged_by_host(tx: Tx) -> Select[Any]:
    metered = select(_meter.c.resource).where(_meter.c.book_id == tx.book_id)
    return select(
        _transfer.c.resource,
        micros(_transfer.c.period_start),
        literal(BY_HOST),
        _transfer.c.transaction_id,
        literal(""),
        _transfer.c.currency,
        _transfer.c.amount,
        *_OF_METERS_ONLY,
    ).where(
        _transfer.c.book_id == tx.book_id,
        _transfer.c.cause_type == "usage",
        _transfer.c.charge_period_key.is_not(None),
        _transfer.c.period_start.is_not(None),
        _transfer.c.resource.in_(metered),
    )
