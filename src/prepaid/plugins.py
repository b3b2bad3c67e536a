"""The border to plugins: the one typed place that touches pluggy.

Hooks contribute objects and broadcast facts. Everything a plugin returns is
checked here, and every complaint names the plugin.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib.metadata import entry_points
from itertools import islice
from typing import Any, Final

import pluggy
from attrs import frozen

from . import hookspecs
from .core.errors import ConfigurationError, InvalidRequest, TaxUndecided
from .core.events import EVENT_NAMES, Event
from .core.hashing import canonical_json
from .core.ids import check_text
from .core.money import require_whole_minor
from .core.taxation import NOT_SOLD, TaxDecision, decision_from_record, decision_record
from .export_ports import Exporter
from .hookspecs import PROJECT, PluginSetup
from .identity_ports import IdentityProvider, IdentityQuestion
from .objection_ports import RefundQuestion, TopupQuestion
from .ports import Gateway, TaxIdRegister, TaxRequest

log = logging.getLogger("prepaid.plugins")

GROUP: Final = "prepaid"

MAX_LINE: Final = 500
"""Characters of a warning, and the like, of a decision that a plugin made."""

IDENTITY_ASKED: Final = "Verify your identity before anything is topped up."
"""What a customer reads where a plugin that decides about it failed."""

UNDECIDED: Final = "This cannot be decided now; try again later."
"""What is objected where a plugin that is asked for objections failed."""

MOST_OBJECTIONS: Final = 20
"""Sentences of one plugin: more than anybody reads is a mistake."""


@frozen
class PluginInfo:
    """A loaded plugin: its name and the hooks it implements."""

    name: str
    hooks: tuple[str, ...]


class Plugins:
    """The plugins of one `Prepaid`; hears events for them."""

    def __init__(
        self, plugins: Sequence[object] = (), *, load: bool = True, only: Collection[str] | None = None
    ) -> None:
        """Register plugins and load published ones.

        Args:
            plugins: Plugin objects or modules of the host.
            load: Load entry points of the group ``prepaid``.
            only: Names of entry points to load; all if None. Others are not
                even imported.

        Raises:
            ConfigurationError: A plugin cannot be loaded or is not valid; the
                message names it.
        """
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._functions: dict[str, tuple[str, Callable[[Event], object]]] = {}
        for plugin in plugins:
            self._register(plugin, getattr(plugin, "__name__", type(plugin).__qualname__))
        if load:
            self._load_published(only)

    def _load_published(self, only: Collection[str] | None) -> None:
        found = {entry.name: entry for entry in entry_points(group=GROUP)}
        missing = set(only or ()) - set(found)
        if missing:
            raise ConfigurationError(f"No plugin is published under the name {', '.join(sorted(missing))}.")
        for name, entry in sorted(found.items()):
            # By name before the import: a plugin that is not wanted must not run any code.
            if only is not None and name not in only:
                continue
            try:
                plugin = entry.load()
            except Exception as error:
                raise ConfigurationError(f"The plugin {name!r} cannot be imported: {error!r}.") from error
            self._register(plugin, name)

    def _register(self, plugin: object, name: str) -> None:
        try:
            if self._manager.register(plugin, name=name) is None:
                raise ConfigurationError(f"The plugin {name!r} is blocked.")
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            raise ConfigurationError(f"The plugin {name!r} is not valid: {error}.") from error
        for caller in self._manager.get_hookcallers(plugin) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin and _is_async(implementation.function):
                    raise ConfigurationError(f"The plugin {name!r}: {caller.name} must not be async.")

    def gateways(self, setup: PluginSetup) -> list[tuple[str, Gateway]]:
        """Collect the gateways that plugins contribute, with the plugin's name.

        Raises:
            ConfigurationError: A plugin failed or returned something else.
        """
        hook = "prepaid_gateways"
        return [
            (name, _checked(item, isinstance(item, Gateway), plugin=name, hook=hook, noun="gateway"))
            for name, item in self._contributed(hook, setup)
        ]

    def registers(self, setup: PluginSetup) -> list[tuple[str, TaxIdRegister]]:
        """Collect the registers of tax ids that plugins contribute, with the plugin's name.

        Raises:
            ConfigurationError: A plugin failed or returned something else.
        """
        hook = "prepaid_tax_id_registers"
        return [
            (name, _checked(item, isinstance(item, TaxIdRegister), plugin=name, hook=hook, noun="register"))
            for name, item in self._contributed(hook, setup)
        ]

    def exporters(self, setup: PluginSetup) -> list[tuple[str, Exporter]]:
        """Collect the formats of exports that plugins contribute, with the plugin's name.

        Raises:
            ConfigurationError: A plugin failed or returned something else.
        """
        hook = "prepaid_exporters"
        return [
            (name, _checked(item, _is_exporter(item), plugin=name, hook=hook, noun="exporter"))
            for name, item in self._contributed(hook, setup)
        ]

    def _contributed(self, hook: str, setup: PluginSetup) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for name, function in self._implementations(hook):
            try:
                found += [(name, item) for item in function(setup)]
            except Exception as error:
                raise ConfigurationError(f"The plugin {name!r} failed in {hook}: {error!r}.") from error
        return found

    def decide_tax(self, request: TaxRequest) -> TaxDecision | None:
        """Ask plugins for a tax decision, the first of which counts.

        Raises:
            TaxUndecided: A plugin failed, or its decision does not fit the price.
        """
        for name, function in self._implementations("prepaid_decide_tax"):
            try:
                decision = function(request)
                if decision is not None:
                    return _fitting(decision, request)
            except Exception as error:
                # Without its words, which may hold what the customer told.
                log.error("the plugin %s failed in prepaid_decide_tax: %s", name, type(error).__name__)
                raise TaxUndecided("The tax cannot be decided now; try again later.", field="amount") from None
        return None

    def identity_providers(self, setup: PluginSetup) -> list[tuple[str, IdentityProvider]]:
        """Collect the identity providers that plugins contribute, with the plugin's name.

        Raises:
            ConfigurationError: A plugin failed or returned something else.
        """
        hook, noun = "prepaid_identity_providers", "identity provider"
        return [
            (name, _checked(item, isinstance(item, IdentityProvider), plugin=name, hook=hook, noun=noun))
            for name, item in self._contributed(hook, setup)
        ]

    def identity_needed(self, question: IdentityQuestion) -> str:
        """Ask plugins whether a customer has to be verified; give the first reason, or nothing.

        One that fails asks for it.
        """
        for name, function in self._implementations("prepaid_identity_needed"):
            try:
                reason = function(question)
                if reason is not None:
                    return check_text(reason, field="reason", longest=MAX_LINE, empty=False)
            except Exception as error:
                # Without its words, which may hold what the customer told.
                log.error("the plugin %s failed in prepaid_identity_needed: %s", name, type(error).__name__)
                return IDENTITY_ASKED
        return ""

    def topup_objections(self, question: TopupQuestion) -> tuple[str, ...]:
        """Ask all plugins what speaks against a top-up; one that fails objects."""
        return self._objections("prepaid_topup_objections", question)

    def refund_objections(self, question: RefundQuestion) -> tuple[str, ...]:
        """Ask all plugins what speaks against a refund; one that fails objects."""
        return self._objections("prepaid_refund_objections", question)

    def _objections(self, hook: str, question: TopupQuestion | RefundQuestion) -> tuple[str, ...]:
        found: list[str] = []
        for name, function in self._implementations(hook):
            try:
                found += _sentences(function(question))
            except Exception as error:
                # Without its words, which may hold what the customer told.
                log.error("the plugin %s failed in %s: %s", name, hook, type(error).__name__)
                found.append(UNDECIDED)
        return tuple(dict.fromkeys(found))

    def on(self, event: str, function: Callable[[Event], object]) -> None:
        """Call ``function`` for every event of one name, after commit.

        Raises:
            InvalidRequest: There is no event of that name, or ``function`` is
                not a plain function.
        """
        if event not in EVENT_NAMES:
            raise InvalidRequest(f"event is one of {', '.join(EVENT_NAMES)}.", field="event")
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise InvalidRequest("function is a plain function of one event.", field="function")
        # Stable over processes: progress is kept under it.
        module, qualname = getattr(function, "__module__", ""), getattr(function, "__qualname__", repr(type(function)))
        name = f"on:{event}:{module}.{qualname}"
        if name in self._functions:
            raise InvalidRequest(f"{qualname} is told {event} already.", field="function")
        self._functions[name] = (event, function)

    def names(self) -> tuple[str, ...]:
        """Name who hears events: plugins, then functions given to `on`."""
        return (*(name for name, _ in self._implementations("prepaid_event")), *self._functions)

    def deliver(self, name: str, event: Event) -> None:
        """Tell one listener one event; its exceptions pass through."""
        if name in self._functions:
            wanted, function = self._functions[name]
            if event.name == wanted:
                function(event)
            return
        for plugin, function in self._implementations("prepaid_event"):
            if plugin == name:
                function(event)

    def listing(self) -> tuple[PluginInfo, ...]:
        """List the loaded plugins with their hooks."""
        return tuple(
            PluginInfo(name, tuple(sorted(caller.name for caller in self._manager.get_hookcallers(plugin) or ())))
            for name, plugin in self._manager.list_name_plugin()
            if plugin is not None
        )

    def _implementations(self, hook: str) -> list[tuple[str, Callable[[Any], Any]]]:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return [
            (implementation.plugin_name, _one_argument(implementation)) for implementation in caller.get_hookimpls()
        ]


def _checked(item: Any, is_one: bool, *, plugin: str, hook: str, noun: str) -> Any:
    if not is_one:
        raise ConfigurationError(f"The plugin {plugin!r} returned {type(item).__name__} from {hook}, not a {noun}.")
    return item


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _sentences(told: object) -> list[str]:
    """Give what a plugin objects, if a customer can read it."""
    # One text would be read letter by letter, and an empty one as no objection at all.
    if isinstance(told, str) or not isinstance(told, Iterable):
        raise ConfigurationError(f"Objections are a list of sentences, not {type(told).__name__}.")
    found = list(islice(told, MOST_OBJECTIONS + 1))
    if len(found) > MOST_OBJECTIONS:
        raise ConfigurationError(f"A plugin objects in at most {MOST_OBJECTIONS} sentences.")
    return [check_text(each, field="objection", longest=MAX_LINE, empty=False) for each in found]


def _is_exporter(item: object) -> bool:
    # Its attributes may be those of its class, which is then no exporter all the same.
    return isinstance(item, Exporter) and not isinstance(item, type)


def _fitting(decision: object, request: TaxRequest) -> TaxDecision:
    if not isinstance(decision, TaxDecision):
        raise ConfigurationError(f"prepaid_decide_tax gives a TaxDecision, not {type(decision).__name__}.")
    priced = decision.gross if request.seller.prices == "inclusive" else decision.net
    if priced != request.price:
        raise ConfigurationError("The decision is about another price.")
    for amount in (decision.net, decision.gross, *(line.amount for line in decision.lines if line.amount)):
        require_whole_minor(amount)
    _check_kept(decision)
    return decision


def _check_kept(decision: TaxDecision) -> None:
    """Make sure that documents can keep a decision: what fails only when a payment is credited, fails too late."""
    if decision_from_record(json.loads(canonical_json(decision_record(decision)))) != decision:
        raise ConfigurationError("A part of the decision is of another type or currency.")
    if any(amount.units < 0 for amount in (decision.total, *(line.amount for line in decision.lines))):
        raise ConfigurationError("A tax is not less than zero.")
    if decision.reason == NOT_SOLD or any(not 0 <= line.base.units <= decision.gross.units for line in decision.lines):
        raise ConfigurationError("The base of a tax is a part of the price, and what is decided is sold.")
    for text in (*decision.rule_ids, *decision.evidence, *decision.warnings):
        check_text(text, field="tax", longest=MAX_LINE)


def _one_argument(implementation: pluggy.HookImpl) -> Callable[[Any], Any]:
    # pluggy lets an implementation leave arguments out; ours have one or none.
    def call(value: Any) -> Any:
        return implementation.function(*([value] if implementation.argnames else []))

    return call
