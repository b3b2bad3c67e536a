"""Providers whose customers, banks and dashboards give money back and dispute it, told alike of each.

Amounts are in minor units; a refund and a dispute are named by the provider's ids.
"""

from __future__ import annotations

from typing import ClassVar

from prepaid import Money
from prepaid.testing.simulators.loopback import Fault
from tests.gateways import campaign_providers
from tests.gateways.campaign_providers import Provider

HONEST = Fault(spoil=lambda answer: answer)


class Desk(Provider):
    """What the tests of a desk do at a provider.

    Attributes:
        attempts: How many requests are made for one refund before it is given up, those before it apart.
        looks_first: A look-up comes before the request.
        dispute_fee: What is kept for a dispute that takes money, in minor units; None if that is not told.
    """

    attempts: ClassVar[int] = 1
    looks_first: ClassVar[bool] = False
    dispute_fee: ClassVar[int | None] = None

    def money(self, amount: str) -> Money:
        return Money.of(amount, self.currency)

    def lose_answer(self):
        """Let the next refund be made, and its answer be lost."""
        if self.looks_first:
            self.simulator.fault_next(HONEST)
        self.simulator.fault_next("accept-then-drop", times=self.attempts)

    def pend(self):
        """Let the next refund take its time."""
        self.simulator.pend_next_refund()


class Stripe(Desk, campaign_providers.Stripe):
    attempts, dispute_fee = 3, 1500

    def finish(self, refund_id, *, succeed=True):
        self.simulator.settle_refund(refund_id, "succeeded" if succeed else "failed")

    def refund(self, checkout_id, minor):
        return self.simulator.refund(checkout_id, minor)

    def dispute(self, checkout_id):
        return self.simulator.dispute(checkout_id)

    def win(self, dispute_id):
        self.simulator.advance_dispute(dispute_id, "won")

    def lose(self, dispute_id):
        self.simulator.advance_dispute(dispute_id, "lost")


class StripeForm(Stripe, campaign_providers.StripeForm):
    """Stripe with a form on the host's page."""


class Razorpay(Desk, campaign_providers.Razorpay):
    looks_first = True

    def pend(self):
        """Do nothing: each refund takes its time."""

    def _payment_of(self, order_id):
        return next(one["id"] for one in self.simulator.all_of("payment") if one["order_id"] == order_id)

    def finish(self, refund_id, *, succeed=True):
        self.simulator.finish_refund(refund_id, status="processed" if succeed else "failed")

    def refund(self, order_id, minor):
        refund_id = self.simulator.refund(self._payment_of(order_id), minor)
        self.finish(refund_id)
        return refund_id

    def dispute(self, order_id):
        return self.simulator.dispute(self._payment_of(order_id))

    def win(self, dispute_id):
        self.simulator.change_dispute(dispute_id, "won")

    def lose(self, dispute_id):
        self.simulator.change_dispute(dispute_id, "lost")

    def statuses(self):
        disputes = self.simulator.all_of("dispute")
        return super().statuses() | {("dispute", found["id"]): found["status"] for found in disputes}

    def messages(self, key, status):
        kind, object_id = key
        if kind != "dispute":
            return super().messages(key, status)
        event = f"payment.dispute.{'created' if status == 'open' else status}"
        secret, at = campaign_providers.razorpay_world.WEBHOOK_SECRET, self.clock.now()
        signed = self.simulator.webhook(event, object_id, secret=secret, at=at)
        return [lambda: signed]


class PayPal(Desk, campaign_providers.PayPal):
    dispute_fee = 2000

    def finish(self, refund_id, *, succeed=True):
        self.simulator.set_refund(refund_id, "COMPLETED" if succeed else "FAILED")

    def refund(self, order_id, minor):
        return self.simulator.refund(order_id, str(Money.from_minor(minor, self.currency).amount))

    def dispute(self, order_id):
        dispute_id = self.simulator.dispute(order_id)
        self.simulator.escalate(dispute_id, fee="20.00")
        return dispute_id

    def win(self, dispute_id):
        self.simulator.resolve(dispute_id, "RESOLVED_SELLER_FAVOUR")

    def lose(self, dispute_id):
        self.simulator.resolve(dispute_id)

    def statuses(self):
        disputes = self.simulator.disputes()
        return super().statuses() | {("dispute", found["dispute_id"]): found["status"] for found in disputes}

    def messages(self, key, status):
        kind, object_id = key
        events = {
            ("refund", "PENDING"): "PAYMENT.REFUND.PENDING",
            ("refund", "FAILED"): "PAYMENT.REFUND.FAILED",
            ("dispute", "UNDER_REVIEW"): "CUSTOMER.DISPUTE.CREATED",
            ("dispute", "RESOLVED"): "CUSTOMER.DISPUTE.RESOLVED",
        }
        if (kind, status) not in events:
            return super().messages(key, status)
        _, body = self.simulator.webhook(events[kind, status], object_id)
        return [lambda: (self.simulator.signed(body, at=self.clock.now()), body)]


DESKS = {"stripe": Stripe, "stripe-form": StripeForm, "razorpay": Razorpay, "paypal": PayPal}
