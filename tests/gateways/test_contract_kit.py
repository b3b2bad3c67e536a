"""How the kit behaves itself: what it skips and why, whom it blames, and defects beyond the first of each rule."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import ClassVar
from unittest import SkipTest

import attrs
import pytest
from attrs import frozen

from prepaid.core.errors import GatewayError, WebhookRejected
from prepaid.core.money import Money
from prepaid.gateways import BankTransferGateway, SimulatedGateway
from prepaid.ports import Capabilities, Checkout, GatewayEvent, Listing, RefundSnapshot
from prepaid.testing import GatewayContract, ProviderDriver
from prepaid.testing.contract import RULES, NotOffered, check_contract
from prepaid.testing.contract.rules import rule
from tests.gateways.drivers import BankTransferContract, SimulatedContract


def broken_by(number, kind, base=SimulatedContract, **changes):
    contract = type("Contract", (base,), {"kind": kind, **changes})
    report = check_contract(contract, only=(number,))
    assert list(report.broken) == [number]
    return report.broken[number].fix


# Loading


def test_the_kit_is_loaded_when_it_is_asked_for_and_needs_no_test_runner():
    code = """
import sys, prepaid.testing
assert "prepaid.testing.contract" not in sys.modules
from prepaid.testing import GatewayContract, ProviderDriver
assert "prepaid.testing.contract" in sys.modules
assert not {"pytest", "stripe"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_has_no_other_names():
    import prepaid.testing

    with pytest.raises(AttributeError, match="Contract2"):
        prepaid.testing.Contract2  # noqa: B018


def test_a_rule_has_a_number_of_its_own():
    with pytest.raises(ValueError, match="G01"):
        rule(1)(lambda self: None)


# Skipping


class PayingOnly(ProviderDriver):
    def __init__(self, simulated):
        self.simulated = simulated

    def pay(self, checkout_id):
        self.simulated.pay(checkout_id)


class LeastContract(SimulatedContract):
    def provider(self):
        return PayingOnly(self.gateway().bind("test", self.clock))

    def without_webhook_secret(self):
        return GatewayContract.without_webhook_secret(self)


class LeastContractOfOneThatWaits(LeastContract):
    options: ClassVar = {"capture": "manual"}


@pytest.mark.parametrize("contract", [LeastContract, LeastContractOfOneThatWaits])
def test_what_a_driver_does_not_offer_is_skipped_by_name(contract):
    report = check_contract(contract)
    assert report.broken == {}
    missing = {
        "G04": "G04 not checked: the contract gives no without_webhook_secret()",
        "G06": f"G06 exempt: {SimulatedContract.exemptions['G06']}",
        "G11": "G11 not checked: PayingOnly offers no break_next()",
        "G26": "G26 not checked: the driver offers neither fail() nor pay_later()",
        "G27": "G27 not checked: PayingOnly offers no pay_other()",
        "G41": "G41 not checked: PayingOnly offers no refund_at_provider()",
        "G46": "G46 not checked: PayingOnly offers no webhook()",
    }
    assert {number: report.skipped.get(number) for number in missing} == missing
    assert "G47" in report.kept  # what is not signed can be tried without a provider
    assert str(report).endswith(f"{len(report.kept)} rules kept, 0 broken, {len(report.skipped)} skipped")
    assert set(report.kept) | set(report.skipped) == set(RULES)


@pytest.mark.parametrize(
    ("act", "arguments"),
    [
        ("pay", ["x"]),
        ("pay_again", ["x"]),
        ("pay_later", ["x"]),
        ("authorise", ["x"]),
        ("fail", ["x"]),
        ("dispute", ["x"]),
        ("sign", [b""]),
        ("return_params", ["x"]),
    ],
)
def test_an_act_that_is_not_written_says_so(act, arguments):
    with pytest.raises(NotOffered, match=f"ProviderDriver offers no {act}"):
        getattr(ProviderDriver(), act)(*arguments)


def test_a_driver_that_starts_nothing_has_nothing_to_close():
    ProviderDriver().close()
    assert ProviderDriver().confirmation("x") is None


def test_a_contract_that_gives_nothing_is_an_error_and_not_a_broken_rule():
    with pytest.raises(NotImplementedError, match="provider"):
        check_contract(GatewayContract)
    with pytest.raises(NotImplementedError, match="gateway"):
        check_contract(type("NoGateway", (GatewayContract,), {"provider": lambda self: ProviderDriver()}))


def test_a_gateway_without_secrets_is_skipped_for_secrets():
    report = check_contract(type("Plain", (SimulatedContract,), {"secrets": ()}), only=("G10",))
    assert report.skipped == {"G10": "G10 not checked: the contract names no secrets"}


def test_a_gateway_that_claims_no_mode_and_no_account_is_skipped_for_both():
    class ShowsLittle(SimulatedGateway):
        def capabilities(self):
            return attrs.evolve(super().capabilities(), reports_mode=False, reports_account=False)

    report = check_contract(type("ShowsLittle", (SimulatedContract,), {"kind": ShowsLittle}), only=("G28",))
    assert "claims neither" in report.skipped["G28"]


def test_a_gateway_that_cannot_close_a_checkout_is_skipped_for_that():
    class CannotCancel(SimulatedGateway):
        def cancel(self, ref):
            return self.fetch_payment(ref)

    report = check_contract(type("CannotCancel", (SimulatedContract,), {"kind": CannotCancel}), only=("G21",))
    assert report.skipped == {"G21": "G21 not checked: the provider cannot make a checkout unpayable"}


def test_currencies_that_nobody_thought_of_are_used_where_there_are_no_others():
    class OnlyPlutonian(SimulatedGateway):
        def capabilities(self):
            able = super().capabilities()
            return attrs.evolve(able, currencies={"XPF": able.currencies["XPF"]})

    contract = type("OnlyPlutonian", (SimulatedContract,), {"kind": OnlyPlutonian})
    assert check_contract(contract, only=("G13", "G24")).kept == ("G13", "G24")


def test_a_driver_that_fails_is_named_as_the_place():
    class Clumsy(PayingOnly):
        def pay(self, checkout_id):
            raise LookupError("no such page")

    contract = type("ClumsyContract", (SimulatedContract,), {"provider": lambda self: Clumsy(self.gateway())})
    fix = check_contract(contract, only=("G25",)).broken["G25"].fix
    assert fix.startswith("LookupError escaped from pay (test_contract_kit.py, line ")


def test_a_refusal_where_none_may_be_is_shown_with_its_code():
    class Refuses(SimulatedGateway):
        def fetch_payment(self, ref):
            raise GatewayError("No.", code="moody")

    assert broken_by("G17", Refuses) == "the gateway refused where it should not: No. (code moody)"


# Further defects


def creating(change):
    def create_checkout(self, request):
        return change(self, SimulatedGateway.create_checkout(self, request))

    return type("Creating", (SimulatedGateway,), {"create_checkout": create_checkout})


def fetching(change):
    def fetch_payment(self, ref):
        return change(SimulatedGateway.fetch_payment(self, ref))

    return type("Fetching", (SimulatedGateway,), {"fetch_payment": fetch_payment})


def able(**claims):
    def capabilities(self):
        return attrs.evolve(SimulatedGateway.capabilities(self), **claims)

    return type("Able", (SimulatedGateway,), {"capabilities": capabilities})


class AsyncCancel(SimulatedGateway):
    async def cancel(self, ref):
        return super().cancel(ref)


class LacksAll:
    name, label, account = "lacking", "Lacking", None

    def bind(self, mode, clock):
        return self

    def capabilities(self):
        return Capabilities(currencies={})


class LackingContract(SimulatedContract):
    exemptions: ClassVar = {}

    def provider(self):
        return ProviderDriver()

    def gateway(self):
        return LacksAll()


class KeepsAnyFloat(SimulatedGateway):
    def refund(self, request):
        return attrs.evolve(super().refund(request), amount=10.0)


class FutureIsFine(SimulatedGateway):
    def parse_webhook(self, headers, body):
        ahead = attrs.evolve(self, clock=type("Ahead", (), {"now": lambda _: self.clock.now() + timedelta(days=1)})())
        try:
            return super().parse_webhook(headers, body)
        except WebhookRejected:
            return SimulatedGateway.parse_webhook(ahead, headers, body)


class TwoEventsForNothing(SimulatedGateway):
    def parse_webhook(self, headers, body):
        super().parse_webhook(headers, body)
        return [GatewayEvent(event_id="1", kind="payment", type="paid", checkout_id="of-somebody-else")]


class RejectsEverything(SimulatedGateway):
    def parse_webhook(self, headers, body):
        raise WebhookRejected("No.")


class BelievesEverything(SimulatedGateway):
    def parse_webhook(self, headers, body):
        return ()


class WrongReason(SimulatedGateway):
    def parse_webhook(self, headers, body):
        try:
            return super().parse_webhook(headers, body)
        except WebhookRejected as rejected:
            raise WebhookRejected(str(rejected)) from None


class NeverEnds(SimulatedGateway):
    def list_payments(self, since, until, *, cursor=None):
        return attrs.evolve(super().list_payments(since, until), next="1")


class ListsWithoutTime(SimulatedGateway):
    def list_refunds(self, since, until, *, cursor=None):
        page = super().list_refunds(since, until, cursor=cursor)
        return Listing(items=[attrs.evolve(item, created_at=None) for item in page.items], next=page.next)


class InventsRefunds(SimulatedGateway):
    def fetch_refund(self, ref):
        invented = RefundSnapshot(
            gateway_refund_id="re_1", payment_id="p", amount=Money.of("1.00", "EUR"), state="pending"
        )
        return super().fetch_refund(ref) or invented


@frozen(kw_only=True)
class ThreadsFail(SimulatedGateway):
    busy: list = attrs.field(factory=list, eq=False)

    def create_checkout(self, request):
        import time

        if self.busy:
            raise RuntimeError("one at a time")
        self.busy.append(1)
        time.sleep(0.05)
        return super().create_checkout(request)


class TypoInEvidence(BankTransferGateway):
    def confirmed(self, ref, **told):
        return attrs.evolve(super().confirmed(ref, **told), payment_id="bank_1")


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        ("G02", AsyncCancel, "cancel is not async"),
        ("G08", able(interaction="popup"), "interaction"),
        ("G08", able(list_delay_s=-1), "list_delay_s"),
        ("G08", able(create_key_valid_s=True), "create_key_valid_s"),
        ("G08", able(refund_window_days=0), "refund_window_days"),
        ("G08", able(refund_key_valid_s=0), "need refunds"),
        ("G08", able(currencies={}), "currencies"),
        ("G08", able(currencies={"BTC": None}), "BTC"),
        ("G09", able(needs_capture=True), "needs_capture is claimed"),
        ("G12", creating(lambda self, made: Checkout(checkout_id=made.checkout_id, widget={"price": 9.5})), "redirect"),
        ("G12", creating(lambda self, made: attrs.evolve(made, redirect_url="/a\nb")), "printable"),
        ("G17", fetching(lambda payment: attrs.evolve(payment, captured=Money.of("12.34", "EUR"))), "None before"),
        ("G18", fetching(lambda payment: attrs.evolve(payment, checkout_id="other")), "checkout_id"),
        ("G23", ThreadsFail, "one at a time"),
        ("G25", fetching(lambda payment: attrs.evolve(payment, payment_id="pay_1")), "no other payment's"),
        ("G28", fetching(lambda payment: attrs.evolve(payment, account="acct_evil")), "account of a payment"),
        ("G29", fetching(lambda payment: attrs.evolve(payment, created_at="yesterday")), "aware datetime"),
        ("G29", fetching(lambda payment: attrs.evolve(payment, further=[])), "further of a payment is a tuple"),
        ("G35", KeepsAnyFloat, "amount is what"),
        ("G40", InventsRefunds, "never made is None"),
        ("G43", NeverEnds, "twice|next=None"),
        ("G44", ListsWithoutTime, "created_at"),
        ("G46", TwoEventsForNothing, "of what the event is about"),
        ("G46", RejectsEverything, "a genuine webhook was rejected"),
        ("G47", BelievesEverything, "raise WebhookRejected for headers"),
        ("G48", BelievesEverything, "altered body"),
        ("G49", FutureIsFine, "another time"),
        ("G50", WrongReason, "wrong-mode"),
        ("G50", BelievesEverything, "WebhookRejected"),
    ],
)
def test_another_defect_of_a_rule_is_found_too(number, kind, words):
    fix = broken_by(number, kind)
    assert any(word in fix for word in words.split("|")), fix


def test_a_class_that_lacks_methods_is_told_which_protocol_to_read():
    report = check_contract(LackingContract, only=("G02", "G07"))
    assert "prepaid.ports.Gateway" in report.broken["G02"].fix
    assert "not self" in report.broken["G07"].fix


def test_a_widget_that_is_no_json_is_refused():
    class Widget(SimulatedGateway):
        amount: ClassVar = None

        def capabilities(self):
            return attrs.evolve(super().capabilities(), interaction="widget")

        def create_checkout(self, request):
            made = super().create_checkout(request)
            return Checkout(checkout_id=made.checkout_id, widget={"amount": self.amount})

    for wrong in (float("nan"), Money.of("1.00", "EUR"), {1: 2}):
        kind = type("Wrong", (Widget,), {"amount": wrong})
        assert "plain JSON" in broken_by("G12", kind)
    good = type("Good", (Widget,), {"amount": 1234})
    assert check_contract(type("C", (SimulatedContract,), {"kind": good}), only=("G12",)).kept == ("G12",)


def test_evidence_that_is_always_the_same_payment_is_found():
    assert "other evidence" in broken_by("G34", TypoInEvidence, BankTransferContract)


def test_a_skip_says_so_to_any_runner():
    contract = LeastContract()
    contract.setup_method()
    with pytest.raises(SkipTest, match="G46 not checked"):
        contract.test_g46_genuine()
    contract.teardown_method()
    assert not contract.folder.exists()
