"""The simulated provider's own site, and our endpoint for its webhooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for

from prepaid import Money, WebhookResult, WrongState
from security import takes_posts_from_elsewhere
from wiring import SELLER, panel

pages = Blueprint("simulated", __name__)


@pages.get("/simulated/<checkout_id>")
def pay_page(checkout_id: str) -> Any:
    """Draw the provider's payment page."""
    return render_template("simulated/pay.html", page=panel().gateway.page(checkout_id), merchant=SELLER.name)


@pages.post("/simulated/<checkout_id>")
def pay(checkout_id: str) -> Any:
    """Do what the payer chose, tell the merchant by webhook, and send the payer back."""
    gateway, act = panel().gateway, request.form.get("act")
    page = gateway.page(checkout_id)
    if act == "cancel":
        return redirect(page.cancel_url)
    try:
        match act:
            case "pay":
                told = gateway.pay(checkout_id)
            case "later":
                told = gateway.pay(checkout_id, later=True)
            case "short":
                told = gateway.pay(checkout_id, amount=page.amount - Money.from_minor(1, page.amount.currency))
            case "twice":
                told = gateway.pay(checkout_id) + gateway.pay_again(checkout_id)
            case "decline":
                told = gateway.fail(checkout_id)
            case "finish":
                told = gateway.finish(checkout_id)
            case _:
                abort(400)
    except WrongState:
        return redirect(url_for(".pay_page", checkout_id=checkout_id))
    _deliver(told)
    return redirect(page.return_url)


def _deliver(told: tuple[str, ...]) -> None:
    """Send webhooks: here by a call, because a small server that calls itself may wait for ever."""
    for delivery in panel().gateway.events():
        if delivery.event_id in told:
            headers, body = delivery.request()
            _receive(headers.items(), body)


@pages.post("/webhooks/simulated")
@takes_posts_from_elsewhere
def webhook() -> Any:
    """Take a webhook as its raw bytes; the signature covers exactly those."""
    result = _receive(request.headers.items(), request.get_data(cache=False))
    return {"outcome": result.outcome}, result.status


def _receive(headers: Iterable[tuple[str, str]], body: bytes) -> WebhookResult:
    result = panel().billing.webhooks.receive("simulated", body=body, headers=headers)
    # The invoice goes out at once rather than with the next run of the scheduler.
    panel().billing.run_due(only="outbox", budget_s=1)
    return result
