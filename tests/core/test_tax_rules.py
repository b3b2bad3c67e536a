"""Tax rules: what cannot be is refused at once, with the field named; what a rule leaves open, its treatment says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.countries import COUNTRIES, country_code, subdivision_code, tax_prefix
from prepaid.core.errors import InvalidRequest, RequestRefused
from prepaid.core.hashing import canonical_json
from prepaid.core.tax_rules import CATEGORIES, TaxComponent, TaxRule, rule_from_record, rule_record

SINCE = date(2014, 1, 1)
VAT = (("VAT", "20"),)
LONG = "x" * 100_000
HOSTILE: list[Any] = [None, 5, True, 2.5, b"FR", ("F", "R"), LONG, "a\x00b", "a\nb", "a\u202eb", "\ud800"]


def rule(**fields: Any) -> TaxRule:
    return TaxRule(**{"country": "FR", "components": VAT, "valid_from": SINCE, **fields})


class TestBadInput:
    @pytest.mark.parametrize("name", ["country", "subdivision", "postcode", "territory", "note", "source", "reason"])
    @pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value)[:30])
    def test_text_is_bounded_printable_and_text(self, name: str, value: Any) -> None:
        with pytest.raises(RequestRefused) as refused:
            rule(**{name: value})

        assert refused.value.field == name

    @pytest.mark.parametrize("name", ["customer", "tax_id", "seller", "treatment"])
    @pytest.mark.parametrize("value", [*HOSTILE, "", "none", "ANY"], ids=lambda value: ascii(value)[:30])
    def test_a_word_is_one_of_a_few(self, name: str, value: Any) -> None:
        with pytest.raises(RequestRefused) as refused:
            rule(**{name: value})

        assert refused.value.field == name

    @pytest.mark.parametrize("country", ["XX", "ZZ", "fr", "FRA", "XI", "", " FR", "EUR", "**"])
    def test_a_country_is_one_that_exists(self, country: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(country=country)

        assert refused.value.field == "country"

    @pytest.mark.parametrize("jurisdiction", ["XX", "fr", "EU", None, 5])
    def test_a_jurisdiction_is_a_country(self, jurisdiction: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(jurisdiction=jurisdiction)

        assert refused.value.field == "jurisdiction"

    @pytest.mark.parametrize(
        "fields",
        [
            {"subdivision": "US-TX"},
            {"subdivision": "FR-"},
            {"subdivision": "FR-ABCD"},
            {"country": "US", "subdivision": "US-ZZ"},
            {"country": "CA", "subdivision": "CA-TX"},
            {"country": "IN", "subdivision": "IN-XX"},
            {"country": "EU", "subdivision": "EU-X"},
        ],
    )
    def test_a_state_is_one_of_the_country(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(**fields)

        assert refused.value.field == "subdivision"

    @pytest.mark.parametrize("country", ["EU", "*"])
    @pytest.mark.parametrize(("name", "value"), [("postcode", "35###"), ("territory", "ES-CN")])
    def test_a_group_of_countries_has_no_places(self, country: str, name: str, value: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(country=country, **{name: value})

        assert refused.value.field == name

    @pytest.mark.parametrize("percent", ["-0.01", "100.01", "1e2", "NaN", "", "20%", " 20", 20, 20.0, True, None])
    def test_a_rate_and_a_part_of_a_price_are_decimals_from_0_to_100(self, percent: Any) -> None:
        with pytest.raises(RequestRefused) as refused:
            rule(components=(("VAT", percent),))
        assert refused.value.field == "percent"

        with pytest.raises(RequestRefused) as refused:
            TaxComponent("VAT", "20", (), percent)
        assert refused.value.field == "base_percent"

    @pytest.mark.parametrize(
        "components",
        [
            (TaxComponent("A", "5", ("B",)), TaxComponent("B", "5")),
            (TaxComponent("A", "5", ("A",)),),
            (TaxComponent("A", "5"), TaxComponent("B", "5", ("A", "A"))),
        ],
    )
    def test_a_tax_builds_on_earlier_ones_only(self, components: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(components=components)

        assert refused.value.field == "compound_on"

    @pytest.mark.parametrize("on", ["GST", None, 5])
    def test_what_a_tax_builds_on_is_a_tuple_of_names(self, on: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            TaxComponent("QST", "9.975", on)

        assert refused.value.field == "compound_on"

    @pytest.mark.parametrize(
        ("name", "day"),
        [
            ("valid_from", "2014-01-01"),
            ("valid_from", None),
            ("valid_from", datetime(2014, 1, 1, tzinfo=UTC)),
            ("valid_from", date(1969, 12, 31)),
            ("valid_to", date(9999, 1, 1)),
            ("valid_to", "2027"),
            ("valid_to", SINCE),
            ("valid_to", date(2013, 1, 1)),
        ],
        ids=ascii,
    )
    def test_days_are_dates_in_order(self, name: str, day: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(**{name: day})

        assert refused.value.field == name

    @pytest.mark.parametrize("priority", [True, 1.0, "1", None, 1001, -1001])
    def test_a_priority_is_a_small_whole_number(self, priority: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(priority=priority)

        assert refused.value.field == "priority"

    @pytest.mark.parametrize("schemes", ["vat", ("local", "vat"), ("local", "local"), 5, None, (None,), b"local"])
    def test_a_registration_is_of_a_scheme_that_exists(self, schemes: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(requires_registration=schemes)

        assert refused.value.field == "requires_registration"

    @pytest.mark.parametrize(
        ("given", "kept"), [("", ()), ((), ()), ("local", ("local",)), (["oss", "local"], ("local", "oss"))]
    )
    def test_registrations_are_kept_in_one_order(self, given: Any, kept: tuple[str, ...]) -> None:
        assert rule(requires_registration=given).requires_registration == kept

    def test_a_jurisdiction_of_a_component_is_a_country_or_a_state(self) -> None:
        assert TaxComponent("QST", "9.975", jurisdiction="CA-QC").jurisdiction == "CA-QC"
        for wrong in ("Quebec", "XX", None, 5, "CA-"):
            with pytest.raises(InvalidRequest) as refused:
                TaxComponent("QST", "9.975", jurisdiction=wrong)
            assert refused.value.field == "jurisdiction"


class TestTreatments:
    @pytest.mark.parametrize(
        ("treatment", "category", "reason", "note"),
        [
            ("standard", "S", "", ""),
            ("zero", "Z", "", ""),
            ("reverse_charge", "AE", "VATEX-EU-AE", "Reverse charge"),
            ("out_of_scope", "O", "VATEX-EU-O", ""),
            ("not_collecting", "O", "not-collecting", ""),
        ],
    )
    def test_a_treatment_says_what_documents_need(self, treatment: str, category: str, reason: str, note: str) -> None:
        made = rule(treatment=treatment, components=VAT if treatment == "standard" else ())

        assert (made.category, made.reason, made.note) == (category, reason, note)

    def test_an_exemption_says_why(self) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(treatment="exempt", components=())

        assert refused.value.field == "reason"
        assert rule(treatment="exempt", components=(), reason="VATEX-EU-132").category == "E"
        assert rule(treatment="exempt", components=(), note="§ 19 UStG").note == "§ 19 UStG"

    @pytest.mark.parametrize("treatment", [name for name in CATEGORIES if name != "standard"])
    def test_a_treatment_without_tax_charges_none(self, treatment: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(treatment=treatment)

        assert refused.value.field == "components"
        assert rule(treatment=treatment, components=(("VAT", "0"),), reason="VATEX-EU-G").components

    @pytest.mark.parametrize(
        ("treatment", "category"), [("standard", "AE"), ("zero", "S"), ("out_of_scope", "E"), ("standard", "")]
    )
    def test_a_category_fits_its_treatment(self, treatment: str, category: str) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(treatment=treatment, category=category, components=VAT if treatment == "standard" else ())

        assert refused.value.field == "category"

    def test_a_standard_rule_names_a_tax(self) -> None:
        with pytest.raises(InvalidRequest) as refused:
            rule(components=())

        assert refused.value.field == "components"

    @pytest.mark.parametrize(
        ("fields", "jurisdiction"),
        [
            ({}, "FR"),
            ({"country": "CA", "subdivision": "CA-QC"}, "CA-QC"),
            ({"country": "ES", "territory": "ES-CN"}, "ES-CN"),
            ({"jurisdiction": "DE"}, "DE"),
            ({"country": "EU"}, "FR"),
        ],
    )
    def test_whose_tax_it_is(self, fields: dict[str, Any], jurisdiction: str) -> None:
        assert rule(**fields).jurisdiction_for("FR") == jurisdiction


PERCENTS = st.integers(0, 1_000_000).map(lambda n: Decimal(n).scaleb(-4))


@given(
    st.lists(PERCENTS, min_size=1, max_size=8),
    st.sampled_from([(), ("local",), ("oss", "local")]),
    st.integers(-1000, 1000),
    st.sampled_from([None, date(2030, 1, 1)]),
)
def test_a_rule_is_read_back_as_it_was_kept(percents: Any, schemes: Any, priority: int, end: date | None) -> None:
    components = tuple(
        TaxComponent(f"T{n}", percent, tuple(f"T{m}" for m in range(n))[:2], "80") for n, percent in enumerate(percents)
    )
    made = rule(
        country="ES",
        components=components,
        territory="ES-CN",
        category="L",
        customer="business",
        tax_id="valid",
        seller="same_country",
        requires_registration=schemes,
        priority=priority,
        valid_to=end,
        source="law",
        id="tax_1",
    )

    record = json.loads(canonical_json(rule_record(made)))
    assert rule_from_record(record, country="ES", rule_id="tax_1") == made


class TestCountries:
    def test_registers_write_some_countries_otherwise(self) -> None:
        assert (country_code("EL"), country_code("UK"), tax_prefix("GR"), tax_prefix("FR")) == ("GR", "GB", "EL", "FR")

    def test_northern_ireland_is_no_country(self) -> None:
        with pytest.raises(InvalidRequest, match="Northern Ireland") as refused:
            country_code("XI")

        assert refused.value.field == "country"

    @pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value)[:30])
    def test_what_is_no_code_is_refused(self, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refused:
            country_code(value, field="where")

        assert refused.value.field == "where"

    def test_all_250_countries_are_known(self) -> None:
        assert len(COUNTRIES) == 250
        assert {country_code(code) for code in COUNTRIES} == COUNTRIES

    @pytest.mark.parametrize(
        ("written", "now"), [("IN-OR", "IN-OD"), ("IN-TG", "IN-TS"), ("IN-DD", "IN-DH"), ("IN-MH", "IN-MH"), ("", "")]
    )
    def test_a_former_code_of_a_state_is_taken_for_the_one_of_today(self, written: str, now: str) -> None:
        assert subdivision_code(written) == now
