"""Figures gateway by gateway."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

from attrs import frozen

from ..config import Context
from ..core.figures import GATEWAY_FIGURES, figures, gateway_of
from ..core.money import Money
from ..store.flows import Flow
from .spans import read_span
from .sums import moved


@frozen(kw_only=True)
class GatewayFigures:
    """Figures of one currency at one gateway.

    Attributes:
        gateway: Its name. None for payments that were credited out of review: they came
            to suspense by a gateway and left it by none.
        funds_in: Paid for credited top-ups, tax included.
        refunds_issued: Money given back for credited top-ups, tax included, less what came back.
        fees: What the gateway kept, of payments and disputes.
        disputed: Money that it took back for disputes, less what it returned.
    """

    gateway: str | None
    funds_in: Money
    refunds_issued: Money
    fees: Money
    disputed: Money


def by_gateway(
    context: Context, since: date, until: date, *, currency: str | None = None
) -> tuple[GatewayFigures, ...]:
    """Sum one currency over ``[since, until)`` at each gateway where money moved, by name; what has none comes last.

    All of them together are the figures of the same names of `prepaid.Summary`.

    Args:
        context: The billing system.
        since: First day in the seller's zone, or an aware instant.
        until: First day after, or an aware instant.
        currency: The book's default if None.

    Raises:
        InvalidRequest: Not days or instants from 1970 on, or in the wrong order.
        InvalidAmount: Not a currency code.
    """
    code, span = context.currency_or_default(currency), read_span(context, since, until)
    found = context.database.read(lambda tx: moved(tx, span.timezone, code, since=span.since, until=span.until))
    of_gateway: dict[str | None, list[Flow]] = defaultdict(list)
    for flow in found:
        of_gateway[gateway_of(flow)].append(flow)
    sums = {gateway: figures(flows) for gateway, flows in of_gateway.items()}
    shown = [name for name in sums if name is not None or any(sums[name][figure] for figure in GATEWAY_FIGURES)]
    return tuple(
        GatewayFigures(gateway=name, **{figure: Money(sums[name][figure], code) for figure in GATEWAY_FIGURES})
        for name in sorted(shown, key=lambda name: (name is None, name or ""))
    )
