"""The operator's vouchers: make them, hand their codes on, see who redeemed them, and end them."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from flask import Blueprint, flash, redirect, render_template, request, session, url_for

from operator_pages import operators_only
from prepaid import InvalidRequest, NewVoucher, RequestRefused
from promotion_forms import VOUCHER_FIELDS, error_of, read_vouchers
from wiring import ZONE, operator

pages = Blueprint("vouchers", __name__, url_prefix="/operator")
pages.before_request(operators_only)
ROWS = 25


@pages.get("/vouchers")
def vouchers() -> Any:
    """List vouchers, newest first: all of them, or those of a batch or in a state."""
    return _list_page({}, {})


def _list_page(values: Mapping[str, str], errors: dict[str, str]) -> str:
    batch, state, cursor = (request.args.get(name) or None for name in ("batch", "state", "cursor"))
    return render_template(
        "operator/vouchers.html",
        page=operator().vouchers.list(batch=batch, state=state, cursor=cursor, limit=ROWS),
        batch=batch,
        state=state,
        cursor=cursor,
        values=values,
        errors=errors,
    )


@pages.post("/vouchers/end")
def end_vouchers() -> Any:
    """End one voucher, or all of a batch that are open."""
    batch = request.args.get("batch", "")
    sent = {name: request.form.get(name, "").strip() for name in ("voucher", "reason")}
    try:
        ended = operator().vouchers.end(sent["voucher"] or batch, reason=sent["reason"])
    except InvalidRequest as refused:
        return _list_page(sent, error_of(refused, {"reason": "", "voucher": ""})), 422
    flash("It was not open any more." if not ended else f"{ended} voucher{'s' if ended > 1 else ''} ended.")
    return redirect(url_for(".vouchers", batch=batch))


@pages.get("/new-vouchers")
def new_vouchers() -> Any:
    """Ask for vouchers."""
    return _form({"count": "1"}, {})


def _form(values: Mapping[str, str], errors: dict[str, str]) -> str:
    return render_template(
        "operator/voucher_form.html", values=values, errors=errors, key=secrets.token_urlsafe(16), zone=ZONE.key
    )


@pages.post("/new-vouchers")
def make_vouchers() -> Any:
    """Make vouchers and show their codes, this once: they are kept nowhere."""
    key = request.form.get("key", "")
    if not key or session.get("vouchers_made") == key:
        flash("This form was used before, and codes are shown once. End the batch if you have not kept them.")
        return redirect(url_for(".vouchers"))
    try:
        asked = read_vouchers(request.form, ZONE)
        made = operator().vouchers.create(asked.pop("amount"), **asked)
    except RequestRefused as refused:
        return _form(request.form, error_of(refused, VOUCHER_FIELDS)), 422
    session["vouchers_made"] = key
    file = f"data:text/csv;charset=utf-8,{quote(_as_csv(made))}"
    return render_template("operator/vouchers_made.html", made=made, batch=made[0].batch, file=file)


def _as_csv(made: Iterable[NewVoucher]) -> str:
    """Write vouchers as a spreadsheet reads them; no cell begins with what one would calculate."""
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(("code", "amount", "currency", "expires_at", "id"))
    for one in made:
        until = "" if one.expires_at is None else one.expires_at.isoformat()
        rows.writerow((one.code, f"{one.amount.amount:.2f}", one.amount.currency, until, one.id))
    return written.getvalue()
