"""The operator's tax pages: the rules, what they would decide, what documents bear, and corrections."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from display import TAX_ID_STATES, place
from forms import DAY, RULE_FIELDS, TRIAL_FIELDS, read_day, read_rule, read_span, read_trial, sentence, typed
from operator_pages import operators_only
from prepaid import InvalidRequest, Money, RequestRefused, TaxDecision, TaxRule, WrongState
from wiring import CURRENCY, operator, panel

pages = Blueprint("tax", __name__, url_prefix="/operator")
pages.before_request(operators_only)
DAYS = timedelta(days=30)
# What of a rule the simple form does not ask for, and where its refusals are said then.
ASKED_ELSEWHERE = {"components": "name", "priority": "country"}


@pages.get("/tax-rules")
def rules() -> Any:
    """List the tax rules in use, with a form for another one."""
    return _rules_page({"valid_from": str(panel().today())}, {})


def _rules_page(values: Mapping[str, str], errors: dict[str, str]) -> str:
    return render_template("operator/tax_rules.html", rules=operator().tax.list(), values=values, errors=errors)


@pages.post("/tax-rules")
def add_rule() -> Any:
    """Put a simple rule in force."""
    sent = typed(request.form, RULE_FIELDS)
    try:
        rule = operator().tax.add(read_rule(sent))
    except RequestRefused as refused:
        field = refused.field or "country"
        return _rules_page(sent, {ASKED_ELSEWHERE.get(field, field): sentence(refused)}), 422
    flash(f"The rule of {place(rule.country)} is added.")
    return redirect(url_for(".rules"))


@pages.get("/tax-rules/<rule_id>")
def rule(rule_id: str) -> Any:
    """Ask how a rule shall end."""
    return _rule_page(_rule(rule_id), {}, {})


def _rule(rule_id: str) -> TaxRule:
    found = [rule for rule in operator().tax.list() if rule.id == rule_id]
    return found[0] if found else abort(404)


def _rule_page(rule: TaxRule, values: Mapping[str, str], errors: dict[str, str]) -> str:
    return render_template("operator/tax_rule.html", rule=rule, values=values, errors=errors)


@pages.post("/tax-rules/<rule_id>/end")
def end_rule(rule_id: str) -> Any:
    """Let a rule end on a day."""
    found, sent = _rule(rule_id), typed(request.form, ("valid_to",))
    try:
        operator().tax.end(found.id, read_day(sent["valid_to"], field="valid_to"))
    except RequestRefused as refused:
        return _rule_page(found, sent, {"valid_to": sentence(refused)}), 422
    flash(f"The rule of {place(found.country)} ends.")
    return redirect(url_for(".rules"))


@pages.post("/tax-rules/<rule_id>/retire")
def retire_rule(rule_id: str) -> Any:
    """Take a rule out of use at once."""
    found = _rule(rule_id)
    operator().tax.retire(found.id)
    flash(f"The rule of {place(found.country)} is out of use.")
    return redirect(url_for(".rules"))


@pages.get("/tax-rules/try")
def try_rules() -> Any:
    """Show what the rules would decide; nothing is written."""
    if "country" not in request.args:
        values = {"kind": "consumer", "amount": "50.00", "day": str(panel().today())}
        return _trial_page(values)
    sent = typed(request.args, TRIAL_FIELDS)
    try:
        return _trial_page(sent, decision=_decision(sent))
    except RequestRefused as refused:
        field = refused.field if refused.field in TRIAL_FIELDS else "country"
        return _trial_page(sent, errors={field: sentence(refused)}), 422


def _decision(sent: Mapping[str, str]) -> TaxDecision:
    tax, (profile, amount, day) = operator().tax, read_trial(sent)
    plain = tax.explain(profile, amount, day=day)
    if not sent["state"]:
        return plain
    if plain.tax_id_state in ("none", "malformed"):
        raise InvalidRequest("Give a tax id of the right form: its country counts.", field="tax_id")
    if sent["state"] not in TAX_ID_STATES:
        abort(400)
    return tax.explain(profile, amount, tax_id_state=sent["state"], day=day)


def _trial_page(
    values: Mapping[str, str], *, decision: TaxDecision | None = None, errors: dict[str, str] | None = None
) -> str:
    used = () if decision is None else decision.rule_ids
    return render_template(
        "operator/tax_trial.html",
        values=values,
        errors=errors or {},
        decision=decision,
        rules=[rule for rule in operator().tax.list() if rule.id in used],
    )


@pages.get("/tax-report")
def report() -> Any:
    """Sum the tax of some days, and show what may have to be corrected."""
    today = panel().today()
    usual = {"since": str(today - DAYS), "until": str(today)}
    sent = {**usual, **{name: value.strip() for name, value in request.args.items() if name in usual}}
    try:
        return _report_page(sent)
    except RequestRefused as refused:
        return _report_page(usual, values=sent, errors={refused.field or "since": sentence(refused)}), 422


def _report_page(
    days: Mapping[str, str], *, values: Mapping[str, str] | None = None, errors: dict[str, str] | None = None
) -> str:
    (since, until), door = read_span(days), operator()
    sums = door.reports.tax(since, until + DAY)
    return render_template(
        "operator/tax_report.html",
        values=values or days,
        errors=errors or {},
        since=since,
        until=until,
        sums=sums,
        total=sum((row.amount for row in sums), Money.zero(CURRENCY)),
        offered=door.tax.corrections().items,
        waiting=door.tax.corrections(state="waiting").items,
    )


@pages.post("/tax-corrections/<correction_id>/close")
def close_correction(correction_id: str) -> Any:
    """Close a correction, with the reason."""
    reason = request.form.get("reason", "").strip()
    try:
        operator().tax.close_correction(correction_id, reason=reason)
        flash("The correction is closed.")
    except WrongState as refused:
        flash(sentence(refused))
    except InvalidRequest as refused:
        if refused.field != "reason":
            raise
        today = panel().today()
        shown = {"since": str(today - DAYS), "until": str(today), f"reason-{correction_id}": reason}
        return _report_page(shown, errors={f"reason-{correction_id}": sentence(refused)}), 422
    return redirect(url_for(".report"))
