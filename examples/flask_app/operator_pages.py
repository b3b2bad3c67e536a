"""The operator's pages: figures, what needs a look, tax rules, who did what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, session, url_for

from prepaid import GatewayError
from wiring import panel

pages = Blueprint("operator", __name__, url_prefix="/operator")
SPANS = ((1, "Today"), (7, "7 days"), (30, "30 days"))
ROWS = 25


@pages.before_request
def _operators_only() -> Any:
    if session.get("role", "customer") != "operator":
        return render_template("switch.html", wanted="operator", name="Operator (Alice)"), 403
    return None


@pages.get("/")
def dashboard() -> Any:
    """Show figures, top-ups in review, gateways and whether the books are sound."""
    wanted = request.args.get("days", 7, type=int)
    days = wanted if wanted in dict(SPANS) else 7
    alice, tomorrow = panel().alice(), panel().today() + timedelta(days=1)
    return render_template(
        "operator/dashboard.html",
        spans=SPANS,
        days=days,
        summary=alice.reports.summary(tomorrow - timedelta(days=days), tomorrow),
        review=alice.topups.review().items,
        gateways=alice.gateways.status(),
        report=panel().billing.check(),
    )


@pages.post("/topups/<topup_id>/recheck")
def recheck(topup_id: str) -> Any:
    """Ask the gateway about a top-up once more."""
    try:
        topup = panel().alice().topups.recheck(topup_id)
        flash("Asked again: it stays in review." if topup.state == "review" else "Asked again: it is settled.")
    except GatewayError:
        flash("The gateway cannot be asked now.")
    return redirect(url_for(".dashboard"))


@pages.get("/tax-rules")
def tax_rules() -> Any:
    """List the tax rules in use."""
    return render_template("operator/tax_rules.html", rules=panel().alice().tax.list())


@pages.get("/audit")
def audit() -> Any:
    """List who did what."""
    page = panel().alice().audit.list(cursor=request.args.get("cursor"), limit=ROWS)
    return render_template("operator/audit.html", page=page, cursor=request.args.get("cursor"))
