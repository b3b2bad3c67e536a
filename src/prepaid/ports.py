"""Contracts with the outside: gateways, mail, time, ids, and the values they exchange.

Adapters translate; every rule about money stays in the core. All values are
frozen. A gateway's amounts come in as `Money`, converted by the adapter with
the gateway's own table of exponents, never with ISO 4217.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Generic, Literal, Protocol, TypeVar, runtime_checkable

from attrs import field, frozen

from .core.documents import Invoice
from .core.events import Event
from .core.money import Money
from .core.payments import (
    Checkout,
    CheckoutRequest,
    DisputeSnapshot,
    DisputeState,
    EventKind,
    Mode,
    PaymentRef,
    PaymentSnapshot,
    PaymentState,
    RefundRef,
    RefundRequest,
    RefundSnapshot,
    RefundState,
    ReturnHint,
)
from .core.tax_ids import RegisterAnswer, TaxId
from .core.taxation import TaxDecision, TaxRequest

__all__ = [
    "Attachment",
    "Capabilities",
    "Checkout",
    "CheckoutRequest",
    "Clock",
    "ConfirmedByOperator",
    "CurrencyLimits",
    "DisputeSnapshot",
    "DisputeState",
    "EventKind",
    "EventListeners",
    "Gateway",
    "GatewayEvent",
    "Health",
    "IdSource",
    "Interaction",
    "InvoiceRenderer",
    "Listing",
    "MailMessage",
    "Mailer",
    "Mode",
    "PaymentRef",
    "PaymentSnapshot",
    "PaymentState",
    "RefundRef",
    "RefundRequest",
    "RefundSnapshot",
    "RefundState",
    "RegisterAnswer",
    "ReturnHint",
    "TaxDeciders",
    "TaxId",
    "TaxIdRegister",
    "TaxRequest",
]

T_co = TypeVar("T_co", covariant=True)

Interaction = Literal["redirect", "widget", "instructions"]
"""How the customer pays: on a page of the gateway's, in a form on our page, or somewhere else as told."""


class Clock(Protocol):
    """Tells the time; given to `Prepaid` so that tests can move it."""

    def now(self) -> datetime:
        """Give the current instant, aware and in UTC."""
        ...


class IdSource(Protocol):
    """Makes identifiers."""

    def new(self, kind: str) -> str:
        """Make a new id with the prefix ``kind``."""
        ...

    def several(self, kind: str, count: int) -> list[str]:
        """Make ``count`` new ids with the prefix ``kind``, in the order of their making."""
        ...


class EventListeners(Protocol):
    """Who wants to hear events; asked one by one, so that one cannot stop another."""

    def names(self) -> tuple[str, ...]:
        """Name the listeners."""
        ...

    def deliver(self, name: str, event: Event) -> None:
        """Tell one listener one event; any exception means *try again later*."""
        ...


@frozen(kw_only=True)
class CurrencyLimits:
    """What a gateway takes in one currency, in ledger `Money`.

    Attributes:
        minimum: Smallest total of one payment.
        maximum: Largest total of one payment.
        step: Totals are whole multiples of it.
    """

    minimum: Money
    maximum: Money
    step: Money


@frozen(kw_only=True)
class Capabilities:
    """What a gateway can do, as data; what is not claimed is never asked of it.

    Attributes:
        currencies: Limits by currency code; a currency not named is not taken.
        interaction: How the customer pays.
        create_key_valid_s: Seconds for which sending the same creation request
            again gives the same checkout, by its key or by our reference; 0 if
            the gateway would make another.
        refund_key_valid_s: The same of refunds; 0 if there are none.
        needs_capture: Authorised money is ours only once we capture it.
        failed_final_after_s: Seconds after which a failed payment stays failed;
            0 if at once.
        pay_within_s: Seconds for which a checkout may be paid, where those of
            the book are too few; None for those of the book.
        asynchronous: A payment may stay in ``processing`` for days.
        partial_refund: Less than all that was captured may be given back.
        multiple_refunds: More than one refund may be made of a payment.
        refund_window_days: Days for which a payment may be refunded, or None
            if that does not end.
        lists_payments: `Gateway.list_payments` works.
        lists_refunds: `Gateway.list_refunds` works.
        lists_disputes: `Gateway.list_disputes` works.
        list_delay_s: Seconds after which all of a moment is listed.
        reports_mode: A payment says whether it is test or live.
        reports_account: A payment says which merchant account it went to.
        signed_timestamp: A webhook's signature covers its time.
    """

    currencies: Mapping[str, CurrencyLimits]
    interaction: Interaction = "redirect"
    create_key_valid_s: int = 0
    refund_key_valid_s: int = 0
    needs_capture: bool = False
    failed_final_after_s: int = 0
    pay_within_s: int | None = None
    asynchronous: bool = False
    partial_refund: bool = False
    multiple_refunds: bool = False
    refund_window_days: int | None = None
    lists_payments: bool = False
    lists_refunds: bool = False
    lists_disputes: bool = False
    list_delay_s: int = 0
    reports_mode: bool = True
    reports_account: bool = False
    signed_timestamp: bool = True

    @property
    def refunds(self) -> bool:
        """Money can be given back at all."""
        return self.refund_key_valid_s > 0


@frozen(kw_only=True)
class Listing(Generic[T_co]):
    """One page of what a gateway lists.

    Attributes:
        items: In the gateway's order.
        next: Cursor of the following page, or None at the end.
    """

    items: Sequence[T_co]
    next: str | None = None


@frozen(kw_only=True)
class Health:
    """Whether a gateway accepts our credentials.

    Attributes:
        ok: It does, in the mode we are in.
        mode: The mode the gateway reports, or None.
        detail: One line for an operator, without secrets.
    """

    ok: bool
    mode: Mode | None = None
    detail: str = ""


@frozen(kw_only=True)
class GatewayEvent:
    """What a verified webhook tells us to look up; no amount, no state.

    Attributes:
        event_id: The gateway's id of the event, the same on every retry.
        kind: ``"payment"`` wakes a settlement, ``"refund"`` and ``"dispute"``
            also a look at what was given back or is disputed; ``"ignored"`` is
            recorded only.
        type: The gateway's word for the event.
        checkout_id: Checkout it is about, or None.
        payment_id: Payment it is about, or None.
        topup_id: Our reference as echoed, or None.
        mode: The mode the event claims, or None.
    """

    event_id: str
    kind: EventKind
    type: str
    checkout_id: str | None = None
    payment_id: str | None = None
    topup_id: str | None = None
    mode: Mode | None = None


@runtime_checkable
class Gateway(Protocol):
    """A payment provider.

    An adapter is immutable configuration until `bind` gives it a mode and a
    clock. Methods that talk to the provider raise `GatewayError` with
    ``retryable`` and ``outcome_unknown`` set truthfully, return within the
    configured timeout, and are never called inside a database transaction. What
    the capabilities do not claim raises `GatewayError` of the code
    ``not-supported``; `prepaid.gateways.BasicGateway` does so.
    """

    @property
    def name(self) -> str:
        """Name in URLs, rows and quotes: lower-case letters, digits and dashes, at most 32."""
        ...

    @property
    def label(self) -> str:
        """What the customer reads."""
        ...

    @property
    def account(self) -> str | None:
        """The merchant account that payments must go to, as the gateway shows it; None if it does not."""
        ...

    def bind(self, mode: Mode, clock: Clock) -> Gateway:
        """Give this gateway for one mode.

        Raises:
            ConfigurationError: The credentials belong to the other mode, or a
                webhook secret is missing.
        """
        ...

    def capabilities(self) -> Capabilities:
        """Say what the gateway can do; no network."""
        ...

    def check_credentials(self) -> Health:
        """Ask the gateway whether our credentials work; a gateway that is down is not ``ok``."""
        ...

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Prepare a payment; the same request again gives the same checkout while the capabilities say so.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        ...

    def parse_return(self, ref: PaymentRef, params: Mapping[str, str]) -> ReturnHint:
        """Read what the browser brought back for a stored checkout; no network, and nothing is believed.

        Args:
            ref: What we stored: a signature is verified over our ids, not over those sent.
            params: Parameters of the URL and of a posted form.
        """
        ...

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Re-read a payment from the gateway.

        Raises:
            GatewayError: It cannot be asked, or its answer lacks or contradicts
                a field; never a guess.
        """
        ...

    def capture(self, ref: PaymentRef, amount: Money, *, key: str) -> PaymentSnapshot:
        """Take the whole of an authorised payment and give it as it is afterwards; taken before counts as taken.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        ...

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Make a checkout unpayable, as far as the gateway can, and give the payment as it is afterwards.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        ...

    def refund(self, request: RefundRequest) -> RefundSnapshot:
        """Give money back; the same request again gives the same refund while the capabilities say so.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
        """
        ...

    def fetch_refund(self, ref: RefundRef) -> RefundSnapshot | None:
        """Re-read a refund, by the gateway's id or by our reference; None if the gateway has none of it.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        ...

    def refunds_of(self, ref: PaymentRef) -> Sequence[RefundSnapshot]:
        """Read all refunds of a payment whose ``payment_id`` is known, whoever made them.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        ...

    def disputes_of(self, ref: PaymentRef) -> Sequence[DisputeSnapshot]:
        """Read all disputes of a payment whose ``payment_id`` is known.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        ...

    def list_payments(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[PaymentSnapshot]:
        """List the payments made in ``[since, until)``, ours and others'; only captured ones need be in it.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        ...

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[RefundSnapshot]:
        """List the refunds made in ``[since, until)``.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        ...

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[DisputeSnapshot]:
        """List the disputes opened in ``[since, until)``.

        Raises:
            GatewayError: As `fetch_payment`.
        """
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[GatewayEvent]:
        """Verify a webhook over its raw bytes and say what to look up.

        Args:
            headers: Names in lower case.
            body: The bytes as received, at most the configured cap.

        Raises:
            WebhookRejected: Not signed with one of our secrets, stale, from
                the future, or not readable.
            GatewayError: It can be verified only by asking the gateway, which
                cannot be asked now.
        """
        ...


@runtime_checkable
class ConfirmedByOperator(Protocol):
    """A gateway whose money an operator sees, not the gateway: the core stores the confirmation and hands it in."""

    def confirmed(self, ref: PaymentRef, *, received: Money, evidence: str, at: datetime) -> PaymentSnapshot:
        """Give the captured payment that a confirmation tells of; no network, and always the same for the same one.

        Args:
            ref: What we stored of the payment.
            received: What arrived, which need not be what was asked for.
            evidence: Where it is to be found, such as a line of a bank
                statement; the payment's id follows from it, so that it pays once.
            at: When it arrived.

        Raises:
            GatewayError: ``ref`` is none of this gateway's.
            RequestRefused: An argument cannot be right.
        """
        ...


@frozen(kw_only=True)
class Attachment:
    """A file in a mail."""

    filename: str
    content: bytes = field(repr=False)
    media_type: str = "application/pdf"


@frozen(kw_only=True)
class MailMessage:
    """A mail to send.

    Attributes:
        to: One address.
        subject: One line.
        text: Plain text body.
        html: The same as HTML, or empty.
        attachments: Files.
        message_key: Stable over attempts; the Message-ID is made from it, so
            that a mail sent twice after a crash is recognised as one.
    """

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(default="", repr=False)
    attachments: tuple[Attachment, ...] = ()
    message_key: str


@runtime_checkable
class Mailer(Protocol):
    """Sends mail."""

    def send(self, message: MailMessage) -> None:
        """Hand one mail to a server; any exception means *try again later*."""
        ...


@runtime_checkable
class InvoiceRenderer(Protocol):
    """Turns a frozen invoice into a file: the same invoice, the same bytes."""

    media_type: str
    version: str

    def render(self, invoice: Invoice) -> bytes:
        """Render the document."""
        ...


@runtime_checkable
class TaxIdRegister(Protocol):
    """A public register of tax ids, such as VIES; ``name`` is of lower-case letters, digits and dashes."""

    name: str

    def covers(self, tax_id: TaxId) -> bool:
        """Tell whether the register knows numbers of this kind; asks nobody."""
        ...

    def check(self, tax_id: TaxId, *, requester: TaxId | None) -> RegisterAnswer:
        """Ask the register about a number, within 15 seconds.

        Called in no transaction. Whatever goes wrong is an answer of the state
        ``"unavailable"``; an exception is taken for one, and its type is
        logged. Texts of an answer are cut to what can be kept.

        Args:
            tax_id: The number asked about.
            requester: The seller's own VAT number in the EU, or None.
        """
        ...


class TaxDeciders(Protocol):
    """Those who may decide a tax before the rules do."""

    def decide_tax(self, request: TaxRequest) -> TaxDecision | None:
        """Give the first decision, or None if nobody decides.

        Raises:
            TaxUndecided: One of them failed.
        """
        ...
