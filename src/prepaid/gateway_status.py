"""How the gateways are: credentials, last webhook, what may still be paid."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from .config import Context
from .core.errors import GatewayError
from .offering import rules
from .ports import Health, Mode
from .store import topups, webhook_events


@frozen(kw_only=True)
class GatewayStatus:
    """How a gateway is.

    Attributes:
        name: Its name.
        label: What customers read.
        mode: ``"test"`` or ``"live"``.
        enabled: It is offered to customers.
        countries: Countries in which it is offered; None for all.
        health: Whether it takes our credentials.
        last_webhook_at: When its last verified webhook came, or None.
        open_topups: Top-ups that may still be paid there.
    """

    name: str
    label: str
    mode: Mode
    enabled: bool
    countries: tuple[str, ...] | None
    health: Health
    last_webhook_at: datetime | None
    open_topups: int


def statuses(context: Context) -> tuple[GatewayStatus, ...]:
    """Ask every gateway whether it takes our credentials, in the operator's order."""
    return tuple(_status(context, name) for name in context.gateways)


def _status(context: Context, name: str) -> GatewayStatus:
    gateway = context.gateways[name]
    try:
        health = gateway.check_credentials()
    except GatewayError as error:
        health = Health(ok=False, detail=str(error))
    last, waiting = context.database.read(lambda tx: (webhook_events.last_at(tx, name), topups.count_open(tx, name)))
    offered = rules(context)
    return GatewayStatus(
        name=name,
        label=gateway.label,
        mode=context.mode,
        enabled=name not in offered.disabled,
        countries=offered.countries.get(name),
        health=health,
        last_webhook_at=last,
        open_topups=waiting,
    )
