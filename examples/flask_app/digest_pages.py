"""The operator's daily digest: whether, when and to whom it is mailed, and what it looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for

from display import day as written
from forms import DAY, read_day, sentence, typed
from operator_pages import operators_only
from prepaid import DigestSettings, RequestRefused
from refund_forms import placed
from security import Mail
from wiring import SELLER, operator, panel

pages = Blueprint("digests", __name__, url_prefix="/operator")
pages.before_request(operators_only)
FIELDS = ("enabled", "email", "hour", "timezone", "locale", "reason")
HOURS = [(str(hour), f"{hour:02}:00") for hour in range(24)]
SENT = {
    "sent": "The digest of {} is sent; nobody gets it twice.",
    "waiting": "The digest of {} could not be delivered yet. It is tried again by itself.",
}


@pages.get("/digest")
def digest() -> Any:
    """Show the settings, as a form."""
    return _page({}, {})


def _page(values: Mapping[str, str], errors: dict[str, str]) -> str:
    settings = operator().digest.read()
    return render_template(
        "operator/digest.html",
        settings=settings,
        values=_shown(settings) | {"day": str(_yesterday())} | dict(values),
        errors=errors,
        hours=HOURS,
        zone=SELLER.timezone,
    )


def _shown(settings: DigestSettings) -> dict[str, str]:
    return {
        "enabled": "yes" if settings.enabled else "",
        "email": ", ".join(settings.email),
        "hour": str(settings.hour),
        "timezone": settings.timezone or "",
        "locale": settings.locale,
    }


def _yesterday() -> Any:
    return panel().today() - DAY


@pages.post("/digest")
def set_digest() -> Any:
    """Set all of it anew, or say beside its field what is wrong; then nothing is set."""
    sent = typed(request.form, FIELDS)
    try:
        settings = operator().digest.settings(**_read(sent))
    except RequestRefused as refused:
        return _page(sent, placed(refused, FIELDS)), 422
    flash("The digest is set: it goes out every day." if settings.enabled else "The digest is switched off.")
    return redirect(url_for(".digest"))


def _read(sent: Mapping[str, str]) -> dict[str, Any]:
    """Read the form as far as it has forms of its own; whether it can be so, the library says."""
    addresses = (address.strip(" ") for address in sent["email"].split(","))
    return {
        "enabled": bool(sent["enabled"]),
        "email": [address for address in addresses if address],
        # What is no number is refused as one that is none of a clock.
        "hour": int(sent["hour"]) if re.fullmatch("[0-9]{1,2}", sent["hour"], re.ASCII) else -1,
        "timezone": sent["timezone"] or None,
        "locale": sent["locale"],
        "reason": sent["reason"],
    }


@pages.get("/digest/preview")
def preview() -> Any:
    """Show the mail of a day as it was written, or as it would be now."""
    try:
        return _preview_page(_asked_day(), {}, {})
    except RequestRefused as refused:
        return _page({"day": request.args.get("day", "")}, {"day": sentence(refused)}), 422


def _asked_day() -> date:
    return read_day(request.args.get("day", "").strip() or str(_yesterday()), field="day")


def _preview_page(day: date, values: Mapping[str, str], errors: dict[str, str]) -> str:
    door = operator().digest
    return render_template(
        "operator/digest_preview.html",
        day=day,
        letter=door.preview(day),
        settings=door.read(),
        values=values,
        errors=errors,
    )


@pages.get("/digest/letter")
def letter() -> Any:
    """Give the HTML of that mail by itself, for the frame of its preview."""
    return Mail(operator().digest.preview(_asked_day()).html)


@pages.post("/digest/preview")
def send() -> Any:
    """Send the digest of a day that has none yet."""
    day, sent = _asked_day(), typed(request.form, ("reason",))
    try:
        state = operator().digest.send(day, reason=sent["reason"])
    except RequestRefused as refused:
        return _preview_page(day, sent, placed(refused, ("reason",))), 422
    flash(SENT[state].format(written(day)))
    return redirect(url_for(".preview", day=day))
