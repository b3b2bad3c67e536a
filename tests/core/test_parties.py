"""Seller, customer and tax profile: every string of theirs is judged before it is kept."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prepaid.core.countries import country_code
from prepaid.core.errors import ConfigurationError, InvalidRequest, RequestRefused, TaxProfileInvalid
from prepaid.core.hashing import canonical_json, sha256
from prepaid.core.parties import (
    Address,
    Customer,
    Evidence,
    Registration,
    Seller,
    TaxProfile,
    address_record,
    check_email,
)

BERLIN = Address(line1="Invalidenstr. 1", city="Berlin", postcode="10115", country="DE")
HOSTILE: list[Any] = [None, 5, True, b"x", ("x",), "a\x00b", "a\nb", "\ud800", "a\u200bb", "a\u202eb", "x" * 200]


def _seller(**fields: Any) -> Seller:
    return Seller(**{"name": "Nimbus GmbH", "address": BERLIN, **fields})


def _profile(**fields: Any) -> TaxProfile:
    return TaxProfile(**{"address": BERLIN, **fields})


def _customer(**fields: Any) -> Customer:
    return Customer(**{"id": "user-42", "currency": "EUR", **fields})


class TestEmail:
    @pytest.mark.parametrize(
        "email",
        ["ada@example.com", "a@b", "ada+top-up@mail.example.co.uk", "o'hara@example.com", "a" * 64 + "@" + "b" * 189],
    )
    def test_one_plain_address_is_kept(self, email: str) -> None:
        assert check_email(email) == email

    @pytest.mark.parametrize(
        "email",
        [
            "",
            "@",
            "ada",
            "ada@",
            "@example.com",
            "a@b@c",
            "ada @example.com",
            " ada@example.com",
            "ada@example.com\n",
            "ada@example.com\r\nBcc: eve@example.com",
            "ada@example.com,eve@example.com",
            "ada@example.com;eve@example.com",
            "Ada <ada@example.com>",
            '"ada"@example.com',
            "ada(comment)@example.com",
            "ädä@example.com",
            "ada@exämple.com",
            "\u0430da@example.com",  # a Cyrillic letter
            "ada@example.com\u00a0",
            "ada\x00@example.com",
            "ada\ud800@example.com",
            "ada\x7f@example.com",
            "a" * 65 + "@example.com",
            "a" * 64 + "@" + "b" * 190,
            None,
            True,
            5,
            b"ada@example.com",
        ],
        ids=ascii,
    )
    def test_everything_else_is_refused_without_repeating_it(self, email: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            check_email(email, field="to")

        assert refusal.value.field == "to"
        assert "eve@" not in refusal.value.message

    @given(st.emails())
    @example("a@b")
    def test_what_passes_is_printable_ascii_with_one_at_sign(self, email: str) -> None:
        try:
            kept = check_email(email)
        except InvalidRequest:
            assert len(email) > 254 or any(character in email for character in ' ,;<>"()\\') or not email.isascii()
            return

        assert kept.isascii()
        assert kept.isprintable()
        assert kept.count("@") == 1


class TestCountry:
    @pytest.mark.parametrize(
        "country",
        ["", "D", "de", "DEU", "De", "\uff24\uff25", "DE\n", " DE", "D1", None, 49, True, b"DE", ("D", "E")],
        ids=ascii,
    )
    def test_only_two_upper_case_letters_are_a_country(self, country: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            country_code(country)

        assert refusal.value.field == "country"
        with pytest.raises(InvalidRequest):
            Address(country=country)


class TestAddress:
    @pytest.mark.parametrize("name", ["line1", "line2", "city", "postcode", "subdivision"])
    @pytest.mark.parametrize("value", HOSTILE, ids=ascii)
    def test_each_line_is_bounded_printable_text(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            Address(**{name: value, "country": "US"})

        assert refusal.value.field == name

    @pytest.mark.parametrize("subdivision", ["US-TX", "US-PR", ""])
    def test_a_subdivision_of_the_country_is_kept(self, subdivision: str) -> None:
        assert Address(country="US", subdivision=subdivision).subdivision == subdivision

    @pytest.mark.parametrize(
        "subdivision", ["TX", "us-tx", "CA-ON", "US-", "US-TX11", "US_TX", "US-\u0422\u0425", " ", "US-tx"]
    )
    def test_another_form_or_country_of_a_subdivision_is_refused(self, subdivision: str) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            Address(country="US", subdivision=subdivision)

        assert refusal.value.field == "subdivision"

    def test_it_prints_without_empty_lines(self) -> None:
        texas = Address(line1="1 Main St", city="Austin", postcode="78701", subdivision="US-TX", country="US")

        assert texas.lines() == ("1 Main St", "78701 Austin", "US-TX", "US")
        assert Address(city="Berlin", country="DE").lines() == ("Berlin", "DE")
        assert Address(country="DE").lines() == ("DE",)

    def test_its_record_makes_it_again(self) -> None:
        address = Address(line1="a", line2="b", city="c", postcode="d", subdivision="US-TX", country="US")

        assert Address(**address_record(address)) == address


class TestSeller:
    def test_all_fields_are_kept(self) -> None:
        seller = _seller(
            tax_ids=("DE136695976",),
            email="billing@nimbus.example",
            phone="+49 30 1234",
            website="https://nimbus.example",
            timezone="Europe/Berlin",
            prices="inclusive",
            rounding="half_even",
            fiscal_year_start=(12, 28),
        )

        assert seller.tax_ids == ("DE136695976",)
        assert seller.fiscal_year_start == (12, 28)

    @pytest.mark.parametrize(
        "fields",
        [
            {"address": None},
            {"address": "Invalidenstr. 1"},
            {"tax_ids": "DE136695976"},  # a comma short of a tuple
            {"tax_ids": None},
            {"prices": "gross"},
            {"prices": None},
            {"rounding": "up"},
            {"rounding": "ROUND_HALF_UP"},
            {"timezone": ""},
            {"timezone": "Berlin"},
            {"timezone": "Europe"},
            {"timezone": "../../etc/passwd"},
            {"timezone": "/etc/passwd"},
            {"timezone": "a\x00b"},
            {"timezone": "\ud800"},
            {"timezone": None},
            {"timezone": 1},
            {"fiscal_year_start": None},
            {"fiscal_year_start": 4},
            {"fiscal_year_start": (4,)},
            {"fiscal_year_start": [4, 1]},
            {"fiscal_year_start": (0, 1)},
            {"fiscal_year_start": (13, 1)},
            {"fiscal_year_start": (2, 29)},
            {"fiscal_year_start": (4, 0)},
            {"fiscal_year_start": (4.0, 1)},
            {"fiscal_year_start": ("4", "1")},
        ],
        ids=ascii,
    )
    def test_a_set_up_that_cannot_work_is_named(self, fields: dict[str, Any]) -> None:
        (name,) = fields

        with pytest.raises(ConfigurationError, match=rf"Seller\.{name}"):
            _seller(**fields)

    @pytest.mark.parametrize("name", ["name", "phone", "website", "email"])
    @pytest.mark.parametrize("value", HOSTILE, ids=ascii)
    def test_what_is_printed_is_bounded_printable_text(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _seller(**{name: value})

        assert refusal.value.field == name

    @pytest.mark.parametrize("value", ["", " ", *HOSTILE], ids=ascii)
    def test_each_tax_id_is_text(self, value: Any) -> None:
        with pytest.raises(InvalidRequest):
            _seller(tax_ids=("DE136695976", value))

    def test_a_seller_has_a_name(self) -> None:
        with pytest.raises(InvalidRequest):
            _seller(name=" ")


class TestTaxProfile:
    def test_a_consumer_may_stay_without_a_name(self) -> None:
        assert _profile().kind == "consumer"

    def test_a_business_gives_its_name(self) -> None:
        assert _profile(kind="business", company="Ada SARL", tax_id="FR40303265045").company == "Ada SARL"
        for company in ("", " ", "\u3000"):
            with pytest.raises(TaxProfileInvalid) as refusal:
                _profile(kind="business", company=company)
            assert refusal.value.field == "company"

    @pytest.mark.parametrize("kind", ["", "Business", "any", None, 1, ["business"]], ids=ascii)
    def test_there_are_two_kinds(self, kind: Any) -> None:
        with pytest.raises(TaxProfileInvalid) as refusal:
            _profile(kind=kind)

        assert refusal.value.field == "kind"

    @pytest.mark.parametrize("address", [None, "Berlin", {"country": "DE"}], ids=ascii)
    def test_the_address_is_an_address(self, address: Any) -> None:
        with pytest.raises(TaxProfileInvalid) as refusal:
            _profile(address=address)

        assert refusal.value.field == "address"

    @pytest.mark.parametrize("name", ["name", "company", "tax_id"])
    @pytest.mark.parametrize("value", HOSTILE, ids=ascii)
    def test_names_and_ids_are_bounded_printable_text(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _profile(**{name: value})

        assert refusal.value.field == name


class TestCustomer:
    @pytest.mark.parametrize("name", ["id", "name", "locale", "email"])
    @pytest.mark.parametrize("value", HOSTILE, ids=ascii)
    def test_what_the_host_registers_is_judged(self, name: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _customer(**{name: value})

        assert refusal.value.field == {"id": "customer"}.get(name, name)

    @pytest.mark.parametrize("group", ["", " ", *HOSTILE], ids=ascii)
    def test_each_group_is_a_name(self, group: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            _customer(groups=("beta", group))

        assert refusal.value.field == "groups"

    @pytest.mark.parametrize("currency", ["eur", "", "BTC", None, 5], ids=ascii)
    def test_the_currency_is_known(self, currency: Any) -> None:
        with pytest.raises(RequestRefused) as refusal:
            _customer(currency=currency)

        assert refusal.value.field == "currency"

    def test_mail_and_name_may_be_left_out(self) -> None:
        customer = _customer(groups=("beta",), email="ada@example.com", name="山田\u3000太郎")

        assert (customer.email, customer.groups) == ("ada@example.com", ("beta",))
        assert (_customer().email, _customer().name) == ("", "")

    @given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=40))
    @example("\ud800", "ok")
    @example("ok", "\udfff")
    def test_what_is_registered_can_be_frozen_and_hashed(self, customer_id: str, name: str) -> None:
        try:
            customer = _customer(id=customer_id, name=name)
        except InvalidRequest:
            return

        assert sha256(canonical_json([customer.id, customer.name])) == sha256(canonical_json([customer_id, name]))


class TestRegistration:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("country", "XX"),
            ("country", None),
            ("scheme", "vat"),
            ("scheme", None),
            ("number", "x" * 41),
            ("number", "a\u202eb"),
            ("number", 5),
            ("subdivision", "FR-75"),
            ("subdivision", 5),
            ("valid_from", "2026-01-01"),
            ("valid_to", datetime(2026, 1, 1, tzinfo=UTC)),
            ("valid_to", date(2020, 1, 1)),
        ],
        ids=ascii,
    )
    def test_what_cannot_be_is_refused_and_the_field_named(self, field: str, value: Any) -> None:
        values = {"country": "DE", "valid_from": date(2020, 1, 1), field: value}
        with pytest.raises(InvalidRequest) as refusal:
            Registration(**values)

        assert refusal.value.field == field

    def test_it_holds_between_its_days(self) -> None:
        day = date(2026, 11, 22)
        assert Registration(country="EL").covers(day)
        assert Registration(country="DE", valid_from=day).covers(day)
        assert not Registration(country="DE", valid_to=day).covers(day)


class TestEvidence:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("kind", "guess"),
            ("kind", None),
            ("country", "XX"),
            ("country", b"FR"),
            ("reference", "x" * 121),
            ("reference", "a\x00b"),
            ("reference", None),
        ],
        ids=ascii,
    )
    def test_what_cannot_be_is_refused_and_the_field_named(self, field: str, value: Any) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            Evidence(**{"kind": "ip", "country": "FR", field: value})

        assert refusal.value.field == field

    def test_its_reference_is_in_no_repr(self) -> None:
        assert "203.0.113.9" not in repr(Evidence(kind="ip", country="FR", reference="203.0.113.9"))


class TestTaxOfTheSeller:
    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({"tax_point": "at_use"}, "invoices of what was used"),
            ({"tax_point": "later"}, "tax_point"),
            ({"outage_policy": "ignore"}, "outage_policy"),
            ({"evidence_required": 3}, "evidence_required"),
            ({"evidence_required": True}, "evidence_required"),
            ({"evidence_required": 1.0}, "evidence_required"),
            ({"registrations": [Registration(country="DE")]}, "registrations"),
            ({"registrations": ("DE",)}, "registrations"),
        ],
        ids=ascii,
    )
    def test_what_cannot_be_says_what_to_change(self, fields: dict[str, Any], named: str) -> None:
        with pytest.raises(ConfigurationError, match=named):
            _seller(**fields)


@pytest.mark.parametrize(
    "numbers", [["1"], "123", None, ("",), (5,), ("x" * 41,), ("a\u202eb",), ("1",) * 5], ids=lambda v: ascii(v)[:30]
)
def test_further_tax_ids_are_a_few_short_texts(numbers: Any) -> None:
    with pytest.raises(RequestRefused) as refusal:
        _profile(further_tax_ids=numbers)

    assert refusal.value.field == "further_tax_ids"
