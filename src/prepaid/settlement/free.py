"""Top-ups whose total is zero: a discount takes all of the price, so that they are credited without a gateway."""

from __future__ import annotations

from .. import identity, promotions
from ..config import Context
from ..core.errors import AmountOutOfRange
from ..core.states import OPEN_STATES
from ..core.transfers import PROMOTION
from ..store import Tx, topups
from ..store import customers as customer_rows
from ..store.identities import HELD
from ..store.topups import StoredTopup
from . import selling
from .checkouts import load
from .endings import end_unpaid, release
from .values import Close, Settled

ACTOR = "system"
"""Who credits them: no gateway told of anything."""


class _Lost(Exception):
    """The promotion that would pay for all of it is not there any more."""


class _Unverified(Exception):
    """Its customer has to be verified first."""


def complete(context: Context, stored: StoredTopup, *, close: Close | None) -> Settled:
    """Credit a top-up for which nothing is to be paid, once; it ends if its promotion lapsed before that.

    One that was interrupted before it was credited may still be given up.
    """
    topup = stored.topup
    if topup.state not in OPEN_STATES:
        if stored.next_look_at is not None:  # an operator asked to look again, and there is nobody to ask
            context.database.write(lambda tx: topups.schedule_facts(tx, topup.id, None, 0))
        return Settled(topup, "duplicate")
    if close == "cancel":
        return end_unpaid(context, topup, "canceled", failure="canceled")
    try:
        credited = _credit(context, stored)
    except _Unverified:  # there is no payment that could wait: it waits itself, for as long as it may
        return Settled(topup, "pending") if close is None else end_unpaid(context, topup, "expired", failure=HELD)
    except _Lost:
        return end_unpaid(context, topup, "expired", failure="promotion-lost")
    except AmountOutOfRange:
        return end_unpaid(context, topup, "failed", failure="balance-full")
    return Settled(load(context, topup.id).topup, "credited" if credited else "duplicate")


def _credit(context: Context, stored: StoredTopup) -> bool:
    topup = stored.topup
    prepared = selling.prepare(context, topup, PROMOTION, profile_version=stored.profile_version)
    settled = {"settled_at": context.now(), "next_poll_at": None, "invoice_id": prepared.invoice_id}
    asked = identity.asked_of_payment(context, topup)

    def work(tx: Tx) -> bool:
        customer_rows.hold(tx, topup.customer)
        if identity.is_unmet(tx, context, topup, asked=asked):
            raise _Unverified
        if not topups.step(tx, topup.id, "credited", failure="", **settled):
            return False
        release(tx, context, topup, paid=True)
        sold = promotions.redeem(tx, context, topup)
        if sold.promotion == "lost":
            raise _Lost
        selling.post(tx, context, sold, prepared, actor=ACTOR, payment_id="")
        return True

    return context.database.write(work)
