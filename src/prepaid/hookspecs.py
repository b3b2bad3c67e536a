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
from .ports import Gateway, Mode

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
def prepaid_event(event: Event) -> None:
    """Hear a fact after it was committed.

    Called from ``run_due`` for each plugin on its own, in no transaction, at
    least once for each event and with the same ``event.id`` each time. An
    exception is logged and the event told again later, to this plugin only; it
    never undoes anything. Since 0.1.
    """
