"""How credited top-ups stand: what was bought, what is left of it, what went back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import and_, select

from ..core.clawback import NOTHING, Bought, Returned
from ..core.grants import OpenGrant
from ..core.money import Money, minor_unit
from ..core.refunds import LOST_REFUNDS
from ..core.taking import Own
from . import schema
from .database import Tx

_topup = schema.topup
_payment = schema.payment
_grant = schema.grant
_refund = schema.refund
_dispute = schema.dispute


@frozen(kw_only=True)
class Sold:
    """A credited top-up with what is left of it and what went back; amounts in ledger units.

    Attributes:
        topup_id: The top-up.
        customer: The host's customer id.
        currency: ISO 4217 code.
        bought: Its terms.
        own: What is left of its grants.
        before: What went back of it.
        gateway: Where it was paid.
        captured: What was captured for it; zero if nothing was paid.
        settled_at: When it was credited.
        is_withdrawn: Money of it was taken back for a dispute that is not decided.
        refunds: How many refunds at its gateway have not failed.
    """

    topup_id: str
    customer: str
    currency: str
    bought: Bought
    own: Own
    before: Returned
    gateway: str
    captured: Money
    settled_at: datetime
    is_withdrawn: bool
    refunds: int


def sold(tx: Tx, topup_id: str, now: datetime) -> Sold | None:
    """Read how a credited top-up stands; None if it is not credited. For a refund its wallet and row must be held."""
    return next(iter(sold_among(tx, [topup_id], now)), None)


def sold_among(tx: Tx, topup_ids: Sequence[str], now: datetime) -> list[Sold]:
    """Read how those of some top-ups stand that are credited, in their order.

    A bonus that has lapsed and is still to be expired counts as expired.
    """
    names = ("id", "customer", "currency", "credit", "net", "tax", "gateway", "settled_at")
    paid = and_(_payment.c.book_id == _topup.c.book_id, _payment.c.topup_id == _topup.c.id)
    wanted = (
        select(*(_topup.c[name] for name in names), _payment.c.captured)
        .select_from(_topup.outerjoin(_payment, paid))
        .where(_topup.c.book_id == tx.book_id, _topup.c.id.in_(list(topup_ids)), _topup.c.state == "credited")
    )
    rows = {row.id: row for row in tx.execute(tx.current(wanted))}
    grants, back, withdrawn, counts = _grants(tx, rows), _returned(tx, rows), _withdrawn(tx, rows), _refunds(tx, rows)
    return [
        _sold(
            rows[each],
            grants.get(each, []),
            before=back.get(each, NOTHING),
            is_withdrawn=each in withdrawn,
            refunds=counts.get(each, 0),
            now=now,
        )
        for each in topup_ids
        if each in rows
    ]


def _sold(row: Any, grants: list[Any], *, before: Returned, is_withdrawn: bool, refunds: int, now: datetime) -> Sold:
    paid = next((grant for grant in grants if grant.kind == "paid"), None)
    bonus = next((grant for grant in grants if grant.kind == "promotional"), None)
    has_lapsed = bonus is not None and bonus.expires_at <= now
    gone = 0 if bonus is None else bonus.gone + (bonus.remaining if has_lapsed else 0)
    unit = minor_unit(row.currency)
    return Sold(
        topup_id=row.id,
        customer=row.customer,
        currency=row.currency,
        bought=Bought(
            credit=row.credit,
            bonus=0 if bonus is None else bonus.size - gone,
            net_minor=row.net // unit,
            tax_minor=row.tax // unit,
        ),
        own=Own(
            None if paid is None else OpenGrant(paid.id, paid.remaining),
            None if bonus is None or has_lapsed else OpenGrant(bonus.id, bonus.remaining),
        ),
        before=before,
        gateway=row.gateway,
        captured=Money(row.captured or 0, row.currency),
        settled_at=row.settled_at,
        is_withdrawn=is_withdrawn,
        refunds=refunds,
    )


def _grants(tx: Tx, topup_ids: Collection[str]) -> dict[str, list[Any]]:
    """Read the grants that top-ups brought."""
    names = ("id", "kind", "size", "remaining", "gone", "expires_at", "source_topup")
    wanted = select(*(_grant.c[name] for name in names)).where(
        _grant.c.book_id == tx.book_id, _grant.c.source_topup.in_(list(topup_ids))
    )
    found: dict[str, list[Any]] = {}
    for row in tx.execute(tx.current(wanted.order_by(_grant.c.id))):
        found.setdefault(row.source_topup, []).append(row)
    return found


def _returned(tx: Tx, topup_ids: Collection[str]) -> dict[str, Returned]:
    """Sum what went back of top-ups: refunds that have not failed, and disputes that were lost."""
    counted = (
        (_refund, _refund.c.state.not_in(LOST_REFUNDS)),
        (_dispute, _dispute.c.booked == "lost"),
    )
    found: dict[str, Returned] = {}
    for table, counts in counted:
        names = ("topup_id", "currency", "credit", "clawback", "net", "tax")
        wanted = select(*(table.c[name] for name in names)).where(
            table.c.book_id == tx.book_id, table.c.topup_id.in_(list(topup_ids)), counts, table.c.net + table.c.tax > 0
        )
        for row in tx.execute(tx.current(wanted)):
            unit = minor_unit(row.currency)
            part = Returned(
                credit=row.credit, net_minor=row.net // unit, tax_minor=row.tax // unit, clawed_back=row.clawback
            )
            found[row.topup_id] = found.get(row.topup_id, NOTHING) + part
    return found


def _withdrawn(tx: Tx, topup_ids: Collection[str]) -> set[str]:
    wanted = select(_dispute.c.topup_id).where(
        _dispute.c.book_id == tx.book_id, _dispute.c.topup_id.in_(list(topup_ids)), _dispute.c.state == "open"
    )
    return set(tx.execute(tx.current(wanted)).scalars())


def _refunds(tx: Tx, topup_ids: Collection[str]) -> dict[str, int]:
    wanted = select(_refund.c.topup_id).where(
        _refund.c.book_id == tx.book_id,
        _refund.c.topup_id.in_(list(topup_ids)),
        _refund.c.state.not_in(LOST_REFUNDS),
        _refund.c.origin != "outside",
    )
    found: dict[str, int] = {}
    for topup_id in tx.execute(tx.current(wanted)).scalars():
        found[topup_id] = found.get(topup_id, 0) + 1
    return found
