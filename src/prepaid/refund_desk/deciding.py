"""Approving and rejecting what customers ask for.

Credit leaves the wallet in the transaction that approves; the gateway is called
after it, with a key of its own, once however many operators approve.
"""

from __future__ import annotations

from attrs import evolve

from .. import objections, repayment, returning
from ..config import Context
from ..core.errors import AmountOutOfRange, RefundRefused, WrongState
from ..core.refund_requests import REASONS, RequestedRefund
from ..store import Tx, ledger, refund_requests
from ..wallets import reversing
from .decisions import (
    Allows,
    Decision,
    decided,
    decision,
    find_topup,
    goes_ahead,
    load,
    refund_of,
    take,
)


def approve(
    context: Context,
    request_id: object,
    *,
    amount: object,
    reason: object,
    note: object,
    actor: str,
    allows: Allows,
) -> RequestedRefund:
    """Approve a request, whole or in part; again with the same amount changes nothing.

    Above the limit of `Approvals` the first operator's approval waits for a second
    one's over the same amount. Of a top-up the credit leaves the wallet at once and
    the gateway is asked for the money; a charge is given back at once.

    Args:
        context: The billing system.
        request_id: The request.
        amount: Credit to give back; all that was asked for if None.
        reason: Why, for the audit.
        note: What the customer reads, or empty.
        actor: The operator.
        allows: Refuses an operator whose own customer account it is.

    Raises:
        RefundRefused: So much is not left any more; or the payment is disputed, or
            its gateway gives back no more; or plugins object.
        NotFound: There is none of that id.
        WrongState: It was rejected or withdrawn; or its gateway cannot give money
            back: then record what you gave back.
        KeyConflict: Another amount was approved.
        AmountOutOfRange: More than was asked for.
        NotAllowed: It is the operator's own account.
        InvalidRequest: No reason, or words that are too long.
        InvalidAmount: Not money above zero, in whole minor units for a top-up.
    """
    case = load(context, request_id)
    allows(case.customer)
    act = decision(context, case, amount, reason=reason, note=note, actor=actor)
    if case.is_open:
        act = evolve(act, opposed=objections.to_refund(context, act.question))
    if case.kind == "charge":
        _approve_charge(context, act)
    elif (made := _approve_topup(context, act)) is not None:  # of several operators at once, one asks the gateway
        repayment.try_pursue(context, made)
    return load(context, case.id)


def _approve_charge(context: Context, act: Decision) -> None:
    found = context.database.read(lambda tx: ledger.find_charge(tx, act.request.subject_id))
    charge = reversing.reversible(found, act.amount)
    key = f"refund-request/{act.request.id}"
    header = reversing.reversal_header(context, charge, str(act.amount), key=key, actor=act.actor)
    system = reversing.reversal_accounts(context, charge.currency)

    def work(tx: Tx) -> bool:
        if not goes_ahead(tx, context, act):
            return False
        words = f"Refund. {act.note}".removesuffix(". ")[:200]
        try:
            done, told = reversing.reverse(
                tx, context, charge, header=header, amount=act.amount, reason=words, expiry=None, system=system
            )
        except (AmountOutOfRange, WrongState) as less:
            raise RefundRefused(REASONS["refunded"], reason="refunded") from less
        decided(tx, context, act, "refunded", transaction_id=done.transaction_id or "")
        return told

    if context.database.write(work):
        returning.hold_freed_now(context, about=header.transaction_id)


def _approve_topup(context: Context, act: Decision) -> str | None:
    """Take the credit for a refund that was not approved before, and name it."""
    topup_id = act.request.subject_id
    bought = find_topup(context, topup_id)
    prepared = returning.prepare(context, bought.topup.gateway, act.amount.currency)

    def work(tx: Tx) -> str | None:
        stored = returning.hold_topup(tx, act.request.customer, topup_id)
        if not goes_ahead(tx, context, act):
            return None
        sold = returning.hold_sold(tx, context, stored)
        refund = refund_of(context, act.amount, sold, origin="request", actor=act.actor, reason=act.reason)
        refund = evolve(refund, request_id=act.request.id)
        repayment.keep(tx, context, refund)
        take(tx, context, refund, sold, prepared=prepared)
        decided(tx, context, act, "approved", refund_id=refund.id)
        return refund.id

    return context.database.write(work)


def reject(
    context: Context, request_id: object, *, reason: object, note: object, actor: str, allows: Allows
) -> RequestedRefund:
    """Reject a request; again changes nothing.

    Args:
        context: The billing system.
        request_id: The request.
        reason: Why, for the audit.
        note: What the customer reads, or empty.
        actor: The operator.
        allows: Refuses an operator whose own customer account it is.

    Raises:
        NotFound: There is none of that id.
        WrongState: It was approved or withdrawn.
        NotAllowed: It is the operator's own account.
        InvalidRequest: No reason, or words that are too long.
    """
    case = load(context, request_id)
    allows(case.customer)
    act = decision(context, case, None, reason=reason, note=note, actor=actor)

    def work(tx: Tx) -> RequestedRefund:
        held = refund_requests.hold(tx, act.request.id)
        assert held is not None  # noqa: S101 - a request never goes away
        if held.request.state == "rejected":
            return held.request
        if not held.request.is_open:
            raise WrongState(f"This request is {held.request.state}.", field="refund", state=held.request.state)
        return decided(tx, context, act, "rejected")

    return context.database.write(work)
