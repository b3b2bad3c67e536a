"""Rules of creating and cancelling checkouts."""

from __future__ import annotations

import json
from contextlib import suppress
from unittest import SkipTest

from attrs import evolve

from ...core.errors import GatewayError
from ...core.money import MINOR_DIGITS, Money
from ...ports import Checkout, PaymentRef
from .base import ContractBase, at_once, no_network, refused
from .rules import demand, rule

_THREADS = 4


class Checkouts(ContractBase):
    """Rules of creating and cancelling checkouts."""

    @rule(12)
    def test_g12_interaction(self) -> None:
        """A checkout is of the interaction that is claimed and of no other, and can be stored."""
        checkout = self.bound.create_checkout(self.request())
        ways = {
            "redirect": checkout.redirect_url,
            "widget": checkout.widget,
            "instructions": checkout.instructions,
        }
        there = [name for name, way in ways.items() if way is not None]
        demand(there == [self.can.interaction], f"give {self.can.interaction}, as claimed, and nothing else")
        demand(_can_be_stored(checkout), "checkout_id is 1 to 191 printable characters, the rest is text or plain JSON")

    @rule(13)
    def test_g13_same_request(self) -> None:
        """The same request again gives the same checkout, as long as is claimed."""
        self.claimed("create_key_valid_s")
        request = self.request()
        first = self.bound.create_checkout(request)
        self.clock.advance(seconds=min(self.can.create_key_valid_s - 1, 60))
        again = self.bound.create_checkout(request)
        demand(again.checkout_id == first.checkout_id, "send request.key as idempotency key, or look up by topup_id")

    @rule(14)
    def test_g14_key_conflict(self) -> None:
        """A key that comes with another amount is refused, not answered with either checkout."""
        self.claimed("create_key_valid_s")
        request = self.request()
        self.bound.create_checkout(request)
        step = self.can.currencies[request.amount.currency].step
        refused(
            lambda: self.bound.create_checkout(evolve(request, amount=request.amount + step)),
            "compare what the provider has under the key with what is asked for, and raise GatewayError",
        )

    @rule(15)
    def test_g15_currency(self) -> None:
        """A currency that is not claimed is refused without asking the provider."""
        other = next((code for code in MINOR_DIGITS if code not in self.can.currencies), None)
        if other is None:
            raise SkipTest("the gateway takes every currency")
        with no_network("look a currency up in your own table before anything is sent"):
            error = refused(
                lambda: self.bound.create_checkout(self.request(amount=Money.from_minor(1234, other))),
                f"{other} is not in capabilities().currencies: raise GatewayError",
            )
        demand(not (error.retryable or error.outcome_unknown), "such a refusal is for good: not retryable, not unknown")

    @rule(16)
    def test_g16_limits(self) -> None:
        """An amount beyond the limits, or between two steps, is refused for good and never rounded."""
        currency = self.currencies()[0]
        limits = self.can.currencies[currency]
        between = Money(limits.minimum.units + 1, currency)
        for amount in (between, limits.maximum + limits.step, limits.minimum - limits.step):
            error = refused(
                lambda amount=amount: self.bound.create_checkout(self.request(amount=amount)),  # type: ignore[misc]
                f"{amount} is beyond the limits or off the step: raise GatewayError",
            )
            demand(not (error.retryable or error.outcome_unknown), f"refuse {amount} for good, not as retryable")

    @rule(17)
    def test_g17_open(self) -> None:
        """An unpaid checkout is open, and holds no money."""
        payment = self.bound.fetch_payment(self.opened())
        demand(payment.state == "open", f"before the customer acts a payment is open, not {payment.state}")
        demand(payment.captured is None and payment.authorised is None, "captured and authorised are None before")
        demand(not payment.further, "further is empty before")

    @rule(18)
    def test_g18_reference(self) -> None:
        """Our reference and the checkout's id come back exactly, before and after paying."""
        ref = self.opened()
        before = self.bound.fetch_payment(ref)
        self.driver.pay(ref.checkout_id)
        for payment in (before, self.read(ref)):
            demand(payment.topup_id == ref.topup_id, "let the provider carry topup_id, and echo it unchanged")
            demand(payment.checkout_id == ref.checkout_id, "checkout_id of a snapshot is the one that was asked for")

    @rule(19)
    def test_g19_echo(self) -> None:
        """The top-up of a snapshot is what the provider says, not what was asked for."""
        mine, theirs = self.opened(), self.opened()
        crossed = PaymentRef(topup_id=mine.topup_id, checkout_id=theirs.checkout_id)
        with suppress(GatewayError):  # refusing is as good
            payment = self.bound.fetch_payment(crossed)
            demand(payment.topup_id != mine.topup_id, "read topup_id from the provider's reply, never from ref")

    @rule(20)
    def test_g20_unknown(self) -> None:
        """A checkout that the provider does not know, or an id of no form, is a GatewayError."""
        known = self.opened().checkout_id
        for checkout_id in (f"{known[:-4]}zzzz", "", "../balance", "?limit=1", "a b", "é", "x" * 5000, "\ud800"):
            ref = PaymentRef(topup_id="top_1", checkout_id=checkout_id)
            for call in (self.bound.fetch_payment, self.bound.cancel):
                refused(
                    lambda call=call, ref=ref: call(ref),  # type: ignore[misc]
                    f"{call.__name__} of the unknown checkout {checkout_id[:12]!r} raises GatewayError",
                )

    @rule(21)
    def test_g21_cancel(self) -> None:
        """Cancelling makes a checkout unpayable and says so, or leaves it open and says that."""
        ref = self.opened()
        payment = self.bound.cancel(ref)
        if payment.state == "open":
            raise SkipTest("the provider cannot make a checkout unpayable")
        demand(payment.state in {"canceled", "expired"}, f"a cancelled checkout is canceled, not {payment.state}")
        with suppress(Exception):  # a provider may refuse in its own way
            self.driver.pay(ref.checkout_id)
        after = self.read(ref)
        demand(after.captured is None, "cancel tells the provider, so that nobody can pay afterwards")
        demand(self.bound.cancel(ref).state == after.state, "cancelling twice is harmless")

    @rule(22)
    def test_g22_cancel_paid(self) -> None:
        """Cancelling a paid checkout changes nothing and reports the money."""
        ref = self.paid()
        if self.driver.confirmation(ref.checkout_id) is not None:
            raise SkipTest("what was paid, only the operator knows")
        payment = self.bound.cancel(ref)
        demand(payment.state == "captured" and payment.captured, "re-read after a refused cancel, and report the money")

    @rule(23)
    def test_g23_threads(self) -> None:
        """One gateway serves several threads at once, and mixes nothing up."""
        requests = [self.request() for _ in range(_THREADS)]
        answers = at_once([lambda request=request: self.bound.create_checkout(request) for request in requests])  # type: ignore[misc]
        for answer in answers:
            demand(isinstance(answer, Checkout), f"calls in several threads end in {answer!r}")
        ids = [answer.checkout_id for answer in answers]
        demand(len(set(ids)) == _THREADS, "keep nothing of a call on the gateway: two threads got one checkout")
        for request, checkout_id in zip(requests, ids, strict=True):
            payment = self.bound.fetch_payment(PaymentRef(topup_id=request.topup_id, checkout_id=checkout_id))
            demand(payment.topup_id == request.topup_id, "a thread got the checkout of another thread's request")


def _can_be_stored(checkout: Checkout) -> bool:
    given = {"widget": checkout.widget, "instructions": checkout.instructions}
    plain = {name: dict(way) for name, way in given.items() if way is not None}
    texts = [checkout.checkout_id, *([] if checkout.redirect_url is None else [checkout.redirect_url])]
    try:
        return json.loads(json.dumps(plain, allow_nan=False)) == plain and all(
            isinstance(text, str) and 0 < len(text) <= 4096 and text.isprintable() for text in texts
        )
    except (TypeError, ValueError):
        return False
