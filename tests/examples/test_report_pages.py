"""The example's reports: what they show is what the library sums, beside the span before, by gateway and by day."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.examples.refunding import text_of
from tests.examples.visiting import Visitor, error_at

DAY = timedelta(days=1)
Rows = dict[str, list[Decimal]]


def rows_of(page: str, table: str, named: str) -> Rows:
    """Read the amounts of each row of a table, by the name that the row bears."""
    body = page.partition(f'id="{table}"')[2].partition("</table>")[0]
    rows = re.findall(rf'<tr[^>]*data-{named}="([^"]*)"[^>]*>(.*?)</tr>', body, re.DOTALL)
    return {
        name: [Decimal(each) for each in re.findall(r'<data class="money" value="([^"]+)"', row)] for name, row in rows
    }


@pytest.fixture
def operator(visitor: Visitor, panel: Any) -> Visitor:
    """Five days after the demo began, on a day with a payment and some hours of usage."""
    panel.clock.advance(hours=120)
    panel.billing.run_due()
    visitor.pay("50.00")
    visitor.post("/demo/advance", hours="1")
    return visitor.be("operator")


def test_figures_stand_beside_those_of_the_span_before(operator: Visitor, panel: Any) -> None:
    from report_words import FIGURES

    today = panel.today()
    page = operator.get("/operator/reports").text
    summary = panel.alice().reports.summary(today - 6 * DAY, today + DAY, compare=True)

    assert rows_of(page, "figures", "figure") == {
        name: [getattr(summary, name).amount, getattr(summary.previous, name).amount] for name in FIGURES
    }
    assert (summary.funds_in.amount, summary.previous.refunds_issued.amount) == (Decimal("59.50"), Decimal("17.85"))
    assert "The 7 days before" in text_of(page)


def test_every_figure_and_line_of_the_library_has_its_words(app: Any, panel: Any) -> None:
    from report_words import EXPORTS, FIGURES, FORMATS, LINES, ROWS

    reports, today = panel.alice().reports, panel.today()

    assert set(LINES) == set(reports.roll_forward(today, today + DAY).lines)
    assert {each.name for each in reports.export_formats()} == set(FORMATS)
    assert {name for each in reports.export_formats() for name in each.exports} == set(EXPORTS) == set(ROWS)
    [day] = reports.daily(today, today + DAY)
    assert {field.name for field in type(day).__attrs_attrs__} - {"day", "closing"} == set(FIGURES)


def test_gateways_and_days_are_those_of_the_reports_and_add_up(operator: Visitor, panel: Any) -> None:
    reports, today = panel.alice().reports, panel.today()
    since = today - 9 * DAY
    page = operator.get(f"/operator/reports?since={since}&until={today}").text
    gateways, days = rows_of(page, "gateways", "gateway"), rows_of(page, "days", "day")

    assert gateways.pop("*") == [sum(amounts, Decimal()) for amounts in zip(*gateways.values(), strict=True)]
    assert gateways == {
        line.gateway or "": [each.amount for each in (line.funds_in, line.refunds_issued, line.fees, line.disputed)]
        for line in reports.by_gateway(since, today + DAY)
    }
    assert "simulated" in gateways
    assert "Simulated card" in page
    assert days == {
        str(line.day): [
            each.amount
            for each in (line.funds_in, line.credit_consumed, line.tax_collected, line.refunds_issued, line.closing)
        ]
        for line in reports.daily(since, today + DAY)
    }
    assert len(days) == 10


def test_the_roll_forward_shows_opening_every_line_that_moved_and_closing(operator: Visitor, panel: Any) -> None:
    today = panel.today()
    since = today - DAY
    shown = rows_of(operator.get(f"/operator/reports?since={since}&until={today}").text, "forward", "line")
    forward = panel.alice().reports.roll_forward(since, today + DAY)
    [opening], [closing] = shown.pop("opening"), shown.pop("closing")

    assert (opening, closing) == (forward.opening.amount, forward.closing.amount)
    assert shown == {name: [amount.amount] for name, amount in forward.lines.items() if amount}
    assert {"topups", "consumed"} <= set(shown)
    assert opening + sum(amount for [amount] in shown.values()) == closing


def test_a_span_in_which_nothing_moved_says_so(operator: Visitor) -> None:
    words = text_of(operator.get("/operator/reports?since=2026-01-01&until=2026-01-01").text)

    assert "Nothing changed them." in words
    assert "No money moved at a gateway." in words
    assert "Figures on 1 Jan 2026" in words
    assert "The day before" in words


def test_a_payment_credited_out_of_review_has_a_line_of_its_own(visitor: Visitor, panel: Any) -> None:
    visitor.pay("10.00", "short")
    [waiting] = panel.alice().topups.review().items
    panel.alice().topups.resolve(waiting.id, action="credit_received", reason="a cent", key="k")

    page = visitor.be("operator").get("/operator/reports").text

    assert "Credited out of review" in page
    assert rows_of(page, "gateways", "gateway")[""][0] == Decimal("11.89")


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("since=2026-02-01&until=2026-01-31", "until", "The last day is not before the first."),
        ("since=x&until=2026-01-31", "since", "Give a day such as"),
        ("since=2026-02-01&until=", "until", "Give a day such as"),
        ("since=2026-02-01", "until", "Give a day such as"),
        ("since=2026-02-01&until=9999-12-31", "until", "Give a day of this time."),
        ("since=2025-01-01&until=2026-01-02", "until", "at most 366 days"),
        ("since=1970-01-02&until=1970-02-01", "since", "no span as long before it"),
        ("since=%22%3E%3Cb%3E&until=2026-01-31", "since", "Give a day such as"),
    ],
)
def test_days_that_cannot_be_are_refused_beside_their_field(
    operator: Visitor, query: str, field: str, said: str
) -> None:
    answer = operator.get(f"/operator/reports?{query}")

    assert answer.status_code == 422
    assert said in html.unescape(error_at(answer.text, field))
    assert "<b>" not in answer.text
    assert rows_of(answer.text, "figures", "figure") != {}


def test_a_year_is_shown_whole(operator: Visitor) -> None:
    page = operator.get("/operator/reports?since=2024-01-01&until=2024-12-31").text

    assert len(rows_of(page, "days", "day")) == 366


@pytest.mark.parametrize(
    ("days", "said"),
    [(1, "on the day before"), (7, "in the 7 days before"), (30, "in the 30 days before")],
)
def test_the_dashboard_compares_its_figures_in_words(operator: Visitor, panel: Any, days: int, said: str) -> None:
    from display import plain_money

    today = panel.today()
    since = today - (days - 1) * DAY
    words = text_of(operator.get(f"/operator/?days={days}").text)
    summary = panel.alice().reports.summary(since, today + DAY, compare=True)
    opening = panel.alice().reports.roll_forward(since, today + DAY).opening

    for name, label in (
        ("funds_in", "Funds in"),
        ("credit_consumed", "Credit consumed"),
        ("tax_collected", "Tax collected"),
        ("refunds_issued", "Refunds issued"),
    ):
        now, before = (plain_money(getattr(each, name)) for each in (summary, summary.previous))
        assert f"{label} {now} {before} {said}" in without_gaps(words)
    assert f"{plain_money(opening)} , less debts, when the" in without_gaps(words)


def without_gaps(words: str) -> str:
    """Bring together the digits of an amount, whose last ones stand in an element of their own."""
    return re.sub(r"(\.[0-9]{2}) ([0-9]+ )", r"\1\2", words)


def test_the_dashboard_leads_to_the_reports_of_its_span(operator: Visitor, panel: Any) -> None:
    link = re.search(r'href="(/operator/reports\?[^"]+)"', operator.get("/operator/?days=30").text)
    assert link is not None
    page = operator.get(html.unescape(link.group(1))).text

    assert len(rows_of(page, "days", "day")) == 30
    assert f'value="{panel.today()}"' in page


def test_the_customer_sees_no_reports(visitor: Visitor) -> None:
    assert visitor.get("/operator/reports").status_code == 403
