"""The operator's pages: figures, what needs a look and how it ends, who did what."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from display import OPEN, PAID, REASONS, STATES, plain_money
from forms import read_money, sentence
from prepaid import EligibleRefund, GatewayError, Money, RequestRefused, Topup, TopupFacts
from wiring import CUSTOMERS, TRANSFER, operator, panel, role

pages = Blueprint("operator", __name__, url_prefix="/operator")
SPANS = ((1, "Today"), (7, "7 days"), (30, "30 days"))
ROWS = 25
CREDITED = {"credit_received": "What was paid is credited.", "credit_quoted": "What was ordered is credited."}


@pages.before_request
def operators_only() -> Any:
    """Keep customers out."""
    if role() != "operator":
        return render_template("switch.html", wanted="operator"), 403
    return None


@pages.get("/")
def dashboard() -> Any:
    """Show figures, top-ups in review, gateways and whether the books are sound."""
    wanted = request.args.get("days", 7, type=int)
    days = wanted if wanted in dict(SPANS) else 7
    door, today = operator(), panel().today()
    since, tomorrow = today - timedelta(days=days - 1), today + timedelta(days=1)
    return render_template(
        "operator/dashboard.html",
        spans=SPANS,
        days=days,
        since=since,
        until=today,
        summary=door.reports.summary(since, tomorrow, compare=True),
        # What was owed then, the summary cannot say: it knows that of now alone.
        opening=door.reports.roll_forward(since, tomorrow).opening,
        review=door.topups.review().items,
        transfers=_expected_transfers(),
        gateways=door.gateways.status(),
        report=panel().billing.check(),
    )


def _expected_transfers() -> list[Topup]:
    """Look for them customer by customer: who there is, a panel knows by itself."""
    pages = [panel().billing.customer(name).topups.list(limit=ROWS) for name in CUSTOMERS]
    return [topup for page in pages for topup in page.items if topup.gateway == TRANSFER.name and topup.state in OPEN]


@pages.get("/topups/<topup_id>")
def topup(topup_id: str) -> Any:
    """Show a top-up, what was paid for it and what can be done about it."""
    return topup_page(topup_id)


def topup_page(topup_id: str, *, values: dict[str, str] | None = None, errors: dict[str, str] | None = None) -> str:
    """Draw the page of a top-up, with what stands in its form and what is wrong there."""
    facts = operator().topups.facts(topup_id)
    # A form that is shown again with its errors is still the same act.
    key = (values or {}).get("key") or secrets.token_urlsafe(16)
    return render_template(
        "operator/topup.html",
        facts=facts,
        gateway=panel().label(facts.topup.gateway),
        undecided=_is_undecided(facts),
        confirmable=facts.topup.gateway == TRANSFER.name and facts.topup.state not in PAID,
        found=_by_hand(facts),
        held=held_by_dispute(facts.topup.customer) if facts.disputes else {},
        values=values or {"received": f"{facts.topup.total.amount:.2f}"},
        errors=errors or {},
        key=key,
    )


def _by_hand(facts: TopupFacts) -> EligibleRefund | None:
    """Say how much of a credited top-up can be given back by other means than its gateway."""
    is_credited = facts.topup.state == "credited"
    return operator().refunds.eligible_of(facts.topup.id, by_hand=True) if is_credited else None


def held_by_dispute(customer: str) -> dict[str, Money]:
    """Give what each open dispute of a customer holds on their balance, by its id."""
    holds = panel().billing.customer(customer).holds()
    return {hold.dispute_id: hold.amount for hold in holds if hold.dispute_id}


def _is_undecided(facts: TopupFacts) -> bool:
    """Tell whether its payment waits: nobody has sent it back, or that has failed."""
    going = any(back.origin == "review" and back.state not in ("failed", "canceled") for back in facts.refunds)
    return facts.topup.state == "review" and not going


@pages.post("/topups/<topup_id>/recheck")
def recheck(topup_id: str) -> Any:
    """Ask the gateway about a top-up once more."""
    topups = operator().topups
    try:
        topups.recheck(topup_id)
        flash(f"Asked again: {STATES[topups.facts(topup_id).topup.state][1].lower()}.")
    except GatewayError:
        flash("The gateway cannot be asked now.")
    return redirect(url_for(".topup", topup_id=topup_id))


@pages.post("/topups/<topup_id>/resolve")
def resolve(topup_id: str) -> Any:
    """End a review; the key of the form makes one act of a button that is pressed twice."""
    values = {name: request.form.get(name, "").strip() for name in ("action", "reason", "key")}
    if not values["action"]:
        return topup_page(topup_id, values=values, errors={"action": "Choose what becomes of it."}), 422
    try:
        ended = operator().topups.resolve(topup_id, **values)
    except RequestRefused as refused:
        return _refused(topup_id, refused, values)
    # A refund that is not through keeps its top-up in review, with the reason.
    sent = f"{REASONS.get(ended.failure, 'The money was sent back')}."
    flash(CREDITED[values["action"]] if ended.state == "credited" else sent)
    return _done(topup_id)


@pages.post("/topups/<topup_id>/transfer")
def confirm_transfer(topup_id: str) -> Any:
    """Say what arrived by bank transfer; the same line of a bank statement said twice is one payment."""
    values = {name: request.form.get(name, "").strip() for name in ("received", "reference")}
    try:
        received, reference = read_money(values["received"]), values["reference"]
        confirmed = operator().topups.confirm_bank_transfer(topup_id, received=received, reference=reference)
    except RequestRefused as refused:
        return _refused(topup_id, refused, values)
    differs = "It differs from the order: decide what becomes of it."
    flash(f"{plain_money(received)} confirmed. {differs if confirmed.state == 'review' else 'The credit is there.'}")
    return _done(topup_id)


def _refused(topup_id: str, refused: RequestRefused, values: dict[str, str]) -> Any:
    """Say a refusal next to the field that it is about, else on top of the page as it is now."""
    place = {"amount": "received"}.get(refused.field or "", refused.field)
    if place in values and place != "key":
        return topup_page(topup_id, values=values, errors={place: sentence(refused)}), 422
    operator().topups.facts(topup_id)  # one that does not exist has no page to go to
    flash(sentence(refused))
    return redirect(url_for(".topup", topup_id=topup_id))


def _done(topup_id: str) -> Any:
    bring_mail()
    return redirect(url_for(".topup", topup_id=topup_id))


def bring_mail() -> None:
    """Send invoices and credit notes at once rather than with the next run of the scheduler."""
    panel().billing.run_due(only="outbox", budget_s=1)


@pages.post("/gateways/<name>")
def offer_gateway(name: str) -> Any:
    """Offer a gateway to customers, or no more; what is open there is settled all the same."""
    gateways = operator().gateways
    match request.form.get("act"):
        case "enable":
            gateways.enable(name)
            flash(f"{panel().label(name)} is offered again.")
        case "disable":
            gateways.disable(name)
            flash(f"{panel().label(name)} is not offered any more; what is open there is settled all the same.")
        case _:
            abort(400)
    return redirect(url_for(".dashboard"))


@pages.get("/audit")
def audit() -> Any:
    """List who did what."""
    page = operator().audit.list(cursor=request.args.get("cursor"), limit=ROWS)
    return render_template("operator/audit.html", page=page, cursor=request.args.get("cursor"))
