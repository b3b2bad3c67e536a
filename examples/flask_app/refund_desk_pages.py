"""The operator's desk of refunds: what waits, deciding about one, and what was given back by other means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from forms import typed
from operator_pages import bring_mail, held_by_dispute, operators_only, topup_page
from prepaid import InvalidRequest, NotFound, RefundCase, RequestedRefund, RequestRefused
from refund_forms import DECISION_FIELDS, RECORD_FIELDS, placed, read_amount
from wiring import operator

pages = Blueprint("desk", __name__, url_prefix="/operator")
pages.before_request(operators_only)
ROWS = 20
SAID = {
    "confirming": "Your approval is noted. Another operator has to approve the same amount.",
    "approved": "Approved: the credit left the balance, and the money is on its way.",
    "refunded": "Approved: it was given back.",
    "failed": "The gateway did not take it: the credit is on the balance again.",
    "rejected": "Declined: nothing goes back.",
}


@pages.get("/refunds")
def queue() -> Any:
    """List requests, those first that nobody has decided."""
    state, cursor = request.args.get("state") or "open", request.args.get("cursor")
    door = operator().refunds
    return render_template(
        "operator/refunds.html",
        page=door.queue(state=state, cursor=cursor, limit=ROWS),
        state=state,
        cursor=cursor,
        rules=door.rules(),
    )


@pages.get("/refunds/<request_id>")
def case(request_id: str) -> Any:
    """Show a request, what can be given back now, and what was done about it."""
    return _case_page(request_id, {}, {})


def _case_page(request_id: str, values: Mapping[str, str], errors: dict[str, str]) -> str:
    door = operator()
    case, rules = door.refunds.get(request_id), door.refunds.rules()
    asked = case.request
    found = door.refunds.eligible_of(asked.subject_id)
    facts = door.topups.facts(asked.subject_id) if asked.kind == "topup" else None
    return render_template(
        "operator/refund.html",
        case=case,
        asked=asked,
        found=found,
        facts=facts,
        held={} if facts is None else held_by_dispute(asked.customer),
        rules=rules,
        first=_first_approval(case),
        me=door.actor,
        values=_prefilled(asked, found.credit) | dict(values),
        errors=errors,
    )


def _first_approval(case: RefundCase) -> str:
    """Name the operator who approved a request that still waits for another one; empty if nobody has."""
    acts = [entry.actor for entry in case.history if entry.action == "refund-confirm"]
    return acts[-1] if acts and case.request.state == "confirming" else ""


def _prefilled(asked: RequestedRefund, most: Any) -> dict[str, str]:
    amount = asked.approved or min(asked.amount, most)
    shown = f"{amount.amount:f}"
    return {"amount": shown, "note": asked.note, "record-amount": shown}


@pages.post("/refunds/<request_id>/decide")
def decide(request_id: str) -> Any:
    """Approve a request, whole or in part, or decline it; the same decision again changes nothing."""
    sent = typed(request.form, DECISION_FIELDS)
    try:
        done = _decided(request_id, sent)
    except NotFound:
        raise
    except RequestRefused as refused:
        return _case_page(request_id, sent, placed(refused, DECISION_FIELDS)), 422
    return _done(done.state, request_id)


def _decided(request_id: str, sent: Mapping[str, str]) -> RequestedRefund:
    door, why = operator().refunds, {"reason": sent["reason"], "note": sent["note"]}
    match sent["decision"]:
        case "approve":
            return door.approve(request_id, amount=read_amount(sent), **why)
        case "reject":
            return door.reject(request_id, **why)
    raise InvalidRequest("Choose what you decide.", field="decision")


def _done(state: str, request_id: str) -> Any:
    bring_mail()
    flash(SAID[state])
    return redirect(url_for(".case", request_id=request_id))


@pages.post("/refunds/<request_id>/record")
def record(request_id: str) -> Any:
    """Say that what was asked for was given back by other means; its reference makes one act of it."""
    asked, sent = operator().refunds.get(request_id).request, typed(request.form, RECORD_FIELDS)
    try:
        _recorded(asked.subject_id, sent, answers=request_id)
    except RequestRefused as refused:
        values, errors = _of_record(sent, refused)
        return _case_page(request_id, values, errors), 422
    return _done("refunded", request_id)


@pages.post("/topups/<topup_id>/record")
def record_of_topup(topup_id: str) -> Any:
    """Say the same of a top-up that nobody asked about."""
    operator().topups.facts(topup_id)  # one that does not exist has no page
    sent = typed(request.form, RECORD_FIELDS)
    try:
        _recorded(topup_id, sent, answers=None)
    except RequestRefused as refused:
        values, errors = _of_record(sent, refused)
        return topup_page(topup_id, values=values, errors=errors), 422
    bring_mail()
    flash("Recorded: the credit left the balance, and there is a credit note.")
    return redirect(url_for("operator.topup", topup_id=topup_id))


def _recorded(topup_id: str, sent: Mapping[str, str], *, answers: str | None) -> None:
    operator().refunds.record(
        topup_id, read_amount(sent), reference=sent["reference"], reason=sent["reason"], refund_id=answers
    )


def _of_record(sent: Mapping[str, str], refused: RequestRefused) -> tuple[dict[str, str], dict[str, str]]:
    """Give what stands in the form of a record, and what is wrong with it, under the ids of its fields."""
    return {f"record-{name}": value for name, value in sent.items()}, placed(refused, RECORD_FIELDS, prefix="record-")
