"""What a `Prepaid` is made of, handed to every use case; there is no module state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from .core.errors import ConfigurationError, InvalidRequest, NotFound
from .core.ids import looks_like_id
from .core.instants import local_day
from .core.money import MINOR_DIGITS, check_currency
from .core.parties import Seller
from .core.topups import NO_GATEWAY
from .export_ports import Exporter
from .identity_ports import IdentityDeciders, IdentityProvider
from .objection_ports import Objectors
from .ports import (
    Clock,
    EventListeners,
    Gateway,
    IdSource,
    InvoiceRenderer,
    Mailer,
    Mode,
    TaxDeciders,
    TaxIdRegister,
)

if TYPE_CHECKING:
    from .store import BookDatabase
    from .tax.rulebook import RuleBook

MODES: Final = ("test", "live")
MAX_WEBHOOK_BYTES: Final = 256 * 1024
PAGE_LIMIT: Final = 200
MOST_BUDGET_S: Final = 60


@frozen(kw_only=True)
class Context:
    """One configured billing system: a book in a database, its seller and adapters.

    Attributes:
        database: The book's database.
        book: Name of the book.
        mode: ``"test"`` or ``"live"``.
        seller: Who sells.
        currencies: Currencies in use; the first is the default.
        gateways: Bound gateways by name, in the operator's order.
        mailer: Sends mail, or None: then invoices are only to be downloaded.
        renderer: Makes PDF files of invoices.
        listeners: Who hears events.
        tax_deciders: Who may decide a tax before the rules do.
        identity_deciders: Who may ask for a verification beside the policies.
        objectors: Who may object to sales and refunds.
        identity_providers: Bound identity providers by name, in the order in which they are chosen.
        registers: Registers of tax ids, in the order in which they are looked through.
        exporters: Formats of exports that plugins bring, by name.
        rulebook: The tax rules, kept until they change.
        clock: Tells the time.
        ids: Makes ids.
        quote_valid_for: How long a quote may be started.
        checkout_valid_for: How long a started top-up may be paid.
        webhook_budget_s: Seconds within which a webhook is answered.
    """

    database: BookDatabase = field(repr=False)
    book: str
    mode: Mode
    seller: Seller = field(repr=False)
    currencies: tuple[str, ...]
    gateways: Mapping[str, Gateway] = field(repr=False)
    mailer: Mailer | None = field(repr=False)
    renderer: InvoiceRenderer = field(repr=False)
    listeners: EventListeners = field(repr=False)
    tax_deciders: TaxDeciders = field(repr=False)
    identity_deciders: IdentityDeciders = field(repr=False)
    objectors: Objectors = field(repr=False)
    identity_providers: Mapping[str, IdentityProvider] = field(repr=False)
    registers: tuple[TaxIdRegister, ...] = field(repr=False)
    exporters: Mapping[str, Exporter] = field(repr=False)
    rulebook: RuleBook = field(repr=False)
    clock: Clock = field(repr=False)
    ids: IdSource = field(repr=False)
    quote_valid_for: timedelta = timedelta(minutes=30)
    checkout_valid_for: timedelta = timedelta(minutes=60)
    webhook_budget_s: int = 3

    def __attrs_post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigurationError("mode is 'test' or 'live', and must be given.")
        if not self.currencies or len(set(self.currencies)) != len(self.currencies):
            raise ConfigurationError("currencies names at least one currency, each once.")
        if type(self.webhook_budget_s) is not int or not 1 <= self.webhook_budget_s <= MOST_BUDGET_S:
            raise ConfigurationError(f"webhook_budget_s is a whole number of seconds from 1 to {MOST_BUDGET_S}.")
        unknown = [currency for currency in self.currencies if currency not in MINOR_DIGITS]
        if unknown:
            raise ConfigurationError(f"currencies: {unknown[0]!r} is not a currency code of ISO 4217.")

    def now(self) -> datetime:
        """Give the current instant."""
        return self.clock.now()

    def current_day(self) -> date:
        """Give the current day in the seller's zone."""
        return local_day(self.now(), self.seller.timezone)

    def currency_or_default(self, currency: str | None) -> str:
        """Give ``currency`` if the book uses it, or the default.

        Raises:
            InvalidAmount: Not a currency code.
            InvalidRequest: A currency this book does not use.
        """
        if currency is None:
            return self.currencies[0]
        if check_currency(currency) not in self.currencies:
            raise InvalidRequest(f"{currency} is not in use here.", field="currency", currencies=self.currencies)
        return currency

    def gateway(self, name: object) -> Gateway:
        """Give a gateway by its name.

        Raises:
            InvalidRequest: There is none of that name.
        """
        found = self.gateways.get(name) if isinstance(name, str) else None
        if found is None:
            raise InvalidRequest("There is no gateway of that name.", field="gateway", gateways=tuple(self.gateways))
        return found

    def label_of(self, gateway: str) -> str:
        """Give what customers read of the gateway of a top-up; nothing if nothing was paid.

        One that is not configured any more has only its name left.
        """
        known = self.gateways.get(gateway)
        return known.label if known is not None else "" if gateway == NO_GATEWAY else gateway


def page_limit(limit: object) -> int:
    """Return the size of a page.

    Raises:
        InvalidRequest: Not a whole number from 1 to 200.
    """
    if type(limit) is not int or not 1 <= limit <= PAGE_LIMIT:
        raise InvalidRequest(f"limit is a whole number from 1 to {PAGE_LIMIT}.", field="limit")
    return limit


def object_id(value: object, *, field: str) -> str:
    """Return an id of the library's own form.

    Raises:
        NotFound: It cannot be one, so nothing has it.
    """
    if not isinstance(value, str) or not looks_like_id(value):
        raise NotFound(f"There is no such {field}.", field=field)
    return value
