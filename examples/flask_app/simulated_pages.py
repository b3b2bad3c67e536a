"""The simulated providers' own sites, for payments and for identities, and our endpoints for their webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def deliver_after(act: Callable[[], object]) -> None:
    """Do something at the provider, and send the webhooks that it causes."""
    before = {delivery.event_id for delivery in panel().gateway.events()}
    act()
    _deliver(tuple(each.event_id for each in panel().gateway.events() if each.event_id not in before))


def _deliver(told: tuple[str, ...]) -> None:
    """Send webhooks: here by a call, because a small server that calls itself may wait for ever."""
    for delivery in panel().gateway.events():
        if delivery.event_id in told:
            headers, body = delivery.request()
            _receive(panel().gateway.name, headers.items(), body)


@pages.post("/webhooks/simulated")
@takes_posts_from_elsewhere
def webhook() -> Any:
    """Take a webhook as its raw bytes; the signature covers exactly those."""
    return _told(panel().gateway.name)


@pages.post("/webhooks/simulated-identity")
@takes_posts_from_elsewhere
def identity_webhook() -> Any:
    """Take a webhook of the identity provider, by the same rules."""
    return _told(panel().identity.name)


def _told(name: str) -> Any:
    result = _receive(name, request.headers.items(), request.get_data(cache=False))
    return {"outcome": result.outcome}, result.status


def _receive(name: str, headers: Iterable[tuple[str, str]], body: bytes) -> WebhookResult:
    result = panel().billing.webhooks.receive(name, body=body, headers=headers)
    # The invoice goes out at once rather than with the next run of the scheduler.
    panel().billing.run_due(only="outbox", budget_s=1)
    return result


@pages.get("/simulated/identity/<reference>")
def identity_page(reference: str) -> Any:
    """Draw the page where the identity provider verifies somebody."""
    page = panel().identity.page(reference)
    return render_template("simulated/identity.html", page=page, merchant=SELLER.name)


@pages.post("/simulated/identity/<reference>")
def identify(reference: str) -> Any:
    """Let the verification end as was chosen, tell the merchant by webhook, and send the person back."""
    desk, act = panel().identity, request.form.get("act")
    page = desk.page(reference)
    acts = {"verify": desk.verify, "later": desk.processing, "again": desk.ask_again, "reject": desk.reject}
    if act not in acts:
        abort(400)
    try:
        acts[act](reference)
    except WrongState:
        return redirect(url_for(".identity_page", reference=reference))
    headers, body = desk.webhook(reference)
    _receive(desk.name, headers.items(), body)
    return redirect(page.return_url)
