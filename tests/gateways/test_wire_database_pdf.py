"""One sum of money on every side: on the wire, in the database, in the ledger, on the invoice and on its PDF."""

from __future__ import annotations

import io
import itertools
import re
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader
from sqlalchemy import text

from prepaid import Address, Money, Seller, TaxProfile, TaxRule, permissions
from prepaid.core.errors import AmountOutOfRange, GatewayError, InvalidRequest
from prepaid.core.money import MINOR_DIGITS
from prepaid.gateways import (
    BankTransferGateway,
    SimulatedGateway,
    paypal_currencies,
    razorpay_currencies,
    stripe_currencies,
)
from prepaid.testing.clock import MovableClock
from tests.gateways.providers import PROVIDERS, a_billing, start

ALL = tuple(sorted(MINOR_DIGITS))


class Sum(NamedTuple):
    """A sum by hand: what is bought, its tax of 8.1 %, what is paid, and how everybody writes that."""

    bought: str
    tax: str
    total: str
    units: int
    printed: str


SUMS = {
    "JPY": Sum("1234", "100", "1334", 13_340_000, "¥1,334"),
    "KWD": Sum("12.340", "1.000", "13.340", 13_340_000, "KWD13.340"),
    "ISK": Sum("1234", "100", "1334", 13_340_000, "ISK1,334"),
    "UGX": Sum("12345", "1000", "13345", 133_450_000, "UGX13,345"),
    "HUF": Sum("925.07", "74.93", "1000.00", 1_000_000_000, "HUF1,000.00"),
    "USD": Sum("12.34", "1.00", "13.34", 13_340_000, "$13.34"),
    "INR": Sum("123.40", "10.00", "133.40", 133_400_000, "₹133.40"),
}
STRIPE = {
    "JPY": "1334", "KWD": "13340", "ISK": "133400", "UGX": "1334500", "HUF": "100000", "USD": "1334", "INR": "13340",
}  # fmt: skip
RAZORPAY = {**STRIPE, "ISK": "1334", "UGX": "13345"}
PAYPAL = {"JPY": "1334", "HUF": "1000", "USD": "13.34"}
WIRE = {"stripe": STRIPE, "stripe-form": STRIPE, "razorpay": RAZORPAY, "paypal": PAYPAL}
TAKEN = pytest.mark.parametrize(
    ("provider", "currency", "wire"),
    [(name, currency, written) for name, table in WIRE.items() for currency, written in table.items()],
    indirect=["provider"],
)


@pytest.fixture(scope="module")
def clock():
    return MovableClock()


@pytest.fixture(scope="module")
def books(tmp_path_factory, clock):
    """Give each provider with one book of its own, which is proved when all is done."""
    made = {}
    with ExitStack() as running:

        def book_of(name):
            if name not in made:
                provider = running.enter_context(PROVIDERS[name](clock))
                taxing = taxed(tmp_path_factory.mktemp(name), [provider.gateway()], clock)
                made[name] = provider, running.enter_context(taxing)
            provider, billing = made[name]
            provider.simulator.requests.clear()
            return provider, billing

        yield book_of


@pytest.fixture
def provider(request, books):
    return books(request.param)[0]


@pytest.fixture
def billing(request, books, provider):
    return books(request.node.callspec.params["provider"])[1]


@contextmanager
def taxed(path, gateways, clock, **changes):
    """Give a book in Switzerland, where a customer pays tax that is never a round sum; prove it in the end."""
    billing = a_billing(path, gateways, clock, currencies=ALL, **changes)
    rule = TaxRule(country="CH", components=(("VAT", "8.1"),), valid_from=date(2024, 1, 1))
    operator(billing).tax.add(rule)
    billing.customer("user-42").tax_profile.set(TaxProfile(address=Address(country="CH")))
    yield billing
    assert billing.check().ok
    billing.close()


def operator(billing):
    return billing.operator("alice@nimbus.example", permissions=permissions.ALL)


_numbers = itertools.count()


def bought(billing, amount, currency, gateway=None):
    return start(billing, Money.of(amount, currency), gateway=gateway, key=f"form-{next(_numbers)}")


def rows(billing, statement, about):
    with billing._database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), {"about": about})]


def captured(billing, topup):
    """Give the payment of a top-up as it stands in the database."""
    return rows(billing, "SELECT captured, currency, posted_as FROM prepaid_payment WHERE topup_id = :about", topup.id)


def posted(billing, cause_id):
    """Give what the transfers of a cause moved, by the kinds of their accounts, but for the gateway's own fee."""
    return rows(
        billing,
        "SELECT d.kind, c.kind, t.amount FROM prepaid_transfer t JOIN prepaid_account d ON d.id = t.debit_id "
        "JOIN prepaid_account c ON c.id = t.credit_id WHERE t.cause_id = :about AND t.kind <> 'fee' ORDER BY t.id",
        cause_id,
    )


def fees_posted(billing, topup):
    """Give the fees that the gateway told of a top-up's payment, and those that were posted."""
    told = rows(billing, "SELECT fee FROM prepaid_payment WHERE topup_id = :about AND fee IS NOT NULL", topup.id)
    of_cause = "SELECT t.amount FROM prepaid_transfer t WHERE t.cause_id = :about AND t.kind = 'fee' ORDER BY t.id"
    return told, rows(billing, of_cause, topup.id)


def credited(billing, topup):
    """Let a paid top-up be credited, and give its invoice."""
    ada = billing.customer("user-42")
    done = ada.topups.confirm(topup.id)
    assert done.state == "credited"
    return ada.invoices.get(done.invoice_number)


def printed(billing, invoice):
    """Give the text of an invoice's PDF file without any blank."""
    file = PdfReader(io.BytesIO(billing.customer("user-42").invoices.pdf(invoice.id)))
    return re.sub(r"\s", "", "".join(page.extract_text() for page in file.pages))


@TAKEN
def test_the_wire_the_database_the_ledger_and_the_pdf_say_the_same(billing, provider, currency, wire):
    money = SUMS[currency]
    topup = bought(billing, money.bought, currency, provider.name)
    shown = currency.lower() if provider.name == "stripe" else currency
    assert provider.asked() == [("order", shown, wire)]
    assert (topup.total, topup.tax.total) == (Money.of(money.total, currency), Money.of(money.tax, currency))

    provider.pay(provider.checkout_id(topup))
    invoice = credited(billing, topup)
    assert captured(billing, topup) == [(money.units, currency, "credited")]
    net, tax = Money.of(money.bought, currency).units, Money.of(money.tax, currency).units
    assert posted(billing, topup.id) == [("clearing", "wallet", net), ("clearing", "tax_payable", tax)]
    assert net + tax == money.units
    told, of_payment = fees_posted(billing, topup)
    assert told == of_payment
    assert told

    assert (invoice.total.units, invoice.net.units, invoice.tax.total.units) == (money.units, net, tax)
    assert f"Total({currency}){money.printed}" in printed(billing, invoice)


@TAKEN
def test_what_is_given_back_is_what_came_in_on_every_side(billing, provider, currency, wire):
    money = SUMS[currency]
    topup = bought(billing, "1000", currency, provider.name)
    assert topup.total.units == Money.of("1081", currency).units
    provider.pay(provider.checkout_id(topup), amount=wire if provider.name == "paypal" else int(wire))
    ada, ops = billing.customer("user-42"), operator(billing)
    assert ada.topups.confirm(topup.id).state == "review"
    assert captured(billing, topup) == [(money.units, currency, "suspense")]

    ops.topups.resolve(topup.id, action="refund", reason="another sum", key=topup.id)
    [(_, written_in, refunded)] = [written for written in provider.asked() if written[0] == "refund"]
    assert (written_in or currency, refunded) == (currency, wire)
    provider.finish_refunds()
    ops.topups.recheck(topup.id)
    [refund] = ops.topups.facts(topup.id).refunds
    assert (refund.state, refund.amount) == ("succeeded", Money.of(money.total, currency))
    stored = rows(billing, "SELECT amount, currency FROM prepaid_refund WHERE topup_id = :about", topup.id)
    assert stored == [(money.units, currency)]
    assert posted(billing, topup.id) == [("clearing", "suspense", money.units)]
    assert posted(billing, refund.id) == [
        ("suspense", "refunds_in_transit", money.units),
        ("refunds_in_transit", "clearing", money.units),
    ]
    assert ada.topups.get(topup.id).state == "refunded"


@pytest.mark.parametrize("provider", ["stripe", "stripe-form", "razorpay"], indirect=True)
def test_money_that_is_only_held_is_taken_to_the_last_unit(billing, provider):
    for currency, wire in WIRE[provider.name].items():
        provider.simulator.requests.clear()
        topup = bought(billing, SUMS[currency].bought, currency)
        provider.simulator.authorise(provider.checkout_id(topup))
        credited(billing, topup)
        [(_, written_in, taken)] = [written for written in provider.asked() if written[0] == "capture"]
        assert (written_in or currency, taken) == (currency, wire)
        assert captured(billing, topup) == [(SUMS[currency].units, currency, "credited")]


# Gateways without a wire of their own


def test_the_simulated_gateway_counts_the_minor_units_of_iso_4217(tmp_path, clock):
    simulated = SimulatedGateway(state=tmp_path / "simulated.db", clock=clock)
    with taxed(tmp_path, [simulated], clock) as billing:
        for currency, money in SUMS.items():
            topup = bought(billing, money.bought, currency)
            checkout_id = topup.checkout.redirect_url.rsplit("/", 1)[1]
            assert simulated.page(checkout_id).amount == Money.of(money.total, currency)
            simulated.pay(checkout_id)
            assert f"Total({currency}){money.printed}" in printed(billing, credited(billing, topup))
            assert captured(billing, topup) == [(money.units, currency, "credited")]


def test_a_bank_transfer_is_told_confirmed_and_printed_as_the_same_sum(tmp_path, clock):
    bank = BankTransferGateway(account_holder="Nimbus", iban="DE89370400440532013000", currencies=ALL)
    with taxed(tmp_path, [bank], clock) as billing:
        for currency, money in SUMS.items():
            topup = bought(billing, money.bought, currency)
            assert topup.checkout.instructions["Amount"] == f"{money.total} {currency}"
            received, line = Money.of(money.total, currency), f"statement 1, line {currency}"
            operator(billing).topups.confirm_bank_transfer(topup.id, received=received, reference=line)
            assert f"Total({currency}){money.printed}" in printed(billing, credited(billing, topup))
            assert captured(billing, topup) == [(money.units, currency, "credited")]


# What is refused before anything is asked


@pytest.mark.parametrize("provider", PROVIDERS, indirect=True)
def test_a_currency_that_a_gateway_cannot_take_is_refused_at_the_quote(billing, provider):
    taken = set(provider.gateway().capabilities().currencies)
    refused = [currency for currency in ALL if currency not in taken]
    assert {"IRR", "LYD", "KPW"} <= set(refused)
    assert set(SUMS) - set(refused) == set(WIRE[provider.name])
    topups = billing.customer("user-42").topups
    for currency in refused:
        amount = Money.of("1000", currency)
        for name in (provider.name, None):
            with pytest.raises(InvalidRequest) as caught:
                topups.quote(amount, gateway=name)
            assert (caught.value.field, currency in caught.value.message) == ("gateway", True)
        assert topups.gateways(amount) == ()
    assert provider.simulator.requests == []


def test_only_the_gateways_that_take_a_currency_are_offered(tmp_path, clock):
    with ExitStack() as running:
        sides = [running.enter_context(PROVIDERS[name](clock)) for name in ("stripe", "razorpay", "paypal")]
        billing = running.enter_context(taxed(tmp_path, [side.gateway() for side in sides], clock))
        topups = billing.customer("user-42").topups
        for code, money in SUMS.items():
            offered = [one.name for one in topups.gateways(Money.of(money.bought, code))]
            assert offered == [side.name for side in sides if code in WIRE[side.name]]
        assert [one.name for one in topups.gateways(Money.of("1000.00", "BGN"))] == ["razorpay"]
        assert topups.quote(Money.of("1000.00", "BGN")).gateway == "razorpay"
        with pytest.raises(InvalidRequest) as caught:
            topups.quote(Money.of("123.40", "INR"), gateway="paypal")
        assert (caught.value.field, caught.value.message) == ("gateway", "PayPal does not take INR.")


@pytest.mark.parametrize(
    ("provider", "amount", "total", "step"),
    [
        ("stripe", Money.of("12.345", "KWD"), "13.345 KWD", "0.010 KWD"),
        ("stripe-form", Money.of("12.345", "KWD"), "13.345 KWD", "0.010 KWD"),
        ("razorpay", Money.of("12.345", "KWD"), "13.345 KWD", "0.010 KWD"),
        ("paypal", Money.of("1234.00", "HUF"), "1333.95 HUF", "1.00 HUF"),
        ("paypal", Money.of("1234.00", "TWD"), "1333.95 TWD", "1.00 TWD"),
    ],
    indirect=["provider"],
)
def test_a_total_finer_than_the_gateways_step_is_refused_at_the_quote(billing, provider, amount, total, step):
    topups = billing.customer("user-42").topups
    with pytest.raises(AmountOutOfRange) as caught:
        topups.quote(amount, gateway=provider.name)
    assert caught.value.message == f"The total of {total} is not a multiple of {step}."
    assert topups.gateways(amount) == ()
    assert provider.simulator.requests == []


@pytest.mark.parametrize("provider", ["paypal"], indirect=True)
def test_prices_with_tax_in_them_keep_a_round_sum_round(tmp_path, provider, clock):
    seller = Seller(name="Nimbus", address=Address(city="Geneva", country="CH"), prices="inclusive")
    with taxed(tmp_path, [provider.gateway()], clock, seller=seller) as billing:
        topup = bought(billing, "1000.00", "HUF")
        assert (str(topup.net), str(topup.total)) == ("925.07 HUF", "1000.00 HUF")
        assert provider.asked() == [("order", "HUF", "1000")]


# The tables


TABLES = {
    "stripe": (
        stripe_currencies.LIMITS,
        stripe_currencies.to_wire,
        lambda n, code: stripe_currencies.from_wire(n, code.lower()),
    ),
    "razorpay": (razorpay_currencies.LIMITS, razorpay_currencies.to_wire, razorpay_currencies.from_wire),
    "paypal": (paypal_currencies.LIMITS, paypal_currencies.to_wire, paypal_currencies.from_wire),
    "minor units": (
        SimulatedGateway(state="unused").capabilities().currencies,
        lambda money: money.minor,
        Money.from_minor,
    ),
}
LISTED = [(table, currency) for table, (limits, *_) in TABLES.items() for currency in sorted(limits)]


@pytest.mark.parametrize("table", TABLES)
def test_the_bounds_of_every_currency_there_and_back_lose_nothing(table):
    limits, to_wire, from_wire = TABLES[table]
    for currency, taken in limits.items():
        for money in (taken.step, taken.minimum, taken.minimum + taken.step, taken.maximum - taken.step, taken.maximum):
            assert from_wire(to_wire(money), currency) == money


@given(st.sampled_from(LISTED), st.data())
def test_every_sum_there_and_back_loses_nothing(listed, data):
    table, currency = listed
    limits, to_wire, from_wire = TABLES[table]
    least, most, step = (getattr(limits[currency], name).units for name in ("minimum", "maximum", "step"))
    units = data.draw(st.integers(least // step, most // step)) * step
    money, other = Money(units, currency), Money(least + most - units, currency)
    assert from_wire(to_wire(money), currency) == money
    assert (to_wire(money) == to_wire(other)) == (money == other)


@given(st.sampled_from([one for one in LISTED if one[0] != "minor units"]), st.data())
def test_no_sum_is_rounded_on_its_way_out(listed, data):
    table, currency = listed
    limits, to_wire, _ = TABLES[table]
    step = limits[currency].step.units
    units = data.draw(st.integers(1, 10**6)) * step + data.draw(st.integers(1, step - 1))
    with pytest.raises(GatewayError) as caught:
        to_wire(Money(units, currency))
    assert caught.value.code == "amount-too-fine"
