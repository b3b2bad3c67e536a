"""What Stripe is asked for: the parameters of sessions, PaymentIntents and refunds, made from our requests alone.

One key must always carry one content, so nothing here depends on the time of
sending or on anything but the request and the mode. Our references travel as
metadata, on the payment itself too: refunds, disputes and charges lead back to
it and to nothing else.

Sources: https://docs.stripe.com/api/checkout/sessions/create,
https://docs.stripe.com/api/payment_intents/create,
https://docs.stripe.com/api/refunds/create (parameters, limits of an expiry);
https://docs.stripe.com/api/metadata (500 characters a value).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from ..core.instants import from_micros, to_micros
from ..ports import CheckoutRequest, Mode, RefundRequest
from .stripe_currencies import to_wire

if TYPE_CHECKING:
    from stripe.params import PaymentIntentCreateParams, RefundCreateParams
    from stripe.params.checkout import SessionCreateParams

LOCALES: Final = frozenset(
    "bg cs da de el en en-GB es es-419 et fi fil fr fr-CA hi-IN hr hu id it ja ko lt lv ms mt nb nl pl pt pt-BR ro ru "
    "sk sl sv th tr vi zh zh-HK zh-TW".split()
)
"""Languages of Stripe's page; for any other it is left to the browser."""

MAX_METADATA: Final = 500
BY_CHECKOUT: Final = {"flow": "checkout"}
"""Marks a PaymentIntent that a Checkout Session of ours makes: it is listed with the session, not by itself."""

_MADE_ID = re.compile(r"[a-z]{2,4}_(0[0-9a-hjkmnp-tv-z]{9})[0-9a-hjkmnp-tv-z]{16}", re.ASCII)  # time, randomness
_PLAIN_BASE_32 = str.maketrans("0123456789abcdefghjkmnpqrstvwxyz", "0123456789abcdefghijklmnopqrstuv")
_SHORTEST_LIFE = timedelta(minutes=30)
_LONGEST_LIFE = timedelta(hours=24)
_ON_THE_WAY = timedelta(minutes=2)  # Stripe counts from when the request arrives, by its own clock


def session_params(request: CheckoutRequest, *, mode: Mode) -> SessionCreateParams:
    """Build the parameters of a Checkout Session.

    Whatever could change the total (automatic tax, promotion codes, local
    currencies) stays off.

    Raises:
        GatewayError: Stripe does not take the currency, or not so fine an amount.
    """
    metadata = _metadata(request, mode)
    params: SessionCreateParams = {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": request.amount.currency.lower(),
                    "unit_amount": to_wire(request.amount),
                    "product_data": {"name": request.description},
                },
            }
        ],
        "client_reference_id": request.topup_id,
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata | BY_CHECKOUT},
        "success_url": request.return_url,
        "cancel_url": request.cancel_url,
        "expires_at": to_micros(expiry(request)) // 1_000_000,
        "adaptive_pricing": {"enabled": False},
        "submit_type": "pay",
        "locale": locale_of(request.locale),
    }
    if request.customer_email:
        params["customer_email"] = request.customer_email
    return params


def intent_params(request: CheckoutRequest, *, mode: Mode) -> PaymentIntentCreateParams:
    """Build the parameters of a PaymentIntent that a form on our page confirms.

    Raises:
        GatewayError: Stripe does not take the currency, or not so fine an amount.
    """
    return {
        "amount": to_wire(request.amount),
        "currency": request.amount.currency.lower(),
        "automatic_payment_methods": {"enabled": True},
        "description": request.description,
        "metadata": _metadata(request, mode),
    }


def refund_params(request: RefundRequest, *, payment_id: str, mode: Mode) -> RefundCreateParams:
    """Build the parameters of a refund.

    Stripe's own ``reason`` is a word for its risk systems; ours is for people,
    and is kept beside our reference.

    Raises:
        GatewayError: Stripe does not take the currency, or not so fine an amount.
    """
    metadata = {"refund_id": request.refund_id, "topup_id": request.payment.topup_id, "env": mode}
    if request.reason:
        metadata["reason"] = request.reason[:MAX_METADATA]
    return {"payment_intent": payment_id, "amount": to_wire(request.amount), "metadata": metadata}


def expiry(request: CheckoutRequest) -> datetime:
    """Give the wanted expiry, moved to between 30 minutes and 24 hours after the top-up was started.

    The start is read from the id, not from a clock: the same request must give
    the same instant whenever it is sent again. An id that is not the library's
    holds no time, and the wanted expiry is sent as it is.
    """
    made = _MADE_ID.fullmatch(request.topup_id)
    if made is None:
        return request.expires_at
    started_at = from_micros(int(made[1].translate(_PLAIN_BASE_32), 32) * 1000)
    earliest = started_at + _SHORTEST_LIFE + _ON_THE_WAY
    return max(earliest, min(request.expires_at, started_at + _LONGEST_LIFE - _ON_THE_WAY))


def locale_of(locale: str) -> str:
    """Give Stripe's name of a language, or ``auto``.

    >>> locale_of("pt_BR"), locale_of("de-AT"), locale_of("no"), locale_of("tlh")
    ('pt-BR', 'de', 'nb', 'auto')
    """
    tag = locale.replace("_", "-")
    language = tag.partition("-")[0].lower()
    wanted = (tag, {"no": "nb", "nn": "nb", "hi": "hi-IN"}.get(language, language))
    return next((known for known in wanted if known in LOCALES), "auto")


def _metadata(request: CheckoutRequest, mode: Mode) -> dict[str, str]:
    return {"topup_id": request.topup_id, "customer_id": request.customer_id, "env": mode}
