"""The operator's promotions: what there is, what each gave, and how they are made, changed and ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from operator_pages import operators_only
from prepaid import InvalidRequest, PromotionStatus, RequestRefused
from promotion_forms import (
    PROMOTION_FIELDS,
    can_show_effect,
    error_of,
    promotion_values,
    read_promotion,
)
from wiring import SELLER, operator

# A code may be anything from "new" to "..", hence it stands in no path.
pages = Blueprint("promotions", __name__, url_prefix="/operator")
pages.before_request(operators_only)
ROWS = 20


@pages.get("/promotions")
def promotions() -> Any:
    """List the promotions, newest first."""
    cursor = request.args.get("cursor")
    page = operator().promotions.list(cursor=cursor, limit=ROWS)
    return render_template("operator/promotions.html", page=page, cursor=cursor)


@pages.get("/promotion")
def promotion() -> Any:
    """Show a promotion, what it gave and to whom."""
    return _promotion_page(_asked_for(), {}, {})


def _asked_for() -> PromotionStatus:
    """Give the promotion that the address names; what can be no code, or is none, has no page."""
    try:
        return operator().promotions.get(request.args.get("code", ""))
    except InvalidRequest:
        abort(404)


def _promotion_page(status: PromotionStatus, values: Mapping[str, str], errors: dict[str, str]) -> str:
    code, cursor = status.promotion.code, request.args.get("cursor")
    return render_template(
        "operator/promotion.html",
        status=status,
        rule=status.promotion,
        page=operator().promotions.redemptions(code, cursor=cursor, limit=ROWS),
        cursor=cursor,
        values=values,
        errors=errors,
    )


@pages.get("/new-promotion")
def new_promotion() -> Any:
    """Ask for a promotion."""
    return _form({"gives": "bonus", "timezone": SELLER.timezone}, {})


def _form(values: Mapping[str, str], errors: dict[str, str], *, status: PromotionStatus | None = None) -> str:
    return render_template(
        "operator/promotion_form.html",
        values=values,
        errors=errors,
        status=status,
        asks_effect=status is None or can_show_effect(status.promotion),
    )


@pages.post("/new-promotion")
def make_promotion() -> Any:
    """Make a promotion, or say what is wrong with it."""
    try:
        made = operator().promotions.create(read_promotion(request.form), reason=_reason())
    except RequestRefused as refused:
        return _form(request.form, error_of(refused, PROMOTION_FIELDS)), 422
    flash(f"{made.promotion.code} is made.")
    return _to(made)


def _reason() -> str:
    return request.form.get("reason", "").strip()


def _to(status: PromotionStatus) -> Any:
    return redirect(url_for(".promotion", code=status.promotion.code))


@pages.get("/promotion/change")
def change() -> Any:
    """Ask what shall be different about a promotion."""
    status = _asked_for()
    return _form(promotion_values(status.promotion), {}, status=status)


@pages.post("/promotion/change")
def change_promotion() -> Any:
    """Give a promotion another rule, or say what is wrong with it."""
    status = _asked_for()
    try:
        rule = read_promotion(request.form, known=status.promotion)
        changed = operator().promotions.change(rule, reason=_reason())
    except RequestRefused as refused:
        return _form(request.form, error_of(refused, PROMOTION_FIELDS), status=status), 422
    flash(f"{changed.promotion.code} is changed. Top-ups that were begun keep what they were promised.")
    return _to(changed)


@pages.post("/promotion/end")
def end_promotion() -> Any:
    """Let a promotion be used no more, with the reason."""
    status, reason = _asked_for(), _reason()
    try:
        if not reason:
            raise InvalidRequest("Say why it ends.", field="reason")
        ended = operator().promotions.end(status.promotion.code, reason=reason)
    except InvalidRequest as refused:
        return _promotion_page(status, {"reason": reason}, error_of(refused, {"reason": ""})), 422
    flash(f"{ended.promotion.code} has ended.")
    return _to(ended)
