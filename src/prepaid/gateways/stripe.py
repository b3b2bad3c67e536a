"""Stripe: payment on Stripe's own page (hosted Checkout), one Checkout Session per top-up.

A session is created under the top-up's idempotency key, and is re-read with our
key whenever something may have happened to it; a webhook is only a reason to do
so. The SDK is imported when the first request is sent.

Sources: https://docs.stripe.com/api/checkout/sessions/create (parameters, life
of a session); https://docs.stripe.com/api/idempotent_requests (24 hours);
https://docs.stripe.com/keys (prefixes); https://docs.stripe.com/webhooks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
from attrs import field, frozen

from ..core.errors import ConfigurationError, GatewayError, WebhookRejected
from ..core.instants import from_micros, to_micros
from ..ports import (
    Capabilities,
    Checkout,
    CheckoutRequest,
    Clock,
    GatewayEvent,
    Health,
    Mode,
    PaymentRef,
    PaymentSnapshot,
)
from .basic import BasicGateway
from .credentials import Secret, check_api_base, check_name, check_timeout, conceal, conceal_all
from .processes import PerProcess
from .signed import required_text, strict_json_object, verify_signed
from .stripe_currencies import LIMITS, to_wire
from .stripe_payments import SESSION_ID, mode_of, read_checkout, read_payment

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams

    from .stripe_client import StripeApi

LIVE_BASE: Final = "https://api.stripe.com"
CREATE_KEY_VALID_S: Final = 86_400

LOCALES: Final = frozenset(
    "bg cs da de el en en-GB es es-419 et fi fil fr fr-CA hi-IN hr hu id it ja ko lt lv ms mt nb nl pl pt pt-BR ro ru "
    "sk sl sv th tr vi zh zh-HK zh-TW".split()
)
"""Languages of Stripe's page; for any other it is left to the browser."""

_KEY = re.compile(r"[sr]k_(test|live)_.+", re.ASCII)
_TOPUP_ID = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_MADE_ID = re.compile(r"[a-z]{2,4}_(0[0-9a-hjkmnp-tv-z]{9})[0-9a-hjkmnp-tv-z]{16}", re.ASCII)  # time, randomness
_PLAIN_BASE_32 = str.maketrans("0123456789abcdefghjkmnpqrstvwxyz", "0123456789abcdefghijklmnopqrstuv")
_SHORTEST_LIFE = timedelta(minutes=30)
_LONGEST_LIFE = timedelta(hours=24)
_ON_THE_WAY = timedelta(minutes=2)  # Stripe counts from when the request arrives, by its own clock


class _Link(PerProcess["StripeApi"]):
    """The connection of one bound gateway, made when it is first needed."""

    def api(self, gateway: StripeGateway) -> StripeApi:
        """Give the one client of this process."""

        def make() -> StripeApi:
            from .stripe_client import StripeApi

            return StripeApi(
                secret_key=gateway.secret_key.reveal(), api_base=gateway.api_base, timeout_s=gateway.timeout_s
            )

        return self.get(make)


@frozen(eq=False)
class _Binding:
    """What `StripeGateway.bind` adds."""

    mode: Mode
    clock: Clock
    link: _Link = field(factory=_Link)


@frozen(kw_only=True)
class StripeGateway(BasicGateway):
    """Takes payments on Stripe's hosted page.

    Attributes:
        secret_key: ``sk_test_…``, ``sk_live_…`` or a restricted ``rk_…``.
        webhook_secrets: ``whsec_…`` of our endpoint; two while one replaces
            the other.
        name: Distinguishes two accounts; stands in URLs and accounts.
        label: What customers choose.
        timeout_s: Seconds that one call may take, retries included.
        api_base: Another base URL, for simulators, or None.
        flow: How the customer pays; the hosted page is the only way yet.
        binding: Set by `bind`.
    """

    secret_key: Secret = field(converter=conceal, repr=False)
    webhook_secrets: tuple[Secret, ...] = field(converter=conceal_all, repr=False)
    name: str = field(default="stripe", validator=check_name)
    label: str = "Card"
    timeout_s: int = field(default=20, validator=check_timeout)
    api_base: str | None = field(default=None, validator=check_api_base)
    flow: Literal["checkout"] = field(default="checkout")
    binding: _Binding | None = field(default=None, repr=False, eq=False)

    @property
    def account(self) -> None:
        """Stripe shows no account on a payment: the secret key is that of one account."""
        return None

    @flow.validator
    def _check_flow(self, attribute: object, value: object) -> None:
        if value != "checkout":
            raise ConfigurationError("flow of StripeGateway is 'checkout'.")

    def bind(self, mode: Mode, clock: Clock) -> StripeGateway:
        """Give this gateway for one mode, without touching the network.

        Raises:
            ConfigurationError: The secret key is of the other mode or none of
                Stripe's, a webhook secret is missing or not ``whsec_…``, or
                live payments would go anywhere but to Stripe.
        """
        key = _KEY.fullmatch(self.secret_key.reveal())
        if key is None:
            raise ConfigurationError("secret_key of StripeGateway starts with sk_test_, rk_test_, sk_live_ or rk_live_")
        if key[1] != mode:
            raise ConfigurationError(f"secret_key of StripeGateway is a {key[1]} key, but the mode is {mode}.")
        if not self.webhook_secrets or not all(_is_webhook_secret(secret) for secret in self.webhook_secrets):
            raise ConfigurationError("webhook_secrets of StripeGateway holds at least one secret, each whsec_….")
        if mode == "live" and self.api_base not in {None, LIVE_BASE}:
            raise ConfigurationError("api_base of StripeGateway must be left out in live mode.")
        return attrs.evolve(self, binding=_Binding(mode, clock))

    def capabilities(self) -> Capabilities:
        """Say what Stripe can do; no network."""
        return Capabilities(currencies=LIMITS, create_key_valid_s=CREATE_KEY_VALID_S, asynchronous=True)

    def check_credentials(self) -> Health:
        """Ask Stripe for our balance, which needs a working key and tells the mode."""
        mode, api = self._bound()
        try:
            reported = mode_of(api.retrieve_balance())
        except GatewayError as problem:
            return Health(ok=False, detail=str(problem))
        detail = "" if reported == mode else f"The key works in {reported} mode, not in {mode} mode."
        return Health(ok=reported == mode, mode=reported, detail=detail)

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Create a Checkout Session; the same request again gives the same one for 24 hours.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        mode, api = self._bound()
        number = to_wire(request.amount)
        session = api.create_session(session_params(request, mode=mode), key=request.key)
        try:
            return read_checkout(
                session,
                topup_id=request.topup_id,
                mode=mode,
                number=number,
                currency=request.amount.currency.lower(),
            )
        except GatewayError as problem:
            # Something was created; what it is, only a look-up can tell.
            raise GatewayError(str(problem), retryable=True, outcome_unknown=True, code=problem.code) from None

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Re-read a payment from Stripe.

        Raises:
            GatewayError: Stripe cannot be asked, or its reply lacks or
                contradicts a field.
        """
        _, api = self._bound()
        session_id = _checked(ref.checkout_id)
        return read_payment(api.retrieve_session(session_id), session_id=session_id)

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Expire the session and give the payment as it is afterwards.

        Raises:
            GatewayError: As `fetch_payment`, or Stripe refused although the
                session is still open.
        """
        _, api = self._bound()
        session_id = _checked(ref.checkout_id)
        try:
            return read_payment(api.expire_session(session_id), session_id=session_id)
        except GatewayError as problem:
            if problem.retryable:
                raise
            refusal = problem  # paid, expired before, or unknown: Stripe expires open sessions only
        snapshot = self.fetch_payment(ref)
        if snapshot.state == "open":
            raise refusal
        return snapshot

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[GatewayEvent]:
        """Verify a webhook over its raw bytes and say what to look up.

        Raises:
            WebhookRejected: Not signed with one of our secrets, stale, from
                the future, of the other mode, or not readable.
        """
        binding = self._binding()
        verify_signed(
            headers.get("stripe-signature"),
            body,
            secrets=[secret.reveal() for secret in self.webhook_secrets],
            now=binding.clock.now(),
        )
        return (read_event(strict_json_object(body), mode=binding.mode),)

    def _binding(self) -> _Binding:
        if self.binding is None:
            raise ConfigurationError("StripeGateway is given to Prepaid, or bound with bind(mode, clock), before use.")
        return self.binding

    def _bound(self) -> tuple[Mode, StripeApi]:
        binding = self._binding()
        return binding.mode, binding.link.api(self)


def session_params(request: CheckoutRequest, *, mode: Mode) -> SessionCreateParams:
    """Build the parameters of a Checkout Session, from the request alone: one key, one content.

    Whatever could change the total (automatic tax, promotion codes, local
    currencies) stays off.

    Raises:
        GatewayError: Stripe does not take the currency, or not so fine an amount.
    """
    metadata = {"topup_id": request.topup_id, "customer_id": request.customer_id, "env": mode}
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
        "payment_intent_data": {"metadata": metadata},
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


def read_event(event: dict[str, Any], *, mode: Mode) -> GatewayEvent:
    """Read what a verified event is about; its amounts and states are not looked at.

    Raises:
        WebhookRejected: Not an event, or of the other mode.
    """
    if event.get("object") != "event" or not isinstance(event.get("livemode"), bool):
        raise WebhookRejected("The body is no event of Stripe.")
    if event["livemode"] != (mode == "live"):
        raise WebhookRejected(f"The event is not of {mode} mode.", reason="wrong-mode")
    envelope = event.get("data")
    subject = envelope.get("object") if isinstance(envelope, dict) else None
    if not isinstance(subject, dict):
        raise WebhookRejected("The event is about nothing.")
    checkout_id, topup_id = _session_in(subject), _topup_in(subject)
    return GatewayEvent(
        event_id=required_text(event, "id"),
        kind="payment" if checkout_id or topup_id else "ignored",
        type=required_text(event, "type"),
        checkout_id=checkout_id,
        topup_id=topup_id,
        mode=mode,
    )


def _session_in(subject: dict[str, Any]) -> str | None:
    session_id = subject.get("id") if subject.get("object") == "checkout.session" else None
    return session_id if isinstance(session_id, str) and SESSION_ID.fullmatch(session_id) else None


def _topup_in(subject: dict[str, Any]) -> str | None:
    metadata = subject.get("metadata")
    topup_id = metadata.get("topup_id") if isinstance(metadata, dict) else None
    echoed = subject.get("client_reference_id", topup_id)  # a session says it twice
    return topup_id if isinstance(topup_id, str) and _TOPUP_ID.fullmatch(topup_id) and echoed == topup_id else None


def _is_webhook_secret(secret: Secret) -> bool:
    return re.fullmatch(r"whsec_.+", secret.reveal()) is not None


def _checked(session_id: str) -> str:
    # An empty id would ask for the list of all sessions.
    if not SESSION_ID.fullmatch(session_id):
        raise GatewayError("This is no id of a Checkout Session of Stripe.", code="unknown-checkout")
    return session_id
