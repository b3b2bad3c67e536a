"""Top-ups without a payment: waiting, ended, or with something wrong that nothing is credited for."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timedelta

from .. import audit, outbox, promotions
from ..config import Context
from ..core.instants import local_day
from ..core.topups import Topup
from ..store import Duplicate, Tx, allowances, topups
from .values import Settled, SettlementOutcome, UnpaidState

log = logging.getLogger("prepaid.settlement")

_FINAL = ("failed", "expired", "canceled")


def end_unpaid(context: Context, topup: Topup, state: UnpaidState, *, failure: str = "") -> Settled:
    """Move an unpaid top-up to where its payment is, and tell if it ended."""
    final = state in _FINAL
    outcome: SettlementOutcome = "pending" if state == "processing" else state

    def work(tx: Tx) -> None:
        stepped = topup.state != state and topups.step(tx, topup.id, state, failure=failure)
        if final and context.now() >= _may_still_be_paid_until(context, topup):
            topups.stop_looking(tx, topup.id)
        if stepped and final:
            release(tx, context, topup, paid=False)
            promotions.release(tx, context, topup, state)
            outbox.emit(
                tx,
                context,
                "topup-failed",
                about=f"{topup.id}/{state}",
                customer=topup.customer,
                amount=topup.total,
                topup=topup.id,
                reason=failure,
            )

    with suppress(Duplicate):  # told by another worker at the same moment
        context.database.write(work)
    return Settled(_again(context, topup), outcome)


def _may_still_be_paid_until(context: Context, topup: Topup) -> datetime:
    """Give until when a gateway may yet say that an ended top-up was paid: such are looked at on."""
    gateway = context.gateways.get(topup.gateway)
    seconds = 0 if gateway is None else gateway.capabilities().failed_final_after_s
    return topup.created_at + timedelta(seconds=seconds)


def release(tx: Tx, context: Context, topup: Topup, *, paid: bool) -> None:
    """Count a top-up against its customer's limits no more, once."""
    if topups.release(tx, topup.id):
        day = local_day(topup.created_at, context.seller.timezone).isoformat()
        allowances.release(tx, topup.customer, topup.credit, day=day, paid=paid)


def refuse(context: Context, topup: Topup, reason: str) -> Settled:
    """Credit nothing for a payment that is not this top-up's, and record it."""
    log.warning("top-up %s: payment refused, %s", topup.id, reason)
    about = f"{topup.id}/{reason}"

    def work(tx: Tx) -> None:
        topups.mark(tx, topup.id, reason)
        audit.security(
            tx, context, gateway=topup.gateway, reason=reason, target=topup.id, about=about, customer=topup.customer
        )

    with suppress(Duplicate):  # told before
        context.database.write(work)
    return Settled(_again(context, topup), "mismatch")


def _again(context: Context, topup: Topup) -> Topup:
    stored = context.database.read(lambda tx: topups.find(tx, topup.id))
    assert stored is not None  # noqa: S101 - it was there, and none is ever removed
    return stored.topup
