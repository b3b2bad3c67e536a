"""The providers that are asked over a network, side by side, for proofs that hold of each of them."""

from __future__ import annotations

import base64
from typing import ClassVar

from prepaid import Address, Prepaid, Seller
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.gateways import paypal_world, razorpay_world, stripe_world

BACK = "https://panel.example/back"
BILLING = "https://panel.example/billing"


class Provider:
    """A simulated provider and what its customers do there; amounts are as they stand on the wire.

    Attributes:
        name: Name of the gateway.
        world: The module with its configuration.
        paid: The event that tells of a payment.
    """

    name: ClassVar[str]
    paid: ClassVar[str]

    def __init__(self, clock):
        self.clock = clock
        self.simulator = self.world.simulated(clock) if hasattr(self.world, "simulated") else self.simulated(clock)

    def __enter__(self):
        self.simulator.start()
        return self

    def __exit__(self, *problem):
        self.simulator.stop()

    def gateway(self, **changes):
        return self.world.configured(**{"api_base": self.simulator.url, **self.options, **changes})

    options: ClassVar[dict[str, object]] = {}

    def secrets(self):
        """Give by name what must never be seen."""
        raise NotImplementedError

    def checkout_id(self, topup):
        """Give the provider's id of the checkout of a top-up that was just started."""
        raise NotImplementedError

    def pay(self, checkout_id, amount=None):
        """Pay a checkout, by another amount if there is one, and give the id of the money."""
        return self.simulator.pay(checkout_id, amount=amount)

    def finish_refunds(self):
        """Let refunds that take their time arrive."""

    def webhook(self, checkout_id, payment_id):
        """Give headers and body of the webhook that tells of a payment."""
        raise NotImplementedError

    def calm(self):
        """Forget the faults that did not come to pass."""
        with self.simulator.lock:
            self.simulator._script.clear()

    def asked(self):
        """Give what was written on the wire, oldest first: what for, currency or None, amount as a string."""
        posted = [request for request in self.simulator.requests if request.method == "POST"]
        return [written for request in posted if (written := self.written(request)) is not None]


class Stripe(Provider):
    name, paid, world = "stripe", "checkout.session.completed", stripe_world

    @staticmethod
    def simulated(clock):
        return StripeSimulator(secret_key=stripe_world.KEY, clock=clock)

    def secrets(self):
        return {"stripe key": stripe_world.KEY, "stripe webhook secret": stripe_world.WHSEC}

    def checkout_id(self, topup):
        return next(one["id"] for one in self.simulator.sessions() if one["client_reference_id"] == topup.id)

    def webhook(self, checkout_id, payment_id):
        secret, at = stripe_world.WHSEC, self.clock.now()
        return self.simulator.webhook(self.paid, checkout_id, secret=secret, at=at)

    @staticmethod
    def written(request):
        form = request.form()
        if request.path == "/v1/checkout/sessions":
            [line] = form["line_items"]
            return "order", line["price_data"]["currency"], line["price_data"]["unit_amount"]
        if request.path == "/v1/payment_intents":
            return "order", form["currency"], form["amount"]
        if request.path.endswith("/capture"):
            return "capture", None, form["amount_to_capture"]
        return ("refund", None, form["amount"]) if request.path == "/v1/refunds" else None


class StripeForm(Stripe):
    """Stripe with a form on the host's page."""

    paid = "payment_intent.succeeded"
    options: ClassVar[dict[str, object]] = stripe_world.FORM

    def checkout_id(self, topup):
        intents = self.simulator.all_of("payment_intent")
        return next(one["id"] for one in intents if one["metadata"]["topup_id"] == topup.id)


class Razorpay(Provider):
    name, paid, world = "razorpay", "payment.captured", razorpay_world

    def secrets(self):
        pair = f"{razorpay_world.KEY_ID}:{razorpay_world.KEY_SECRET}"
        return {
            "razorpay key": razorpay_world.KEY_SECRET,
            "razorpay webhook secret": razorpay_world.WEBHOOK_SECRET,
            "razorpay basic": base64.b64encode(pair.encode()).decode(),
        }

    def checkout_id(self, topup):
        return topup.checkout.widget["order_id"]

    def finish_refunds(self):
        for refund in self.simulator.all_of("refund"):
            if refund["status"] == "pending":
                self.simulator.finish_refund(refund["id"])

    def webhook(self, checkout_id, payment_id):
        secret, at = razorpay_world.WEBHOOK_SECRET, self.clock.now()
        return self.simulator.webhook(self.paid, payment_id, secret=secret, at=at)

    @staticmethod
    def written(request):
        body = request.json()
        if request.path == "/v1/orders":
            return "order", body["currency"], str(body["amount"])
        if request.path.endswith("/capture"):
            return "capture", body["currency"], str(body["amount"])
        return ("refund", None, str(body["amount"])) if request.path.endswith("/refund") else None


class PayPal(Provider):
    name, paid, world = "paypal", "CHECKOUT.ORDER.COMPLETED", paypal_world

    def secrets(self):
        pair = f"{paypal_world.CLIENT_ID}:{paypal_world.CLIENT_SECRET}"
        return {
            "paypal client id": paypal_world.CLIENT_ID,
            "paypal client secret": paypal_world.CLIENT_SECRET,
            "paypal basic": base64.b64encode(pair.encode()).decode(),
        }

    def checkout_id(self, topup):
        return topup.checkout.redirect_url.partition("token=")[2]

    def webhook(self, checkout_id, payment_id):
        return self.simulator.webhook(self.paid, checkout_id)

    @staticmethod
    def written(request):
        if request.path == "/v2/checkout/orders":
            [unit] = request.json()["purchase_units"]
            return "order", unit["amount"]["currency_code"], unit["amount"]["value"]
        if request.path.endswith("/refund"):
            amount = request.json()["amount"]
            return "refund", amount["currency_code"], amount["value"]
        return None


PROVIDERS = {"stripe": Stripe, "stripe-form": StripeForm, "razorpay": Razorpay, "paypal": PayPal}


def a_billing(path, gateways, clock, **changes):
    """Make a book of its own, with one customer."""
    billing = Prepaid(
        **{
            "database": f"sqlite:///{path}/billing.db",
            "mode": "test",
            "seller": Seller(name="Nimbus", address=Address(city="Geneva", country="CH")),
            "gateways": gateways,
            "clock": clock,
            "load_plugins": False,
            "webhook_budget_s": 60,  # a busy machine is no slow gateway
            **changes,
        }
    )
    billing.upgrade_database()
    billing.customers.register("user-42", email="ada@example.com", name="Ada Lovelace")
    return billing


def start(billing, amount, *, gateway=None, key):
    """Start a top-up of the one customer."""
    topups = billing.customer("user-42").topups
    return topups.start(topups.quote(amount, gateway=gateway), return_url=BACK, cancel_url=BILLING, key=key)
