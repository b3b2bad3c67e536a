"""Stripe: payment on Stripe's own page (a Checkout Session) or in a form on ours (a PaymentIntent), one per top-up.

Either is created under the top-up's idempotency key, and is re-read with our
key whenever something may have happened to it; a webhook is only a reason to do
so. Which of the two a stored id names, the id tells, so that the flow may be
changed while top-ups are under way. The SDK is imported when the first request
is sent.

Sources: https://docs.stripe.com/api/idempotent_requests (24 hours);
https://docs.stripe.com/keys (prefixes); https://docs.stripe.com/webhooks;
https://docs.stripe.com/refunds (in parts, several times, without a last day);
https://docs.stripe.com/payments/place-a-hold-on-a-payment-method (authorised
money lapses unless it is captured).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

import attrs
from attrs import field, frozen

from ..core.errors import ConfigurationError, GatewayError
from ..core.money import Money
from ..ports import (
    Capabilities,
    Checkout,
    CheckoutRequest,
    Clock,
    DisputeSnapshot,
    GatewayEvent,
    Health,
    Listing,
    Mode,
    PaymentRef,
    PaymentSnapshot,
    RefundRef,
    RefundRequest,
    RefundSnapshot,
)
from . import stripe_listings as listings
from .basic import BasicGateway
from .credentials import Secret, check_api_base, check_name, check_timeout, conceal, conceal_all
from .discreet import discreet
from .replies import demand, in_doubt
from .signed import strict_json_object, verify_signed
from .stripe_binding import LIVE_BASE, StripeBinding, check_keyed
from .stripe_currencies import LIMITS, to_wire
from .stripe_events import read_event
from .stripe_intents import read_intent, read_intent_checkout
from .stripe_payments import INTENT_ID, SESSION_ID, mode_of, read_checkout, read_payment
from .stripe_refunds import REFUND_ID, ours_among, read_refund
from .stripe_requests import intent_params, refund_params, session_params

if TYPE_CHECKING:
    from .stripe_client import StripeApi

__all__ = ["KEY_VALID_S", "LIVE_BASE", "StripeGateway"]

KEY_VALID_S: Final = 86_400
"""For which Stripe keeps an idempotency key, of a creation as of a refund."""

_PUBLISHABLE_KEY = re.compile(r"pk_(test|live)_[A-Za-z0-9_]+", re.ASCII)


@discreet
@frozen(kw_only=True)
class StripeGateway(BasicGateway):
    """Takes payments on Stripe's hosted page, or in a form on the host's own.

    Attributes:
        secret_key: ``sk_test_…``, ``sk_live_…`` or a restricted ``rk_…``.
        webhook_secrets: ``whsec_…`` of our endpoint; two while one replaces
            the other.
        publishable_key: ``pk_test_…`` or ``pk_live_…``, which the form on our
            page shows to Stripe; needed for that flow only.
        name: Distinguishes two accounts; stands in URLs and accounts.
        label: What customers choose.
        timeout_s: Seconds that one call may take, retries included.
        api_base: Another base URL, for simulators, or None.
        flow: How the customer pays: ``"checkout"`` on Stripe's hosted page,
            ``"payment_intent"`` in an embedded form.
        binding: Set by `bind`.
    """

    secret_key: Secret = field(converter=conceal, repr=False)
    webhook_secrets: tuple[Secret, ...] = field(converter=conceal_all, repr=False)
    publishable_key: str | None = field(default=None, repr=False)  # a secret key may be given by mistake
    name: str = field(default="stripe", validator=check_name)
    label: str = "Card"
    timeout_s: int = field(default=20, validator=check_timeout)
    api_base: str | None = field(default=None, validator=check_api_base)
    flow: Literal["checkout", "payment_intent"] = field(default="checkout")
    binding: StripeBinding | None = field(default=None, repr=False, eq=False)

    @property
    def account(self) -> None:
        """Stripe shows no account on a payment: the secret key is that of one account."""
        return None

    @flow.validator
    def _check_flow(self, attribute: object, value: object) -> None:
        if value not in {"checkout", "payment_intent"}:
            raise ConfigurationError("flow of StripeGateway is 'checkout' or 'payment_intent'.")

    def bind(self, mode: Mode, clock: Clock) -> StripeGateway:
        """Give this gateway for one mode, without touching the network.

        Raises:
            ConfigurationError: A key is of the other mode or none of Stripe's,
                or is missing, a webhook secret is missing or not ``whsec_…``,
                or live payments would go anywhere but to Stripe.
        """
        check_keyed(self, mode)
        self._check_publishable_key(mode)
        return attrs.evolve(self, binding=StripeBinding(mode, clock))

    def _check_publishable_key(self, mode: Mode) -> None:
        given: object = self.publishable_key
        if given is None and self.flow == "checkout":
            return
        key = _PUBLISHABLE_KEY.fullmatch(given) if isinstance(given, str) else None
        if key is None:
            raise ConfigurationError("publishable_key of StripeGateway starts with pk_test_ or pk_live_.")
        if key[1] != mode:
            raise ConfigurationError(f"publishable_key of StripeGateway is a {key[1]} key, but the mode is {mode}.")

    def capabilities(self) -> Capabilities:
        """Say what Stripe can do; no network.

        Stripe captures by itself. A payment that was set up otherwise, in the
        dashboard, is ours only once we capture it.
        """
        return Capabilities(
            currencies=LIMITS,
            interaction="redirect" if self.flow == "checkout" else "widget",
            create_key_valid_s=KEY_VALID_S,
            refund_key_valid_s=KEY_VALID_S,
            needs_capture=True,
            asynchronous=True,
            partial_refund=True,
            multiple_refunds=True,
            lists_payments=True,
            lists_refunds=True,
            lists_disputes=True,
        )

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
        """Create a Checkout Session or PaymentIntent; the same request again gives the same one for 24 hours.

        A PaymentIntent stays payable until it is canceled, whatever the expiry
        asked for. The widget's ``client_secret`` is for this customer alone.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        return self._create_session(request) if self.flow == "checkout" else self._create_intent(request)

    def _create_session(self, request: CheckoutRequest) -> Checkout:
        mode, api = self._bound()
        session = api.create_session(session_params(request, mode=mode), key=request.key)
        with in_doubt():
            return read_checkout(
                session,
                topup_id=request.topup_id,
                mode=mode,
                number=to_wire(request.amount),
                currency=request.amount.currency.lower(),
            )

    def _create_intent(self, request: CheckoutRequest) -> Checkout:
        mode, api = self._bound()
        intent = api.create_intent(intent_params(request, mode=mode), key=request.key)
        with in_doubt():
            return read_intent_checkout(
                intent,
                request,
                mode=mode,
                number=to_wire(request.amount),
                publishable_key=self.publishable_key or "",
            )

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Re-read a payment from Stripe.

        Raises:
            GatewayError: Stripe cannot be asked, or its reply lacks or
                contradicts a field.
        """
        _, api = self._bound()
        return _fetch(api, ref.checkout_id)

    def capture(self, ref: PaymentRef, amount: Money, *, key: str) -> PaymentSnapshot:
        """Take the whole of an authorised payment and give it as it is afterwards; taken before counts as taken.

        Raises:
            GatewayError: Not authorised, another amount, refused, failed, or
                the outcome is unknown.
        """
        _, api = self._bound()
        before = _fetch(api, ref.checkout_id)
        if before.state == "captured":
            return before
        if before.state != "authorised" or before.payment_id is None:
            raise GatewayError("The payment is not authorised.", code="not-authorised")
        if before.authorised != amount:
            raise GatewayError("Another amount waits to be captured.", code="amount-differs")
        try:
            api.capture_intent(before.payment_id, to_wire(amount), key=key)
        except GatewayError as problem:
            if problem.retryable:
                raise
            refusal = problem  # captured at the same moment, canceled or lapsed: Stripe captures once
        else:
            with in_doubt():
                return _fetch(api, ref.checkout_id)
        after = _fetch(api, ref.checkout_id)
        if after.state != "captured":
            raise refusal
        return after

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Expire the session or cancel the PaymentIntent, and give the payment as it is afterwards.

        Raises:
            GatewayError: As `fetch_payment`, or Stripe refused although the
                payment is still open.
        """
        _, api = self._bound()
        try:
            return _close(api, ref.checkout_id)
        except GatewayError as problem:
            if problem.retryable:
                raise
            refusal = problem  # paid, closed before, or unknown: Stripe closes open ones only
        snapshot = _fetch(api, ref.checkout_id)
        if snapshot.state == "open":
            raise refusal
        return snapshot

    def refund(self, request: RefundRequest) -> RefundSnapshot:
        """Give money back; the same request again gives the same refund for 24 hours.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        mode, api = self._bound()
        payment_id = _payment_id(request.payment)
        params = refund_params(request, payment_id=payment_id, mode=mode)
        reply = api.create_refund(params, key=request.key)
        with in_doubt():
            refund = read_refund(reply)
            demand(refund.payment_id == payment_id, "the refund is of another payment")
            demand(refund.refund_id == request.refund_id, "it is another refund")
            demand(refund.amount == request.amount, "the amount is not what was asked for")
            demand(refund.mode == mode, "livemode is not our mode")
            return refund

    def fetch_refund(self, ref: RefundRef) -> RefundSnapshot | None:
        """Re-read a refund, by Stripe's id or among those of its payment by our reference; None if there is none.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        _, api = self._bound()
        payment_id = _payment_id(ref.payment)
        if ref.gateway_refund_id is None:
            return ours_among(listings.refunds_of(api, payment_id), ref.refund_id)
        if not REFUND_ID.fullmatch(ref.gateway_refund_id):
            raise GatewayError("This is no id of a refund of Stripe.", code="unknown-refund")
        try:
            refund = read_refund(api.retrieve_refund(ref.gateway_refund_id))
        except GatewayError as problem:
            if problem.code == "resource_missing":
                return None
            raise
        demand(refund.gateway_refund_id == ref.gateway_refund_id, "id is not the one asked for")
        demand(refund.payment_id == payment_id, "the refund is of another payment")
        return refund

    def refunds_of(self, ref: PaymentRef) -> Sequence[RefundSnapshot]:
        """Read all refunds of a payment, whoever made them, the newest first.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        _, api = self._bound()
        return listings.refunds_of(api, _payment_id(ref))

    def disputes_of(self, ref: PaymentRef) -> Sequence[DisputeSnapshot]:
        """Read all disputes of a payment, the newest first.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        _, api = self._bound()
        return listings.disputes_of(api, _payment_id(ref))

    def list_payments(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[PaymentSnapshot]:
        """List the captured payments whose checkout was made in ``[since, until)``; pages may be empty.

        Raises:
            GatewayError: As `fetch_payment`, or no cursor of this list.
        """
        _, api = self._bound()
        return listings.payments_page(api, listings.Period.between(since, until), cursor)

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[RefundSnapshot]:
        """List the refunds made in ``[since, until)``, whoever made them.

        Raises:
            GatewayError: As `list_payments`.
        """
        _, api = self._bound()
        return listings.refunds_page(api, listings.Period.between(since, until), cursor)

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[DisputeSnapshot]:
        """List the disputes opened in ``[since, until)``.

        Raises:
            GatewayError: As `list_payments`.
        """
        _, api = self._bound()
        return listings.disputes_page(api, listings.Period.between(since, until), cursor)

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

    def _binding(self) -> StripeBinding:
        if self.binding is None:
            raise ConfigurationError("StripeGateway is given to Prepaid, or bound with bind(mode, clock), before use.")
        return self.binding

    def _bound(self) -> tuple[Mode, StripeApi]:
        """Begin a call, whose requests share its time."""
        binding = self._binding()
        return binding.mode, binding.link.api(self).start()


def _fetch(api: StripeApi, checkout_id: str) -> PaymentSnapshot:
    if _is_session(checkout_id):
        return read_payment(api.retrieve_session(checkout_id), session_id=checkout_id)
    return read_intent(api.retrieve_intent(checkout_id), intent_id=checkout_id)


def _close(api: StripeApi, checkout_id: str) -> PaymentSnapshot:
    if _is_session(checkout_id):
        session = api.expire_session(checkout_id)
        with in_doubt():
            return read_payment(session, session_id=checkout_id)
    intent = api.cancel_intent(checkout_id)
    with in_doubt():
        return read_intent(intent, intent_id=checkout_id)


def _is_session(checkout_id: str) -> bool:
    # An empty id would ask for the list of all sessions.
    if SESSION_ID.fullmatch(checkout_id):
        return True
    if INTENT_ID.fullmatch(checkout_id):
        return False
    raise GatewayError("This is no id of a Checkout Session or PaymentIntent of Stripe.", code="unknown-checkout")


def _payment_id(ref: PaymentRef) -> str:
    # Without one, Stripe would list the refunds and disputes of the whole account.
    if ref.payment_id is None or not INTENT_ID.fullmatch(ref.payment_id):
        raise GatewayError("This is no id of a PaymentIntent of Stripe.", code="unknown-payment")
    return ref.payment_id
