"""The operator's disputes, what they hold or took, and the rules about money that goes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from forms import read_money, sentence, typed
from operator_pages import held_by_dispute, operators_only
from prepaid import RefundRules, RequestRefused
from promotion_forms import optional
from refund_forms import read_days
from wiring import CURRENCY, CUSTOMERS, operator

pages = Blueprint("disputes", __name__, url_prefix="/operator")
pages.before_request(operators_only)
ROWS = 20
STATES = {"open": "Open", "won": "Won", "lost": "Lost", "all": "All"}


@pages.get("/disputes")
def disputes() -> Any:
    """List disputes, the open ones first, each with what it holds or took."""
    return _list_page({}, {})


def _list_page(values: Mapping[str, str], errors: dict[str, str]) -> str:
    state, cursor = request.args.get("state") or "open", request.args.get("cursor")
    page = operator().disputes.list(state=state, cursor=cursor, limit=ROWS)
    # Whose they are stands with their top-ups.
    owners = {each.id: operator().topups.facts(each.topup_id).topup.customer for each in page.items}
    return render_template(
        "operator/disputes.html",
        page=page,
        state=state,
        states=STATES,
        cursor=cursor,
        owners=owners,
        held={name: amount for owner in set(owners.values()) for name, amount in held_by_dispute(owner).items()},
        rules=operator().refunds.rules(),
        customers=CUSTOMERS,
        values=values,
        errors=errors,
    )


@pages.post("/unfreeze")
def unfreeze() -> Any:
    """Let a customer start something again whom a dispute had frozen."""
    sent = typed(request.form, ("customer", "reason"))
    try:
        operator().customers.unfreeze(sent["customer"], reason=sent["reason"])
    except RequestRefused as refused:
        return _list_page(sent, {refused.field or "customer": sentence(refused)}), 422
    flash(f"{sent['customer']} is not frozen.")
    return redirect(url_for(".disputes"))


@pages.get("/refund-rules")
def rules() -> Any:
    """Show what is set about refunds and disputes, as forms."""
    return _rules_page(_shown(operator().refunds.rules()), {})


def _rules_page(values: Mapping[str, str], errors: dict[str, str]) -> str:
    return render_template("operator/refund_rules.html", values=values, errors=errors, rules=operator().refunds.rules())


def _shown(rules: RefundRules) -> dict[str, str]:
    above = next((f"{each.amount:.2f}" for each in rules.two_person_above if each.currency == CURRENCY), "")
    return {
        "two_person_above": above,
        "topups_within": _days(rules.topups_within),
        "charges_within": _days(rules.charges_within),
        "freeze": "yes" if rules.freezes else "",
    }


def _days(span: timedelta | None) -> str:
    return "" if span is None else str(span.days)


def _set_approvals(sent: Mapping[str, str]) -> None:
    above = optional("two_person_above", read_money, sent)
    operator().settings.approvals(two_person_above=above)


def _set_times(sent: Mapping[str, str]) -> None:
    spans = {field: read_days(sent, field) for field in ("topups_within", "charges_within")}
    operator().settings.refunds(**spans)


def _set_freeze(sent: Mapping[str, str]) -> None:
    operator().settings.disputes(freeze=bool(sent["freeze"]))


# Three forms, so that one that is refused keeps back no other.
SETTERS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, str]], None]]] = {
    "approvals": (("two_person_above",), _set_approvals),
    "times": (("topups_within", "charges_within"), _set_times),
    "freeze": (("freeze",), _set_freeze),
}


@pages.post("/refund-rules")
def set_rules() -> Any:
    """Set one of the rules, or say next to its field what is wrong."""
    if request.form.get("act") not in SETTERS:
        abort(400)
    fields, set_rule = SETTERS[request.form["act"]]
    sent = typed(request.form, fields)
    try:
        set_rule(sent)
    except RequestRefused as refused:
        place = refused.field if refused.field in fields else fields[0]
        return _rules_page(_shown(operator().refunds.rules()) | sent, {place: sentence(refused)}), 422
    flash("The rule is set. It counts from now on.")
    return redirect(url_for(".rules"))
