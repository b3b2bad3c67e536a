"""Drivers of the contract kit: what the providers of our own adapters can be made to do."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import ClassVar

import stripe

from prepaid.core.instants import to_micros
from prepaid.gateways import BankTransferGateway, SimulatedGateway, StripeGateway
from prepaid.gateways.signed import sign
from prepaid.gateways.simulated import SIGNATURE_HEADER
from prepaid.gateways.stripe_currencies import to_wire
from prepaid.testing import GatewayContract, ProviderDriver
from prepaid.testing.contract import NotOffered
from prepaid.testing.simulators.stripe import StripeSimulator

MEMORY = "/dev/shm"  # each call of the simulated gateway waits for a disk, otherwise
SECRET = "never-to-be-seen-anywhere"


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

    def __init__(self, clock):
        self.clock = clock
        self.simulator = StripeSimulator(secret_key=self.key, clock=clock).start()
        self.waits = stripe.HTTPClient.INITIAL_DELAY, stripe.HTTPClient.MAX_DELAY
        stripe.HTTPClient.INITIAL_DELAY = stripe.HTTPClient.MAX_DELAY = 0.01

    def close(self):
        stripe.HTTPClient.INITIAL_DELAY, stripe.HTTPClient.MAX_DELAY = self.waits
        self.simulator.stop()

    def pay(self, checkout_id):
        self.simulator.pay(checkout_id)

    def pay_other(self, checkout_id, amount):
        self.simulator.pay(checkout_id, amount=to_wire(amount))

    def pay_later(self, checkout_id):
        self.simulator.complete_later(checkout_id)

    def fail(self, checkout_id):
        self.simulator.complete_later(checkout_id)
        self.simulator.fail(checkout_id)

    def webhook(self, checkout_id, *, at=None, forged=False, other_mode=False):
        at = at or self.clock.now()
        secret = "whsec_theirs" if forged else self.webhook_secret
        _, body = self.simulator.webhook("checkout.session.completed", checkout_id, secret=secret, at=at)
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
        if kind == "foreign" and operation == "create_checkout":
            raise NotOffered("a session that was just created has no id to compare with")
        self.simulator.fault_next(name, times=times)


class StripeContract(GatewayContract):
    """The contract of the Stripe adapter, over sockets, with the real SDK."""

    secrets = (StripeDriver.key, StripeDriver.webhook_secret)

    def provider(self):
        return StripeDriver(self.clock)

    def gateway(self, **changes):
        options = {"secret_key": StripeDriver.key, "webhook_secrets": (StripeDriver.webhook_secret,), "timeout_s": 1}
        return StripeGateway(api_base=self.driver.simulator.url, **options | changes)

    def without_webhook_secret(self):
        return self.gateway(webhook_secrets=())
