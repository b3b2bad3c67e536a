"""Held payments: paid, kept whole in suspense until their customer is verified, and credited then."""

from __future__ import annotations

import logging
from typing import Any, Final

from .. import audit, identity
from ..config import Context
from ..core.errors import AmountOutOfRange
from ..core.refunds import LOST_REFUNDS
from ..core.topups import Topup
from ..core.transfers import SUSPENSE
from ..store import Tx, customers, disputes, identities, refunds
from ..store.topups import StoredTopup
from . import selling
from .checkouts import load

log = logging.getLogger("prepaid.settlement")

IDENTITY_MET: Final = "identity_met"
"""How the review of a held top-up ends by itself."""

ACTOR: Final = "system"


def release_held(context: Context, topup_id: str) -> bool:
    """Credit a top-up that waits for its customer to be verified, if nothing asks for that any more.

    With the figures of its order, once, whoever calls this at the same time; what
    was paid is credited net if its promotion was lost meanwhile. One of whose
    payment something went back at the gateway, or is disputed there, is left to
    an operator.

    Raises:
        NotFound: The book has no such top-up.
    """
    stored = load(context, topup_id)
    topup = stored.topup
    if not _is_held(stored) or not context.database.read(lambda tx: _may_go(tx, context, topup, asked="")):
        return False
    asked = identity.asked_of_payment(context, topup)
    prepared = selling.prepare(context, topup, SUSPENSE, profile_version=stored.profile_version)
    record = resolution(topup)

    def work(tx: Tx) -> bool:
        customers.hold(tx, topup.customer)
        if not _may_go(tx, context, topup, asked=asked):
            return False
        if not identities.release(tx, topup.id, resolved=record, invoice_id=prepared.invoice_id):
            return False
        sold = selling.with_promotion(tx, context, topup)
        _note(tx, context, topup)
        selling.post(tx, context, sold, prepared, actor=ACTOR, payment_id=stored.payment_id or "")
        return True

    try:
        return context.database.write(work)
    except AmountOutOfRange:
        # It waits on, for an operator: the balance would be larger than the ledger can hold.
        log.error("top-up %s cannot be credited: the balance is full", topup.id)
        context.database.write(lambda tx: identities.leave(tx, topup.id, "balance-full"))
        return False


def _is_held(stored: StoredTopup) -> bool:
    topup = stored.topup
    return (topup.state, topup.failure, stored.resolved) == ("review", identities.HELD, None)


def _may_go(tx: Tx, context: Context, topup: Topup, *, asked: str) -> bool:
    if identity.is_unmet(tx, context, topup, asked=asked):
        return False
    # Money that went back, or that a bank asks back, is not there to be credited: an operator decides.
    return all(refund.state in LOST_REFUNDS for refund in refunds.of_topup(tx, topup.id)) and all(
        dispute.state == "won" for dispute in disputes.of_topup(tx, topup.id)
    )


def resolution(topup: Topup) -> dict[str, Any]:
    """Give what is kept of how such a review ended: what was ordered is what was sold."""
    ordered = {name: getattr(topup, name).units for name in ("credit", "bonus", "discount", "net", "total")}
    return {
        "action": IDENTITY_MET,
        "actor": ACTOR,
        "ordered": ordered | {"tax": topup.tax.total.units, "currency": topup.total.currency},
        "goodwill": 0,
        "refund": 0,
    }


def _note(tx: Tx, context: Context, topup: Topup) -> None:
    """Say in the audit on what it rests: a verification, or that none was asked for any more."""
    held = identities.verification(tx, topup.customer)
    case = "" if held is None or held.revoked_at is not None else held.case_id
    audit.record(
        tx,
        context,
        actor=ACTOR,
        action="identity-met",
        target=topup.id,
        customer=topup.customer,
        after={"case": case},
    )
