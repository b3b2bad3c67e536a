"""Tax as values: dated rules, worked cases with their sources, and sums that always close.

Sources: the worked cases name theirs; EN 16931 BR-CO-17 for rounding once per component on the net.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from decimal import Context, Decimal, Inexact, localcontext
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.errors import CurrencyMismatch, InvalidRequest, RequestRefused
from prepaid.core.hashing import canonical_json
from prepaid.core.money import Money
from prepaid.core.tax_amounts import TaxedAmounts, add_tax, contained_tax
from prepaid.core.tax_rules import TaxComponent, TaxRule
from prepaid.core.taxation import TaxDecision, TaxLine, decision_from_record, decision_record

ROUNDINGS = st.sampled_from(["half_up", "half_even", "down"])
HALVES = st.sampled_from(["half_up", "half_even"])
PERCENTS = st.integers(0, 1_000_000).map(lambda n: Decimal(n).scaleb(-4))
AMOUNTS = st.integers(0, 10**14)
DAYS = st.dates(date(1970, 1, 1), date(9000, 1, 1))


def _components(percents: list[Decimal]) -> tuple[TaxComponent, ...]:
    return tuple(TaxComponent(f"T{number}", percent) for number, percent in enumerate(percents))


def _some(largest: int) -> st.SearchStrategy[tuple[TaxComponent, ...]]:
    return st.lists(PERCENTS, min_size=0, max_size=largest).map(_components)


def _tax(*pairs: tuple[str, str]) -> tuple[TaxComponent, ...]:
    return tuple(TaxComponent(*pair) for pair in pairs)


VAT_DE = _tax(("USt", "19"))


class TestWorkedCases:
    @pytest.mark.parametrize(
        ("net", "components", "tax", "gross"),
        [
            # Germany, 19 % on 10.00: Directive 2006/112/EC Art. 45 and 58.
            pytest.param(1000, VAT_DE, (190,), 1190, id="D01"),
            # India, same state, 9 % + 9 % on 1000.00 rupees: IGST Act s. 8.
            pytest.param(100_000, _tax(("CGST", "9"), ("SGST", "9")), (9000, 9000), 118_000, id="D16"),
            # Quebec, 5 % + 9.975 % on 100.00 dollars: the example of Revenu Québec.
            pytest.param(10_000, _tax(("GST", "5"), ("QST", "9.975")), (500, 998), 11_498, id="D19"),
            # Three lines of 0.33 are taxed as 0.99, not three times: EN 16931 BR-CO-17.
            pytest.param(99, VAT_DE, (19,), 118, id="D23"),
        ],
    )
    def test_tax_is_put_on_a_net_price(
        self, net: int, components: tuple[TaxComponent, ...], tax: tuple[int, ...], gross: int
    ) -> None:
        assert add_tax(net, components, rounding="half_up") == TaxedAmounts(net, tax, gross)

    def test_d21_tax_is_taken_out_of_an_inclusive_price(self) -> None:
        assert contained_tax(10_000, VAT_DE, rounding="half_up") == TaxedAmounts(8403, (1597,), 10_000)

    @pytest.mark.parametrize(
        ("day", "tax"),
        [(date(2025, 6, 30), 2200), (date(2025, 7, 1), 2400)],
    )
    def test_d22_estonia_changes_its_rate_at_midnight(self, day: date, tax: int) -> None:
        rules = (
            TaxRule(country="EE", components=[("VAT", "22")], valid_from=date(2024, 1, 1), valid_to=date(2025, 7, 1)),
            TaxRule(country="EE", components=[("VAT", "24")], valid_from=date(2025, 7, 1)),
        )

        assert _tax_on(day, rules) == tax

    @pytest.mark.parametrize(
        ("day", "tax"),
        [
            (date(2020, 6, 30), 1900),
            (date(2020, 7, 1), 1600),
            (date(2020, 12, 31), 1600),
            (date(2021, 1, 1), 1900),
        ],
    )
    def test_d24_germany_lowers_its_rate_for_half_a_year(self, day: date, tax: int) -> None:
        spans = [("19", (2007, 1), (2020, 7)), ("16", (2020, 7), (2021, 1)), ("19", (2021, 1), (2100, 1))]
        rules = tuple(
            TaxRule(country="DE", components=[("USt", rate)], valid_from=date(*start, 1), valid_to=date(*end, 1))
            for rate, start, end in spans
        )

        assert _tax_on(day, rules) == tax


def _tax_on(day: date, rules: tuple[TaxRule, ...]) -> int:
    (rule,) = (rule for rule in rules if rule.covers(day))
    return sum(add_tax(10_000, rule.components, rounding="half_up").tax)


class TestSums:
    @given(AMOUNTS, _some(8), ROUNDINGS)
    def test_net_and_tax_are_always_the_gross(
        self, amount: int, components: tuple[TaxComponent, ...], rounding: str
    ) -> None:
        added = add_tax(amount, components, rounding=rounding)
        contained = contained_tax(amount, components, rounding=rounding)

        assert added.net == amount
        assert contained.gross == amount
        for split in (added, contained):
            assert split.net + sum(split.tax) == split.gross
            assert len(split.tax) == len(components)
            assert min(split.net, *split.tax, 0) == 0

    @given(AMOUNTS, PERCENTS, ROUNDINGS)
    @example(50, Decimal(1), "half_even")
    def test_one_tax_is_the_exact_one_rounded_as_said(self, net: int, percent: Decimal, rounding: str) -> None:
        exact = Fraction(net) * Fraction(percent) / 100

        (tax,) = add_tax(net, _components([percent]), rounding=rounding).tax

        expected = {
            "half_up": int(exact + Fraction(1, 2)),
            "half_even": round(exact),
            "down": int(exact),
        }
        assert tax == expected[rounding]

    @given(AMOUNTS, st.lists(PERCENTS, min_size=1, max_size=2).map(_components), HALVES)
    def test_taking_tax_out_undoes_putting_it_on_to_a_minor_unit(
        self, net: int, components: tuple[TaxComponent, ...], rounding: str
    ) -> None:
        gross = add_tax(net, components, rounding=rounding).gross

        assert abs(contained_tax(gross, components, rounding=rounding).net - net) <= 1

    @given(AMOUNTS, PERCENTS)
    def test_rounding_down_also_round_trips_to_a_minor_unit(self, net: int, percent: Decimal) -> None:
        components = _components([percent])
        gross = add_tax(net, components, rounding="down").gross

        assert abs(contained_tax(gross, components, rounding="down").net - net) <= 1

    @given(AMOUNTS, st.lists(PERCENTS, min_size=1, max_size=8).map(_components), HALVES)
    def test_each_contained_component_is_within_one_and_a_half_of_its_exact_share(
        self, gross: int, components: tuple[TaxComponent, ...], rounding: str
    ) -> None:
        whole = 100 + sum((Fraction(component.percent) for component in components), Fraction(0))

        split = contained_tax(gross, components, rounding=rounding)

        for tax, component in zip(split.tax, components, strict=True):
            assert abs(tax - gross * Fraction(component.percent) / whole) < Fraction(3, 2)

    @pytest.mark.parametrize("amount", [0, 1, 10**14])
    def test_without_components_nothing_is_taxed(self, amount: int) -> None:
        untaxed = TaxedAmounts(amount, (), amount)

        assert add_tax(amount, (), rounding="half_up") == untaxed
        assert contained_tax(amount, (), rounding="half_up") == untaxed

    def test_amounts_that_do_not_add_up_cannot_be_made(self) -> None:
        with pytest.raises(InvalidRequest):
            TaxedAmounts(100, (19,), 118)

    @pytest.mark.parametrize("context", [Context(prec=2), Context(prec=28, traps=[Inexact])])
    def test_the_hosts_decimal_context_does_not_reach_tax(self, context: Context) -> None:
        with localcontext(context):
            components = _tax(("VAT", "19.125"))
            added = add_tax(10_000_000, components, rounding="half_up")
            contained = contained_tax(10_000_000, components, rounding="half_up")

        assert added == TaxedAmounts(10_000_000, (1_912_500,), 11_912_500)
        assert contained == TaxedAmounts(8_394_544, (1_605_456,), 10_000_000)


class TestComponents:
    @pytest.mark.parametrize("percent", ["0", "100", "9.975", "0.0001", "19.00000", Decimal("1E+1")])
    def test_percents_are_kept_exactly(self, percent: str | Decimal) -> None:
        assert TaxComponent("VAT", percent).percent == Decimal(percent)

    @pytest.mark.parametrize(
        "percent",
        [
            "-0.0001",
            "100.0001",
            "0.00001",
            "1e1",
            "1_9",
            "\uff11\uff19",
            " 19",
            "19%",
            "",
            "NaN",
            "\ud800",
            19,
            19.0,
            float("nan"),
            True,
            None,
            b"19",
            Decimal("NaN"),
            Decimal("Infinity"),
            Decimal("1E+999999"),
            Decimal("1E-999999"),
        ],
        ids=ascii,
    )
    def test_other_percents_are_refused_at_once(self, percent: Any) -> None:
        began = time.perf_counter()

        with pytest.raises(RequestRefused) as refusal:
            TaxComponent("VAT", percent)

        assert refusal.value.field == "percent"
        assert time.perf_counter() - began < 5

    @pytest.mark.parametrize("name", ["", " ", "x" * 121, "a\nb", "\ud800", "a\x00", None, 5], ids=ascii)
    def test_a_component_has_a_printable_name(self, name: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            TaxComponent(name, "19")

        assert refusal.value.field == "components"


class TestRules:
    def test_pairs_and_components_are_the_same(self) -> None:
        start = date(2026, 1, 1)

        pairs = TaxRule(country="DE", components=(("USt", "19"),), valid_from=start)

        assert pairs == TaxRule(country="DE", components=VAT_DE, valid_from=start)

    @pytest.mark.parametrize(
        "components",
        [
            (),
            None,
            5,
            "19",
            "USt",
            ("USt", "19"),
            ("VAT",),
            (("VAT",),),
            (("VAT", "19", "extra"),),
            (None,),
            (("VAT", 19),),
            (("VAT", "19"), ("VAT", "7")),
            tuple((f"T{n}", "1") for n in range(9)),
        ],
        ids=ascii,
    )
    def test_components_are_one_to_eight_differently_named_pairs(self, components: Any) -> None:
        with pytest.raises(RequestRefused) as refusal:
            TaxRule(country="DE", components=components, valid_from=date(2026, 1, 1))

        assert refusal.value.field in {"components", "percent"}

    @pytest.mark.parametrize(
        "dates",
        [
            {"valid_from": None},
            {"valid_from": "2026-01-01"},
            {"valid_from": datetime(2026, 1, 1, tzinfo=UTC)},
            {"valid_from": date(2026, 1, 1), "valid_to": "2027-01-01"},
            {"valid_from": date(2026, 1, 1), "valid_to": datetime(2027, 1, 1, tzinfo=UTC)},
            {"valid_from": date(2026, 1, 1), "valid_to": date(2026, 1, 1)},
            {"valid_from": date(2026, 1, 1), "valid_to": date(2025, 1, 1)},
        ],
        ids=ascii,
    )
    def test_a_rule_covers_whole_days_of_a_span_that_is_not_empty(self, dates: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            TaxRule(country="DE", components=VAT_DE, **dates)

        assert refusal.value.field in {"valid_from", "valid_to"}

    @pytest.mark.parametrize(
        "fields", [{"country": "de"}, {"country": None}, {"source": "x" * 201}, {"source": "a\x00"}]
    )
    def test_country_and_source_are_judged(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest):
            TaxRule(**{"country": "DE", "components": VAT_DE, "valid_from": date(2026, 1, 1), **fields})

    @given(DAYS, DAYS, DAYS)
    def test_a_rule_is_in_force_from_its_first_day_to_the_day_before_its_end(self, a: date, b: date, day: date) -> None:
        start, end = min(a, b), max(a, b)
        endless = TaxRule(country="DE", components=VAT_DE, valid_from=start)

        assert endless.covers(day) == (day >= start)
        if start < end:
            rule = TaxRule(country="DE", components=VAT_DE, valid_from=start, valid_to=end)
            assert rule.covers(day) == (start <= day < end)
            assert rule.covers(start)
            assert not rule.covers(end)


def _money(minor: int) -> Money:
    return Money.from_minor(minor, "EUR")


def _decision(**fields: Any) -> TaxDecision:
    line = TaxLine(name="USt", rate_percent=Decimal("19.00"), base=_money(1000), amount=_money(190))
    return TaxDecision(
        **{
            "treatment": "standard",
            "lines": (line,),
            "net": _money(1000),
            "total": _money(190),
            "gross": _money(1190),
            "category": "S",
            "reason": "",
            "note": "note",
            "jurisdiction": "DE",
            "rule_ids": ("tax_1", "tax_2"),
            "tax_id_state": "pending",
            "explanation": "19 % added, because you are in DE.",
            "warnings": ("look",),
            **fields,
        }
    )


class TestDecisions:
    @pytest.mark.parametrize(
        "fields",
        [{"gross": _money(1191)}, {"total": _money(191), "gross": _money(1191)}, {"lines": ()}, {"net": _money(999)}],
        ids=["gross", "lines", "no lines", "net"],
    )
    def test_a_decision_that_does_not_add_up_cannot_be_made(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _decision(**fields)

        assert refusal.value.field == "tax"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("treatment", "free"),
            ("tax_id_state", "unchecked"),
            ("policy", "ignore"),
            ("category", "O"),
            ("reason", "x" * 41),
            ("note", "x" * 2001),
            ("jurisdiction", "x" * 17),
            ("place", "a\x00b"),
            ("tax_id", "x" * 41),
            ("consultation", "x" * 192),
            ("approved_by", None),
            ("explanation", "x" * 2001),
        ],
    )
    def test_a_decision_fits_its_rows_whoever_made_it(self, field: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _decision(**{field: value})

        assert refusal.value.field == field

    def test_what_is_not_taxed_bears_no_tax(self) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _decision(treatment="reverse_charge", category="AE")

        assert refusal.value.field == "treatment"

    def test_a_policy_needs_a_tax_id_that_it_decides_about(self) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _decision(policy="charge", tax_id="")

        assert refusal.value.field == "tax_id"

    def test_a_decision_has_as_many_lines_as_a_rule_has_components(self) -> None:
        nothing = TaxLine(name="Free", rate_percent=Decimal(0), base=_money(1000), amount=_money(0))
        lines = tuple(attrs.evolve(nothing, name=f"T{number}") for number in range(9))
        free = {"total": _money(0), "gross": _money(1000)}

        assert _decision(lines=lines[:8], **free).lines == lines[:8]
        for wrong in (lines, (nothing, nothing), (attrs.evolve(nothing, compound_on=("other",)),)):
            with pytest.raises(InvalidRequest) as refusal:
                _decision(lines=wrong, **free)
            assert refusal.value.field in {"components", "compound_on"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "x" * 121),
            ("name", None),
            ("rate_percent", Decimal("8.87512")),
            ("rate_percent", Decimal(150)),
            ("rate_percent", 19.0),
            ("base_percent", "200"),
            ("compound_on", "GST"),
            ("compound_on", ([],)),
            ("jurisdiction", "Quebec"),
            ("base", Money.from_minor(1000, "USD")),
            ("base", Money(1, "EUR")),
            ("amount", Money(1, "EUR")),
        ],
        ids=ascii,
    )
    def test_a_line_that_could_not_be_computed_again_cannot_be_made(self, field: str, value: Any) -> None:
        line = TaxLine(name="USt", rate_percent=Decimal(19), base=_money(1000), amount=_money(190))

        with pytest.raises(RequestRefused):
            attrs.evolve(line, **{field: value})

    @pytest.mark.parametrize("field", ["evidence", "warnings", "rule_ids"])
    @pytest.mark.parametrize("value", [(5,), ("x" * 501,), ("a\x00",)], ids=ascii)
    def test_lists_of_a_decision_are_texts(self, field: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _decision(**{field: value})

        assert refusal.value.field == field

    def test_a_record_of_before_is_read(self) -> None:
        record = {
            "treatment": "standard", "category": "S", "reason": "", "note": "", "jurisdiction": "FR",
            "tax_id_state": "none", "explanation": "", "currency": "EUR", "net": 1000, "total": 200, "gross": 1200,
            "rule_ids": ["tax_1"], "warnings": [],
            "lines": [{"name": "TVA", "percent": "20", "base": 1000, "amount": 200}],
        }  # fmt: skip

        decision = decision_from_record(record)

        assert (decision.total, decision.lines[0].base_percent, decision.place) == (_money(200), Decimal(100), "")

    def test_a_decision_is_of_one_currency(self) -> None:
        with pytest.raises(CurrencyMismatch):
            _decision(total=Money.from_minor(190, "USD"))

    @given(AMOUNTS, _some(8), ROUNDINGS)
    def test_a_decision_is_frozen_and_read_back_unchanged(
        self, net: int, components: tuple[TaxComponent, ...], rounding: str
    ) -> None:
        split = add_tax(net, components, rounding=rounding)
        decision = _decision(
            lines=tuple(
                TaxLine(name=component.name, rate_percent=component.percent, base=_money(net), amount=_money(tax))
                for component, tax in zip(components, split.tax, strict=True)
            ),
            net=_money(net),
            total=_money(split.gross - net),
            gross=_money(split.gross),
        )

        assert decision_from_record(json.loads(canonical_json(decision_record(decision)))) == decision

    def test_a_percent_is_kept_in_its_shortest_form(self) -> None:
        record = decision_record(_decision())

        assert record["lines"][0]["percent"] == "19"
        assert str(decision_from_record(record).lines[0].rate_percent) == "19"

    @pytest.mark.parametrize(
        ("written", "kept"),
        [("20.0", "20"), ("0.0000000", "0"), ("9.9750", "9.975"), ("100", "100"), ("5.5", "5.5"), ("10", "10")],
    )
    def test_a_rate_is_written_in_one_way(self, written: str, kept: str) -> None:
        assert str(TaxComponent("VAT", written, (), written).percent) == kept
        assert str(TaxComponent("VAT", written, (), written).base_percent) == kept

    @pytest.mark.parametrize(
        "change",
        [
            {"treatment": "zero", "category": "Z", "lines": (), "total": _money(0), "gross": _money(1000)},
            {"category": "L"},
            {"reason": "not-collecting"},
            {"note": ""},
            {"jurisdiction": "FR"},
            {"rule_ids": ("tax_1",)},
            {"tax_id_state": "none"},
            {"tax_id": "FR40303265045"},
            {"place": "ES-CN"},
            {"tax_id_matters": True},
            {"tax_id_counted": True},
            {"tax_id_country": "FR"},
            {"checked_at": datetime(2026, 11, 22, tzinfo=UTC)},
            {"consultation": "WAPIAAAA"},
            {"policy": "charge", "tax_id": "FR40303265045"},
            {"approved_by": "alice"},
            {"evidence": ("ip FR",)},
            {"explanation": ""},
            {"warnings": ()},
            {"net": _money(2000), "gross": _money(2190)},
        ],
        ids=ascii,
    )
    def test_every_field_is_in_the_record(self, change: dict[str, Any]) -> None:
        before = _decision()

        assert decision_record(attrs.evolve(before, **change)) != decision_record(before)
