"""The example's tax: the state of a tax id, what a summary says, rules, try-out, report and corrections."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from prepaid import TaxRule
from prepaid.ports import TaxId
from prepaid.system import IN_TIME
from prepaid.testing.clock import MovableClock
from tests.examples.visiting import Visitor, money_in

VALID, UNKNOWN, SLOW = "FR40303265045", "FR23334175221", "FR83404833048"
AUSTRIAN = {"tax_id": "ATU13585627", "country": "AT"}
RULE = {"country": "IT", "name": "IVA", "percent": "22", "valid_from": "2014-01-01", "source": "DPR 633/1972 art. 16"}
TRIAL = {"country": "FR", "kind": "business", "amount": "50", "day": "2026-11-22"}


def save(visitor: Visitor, **fields: str) -> Any:
    """Save the tax profile of a French business, but for some fields."""
    usual = {"kind": "business", "company": "Ada SARL", "country": "FR"}
    return visitor.post("/tax-profile", **{**usual, **fields})


def error_at(page: str, field: str) -> str:
    """Read the error of a field, which must be marked and connected with it."""
    marked = re.search(f'<(?:input|select) id="{field}"[^>]*>', page)
    assert marked is not None
    assert 'aria-invalid="true"' in marked.group()
    assert f'{field}-error"' in marked.group()
    said = re.search(f'<p class="error" id="{field}-error">([^<]+)</p>', page)
    assert said is not None
    return said.group(1)


def badge_in(page: str) -> str:
    found = re.search(r'<span class="badge plain [a-z]+">([^<]+)</span>', page)
    return found.group(1) if found else ""


def is_offered(page: str) -> bool:
    return "Check again" in page


# The customer


@pytest.mark.parametrize(
    ("fields", "said", "asked_again"),
    [
        ({"tax_id": ""}, "", False),
        ({"tax_id": VALID}, "Verified on ", False),
        ({"tax_id": UNKNOWN}, "Not valid", True),
        (AUSTRIAN, "Register does not answer", True),
        ({"tax_id": "CHE107787577MWST", "country": "CH"}, "Not verified", False),
        ({"tax_id": "FR12"}, "Wrong form", False),
    ],
)
def test_a_tax_id_has_its_state_in_words(
    visitor: Visitor, fields: dict[str, str], said: str, asked_again: bool
) -> None:
    page = save(visitor, **fields).text

    assert badge_in(page).startswith(said)
    assert bool(badge_in(page)) is bool(said)
    assert is_offered(page) is asked_again


def test_a_tax_id_says_on_which_day_it_was_verified(visitor: Visitor, panel: Any) -> None:
    today = panel.today()

    assert badge_in(save(visitor, tax_id=VALID).text) == f"Verified on {today.day} {today:%b %Y}"


def test_a_tax_id_of_the_wrong_form_is_kept_and_said_next_to_its_field(visitor: Visitor, panel: Any) -> None:
    page = save(visitor, tax_id="FR12").text

    assert "form of a VAT number" in error_at(page, "tax_id")
    assert panel.ada().tax_profile.get().tax_id == "FR12"


def test_a_slow_register_is_not_waited_for_and_its_answer_is_there_later(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wiring

    answers = threading.Event()
    monkeypatch.setattr("prepaid.tax.registers.BUDGET_S", 0.05)
    monkeypatch.setattr(wiring, "time", SimpleNamespace(sleep=lambda seconds: answers.wait(10)))
    page = save(visitor, tax_id=SLOW).text
    assert badge_in(page) == "Being verified"
    assert is_offered(page)

    answers.set()
    for thread in threading.enumerate():
        if thread.name == IN_TIME:
            thread.join(10)
    assert badge_in(visitor.get("/tax-profile").text).startswith("Verified on ")


def test_a_register_that_was_down_is_asked_again_by_the_button(visitor: Visitor, panel: Any) -> None:
    save(visitor, **AUSTRIAN)
    still = visitor.post("/tax-profile/verify").text
    panel.clock.advance(hours=3)

    page = visitor.post("/tax-profile/verify").text

    assert "Your tax id: register does not answer." in still
    assert "Your tax id: verified on" in page
    assert badge_in(page).startswith("Verified on ")
    assert not is_offered(page)


def test_a_state_or_province_is_kept_and_must_be_of_the_country(visitor: Visitor, panel: Any) -> None:
    wrong = save(visitor, subdivision="us-tx", country="CA")
    saved = save(visitor, subdivision="ca-on", country="CA")

    assert wrong.status_code == 422
    assert "ISO 3166-2" in error_at(wrong.text, "subdivision")
    assert 'value="CA-ON"' in saved.text
    assert panel.ada().tax_profile.get().address.subdivision == "CA-ON"


def test_the_summary_names_each_tax_with_its_base(visitor: Visitor) -> None:
    page = visitor.get("/add-funds?amount=50.00").text

    assert re.search(r'VAT 19 % <span class="aside">on €50.00</span>', page)


def test_a_verified_business_abroad_pays_no_tax_and_reads_why(visitor: Visitor, panel: Any) -> None:
    save(visitor, tax_id=VALID)

    page = visitor.get("/add-funds?amount=50.00").text
    visitor.pay("50.00")
    invoice = panel.ada().invoices.list().items[0]

    assert money_in(page, "Total to pay") == Decimal("50.00")
    assert re.search(r'id="tax-line"><dt>Tax <span class="aside">Reverse charge</span>', page)
    assert "you owe the tax in FR yourself" in page
    assert '<th scope="row">Reverse charge</th>' in visitor.get(f"/invoices/{invoice.id}").text


@pytest.mark.parametrize(
    ("fields", "leads_there"),
    [
        (AUSTRIAN, True),
        ({"tax_id": UNKNOWN}, True),
        ({"tax_id": "FR12"}, True),
        ({"tax_id": VALID}, False),
        ({"tax_id": ""}, False),
        ({"tax_id": UNKNOWN, "kind": "consumer"}, False),
        ({"tax_id": "DE12", "country": "DE"}, False),
    ],
)
def test_the_summary_leads_to_a_tax_id_that_is_not_verified_and_matters(
    visitor: Visitor, fields: dict[str, str], leads_there: bool
) -> None:
    save(visitor, **fields)

    assert ("Look at your tax id" in visitor.get("/add-funds?amount=50.00").text) is leads_there
    assert ("Look at your tax id" in visitor.get("/add-funds/quote?amount=50.00").json["summary"]) is leads_there


def test_an_exempt_customer_reads_the_reason_that_the_operator_gave(visitor: Visitor, panel: Any) -> None:
    panel.alice().customers.exempt("ada", reason="Diplomatic mission")

    assert "Exempt: Diplomatic mission" in visitor.get("/add-funds?amount=50.00").text


@pytest.mark.parametrize(("country", "said"), [("IT", "Not collected"), ("US", "Out of scope")])
def test_a_country_without_a_rate_is_not_taxed_and_the_summary_says_so(
    visitor: Visitor, country: str, said: str
) -> None:
    save(visitor, country=country)
    page = visitor.get("/add-funds?amount=50.00").text

    assert money_in(page, "Total to pay") == Decimal("50.00")
    assert f'<span class="aside">{said}</span>' in page


def test_the_register_of_the_demo_answers_as_its_hints_say(app: Any) -> None:
    from wiring import DemoRegister

    clock = MovableClock(datetime(2026, 11, 22, tzinfo=UTC))
    register = DemoRegister(clock)

    def ask(number: str) -> str:
        tax_id = TaxId(kind="eu_vat", country=number[:2], number=number)
        return str(register.check(tax_id, requester=None).state)

    assert [ask(number) for number in (VALID, UNKNOWN, "ATU13585627")] == ["valid", "invalid", "unavailable"]
    clock.advance(hours=1)
    assert ask("ATU13585627") == "unavailable"
    clock.advance(hours=1)
    assert ask("ATU13585627") == "valid"
    assert not register.covers(TaxId(kind="ch_vat", country="CH", number="CHE1"))


# The rules


@pytest.fixture
def operator(visitor: Visitor) -> Visitor:
    return visitor.be("operator")


def rows_of(page: str) -> list[str]:
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return [re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row)).strip() for row in body.split("</tr>") if row.strip()]


def rule_of(panel: Any, country: str) -> TaxRule:
    [found] = [rule for rule in panel.alice().tax.list() if rule.country == country]
    return found


def test_the_rules_say_where_whom_how_since_when_and_who_says_so(operator: Visitor) -> None:
    rows = rows_of(operator.get("/operator/tax-rules").text)

    assert len(rows) == 7
    [german] = [row for row in rows if row.startswith("Germany")]
    for said in ("Everybody", "Where registered: local, oss", "Taxed", "VAT 19 %", "from 1 Jan 2021", "UStG § 12(1)"):
        assert said in german
    [reverse] = [row for row in rows if "Reverse charge" in row]
    assert reverse.startswith("European Union Businesses abroad with a valid tax id")


def test_territories_states_and_postal_codes_of_rules_are_shown(operator: Visitor, panel: Any) -> None:
    since = date(2020, 1, 1)
    for more in ({"territory": "ES-CN"}, {"postcode": "51###"}, {"subdivision": "ES-CT"}):
        panel.alice().tax.add(TaxRule("ES", (("IGIC", "7"),), valid_from=since, valid_to=date(2030, 1, 1), **more))

    page = operator.get("/operator/tax-rules").text

    assert "Spain (ES-CN)" in page
    assert "Spain (ES-CT)" in page
    assert "Postal codes 51###" in page
    assert "before 1 Jan 2030" in page


def test_a_rule_that_is_added_decides_the_next_sale(operator: Visitor) -> None:
    page = operator.post("/operator/tax-rules", **RULE).text
    operator.be("customer")
    save(operator, country="IT")

    assert "The rule of Italy is added." in page
    assert any(row.startswith("Italy") and "DPR 633/1972" in row for row in rows_of(page))
    assert money_in(operator.get("/add-funds?amount=50.00").text, "IVA 22 %") == Decimal("11.00")


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"country": ""}, "country", "Country is"),
        ({"country": "Italy"}, "country", "Country is"),
        ({"name": ""}, "name", "Give the name"),
        ({"name": "x" * 121}, "name", ""),
        ({"percent": ""}, "percent", ""),
        ({"percent": "101"}, "percent", "from 0 to 100"),
        ({"percent": "22,5"}, "percent", ""),
        ({"valid_from": ""}, "valid_from", "Give a day"),
        ({"valid_from": "tomorrow"}, "valid_from", "Give a day"),
        ({"valid_from": "9999-12-31"}, "valid_from", "of this time"),
        ({"country": "DE"}, "valid_from", "end the earlier one first"),
        ({"source": "x" * 201}, "source", ""),
    ],
)
def test_a_rule_that_cannot_be_is_refused_next_to_its_field(
    operator: Visitor, panel: Any, wrong: dict[str, str], field: str, said: str
) -> None:
    answer = operator.post("/operator/tax-rules", **{**RULE, **wrong})

    assert answer.status_code == 422
    assert said in error_at(answer.text, field)
    assert len(panel.alice().tax.list()) == 7
    assert wrong.get("name", "IVA") == "" or f'value="{wrong.get("name", "IVA")}"' in answer.text


def test_a_rate_changes_on_a_day_by_ending_one_rule_and_adding_the_next(operator: Visitor, panel: Any) -> None:
    german = rule_of(panel, "DE")
    ended = operator.post(f"/operator/tax-rules/{german.id}/end", valid_to="2027-01-01")
    fields = {"country": "DE", "name": "VAT", "percent": "20", "valid_from": "2027-01-01"}
    operator.post("/operator/tax-rules", **{**RULE, **fields})

    before = operator.get("/operator/tax-rules/try?country=DE&kind=consumer&amount=100&day=2026-12-31").text
    after = operator.get("/operator/tax-rules/try?country=DE&kind=consumer&amount=100&day=2027-01-01").text

    assert "The rule of Germany ends." in ended.text
    assert money_in(before, "VAT 19 %") == Decimal("19.00")
    assert money_in(after, "VAT 20 %") == Decimal("20.00")


@pytest.mark.parametrize("day", ["", "soon", "2021-01-01", "2020-12-31"])
def test_a_rule_cannot_end_on_no_day_or_before_it_begins(operator: Visitor, panel: Any, day: str) -> None:
    german = rule_of(panel, "DE")

    answer = operator.post(f"/operator/tax-rules/{german.id}/end", valid_to=day)

    assert answer.status_code == 422
    assert error_at(answer.text, "valid_to")
    assert rule_of(panel, "DE") == german


def test_a_rule_is_taken_out_of_use_only_after_a_question(operator: Visitor, panel: Any) -> None:
    french = rule_of(panel, "FR")
    listed = operator.get("/operator/tax-rules").text
    question = operator.get(f"/operator/tax-rules/{french.id}").text

    assert f'href="/operator/tax-rules/{french.id}"' in listed
    assert "/retire" not in listed
    assert "End TVA 20 %" in question
    assert operator.get(f"/operator/tax-rules/{french.id}/retire").status_code == 405
    assert french in panel.alice().tax.list()

    page = operator.post(f"/operator/tax-rules/{french.id}/retire").text
    again = operator.post(f"/operator/tax-rules/{french.id}/retire")

    assert "The rule of France is out of use." in page
    assert french not in panel.alice().tax.list()
    assert again.status_code == 404


@pytest.mark.parametrize("rule_id", ["x", "tax_01m82v7m000000000000000000"])
def test_a_rule_that_does_not_exist_has_no_page_and_no_acts(operator: Visitor, rule_id: str) -> None:
    url = f"/operator/tax-rules/{rule_id}"

    assert operator.get(url).status_code == 404
    assert operator.post(f"{url}/end", valid_to="2027-01-01").status_code == 404
    assert operator.post(f"{url}/retire").status_code == 404


def test_what_the_operator_types_is_shown_as_text_on_tax_pages(operator: Visitor) -> None:
    refused = operator.post("/operator/tax-rules", **{**RULE, "name": "<b>IVA</b>", "percent": "x"}).text
    operator.post("/operator/tax-rules", **{**RULE, "source": "<b>here</b>"})

    assert "<b>" not in refused
    assert "<b>here" not in operator.get("/operator/tax-rules").text


# The try-out


def trial(visitor: Visitor, **fields: str) -> Any:
    query = {**TRIAL, **fields}
    return visitor.get("/operator/tax-rules/try?" + "&".join(f"{name}={value}" for name, value in query.items()))


@pytest.mark.parametrize(
    ("fields", "treatment", "total"),
    [
        ({"kind": "consumer"}, "Taxed", "60.00"),
        ({"tax_id": VALID, "state": "valid"}, "Reverse charge", "50.00"),
        ({"tax_id": VALID, "state": "invalid"}, "Taxed", "60.00"),
        ({"country": "ES", "kind": "consumer", "postcode": "28001"}, "Taxed", "60.50"),
        ({"country": "ES", "kind": "consumer", "postcode": "35001"}, "Out of scope", "50.00"),
        ({"country": "US", "kind": "consumer"}, "Out of scope", "50.00"),
    ],
)
def test_the_try_out_shows_treatment_and_total(
    operator: Visitor, fields: dict[str, str], treatment: str, total: str
) -> None:
    page = trial(operator, **fields).text

    assert badge_in(page) == treatment
    assert money_in(page, 'id="total"') == Decimal(total)


def test_the_try_out_shows_line_explanation_rule_and_warning(operator: Visitor) -> None:
    page = trial(operator, tax_id=VALID, state="unavailable").text

    assert re.search(r'TVA 20 % <span class="aside">on €50.00</span>', page)
    assert "does not answer, so tax is charged" in page
    assert "The tax id is not verified yet." in page
    assert "CGI art. 278" in page


def test_the_try_out_writes_nothing_and_asks_nobody(operator: Visitor, panel: Any) -> None:
    before = panel.alice().audit.list().items

    assert badge_in(trial(operator, tax_id=VALID).text) == "Taxed"
    assert panel.alice().audit.list().items == before


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"country": ""}, "country"),
        ({"country": "XX1"}, "country"),
        ({"postcode": "1" * 17}, "postcode"),
        ({"amount": "fifty"}, "amount"),
        ({"amount": "0.001"}, "amount"),
        ({"day": ""}, "day"),
        ({"day": "1999-13-01"}, "day"),
        ({"state": "valid"}, "tax_id"),
        ({"state": "valid", "tax_id": "FR12"}, "tax_id"),
        ({"tax_id": "1" * 41}, "tax_id"),
        ({"day": "2013-12-31"}, "country"),
    ],
)
def test_a_try_out_that_cannot_be_is_refused_next_to_its_field(
    operator: Visitor, wrong: dict[str, str], field: str
) -> None:
    answer = trial(operator, **wrong)

    assert answer.status_code == 422
    assert error_at(answer.text, field)
    assert "No decision" in answer.text


def test_a_try_out_of_a_kind_or_state_that_does_not_exist_is_refused(operator: Visitor) -> None:
    assert trial(operator, kind="robot").status_code == 422
    assert trial(operator, tax_id=VALID, state="splendid").status_code == 400


# The report and the corrections


def test_the_report_sums_by_place_and_rate(visitor: Visitor) -> None:
    save(visitor, tax_id=VALID)
    visitor.pay("50.00")
    page = visitor.be("operator").get("/operator/tax-report").text

    assert rows_of(page) == [
        "Germany VAT 19 % Taxed 3 €25.00 €4.75",
        "France — none Reverse charge 1 €50.00 €0.00",
        "France TVA 20 % Taxed 2 €30.00 €6.00",
    ]
    assert money_in(page, 'id="tax-total"') == Decimal("10.75")


def test_the_report_counts_its_last_day_and_nothing_outside(operator: Visitor, panel: Any) -> None:
    sold = panel.ada().invoices.list().items[0].issued_on

    on_the_day = operator.get(f"/operator/tax-report?since={sold}&until={sold}").text
    before = sold - timedelta(days=1)
    earlier = operator.get(f"/operator/tax-report?since={before}&until={before}").text

    assert len(rows_of(on_the_day)) == 2
    assert "No documents in these days." in earlier


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=2026-02-01&until=2026-01-31", "until"),
        ("since=x&until=2026-01-31", "since"),
        ("since=2026-02-01&until=", "until"),
        ("since=2026-02-01&until=9999-12-31", "until"),
    ],
)
def test_days_that_are_none_are_refused_next_to_their_field(operator: Visitor, query: str, field: str) -> None:
    answer = operator.get(f"/operator/tax-report?{query}")

    assert answer.status_code == 422
    assert error_at(answer.text, field)


@pytest.fixture
def offered(visitor: Visitor, panel: Any) -> Any:
    """An invoice with tax, whose buyer's tax id turned out to be valid."""
    save(visitor, **AUSTRIAN)
    visitor.pay("50.00")
    assert "1 invoice waits" in visitor.be("operator").get("/operator/tax-report").text
    visitor.post("/demo/advance", hours="3")
    [correction] = panel.alice().tax.corrections().items
    return correction


def test_a_correction_is_offered_and_closed_with_a_reason(visitor: Visitor, panel: Any, offered: Any) -> None:
    url = f"/operator/tax-corrections/{offered.id}/close"
    page = visitor.get("/operator/tax-report").text
    missing = visitor.post(url, reason=" ")
    closed = visitor.post(url, reason="Tax sent back by hand")

    assert offered.invoice_number in page
    assert "the tax id turned out to be valid" in page
    assert "waits" not in page
    assert missing.status_code == 422
    assert error_at(missing.text, f"reason-{offered.id}")
    assert "The correction is closed." in closed.text
    assert panel.alice().tax.corrections().items == ()
    assert "Tax sent back by hand" in visitor.get("/operator/audit").text


def test_a_correction_that_is_closed_or_unknown_is_not_closed_again(visitor: Visitor, panel: Any, offered: Any) -> None:
    panel.billing.operator("bob", permissions={"tax.write"}).tax.close_correction(offered.id, reason="Done by Bob")

    late = visitor.post(f"/operator/tax-corrections/{offered.id}/close", reason="Mine")
    unknown = visitor.post("/operator/tax-corrections/cor_01m82v7m000000000000000000/close", reason="Mine")
    damaged = visitor.post("/operator/tax-corrections/x/close", reason="Mine")

    assert "This correction is not offered." in late.text
    assert (unknown.status_code, damaged.status_code) == (404, 404)


@pytest.mark.parametrize(
    "act",
    [
        lambda visitor: visitor.post("/operator/tax-rules", **RULE),
        lambda visitor: visitor.post("/operator/tax-rules/x/retire"),
        lambda visitor: visitor.post("/operator/tax-rules/x/end", valid_to="2027-01-01"),
        lambda visitor: visitor.post("/operator/tax-corrections/x/close", reason="Mine"),
        lambda visitor: visitor.get("/operator/tax-rules/x"),
        lambda visitor: visitor.get("/operator/tax-report"),
    ],
)
def test_the_customer_keeps_no_rules_and_closes_nothing(
    visitor: Visitor, panel: Any, act: Callable[[Visitor], Any]
) -> None:
    assert act(visitor).status_code == 403
    assert len(panel.alice().tax.list()) == 7


def test_the_operator_has_no_tax_profile(operator: Visitor) -> None:
    assert operator.post("/tax-profile/verify").status_code == 403


def test_tax_pages_hold_no_inline_script_style_or_foreign_address(visitor: Visitor, panel: Any, offered: Any) -> None:
    pages = [visitor.get("/operator/tax-report").text, trial(visitor, kind="consumer").text]
    pages.append(visitor.get(f"/operator/tax-rules/{rule_of(panel, 'DE').id}").text)
    pages.append(visitor.be("customer").get("/tax-profile").text)

    for page in pages:
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)|javascript:", page)
        assert not re.search(r'(?:src|href|action)="(?!/|#)', page)
