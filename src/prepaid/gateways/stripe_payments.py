"""What a Checkout Session of Stripe says about a payment: dicts in, `PaymentSnapshot` out, no network.

A session, its PaymentIntent and the charge must tell one story. Any other
combination than those listed, known to us or not, is an unusable reply: it
credits nothing and is asked again. A session has one PaymentIntent, which
succeeds at most once, so that a snapshot of Stripe never has ``further``
payments.

Sources: https://docs.stripe.com/api/checkout/sessions/object,
https://docs.stripe.com/api/payment_intents/object,
https://docs.stripe.com/api/charges/object (words and meaning of the states);
https://docs.stripe.com/checkout/fulfillment (what counts as paid).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import attrs
from attrs import frozen

from ..core.instants import from_micros
from ..core.money import Money
from ..ports import Checkout, Mode, PaymentSnapshot, PaymentState
from .credentials import is_loopback
from .replies import (
    MAX_URL,
    Reply,
    demand,
    optional_object,
    optional_str,
    require_bool,
    require_int,
    require_object,
    require_str,
    require_word,
    unusable,
)
from .stripe_currencies import from_wire

SESSION_ID: Final = re.compile(r"cs_[A-Za-z0-9_]{1,200}", re.ASCII)
INTENT_ID: Final = re.compile(r"pi_[A-Za-z0-9]{1,200}", re.ASCII)
"""Without an underscore: a client secret begins with the id of its PaymentIntent, and is none."""

_LAST_SECOND = 253_402_300_799  # of the year 9999

_STATES: Final[dict[tuple[str, str, str | None], PaymentState]] = {
    ("open", "unpaid", None): "open",
    ("open", "unpaid", "requires_payment_method"): "open",  # a decline inside the page is not final
    ("open", "unpaid", "requires_confirmation"): "open",
    ("open", "unpaid", "requires_action"): "open",
    ("open", "unpaid", "processing"): "processing",
    ("open", "unpaid", "canceled"): "canceled",
    ("open", "no_payment_required", None): "open",
    ("complete", "unpaid", "processing"): "processing",
    ("complete", "unpaid", "requires_action"): "processing",  # a voucher that waits to be paid in
    ("complete", "unpaid", "requires_capture"): "authorised",
    ("complete", "unpaid", "requires_payment_method"): "failed",  # an asynchronous payment came back
    ("complete", "unpaid", "canceled"): "canceled",
    ("complete", "paid", "succeeded"): "captured",
    ("complete", "no_payment_required", None): "failed",  # a total of zero is no top-up
    ("expired", "unpaid", None): "expired",
    ("expired", "unpaid", "requires_payment_method"): "expired",
    ("expired", "unpaid", "requires_confirmation"): "expired",
    ("expired", "unpaid", "requires_action"): "expired",
    ("expired", "unpaid", "canceled"): "expired",
    ("expired", "no_payment_required", None): "expired",
}
"""By status of the session, its payment status, and status of the PaymentIntent."""


@frozen(kw_only=True)
class Taken:
    """What was taken, or waits to be; nothing yet by default.

    Attributes:
        authorised: As in `PaymentSnapshot`, like all the others.
    """

    authorised: Money | None = None
    captured: Money | None = None
    refunded: Money | None = None
    fee: Money | None = None
    fee_follows: bool = False
    disputed: bool = False
    method: str = ""


def read_checkout(session: Reply, *, topup_id: str, mode: Mode, number: int, currency: str) -> Checkout:
    """Read the session that was just created, and check that it is the one asked for.

    Args:
        session: Stripe's reply.
        topup_id: Our reference.
        mode: Our mode.
        number: Amount as sent, in Stripe's units.
        currency: Currency code as sent, in lower case.

    Raises:
        GatewayError: A field is missing, mistyped or not what was asked for.
    """
    session_id = _session_id(session)
    url = require_str(session, "url", longest=MAX_URL)
    demand(url.startswith("https://") or is_loopback(url), "url is not https")
    demand(mode_of(session) == mode, "livemode is not our mode")
    demand(echoed_topup(session) == topup_id, "it is about another top-up")
    demand(
        (require_int(session, "amount_total"), require_str(session, "currency")) == (number, currency),
        "the total is not what was asked for",
    )
    return Checkout(checkout_id=session_id, redirect_url=url)


def read_payment(session: Reply, *, session_id: str) -> PaymentSnapshot:
    """Read how far the payment of a session is.

    Args:
        session: Stripe's reply, with PaymentIntent, charge and balance
            transaction expanded.
        session_id: The id that was asked for.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    demand(_session_id(session) == session_id, "id is not the one asked for")
    demand(require_str(session, "mode") == "payment", "mode is not payment")
    intent = _intent_of(session)
    state = _state(session, intent)
    taken = read_taken(intent, state) if intent else Taken()
    return PaymentSnapshot(
        checkout_id=session_id,
        payment_id=intent_id_of(intent) if intent else None,
        topup_id=echoed_topup(session),
        state=state,
        mode=mode_of(session),
        failure=_failure(intent) if state == "failed" else "",
        created_at=moment_of(session),
        **attrs.asdict(taken, recurse=False),
    )


def read_taken(intent: Reply, state: PaymentState) -> Taken:
    """Read what a PaymentIntent took or could take, and the charge that it took it with.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    if state == "captured":
        return _charged(intent)
    if state != "authorised":
        return Taken()
    waiting = require_int(intent, "amount_capturable")
    demand(waiting > 0, "nothing waits to be captured")
    return Taken(authorised=from_wire(waiting, require_str(intent, "currency")))


def intent_id_of(intent: Reply) -> str:
    """Read the id of a PaymentIntent.

    Raises:
        GatewayError: It is no PaymentIntent, or its id is not that of one.
    """
    demand(intent.get("object") == "payment_intent", "it is no PaymentIntent")
    intent_id = require_str(intent, "id")
    demand(INTENT_ID.fullmatch(intent_id) is not None, "id is not that of a PaymentIntent")
    return intent_id


def moment_of(reply: Reply) -> datetime:
    """Read when Stripe made an object.

    Raises:
        GatewayError: ``created`` is no Unix time of this age.
    """
    return from_micros(require_int(reply, "created", largest=_LAST_SECOND) * 1_000_000)


def mode_of(reply: Reply) -> Mode:
    """Read the mode that an object of Stripe's lives in.

    Raises:
        GatewayError: It does not say.
    """
    return "live" if require_bool(reply, "livemode") else "test"


def echoed_topup(session: Reply) -> str | None:
    """Read our reference, which a session echoes twice, or give None unless both agree.

    Raises:
        GatewayError: A field is mistyped.
    """
    metadata = optional_object(session, "metadata") or {}
    reference = optional_str(session, "client_reference_id")
    return reference if reference == optional_str(metadata, "topup_id") else None


def _session_id(session: Reply) -> str:
    demand(session.get("object") == "checkout.session", "it is no Checkout Session")
    session_id = require_str(session, "id")
    demand(SESSION_ID.fullmatch(session_id) is not None, "id is not that of a Checkout Session")
    return session_id


def _intent_of(session: Reply) -> dict[str, Any] | None:
    intent = optional_object(session, "payment_intent")
    if intent is not None:
        demand(mode_of(intent) == mode_of(session), "session and payment are of two modes")
    return intent


def _state(session: Reply, intent: Reply | None) -> PaymentState:
    status = (
        require_word(session, "status", {"open", "complete", "expired"}),
        require_word(session, "payment_status", {"paid", "unpaid", "no_payment_required"}),
        require_str(intent, "status") if intent else None,
    )
    state = _STATES.get(status)
    if state is None:
        raise unusable("session and payment contradict each other")
    return state


def _failure(intent: Reply | None) -> str:
    if intent is None:
        return "no_payment_required"
    problem = optional_object(intent, "last_payment_error") or {}
    return optional_str(problem, "decline_code") or optional_str(problem, "code") or ""


def _charged(intent: Reply) -> Taken:
    charge = require_object(intent, "latest_charge")
    demand(charge.get("object") == "charge", "latest_charge is no charge")
    demand(mode_of(charge) == mode_of(intent), "payment and charge are of two modes")
    demand(charge.get("payment_intent") == intent.get("id"), "the charge is of another payment")
    demand(require_bool(charge, "captured"), "the charge is not captured")
    currency = require_str(intent, "currency")
    received = require_int(intent, "amount_received")
    refunded = require_int(charge, "amount_refunded")
    demand(
        (require_int(charge, "amount_captured"), require_str(charge, "currency")) == (received, currency),
        "payment and charge differ in amount",
    )
    demand(received > 0 and refunded <= received, "nothing was captured, or more refunded than captured")
    fee = _fee(charge)
    return Taken(
        captured=from_wire(received, currency),
        refunded=from_wire(refunded, currency),
        fee=fee,
        fee_follows=fee is None,
        disputed=require_bool(charge, "disputed"),
        method=optional_str(optional_object(charge, "payment_method_details") or {}, "type") or "",
    )


def _fee(charge: Reply) -> Money | None:
    settled = optional_object(charge, "balance_transaction")  # made some seconds after the capture, or later
    return from_wire(require_int(settled, "fee"), require_str(settled, "currency")) if settled else None
