"""Drivers of the contract kit: what the providers of our own adapters can be made to do."""

from __future__ import annotations

import hashlib
import hmac
import json
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar
from unittest import mock

from prepaid.core.instants import to_micros
from prepaid.gateways import (
    BankTransferGateway,
    PayPalGateway,
    RazorpayGateway,
    SimulatedGateway,
    StripeGateway,
    paypal_currencies,
    razorpay_currencies,
    stripe_currencies,
)
from prepaid.gateways.signed import sign
from prepaid.gateways.simulated import SIGNATURE_HEADER
from prepaid.testing import GatewayContract, ProviderDriver
from prepaid.testing.contract import NotOffered
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.paypal import MERCHANT_ID, PayPalSimulator
from prepaid.testing.simulators.razorpay import RazorpaySimulator
from prepaid.testing.simulators.stripe import StripeSimulator

MEMORY = "/dev/shm"  # each call of the simulated gateway waits for a disk, otherwise
SECRET = "never-to-be-seen-anywhere"
PAGE = 2  # so that three of anything are more than a page
HONEST = Fault(spoil=lambda answer: answer)


def patched(values):
    """Set attributes of modules, by their full names, until what is given back is closed."""
    patches = ExitStack()
    for name, value in values.items():
        patches.enter_context(mock.patch(name, value))
    return patches


class SimulatedDriver(ProviderDriver):
    """Plays payers and faults of a `SimulatedGateway`."""

    faults: ClassVar = {
        "unreachable": "unavailable",
        "lost-answer": "timeout-after-accept",
        "unreadable": "unreadable",
        "foreign": "unreadable",
        "stall": "stall",
        "rate-limit": "rate-limit",
    }

    def __init__(self, simulated, clock):
        self.simulated, self.clock = simulated, clock

    def pay(self, checkout_id):
        self.simulated.pay(checkout_id)

    def pay_other(self, checkout_id, amount):
        self.simulated.pay(checkout_id, amount=amount)

    def pay_again(self, checkout_id):
        self.simulated.pay_again(checkout_id)

    def pay_later(self, checkout_id):
        self.simulated.pay(checkout_id, later=True)

    def fail(self, checkout_id):
        self.simulated.fail(checkout_id)

    def dispute(self, checkout_id):
        self.simulated.dispute(checkout_id)

    def refund_at_provider(self, checkout_id, amount):
        self.simulated.refund_at_provider(checkout_id, amount)

    def webhook(self, checkout_id, *, at=None, forged=False, other_mode=False):
        delivery = [told for told in self.simulated.events() if told.checkout_id == checkout_id][-1]
        if other_mode:
            body = delivery.body.replace(b'"mode":"test"', b'"mode":"live"')
            return self.sign(body), body
        return delivery.request("theirs" if forged else None, at)

    def sign(self, body):
        return {SIGNATURE_HEADER: sign(body, SECRET, at=to_micros(self.clock.now()) // 1_000_000)}

    def break_next(self, kind, operation):
        self.simulated.fault_next(operation, self.faults[kind])


class SimulatedContract(GatewayContract):
    """The contract of the simulated gateway; `kind` and `options` let planted gateways stand in."""

    secrets = (SECRET,)
    folder_in = MEMORY if Path(MEMORY).is_dir() else None
    exemptions: ClassVar = {"G06": "before it is bound it goes by the machine's clock, for demonstrations"}
    kind = SimulatedGateway
    options: ClassVar = {}

    def provider(self):
        return SimulatedDriver(self.gateway().bind("test", self.clock), self.clock)

    def gateway(self):
        options = {"state": self.folder / "sim.db", "webhook_secrets": (SECRET,), "timeout_s": 1, "page_size": 2}
        return self.kind(**options | self.options)

    def without_webhook_secret(self):
        return self.kind(state=self.folder / "sim.db", webhook_secrets=())


class BankTransferDriver(ProviderDriver):
    """An account whose incoming transfers an operator confirms."""

    def __init__(self, amounts, clock):
        self.amounts, self.clock, self.received = amounts, clock, {}

    def pay(self, checkout_id):
        self.pay_other(checkout_id, self.amounts[checkout_id])

    def pay_other(self, checkout_id, amount):
        evidence = f"statement 1, line {len(self.received) + 1}"
        self.received[checkout_id] = {"received": amount, "evidence": evidence, "at": self.clock.now()}

    def confirmation(self, checkout_id):
        return self.received.get(checkout_id)


class BankTransferContract(GatewayContract):
    """The contract of bank transfer: no network, no webhooks, an operator."""

    modes = ("test", "live")
    kind = BankTransferGateway
    exemptions: ClassVar = {
        "G11": "there is nothing to reach",
        "G14": "nothing is kept under a key: the reference is that of the top-up, whatever is asked for it",
        "G21": "a transfer on its way cannot be called back",
    }

    def provider(self):
        self.amounts = {}
        return BankTransferDriver(self.amounts, self.clock)

    def gateway(self):
        return self.kind(account_holder="Nimbus GmbH", iban="DE89370400440532013000", currencies=("EUR", "JPY", "KWD"))

    def opened(self, amount=None):
        ref = super().opened(amount)
        self.amounts[ref.checkout_id] = amount or self.amount()
        return ref


class StripeDriver(ProviderDriver):
    """Plays payers, banks and faults of the simulator of Stripe."""

    key = "sk_test_51NotARealKeyButSecret"
    webhook_secret = "whsec_NotARealSecretEither"
    retries = 3
    faults: ClassVar = {
        "unreachable": ("drop", retries),
        "lost-answer": ("accept-then-drop", retries),
        "unreadable": ("truncated", 1),
        "foreign": ("wrong-id", 1),
        "stall": ("stall", retries),
        "rate-limit": ("429", 1),
    }
    look_ups: ClassVar = {"capture": 1}  # how many requests look what there is, before one writes

    def __init__(self, clock):
        self.clock = clock
        self.simulator = StripeSimulator(secret_key=self.key, clock=clock).start()
        short_waits = dict.fromkeys(("stripe.HTTPClient.INITIAL_DELAY", "stripe.HTTPClient.MAX_DELAY"), 0.01)
        small_pages = {f"prepaid.gateways.stripe_listings.{page}": PAGE for page in ("PAGE", "DISPUTES_PAGE")}
        self.patches = patched(short_waits | small_pages)

    def close(self):
        self.patches.close()
        self.simulator.stop()

    def pay(self, checkout_id):
        self.simulator.pay(checkout_id)

    def pay_other(self, checkout_id, amount):
        self.simulator.pay(checkout_id, amount=stripe_currencies.to_wire(amount))

    def pay_again(self, checkout_id):
        raise NotOffered("a session has one PaymentIntent, and that one charge that succeeds")

    def pay_later(self, checkout_id):
        self.simulator.complete_later(checkout_id)

    def authorise(self, checkout_id):
        self.simulator.authorise(checkout_id)

    def fail(self, checkout_id):
        self.simulator.complete_later(checkout_id)
        self.simulator.fail(checkout_id)

    def dispute(self, checkout_id):
        self.simulator.dispute(checkout_id)

    def refund_at_provider(self, checkout_id, amount):
        self.simulator.refund(checkout_id, stripe_currencies.to_wire(amount))

    def webhook(self, checkout_id, *, at=None, forged=False, other_mode=False):
        at = at or self.clock.now()
        secret = "whsec_theirs" if forged else self.webhook_secret
        told = "checkout.session.completed" if checkout_id.startswith("cs_") else "payment_intent.succeeded"
        _, body = self.simulator.webhook(told, checkout_id, secret=secret, at=at)
        # One happening is one event, however often it is delivered.
        event = {**json.loads(body), "id": f"evt_{checkout_id}", "created": 1}
        if other_mode:
            event["livemode"] = True
        body = json.dumps(event).encode()
        return self.sign(body, secret=secret, at=at), body

    def sign(self, body, *, secret=webhook_secret, at=None):
        second = to_micros(at or self.clock.now()) // 1_000_000
        digest = hmac.new(secret.encode(), b"%d.%s" % (second, body), hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={second},v1={digest}"}

    def break_next(self, kind, operation):
        name, times = self.faults[kind]
        self.simulator.fault_next(HONEST, times=self.look_ups.get(operation, 0))
        self.simulator.fault_next(name, times=times)


class StripeContract(GatewayContract):
    """The contract of the Stripe adapter with Stripe's own page, over sockets, with the real SDK."""

    secrets = (StripeDriver.key, StripeDriver.webhook_secret)
    options: ClassVar = {}

    def provider(self):
        return StripeDriver(self.clock)

    def gateway(self, **changes):
        options = {"secret_key": StripeDriver.key, "webhook_secrets": (StripeDriver.webhook_secret,), "timeout_s": 2}
        return StripeGateway(api_base=self.driver.simulator.url, **options | self.options | changes)

    def without_webhook_secret(self):
        return self.gateway(webhook_secrets=())


class StripeFormContract(StripeContract):
    """The contract of the Stripe adapter with a form on the host's page."""

    options: ClassVar = {"flow": "payment_intent", "publishable_key": "pk_test_51NotASecretAtAll"}


class RazorpayDriver(ProviderDriver):
    """Plays payers, banks and faults of the simulator of Razorpay."""

    key_id = "rzp_test_NotARealKeyId"
    key_secret = "NotARealKeySecret"
    webhook_secret = "NotARealWebhookSecret"
    faults: ClassVar = {
        "unreachable": "drop",
        "lost-answer": "accept-then-drop",
        "unreadable": "truncated",
        "foreign": "wrong-id",
        "stall": "stall",
        "rate-limit": "429",
    }
    look_ups: ClassVar = {"create_checkout": 1, "refund": 1, "capture": 2}

    def __init__(self, clock):
        self.clock = clock
        self.simulator = RazorpaySimulator(key_id=self.key_id, key_secret=self.key_secret, clock=clock).start()
        self.patches = patched({"prepaid.gateways.razorpay_lookups.PAGE": PAGE})

    def close(self):
        self.patches.close()
        self.simulator.stop()

    def pay(self, checkout_id):
        self.simulator.authorise(checkout_id)

    def pay_other(self, checkout_id, amount):
        self.simulator.authorise(checkout_id, amount=razorpay_currencies.to_wire(amount))

    def pay_again(self, checkout_id):
        self.simulator.pay(checkout_id)

    def pay_later(self, checkout_id):
        self.simulator.attempt(checkout_id)

    def fail(self, checkout_id):
        self.simulator.fail(checkout_id)

    def dispute(self, checkout_id):
        self.simulator.dispute(self.payment_of(checkout_id))

    def refund_at_provider(self, checkout_id, amount):
        self.simulator.refund(self.payment_of(checkout_id), razorpay_currencies.to_wire(amount))

    def payment_of(self, checkout_id):
        [payment_id] = [one["id"] for one in self.simulator.all_of("payment") if one["order_id"] == checkout_id]
        return payment_id

    def webhook(self, checkout_id, *, at=None, forged=False, other_mode=False):
        if other_mode:
            raise NotOffered("an event of Razorpay names no mode")
        secret = "theirs" if forged else self.webhook_secret
        at = at or self.clock.now()
        headers, body = self.simulator.webhook("payment.captured", checkout_id, secret=secret, at=at)
        # One happening is one event, however often it is delivered.
        return {**headers, "x-razorpay-event-id": checkout_id.removeprefix("order_")}, body

    def sign(self, body):
        return {"x-razorpay-signature": hmac.new(self.webhook_secret.encode(), body, hashlib.sha256).hexdigest()}

    def return_params(self, checkout_id):
        return self.simulator.callback(checkout_id)

    def break_next(self, kind, operation):
        self.simulator.fault_next(HONEST, times=self.look_ups.get(operation, 0))
        self.simulator.fault_next(self.faults[kind])


class RazorpayContract(GatewayContract):
    """The contract of the Razorpay adapter, over sockets, with the real SDK."""

    secrets = (RazorpayDriver.key_secret, RazorpayDriver.webhook_secret)
    exemptions: ClassVar = {"G21": "an order cannot be closed: canceled says that we gave it up"}

    def provider(self):
        return RazorpayDriver(self.clock)

    def gateway(self, **changes):
        options = {
            "key_id": RazorpayDriver.key_id,
            "key_secret": RazorpayDriver.key_secret,
            "webhook_secrets": (RazorpayDriver.webhook_secret,),
            "timeout_s": 2,
        }
        return RazorpayGateway(api_base=self.driver.simulator.url, **options | changes)

    def without_webhook_secret(self):
        return self.gateway(webhook_secrets=())


class PayPalDriver(ProviderDriver):
    """Plays payers, banks and faults of the simulator of PayPal."""

    client_id = "AClientIdButSecretEnough"
    client_secret = "EClientSecretNotARealOne"
    webhook_id = "8PT597110X687430LKGECATA"
    faults = RazorpayDriver.faults
    look_ups: ClassVar = {"capture": 1}

    def __init__(self, clock):
        self.clock, self.told = clock, {}
        known = {"client_id": self.client_id, "client_secret": self.client_secret, "webhook_id": self.webhook_id}
        self.simulator = PayPalSimulator(clock=clock, **known).start()
        pages = ("PAYMENTS_PER_PAGE", "REFUNDS_PER_PAGE", "_DISPUTES_PER_PAGE")
        self.patches = patched({f"prepaid.gateways.paypal.{page}": PAGE for page in pages})

    def close(self):
        self.patches.close()
        self.simulator.stop()

    def pay(self, checkout_id):
        self.simulator.approve(checkout_id)

    def pay_other(self, checkout_id, amount):
        self.simulator.change_amount(checkout_id, paypal_currencies.to_wire(amount))
        self.simulator.approve(checkout_id)

    def pay_again(self, checkout_id):
        raise NotOffered("an order is captured once")

    def pay_later(self, checkout_id):
        self.simulator.pend_next_capture(checkout_id)
        self.simulator.pay(checkout_id)

    def fail(self, checkout_id):
        self.pay_later(checkout_id)
        self.simulator.deny(checkout_id)

    def dispute(self, checkout_id):
        self.simulator.dispute(checkout_id)

    def refund_at_provider(self, checkout_id, amount):
        self.simulator.refund(checkout_id, paypal_currencies.to_wire(amount))

    def webhook(self, checkout_id, *, at=None, forged=False, other_mode=False):
        if checkout_id not in self.told:  # one happening is one event, however often it is delivered
            _, self.told[checkout_id] = self.simulator.webhook("PAYMENT.CAPTURE.COMPLETED", checkout_id)
        body = self.told[checkout_id]
        headers = self.simulator.signed(
            body, at=at or self.clock.now(), webhook_id="THEIRS" if forged else self.webhook_id
        )
        # Which mode PayPal signed in, the certificate's host tells, and nothing else.
        live = {"paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-1"}
        return headers | (live if other_mode else {}), body

    def sign(self, body):
        return self.simulator.signed(body, at=self.clock.now())

    def break_next(self, kind, operation):
        if operation == "check_credentials":
            return self.simulator.fault_next_token(self.faults[kind])
        self.simulator.fault_next(HONEST, times=self.look_ups.get(operation, 0))
        return self.simulator.fault_next(self.faults[kind])


class PayPalContract(GatewayContract):
    """The contract of the PayPal adapter, over sockets, with the real SDK."""

    secrets = (PayPalDriver.client_id, PayPalDriver.client_secret)
    forgets_checkouts = True
    exemptions: ClassVar = {"G60": "an order does not tell of its disputes: webhooks and the list of disputes do"}

    def provider(self):
        return PayPalDriver(self.clock)

    def gateway(self, **changes):
        options = {
            "client_id": PayPalDriver.client_id,
            "client_secret": PayPalDriver.client_secret,
            "webhook_id": PayPalDriver.webhook_id,
            "merchant_id": MERCHANT_ID,
            "timeout_s": 2,
        }
        return PayPalGateway(api_base=self.driver.simulator.url, **options | changes)

    def without_webhook_secret(self):
        return self.gateway(webhook_id="")
