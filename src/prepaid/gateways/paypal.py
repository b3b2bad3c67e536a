"""PayPal: payment on PayPal's own page, one order per top-up (Orders API, version 2).

With PayPal money moves only when we capture an order that the payer approved.
An order is created and captured under the core's idempotency keys, and re-read
whenever something may have happened to it; a webhook is only a reason to do so.
The SDK is imported when the first request is sent.

Sources: https://developer.paypal.com/docs/api/orders/v2/ (an order, its page,
capture; keys are kept for 6 hours); https://developer.paypal.com/docs/api/payments/v2/
(refunds; keys are kept for 45 days); https://developer.paypal.com/docs/api/webhooks/v1/;
https://developer.paypal.com/docs/api/customer-disputes/v1/;
https://developer.paypal.com/docs/api/transaction-search/v1/ (3 hours late).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import attrs
from attrs import field, frozen

from ..core.errors import ConfigurationError, GatewayError, WebhookRejected
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
from .basic import BasicGateway
from .credentials import Secret, check_api_base, check_name, check_timeout, conceal
from .discreet import discreet
from .paypal_currencies import LIMITS
from .paypal_disputes import PAGE_TOKEN, read_dispute, read_dispute_list
from .paypal_payments import (
    OBJECT_ID,
    either_reference,
    linked_capture,
    read_checkout,
    read_listed,
    read_payment,
    read_refund,
    read_time,
    refunds_in,
    vanished,
)
from .paypal_reports import PAYMENTS_PER_PAGE, REFUND_CODE, REFUNDS_PER_PAGE, Row, read_rows, window_of
from .paypal_requests import MAX_LINE, order_body, refund_body, under_key
from .paypal_webhooks import check_body, check_headers, read_events, verification
from .paypal_wire import Refusal, Transport, done_but_unusable
from .processes import PerProcess
from .replies import demand, optional_str, require_word, unusable

BASES: Final[Mapping[Mode, str]] = {
    "live": "https://api-m.paypal.com",
    "test": "https://api-m.sandbox.paypal.com",
}
ORDERS: Final = "/v2/checkout/orders"
CAPTURES: Final = "/v2/payments/captures"
REFUNDS: Final = "/v2/payments/refunds"
DISPUTES: Final = "/v1/customer/disputes"
VERIFICATION: Final = "/v1/notifications/verify-webhook-signature"

CREATE_KEY_VALID_S: Final = 6 * 3600
REFUND_KEY_VALID_S: Final = 45 * 86_400
REFUND_WINDOW_DAYS: Final = 180
LIST_DELAY_S: Final = 3 * 3600

PERMISSIONS: Final[Mapping[str, str]] = {
    "transaction search": "https://uri.paypal.com/services/reporting/search/read",
    "disputes": "https://uri.paypal.com/services/disputes/read-seller",
    "webhooks": "https://uri.paypal.com/services/applications/webhooks",
}
"""What a token's scope names if the app may do it."""

_DONE_OR_BEING_DONE: Final = frozenset(
    {"ORDER_ALREADY_CAPTURED", "ORDER_COMPLETION_IN_PROGRESS", "PREVIOUS_REQUEST_IN_PROGRESS", "DUPLICATE_REQUEST_ID"}
)
_PAYER_MUST_ACT: Final = frozenset(
    {"INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED", "ORDER_NOT_APPROVED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"}
)
_NOT_VERIFIABLE: Final = frozenset({400, 422})
_DISPUTES_OF_ONE: Final = 50
_DISPUTES_PER_PAGE: Final = 10

_ACCOUNT_ID = re.compile(r"[2-9A-HJ-NP-Z]{13}", re.ASCII)
_WEBHOOK_ID = re.compile(r"[A-Za-z0-9]{1,50}", re.ASCII)

T = TypeVar("T")


def _check_client_id(instance: object, attribute: object, value: Secret) -> None:
    if ":" in value.reveal():  # what divides it from the client secret
        raise ConfigurationError("client_id of PayPalGateway holds no colon.")


def _check_webhook_id(instance: object, attribute: object, value: str) -> None:
    # With the literal WEBHOOK_ID, which PayPal's public simulator signs with, anybody could sign.
    if not isinstance(value, str) or not _WEBHOOK_ID.fullmatch(value):
        raise ConfigurationError(
            "webhook_id of PayPalGateway is the id of our webhook at PayPal, letters and digits; never WEBHOOK_ID."
        )


def _check_merchant_id(instance: object, attribute: object, value: str | None) -> None:
    if value is not None and (not isinstance(value, str) or not _ACCOUNT_ID.fullmatch(value)):
        raise ConfigurationError("merchant_id of PayPalGateway is the account's merchant id, 13 letters and digits.")


def _check_brand_name(instance: object, attribute: object, value: str) -> None:
    if not isinstance(value, str) or len(value) > MAX_LINE or not value.isprintable():
        raise ConfigurationError(f"brand_name of PayPalGateway is one line of at most {MAX_LINE} characters.")


@frozen(eq=False)
class _Binding:
    """What `PayPalGateway.bind` adds."""

    mode: Mode
    clock: Clock
    link: PerProcess[Transport] = field(factory=PerProcess)


@discreet
@frozen(kw_only=True)
class PayPalGateway(BasicGateway):
    """Takes payments on PayPal's page.

    Attributes:
        client_id: Of our REST app; sandbox and live have their own.
        client_secret: Of our REST app.
        webhook_id: PayPal's id of our webhook, without which none can be verified.
        merchant_id: Our account, which every payment must name; compulsory in
            live mode.
        name: Distinguishes two accounts; stands in URLs and accounts.
        label: What customers choose.
        timeout_s: Seconds that one call may take.
        api_base: Another base URL, for simulators, or None.
        brand_name: What the payer reads on PayPal's page, or empty for the
            account's own name.
        binding: Set by `bind`.
    """

    client_id: Secret = field(converter=conceal, repr=False, validator=_check_client_id)
    client_secret: Secret = field(converter=conceal, repr=False)
    webhook_id: str = field(validator=_check_webhook_id)
    merchant_id: str | None = field(default=None, validator=_check_merchant_id)
    name: str = field(default="paypal", validator=check_name)
    label: str = "PayPal"
    timeout_s: int = field(default=30, validator=check_timeout)
    api_base: str | None = field(default=None, validator=check_api_base)
    brand_name: str = field(default="", validator=_check_brand_name)
    binding: _Binding | None = field(default=None, repr=False, eq=False)

    @property
    def account(self) -> str | None:
        """The merchant id that every payment must name, or None if it was not configured."""
        return self.merchant_id

    def bind(self, mode: Mode, clock: Clock) -> PayPalGateway:
        """Give this gateway for one mode, without touching the network.

        Raises:
            ConfigurationError: There is no such mode; or in live mode,
                ``merchant_id`` is missing, or payments would go anywhere but to
                PayPal.
        """
        if mode not in BASES:
            raise ConfigurationError("The mode of PayPalGateway is test or live.")
        if mode == "live" and self.merchant_id is None:
            raise ConfigurationError("merchant_id of PayPalGateway is compulsory in live mode.")
        if mode == "live" and self.api_base not in {None, BASES["live"]}:
            raise ConfigurationError("api_base of PayPalGateway must be left out in live mode.")
        return attrs.evolve(self, binding=_Binding(mode, clock))

    def capabilities(self) -> Capabilities:
        """Say what PayPal can do; no network."""
        return Capabilities(
            currencies=LIMITS,
            create_key_valid_s=CREATE_KEY_VALID_S,
            refund_key_valid_s=REFUND_KEY_VALID_S,
            needs_capture=True,
            asynchronous=True,
            partial_refund=True,
            multiple_refunds=True,
            refund_window_days=REFUND_WINDOW_DAYS,
            lists_payments=True,
            lists_refunds=True,
            lists_disputes=True,
            list_delay_s=LIST_DELAY_S,
            # A host of PayPal's answers for its own mode only, and says nothing of it in its replies.
            reports_mode=False,
            reports_account=True,
        )

    def check_credentials(self) -> Health:
        """Ask PayPal for a token, which also tells what the app may do."""
        try:
            scope = optional_str(self._open().authorise(), "scope", longest=8192) or ""
        except GatewayError as problem:
            return Health(ok=False, detail=str(problem))
        lacking = [what for what, needed in PERMISSIONS.items() if needed not in scope.split()]
        return Health(ok=True, detail=f"The app has no permission for {', '.join(lacking)}." if lacking else "")

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Create an order; the same request again gives the same one for 6 hours.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        body = order_body(request, brand_name=self.brand_name)
        order = self._open().request("POST", ORDERS, content=body, headers=under_key(request.key), writes=True)
        return _made(
            lambda: read_checkout(order, topup_id=request.topup_id, amount=request.amount, account=self.merchant_id)
        )

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Re-read a payment from PayPal; an order that nobody approved is gone after some hours, and expired.

        Raises:
            GatewayError: PayPal cannot be asked, or its reply lacks or
                contradicts a field.
        """
        return _payment(self._open(), ref)

    def capture(self, ref: PaymentRef, amount: Money, *, key: str) -> PaymentSnapshot:
        """Take the money of an approved order and give the payment as it is afterwards.

        If PayPal declines what the payer chose, the payment is given as open
        again, with PayPal's word as ``failure``: the payer has to go back to
        PayPal's page and choose something else.

        Raises:
            GatewayError: Not approved for this amount, refused for good,
                failed, or the outcome is unknown.
        """
        api = self._open()
        before = _payment(api, ref)
        if before.state in {"captured", "processing"}:
            return before
        if before.authorised != amount:
            raise GatewayError("PayPal holds no approval of this amount.", code="not-authorised")
        path = f"{ORDERS}/{ref.checkout_id}/capture"
        try:
            order = api.request("POST", path, content={}, headers=under_key(key), writes=True)
        except Refusal as refused:
            return _after_refusal(api, ref, refused)
        return _made(lambda: read_payment(order, order_id=ref.checkout_id))

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Give an order up that nobody has approved; it takes no money unless we capture it, and lapses by itself.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        payment = self.fetch_payment(ref)
        return attrs.evolve(payment, state="canceled") if payment.state == "open" else payment

    def refund(self, request: RefundRequest) -> RefundSnapshot:
        """Give money back; the same request again gives the same refund for 45 days.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        payment, body = request.payment, refund_body(request)
        payment_id = _object_id(payment.payment_id)
        path = f"{CAPTURES}/{payment_id}/refund"
        refund = self._open().request("POST", path, content=body, headers=under_key(request.key), writes=True)

        def read() -> RefundSnapshot:
            made = read_refund(refund, payment_id=payment_id, topup_id=payment.topup_id)
            demand(made.refund_id == request.refund_id, "it is another refund")
            demand(made.amount == request.amount, "the amount is not what was asked for")
            return made

        return _made(read)

    def fetch_refund(self, ref: RefundRef) -> RefundSnapshot | None:
        """Re-read a refund, by PayPal's id or by our reference; None if PayPal has none of it.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        if ref.gateway_refund_id is None:
            return next((made for made in self.refunds_of(ref.payment) if made.refund_id == ref.refund_id), None)
        payment_id, refund_id = _object_id(ref.payment.payment_id), _object_id(ref.gateway_refund_id)
        try:
            refund = self._open().request("GET", f"{REFUNDS}/{refund_id}")
        except Refusal as refused:
            if not _is_gone(refused):
                raise
            return None
        return read_refund(refund, payment_id=payment_id, topup_id=ref.payment.topup_id, refund_id=refund_id)

    def refunds_of(self, ref: PaymentRef) -> Sequence[RefundSnapshot]:
        """Read all refunds of a captured order, whoever made them.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        payment_id, order_id = _object_id(ref.payment_id), _object_id(ref.checkout_id)
        order = self._open().request("GET", f"{ORDERS}/{order_id}")
        demand(order.get("id") == order_id, "id is not the one asked for")
        return refunds_in(order, payment_id=payment_id)

    def disputes_of(self, ref: PaymentRef) -> Sequence[DisputeSnapshot]:
        """Read all disputes of a captured order.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        payment_id, api = _object_id(ref.payment_id), self._open()
        query = urlencode({"disputed_transaction_id": payment_id, "page_size": _DISPUTES_OF_ONE})
        items, following = read_dispute_list(api.request("GET", f"{DISPUTES}?{query}"))
        demand(following is None, "one payment has more disputes than a page holds")
        return tuple(_dispute(api, item["dispute_id"], payment_id) for item in items)

    def list_payments(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[PaymentSnapshot]:
        """List the payments made in ``[since, until)``, 3 hours late, from PayPal's transaction search.

        Raises:
            GatewayError: As `fetch_payment`, or the app may not search.
        """
        api, window = self._open(), window_of(since, until, cursor)
        rows, pages = read_rows(api.request("GET", window.query(page_size=PAYMENTS_PER_PAGE)), window)
        items = tuple(_listed_payment(api, row) for row in rows if row.is_payment)
        return Listing(items=items, next=window.following(pages))

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[RefundSnapshot]:
        """List the refunds made in ``[since, until)``, as `list_payments`.

        Raises:
            GatewayError: As `list_payments`.
        """
        api, window = self._open(), window_of(since, until, cursor)
        path = window.query(page_size=REFUNDS_PER_PAGE, transaction_type=REFUND_CODE)
        rows, pages = read_rows(api.request("GET", path), window)
        items = tuple(_listed_refund(api, row) for row in rows if row.code == REFUND_CODE)
        return Listing(items=items, next=window.following(pages))

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[DisputeSnapshot]:
        """List the disputes opened in ``[since, until)``, which begins at most 180 days ago.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        query = {"start_time": since.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "page_size": str(_DISPUTES_PER_PAGE)}
        if cursor is not None:
            if not PAGE_TOKEN.fullmatch(cursor):
                raise GatewayError("This is no cursor of this list.", code="invalid-cursor")
            query["next_page_token"] = cursor
        api = self._open()
        items, following = read_dispute_list(api.request("GET", f"{DISPUTES}?{urlencode(query)}"))
        opened = [item["dispute_id"] for item in items if _is_between(item, since, until)]
        return Listing(items=tuple(_dispute(api, dispute_id, None) for dispute_id in opened), next=following)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[GatewayEvent]:
        """Have PayPal verify a webhook over its raw bytes, and say what to look up.

        Raises:
            WebhookRejected: Not sent by PayPal to our webhook, stale, from the
                future, or not readable.
            GatewayError: PayPal cannot be asked now.
        """
        binding = self._bound()
        fields = check_headers(headers, mode=binding.mode, api_base=self.api_base, now=binding.clock.now())
        events = read_events(check_body(body))
        try:
            reply = self._open().request("POST", VERIFICATION, raw=verification(fields, self.webhook_id, body))
        except Refusal as refused:
            if refused.status not in _NOT_VERIFIABLE or refused.retryable:
                raise
            reply = {"verification_status": "FAILURE"}
        if require_word(reply, "verification_status", {"SUCCESS", "FAILURE"}) != "SUCCESS":
            raise WebhookRejected("PayPal did not send this webhook, or not to us.")
        return events

    def _bound(self) -> _Binding:
        if self.binding is None:
            raise ConfigurationError("PayPalGateway is given to Prepaid, or bound with bind(mode, clock), before use.")
        return self.binding

    def _open(self) -> Transport:
        """Give the connection of this process, with the time of one call before it."""
        transport = self._bound().link.get(self._connect)
        transport.begin()
        return transport

    def _connect(self) -> Transport:
        from .paypal_transport import PayPalTransport

        binding = self._bound()
        return PayPalTransport(
            mode=binding.mode,
            client_id=self.client_id.reveal(),
            client_secret=self.client_secret.reveal(),
            api_base=self.api_base or BASES[binding.mode],
            clock=binding.clock,
            timeout_s=self.timeout_s,
        )


def _payment(api: Transport, ref: PaymentRef) -> PaymentSnapshot:
    order_id = _object_id(ref.checkout_id)
    try:
        order = api.request("GET", f"{ORDERS}/{order_id}")
    except Refusal as refused:
        # Where there was money the order cannot have lapsed, whatever PayPal says.
        if not _is_gone(refused) or ref.payment_id is not None:
            raise
        return vanished(ref)
    return read_payment(order, order_id=order_id)


def _after_refusal(api: Transport, ref: PaymentRef, refused: Refusal) -> PaymentSnapshot:
    """Find out what a refused capture means: another one may have been faster, or the payer has to choose anew."""
    if refused.code not in _DONE_OR_BEING_DONE | _PAYER_MUST_ACT:
        raise refused
    waits = refused.code in _PAYER_MUST_ACT
    payment = _payment(api, ref) if waits else _made(lambda: _payment(api, ref))
    if payment.state not in {"authorised", "open"}:
        return payment
    if waits:
        return attrs.evolve(payment, state="open", authorised=None, failure=refused.code or "")
    raise done_but_unusable(refused)


def _listed_payment(api: Transport, row: Row) -> PaymentSnapshot:
    if row.reference is None:
        return row.payment()
    try:
        capture = api.request("GET", f"{CAPTURES}/{row.transaction_id}")
    except Refusal as refused:
        if not _is_gone(refused):
            raise
        return row.payment()  # made by another API of PayPal's
    return read_listed(capture, capture_id=row.transaction_id)


def _listed_refund(api: Transport, row: Row) -> RefundSnapshot:
    try:
        refund = api.request("GET", f"{REFUNDS}/{row.transaction_id}")
    except Refusal as refused:
        if not _is_gone(refused):
            raise
        return row.refund()
    payment_id = linked_capture(refund)
    if payment_id is None:
        raise unusable("the refund is of no capture")
    payment = api.request("GET", f"{CAPTURES}/{payment_id}")
    return read_refund(refund, payment_id=payment_id, topup_id=either_reference(payment), refund_id=row.transaction_id)


def _dispute(api: Transport, dispute_id: str, payment_id: str | None) -> DisputeSnapshot:
    dispute = api.request("GET", f"{DISPUTES}/{dispute_id}")
    return read_dispute(dispute, dispute_id=dispute_id, payment_id=payment_id)


def _is_between(item: dict[str, Any], since: datetime, until: datetime) -> bool:
    created_at = read_time(item, "create_time")
    if created_at is None:
        raise unusable("create_time is missing")
    return since <= created_at < until


def _is_gone(refused: Refusal) -> bool:
    # By PayPal's own word: a 404 of something in between is none.
    return refused.status == 404 and refused.name == "RESOURCE_NOT_FOUND"


def _object_id(value: str | None) -> str:
    # An empty id would ask for something else altogether.
    if value is None or not OBJECT_ID.fullmatch(value):
        raise GatewayError("This is no id of an object of PayPal.", code="unknown-checkout")
    return value


def _made(read: Callable[[], T]) -> T:
    """Read the answer to a request that changed something: what cannot be read was done all the same."""
    try:
        return read()
    except GatewayError as problem:
        error = done_but_unusable(problem)
    raise error
