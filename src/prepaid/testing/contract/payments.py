"""Rules of reading payments, of capturing them, and of confirmations by an operator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from unittest import SkipTest

from attrs import fields

from ...core.errors import GatewayError
from ...core.money import Money
from ...ports import ConfirmedByOperator, PaymentRef, PaymentSnapshot
from .base import ContractBase
from .driver import offers
from .rules import broken, demand, rule


class Payments(ContractBase):
    """Rules of reading payments, of capturing them, and of confirmations by an operator."""

    @rule(24)
    def test_g24_amounts(self) -> None:
        """A paid checkout is captured with exactly the amount and currency asked for, in every kind of currency."""
        for currency in self.currencies():
            amount = self.amount(currency)
            payment = self.read(self.paid(amount))
            demand(
                payment.captured == amount, f"{amount} came back as {payment.captured}: use the provider's own table"
            )

    @rule(25)
    def test_g25_payment_id(self) -> None:
        """A captured payment has an id that stays the same and that no other payment has."""
        ref, other = self.paid(), self.paid()
        demand(ref.payment_id and len(ref.payment_id) <= 191, "payment_id is the provider's id of the money")
        reads = {self.read(ref).payment_id for _ in range(3)}
        demand(reads == {ref.payment_id}, "payment_id is the same at every read; credit is given once per id")
        demand(ref.payment_id != other.payment_id, "payment_id is of the money, and no other payment's")

    @rule(26)
    def test_g26_nothing_captured(self) -> None:
        """What failed or is still on its way is not captured and holds no money."""
        acts = [act for act in ("fail", "pay_later") if offers(self.driver, act)]
        if not acts:
            raise SkipTest("the driver offers neither fail() nor pay_later()")
        for act in acts:
            ref = self.opened()
            getattr(self.driver, act)(ref.checkout_id)
            payment = self.read(ref)
            wanted = {"failed", "open"} if act == "fail" else {"processing"}
            demand(payment.state in wanted, f"after {act}() the state is {' or '.join(wanted)}, not {payment.state}")
            demand(payment.captured is None, f"after {act}() nothing is captured")

    @rule(27)
    def test_g27_what_was_paid(self) -> None:
        """What is reported as captured is what was captured, also where that is not what was asked for."""
        ref = self.opened()
        step = self.can.currencies[self.currencies()[0]].step
        other = self.amount() + step
        self.driver.pay_other(ref.checkout_id, other)
        payment = self.read(ref)
        came = payment.captured if payment.state == "captured" else payment.authorised
        demand(came == other, f"report the {other} that came, not what was asked for; the core judges it")

    @rule(28)
    def test_g28_mode_and_account(self) -> None:
        """A payment tells mode and account if that is claimed."""
        if not (self.can.reports_mode or self.can.reports_account):
            raise SkipTest("the gateway claims neither reports_mode nor reports_account")
        payment = self.read(self.paid())
        if self.can.reports_mode:
            demand(payment.mode == self.mode, f"mode is what the provider reports, {self.mode}, not {payment.mode}")
        if self.can.reports_account:
            demand(payment.account is not None, "account is the merchant account that the money went to")
            demand(payment.account == self.bound.account, "account of a payment compares with account of the gateway")

    @rule(29)
    def test_g29_types(self) -> None:
        """Every field of a snapshot has its type: amounts are Money, instants are aware, no float is anywhere."""
        ref = self.opened()
        opened = self.bound.fetch_payment(ref)
        self.driver.pay(ref.checkout_id)
        for payment in (opened, self.read(ref)):
            for name, problem in _mistyped(payment):
                broken(f"{name} of a payment is {problem}")

    @rule(30)
    def test_g30_paid_twice(self) -> None:
        """A checkout that was paid twice tells of both payments."""
        ref = self.paid()
        self.driver.pay_again(ref.checkout_id)
        payment = self.read(ref)
        ids = {payment.payment_id, *(other.payment_id for other in payment.further)}
        demand(len(payment.further) == 1 and len(ids) == 2, "further holds every other captured payment of a checkout")
        demand(ref.payment_id in ids, "the first payment is still told of")
        for other in payment.further:
            demand(other.state == "captured" and other.captured, "what is in further is captured")
            demand(not other.further, "payments in further have none in turn")

    @rule(31)
    def test_g31_authorised(self) -> None:
        """Money that waits for our call is authorised, with its amount, and not captured."""
        payment = self.read(self.authorised())
        demand(payment.state == "authorised", f"money that waits for us is authorised, not {payment.state}")
        demand(payment.captured is None, "authorised money is not captured")
        demand(payment.authorised == self.amount(), "authorised is the amount that waits for us")

    @rule(32)
    def test_g32_capture(self) -> None:
        """Capturing takes the whole, and taken before counts as taken."""
        ref = self.authorised()
        amount = self.amount()
        first = self.bound.capture(ref, amount, key=f"{ref.topup_id}:capture")
        demand(first.state == "captured" and first.captured == amount, "capture gives the payment as it is afterwards")
        for key in (f"{ref.topup_id}:capture", "another-key"):
            again = self._captured_again(ref, amount, key)
            demand(again.captured == amount, "capturing again gives the payment as it is")
            demand(again.payment_id == first.payment_id, "capturing again makes no other payment")

    @rule(33)
    def test_g33_capture_unpaid(self) -> None:
        """Capturing an unpaid checkout takes nothing and claims nothing."""
        self.claimed("needs_capture")
        ref = self.opened()
        try:
            payment = self.bound.capture(ref, self.amount(), key="key")
        except GatewayError:
            return
        demand(payment.captured is None, "an unpaid checkout cannot be captured: raise GatewayError")

    @rule(34)
    def test_g34_confirmation(self) -> None:
        """A confirmation is always the same payment, and one piece of evidence pays one top-up."""
        if not isinstance(self.bound, ConfirmedByOperator):
            raise SkipTest("the gateway is not confirmed by an operator")
        first, second = self.opened(), self.opened()
        told: dict[str, Any] = {"received": self.amount(), "evidence": "statement 7, line 3", "at": self.clock.now()}
        paid = self.bound.confirmed(first, **told)
        demand(paid == self.bound.confirmed(first, **told), "confirmed() is pure: the same in, the same out")
        demand(paid.state == "captured" and paid.captured == self.amount(), "a confirmation is a captured payment")
        twice = self.bound.confirmed(second, **told)
        demand(twice.payment_id == paid.payment_id, "payment_id follows from the evidence alone, not from the top-up")
        other = self.bound.confirmed(second, **{**told, "evidence": "statement 7, line 4"})
        demand(other.payment_id != paid.payment_id, "other evidence is another payment")

    def _captured_again(self, ref: PaymentRef, amount: Money, key: str) -> PaymentSnapshot:
        try:
            return self.bound.capture(ref, amount, key=key)
        except GatewayError:
            broken("what was captured before is no error: re-read the payment and give it")


def _is_instant(value: object) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None


_TYPES: dict[str, tuple[Callable[[object], bool], str]] = {
    **dict.fromkeys(
        ("authorised", "captured", "fee", "refunded"),
        (lambda value: value is None or isinstance(value, Money), "Money or None, never a number"),
    ),
    **dict.fromkeys(
        ("payment_id", "topup_id", "account"),
        (lambda value: value is None or isinstance(value, str), "a string or None"),
    ),
    **dict.fromkeys(("method", "failure"), (lambda value: isinstance(value, str), "a string, or empty")),
    "created_at": (lambda value: value is None or _is_instant(value), "an aware datetime or None"),
    **dict.fromkeys(("disputed", "fee_follows"), (lambda value: isinstance(value, bool), "True or False")),
    "further": (lambda value: isinstance(value, tuple), "a tuple"),
    "mode": (lambda value: value in {None, "test", "live"}, "'test', 'live' or None"),
}


def _mistyped(payment: PaymentSnapshot) -> list[tuple[str, str]]:
    names = [attribute.name for attribute in fields(type(payment)) if attribute.name in _TYPES]
    return [(name, _TYPES[name][1]) for name in names if not _TYPES[name][0](getattr(payment, name))]
