"""How the gateways are: credentials, last webhook, what may still be paid."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from .config import Context
from .core.errors import GatewayError
from .ports import Health
from .store import operations, topups


@frozen(kw_only=True)
class GatewayStatus:
    """How a gateway is.

    Attributes:
        name: Its name.
        label: What customers read.
        health: Whether it takes our credentials.
        last_webhook_at: When its last verified webhook came, or None.
        open_topups: Top-ups that may still be paid there.
    """

    name: str
    label: str
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
    last, waiting = context.database.read(lambda tx: (operations.last_event_at(tx, name), topups.count_open(tx, name)))
    return GatewayStatus(name=name, label=gateway.label, health=health, last_webhook_at=last, open_topups=waiting)
