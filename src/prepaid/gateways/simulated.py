"""A payment provider that exists only here: for tests, the tutorial and the example, never for money.

It keeps its side of the story in a SQLite file of its own, as a real provider
would: a crash of the host loses nothing of it, and several processes may share
it. It answers truthfully unless a test scripts a lie (`SimulatedGateway.pay`)
or a fault (`SimulatedGateway.fault_next`).

The payer's pages are drawn by the host, from `SimulatedGateway.page`; webhooks
go nowhere by themselves, the host or test delivers those of
`SimulatedGateway.events` as often, as late and in whatever order it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import attrs
from attrs import frozen

from ..core.errors import ConfigurationError, GatewayError, InvalidAmount, WebhookRejected
from ..core.hashing import fingerprint
from ..core.instants import to_micros
from ..core.money import MINOR_DIGITS, Money, require_whole_minor
from ..ports import (
    Capabilities,
    Checkout,
    CheckoutRequest,
    Clock,
    CurrencyLimits,
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
from .basic import BasicGateway, not_supported
from .discreet import discreet
from .signed import required_text, strict_json_object, verify_signed
from .simulated_faults import Fault, Operation, carry_out
from .simulated_provider import MODE, RefundOutcome, SimulatedProvider
from .simulated_reports import (
    checkout_snapshot,
    dispute_snapshot,
    known,
    payment_snapshot,
    refund_snapshot,
    state_at,
)
from .simulated_state import StateSession
from .simulated_values import SIGNATURE_HEADER, SimulatedDelivery, SimulatedPage

if TYPE_CHECKING:
    from sqlite3 import Row

__all__ = [
    "SIGNATURE_HEADER",
    "Fault",
    "Operation",
    "RefundOutcome",
    "SimulatedDelivery",
    "SimulatedGateway",
    "SimulatedPage",
]

T = TypeVar("T")

_KEY_VALID_S: Final = 10 * 365 * 86_400
_MAX_MINOR: Final = 99_999_999
_KINDS: Final[dict[str, Literal["payment", "refund", "dispute"]]] = {
    "payment.processing": "payment",
    "payment.authorised": "payment",
    "payment.captured": "payment",
    "payment.failed": "payment",
    "checkout.expired": "payment",
    "checkout.canceled": "payment",
    "refund.pending": "refund",
    "refund.succeeded": "refund",
    "refund.failed": "refund",
    "dispute.opened": "dispute",
    "dispute.closed": "dispute",
}


@discreet
@frozen(kw_only=True)
class SimulatedGateway(SimulatedProvider, BasicGateway):
    """A provider whose payments are acts of the test; refused in live mode.

    Instances on one ``state`` file with one ``name`` are one provider: the
    payer's acts may be called on any of them. Before `bind` it goes by the
    machine's clock. Settings are those of
    `prepaid.gateways.simulated_provider.SimulatedProvider`.
    """

    @property
    def account(self) -> str:
        """The merchant account that honest payments go to."""
        return f"acct_{self.name}"

    def bind(self, mode: Mode, clock: Clock) -> SimulatedGateway:
        """Give this gateway with a clock, for test mode only.

        Raises:
            ConfigurationError: In any other mode: its payments are not money.
        """
        if mode != MODE:
            raise ConfigurationError(f"The gateway {self.name!r} is simulated and is refused in {mode} mode.")
        return attrs.evolve(self, clock=clock)

    def capabilities(self) -> Capabilities:
        """Say what the gateway can do: everything, and every currency, in whole minor units."""
        return Capabilities(
            currencies=_limits(),
            create_key_valid_s=_KEY_VALID_S,
            refund_key_valid_s=_KEY_VALID_S,
            needs_capture=self.capture_method == "manual",
            asynchronous=True,
            partial_refund=True,
            multiple_refunds=True,
            lists_payments=True,
            lists_refunds=True,
            lists_disputes=True,
            reports_account=True,
        )

    def check_credentials(self) -> Health:
        """Say that all is well, unless a fault is due."""
        try:
            return self._call(
                "check_credentials",
                lambda state: Health(ok=True, mode=MODE, detail="Simulated: no money moves."),
            )
        except GatewayError as problem:
            return Health(ok=False, detail=str(problem))

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Prepare a payment; the same key again gives the same checkout.

        Raises:
            GatewayError: The amount is not taken, the key came with another
                request (``idempotency-conflict``), or a fault was due.
        """
        return self._call("create_checkout", lambda state: self._created(state, request))

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Re-read a payment.

        Raises:
            GatewayError: The checkout is unknown, or a fault was due.
        """
        return self._call("fetch_payment", lambda state: self._seen(state, ref))

    def capture(self, ref: PaymentRef, amount: Money, *, key: str) -> PaymentSnapshot:
        """Take the whole of an authorised payment; what was captured before is left as it is.

        Raises:
            GatewayError: The gateway captures by itself, the checkout is
                unknown, nothing is authorised, or not this amount, or a fault
                was due.
        """
        if self.capture_method == "automatic":
            raise not_supported("captures")
        return self._call("capture", lambda state: self._taken_by_host(state, ref, amount))

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Make an open checkout unpayable and let authorised money go; any other stays as it is.

        Raises:
            GatewayError: The checkout is unknown, or a fault was due.
        """
        return self._call("cancel", lambda state: self._closed(state, ref))

    def refund(self, request: RefundRequest) -> RefundSnapshot:
        """Give money back; the same key again gives the same refund.

        Raises:
            GatewayError: The payment is unknown, not captured or holds less
                (``refund-too-large``), the key came with another request
                (``idempotency-conflict``), or a fault was due.
        """
        return self._call("refund", lambda state: refund_snapshot(self._refunded(state, request)))

    def fetch_refund(self, ref: RefundRef) -> RefundSnapshot | None:
        """Re-read a refund of a payment, by the gateway's id if it is known, else by our reference.

        Raises:
            GatewayError: The payment is unknown, or a fault was due.
        """
        name, wanted = ("id", ref.gateway_refund_id) if ref.gateway_refund_id else ("reference", ref.refund_id)

        def look(state: StateSession) -> RefundSnapshot | None:
            refunds = state.of_payment("refund", _payment(state, ref.payment)["id"])
            return next((refund_snapshot(refund) for refund in refunds if refund[name] == wanted), None)

        return self._call("fetch_refund", look)

    def refunds_of(self, ref: PaymentRef) -> Sequence[RefundSnapshot]:
        """Read all refunds of a payment, also those made in the provider's dashboard.

        Raises:
            GatewayError: The payment is unknown, or a fault was due.
        """
        return self._call(
            "refunds_of",
            lambda state: tuple(map(refund_snapshot, state.of_payment("refund", _payment(state, ref)["id"]))),
        )

    def disputes_of(self, ref: PaymentRef) -> Sequence[DisputeSnapshot]:
        """Read all disputes of a payment.

        Raises:
            GatewayError: The payment is unknown, or a fault was due.
        """
        return self._call(
            "disputes_of",
            lambda state: tuple(map(dispute_snapshot, state.of_payment("dispute", _payment(state, ref)["id"]))),
        )

    def list_payments(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[PaymentSnapshot]:
        """List captured payments by the time of their making, one entry for each of a checkout's.

        Raises:
            GatewayError: The cursor is none of ours, or a fault was due.
        """
        return self._call(
            "list_payments",
            lambda state: self._listed(state, "payment", (since, until, cursor), lambda r: payment_snapshot(state, r)),
        )

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[RefundSnapshot]:
        """List refunds by the time of their making.

        Raises:
            GatewayError: As `list_payments`.
        """
        return self._call(
            "list_refunds", lambda state: self._listed(state, "refund", (since, until, cursor), refund_snapshot)
        )

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[DisputeSnapshot]:
        """List disputes by the time of their opening.

        Raises:
            GatewayError: As `list_payments`.
        """
        return self._call(
            "list_disputes", lambda state: self._listed(state, "dispute", (since, until, cursor), dispute_snapshot)
        )

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[GatewayEvent]:
        """Verify a webhook and say which checkout to look up; amounts are not read.

        Raises:
            WebhookRejected: Not signed with one of our secrets, more than 300 s
                old or in the future, unreadable, or of another mode.
        """
        secrets = [secret.reveal() for secret in self.webhook_secrets]
        verify_signed(headers.get(SIGNATURE_HEADER), body, secrets=secrets, now=self.clock.now())
        content = strict_json_object(body)
        if required_text(content, "mode") != MODE:
            raise WebhookRejected("The event is of another mode.", reason="wrong-mode")
        event_type = required_text(content, "type")
        return (
            GatewayEvent(
                event_id=required_text(content, "id"),
                kind=_KINDS.get(event_type, "ignored"),
                type=event_type,
                checkout_id=required_text(content, "checkout_id"),
                payment_id=_optional_text(content, "payment_id"),
                topup_id=_optional_text(content, "topup_id"),
                mode=MODE,
            ),
        )

    def _created(self, state: StateSession, request: CheckoutRequest) -> Checkout:
        """Give the checkout made by the request's key, making it if there is none."""
        checkout_id = f"sim_{fingerprint(self.name, request.key)}"
        content = fingerprint(attrs.asdict(request, recurse=False, filter=lambda name, _: name.name != "key"))
        state.add_checkout(
            {
                "id": checkout_id,
                "key": request.key,
                "request": content,
                "minor": _minor_of(request.amount),
                "currency": request.amount.currency,
                "description": request.description,
                "return_url": request.return_url,
                "cancel_url": request.cancel_url,
                "expires_at": to_micros(request.expires_at),
                "created": self._now(),
                "topup": request.topup_id,
                "mode": MODE,
                "account": self.account,
            }
        )
        _same_request(known(state, "checkout", checkout_id), content)
        return Checkout(checkout_id=checkout_id, redirect_url=self.page_url.replace("{checkout_id}", checkout_id))

    def _seen(self, state: StateSession, ref: PaymentRef) -> PaymentSnapshot:
        return checkout_snapshot(state, known(state, "checkout", ref.checkout_id), self.clock.now())

    def _taken_by_host(self, state: StateSession, ref: PaymentRef, amount: Money) -> PaymentSnapshot:
        payment = self._seen(state, ref)
        if payment.state == "captured":
            return payment
        if payment.state != "authorised":
            raise GatewayError("Nothing is authorised.", code="not-authorised")
        if payment.authorised != amount:
            raise GatewayError("Another amount is authorised.", code="amount-invalid")
        self._enter(state, ref.checkout_id, "captured")
        return self._seen(state, ref)

    def _closed(self, state: StateSession, ref: PaymentRef) -> PaymentSnapshot:
        if state_at(known(state, "checkout", ref.checkout_id), self.clock.now()) in {"open", "authorised"}:
            self._enter(state, ref.checkout_id, "canceled")
        return self._seen(state, ref)

    def _refunded(self, state: StateSession, request: RefundRequest) -> Row:
        payment, minor = _payment(state, request.payment), _minor_of(request.amount)
        content = fingerprint(request.refund_id, payment["id"], str(request.amount), request.reason)
        made = state.refund_by_key(request.key)
        if made is not None:
            return _same_request(made, content)
        if payment["state"] != "captured":
            raise GatewayError("Nothing was captured.", code="not-captured")
        if request.amount.currency != payment["currency"] or minor > self._refundable(state, payment):
            raise GatewayError("The payment does not hold so much.", code="refund-too-large")
        return self._give_back(state, payment, minor, key=request.key, request=content, reference=request.refund_id)

    def _listed(
        self, state: StateSession, table: str, asked: tuple[datetime, datetime, str | None], read: Callable[[Row], T]
    ) -> Listing[T]:
        since, until, cursor = asked
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) <= 18):
            raise GatewayError("The cursor is none of this gateway's.", code="invalid-cursor")
        rows = state.page(table, to_micros(since), to_micros(until), after=int(cursor or 0), limit=self.page_size + 1)
        shown = rows[: self.page_size]
        following = str(shown[-1]["seq"]) if len(rows) > len(shown) else None
        return Listing(items=tuple(map(read, shown)), next=following)

    def _call(self, operation: Operation, work: Callable[[StateSession], T]) -> T:
        """Do what the host asks for in one transaction, with the fault that is due."""

        def call() -> T:
            with self._session() as state:
                return work(state)

        with self._session() as state:
            fault = state.take_script(operation)
        return carry_out(call, operation, fault, timeout_s=self.timeout_s)


@cache
def _limits() -> Mapping[str, CurrencyLimits]:
    def limits_of(currency: str) -> CurrencyLimits:
        least = Money.from_minor(1, currency)
        return CurrencyLimits(minimum=least, maximum=Money.from_minor(_MAX_MINOR, currency), step=least)

    return MappingProxyType({currency: limits_of(currency) for currency in MINOR_DIGITS})


def _minor_of(amount: Money) -> int:
    try:
        minor = require_whole_minor(amount).minor
    except InvalidAmount:
        raise GatewayError("The amount is not in whole minor units above zero.", code="amount-invalid") from None
    if minor > _MAX_MINOR:
        raise GatewayError("The amount is too large.", code="amount-invalid")
    return minor


def _payment(state: StateSession, ref: PaymentRef) -> Row:
    payment = known(state, "payment", ref.payment_id)
    if payment["checkout"] != ref.checkout_id:
        raise GatewayError("The payment is of another checkout.", code="not-found")
    return payment


def _same_request(row: Row, content: str) -> Row:
    if row["request"] != content:
        raise GatewayError("The key was used with another request.", code="idempotency-conflict")
    return row


def _optional_text(content: dict[str, object], name: str) -> str | None:
    return None if content.get(name) is None else required_text(content, name)
