"""Frozen documents: what is issued is read back unchanged, and any change shows in the hash."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.documents import (
    Invoice,
    InvoiceLine,
    Party,
    buyer_party,
    check_figures,
    fiscal_year,
    invoice_from_record,
    invoice_record,
    number_in_series,
    seller_party,
)
from prepaid.core.errors import IntegrityFault, InvalidAmount
from prepaid.core.hashing import canonical_json, sha256
from prepaid.core.money import Money
from prepaid.core.parties import Address, Customer, Seller, TaxProfile
from prepaid.core.taxation import TaxDecision, TaxLine

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
PARTIES = st.builds(
    Party,
    name=TEXT,
    address=st.lists(TEXT, max_size=4).map(tuple),
    tax_ids=st.lists(TEXT, max_size=2).map(tuple),
    email=TEXT,
    phone=TEXT,
    website=TEXT,
)
MINOR = st.integers(0, 10**12)
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
PARIS = Address(line1="1 rue X", city="Paris", postcode="75001", country="FR")


def _money(minor: int) -> Money:
    return Money.from_minor(minor, "EUR")


def _decision(net: int, tax: int) -> TaxDecision:
    line = TaxLine(name="USt", rate_percent=Decimal(19), base=_money(net), amount=_money(tax))
    return TaxDecision(
        treatment="standard",
        lines=(line,),
        net=_money(net),
        total=_money(tax),
        gross=_money(net + tax),
        category="S",
    )


def _invoice(**fields: Any) -> Invoice:
    return Invoice(
        **{
            "id": "inv_1",
            "number": "INV26-000001",
            "issued_at": AT,
            "issued_on": AT.date(),
            "customer": "user-42",
            "buyer": Party(name="Ada", address=("Paris",), tax_ids=("FR1",), email="ada@example.com"),
            "seller": Party(
                name="Nimbus GmbH", address=("Berlin",), tax_ids=("DE1",), website="https://nimbus.example"
            ),
            "lines": (InvoiceLine(description="Credit", net=_money(1000)),),
            "tax": _decision(1000, 190),
            "net": _money(1000),
            "total": _money(1190),
            "currency": "EUR",
            "mode": "test",
            "topup_id": "top_1",
            "cause_id": "top_1",
            "payment": ("stripe", "pi_1"),
            **fields,
        }
    )


INVOICES = st.builds(
    lambda net, tax, at, **fields: _invoice(
        net=_money(net), total=_money(net + tax), tax=_decision(net, tax), issued_at=at, issued_on=at.date(), **fields
    ),
    MINOR,
    MINOR,
    st.datetimes(timezones=st.just(UTC)),
    number=TEXT,
    customer=TEXT,
    buyer=PARTIES,
    seller=PARTIES,
    lines=st.lists(
        st.builds(InvoiceLine, description=TEXT, quantity=st.integers(1, 9), net=MINOR.map(_money)), max_size=3
    ).map(tuple),
    locale=TEXT,
    payment=st.tuples(TEXT, TEXT),
    corrects=st.none() | TEXT,
)

OTHERS: dict[str, Any] = {
    "id": "inv_2",
    "number": "INV26-000002",
    "kind": "credit-note",
    "issued_at": AT + timedelta(microseconds=1),
    "issued_on": date(2026, 11, 24),
    "customer": "user-43",
    "buyer": Party(name="Eve"),
    "seller": Party(name="Nimbus Ltd"),
    "lines": (InvoiceLine(description="Credit", net=_money(1001)),),
    "tax": _decision(1000, 191),
    "net": _money(1001),
    "total": _money(1191),
    "currency": "USD",
    "mode": "live",
    "locale": "de",
    "topup_id": "top_2",
    "cause_id": "ref_2",
    "payment": ("stripe", "pi_2"),
    "corrects": "INV26-000001",
}


def _hash(invoice: Invoice) -> str:
    return sha256(canonical_json(invoice_record(invoice)))


class TestRecord:
    @given(INVOICES)
    def test_an_invoice_is_stored_and_read_back_unchanged(self, invoice: Invoice) -> None:
        stored = canonical_json(invoice_record(invoice))

        read = invoice_from_record(json.loads(stored), sha256=sha256(stored))

        assert attrs.evolve(read, sha256="") == invoice
        assert read.sha256 == sha256(stored)

    @given(INVOICES)
    def test_writing_a_stored_document_again_changes_no_byte(self, invoice: Invoice) -> None:
        stored = canonical_json(invoice_record(invoice))

        assert canonical_json(invoice_record(invoice_from_record(json.loads(stored), sha256=""))) == stored

    @pytest.mark.parametrize("name", sorted(OTHERS))
    def test_the_hash_covers_the_field(self, name: str) -> None:
        assert _hash(attrs.evolve(_invoice(), **{name: OTHERS[name]})) != _hash(_invoice())

    def test_every_field_but_the_hash_itself_is_covered(self) -> None:
        assert {field.name for field in attrs.fields(Invoice)} - {"sha256"} == set(OTHERS)
        assert _hash(attrs.evolve(_invoice(), sha256="f" * 64)) == _hash(_invoice())

    @pytest.mark.parametrize("side", ["buyer", "seller"])
    @pytest.mark.parametrize("name", [field.name for field in attrs.fields(Party)])
    def test_the_hash_covers_each_line_of_a_party(self, side: str, name: str) -> None:
        party = getattr(_invoice(), side)
        value = ("other",) if isinstance(getattr(party, name), tuple) else "other"

        assert _hash(attrs.evolve(_invoice(), **{side: attrs.evolve(party, **{name: value})})) != _hash(_invoice())

    @pytest.mark.parametrize("change", [{"description": "Other"}, {"quantity": 2}, {"net": _money(999)}], ids=str)
    def test_the_hash_covers_each_part_of_a_line(self, change: dict[str, Any]) -> None:
        (line,) = _invoice().lines

        assert _hash(_invoice(lines=(attrs.evolve(line, **change),))) != _hash(_invoice())

    def test_text_cannot_move_between_lines_unseen(self) -> None:
        one = _invoice(buyer=Party(name="Ada", address=("1 rue X", "Paris")))
        other = _invoice(buyer=Party(name="Ada", address=("1 rue X, Paris",)))

        assert _hash(one) != _hash(other)

    @pytest.mark.parametrize("name", ["net", "total"])
    def test_a_part_of_a_minor_unit_cannot_be_invoiced(self, name: str) -> None:
        with pytest.raises(InvalidAmount):
            invoice_record(_invoice(**{name: Money(1, "EUR")}))

    def test_mail_and_phone_stay_out_of_logs(self) -> None:
        party = Party(name="Ada", email="ada@example.com", phone="+33 1 2345")

        assert "ada@" not in repr(party)
        assert "2345" not in repr(party)


class TestParties:
    def test_the_seller_is_printed_as_configured(self) -> None:
        seller = Seller(
            name="Nimbus GmbH",
            address=Address(line1="Invalidenstr. 1", city="Berlin", postcode="10115", country="DE"),
            tax_ids=("DE136695976",),
            email="billing@nimbus.example",
            phone="+49 30 1",
            website="https://nimbus.example",
        )

        assert seller_party(seller) == Party(
            name="Nimbus GmbH",
            address=("Invalidenstr. 1", "10115 Berlin", "DE"),
            tax_ids=("DE136695976",),
            email="billing@nimbus.example",
            phone="+49 30 1",
            website="https://nimbus.example",
        )

    @pytest.mark.parametrize(
        ("registered", "profile", "name", "address", "tax_ids"),
        [
            ("", None, "user-42", (), ()),
            ("Ada", None, "Ada", (), ()),
            ("Ada", TaxProfile(address=PARIS), "Ada", PARIS.lines(), ()),
            ("", TaxProfile(address=PARIS), "user-42", PARIS.lines(), ()),
            ("Ada", TaxProfile(address=PARIS, name="Ada L."), "Ada L.", PARIS.lines(), ()),
            (
                "Ada",
                TaxProfile(kind="business", address=PARIS, company="Ada SARL", tax_id="FR40303265045"),
                "Ada SARL",
                PARIS.lines(),
                ("FR40303265045",),
            ),
            (
                "Ada",
                TaxProfile(kind="business", address=PARIS, company="Ada SARL", name="Ada L."),
                "Ada SARL",
                ("Ada L.", *PARIS.lines()),
                (),
            ),
        ],
    )
    def test_the_buyer_is_printed_from_the_profile_first(
        self,
        registered: str,
        profile: TaxProfile | None,
        name: str,
        address: tuple[str, ...],
        tax_ids: tuple[str, ...],
    ) -> None:
        customer = Customer(id="user-42", name=registered, email="ada@example.com", currency="EUR")

        zero = Money.zero("EUR")
        tax = TaxDecision(treatment="not_collecting", net=zero, total=zero, gross=zero, category="O")

        buyer = buyer_party(customer, profile, tax)

        assert buyer == Party(name=name, address=address, tax_ids=tax_ids, email="ada@example.com")


class TestNumbers:
    @pytest.mark.parametrize(
        ("day", "start", "year"),
        [
            (date(2026, 1, 1), (1, 1), 2026),
            (date(2026, 12, 31), (1, 1), 2026),
            (date(2026, 3, 31), (4, 1), 2025),
            (date(2026, 4, 1), (4, 1), 2026),
            (date(2027, 3, 31), (4, 1), 2026),
            (date(2026, 12, 27), (12, 28), 2025),
        ],
    )
    def test_a_fiscal_year_is_named_after_the_year_it_begins_in(
        self, day: date, start: tuple[int, int], year: int
    ) -> None:
        assert fiscal_year(day, start) == year

    @given(st.dates(date(2000, 1, 1), date(2098, 12, 31)), st.tuples(st.integers(1, 12), st.integers(1, 28)))
    def test_a_fiscal_year_begins_at_most_a_year_before_the_day(self, day: date, start: tuple[int, int]) -> None:
        began = date(fiscal_year(day, start), *start)

        assert began <= day < date(began.year + 1, *start)

    @pytest.mark.parametrize(
        ("day", "sequence", "mode", "start", "number"),
        [
            (date(2026, 11, 23), 1, "live", (1, 1), "INV26-000001"),
            (date(2026, 11, 23), 1, "test", (1, 1), "TINV26-000001"),
            (date(2026, 3, 31), 999_999, "live", (4, 1), "INV25-999999"),
            (date(2026, 11, 23), 1_000_000, "live", (1, 1), "INV26-1000000"),
            (date(2005, 1, 1), 7, "live", (1, 1), "INV05-000007"),
        ],
    )
    def test_a_number_names_series_fiscal_year_and_place(
        self, day: date, sequence: int, mode: str, start: tuple[int, int], number: str
    ) -> None:
        assert number_in_series("INV", day, sequence, mode=mode, start=start) == number

    @given(
        st.tuples(st.sampled_from(["test", "live"]), st.integers(2000, 2099), st.integers(1, 99_999_999)),
        st.tuples(st.sampled_from(["test", "live"]), st.integers(2000, 2099), st.integers(1, 99_999_999)),
    )
    def test_two_places_never_share_a_number_of_sixteen_characters(
        self, one: tuple[str, int, int], other: tuple[str, int, int]
    ) -> None:
        numbers = [
            number_in_series("INV", date(year, 6, 1), sequence, mode=mode) for mode, year, sequence in (one, other)
        ]

        assert (numbers[0] == numbers[1]) == (one == other)
        assert max(map(len, numbers)) <= 16


class TestFigures:
    def test_a_document_whose_figures_agree_passes_unchanged(self) -> None:
        net = InvoiceLine(description="Account credit", net=_money(1200))
        discount = InvoiceLine(description="Promotion discount", net=_money(-200))
        invoice = _invoice(lines=(net, discount), tax=_decision(1000, 190), net=_money(1000), total=_money(1190))

        assert check_figures(invoice) is invoice

    @pytest.mark.parametrize(
        "wrong",
        [
            {"net": Money.of("9.99", "EUR")},
            {"total": Money.of("11.91", "EUR")},
            {"tax": _decision(1000, 191)},
            {"lines": (InvoiceLine(description="Account credit", net=Money.of("10.01", "EUR")),)},
            {"lines": (InvoiceLine(description="Account credit", net=Money.of("10.00", "USD")),)},
            {"lines": ()},
        ],
        ids=["net", "total", "tax", "line", "currency", "no-lines"],
    )
    def test_a_document_whose_figures_disagree_is_never_issued(self, wrong: dict[str, Any]) -> None:
        line = InvoiceLine(description="Account credit", net=_money(1000))
        figures = {"lines": (line,), "tax": _decision(1000, 190), "net": _money(1000), "total": _money(1190)}

        with pytest.raises(IntegrityFault, match="do not agree"):
            check_figures(_invoice(**{**figures, **wrong}))
