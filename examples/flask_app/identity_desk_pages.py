"""The operator's side of identity: who waits, who is verified, and when anybody is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from forms import read_money, typed
from operator_pages import operators_only
from prepaid import GatewayError, IdentityPolicy, IdentityPreview, RequestRefused
from promotion_forms import days, error_of, optional, whole
from wiring import CURRENCY, operator, panel

pages = Blueprint("identities", __name__, url_prefix="/operator/identity")
pages.before_request(operators_only)
ROWS = 20
POLICY_FIELDS = {
    "above": "the amount",
    "before_first_topup": "before the first top-up",
    "basis": "what is counted",
    "period": "the days that count",
    "countries": "countries",
    "level": "the level",
    "valid_for": "how long it counts",
}
DECISIONS = {"approve": "is verified.", "reject": "is not verified.", "revoke": "has to be verified again."}


@pages.get("")
def queue() -> Any:
    """List cases, those first that nobody has decided."""
    state, cursor = request.args.get("state") or None, request.args.get("cursor")
    page = operator().identity.cases(state, cursor=cursor, limit=ROWS)
    return render_template(
        "operator/identity.html",
        page=page,
        state=state,
        cursor=cursor,
        policies=operator().identity.policies(),
    )


@pages.get("/of")
def person() -> Any:
    """Show what is known of a customer, and what can be decided."""
    return _person_page({}, {})


def _person_page(values: Mapping[str, str], errors: dict[str, str]) -> str:
    customer = request.args.get("customer", "")
    door = operator()
    return render_template(
        "operator/identity_person.html",
        customer=door.customers.get(customer),
        status=door.identity.status(customer),
        case=next((case for case in door.identity.cases(limit=200).items if case.customer == customer), None),
        waiting=[topup for topup in door.topups.review().items if topup.customer == customer],
        values=values,
        errors=errors,
    )


@pages.post("/of")
def decide() -> Any:
    """Approve, reject or take back, with the reason; what waited for it is credited."""
    customer, sent = request.args.get("customer", ""), typed(request.form, ("action", "reason"))
    if sent["action"] not in DECISIONS:
        return _person_page(sent, {"action": "Choose what you decide."}), 422
    try:
        getattr(operator().identity, sent["action"])(customer, reason=sent["reason"])
    except RequestRefused as refused:
        return _person_page(sent, error_of(refused, {"reason": "", "action": ""})), 422
    panel().billing.run_due(only="outbox", budget_s=1)
    flash(f"{customer} {DECISIONS[sent['action']]}")
    return redirect(url_for(".person", customer=customer))


@pages.post("/recheck")
def recheck() -> Any:
    """Ask the provider of a customer's open case now."""
    customer = request.args.get("customer", "")
    try:
        operator().identity.recheck(customer)
        flash("Asked again: this is what is known.")
    except GatewayError:
        flash("The provider cannot be asked now.")
    return redirect(url_for(".person", customer=customer))


@pages.get("/policy")
def policy() -> Any:
    """Show when customers are asked, as a form."""
    return _policy_page(policy_values(operator().identity.policies()), {})


def policy_values(policies: tuple[IdentityPolicy, ...]) -> dict[str, str]:
    """Give the first policy as the form shows it."""
    shown = dict.fromkeys(POLICY_FIELDS, "") | {"basis": "topups", "level": "1"}
    if not policies:
        return shown
    first = policies[0]
    above = next((f"{amount.amount:.2f}" for amount in first.above if amount.currency == CURRENCY), "")
    return shown | {
        "above": above,
        "before_first_topup": "yes" if first.before_first_topup else "",
        "basis": first.basis,
        "period": _days(first.period),
        "countries": ", ".join(first.countries or ()),
        "level": str(first.level),
        "valid_for": _days(first.valid_for),
    }


def _days(span: timedelta | None) -> str:
    return "" if span is None or not span.days else str(span.days)


def _says_more(policies: tuple[IdentityPolicy, ...]) -> bool:
    """Tell whether the form has no room for what is set."""
    return bool(policies) and policies != (read_policy(policy_values(policies)),)


def _policy_page(values: Mapping[str, str], errors: dict[str, str], *, preview: IdentityPreview | None = None) -> str:
    policies = operator().identity.policies()
    return render_template(
        "operator/identity_policy.html",
        values=values,
        errors=errors,
        preview=preview,
        policies=policies,
        says_more=_says_more(policies),
    )


@pages.post("/policy")
def set_policy() -> Any:
    """Show who would be asked, or set the policy, or ask nobody any more."""
    identity, act = operator().identity, request.form.get("act")
    if act == "none":
        identity.policy()
        flash("Nobody has to be verified any more.")
        return redirect(url_for(".queue"))
    try:
        wanted = read_policy(request.form)
        if act == "preview":
            return _policy_page(request.form, {}, preview=identity.preview(wanted, limit=ROWS))
        if act != "set":
            abort(400)
        identity.policy(wanted)
    except RequestRefused as refused:
        return _policy_page(request.form, error_of(refused, POLICY_FIELDS)), 422
    flash("The policy is set. It counts from the next top-up on.")
    return redirect(url_for(".queue"))


def read_policy(values: Mapping[str, str]) -> IdentityPolicy:
    """Read the form of a policy.

    Raises:
        RequestRefused: Something is wrong; ``field`` says what.
    """
    sent = typed(values, tuple(POLICY_FIELDS))
    countries = tuple(code.strip().upper() for code in sent["countries"].split(",") if code.strip())
    return IdentityPolicy(
        before_first_topup=bool(sent["before_first_topup"]),
        above=optional("above", read_money, sent),
        basis=sent["basis"],  # type: ignore[arg-type]
        period=optional("period", days, sent),
        countries=countries or None,
        level=optional("level", whole, sent) or 1,
        valid_for=optional("valid_for", days, sent),
    )
