"""What PayPal says of a dispute: a dict in, `DisputeSnapshot` out, no network.

A list of disputes tells neither the payment nor the outcome, so that each is
read by itself.

Sources: https://developer.paypal.com/docs/api/customer-disputes/v1/ (stages,
outcomes, who pays in the end, what a dispute costs);
https://developer.paypal.com/api/customer-disputes/v1/definitions/fund_movement_list
(which takes the place of ``money_movements``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from ..core.money import Money
from ..ports import DisputeSnapshot, DisputeState
from .paypal_currencies import read_money
from .paypal_payments import OBJECT_ID, read_time
from .replies import Reply, demand, one_sum, optional_str, require_object, require_str, require_word, unusable

DISPUTE_ID: Final = re.compile(r"[A-Za-z0-9-]{1,255}", re.ASCII)
PAGE_TOKEN: Final = re.compile(r"[A-Za-z0-9+/=_-]{1,255}", re.ASCII)
MAX_LISTED: Final = 1000

_WORDS: Final = frozenset(
    "OPEN WAITING_FOR_BUYER_RESPONSE WAITING_FOR_SELLER_RESPONSE UNDER_REVIEW RESOLVED OTHER".split()
)
_STAGES: Final[Mapping[str, DisputeState]] = {
    "INQUIRY": "inquiry",  # between payer and seller: no money has moved
    "CHARGEBACK": "open",
    "PRE_ARBITRATION": "open",
    "ARBITRATION": "open",
}
_OUTCOMES: Final[Mapping[str, DisputeState]] = {
    "RESOLVED_BUYER_FAVOUR": "lost",
    "RESOLVED_SELLER_FAVOUR": "won",
    "RESOLVED_WITH_PAYOUT": "won",  # PayPal itself pays, unless it says that we did
    "CANCELED_BY_BUYER": "won",
    "ACCEPTED": "lost",
    "DENIED": "won",
    "NONE": "won",  # closed without a decision, for another dispute of the same payment
}
_SETTLED: Final = ("DISPUTE_SETTLEMENT",)
_FEES: Final = ("CHARGEBACK_FEE", "DISPUTE_FEE")
"""Reasons why money moves; a fee of the payment that comes back is none of the dispute's."""


def read_dispute(dispute: Reply, *, dispute_id: str, payment_id: str | None = None) -> DisputeSnapshot:
    """Read how far a dispute is.

    Args:
        dispute: PayPal's reply.
        dispute_id: The id that was asked for.
        payment_id: The payment it must be about, or None if we do not know.

    Raises:
        GatewayError: A field is missing, mistyped or of another dispute.
    """
    demand(require_str(dispute, "dispute_id") == dispute_id, "dispute_id is not the one asked for")
    disputed = _payments_in(dispute)
    demand(payment_id is None or payment_id in disputed, "the dispute is about another payment")
    return DisputeSnapshot(
        dispute_id=dispute_id,
        payment_id=payment_id or disputed[0],
        amount=read_money(dispute, "dispute_amount"),
        state=_state(dispute),
        reason=optional_str(dispute, "reason") or "",
        fee=one_sum(_taken(dispute, _FEES)),
        created_at=read_time(dispute, "create_time"),
    )


def read_dispute_list(reply: Reply) -> tuple[list[dict[str, Any]], str | None]:
    """Read a page of disputes: those on it, and the token of the next page, or None.

    Raises:
        GatewayError: It is no list of disputes.
    """
    items = reply.get("items", [])
    if not isinstance(items, list) or len(items) > MAX_LISTED or not all(isinstance(item, dict) for item in items):
        raise unusable("items is not a list of objects")
    for item in items:
        demand(DISPUTE_ID.fullmatch(require_str(item, "dispute_id")) is not None, "dispute_id is none of PayPal's")
    return items, _next_page(reply)


def _next_page(reply: Reply) -> str | None:
    links = reply.get("links", [])
    if not isinstance(links, list):
        raise unusable("links is not a list")
    following = [link.get("href") for link in links if isinstance(link, dict) and link.get("rel") == "next"]
    if not following:
        return None
    tokens = parse_qs(urlsplit(str(following[0])).query).get("next_page_token", [""])
    demand(PAGE_TOKEN.fullmatch(tokens[0]) is not None, "the next page has no token")
    return tokens[0]


def _payments_in(dispute: Reply) -> list[str]:
    disputed = dispute.get("disputed_transactions")
    if not isinstance(disputed, list) or not disputed or not all(isinstance(item, dict) for item in disputed):
        raise unusable("disputed_transactions is not a list of objects")
    payments = [require_str(item, "seller_transaction_id") for item in disputed]
    demand(all(OBJECT_ID.fullmatch(payment) for payment in payments), "seller_transaction_id is none of PayPal's")
    return payments


def _state(dispute: Reply) -> DisputeState:
    if require_word(dispute, "status", _WORDS) != "RESOLVED":
        return _STAGES[require_word(dispute, "dispute_life_cycle_stage", _STAGES)]
    outcome = require_word(require_object(dispute, "dispute_outcome"), "outcome_code", _OUTCOMES)
    if outcome == "RESOLVED_WITH_PAYOUT" and _we_paid(dispute):
        return "lost"
    return _OUTCOMES[outcome]


def _we_paid(dispute: Reply) -> bool:
    settled = _taken(dispute, _SETTLED)
    paid = one_sum(settled)
    demand(paid is not None or not settled, "a dispute is settled in several currencies")
    return paid is not None and paid > Money.zero(paid.currency)


def _taken(dispute: Reply, reasons: Sequence[str]) -> list[Money]:
    """Give what was taken from us for some reasons; what was given is below zero."""
    is_new = dispute.get("fund_movements") is not None
    name, party = ("fund_movements", "party") if is_new else ("money_movements", "affected_party")
    movements = dispute.get(name, [])
    if not isinstance(movements, list) or not all(isinstance(movement, dict) for movement in movements):
        raise unusable(f"{name} is not a list of objects")
    ours = [each for each in movements if each.get(party) == "SELLER" and each.get("reason") in reasons]
    return [read_money(each, "amount") if _is_debit(each) else -read_money(each, "amount") for each in ours]


def _is_debit(movement: Reply) -> bool:
    return require_word(movement, "type", ("CREDIT", "DEBIT")) == "DEBIT"
