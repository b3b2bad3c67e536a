"""The customer's identity: what is known of it, beginning a verification, and coming back from one."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for

from customer_pages import customers_only
from forms import Order, sentence
from prepaid import GatewayError, InvalidRequest
from wiring import panel

pages = Blueprint("identity", __name__)
pages.before_request(customers_only)
# What is said of a case that leads to no page.
WITHOUT_PAGE = {
    "verified": "Your identity is verified.",
    "submitted": "What you handed in is being looked at. You need not do anything.",
}


@pages.get("/identity")
def identity() -> Any:
    """Show what is known; whoever comes back from the provider meets this page too."""
    return render_template("customer/identity.html", status=panel().ada().identity.status(), order=_order())


def _order() -> dict[str, str]:
    """Give the top-up that waits for this, as the address carries it there and back."""
    order = Order.read(request.args)
    fields = {"amount": order.amount, "gateway": order.gateway, "code": order.code}
    return {name: value for name, value in fields.items() if value}


@pages.post("/identity")
def begin() -> Any:
    """Begin a verification, or go on with the one that is open."""
    here, back = url_for(".identity", **_order()), url_for(".identity", **_order(), _external=True)
    try:
        case = panel().ada().identity.start(return_url=back)
    except InvalidRequest as refused:
        flash(sentence(refused))
    except GatewayError:
        flash("The verification cannot be opened now. Try again.")
    else:
        if case.redirect_url is not None:
            return redirect(case.redirect_url)
        flash(WITHOUT_PAGE.get(case.state, "There is nothing to do for you now."))
    return redirect(here)


@pages.get("/identity/state")
def identity_state() -> Any:
    """Tell a waiting page what is known."""
    return jsonify(state=panel().ada().identity.status().state)
