"""Providers as a campaign sees them: payers who act, messages to deliver, faults by chance, and the truth in the end.

Each tells what was really paid and given back, from its own books and not by its API.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

from prepaid import Money
from prepaid.core.instants import to_micros
from prepaid.testing.simulators.paypal_requests import Refused
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways import paypal_world, razorpay_world, stripe_world

OFTEN = ("drop", "accept-then-drop", "429", "500", "html", "truncated", "slow")
OF_AN_OBJECT = re.compile(r"/(?:(?:cs|pi|re)_\w+|[0-9A-Z]{17})")


class Captured(NamedTuple):
    """A payment that the provider took for us."""

    payment_id: str
    checkout_id: str
    amount: Money


class GivenBack(NamedTuple):
    """A refund at the provider; ``state`` in its own word, ``done`` if the money went, None while it may."""

    reference: str | None
    payment_id: str
    amount: Money
    done: bool | None


class Provider:
    """A provider that speaks over sockets: a simulator, and what is written down of it.

    Attributes:
        payers: How many payments the payers of a checkout meant to make.
        under_way: Checkouts whose payment is neither made nor failed.
    """

    name: ClassVar[str]
    currency: ClassVar[str]
    lies: ClassVar[tuple[str, ...]] = ()
    foreign: ClassVar[tuple[str, ...]] = ()

    def __init__(self, clock, random):
        self.clock, self.random = clock, random
        self.payers: Counter[str] = Counter()
        self.under_way: list[Any] = []
        self._told: dict[Any, Any] = {}

    def misbehave(self, rate, random, *, lies=False):
        """Let a part of all requests meet a fault; ``lies`` are answers that nobody can tell from the truth."""
        # Seldom no answer at all, for that takes the whole time allowed.
        always = OFTEN * 3 + ("stall",) + self.foreign * 3

        def names(request):
            return always + (("wrong-id",) * 3 + self.lies * (20 * lies) if self.names_an_object(request) else ())

        self.simulator.fault_sometimes(rate, random=random, names=names)

    def names_an_object(self, request):
        """Tell whether a request asks for one object by its id, so that the answer can be compared with it."""
        return request.method == "GET" and bool(OF_AN_OBJECT.search(request.path))

    def calls(self):
        return len(self.simulator.requests)

    def faults(self):
        return Counter(self.simulator.met)

    def close(self):
        self.simulator.stop()

    def act(self, checkout_id):
        """Let a payer do something with a checkout; ValueError if it cannot be done any more."""
        self.random.choice(self.acts())(checkout_id)

    def acts(self):
        raise NotImplementedError

    def go_on(self):
        """Let one payment or refund that is under way come to an end."""
        if self.under_way:
            self.under_way.pop(self.random.randrange(len(self.under_way)))()

    def finish(self):
        """Let all that is under way come to an end, and what was reserved long ago lapse."""
        while self.under_way:
            self.go_on()

    def is_old(self, second, *, days):
        return to_micros(self.clock.now()) > (second + days * 86_400) * 1_000_000

    def news(self):
        """Give what there is to be told since the last time: functions that give headers and body when delivered."""
        now = self.statuses()
        changed = [key for key, status in now.items() if self._told.get(key) != status]
        self._told = now
        return [message for key in changed for message in self.messages(key, now[key])]


class Stripe(Provider):
    name, currency = "stripe", "EUR"
    foreign, lies = ("wrong-mode",), ("wrong-amount",)
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, clock, random):
        super().__init__(clock, random)
        self.simulator = StripeSimulator(secret_key=stripe_world.KEY, clock=clock).start()
        self._heard = 0

    def gateway(self, timeout_s=1):
        return stripe_world.configured(api_base=self.simulator.url, timeout_s=timeout_s, **self.options)

    def acts(self):
        return (self.pay, self.pay, self.pay, self.pay_other, self.decline, self.challenge, self.debit, self.authorise)

    def pay(self, checkout_id, **lies):
        self.simulator.pay(checkout_id, **lies)
        self.payers[checkout_id] += 1

    def pay_other(self, checkout_id):
        found = self.simulator.session(checkout_id)
        self.pay(checkout_id, amount=found.get("amount_total", found.get("amount")) + 100)

    def decline(self, checkout_id):
        self.simulator.decline(checkout_id)

    def challenge(self, checkout_id):
        self.simulator.challenge(checkout_id)

    def debit(self, checkout_id):
        self.simulator.complete_later(checkout_id)
        self.payers[checkout_id] += 1
        ending = self.simulator.succeed if self.random.random() < 0.7 else self.simulator.fail
        self.under_way.append(lambda: ending(checkout_id))

    def authorise(self, checkout_id):
        self.simulator.authorise(checkout_id)
        self.payers[checkout_id] += 1

    def news(self):
        fresh = len(self.simulator.webhooks(secret="s", at=self.clock.now(), after=self._heard))
        first, self._heard = self._heard, self._heard + fresh

        def telling(number):
            def message():
                at = self.clock.now()
                return self.simulator.webhooks(secret=stripe_world.WHSEC, at=at, after=number)[0]

            return message

        return [telling(number) for number in range(first, self._heard)]

    def finish(self):
        super().finish()
        for checkout_id, _ in self.checkouts():
            found = self.simulator.session(checkout_id)
            intent = found.get("payment_intent", found)
            if intent and intent["status"] == "requires_capture" and self.is_old(intent["created"], days=7):
                self.simulator.cancel_payment(checkout_id)

    def returned(self, checkout_id):
        return {"session_id": checkout_id}

    def checkouts(self):
        intents = [intent for intent in self._intents() if self.options]
        return [
            (found["id"], found["metadata"]["topup_id"])
            for found in (*self.simulator.all_of("checkout.session"), *intents)
        ]

    def _intents(self):
        return self.simulator.all_of("payment_intent")

    def captured(self):
        checkout_of = {session["payment_intent"]: session["id"] for session in self.simulator.sessions()}
        return [
            Captured(
                intent["id"],
                checkout_of.get(intent["id"], intent["id"]),
                Money.from_minor(intent["amount_received"], "EUR"),
            )
            for intent in self._intents()
            if intent["status"] == "succeeded"
        ]

    def given_back(self):
        return [
            GivenBack(
                refund["metadata"].get("refund_id"),
                refund["payment_intent"],
                Money.from_minor(refund["amount"], "EUR"),
                refund["status"] == "succeeded",
            )
            for refund in self.simulator.all_of("refund")
        ]


class StripeForm(Stripe):
    options: ClassVar[dict[str, Any]] = stripe_world.FORM


class Razorpay(Provider):
    name, currency = "razorpay", "INR"
    foreign, lies = ("duplicate",), ("wrong-amount",)

    def __init__(self, clock, random):
        super().__init__(clock, random)
        self.simulator = razorpay_world.simulated(clock).start()

    def gateway(self, timeout_s=1):
        return razorpay_world.configured(api_base=self.simulator.url, timeout_s=timeout_s)

    def names_an_object(self, request):
        # Orders are looked for by our own reference. One that is shown with another sum is taken for a stranger's.
        return request.method == "GET" and request.path != "/v1/orders"

    def acts(self):
        return (self.pay, self.pay, self.pay_other, self.pay_twice, self.fail, self.try_to, self.authorise)

    def pay(self, order_id, **lies):
        self.simulator.pay(order_id, **lies)
        self.payers[order_id] += 1

    def pay_other(self, order_id):
        self.pay(order_id, amount=self.simulator.one(order_id)["amount"] + 100)

    def pay_twice(self, order_id):
        self.pay(order_id)
        self.pay(order_id)

    def fail(self, order_id):
        self.simulator.fail(order_id)

    def authorise(self, order_id):
        self.simulator.authorise(order_id)
        self.payers[order_id] += 1

    def try_to(self, order_id):
        """Begin a payment of which nobody knows yet what becomes; some come in after they seemed to have failed."""
        payment_id = self.simulator.attempt(order_id)
        self.payers[order_id] += 1
        self.under_way.append(lambda: self._time_out(payment_id))

    def _time_out(self, payment_id):
        comes_in = self.random.random() < 0.5
        if not comes_in or self.random.random() < 0.7:
            self.simulator.time_out(payment_id)
        if comes_in:
            self.under_way.append(lambda: self._come_in(payment_id))

    def _come_in(self, payment_id):
        try:
            self.simulator.answer_of_bank(payment_id)
        except ValueError:  # more than three days ago
            return
        if self.random.random() < 0.5:
            self.simulator.capture(payment_id)

    def go_on(self):
        pending = [refund for refund in self.simulator.all_of("refund") if refund["status"] == "pending"]
        for refund in pending:
            status = "processed" if self.random.random() < 0.8 else "failed"
            self.simulator.finish_refund(refund["id"], status=status)
        super().go_on()

    def finish(self):
        self.go_on()
        super().finish()
        for payment in self.simulator.all_of("payment"):
            if payment["status"] == "authorized" and self.is_old(payment["created_at"], days=3):
                self.simulator.give_back(payment["id"])

    def statuses(self):
        kinds = ("order", "payment", "refund")
        return {(kind, found["id"]): found["status"] for kind in kinds for found in self.simulator.all_of(kind)}

    def messages(self, key, status):
        kind, object_id = key
        events = {
            ("order", "paid"): "order.paid",
            ("payment", "authorized"): "payment.authorized",
            ("payment", "captured"): "payment.captured",
            ("payment", "failed"): "payment.failed",
            ("refund", "pending"): "refund.created",
            ("refund", "processed"): "refund.processed",
            ("refund", "failed"): "refund.failed",
        }
        if (kind, status) not in events:
            return []
        signed = self.simulator.webhook(
            events[kind, status], object_id, secret=razorpay_world.WEBHOOK_SECRET, at=self.clock.now()
        )
        return [lambda: signed]

    def returned(self, order_id):
        try:
            return self.simulator.callback(order_id)
        except StopIteration:
            return {}

    def checkouts(self):
        return [(order["id"], order["receipt"]) for order in self.simulator.all_of("order")]

    def captured(self):
        return [
            Captured(payment["id"], payment["order_id"], Money.from_minor(payment["amount"], "INR"))
            for payment in self.simulator.all_of("payment")
            if payment["captured"]
        ]

    def given_back(self):
        return [
            GivenBack(
                refund["receipt"],
                refund["payment_id"],
                Money.from_minor(refund["amount"], "INR"),
                {"processed": True, "failed": False}.get(refund["status"]),
            )
            for refund in self.simulator.all_of("refund")
        ]


class PayPal(Provider):
    name, currency = "paypal", "EUR"
    foreign, lies = ("wrong-merchant",), ("wrong-amount",)

    def __init__(self, clock, random):
        super().__init__(clock, random)
        self.simulator = paypal_world.simulated(clock).start()
        self._gone: list[Any] = []

    def gateway(self, timeout_s=1):
        return paypal_world.configured(api_base=self.simulator.url, timeout_s=timeout_s)

    def acts(self):
        return (self.approve, self.approve, self.approve, self.pay, self.pay_other, self.poor, self.slow, self.vanish)

    def approve(self, order_id):
        self.simulator.approve(order_id)
        self.payers[order_id] = 1

    def pay(self, order_id, **lies):
        self.simulator.pay(order_id, **lies)
        self.payers[order_id] = 1

    def pay_other(self, order_id):
        total = self.simulator.order(order_id)["purchase_units"][0]["amount"]["value"]
        self.pay(order_id, amount=str(Decimal(total) + 1))

    def poor(self, order_id):
        self.approve(order_id)
        self.simulator.decline_next_capture(order_id)

    def slow(self, order_id):
        self.approve(order_id)
        self.simulator.pend_next_capture(order_id)

    def vanish(self, order_id):
        order = self.simulator.order(order_id)
        if order["status"] != "PAYER_ACTION_REQUIRED":
            raise ValueError(order["status"])
        self._forget(order)

    def act(self, checkout_id):
        if any(order["id"] == checkout_id for order in self._gone):
            raise ValueError("gone")
        try:
            super().act(checkout_id)
        except Refused as refused:
            raise ValueError(refused.status) from None

    def go_on(self):
        for order in self.simulator.orders():
            for capture in _captures(order):
                if capture["status"] == "PENDING":
                    end = self.simulator.complete if self.random.random() < 0.7 else self.simulator.deny
                    end(order["id"])

    def finish(self):
        self.go_on()
        for order in self.simulator.orders():
            made_at = datetime.fromisoformat(order["create_time"]).timestamp()
            if order["status"] == "APPROVED" and self.is_old(int(made_at), days=3):
                self._forget(order)

    def _forget(self, order):
        self._gone.append(order)
        self.simulator.vanish(order["id"])

    def statuses(self):
        found = {}
        for order in self.simulator.orders():
            found["order", order["id"]] = order["status"]
            for capture in _captures(order):
                found["capture", order["id"]] = capture["status"]
            for refund in order["purchase_units"][0].get("payments", {}).get("refunds", []):
                found["refund", refund["id"]] = refund["status"]
        return found

    def messages(self, key, status):
        kind, object_id = key
        events = {
            ("order", "APPROVED"): "CHECKOUT.ORDER.APPROVED",
            ("order", "COMPLETED"): "CHECKOUT.ORDER.COMPLETED",
            ("capture", "COMPLETED"): "PAYMENT.CAPTURE.COMPLETED",
            ("capture", "PENDING"): "PAYMENT.CAPTURE.PENDING",
            ("capture", "DECLINED"): "PAYMENT.CAPTURE.DENIED",
            ("refund", "COMPLETED"): "PAYMENT.CAPTURE.REFUNDED",
        }
        if (kind, status) not in events:
            return []
        _, body = self.simulator.webhook(events[kind, status], object_id)
        return [lambda: (self.simulator.signed(body, at=self.clock.now()), body)]

    def returned(self, order_id):
        return {"token": order_id, "PayerID": "PAYER"}

    def checkouts(self):
        return [
            (order["id"], order["purchase_units"][0]["custom_id"]) for order in (*self.simulator.orders(), *self._gone)
        ]

    def captured(self):
        return [
            Captured(capture["id"], order["id"], Money.of(capture["amount"]["value"], "EUR"))
            for order in self.simulator.orders()
            for capture in _captures(order)
            if capture["status"] in {"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"}
        ]

    def given_back(self):
        return [
            GivenBack(
                refund.get("invoice_id"),
                capture["id"],
                Money.of(refund["amount"]["value"], "EUR"),
                refund["status"] == "COMPLETED",
            )
            for order in self.simulator.orders()
            for capture in _captures(order)
            for refund in order["purchase_units"][0]["payments"].get("refunds", [])
        ]


def _captures(order):
    return order["purchase_units"][0].get("payments", {}).get("captures", [])
