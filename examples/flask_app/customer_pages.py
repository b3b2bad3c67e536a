"""The customer's pages: balance, adding funds, history, invoices, tax profile."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for

from display import ASKED_AGAIN, OPEN, TAX_ID_STATES, day, in_zone, plain_money
from forms import CHIPS, Order, Priced, price, profile_values, read_profile, said_of_code, sentence, without_code
from prepaid import (
    GatewayError,
    GatewayUnavailable,
    IdentityRequired,
    KeyConflict,
    Money,
    PromotionRefused,
    QuoteChanged,
    QuoteExpired,
    RequestRefused,
    TaxIdStatus,
    TooManyAttempts,
)
from wiring import CODES_TO_TRY, CURRENCY, DemoRegister, panel, role

pages = Blueprint("customer", __name__)
UNDER_WAY = (*OPEN, "review")
ROWS = 20
LONGEST_CODE = 100
# What the customer is asked to look at before a top-up is begun after all.
LOOK_AGAIN = {
    KeyConflict: "This form was used before. Check the summary, then pay.",
    QuoteExpired: "The summary was too old and is fresh now. Check it, then pay.",
    QuoteChanged: "What you would pay has changed. Check the summary, then pay.",
}


@pages.before_request
def customers_only() -> Any:
    """Keep operators out."""
    if role() != "customer":
        return render_template("switch.html", wanted="customer"), 403
    return None


@pages.get("/")
def overview() -> Any:
    """Show the balance, how long it lasts, and what uses it."""
    return _overview({})


def _overview(errors: dict[str, str], *, voucher: str = "") -> str:
    ada = panel().ada()
    meters = ada.meters()
    return render_template(
        "customer/overview.html",
        customer=ada.profile(),
        balance=ada.balance(),
        set_aside=set_aside(),
        runway=ada.runway(),
        meters=meters,
        per_hour=sum((meter.rate.cost_of(hours=1) for meter in meters), Money.zero(CURRENCY)),
        waiting=[topup for topup in ada.topups.list(limit=10).items if topup.state in UNDER_WAY],
        recent=ada.transactions(limit=6).items,
        voucher=voucher,
        errors=errors,
        to_try=panel().voucher_to_try(),
    )


def set_aside() -> Money:
    """Give how much of the balance is held while payments are disputed."""
    holds = panel().ada().holds()
    return sum((hold.amount for hold in holds if hold.dispute_id), Money.zero(CURRENCY))


@pages.post("/vouchers")
def redeem_voucher() -> Any:
    """Turn a voucher into credit, or say next to its field why not."""
    code = request.form.get("voucher", "").strip()[:LONGEST_CODE]
    try:
        redeemed = panel().ada().vouchers.redeem(code)
    except RequestRefused as refused:
        return _overview({"voucher": said_of_code(refused) if code else "Type the code."}, voucher=code), 422
    until = "" if redeemed.expires_at is None else f" It is to be used before {day(in_zone(redeemed.expires_at))}."
    flash(f"The {plain_money(redeemed.amount)} of this voucher are on your balance.{until}")
    return redirect(url_for(".overview"))


@pages.get("/add-funds")
def add_funds() -> Any:
    """Show the form and the summary of what it says."""
    order = Order.read(request.args)
    priced = price(panel().ada(), order)
    return _form(order, priced), 422 if priced.errors else 200


def _form(order: Order, priced: Priced, *, key: str | None = None) -> str:
    door = panel().ada()
    amount = Money.of(CHIPS[2], CURRENCY) if priced.quote is None else priced.quote.amount
    return render_template(
        "customer/add_funds.html",
        order=order,
        priced=priced,
        spoken=_spoken(priced),
        unproven=_is_unproven(priced),
        offers=door.topups.gateways(amount),
        chips=[Money.of(chip, CURRENCY) for chip in CHIPS],
        balance=door.balance(),
        key=key or secrets.token_urlsafe(16),
        to_try=CODES_TO_TRY,
    )


def _is_unproven(priced: Priced) -> bool:
    """Tell whether a verified tax id could free the customer from the tax."""
    return priced.quote is not None and priced.quote.tax.tax_id_matters and bool(priced.quote.tax.total)


def _spoken(priced: Priced) -> str:
    """Say the summary in one sentence, for those who hear the page."""
    if priced.quote is None:
        return ""
    quote = priced.quote
    tax = f", of which {quote.tax.total.format()} tax" if quote.tax.total else ""
    given = "".join(
        f" {name} {amount.format()}."
        for name, amount in (("Bonus", quote.bonus), ("Discount", quote.discount))
        if amount
    )
    return f"Total to pay {quote.total.format()}{tax}.{given} Balance afterwards {quote.balance_after.format()}."


@pages.get("/add-funds/quote")
def live_quote() -> Any:
    """Price what is being typed."""
    priced = price(panel().ada(), Order.read(request.args))
    summary = render_template("customer/_summary.html", priced=priced, unproven=_is_unproven(priced))
    return jsonify(summary=summary, errors=priced.errors, unknown=priced.unknown, spoken=_spoken(priced))


@pages.post("/add-funds")
def order_funds() -> Any:
    """Show the summary anew, or begin the top-up that it shows."""
    order = Order.read(request.form)
    if request.form.get("chip") in CHIPS:
        order = Order(amount=request.form["chip"], gateway=order.gateway, code=order.code)
    elif request.form.get("act") == "pay":
        return _pay(order)
    return _look_again(order)


def _look_again(order: Order, message: str = "") -> Any:
    if message:
        flash(message)
    return redirect(url_for(".add_funds", amount=order.amount, gateway=order.gateway or None, code=order.code or None))


def _pay(order: Order) -> Any:
    """Begin the top-up of the summary, if it is the one of what stands in the form."""
    door, token, key = panel().ada(), request.form.get("quote", ""), request.form.get("key", "")
    priced = price(door, order)
    if priced.quote is None or not priced.payable or not _is_of(token, priced):
        return _look_again(order, "Check the summary, then pay.")
    back, cancel = url_for(".come_back", _external=True), url_for(".left", _external=True)
    try:
        topup = door.topups.start(token, return_url=back, cancel_url=cancel, key=key)
    except (RequestRefused, GatewayError) as problem:
        return _not_begun(order, priced, problem, key=key)
    return redirect(topup.checkout.redirect_url or url_for(".come_back", topup=topup.id))


def _not_begun(order: Order, priced: Priced, problem: RequestRefused | GatewayError, *, key: str) -> Any:
    """Say why a top-up could not be begun, where it can be mended."""
    match problem:
        case KeyConflict() | QuoteExpired() | QuoteChanged():
            return _look_again(order, LOOK_AGAIN[type(problem)])
        case PromotionRefused() | TooManyAttempts():
            return _form(order, without_code(panel().ada(), order, problem)), 422
        case IdentityRequired():
            flash(f"{sentence(problem)} Nothing was paid.")
            asked = {"amount": order.amount, "gateway": order.gateway or None, "code": order.code or None}
            return redirect(url_for("identity.identity", **asked))
        case GatewayUnavailable():
            # The same key goes on where this attempt ended.
            flash("The payment page cannot be opened now. Nothing was paid; try again.")
            return _form(order, priced, key=key), 503
        case GatewayError():
            return _look_again(order, "The payment provider refused this payment. Nothing was paid.")
    raise problem


def _is_of(token: str, priced: Priced) -> bool:
    """Tell whether a token says what stands in the form; `start` compares the rest."""
    try:
        said = json.loads(token)
        wanted = json.loads(priced.quote.token) if priced.quote else {}
        return all(said[name] == wanted[name] for name in ("amount", "gateway", "code"))
    except (ValueError, TypeError, KeyError):
        return False


@pages.get("/add-funds/back")
def come_back() -> Any:
    """Meet whoever comes back from paying; what the URL says is looked up, not believed."""
    panel().billing.returns.receive(request.args)
    panel().billing.run_due(only="outbox", budget_s=1)
    return _topup_page(request.args.get("topup", ""))


@pages.get("/add-funds/left")
def left() -> Any:
    """Meet whoever left the payment page."""
    return _topup_page(request.args.get("topup", ""), left=True)


def _topup_page(topup_id: str, *, left: bool = False) -> Any:
    ada = panel().ada()
    return render_template(
        "customer/topup.html", topup=ada.topups.get(topup_id), balance=ada.balance(), left=left, OPEN=OPEN
    )


@pages.get("/topups/<topup_id>/state")
def topup_state(topup_id: str) -> Any:
    """Tell a waiting page where its top-up is."""
    return jsonify(state=panel().ada().topups.confirm(topup_id).state)


@pages.post("/topups/<topup_id>/cancel")
def cancel_topup(topup_id: str) -> Any:
    """Give a top-up up; what was paid meanwhile is credited."""
    panel().ada().topups.cancel(topup_id)
    return redirect(url_for(".come_back", topup=topup_id))


@pages.get("/transactions")
def transactions() -> Any:
    """List what happened to the balance."""
    kind, cursor = request.args.get("kind") or None, request.args.get("cursor")
    page = panel().ada().transactions(kind=kind, cursor=cursor, limit=ROWS)
    return render_template("customer/transactions.html", page=page, kind=kind, cursor=cursor)


@pages.get("/invoices")
def invoices() -> Any:
    """List invoices."""
    page = panel().ada().invoices.list(cursor=request.args.get("cursor"), limit=ROWS)
    return render_template("customer/invoices.html", page=page, cursor=request.args.get("cursor"))


@pages.get("/invoices/<invoice_id>")
def invoice(invoice_id: str) -> Any:
    """Show an invoice."""
    return render_template("customer/invoice.html", invoice=panel().ada().invoices.get(invoice_id))


@pages.get("/invoices/<invoice_id>/pdf")
def invoice_pdf(invoice_id: str) -> Any:
    """Hand out an invoice's file, to be kept and not to be cached."""
    ada = panel().ada()
    found = ada.invoices.get(invoice_id)
    response = Response(ada.invoices.pdf(found.id), mimetype="application/pdf")
    response.headers.set("Content-Disposition", "attachment", filename=f"{found.number.replace('/', '-')}.pdf")
    return response


@pages.get("/tax-profile")
def tax_profile() -> Any:
    """Show the tax profile; a tax id of the wrong form is kept, and said next to its field."""
    status = panel().ada().tax_profile.status()
    return _profile_page(profile_values(panel().ada().tax_profile.get()), {"tax_id": status.problem})


def _profile_page(values: Mapping[str, str], errors: dict[str, str]) -> str:
    status = panel().ada().tax_profile.status()
    return render_template(
        "customer/tax_profile.html",
        values=values,
        errors=errors,
        status=status,
        badge=_badge(status),
        can_ask=status.state in ASKED_AGAIN,
        register=DemoRegister,
    )


def _badge(status: TaxIdStatus) -> str:
    name = TAX_ID_STATES[status.state][1]
    if status.state == "valid" and status.checked_at is not None:
        return f"{name} on {day(in_zone(status.checked_at))}"
    return name


@pages.post("/tax-profile")
def keep_tax_profile() -> Any:
    """Keep the tax profile, or say what is wrong with it."""
    try:
        panel().ada().tax_profile.set(read_profile(request.form))
    except RequestRefused as refused:
        return _profile_page(request.form, {refused.field or "country": sentence(refused)}), 422
    flash("Your tax profile is saved. It applies from the next top-up on.")
    return redirect(url_for(".tax_profile"))


@pages.post("/tax-profile/verify")
def verify_tax_id() -> Any:
    """Ask the register of the tax id, unless it answered lately."""
    flash(f"Your tax id: {_badge(panel().ada().tax_profile.verify()).lower()}.")
    return redirect(url_for(".tax_profile"))
