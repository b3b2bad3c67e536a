"""The customer's door: their own balance, top-ups, history and invoices, and nobody else's."""

from __future__ import annotations

from datetime import datetime

from .. import adjustments, customers, history, topups, vouchers, wallets
from ..config import Context
from ..core.documents import Invoice
from ..core.grants import CreditGrant
from ..core.holds import Hold
from ..core.ids import check_key
from ..core.instants import check_instant
from ..core.money import Money
from ..core.pages import Page
from ..core.parties import Customer, TaxProfile
from ..core.quotes import Quote
from ..core.topups import Topup
from ..core.usage import Balance, Meter, Transaction, UsageStatement
from ..core.vouchers import RedeemedVoucher
from ..invoicing import delivery
from ..offering import GatewayOffer
from ..tax import records
from ..tax.records import TaxIdStatus
from ..usage import gate, holds, meters, statement
from .customer_identity import CustomerIdentity
from .customer_refunds import CustomerRefunds


class CustomerDoor:
    """Everything one customer may see and do; no method takes another customer's id.

    Every method raises `NotFound` for a customer that the host has not
    registered, and for objects that are unknown or belong to somebody else.

    Attributes:
        topups: Buying credit.
        invoices: Documents.
        tax_profile: What decides their tax.
        identity: Being verified.
        vouchers: Codes that are credit.
        refunds: Asking for money, or for credit, back.
    """

    def __init__(self, context: Context, customer_id: str) -> None:
        """Open the door.

        Raises:
            InvalidRequest: Not a customer id.
        """
        self._context = context
        self._id = check_key(customer_id, field="customer")
        self.topups = CustomerTopups(self)
        self.invoices = CustomerInvoices(self)
        self.tax_profile = CustomerTaxProfile(self)
        self.identity = CustomerIdentity(self)
        self.vouchers = CustomerVouchers(self)
        self.refunds = CustomerRefunds(self)

    def profile(self) -> Customer:
        """Give the customer as the host registered them."""
        return customers.require(self._context, self._id)

    def balance(self, currency: str | None = None, *, at: datetime | None = None) -> Balance:
        """Give the balance in a currency, or in the customer's own; now, or as the books stood at an instant.

        Raises:
            InvalidRequest: A currency not in use, or ``at`` without a time zone.
        """
        customer, now = self.profile(), self._context.now()
        wanted = self._currency(customer, currency)
        if at is None:
            return self._context.database.read(lambda tx: wallets.balance(tx, customer.id, wanted, now=now))
        instant = check_instant(at, field="at")
        return self._context.database.read(lambda tx: wallets.balance_at(tx, customer.id, wanted, at=instant))

    def _currency(self, customer: Customer, currency: str | None) -> str:
        return customer.currency if currency is None else self._context.currency_or_default(currency)

    def wallets(self) -> tuple[Balance, ...]:
        """Give one balance per currency held."""
        customer = self.profile()
        now = self._context.now()
        return self._context.database.read(lambda tx: wallets.balances(tx, customer.id, now=now))

    def transactions(
        self,
        *,
        kind: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        resource: str | None = None,
        project: str | None = None,
        currency: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Transaction]:
        """List what happened to the balance, newest first, each with the balance after it.

        Raises:
            InvalidRequest: As `prepaid.history.transactions`.
        """
        customer = self.profile()
        return history.transactions(
            self._context,
            customer.id,
            currency=self._currency(customer, currency),
            kind=kind,
            since=since,
            until=until,
            resource=resource,
            project=project,
            cursor=cursor,
            limit=limit,
        )

    def runway(self, currency: str | None = None) -> int | None:
        """Give the whole hours the balance lasts at the current rates; None if nothing runs."""
        customer = self.profile()
        return gate.runway(self._context, customer.id, self._currency(customer, currency))

    def usage(
        self, *, since: datetime, until: datetime, by: str = "resource", currency: str | None = None
    ) -> UsageStatement:
        """Sum what was used, by resource, project, day or kind; see `prepaid.usage.statement.usage`."""
        customer = self.profile()
        return statement.usage(
            self._context,
            customer.id,
            currency=self._currency(customer, currency),
            since=since,
            until=until,
            by=by,
        )

    def grants(self) -> tuple[CreditGrant, ...]:
        """List the credit that is left, in the order in which it will be spent."""
        return adjustments.grants_of(self._context, self._id)

    def holds(self) -> tuple[Hold, ...]:
        """List what is reserved now."""
        return holds.holds_of(self._context, self._id)

    def meters(self) -> tuple[Meter, ...]:
        """List the resources that are accruing cost now."""
        return meters.running(self._context, self.profile().id)


class CustomerTopups:
    """Buying credit."""

    def __init__(self, door: CustomerDoor) -> None:
        """Bind the customer."""
        self._context, self._customer = door._context, door.profile

    def gateways(self, amount: Money) -> tuple[GatewayOffer, ...]:
        """Name the gateways that can take an amount; see `prepaid.topups.offers`."""
        return topups.offers(self._context, self._customer(), amount)

    def quote(self, amount: Money, *, gateway: str | None = None, code: str | None = None) -> Quote:
        """Price a top-up; see `prepaid.topups.quote`."""
        return topups.quote(self._context, self._customer(), amount, gateway=gateway, code=code)

    def start(self, quote: Quote | str, *, return_url: str, cancel_url: str, key: str) -> Topup:
        """Begin a top-up and give it with where to pay; see `prepaid.topups.start`."""
        return topups.start(
            self._context, self._customer(), quote, return_url=return_url, cancel_url=cancel_url, key=key
        )

    def confirm(self, topup_id: str) -> Topup:
        """Re-read the payment and settle; see `prepaid.topups.confirm`."""
        return topups.confirm(self._context, self._customer(), topup_id)

    def get(self, topup_id: str) -> Topup:
        """Read a top-up; see `prepaid.topups.get`."""
        return topups.get(self._context, self._customer(), topup_id)

    def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[Topup]:
        """List top-ups, newest first."""
        return topups.list_of(self._context, self._customer(), cursor=cursor, limit=limit)

    def cancel(self, topup_id: str) -> Topup:
        """Give a top-up up; see `prepaid.topups.cancel`."""
        return topups.cancel(self._context, self._customer(), topup_id)


class CustomerInvoices:
    """The customer's documents."""

    def __init__(self, door: CustomerDoor) -> None:
        """Bind the customer."""
        self._context, self._customer = door._context, door.profile

    def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[Invoice]:
        """List invoices, newest first."""
        return delivery.list_of(self._context, self._customer().id, cursor=cursor, limit=limit)

    def get(self, number_or_id: str) -> Invoice:
        """Read an invoice by its number or id."""
        return delivery.get(self._context, number_or_id, customer=self._customer().id)

    def pdf(self, number_or_id: str) -> bytes:
        """Give an invoice's PDF file, the same bytes every time."""
        return delivery.file_of(self._context, self.get(number_or_id))


class CustomerTaxProfile:
    """What the customer says about their tax situation."""

    def __init__(self, door: CustomerDoor) -> None:
        """Bind the customer."""
        self._context, self._customer = door._context, door.profile

    def set(self, profile: TaxProfile) -> TaxProfile:
        """Keep a new version, and have its tax id verified; see `prepaid.customers.set_profile`.

        Earlier invoices stay as they are.

        Raises:
            InvalidRequest: Not a `TaxProfile`.
        """
        customer = self._customer()
        return customers.set_profile(self._context, customer.id, profile, actor=f"customer:{customer.id}"[:191])

    def get(self) -> TaxProfile | None:
        """Read the latest version, or None."""
        return customers.profile(self._context, self._customer().id)

    def status(self) -> TaxIdStatus:
        """Say what is known of their tax id; asks nobody."""
        return records.status(self._context, self._customer())

    def verify(self) -> TaxIdStatus:
        """Have their tax id verified, if that is not known; see `prepaid.tax.records.verify`."""
        return records.verify(self._context, self._customer())


class CustomerVouchers:
    """Codes that are credit."""

    def __init__(self, door: CustomerDoor) -> None:
        """Bind the customer."""
        self._context, self._id = door._context, door._id

    def redeem(self, code: str) -> RedeemedVoucher:
        """Turn a code into credit; the same code again gives the first answer. See `prepaid.vouchers.redeem`."""
        return vouchers.redeem(self._context, self._id, code)
