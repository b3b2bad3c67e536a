"""Plugins that decide the tax or know tax ids: what they do wrong refuses the sale before anything is paid."""

from __future__ import annotations

from datetime import date

import pytest
from attrs import evolve

import prepaid
from prepaid import ConfigurationError, InvalidRequest, Money, TaxUndecided
from prepaid.core.taxation import TaxDecision, TaxLine
from tests.use_cases.steps import ADA, BACK, BILLING, EVE, SQLITE, counts, eur, operator
from tests.use_cases.tax_steps import FRENCH, Scripted, be, business, buy, consumer, quoted


def begin(billing, quote, key="order"):
    return billing.customer(ADA).topups.start(quote, return_url=BACK, cancel_url=BILLING, key=key)


# Plugins


class Decider:
    """A plugin that decides as it is told, and remembers what it was asked."""

    def __init__(self, decide):
        self.decide, self.requests = decide, []

    @prepaid.hookimpl
    def prepaid_decide_tax(self, request):
        self.requests.append(request)
        return self.decide(request)


class SecondDecider(Decider):
    pass


def zero(request, **changes):
    values = {"treatment": "zero", "net": request.price, "total": eur("0"), "gross": request.price, "category": "Z"}
    return TaxDecision(**{**values, **changes})


def flat(request, amount="1.00", name="FLAT"):
    tax = eur(amount)
    line = TaxLine(name=name, rate_percent=prepaid.TaxComponent("x", "10").percent, base=request.price, amount=tax)
    return TaxDecision(
        treatment="standard", lines=(line,), net=request.price, total=tax, gross=request.price + tax, category="S"
    )


def test_a_plugins_decision_counts_for_quote_start_and_document(wired, simulated):
    first = Decider(lambda request: flat(request) if request.exempt is False else None)
    billing = wired(plugins=[first])
    be(billing, business())

    topup, invoice = buy(billing, simulated)

    assert (topup.total, invoice.tax) == (eur("11"), flat(first.requests[0]))
    request = first.requests[0]
    assert (request.customer_id, request.price, request.day) == (ADA, eur("10"), date(2026, 11, 23))
    assert (request.profile, request.tax_id_state, request.exempt) == (business(), "valid", False)
    assert billing.check().ok


@SQLITE
def test_the_first_decision_counts_and_none_leaves_it_to_the_next_and_then_to_the_rules(wired):
    decisions = {"first": None, "second": None}
    first, second = Decider(lambda request: decisions["first"]), SecondDecider(lambda request: decisions["second"])
    billing = wired(plugins=[first, second])
    be(billing, consumer())

    assert quoted(billing).total == eur("2")
    decisions["second"] = zero(first.requests[0])
    assert quoted(billing).treatment == "zero"
    decisions["first"] = decisions["second"] = flat(first.requests[0])
    asked = (len(first.requests), len(second.requests))
    assert quoted(billing).total == eur("1")
    assert sorted([len(first.requests) - asked[0], len(second.requests) - asked[1]]) == [0, 1]


WRONG_DECISIONS = {
    "an error": lambda request: 1 / 0,
    "a refusal of its own": lambda request: (_ for _ in ()).throw(InvalidRequest("no", field="x")),
    "a word": lambda request: "zero",
    "a number": lambda request: 0,
    "false": lambda request: False,
    "another price": lambda request: zero(evolve(request, price=eur("9"))),
    "another currency": lambda request: zero(
        request, net=Money.of("10", "USD"), total=Money.of("0", "USD"), gross=Money.of("10", "USD")
    ),
    "less than a cent": lambda request: flat(request, "1.001"),
    "less than nothing": lambda request: flat(request, "-1.00"),
    "no treatment of ours": lambda request: zero(request, treatment="free"),
    "no list of warnings": lambda request: zero(request, warnings=None),
    "bytes for evidence": lambda request: zero(request, evidence=(b"ip",)),
    "a long warning": lambda request: zero(request, warnings=("w" * 100_000,)),
    "a long place": lambda request: zero(request, jurisdiction="X" * 100_000),
    "a long name": lambda request: flat(request, name="N" * 100_000),
    "an unprintable note": lambda request: zero(request, note="\x00"),
    "a line of another currency": lambda request: evolve(
        flat(request), lines=(evolve(flat(request).lines[0], amount=Money.of("1.00", "USD")),)
    ),
    "a line of more percent than there is room": lambda request: evolve(
        flat(request), lines=(evolve(flat(request).lines[0], rate_percent=prepaid.TaxComponent("x", "1").percent / 3),)
    ),
}


@pytest.mark.parametrize("decide", WRONG_DECISIONS.values(), ids=WRONG_DECISIONS)
@SQLITE
def test_a_decision_that_cannot_be_refuses_quote_start_and_try_out_and_writes_nothing(wired, decide, caplog):
    plugin = Decider(lambda request: None)
    billing = wired(plugins=[plugin])
    be(billing, consumer())
    quote = billing.customer(ADA).topups.quote(eur("10"))
    before = counts(billing)
    plugin.decide = decide

    for call in (
        lambda: quoted(billing),
        lambda: begin(billing, quote),
        lambda: operator(billing).tax.explain(consumer(), eur("10")),
    ):
        with pytest.raises(TaxUndecided) as refused:
            call()
        assert refused.value.field == "amount"
    assert billing.customer(ADA).topups.gateways(eur("10"))  # what can be offered is shown all the same
    assert counts(billing) == before
    assert "Decider failed in prepaid_decide_tax" in caplog.text


class Registry:
    """A plugin that contributes registers."""

    def __init__(self, *registers):
        self.registers = registers

    @prepaid.hookimpl
    def prepaid_tax_id_registers(self, setup):
        if isinstance(self.registers[0], Exception):
            raise self.registers[0]
        return self.registers


@SQLITE
def test_a_plugins_register_is_asked_about_what_the_hosts_own_do_not_know(wired, register):
    swiss = Scripted(["CHE107787577MWST"], name="swiss", kinds=["ch_vat", "eu_vat"])
    billing = wired(plugins=[Registry(swiss)])

    be(billing, business("CHE-107.787.577 MWST", "CH"))
    be(billing, business(), customer=EVE)

    assert (register.asked, len(swiss.asked)) == ([FRENCH], 1)
    [check] = operator(billing).tax.of_customer(ADA).checks
    assert check.register == "swiss"


@SQLITE
@pytest.mark.parametrize(
    "given",
    [
        ["vies"],
        [object()],
        [None],
        [RuntimeError("broken")],
        [Scripted(name="scripted")],
        [Scripted(name="one"), Scripted(name="one")],
        [Scripted(name="No Name")],
        [Scripted(name="x" * 100)],
        [Scripted(name=None)],
    ],
)
def test_a_plugin_whose_register_cannot_be_used_is_named_when_it_is_wired(wired, given):
    with pytest.raises(ConfigurationError, match="Registry"):
        wired(plugins=[Registry(*given)])
