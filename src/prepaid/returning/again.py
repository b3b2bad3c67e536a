"""What is there of a payment after something went back, or came back: shared anew among all that claim it."""

from __future__ import annotations

from ..config import Context
from ..documents import Change, Changes
from ..store import Tx, disputes, refunds
from ..store.topups import StoredTopup
from .disputes import hold_again, rebook_dispute
from .refunds import rebook_refund
from .steps import Prepared


def rebalance(tx: Tx, context: Context, topup: StoredTopup, *, prepared: Prepared) -> Changes:
    """Let what found too little of a top-up take the rest of it, and open disputes hold what is left.

    Where a refund that failed, or a dispute that was won, had it before, nobody may
    keep both the credit and the money. Refunds made at the gateway come first, then
    lost disputes, the oldest first. Gives what is to be documented of all that.

    Args:
        tx: The transaction that posted something, and holds the top-up's row.
        context: The billing system.
        topup: The top-up.
        prepared: Accounts and series.
    """
    changes: list[Change] = []
    for refund in refunds.of_topup(tx, topup.topup.id):
        if refund.is_short:
            changes += rebook_refund(tx, context, refund, topup=topup, prepared=prepared)
    known = disputes.of_topup(tx, topup.topup.id)
    for dispute in known:
        if dispute.booked == "lost":
            changes += rebook_dispute(tx, context, dispute.id, topup=topup, prepared=prepared)
    for dispute in known:
        if dispute.booked == "withdrawn":
            hold_again(tx, context, dispute.id, topup=topup, prepared=prepared)
    return tuple(changes)
