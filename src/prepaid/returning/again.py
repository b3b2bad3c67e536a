"""What is there of a payment after something went back, or came back: shared anew among all that claim it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from .. import outbox
from ..config import Context
from ..core.refunds import Dispute
from ..documents import Change, Changes
from ..store import Tx, disputes, refunds, topups
from ..store.outbox import Effect
from ..store.topups import StoredTopup
from ..wallets import freed
from .disputes import hold_again, rebook_dispute
from .refunds import rebook_refund
from .steps import Prepared, hold_topup, prepare

log = logging.getLogger("prepaid.returning")


def rebalance(tx: Tx, context: Context, topup: StoredTopup, *, prepared: Prepared) -> Changes:
    """Let what found too little of a top-up take the rest of it, and open disputes hold what is left.

    Where a refund that failed, or a dispute that was won, had it before, nobody may
    keep both the credit and the money. Refunds made at the gateway come first, then
    lost disputes, the oldest first. Disputes of other top-ups look again after the
    commit. Gives what is to be documented of all that.

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
    _hold_again(tx, context, known, topup=topup, prepared=prepared)
    # What came back may be other top-ups' credit, or what had kept their disputes from holding it.
    freed.tell(tx, context, topup.topup.customer, about=context.ids.new("out"), beside=topup.topup.id)
    return tuple(changes)


def _hold_again(tx: Tx, context: Context, known: Sequence[Dispute], *, topup: StoredTopup, prepared: Prepared) -> None:
    for dispute in known:
        if dispute.booked == "withdrawn":
            hold_again(tx, context, dispute.id, topup=topup, prepared=prepared)


def hold_freed(context: Context, effect: Effect) -> None:
    """Let the open disputes of a customer hold what came free in their wallet, each of its own top-up."""
    customer = effect.payload["customer"]
    for topup_id in context.database.read(lambda tx: disputes.topups_withdrawn(tx, customer)):
        _hold_freed_of(context, customer, topup_id)


def _hold_freed_of(context: Context, customer: str, topup_id: str) -> None:
    topup = context.database.read(lambda tx: topups.find(tx, topup_id))
    assert topup is not None  # noqa: S101 - a dispute is of a top-up
    prepared = prepare(context, topup.topup.gateway, topup.topup.total.currency)

    def work(tx: Tx) -> None:
        stored = hold_topup(tx, customer, topup_id)
        _hold_again(tx, context, disputes.of_topup(tx, topup_id), topup=stored, prepared=prepared)

    context.database.write(work)


def hold_freed_now(context: Context, *, about: str) -> None:
    """Let disputes hold at once what came free, after the commit of what set it free.

    Whatever keeps us from it, a job makes up for. In a host's transaction nothing is
    committed yet: there it is the job's alone.

    Args:
        context: The billing system.
        about: What set it free, as it was told.
    """
    if not context.database.commits:
        return
    try:
        outbox.deliver_now(context, outbox.FREED_CREDIT, about, hold_freed)
    except Exception:
        # What was asked for is done, and its caller hears so.
        log.exception("what came free by %s is held later", about)
