"""Bad input about tax ids: refused with its field named, before any register is asked, and nothing is written."""

from __future__ import annotations

from datetime import date

import pytest

from prepaid import Address, Evidence, InvalidRequest, NotFound, PrepaidError, RequestRefused, TaxProfile
from tests.use_cases.steps import ADA, SQLITE, at, counts, eur, operator
from tests.use_cases.tax_steps import be, business, consumer

LONG, CONTROL, BIDI = "9" * 100_000, "FR4030\x00", "FR\u202e40303265045"
TEXTS = [LONG, CONTROL, BIDI, None, 5, True, b"FR40303265045", ["FR"], "\ud800"]


@pytest.mark.parametrize("wrong", TEXTS)
@pytest.mark.parametrize("field", ["tax_id", "company", "name", "further_tax_ids"])
def test_a_profile_with_text_that_cannot_be_is_not_even_made(field, wrong):
    with pytest.raises(RequestRefused) as refused:
        business(**{field: (wrong,) if field == "further_tax_ids" else wrong})
    assert refused.value.field == field


@SQLITE
@pytest.mark.parametrize("wrong", [*TEXTS, TaxProfile, consumer().address])
def test_what_is_no_profile_is_refused_before_anybody_is_asked(wired, register, wrong):
    billing = wired()
    before = counts(billing)

    with pytest.raises(RequestRefused) as refused:
        billing.customer(ADA).tax_profile.set(wrong)

    assert (refused.value.field, counts(billing), register.asked) == ("profile", before, [])


REASONS = ["", "  ", *TEXTS, "r" * 501]


@pytest.mark.parametrize("wrong", REASONS)
@SQLITE
def test_a_reason_that_is_none_is_refused_and_nothing_is_written(wired, wrong):
    billing = wired()
    be(billing, business())
    door, before = operator(billing), counts(billing)

    for call in (door.tax.verify_id, door.tax.unverify_id, door.customers.exempt, door.customers.end_exemption):
        with pytest.raises(InvalidRequest) as refused:
            call(ADA, reason=wrong)
        assert refused.value.field == "reason"
    assert counts(billing) == before


@SQLITE
@pytest.mark.parametrize(
    "wrong", [date(2026, 11, 23), date(1970, 1, 1), "2027-01-01", 5, True, b"", at(2027, 1, 1), ()]
)
def test_a_last_day_that_is_no_date_to_come_is_refused(wired, wrong):
    billing = wired()
    be(billing, business())
    door, before = operator(billing), counts(billing)

    for call in (door.tax.verify_id, door.customers.exempt):
        with pytest.raises(InvalidRequest) as refused:
            call(ADA, reason="because", valid_to=wrong)
        assert refused.value.field == "valid_to"
    assert counts(billing) == before


@SQLITE
@pytest.mark.parametrize("wrong", [*TEXTS, "VATEX EU", "VATEX-EU-151\n", "ä"])
def test_a_code_that_cannot_be_is_refused(wired, wrong):
    billing = wired()
    before = counts(billing)

    with pytest.raises(InvalidRequest) as refused:
        operator(billing).customers.exempt(ADA, reason="because", code=wrong)

    assert (refused.value.field, counts(billing)) == ("code", before)


@SQLITE
@pytest.mark.parametrize("wrong", [*TEXTS, "", " ada"])
def test_a_customer_that_cannot_be_is_refused_by_every_method(wired, wrong):
    billing = wired()
    before, door = counts(billing), operator(billing)
    fine = Evidence(kind="ip", country="FR")

    for call in (
        lambda: door.tax.verify_id(wrong, reason="because"),
        lambda: door.tax.unverify_id(wrong, reason="because"),
        lambda: door.tax.of_customer(wrong),
        lambda: door.customers.exempt(wrong, reason="because"),
        lambda: door.customers.end_exemption(wrong, reason="because"),
        lambda: billing.customers.evidence(wrong, fine),
    ):
        with pytest.raises(InvalidRequest) as refused:
            call()
        assert refused.value.field == "customer"
    assert counts(billing) == before


def test_a_customer_that_is_not_registered_is_not_found(wired):
    billing = wired()
    before, door = counts(billing), operator(billing)
    for call in (
        lambda: door.tax.verify_id("nobody", reason="because"),
        lambda: door.tax.of_customer("nobody"),
        lambda: door.customers.exempt("nobody", reason="because"),
        lambda: billing.customers.evidence("nobody", Evidence(kind="ip", country="FR")),
        lambda: billing.customer("nobody").tax_profile.set(business()),
        billing.customer("nobody").tax_profile.verify,
        billing.customer("nobody").tax_profile.status,
    ):
        with pytest.raises(NotFound):
            call()
    assert counts(billing) == before


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        *(("kind", value) for value in ("", "gps", None, 5, b"ip")),
        *(("country", value) for value in ("", "France", "fr\x00", None, 5, b"FR", "x" * 100_000)),
        *(("reference", value) for value in TEXTS),
    ],
)
def test_evidence_that_cannot_be_is_not_even_made(field, wrong):
    with pytest.raises(PrepaidError) as refused:
        Evidence(**{"kind": "ip", "country": "FR", field: wrong})
    assert refused.value.field == field


@SQLITE
@pytest.mark.parametrize("wrong", [*TEXTS, consumer()])
def test_what_is_no_evidence_is_refused(wired, wrong):
    billing = wired()
    before = counts(billing)

    with pytest.raises(InvalidRequest) as refused:
        billing.customers.evidence(ADA, wrong)

    assert (refused.value.field, counts(billing)) == ("evidence", before)


@SQLITE
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("profile", [*TEXTS[:1], 5, True, b"", Address(country="FR")]),
        ("tax_id_state", [*TEXTS[:3], 5, True, b"valid", ["valid"], "VALID", ""]),
        ("day", [*TEXTS[:1], 5, True, b"", at(2027, 1, 1), "2027-01-01"]),
    ],
)
def test_a_try_out_that_cannot_be_is_refused(wired, register, field, values):
    billing = wired()
    before = counts(billing)
    for wrong in values:
        options = {"profile": business(), "amount": eur("10"), field: wrong}
        with pytest.raises(InvalidRequest) as refused:
            operator(billing).tax.explain(**options)
        assert refused.value.field == field
    assert (counts(billing), register.asked) == (before, [])
