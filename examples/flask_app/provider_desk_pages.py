"""The simulated provider's dashboard: what a merchant does there, and what payers and banks do, by buttons."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from attrs import frozen
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for

from forms import read_money, sentence
from operator_pages import operators_only
from prepaid import Money, RequestRefused
from prepaid.ports import DisputeSnapshot, PaymentRef, PaymentSnapshot, RefundSnapshot
from simulated_pages import deliver_after
from wiring import SELLER, panel

pages = Blueprint("provider", __name__, url_prefix="/simulated-desk")
pages.before_request(operators_only)
LATEST = 20
DAYS = timedelta(days=3660)
OUTCOMES = {"succeeded": "succeeds at once", "pending": "stays on its way", "failed": "fails at once"}
_TURN = threading.Lock()


@frozen(kw_only=True)
class Record:
    """A payment as the provider has it.

    Attributes:
        payment: The payment.
        refunds: What was given back of it, or is on its way.
        disputes: What its payer disputes.
    """

    payment: PaymentSnapshot
    refunds: tuple[RefundSnapshot, ...]
    disputes: tuple[DisputeSnapshot, ...]

    @property
    def version(self) -> str:
        """Tell one sight of it from the next, so that a button pressed twice acts once."""
        states = [each.state for each in (*self.refunds, *self.disputes)]
        return "-".join((self.payment.payment_id or "", *states))

    @property
    def left(self) -> bool:
        """Something of it can be given back."""
        return self.payment.refunded != self.payment.captured

    @property
    def is_closed(self) -> bool:
        """A dispute of it is open or was lost: nobody does anything else with it."""
        return any(each.state != "won" for each in self.disputes)


def _records() -> list[Record]:
    """Read the latest payments, newest first, and of a checkout the first one."""
    gateway, now = panel().gateway, panel().clock.now()
    payments: dict[str, PaymentSnapshot] = {}
    cursor: str | None = ""
    while cursor is not None:
        listing = gateway.list_payments(now - DAYS, now + DAYS, cursor=cursor or None)
        for payment in listing.items:
            payments.setdefault(payment.checkout_id, payment)
        cursor = listing.next
    return [_record(payment) for payment in list(payments.values())[: -LATEST - 1 : -1]]


def _record(payment: PaymentSnapshot) -> Record:
    gateway = panel().gateway
    ref = PaymentRef(topup_id=payment.topup_id or "", checkout_id=payment.checkout_id, payment_id=payment.payment_id)
    return Record(payment=payment, refunds=tuple(gateway.refunds_of(ref)), disputes=tuple(gateway.disputes_of(ref)))


@pages.get("")
def desk() -> Any:
    """Draw the provider's dashboard."""
    return render_template("simulated/desk.html", records=_records(), merchant=SELLER.name, outcomes=OUTCOMES)


@pages.post("/next")
def script() -> Any:
    """Say how the next refund begins."""
    outcome = request.form.get("outcome", "")
    if outcome not in OUTCOMES:
        abort(400)
    panel().gateway.script_refund(outcome)
    flash(f"The next refund {OUTCOMES[outcome]}.")
    return redirect(url_for(".desk"))


@pages.post("")
def act() -> Any:
    """Do what was chosen, and tell the merchant by webhooks."""
    with _TURN:
        record = next((each for each in _records() if each.version == request.form.get("seen")), None)
        if record is None:
            flash("This payment has changed meanwhile. Look again.")
            return redirect(url_for(".desk"))
        try:
            deliver_after(lambda: _do(record.payment.checkout_id, request.form.get("act", "")))
        except RequestRefused as refused:
            flash(sentence(refused))
    return redirect(url_for(".desk", _anchor=record.payment.topup_id))


def _do(checkout_id: str, wanted: str) -> None:
    gateway, about = panel().gateway, request.form.get("about", "")
    match wanted:
        case "refund":
            gateway.refund_at_provider(checkout_id, _amount())
        case "dispute":
            gateway.dispute(checkout_id)
        case "inquire":
            gateway.dispute(checkout_id, inquiry=True)
        case "finish":
            gateway.finish_refund(about)
        case "fail":
            gateway.finish_refund(about, succeed=False)
        case "escalate" | "win" | "lose":
            getattr(gateway, wanted)(about)
        case _:
            abort(400)


def _amount() -> Money | None:
    """Read how much goes back; all that is left if nothing is typed."""
    written = request.form.get("amount", "").strip()
    return read_money(written) if written else None
