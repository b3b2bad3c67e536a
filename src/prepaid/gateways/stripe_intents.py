"""What a PaymentIntent of Stripe says about a payment that a form on our own page takes.

The PaymentIntent is checkout and payment in one: the customer may try again
with it after a decline, and it has no end of its own, so that only a success or
a cancellation closes it.

Sources: https://docs.stripe.com/payments/paymentintents/lifecycle (words and
meaning of the states), https://docs.stripe.com/api/payment_intents/object
(fields, kinds of ``next_action``),
https://docs.stripe.com/js/payment_intents/confirm_payment (what a form needs).
"""

from __future__ import annotations

from typing import Final

import attrs

from ..ports import Checkout, CheckoutRequest, Mode, PaymentSnapshot, PaymentState
from .replies import Reply, demand, optional_object, optional_str, require_int, require_str, unusable
from .stripe_payments import intent_id_of, mode_of, moment_of, read_taken
from .stripe_requests import locale_of

_STATES: Final[dict[str, PaymentState]] = {
    "requires_payment_method": "open",  # also after a decline, or after a debit that came back
    "requires_confirmation": "open",
    "requires_action": "open",
    "processing": "processing",
    "requires_capture": "authorised",
    "succeeded": "captured",
    "canceled": "canceled",
}

_WAITING: Final = frozenset(
    "boleto_display_details display_bank_transfer_instructions konbini_display_details multibanco_display_details "
    "oxxo_display_details verify_with_microdeposits".split()
)
"""What a customer does in days, elsewhere; any other action is taken at once, or not at all."""


def read_intent_checkout(
    intent: Reply, request: CheckoutRequest, *, mode: Mode, number: int, publishable_key: str
) -> Checkout:
    """Read the PaymentIntent that was just created, and check that it is the one asked for.

    Args:
        intent: Stripe's reply.
        request: What was asked for.
        mode: Our mode.
        number: Amount as sent, in Stripe's units.
        publishable_key: Goes to the form along with the secret of this payment.

    Raises:
        GatewayError: A field is missing, mistyped or not what was asked for.
    """
    intent_id = intent_id_of(intent)
    secret = require_str(intent, "client_secret")
    demand(secret.startswith(f"{intent_id}_secret_"), "client_secret is that of another payment")
    demand(mode_of(intent) == mode, "livemode is not our mode")
    demand(_echoed_topup(intent) == request.topup_id, "it is about another top-up")
    demand(
        (require_int(intent, "amount"), require_str(intent, "currency")) == (number, request.amount.currency.lower()),
        "the amount is not what was asked for",
    )
    widget = {
        "client_secret": secret,
        "publishable_key": publishable_key,
        "return_url": request.return_url,
        "locale": locale_of(request.locale),
    }
    return Checkout(checkout_id=intent_id, widget=widget)


def read_intent(intent: Reply, *, intent_id: str) -> PaymentSnapshot:
    """Read how far a payment is.

    Args:
        intent: Stripe's reply, with charge and balance transaction expanded.
        intent_id: The id that was asked for.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    demand(intent_id_of(intent) == intent_id, "id is not the one asked for")
    state = _state(intent)
    return PaymentSnapshot(
        checkout_id=intent_id,
        payment_id=intent_id,
        topup_id=_echoed_topup(intent),
        state=state,
        mode=mode_of(intent),
        created_at=moment_of(intent),
        **attrs.asdict(read_taken(intent, state), recurse=False),
    )


def _state(intent: Reply) -> PaymentState:
    status = require_str(intent, "status")
    if status not in _STATES:
        raise unusable("status has a value that is not known")
    if status == "requires_action" and require_str(optional_object(intent, "next_action") or {}, "type") in _WAITING:
        return "processing"
    return _STATES[status]


def _echoed_topup(intent: Reply) -> str | None:
    return optional_str(optional_object(intent, "metadata") or {}, "topup_id")
