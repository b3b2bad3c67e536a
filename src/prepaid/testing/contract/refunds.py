"""Rules of giving money back, and of disputes."""

from __future__ import annotations

from contextlib import suppress

from attrs import evolve

from ...core.errors import GatewayError
from ...core.money import Money
from ...ports import PaymentRef, RefundRef, RefundRequest, RefundSnapshot
from .base import ContractBase, refused
from .rules import broken, demand, rule

_MADE = {"pending", "succeeded"}


class Refunds(ContractBase):
    """Rules of giving money back, and of disputes."""

    @rule(35)
    def test_g35_refund(self) -> None:
        """A refund names our reference, the payment and the amount, exactly as asked for."""
        ref = self._to_refund()
        request = self.refund_request(ref)
        refund = self.bound.refund(request)
        demand(refund.state in _MADE, f"a refund that was accepted is pending or succeeded, not {refund.state}")
        demand(refund.refund_id == request.refund_id, "let the provider carry refund_id, and echo it unchanged")
        demand(refund.payment_id == ref.payment_id, "payment_id is that of the payment the money comes from")
        demand(refund.amount == request.amount, "amount is what the provider gives back, by its own table of digits")
        demand(refund.gateway_refund_id, "gateway_refund_id is the provider's id of the refund")

    @rule(36)
    def test_g36_same_refund(self) -> None:
        """The same refund request again gives the same refund, and money goes back once."""
        ref = self._to_refund()
        request = self.refund_request(ref, self._part())
        first = self.bound.refund(request)
        again = self.bound.refund(request)
        demand(again.gateway_refund_id == first.gateway_refund_id, "send request.key as the refund's idempotency key")
        demand(len(self.bound.refunds_of(ref)) == 1, "one request made two refunds: money went back twice")

    @rule(37)
    def test_g37_several_refunds(self) -> None:
        """Several partial refunds are made, each of its amount, if that is claimed."""
        self.claimed("partial_refund")
        self.claimed("multiple_refunds")
        ref = self._to_refund()
        part = self._part()
        for amount in (part, self.amount() - part):
            refund = self._refund_of(self.refund_request(ref, amount))
            demand(refund.amount == amount, "a partial refund gives back its amount and no more")

    @rule(38)
    def test_g38_too_much(self) -> None:
        """More than was captured is refused for good, and nothing goes back."""
        ref = self._to_refund()
        step = self.can.currencies[self.currencies()[0]].step
        error = refused(
            lambda: self.bound.refund(self.refund_request(ref, self.amount() + step)),
            "a refund beyond what was captured raises GatewayError; it is never cut down to what is left",
        )
        demand(not (error.retryable or error.outcome_unknown), "such a refusal is for good: not retryable, not unknown")
        demand(not self.bound.refunds_of(ref), "a refused refund must not exist at the provider")

    @rule(39)
    def test_g39_refund_conflict(self) -> None:
        """A refund's key that comes with another amount is refused."""
        self.claimed("partial_refund")
        ref = self._to_refund()
        request = self.refund_request(ref, self._part())
        self.bound.refund(request)
        other = evolve(request, amount=self._part() + self.can.currencies[self.currencies()[0]].step)
        refused(lambda: self.bound.refund(other), "compare the refund under the key with what is asked for")

    @rule(40)
    def test_g40_fetch_refund(self) -> None:
        """A refund is found by the provider's id or by our reference, and None where there is none."""
        ref = self._to_refund()
        request = self.refund_request(ref)
        nothing = self.bound.fetch_refund(RefundRef(payment=ref, refund_id=request.refund_id))
        demand(nothing is None, "a refund that was never made is None: the core then makes it")
        made = self.bound.refund(request)
        by_reference = RefundRef(payment=ref, refund_id=request.refund_id)
        for wanted in (by_reference, evolve(by_reference, gateway_refund_id=made.gateway_refund_id)):
            found = self.bound.fetch_refund(wanted)
            demand(
                found is not None and found.gateway_refund_id == made.gateway_refund_id,
                "find a refund by our reference too (list those of the payment): its answer may have been lost",
            )

    @rule(41)
    def test_g41_refunds_of(self) -> None:
        """All refunds of a payment are listed, also those made at the provider, which are not ours."""
        ref, part = self._to_refund(), self._part()
        self.driver.refund_at_provider(ref.checkout_id, part)
        refunds = self.bound.refunds_of(ref)
        demand(len(refunds) == 1, "list the refunds that somebody made in the provider's dashboard too")
        demand(refunds[0].refund_id is None, "a refund that we did not make has no refund_id of ours")
        demand(refunds[0].amount == part, "amount is what was given back")
        refunded = self.read(ref).refunded
        demand(refunded in {None, part}, "refunded of the payment is what was given back, or None if it is not told")

    @rule(42)
    def test_g42_disputes_of(self) -> None:
        """The disputes of a payment are listed, and the payment says that there is one."""
        ref = self.paid()
        demand(not self.bound.disputes_of(ref), "an undisputed payment has no disputes")
        self.driver.dispute(ref.checkout_id)
        disputes = self.bound.disputes_of(ref)
        demand(len(disputes) == 1, "list the disputes of a payment, or credit that was charged back stays")
        demand(disputes[0].payment_id == ref.payment_id, "payment_id of a dispute is that of the payment")
        demand(disputes[0].state in {"inquiry", "open"}, f"a new dispute is open, not {disputes[0].state}")
        demand(isinstance(disputes[0].amount, Money), "amount of a dispute is Money")
        demand(self.read(ref).disputed, "disputed of the payment is True from then on")

    def _to_refund(self) -> PaymentRef:
        self.claimed("refunds")
        return self.paid()

    def _part(self) -> Money:
        """Give about a third of an ordinary amount, or all of it if parts are not given back."""
        amount = self.amount()
        step = self.can.currencies[amount.currency].step.units
        return (
            Money(max(step, amount.units // 3 // step * step), amount.currency) if self.can.partial_refund else amount
        )

    def _refund_of(self, request: RefundRequest) -> RefundSnapshot:
        with suppress(GatewayError):
            return self.bound.refund(request)
        broken("partial_refund and multiple_refunds are claimed: a further part must be refunded too")
