"""Money that goes back, in words: requests, refunds, disputes, and what was done about them."""

from __future__ import annotations

from typing import Any

from display import plain_money
from prepaid import Dispute, EligibleRefund, Money, RefundRules, RequestedRefund
from promotion_words import amounts, lasting

REQUESTS = {
    "requested": ("wait", "Waiting"),
    "confirming": ("wait", "Waits for a second operator"),
    "approved": ("wait", "On its way"),
    "refunded": ("good", "Given back"),
    "failed": ("bad", "Did not arrive"),
    "rejected": ("bad", "Declined"),
    "withdrawn": ("off", "Withdrawn"),
}

# What the customer reads: how many of us have to look at it is our own business.
ASKED = REQUESTS | {"confirming": REQUESTS["requested"]}

ORIGINS = {
    "request": "Asked for here",
    "review": "Out of a review",
    "gateway": "Made at the gateway",
    "outside": "By other means",
}

# What was done about a request; a word that is not here is shown as it is.
ACTS = {
    "refund-request": "Asked for it",
    "refund-withdraw": "Took it back",
    "refund-confirm": "Approved it, as the first of two",
    "refund-approve": "Approved it",
    "refund-reject": "Declined it",
    "refund-failed": "Could not deliver it",
}


def told(request: RequestedRefund) -> str:
    """Say to its customer what became of a request."""
    match request.state:
        case "approved" | "refunded":
            return _part(request) + _gone(request)
        case "failed":
            return "The money did not arrive. The credit is on your balance again."
        case "rejected":
            return "Nothing goes back."
        case "withdrawn":
            return "You took it back."
    return "We look at it and answer here. Until then the credit stays on your balance."


def _part(request: RequestedRefund) -> str:
    approved = request.approved or request.amount
    return "" if approved == request.amount else f"{plain_money(approved)} of it was approved. "


def _gone(request: RequestedRefund) -> str:
    if request.cash is None:
        return f"{plain_money(request.approved or request.amount)} of credit is on your balance again."
    tax = f" ({plain_money(request.tax)} of it tax)" if request.tax else ""
    where = "went back to you" if request.state == "refunded" else "is on the way to you"
    return f"{plain_money(request.cash)}{tax} {where}."


def gives(found: EligibleRefund) -> str:
    """Say what somebody gets who asks for all of it."""
    if found.kind == "charge":
        return "As credit, on your balance"
    tax = f", {plain_money(found.tax)} of it tax" if found.tax else ""
    bonus = f"; {plain_money(found.clawback)} of bonus is taken back" if found.clawback else ""
    return f"{plain_money(found.cash)} in money{tax}{bonus}"


def became(dispute: Dispute, held: Money | None) -> str:
    """Say what a dispute did to the money and to the balance so far."""
    match dispute.booked:
        case "withdrawn":
            kept = f"{plain_money(held)} of credit is held" if held else "no credit is left to hold"
            return f"The bank took {plain_money(dispute.withdrawn)}; {kept}"
        case "lost":
            bonus = f" and {plain_money(dispute.clawback)} of bonus" if dispute.clawback else ""
            gone = f"{plain_money(dispute.credit)} of credit{bonus} left the balance"
            return f"The bank kept {plain_money(dispute.withdrawn)}; {gone}"
        case "won":
            return "The money came back; nothing is held"
    return "Nothing was taken"


def two_persons(rules: RefundRules) -> str:
    """Say which refunds take two operators."""
    above = amounts(rules.two_person_above)
    return f"More than {above} of one top-up or charge takes two operators." if above else "One operator decides alone."


def in_time(rules: RefundRules) -> str:
    """Say until when customers may ask."""
    limits = (("a top-up", rules.topups_within), ("usage", rules.charges_within))
    said = [f"for {what} within {lasting(span)}" for what, span in limits if span]
    return f"Customers may ask {' and '.join(said)}." if said else "Customers may ask at any time."


def register(app: Any) -> None:
    """Give the templates of an app these words."""
    filters = (told, became, two_persons, in_time)
    app.jinja_env.filters.update({function.__name__: function for function in filters}, gives_back=gives)
    app.jinja_env.globals.update(REQUESTS=REQUESTS, ASKED=ASKED, ORIGINS=ORIGINS, ACTS=ACTS)
