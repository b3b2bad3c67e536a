"""Razorpay: payment in Razorpay's own form on the host's page (Checkout), one order per top-up.

Razorpay knows no idempotency key for orders, so an order is looked up by its
receipt, which is the top-up's id, before one is created: the same request gives
the same order however old it is. Orders never lapse and cannot be closed.
Everything that counts is read again with our key; what the browser or a webhook
brings is only a reason to do so. The SDK is imported when the first request is
sent.

Sources: https://razorpay.com/docs/api/orders/create/ (receipt, notes),
https://razorpay.com/docs/api/orders/fetch-all/ (look-up by receipt);
https://razorpay.com/docs/payments/payment-gateway/web-integration/standard/integration-steps/
(options of Checkout); https://razorpay.com/docs/api/payments/capture/;
https://razorpay.com/docs/payments/payments/capture-settings/ (three days);
https://razorpay.com/docs/api/refunds/normal-refunds-idempotent/ (form of the
key); https://razorpay.com/docs/payments/refunds/errors/ (six months);
https://razorpay.com/docs/api/understand/ (paging).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

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
    ReturnHint,
)
from .basic import BasicGateway
from .credentials import Secret, check_api_base, check_name, check_timeout, conceal, conceal_all
from .discreet import discreet
from .processes import PerProcess
from .razorpay_currencies import LIMITS, to_wire
from .razorpay_lookups import all_refunds, checked, disputes_since, fetch, is_within, listed, ours_among
from .razorpay_payments import (
    PAYMENT_ID,
    REFUND_ID,
    Order,
    items_of,
    listed_payment,
    read_attempt,
    read_dispute,
    read_order,
    read_refund,
)
from .razorpay_requests import (
    after_writing,
    checkout_options,
    contradicts,
    created_order,
    is_wanted,
    made_refund,
    order_params,
    refund_key,
    refund_params,
)
from .razorpay_signatures import read_return, read_webhook
from .replies import demand

if TYPE_CHECKING:
    from .razorpay_client import RazorpayApi

LIVE_BASE: Final = "https://api.razorpay.com"
NEVER_AGES_S: Final = 10 * 365 * 86_400
"""A look-up by our reference comes before every order and refund, and finds them whatever their age."""

LATE_S: Final = 3 * 86_400
"""For so long Razorpay asks a bank what became of a payment that seems to have failed."""

REFUND_WINDOW_DAYS: Final = 180
LIST_DELAY_S: Final = 300

_KEY_ID = re.compile(r"rzp_(test|live)_[A-Za-z0-9]{1,64}", re.ASCII)


class _Link(PerProcess["RazorpayApi"]):
    """The connection of one bound gateway, made when it is first needed."""

    def api(self, gateway: RazorpayGateway) -> RazorpayApi:
        """Give the one client of this process."""

        def make() -> RazorpayApi:
            from .razorpay_client import RazorpayApi

            return RazorpayApi(
                key_id=gateway.key_id,
                key_secret=gateway.key_secret.reveal(),
                api_base=gateway.api_base,
                timeout_s=gateway.timeout_s,
            )

        return self.get(make)


@frozen(eq=False)
class _Binding:
    """What `RazorpayGateway.bind` adds."""

    mode: Mode
    clock: Clock
    link: _Link = field(factory=_Link)


@discreet
@frozen(kw_only=True)
class RazorpayGateway(BasicGateway):
    """Takes payments in Razorpay's form.

    Attributes:
        key_id: ``rzp_test_…`` or ``rzp_live_…``; public.
        key_secret: What belongs to it.
        webhook_secrets: Secret of our webhook; two while one replaces the
            other, for Razorpay repeats older events with the older one.
        name: Distinguishes two accounts; stands in URLs and accounts.
        label: What customers choose.
        brand: Business name on the form; the label if empty.
        timeout_s: Seconds that one call may take, with all its requests.
        api_base: Another base URL, for simulators, or None.
        binding: Set by `bind`.
    """

    key_id: str = field()
    key_secret: Secret = field(converter=conceal, repr=False)
    webhook_secrets: tuple[Secret, ...] = field(converter=conceal_all, repr=False)
    name: str = field(default="razorpay", validator=check_name)
    label: str = "UPI, card or net banking"
    brand: str = ""
    timeout_s: int = field(default=20, validator=check_timeout)
    api_base: str | None = field(default=None, validator=check_api_base)
    binding: _Binding | None = field(default=None, repr=False, eq=False)

    @property
    def account(self) -> None:
        """Razorpay shows no account on a payment: the key is that of one account."""
        return None

    @key_id.validator
    def _check_key_id(self, attribute: object, value: object) -> None:
        if not isinstance(value, str) or not _KEY_ID.fullmatch(value):
            raise ConfigurationError("key_id of RazorpayGateway starts with rzp_test_ or rzp_live_.")

    def bind(self, mode: Mode, clock: Clock) -> RazorpayGateway:
        """Give this gateway for one mode, without touching the network.

        Raises:
            ConfigurationError: The key is of the other mode, a webhook secret
                is missing, or live payments would go anywhere but to Razorpay.
        """
        if not self.key_id.startswith(f"rzp_{mode}_"):
            raise ConfigurationError(f"key_id of RazorpayGateway is no {mode} key, but the mode is {mode}.")
        if not self.webhook_secrets:
            raise ConfigurationError("webhook_secrets of RazorpayGateway holds at least one secret: set one there.")
        if mode == "live" and self.api_base not in {None, LIVE_BASE}:
            raise ConfigurationError("api_base of RazorpayGateway must be left out in live mode.")
        return attrs.evolve(self, binding=_Binding(mode, clock))

    def capabilities(self) -> Capabilities:
        """Say what Razorpay can do; no network."""
        return Capabilities(
            currencies=LIMITS,
            interaction="widget",
            create_key_valid_s=NEVER_AGES_S,
            refund_key_valid_s=NEVER_AGES_S,
            needs_capture=True,
            failed_final_after_s=LATE_S,
            asynchronous=True,
            partial_refund=True,
            multiple_refunds=True,
            refund_window_days=REFUND_WINDOW_DAYS,
            lists_payments=True,
            lists_refunds=True,
            lists_disputes=True,
            list_delay_s=LIST_DELAY_S,
            reports_mode=False,
            signed_timestamp=False,
        )

    def check_credentials(self) -> Health:
        """Ask Razorpay for an order and a dispute, which needs a working key; the mode is told by the key alone."""
        _, api = self._begin()
        try:
            items_of(api.any_order())
            items_of(api.disputes({"count": 1}))
        except GatewayError as problem:
            return Health(ok=False, detail=str(problem))
        return Health(ok=True)

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Find the order of the top-up, or create it; the same request again gives the same order.

        Raises:
            GatewayError: Refused, failed, the outcome is unknown, or the order
                of the top-up is of another amount.
        """
        mode, api = self._begin()
        wanted = order_params(request, mode=mode)
        found = [read_order(order) for order in items_of(api.orders_with(request.topup_id))]
        ours = [order for order in found if is_wanted(order, wanted)]
        if ours:  # several only if two of us asked at once; both find the same one afterwards
            return self._checkout(min(ours, key=lambda order: (order.created_at, order.id)), request, wanted)
        if any(contradicts(order, wanted) for order in found):
            raise GatewayError("An order of this reference is of another amount.", code="conflict")
        created = api.create_order(wanted)
        return self._checkout(after_writing(lambda: created_order(created, wanted)), request, wanted)

    def parse_return(self, ref: PaymentRef, params: Mapping[str, str]) -> ReturnHint:
        """Verify what the browser brought back, over the order that we stored; no network.

        Args:
            ref: What we stored; the order id among the parameters is not used.
            params: Parameters of the URL and of a posted form.
        """
        return read_return(params, order_id=ref.checkout_id, secret=self.key_secret.reveal())

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Re-read a payment from Razorpay: the order, its payments, and whether one is disputed.

        Raises:
            GatewayError: Razorpay cannot be asked, or its reply lacks or
                contradicts a field.
        """
        _, api = self._begin()
        return fetch(api, ref)

    def capture(self, ref: PaymentRef, amount: Money, *, key: str) -> PaymentSnapshot:
        """Take the whole of an authorised payment; taken before, also by Razorpay itself, counts as taken.

        Args:
            ref: The payment.
            amount: What is authorised; nothing else can be taken.
            key: Not sent: a payment can be taken only once.

        Raises:
            GatewayError: Nothing or another amount is authorised, or refused,
                failed, or the outcome is unknown.
        """
        _, api = self._begin()
        before = fetch(api, ref)
        if before.state == "captured":
            return before
        if before.payment_id is None or before.authorised is None:
            raise GatewayError("There is nothing to capture.", code="not-authorised")
        if before.authorised != amount:
            raise GatewayError("Another amount is authorised than is to be captured.", code="amount-differs")
        ref = attrs.evolve(ref, payment_id=before.payment_id)
        try:
            api.capture(before.payment_id, to_wire(amount), amount.currency)
        except GatewayError as problem:
            if problem.retryable:
                raise
            refusal = problem  # Razorpay may have been faster, or given the money back
        else:
            return after_writing(lambda: fetch(api, ref))
        after = fetch(api, ref)
        if after.state != "captured":
            raise refusal
        return after

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Give an unpaid order up; Razorpay has no way to make it unpayable.

        It is ``canceled`` for whoever asks now. If it is paid all the same, by a
        form that was still open or an authorisation that came late,
        `fetch_payment` says so whenever it is asked again.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        snapshot = self.fetch_payment(ref)
        return attrs.evolve(snapshot, state="canceled") if snapshot.state == "open" else snapshot

    def refund(self, request: RefundRequest) -> RefundSnapshot:
        """Find the refund of our reference, or make it; the same request again gives the same refund.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        _, api = self._begin()
        payment_id = checked(PAYMENT_ID, request.payment.payment_id)
        made = ours_among(all_refunds(api, payment_id), request.refund_id)
        if made is None:
            reply = api.refund(payment_id, refund_params(request), key=refund_key(request.key))
            return after_writing(lambda: made_refund(reply, request, payment_id))
        if made.amount != request.amount:
            raise GatewayError(
                "A refund of this reference is of another amount.", outcome_unknown=True, code="conflict"
            )
        return made

    def fetch_refund(self, ref: RefundRef) -> RefundSnapshot | None:
        """Re-read a refund, by Razorpay's id or by our reference; None if Razorpay has none of it.

        Raises:
            GatewayError: As `fetch_payment`; also if the payment is unknown.
        """
        _, api = self._begin()
        payment_id = checked(PAYMENT_ID, ref.payment.payment_id)
        if ref.gateway_refund_id is None:
            return ours_among(all_refunds(api, payment_id), ref.refund_id)
        refund_id = checked(REFUND_ID, ref.gateway_refund_id)
        try:
            refund = read_refund(api.refund_of(payment_id, refund_id))
        except GatewayError as problem:
            if problem.code != "not-found":
                raise
        else:
            demand((refund.gateway_refund_id, refund.payment_id) == (refund_id, payment_id), "it is another refund")
            return refund
        # That a refund is not there counts only if the payment is.
        demand(read_attempt(api.payment(payment_id)).id == payment_id, "it is another payment")
        return None

    def refunds_of(self, ref: PaymentRef) -> Sequence[RefundSnapshot]:
        """Read all refunds of a payment, whoever made them.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        _, api = self._begin()
        return tuple(all_refunds(api, checked(PAYMENT_ID, ref.payment_id)))

    def disputes_of(self, ref: PaymentRef) -> Sequence[DisputeSnapshot]:
        """Read all disputes of a payment, by looking through all that came after it: Razorpay lists them no other way.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        _, api = self._begin()
        payment_id = checked(PAYMENT_ID, ref.payment_id)
        payment = read_attempt(api.payment(payment_id))
        demand(payment.id == payment_id, "it is another payment")
        return tuple(one for one in disputes_since(api, payment.created_at) if one.payment_id == payment_id)

    def list_payments(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[PaymentSnapshot]:
        """List the captured payments made in ``[since, until)``, ours and others'.

        The reference of ours in a listed payment was written by the payer's
        browser; `fetch_payment` reads the order's own.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        _, api = self._begin()
        attempts, following = listed(api.payments, read_attempt, since, until, cursor=cursor)
        taken = [one for one in attempts if one.state == "captured" and since <= one.created_at < until]
        disputed = {one.payment_id for one in disputes_since(api, since)} if taken else set()
        return Listing(items=tuple(listed_payment(one, disputed=one.id in disputed) for one in taken), next=following)

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[RefundSnapshot]:
        """List the refunds made in ``[since, until)``.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        _, api = self._begin()
        refunds, following = listed(api.refunds, read_refund, since, until, cursor=cursor)
        return Listing(items=tuple(one for one in refunds if is_within(one, since, until)), next=following)

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[DisputeSnapshot]:
        """List the disputes opened in ``[since, until)``.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        _, api = self._begin()
        disputes, following = listed(api.disputes, read_dispute, since, until, cursor=cursor)
        return Listing(items=tuple(one for one in disputes if is_within(one, since, until)), next=following)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[GatewayEvent]:
        """Verify a webhook over its raw bytes and say what to look up.

        Raises:
            WebhookRejected: Not signed with one of our secrets, more than four
                days old, from the future, or not readable.
        """
        secrets = [secret.reveal() for secret in self.webhook_secrets]
        return (read_webhook(headers, body, secrets=secrets, now=self._binding().clock.now()),)

    def _checkout(self, order: Order, request: CheckoutRequest, wanted: Mapping[str, Any]) -> Checkout:
        options = checkout_options(request, key_id=self.key_id, brand=self.brand or self.label)
        total = {name: wanted[name] for name in ("amount", "currency")}
        return Checkout(checkout_id=order.id, widget={**options, **total, "order_id": order.id})

    def _binding(self) -> _Binding:
        if self.binding is None:
            raise ConfigurationError(
                "RazorpayGateway is given to Prepaid, or bound with bind(mode, clock), before use."
            )
        return self.binding

    def _begin(self) -> tuple[Mode, RazorpayApi]:
        binding = self._binding()
        api = binding.link.api(self)
        api.begin()
        return binding.mode, api
