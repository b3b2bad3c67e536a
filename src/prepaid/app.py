"""`Prepaid`: one billing system, wired from a database, a seller and adapters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve

from . import integrity, jobs, verification
from .config import Context
from .core.errors import ConfigurationError
from .core.events import Event
from .core.identity import MAX_LEVEL
from .core.ids import check_key
from .core.parties import Seller
from .core.rates import Rate
from .core.topups import NO_GATEWAY
from .core.usage import Permission
from .doors.customer import CustomerDoor
from .doors.host import HostCustomers, HostMeters, HostReturns, HostUsage, HostWebhooks
from .doors.joined import JoinedDoor
from .doors.operator import OperatorDoor
from .export_ports import Exporter
from .hookspecs import PluginSetup
from .identity_ports import IdentityProvider
from .integrity import IntegrityReport
from .invoicing.pdf import PdfRenderer
from .jobs import JobRun
from .plugins import Plugins
from .ports import Clock, Gateway, InvoiceRenderer, Mailer, Mode, TaxIdRegister
from .reporting import exports
from .store import Database, joined_database
from .system import RandomIds, SystemClock, UtcClock
from .tax.rulebook import RuleBook
from .usage import gate

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session

T = TypeVar("T")

_GATEWAY_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_EXTENSION = re.compile(r"[a-z0-9]{1,16}(\.[a-z0-9]{1,16})?", re.ASCII)


class Prepaid:
    """A billing system: one book (a seller's accounts in one mode) in one database.

    There is no module state: several, for test and live, for two sellers, may
    live in one process and in one database.

    Attributes:
        customers: Registering the host's customers.
        usage: Charges, adjustments, holds and reversals.
        meters: Resources billed by the hour.
        webhooks: What gateways send.
        returns: The page after paying.
    """

    def __init__(
        self,
        *,
        database: str | Engine,
        mode: Mode,
        seller: Seller,
        book: str = "main",
        currencies: Sequence[str] = ("EUR",),
        gateways: Iterable[Gateway] = (),
        identity: IdentityProvider | Iterable[IdentityProvider] | None = None,
        tax_id_registers: Iterable[TaxIdRegister] | None = None,
        mailer: Mailer | None = None,
        renderer: InvoiceRenderer | None = None,
        plugins: Sequence[object] = (),
        load_plugins: bool = True,
        plugin_names: Collection[str] | None = None,
        webhook_budget_s: int = 3,
        clock: Clock | None = None,
    ) -> None:
        """Wire a billing system; touches neither database nor network.

        Args:
            database: SQLAlchemy URL, or the host's engine; a SQLite engine
                must have been given to `prepaid.configure_sqlite`.
            mode: ``"test"`` or ``"live"``; every gateway must be of it.
            seller: Who sells.
            book: Name of the seller's accounts.
            currencies: Currencies in use; the first is the default.
            gateways: Payment gateways, in the order in which they are offered.
            identity: Who verifies that customers are who they say: one or
                several, of which the first counts that verifies thoroughly enough.
            tax_id_registers: Registers that tax ids are verified with; the
                EU's VIES if None, nobody if empty.
            mailer: Sends invoices; without one they are only downloaded.
            renderer: Makes invoice files; PDF if None.
            plugins: Plugin objects of the host.
            load_plugins: Load published plugins.
            plugin_names: Published plugins to load; all if None.
            webhook_budget_s: Seconds within which a webhook is answered, from
                1 to 60; what is not done by then, a job does.
            clock: Tells the time; the machine's if None.

        Raises:
            ConfigurationError: Anything that cannot work; says what to change.
        """
        now = UtcClock(clock if clock is not None else SystemClock())
        self._plugins = Plugins(_several("plugins", plugins), load=load_plugins, only=plugin_names)
        if not isinstance(seller, Seller):
            raise ConfigurationError("seller is a Seller.")
        if mode not in ("test", "live"):
            raise ConfigurationError("mode is 'test' or 'live', and must be given.")
        codes = _several("currencies", currencies)
        setup = PluginSetup(book=check_key(book, field="book"), mode=mode, currencies=codes)
        given = [("the host", gateway) for gateway in _several("gateways", gateways)]
        bound = _bind([*given, *self._plugins.gateways(setup)], mode, now)
        verifying = [*_identity_given(identity), *self._plugins.identity_providers(setup)]
        self._database = Database(database, book=book, mode=mode, now=now.now)
        self._context = Context(
            database=self._database,
            book=book,
            mode=mode,
            seller=seller,
            currencies=codes,
            gateways=bound,
            mailer=mailer,
            renderer=renderer if renderer is not None else PdfRenderer(),
            listeners=self._plugins,
            tax_deciders=self._plugins,
            identity_deciders=self._plugins,
            objectors=self._plugins,
            identity_providers=_bind_identity(verifying, mode, now, gateways=bound),
            registers=_registers([*_registers_given(tax_id_registers), *self._plugins.registers(setup)]),
            exporters=_exporters(self._plugins.exporters(setup)),
            rulebook=RuleBook(),
            clock=now,
            ids=RandomIds(now),
            webhook_budget_s=webhook_budget_s,
        )
        self.customers = HostCustomers(self._context)
        self.usage = HostUsage(self._context)
        self.meters = HostMeters(self._context)
        self.webhooks = HostWebhooks(self._context)
        self.returns = HostReturns(self._context)

    def __repr__(self) -> str:
        return f"<Prepaid book={self._context.book!r} mode={self._context.mode!r}>"

    def close(self) -> None:
        """Close pooled connections of an engine made here; a host's own engine is left alone."""
        self._database.close()

    def upgrade_database(self) -> None:
        """Bring the database to the schema of this library; never done implicitly.

        Raises:
            ConfigurationError: The database is newer than this library.
        """
        self._database.upgrade()

    def customer(self, customer_id: str) -> CustomerDoor:
        """Open the door of one customer, for their own pages.

        Raises:
            InvalidRequest: Not a customer id.
        """
        return CustomerDoor(self._context, customer_id)

    def operator(self, actor: str, *, permissions: Collection[str], customer_id: str | None = None) -> OperatorDoor:
        """Open the door of an operator; ``prepaid.permissions`` lists what there is to allow.

        Args:
            actor: Who acts, as the audit names them.
            permissions: What they may do.
            customer_id: Their own account as a customer, if they have one: they approve nothing for it.

        Raises:
            InvalidRequest: No actor, one that is not an operator (``system``, ``host``, ``gateway:…``,
                ``provider:…``, ``customer:…``), a permission that does not exist, or not a customer id.
        """
        return OperatorDoor(self._context, self._plugins, actor, granted=permissions, customer_id=customer_id)

    def may_start(self, customer_id: str, *, rate: Rate | None = None, hours: int = 1) -> Permission:
        """Say whether a customer may start a resource; see `prepaid.usage.gate.may_start`."""
        return gate.may_start(self._context, customer_id, rate=rate, hours=hours)

    @contextmanager
    def joined(self, transaction: Connection | Session) -> Iterator[JoinedDoor]:
        """Charge inside a transaction of the host, so that both are kept, or neither.

        The host's commit keeps what was charged; this block neither commits nor
        rolls back. A refusal (`InsufficientCredit`, `KeyConflict`...) leaves the
        host's transaction as it was before the call. After `TransactionAborted`
        its connection is closed and nothing of it can be committed: run all of
        it again, with the same keys.

        Args:
            transaction: An open, synchronous SQLAlchemy `Connection` or
                `Session` on the database of the books.

        Raises:
            ConfigurationError: What was given cannot be joined; says what to pass.
            TransactionAborted: The host's transaction is lost already.
        """
        with joined_database(self._database, transaction) as database:
            yield JoinedDoor(evolve(self._context, database=database))

    def run_due(self, only: str | None = None, *, budget_s: int | None = None) -> tuple[JobRun, ...]:
        """Run the jobs that are due; safe anywhere, any number of times; see `prepaid.jobs.run_due`."""
        return jobs.run_due(self._context, only=only, budget_s=budget_s)

    def on(self, event: str, function: Callable[[Event], object]) -> None:
        """Call ``function`` for every event of one name, after commit, from ``run_due``.

        Raises:
            InvalidRequest: There is no event of that name.
        """
        self._plugins.on(event, function)

    def check(
        self, *, since: str | None = None, on_progress: Callable[[str, int, int], object] | None = None
    ) -> IntegrityReport:
        """Prove the books on one snapshot, without writing anything.

        Args:
            since: The ``place`` of an earlier report: proves what is new since then
                and what that touches. Everything if None.
            on_progress: Told what is proved next, how many proofs are done, and of how many.

        Raises:
            InvalidRequest: ``since`` is no place of this book, or ``on_progress`` cannot be called.
        """
        return integrity.check(self._context, since=since, on_progress=on_progress)

    def health(self) -> dict[str, Any]:
        """Say whether the database answers and what waits; for a host's health page.

        Raises:
            ConfigurationError: The schema is not the one of this library.
        """
        return integrity.health(self._context)


def _several(name: str, values: Iterable[T]) -> tuple[T, ...]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ConfigurationError(f"{name} is a list or a tuple.")
    return tuple(values)


def _registers_given(registers: Iterable[TaxIdRegister] | None) -> list[tuple[str, TaxIdRegister]]:
    if registers is None:
        from .tax.vies import Vies  # with its HTTP client, which nobody needs who has another register

        registers = (Vies(),)
    return [("the host", register) for register in _several("tax_id_registers", registers)]


def _registers(found: Sequence[tuple[str, TaxIdRegister]]) -> tuple[TaxIdRegister, ...]:
    givers: dict[str, str] = {}
    for giver, register in found:
        if not isinstance(register, TaxIdRegister):
            raise ConfigurationError(f"tax_id_registers: {type(register).__name__} is not a register of tax ids.")
        if not isinstance(register.name, str) or not _GATEWAY_NAME.fullmatch(register.name):
            raise ConfigurationError(f"A register of {giver}: its name is lower-case letters, digits and dashes.")
        if register.name in givers:
            raise ConfigurationError(
                f"Two registers are named {register.name!r}, from {givers[register.name]} and {giver}."
            )
        givers[register.name] = giver
    return tuple(register for _, register in found)


def _exporters(found: Sequence[tuple[str, Exporter]]) -> dict[str, Exporter]:
    givers = dict.fromkeys(exports.FORMATS, "the library")
    for giver, exporter in found:
        name = exporter.name
        if not isinstance(name, str) or not _GATEWAY_NAME.fullmatch(name):
            raise ConfigurationError(f"An exporter of {giver}: its name is lower-case letters, digits and dashes.")
        if not isinstance(exporter.extension, str) or not _EXTENSION.fullmatch(exporter.extension):
            raise ConfigurationError(f"The exporter {name!r} of {giver}: its extension is such as csv, without a dot.")
        if not _are_exports(exporter.exports):
            known = ", ".join(exports.COLUMNS)
            raise ConfigurationError(f"The exporter {name!r} of {giver}: its exports are a tuple of some of {known}.")
        if not callable(exporter.write) or inspect.iscoroutinefunction(exporter.write):
            raise ConfigurationError(f"The exporter {name!r} of {giver}: write() is a plain method.")
        if name in givers:
            raise ConfigurationError(f"Two exporters are named {name!r}, from {givers[name]} and {giver}.")
        givers[name] = giver
    return {exporter.name: exporter for _, exporter in found}


def _are_exports(names: object) -> bool:
    return isinstance(names, tuple) and bool(names) and all(name in tuple(exports.COLUMNS) for name in names)


def _bind(found: Sequence[tuple[str, Gateway]], mode: Mode, clock: Clock) -> dict[str, Gateway]:
    bound: dict[str, Gateway] = {}
    givers: dict[str, str] = {}
    for giver, gateway in found:
        if not isinstance(gateway, Gateway):
            raise ConfigurationError(f"{type(gateway).__name__} is not a gateway.")
        if not isinstance(gateway.name, str) or not _GATEWAY_NAME.fullmatch(gateway.name):
            raise ConfigurationError(f"A gateway of {giver}: its name is lower-case letters, digits and dashes.")
        if gateway.name == NO_GATEWAY:
            raise ConfigurationError(f"A gateway of {giver}: {NO_GATEWAY!r} stands for none; give it a name=.")
        if gateway.name in bound:
            raise ConfigurationError(
                f"Two gateways are named {gateway.name!r}, from {givers[gateway.name]} and {giver}; give one a name=."
            )
        bound[gateway.name], givers[gateway.name] = gateway.bind(mode, clock), giver
    return bound


def _identity_given(identity: IdentityProvider | Iterable[IdentityProvider] | None) -> list[tuple[str, Any]]:
    if identity is None:
        return []
    several = identity if isinstance(identity, Iterable) else (identity,)
    return [("the host", provider) for provider in several]


def _bound_provider(provider: object, name: str) -> IdentityProvider:
    """Return what a provider gave for a mode, if it is still that provider.

    Raises:
        ConfigurationError: It is not, or its level is none.
    """
    if not isinstance(provider, IdentityProvider) or provider.name != name:
        raise ConfigurationError(f"The identity provider {name!r}: bind() gives the provider, under its name.")
    if type(provider.level) is not int or not 1 <= provider.level <= MAX_LEVEL:
        raise ConfigurationError(f"The identity provider {name!r}: its level is a whole number from 1 to {MAX_LEVEL}.")
    return provider


def _bind_identity(
    found: Sequence[tuple[str, Any]], mode: Mode, clock: Clock, *, gateways: Collection[str]
) -> dict[str, IdentityProvider]:
    bound: dict[str, IdentityProvider] = {}
    for giver, provider in found:
        if not isinstance(provider, IdentityProvider):
            raise ConfigurationError(f"identity: {type(provider).__name__} is not an identity provider.")
        name = provider.name
        if not isinstance(name, str) or not _GATEWAY_NAME.fullmatch(name):
            raise ConfigurationError(
                f"An identity provider of {giver}: its name is lower-case letters, digits and dashes."
            )
        if name in bound or name in gateways or name == verification.OPERATOR:
            raise ConfigurationError(f"An identity provider of {giver}: the name {name!r} is taken; give it another.")
        bound[name] = _bound_provider(provider.bind(mode, clock), name)
    return bound
