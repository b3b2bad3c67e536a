"""The operator's reports: figures beside those of the span before, by gateway and by day, and the roll-forward."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request

from display import in_zone
from forms import DAY, SPAN_FIELDS, read_span, sentence, typed
from operator_pages import operators_only
from prepaid import InvalidRequest, RequestRefused
from wiring import operator, panel

pages = Blueprint("reports", __name__, url_prefix="/operator")
pages.before_request(operators_only)
USUAL_DAYS = 7
MOST_DAYS = 366  # a page with more rows is read by nobody; the export of revenue has them


@pages.get("/reports")
def reports() -> Any:
    """Show the figures of some days, and how balances came from what they were to what they are."""
    today = panel().today()
    usual = {"since": str(today - timedelta(days=USUAL_DAYS - 1)), "until": str(today)}
    if not any(name in request.args for name in SPAN_FIELDS):
        return _page(usual)
    sent = typed(request.args, SPAN_FIELDS)
    try:
        return _page(sent)
    except RequestRefused as refused:
        return _page(usual, values=sent, errors=_said(refused)), 422


def _said(refused: RequestRefused) -> dict[str, str]:
    if refused.field == "compare":
        return {"since": "There is no span as long before it to compare with."}
    return {refused.field if refused.field in SPAN_FIELDS else "since": sentence(refused)}


def _page(
    shown: Mapping[str, str], *, values: Mapping[str, str] | None = None, errors: dict[str, str] | None = None
) -> str:
    since, until = read_span(shown)
    count = (until - since).days + 1
    if count > MOST_DAYS:
        raise InvalidRequest(f"Choose at most {MOST_DAYS} days; the export of revenue has more.", field="until")
    figures, after = operator().reports, until + DAY
    summary = figures.summary(since, after, compare=True)
    return render_template(
        "operator/reports.html",
        values=values or shown,
        errors=errors or {},
        since=since,
        until=until,
        count=count,
        before=in_zone(summary.previous.since),
        summary=summary,
        daily=figures.daily(since, after),
        gateways=[(_name(line.gateway), line) for line in figures.by_gateway(since, after)],
        forward=figures.roll_forward(since, after),
    )


def _name(gateway: str | None) -> str:
    return "Credited out of review" if gateway is None else panel().label(gateway)
