"""What `check` reads of meters: their rows, segments and hours, resource by resource in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Select, func, literal, null, select, union_all

from ...core.meter_proof import BY_HOST, CHARGED, METER, SEGMENT
from .. import schema
from ..database import Tx
from .reading import belongs, micros, named, stream

_account = schema.account
_transfer = schema.transfer
_meter = schema.meter
_segment = schema.meter_segment

_NOTHING: Final = null()


def metered_hours(tx: Tx) -> Iterator[Any]:
    """Give meters, their segments, the hours charged by them, and periods of their resources that the host charged.

    A meter, a segment and a host's period stand at their start, an hour at its end.
    """
    # Meters and segments first: between them they give every column its type.
    parts = union_all(_meters(tx), _segments(tx), _charged_by_meter(tx), _charged_by_host(tx))
    return stream(tx, parts.order_by("resource", "at", "what"))


def _meters(tx: Tx) -> Select[Any]:
    return select(
        _meter.c.resource.label("resource"),
        micros(_meter.c.started_at).label("at"),
        literal(METER).label("what"),
        *named(_meter, "id customer currency"),
        _meter.c.residue.label("figure"),
        micros(_meter.c.billed_until).label("until"),
        *named(_meter, "stopped_at due_at open running month month_cost"),
        *(_NOTHING.label(name) for name in ("rate", "increment", "cap", "minimum_s")),
    ).where(_meter.c.book_id == tx.book_id)


def _segments(tx: Tx) -> Select[Any]:
    return (
        select(
            _meter.c.resource,
            micros(_segment.c.starts_at),
            literal(SEGMENT),
            _meter.c.id,
            *(_NOTHING,) * 3,
            micros(_segment.c.ends_at),
            *(_NOTHING,) * 6,
            *named(_segment, "rate increment monthly_cap minimum_s"),
        )
        .select_from(_segment.join(_meter, belongs(_segment, _meter, "meter_id")))
        .where(_segment.c.book_id == tx.book_id)
    )


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
            *(_NOTHING,) * 11,
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
        *(_NOTHING,) * 14,
    ).where(
        _transfer.c.book_id == tx.book_id,
        _transfer.c.cause_type == "usage",
        _transfer.c.charge_period_key.is_not(None),
        _transfer.c.period_start.is_not(None),
        _transfer.c.resource.in_(metered),
    )
