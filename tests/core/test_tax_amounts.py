"""The arithmetic of tax over all rates, modes and currencies: it closes, and splitting a sale changes little."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import IntegrityFault
from prepaid.core.money import MINOR_DIGITS, Money
from prepaid.core.tax_amounts import add_tax, contained_tax, share_tax, take_back, tax_bases
from prepaid.core.tax_rules import TaxComponent
from prepaid.core.taxation import TaxDecision, refunded_part, split_gross, tax_lines

PERCENTS = st.integers(0, 1_000_000).map(lambda n: Decimal(n).scaleb(-4))
AMOUNTS = st.integers(1, 10**12)
ROUNDINGS = st.sampled_from(["half_up", "half_even", "down"])


@st.composite
def taxes(draw: st.DrawFn, most: int = 8, *, compound: bool = True) -> tuple[TaxComponent, ...]:
    """Draw components, some of which build on earlier ones or on a part of the price."""
    made: list[TaxComponent] = []
    for place in range(draw(st.integers(1, most))):
        on = draw(st.lists(st.sampled_from([c.name for c in made]), unique=True)) if made and compound else []
        part = draw(st.one_of(st.just(Decimal(100)), PERCENTS)) if compound else Decimal(100)
        made.append(TaxComponent(f"T{place}", draw(PERCENTS), tuple(on), part))
    return tuple(made)


@pytest.mark.parametrize("currency", sorted(MINOR_DIGITS))
def test_net_and_tax_are_the_gross_for_every_rate_and_mode(currency: str) -> None:
    for hundredths in range(0, 3001, 25):
        vat = (TaxComponent("VAT", str(Decimal(hundredths) / 100)),)
        for minor in (1, 999, 1_234_567):
            for split in (add_tax(minor, vat, rounding="half_up"), contained_tax(minor, vat, rounding="half_up")):
                net, gross = Money.from_minor(split.net, currency), Money.from_minor(split.gross, currency)
                [line] = tax_lines(net, vat, split.tax, rounding="half_up")
                assert net + line.amount == gross
                assert abs(line.amount.minor - split.net * Fraction(hundredths, 10_000)) <= 1


def test_every_hundredth_of_a_percent_is_rounded_once_and_half_up() -> None:
    for hundredths in range(3001):
        vat = (TaxComponent("VAT", str(Decimal(hundredths) / 100)),)
        for net in (1, 50, 99, 333, 10_001):
            (tax,) = add_tax(net, vat, rounding="half_up").tax
            assert tax == int(net * Fraction(hundredths, 10_000) + Fraction(1, 2))


@given(st.lists(AMOUNTS, min_size=2, max_size=9), taxes(compound=False), ROUNDINGS)
def test_splitting_a_sale_changes_each_tax_by_no_more_than_the_bound(parts, components, rounding) -> None:
    whole = add_tax(sum(parts), components, rounding=rounding)
    split = [add_tax(part, components, rounding=rounding) for part in parts]

    for place in range(len(components)):
        drift = abs(sum(each.tax[place] for each in split) - whole.tax[place])
        assert drift < len(parts) if rounding == "down" else drift <= Fraction(len(parts) + 1, 2)


@given(st.lists(AMOUNTS, min_size=2, max_size=9), taxes(), ROUNDINGS)
def test_splitting_a_sale_with_contained_tax_changes_its_tax_by_no_more_than_the_bound(
    parts, components, rounding
) -> None:
    whole = contained_tax(sum(parts), components, rounding=rounding)
    split = [contained_tax(part, components, rounding=rounding) for part in parts]

    drift = abs(sum(each.net for each in split) - whole.net)
    assert drift < len(parts) if rounding == "down" else drift <= Fraction(len(parts) + 1, 2)


@given(AMOUNTS, taxes(), ROUNDINGS)
def test_compound_taxes_are_the_exact_ones_up_to_the_rounding_of_what_they_build_on(net, components, rounding) -> None:
    found = add_tax(net, components, rounding=rounding)

    exact: dict[str, Fraction] = {}
    slack: dict[str, Fraction] = {}
    for component, tax in zip(components, found.tax, strict=True):
        rate = Fraction(component.percent) / 100
        base = net * Fraction(component.base_percent) / 100 + sum(exact[name] for name in component.compound_on)
        exact[component.name] = base * rate
        slack[component.name] = 1 + sum(slack[name] for name in component.compound_on) * rate
        assert abs(tax - exact[component.name]) <= slack[component.name]


@given(AMOUNTS, taxes())
def test_contained_compound_taxes_are_shared_by_what_each_comes_to(gross, components) -> None:
    found = contained_tax(gross, components, rounding="half_up")

    rates: dict[str, Fraction] = {}
    for component in components:
        base = Fraction(component.base_percent) + sum(rates[name] for name in component.compound_on)
        rates[component.name] = base * Fraction(component.percent) / 100
    whole = 100 + sum(rates.values())
    assert abs(found.net - gross * 100 / whole) <= Fraction(1, 2)
    for component, tax in zip(components, found.tax, strict=True):
        assert abs(tax - gross * rates[component.name] / whole) < Fraction(3, 2)
    assert share_tax(gross - found.net, components) == found.tax


def test_bases_are_what_the_rates_are_applied_to() -> None:
    components = (TaxComponent("A", "10"), TaxComponent("B", "10", ("A",)), TaxComponent("C", "10", (), "50"))
    taxes_of = add_tax(1000, components, rounding="half_up").tax

    assert tax_bases(1000, components, taxes_of, rounding="half_up") == (1000, 1100, 500)
    assert taxes_of == (100, 110, 50)


def decision(net: int, components: tuple[TaxComponent, ...]) -> TaxDecision:
    split = add_tax(net, components, rounding="half_up")
    money = [Money.from_minor(value, "EUR") for value in (split.net, sum(split.tax), split.gross)]
    lines = tax_lines(money[0], components, split.tax, rounding="half_up")
    return TaxDecision(treatment="standard", lines=lines, net=money[0], total=money[1], gross=money[2], category="S")


@given(AMOUNTS, taxes(), st.lists(st.integers(0, 10_000), max_size=6))
def test_refunds_take_back_each_tax_to_the_unit_in_however_many_parts(net, components, cuts) -> None:
    sold = decision(net, components)
    shares = [0, *sorted(cuts), 10_000]
    before: list[TaxDecision] = []
    for earlier, later in pairwise(shares):
        # As refunds are fixed: what is due by then, rounded down, less what went back before.
        parts = [
            Money.from_minor(whole.minor * later // 10_000 - whole.minor * earlier // 10_000, "EUR")
            for whole in (sold.net, sold.total)
        ]
        before.append(refunded_part(sold, net=parts[0], tax=parts[1], before=before, rounding="half_up"))

    assert sum((part.net.minor for part in before), 0) == sold.net.minor
    for place, line in enumerate(sold.lines):
        given_back = [part.lines[place].amount.minor for part in before]
        assert sum(given_back) == line.amount.minor
        assert min(given_back) >= 0


def test_no_more_is_taken_back_than_is_left() -> None:
    assert take_back(0, ()) == ()
    for tax, left in ((4, (1, 2)), (1, ()), (-1, (1, 2))):
        with pytest.raises(IntegrityFault):
            take_back(tax, left)


@given(AMOUNTS, st.integers(1, 10**12), taxes(), ROUNDINGS)
def test_another_total_is_split_as_a_price_that_contains_the_same_taxes(net, gross, components, rounding) -> None:
    split = split_gross(decision(net, components), Money.from_minor(gross, "EUR"), rounding=rounding)

    expected = contained_tax(gross, components, rounding=rounding)
    assert (split.net.minor, tuple(line.amount.minor for line in split.lines)) == (expected.net, expected.tax)
    assert [line.component for line in split.lines] == list(components)
