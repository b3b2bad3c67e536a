"""Recording what the seller gave back by other means than a gateway."""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen

from .. import audit, documents, repayment, returning
from ..config import Context, object_id
from ..core.errors import CurrencyMismatch, KeyConflict, NotAllowed, WrongState
from ..core.ids import check_text
from ..core.money import Money, require_whole_minor
from ..core.references import OUTSIDE, outside_hash
from ..core.refund_requests import RequestedRefund
from ..core.refunds import Refund
from ..store import Duplicate, Tx, refund_requests, refunds
from .decisions import Allows, Decision, decided, find_topup, given_back, hold, load, refund_of, rule, take

MAX_REFERENCE: Final = 100


def record(
    context: Context,
    topup_id: object,
    amount: object,
    *,
    reference: object,
    reason: object,
    request_id: object,
    actor: str,
    allows: Allows,
) -> Refund:
    """Record a refund that was made outside any gateway; the same reference again gives the first answer.

    Credit leaves the wallet, and the credit note is issued, as if a gateway had given it.

    Args:
        context: The billing system.
        topup_id: The top-up.
        amount: Credit that was given back, in whole minor units.
        reference: What proves it, once in the book: the line of a bank statement, the number of a cheque.
            Case, width and blanks do not count.
        reason: Why, for the audit.
        request_id: The request that it answers, or None.
        actor: The operator.
        allows: Refuses an operator whose own customer account it is.

    Raises:
        RefundRefused: So much cannot be given back.
        NotFound: There is no such top-up or request.
        WrongState: The request is of another top-up, or was decided.
        NotAllowed: It is the operator's own account; or the amount takes two operators,
            and no other one approved a request over it.
        KeyConflict: The reference was recorded for something else.
        InvalidAmount: Not money above zero in whole minor units.
        InvalidRequest: No reason or reference.
    """
    wanted, credit = object_id(topup_id, field="topup"), require_whole_minor(amount)
    evidence = check_text(reference, field="reference", longest=MAX_REFERENCE, empty=False)
    why, case = audit.check_reason(reason), None if request_id is None else load(context, request_id)
    stored = find_topup(context, wanted)
    allows(stored.topup.customer)
    if case is not None and case.subject_id != wanted:
        raise WrongState("The request is of another top-up.", field="refund")
    if credit.currency != stored.topup.total.currency:
        raise CurrencyMismatch(f"The top-up is in {stored.topup.total.currency}.", field="amount")
    prepared = returning.prepare(context, stored.topup.gateway, credit.currency)
    act = None if case is None else Decision(case, credit, why, case.note, actor)
    made = _Record(context, stored.topup.customer, wanted, credit, evidence, why, actor, act, prepared)
    try:
        return context.database.write(made.make)
    except Duplicate:  # the same reference at the same moment
        return context.database.write(made.make)


@frozen
class _Record:
    """One refund made outside any gateway, checked but for what the database says."""

    context: Context
    customer: str
    topup_id: str
    credit: Money
    reference: str
    reason: str
    actor: str
    request: Decision | None
    prepared: returning.Prepared

    def make(self, tx: Tx) -> Refund:
        """Post it, or give what its reference recorded before."""
        context = self.context
        stored = returning.hold_topup(tx, self.customer, self.topup_id)
        recorded_as = f"{OUTSIDE}{self.reference}"
        known = refunds.find_outside(tx, outside_hash(recorded_as))
        if known is not None:
            return self._again(known.refund)
        self._require_two(tx)
        held = returning.hold_sold(tx, context, stored)
        refund = refund_of(context, self.credit, held, origin="outside", actor=self.actor, reason=self.reason)
        refund = evolve(
            refund,
            state="succeeded",
            settled_at=context.now(),
            gateway_refund_id=recorded_as,
            request_id=None if self.request is None else self.request.request.id,
        )
        refunds.add(tx, refund, gateway_key="", next_look_at=None, reference_hash=outside_hash(recorded_as))
        take(tx, context, refund, held, prepared=self.prepared)
        self._answer(tx, refund)
        changes = returning.settle_refund(tx, context, refund, customer=self.customer, prepared=self.prepared)
        repayment.tell(tx, context, refund, "refund-settled")
        documents.issue_changes(tx, context, changes, series=self.prepared.series)
        return refund

    def _again(self, known: Refund) -> Refund:
        if (known.topup_id, known.credit) != (self.topup_id, self.credit):
            raise KeyConflict("This reference recorded another refund.", field="reference")
        return known

    def _require_two(self, tx: Tx) -> None:
        """Refuse what takes two operators unless another one approved the request over it."""
        in_all = self.credit + given_back(tx, "topup", self.topup_id, self.credit.currency)
        if not rule(tx).needs_two(in_all):
            return
        held = None if self.request is None else refund_requests.hold(tx, self.request.request.id)
        if held is None or held.confirmed_by in ("", self.actor) or held.request.approved != self.credit:
            raise NotAllowed("So much takes the approval of another operator first.", field="amount")

    def _answer(self, tx: Tx, refund: Refund) -> None:
        after = {"refund": refund.id, "amount": str(refund.amount), "reference": self.reference}
        audit.record(
            tx,
            self.context,
            actor=self.actor,
            action="refund-record",
            target=self.topup_id,
            customer=self.customer,
            reason=self.reason,
            after=after,
        )
        if self.request is None:
            return
        held = hold(tx, self.request)
        if isinstance(held, RequestedRefund):
            raise WrongState("This request was decided.", field="refund", state=held.state)
        decided(tx, self.context, self.request, "refunded", refund_id=refund.id)
