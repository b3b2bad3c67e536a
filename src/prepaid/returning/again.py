"""Money that comes back to a payment while others had found too little of it."""

from __future__ import annotations

from ..config import Context
from ..store import Tx, disputes, refunds
from ..store.topups import StoredTopup
from .disputes import hold_again, rebook_dispute
from .refunds import rebook_refund
from .steps import Prepared


def take_what_came_back(tx: Tx, context: Context, topup: StoredTopup, *, prepared: Prepared) -> None:
    """Let refunds made at the gateway, then lost disputes, take what they found nowhere before.

    Where a refund that failed, or a dispute that was won, had it, nobody may keep both the credit and the money.
    Disputes that are still open hold what is left after that.

    Args:
        tx: The transaction that gave credit back, and holds the top-up's row.
        context: The billing system.
        topup: The top-up.
        prepared: Accounts and series.
    """
    for refund in refunds.of_topup(tx, topup.topup.id):
        if refund.is_short:
            rebook_refund(tx, context, refund, topup=topup, prepared=prepared)
    for dispute in disputes.of_topup(tx, topup.topup.id):
        if dispute.booked == "lost":
            rebook_dispute(tx, context, dispute.id, topup=topup, prepared=prepared)
        if dispute.booked == "withdrawn":
            hold_again(tx, context, dispute.id, topup=topup, prepared=prepared)
