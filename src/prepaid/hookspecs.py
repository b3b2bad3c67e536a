"""Every hook a plugin may implement: who calls it, when, and what an exception does.

Mark an implementation with `hookimpl`::

    import prepaid

    @prepaid.hookimpl
    def prepaid_event(event):
        print(event.name)

A plugin is a module or an object with such functions, given as
``Prepaid(plugins=...)`` or published as an entry point of the group ``prepaid``.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy
from attrs import frozen

from .core.events import Event
from .core.taxation import TaxDecision
from .export_ports import Exporter
from .identity_ports import IdentityProvider, IdentityQuestion
from .objection_ports import RefundQuestion, TopupQuestion
from .ports import Gateway, Mode, TaxIdRegister, TaxRequest

PROJECT = "prepaid"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@frozen(kw_only=True)
class PluginSetup:
    """What a plugin is told when it contributes objects.

    Attributes:
        book: Name of the book.
        mode: ``"test"`` or ``"live"``.
        currencies: Currencies in use; the first is the default.
    """

    book: str
    mode: Mode
    currencies: tuple[str, ...]


@hookspec
def prepaid_gateways(setup: PluginSetup) -> Iterable[Gateway]:  # type: ignore[empty-body]
    """Contribute payment gateways.

    Called once, when a `Prepaid` is made, outside any transaction and before
    the database is opened; all results are used, after the gateways that the
    host passed. An exception, a result that is no gateway, or a name that is
    taken raises `ConfigurationError` naming the plugin. Since 0.1.
    """


@hookspec
def prepaid_tax_id_registers(setup: PluginSetup) -> Iterable[TaxIdRegister]:  # type: ignore[empty-body]
    """Contribute registers of tax ids.

    Called once, when a `Prepaid` is made, outside any transaction and before
    the database is opened; all results are used, after the registers that the
    host passed. The first that covers a number is asked about it. An exception,
    a result that is no register, or a name that is taken raises
    `ConfigurationError` naming the plugin. Since 0.1.
    """


@hookspec
def prepaid_exporters(setup: PluginSetup) -> Iterable[Exporter]:  # type: ignore[empty-body]
    """Contribute formats that exports can be written in.

    Called once, when a `Prepaid` is made, outside any transaction and before
    the database is opened; all results are used, beside the formats that the
    library brings. An exception, a result that is no exporter, a name that is
    taken or of the wrong form, or an export that there is not raises
    `ConfigurationError` naming the plugin. Since 0.1.
    """


@hookspec(firstresult=True)
def prepaid_decide_tax(request: TaxRequest) -> TaxDecision | None:
    """Decide the tax of a sale in place of the rules, or give None to leave it to them.

    Called for every quote, start and try-out, in no transaction; the first
    decision counts. With exclusive prices its net is the price, with inclusive
    ones its gross; amounts are whole minor units. An exception, or a decision
    that does not fit the price, refuses the sale with `TaxUndecided` and is
    logged: nobody is taxed by guesswork. Since 0.1.
    """


@hookspec
def prepaid_identity_providers(setup: PluginSetup) -> Iterable[IdentityProvider]:  # type: ignore[empty-body]
    """Contribute identity providers.

    Called once, when a `Prepaid` is made, outside any transaction and before
    the database is opened; all results are used, after the providers that the
    host passed. An exception, a result that is no identity provider, or a name
    that another provider or a gateway has raises `ConfigurationError` naming
    the plugin. Since 0.1.
    """


@hookspec(firstresult=True)
def prepaid_identity_needed(request: IdentityQuestion) -> str | None:
    """Ask for a verification, with the reason in words for the customer, or give None to leave it to the policies.

    Called for every quote, start and settlement, in no transaction; the first
    reason counts. Any verification of the customer that counts is enough for
    it. An exception, or anything but a printable text of at most 500
    characters, is logged and asks for a verification: nobody is let through by
    mistake. Since 0.1.
    """


@hookspec
def prepaid_topup_objections(request: TopupQuestion) -> Iterable[str]:  # type: ignore[empty-body]
    """Object to a top-up, in sentences for the customer; an empty list has nothing against it.

    Called for every quote, and for every start whose key is new, in no
    transaction; the sentences of all plugins are told together, and any refuses
    with `TopupRefused`, of which nothing is kept. Settlement never asks: what
    was started and paid is credited. An exception, or anything but at most 20
    printable texts of at most 500 characters (None and a text alone are none),
    is logged and refuses in words of the library: nothing is sold by mistake.
    Since 0.1.
    """


@hookspec
def prepaid_refund_objections(request: RefundQuestion) -> Iterable[str]:  # type: ignore[empty-body]
    """Object to a refund, in sentences for the customer or operator; an empty list has nothing against it.

    Called before a customer's request whose key is new is kept, before an
    operator approves one that is open, and before one gives a payment in review
    back, all or what was too much of it, in no transaction; the sentences of all
    plugins are told together, and any refuses with `RefundRefused`, of which
    nothing is kept. What went back already is never asked about: refunds that
    are on their way, recorded, or made at the gateway. An exception, or anything
    but at most 20 printable texts of at most 500 characters (None and a text
    alone are none), is logged and refuses in words of the library: nothing goes
    back by mistake. Since 0.1.
    """


@hookspec
def prepaid_event(event: Event) -> None:
    """Hear a fact after it was committed.

    Called from ``run_due`` for each plugin on its own, in no transaction, at
    least once for each event and with the same ``event.id`` each time. An
    exception is logged and the event told again later, to this plugin only; it
    never undoes anything. Since 0.1.
    """
