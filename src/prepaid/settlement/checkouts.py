"""Checkouts: opened under the top-up's key, found again when the answer was lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from ..config import Context
from ..core.errors import GatewayError, NotFound
from ..core.topups import Topup
from ..ports import Gateway
from ..store import Tx, topups
from ..store.topups import StoredTopup
from .endings import end_unpaid

_FIRST_TRY: Final = timedelta(minutes=1)
"""Even a gateway without keys is asked once; this is how long the first try, and any other, may take."""


def load(context: Context, topup_id: str) -> StoredTopup:
    """Read a top-up as it is, without asking anybody.

    Raises:
        NotFound: The book has no such top-up.
    """
    stored = context.database.read(lambda tx: topups.find(tx, topup_id))
    if stored is None:
        raise NotFound("There is no such top-up.", field="topup")
    return stored


def gateway_of(context: Context, topup: Topup) -> Gateway:
    """Give the gateway that a top-up is paid at.

    Raises:
        GatewayError: It is not configured any more.
    """
    gateway = context.gateways.get(topup.gateway)
    if gateway is None:
        raise GatewayError(f"The gateway {topup.gateway!r} is not configured any more.", code="not-configured")
    return gateway


def open_checkout(context: Context, gateway: Gateway, stored: StoredTopup) -> StoredTopup:
    """Give the top-up with its checkout, asking the gateway for it if we do not know it.

    The request is sent with the key and the parameters of the first time, so
    that a checkout whose answer was lost is found, not made again.

    Raises:
        GatewayError: Refused, failed, or past the time for which the gateway
            remembers keys. A refusal for good ends the top-up.
    """
    if stored.checkout_id is not None:
        return stored
    if is_forgotten(context, gateway, stored.topup):
        raise GatewayError(
            "The gateway does not remember the request any more.", outcome_unknown=True, code="key-too-old"
        )
    try:
        checkout = gateway.create_checkout(stored.request)
    except GatewayError as error:
        if not (error.retryable or error.outcome_unknown) and load(context, stored.topup.id).checkout_id is None:
            end_unpaid(context, stored.topup, "failed", failure="refused-by-gateway")
        raise

    def work(tx: Tx) -> StoredTopup | None:
        if topups.keep_checkout(tx, stored.topup.id, checkout):
            topups.step(tx, stored.topup.id, "pending")
        return topups.find(tx, stored.topup.id)

    kept = context.database.write(work)
    if kept is None or kept.checkout_id != checkout.checkout_id:
        raise GatewayError("The gateway made a second checkout for one key.", code="checkout-differs")
    return kept


def is_forgotten(context: Context, gateway: Gateway, topup: Topup) -> bool:
    """Tell whether the gateway may take the same key for a new request by the time that the request is there."""
    kept_for = timedelta(seconds=gateway.capabilities().create_key_valid_s)
    return context.now() - topup.created_at > max(kept_for - _FIRST_TRY, _FIRST_TRY)
