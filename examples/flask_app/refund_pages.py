"""The customer's refunds: what may be asked back and why not more, asking, and what became of it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from customer_pages import customers_only, set_aside
from forms import sentence, typed
from prepaid import EligibleRefund, NotFound, RequestedRefund, RequestRefused, WrongState
from refund_forms import ASK_FIELDS, placed, read_amount
from wiring import panel

pages = Blueprint("refunds", __name__)
pages.before_request(customers_only)
ROWS, REQUESTS = 12, 6


@pages.get("/refunds")
def refunds() -> Any:
    """List what was asked back, and what may be."""
    door, cursors = panel().ada().refunds, {name: request.args.get(name) for name in ("cursor", "asked")}
    asked = door.list(cursor=cursors["asked"], limit=REQUESTS)
    return render_template(
        "customer/refunds.html",
        asked=asked,
        subjects=_subjects(asked.items),
        page=door.eligible(cursor=cursors["cursor"], limit=ROWS),
        cursors=cursors,
        set_aside=set_aside(),
    )


def _subjects(asked: Iterable[RequestedRefund]) -> dict[str, EligibleRefund]:
    """Look up what some requests are about."""
    door = panel().ada().refunds
    return {subject_id: door.eligible_of(subject_id) for subject_id in {each.subject_id for each in asked}}


@pages.get("/refunds/ask")
def ask() -> Any:
    """Ask for the amount and the reason."""
    found = panel().ada().refunds.eligible_of(request.args.get("of", ""))
    return _form(found, {"amount": f"{found.credit.amount:f}"}, {})


def _form(found: EligibleRefund, values: Mapping[str, str], errors: dict[str, str]) -> str:
    # A form that is shown again with its errors is still the same act, but for one that was used.
    key = "" if "form" in errors else values.get("key", "")
    return render_template(
        "customer/refund_ask.html",
        found=found,
        values=values,
        errors=errors,
        key=key or secrets.token_urlsafe(16),
    )


@pages.post("/refunds/ask")
def send() -> Any:
    """Ask for it; the key of the form makes one request of a button that is pressed twice."""
    door, subject_id = panel().ada().refunds, request.args.get("of", "")
    sent = typed(request.form, ASK_FIELDS)
    try:
        door.request(subject_id, read_amount(sent), reason=sent["reason"], key=sent["key"])
    except NotFound:
        raise
    except RequestRefused as refused:
        return _form(door.eligible_of(subject_id), sent, placed(refused, ASK_FIELDS)), 422
    flash("Your request is with us. What becomes of it stands here.")
    return redirect(url_for(".refunds"))


@pages.post("/refunds/<request_id>/withdraw")
def withdraw(request_id: str) -> Any:
    """Take a request back."""
    try:
        panel().ada().refunds.withdraw(request_id)
        flash("Your request is withdrawn.")
    except WrongState as late:
        flash(sentence(late))
    return redirect(url_for(".refunds"))
