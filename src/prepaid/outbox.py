"""Effects after commit: events for listeners, and the loop that delivers everything.

An effect is written in the transaction that causes it and delivered at least
once, with the same id each time. A failed attempt waits longer each time and is
parked for an operator after the last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from .config import Context
from .core.events import Event
from .core.instants import from_micros, to_micros
from .core.money import Money
from .store import Tx, outbox

log = logging.getLogger("prepaid.outbox")

EVENT: Final = "event"
INVOICE_MAIL: Final = "invoice-mail"
DIGEST_MAIL: Final = "digest-mail"
FREED_CREDIT: Final = "freed-credit"

RETRY_AFTER: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 43200)
)
"""Waits between attempts: about 27 hours in all."""

Handler = Callable[[Context, outbox.Effect], None]


class PartlyDelivered(Exception):
    """Some receivers have the effect; ``done`` names them."""

    def __init__(self, done: tuple[str, ...], failed: str) -> None:
        super().__init__(failed)
        self.done = done


def add(tx: Tx, context: Context, topic: str, *, dedupe_key: str, payload: Mapping[str, Any]) -> None:
    """Write an effect; the same key of a topic can be written once."""
    now = context.now()
    outbox.add(tx, id=context.ids.new("out"), topic=topic, dedupe_key=dedupe_key, payload=dict(payload), now=now)


def emit(
    tx: Tx,
    context: Context,
    name: str,
    *,
    about: str,
    customer: str | None = None,
    amount: Money | None = None,
    **details: str,
) -> None:
    """Tell an event after commit; ``about`` makes it unique among events of its name."""
    payload = {
        "name": name,
        "at": to_micros(context.now()),
        "customer": customer,
        "amount": None if amount is None else [str(amount.units), amount.currency],
        "details": details,
    }
    add(tx, context, EVENT, dedupe_key=f"{name}/{about}", payload=payload)


def exists(tx: Tx, name: str, about: str) -> bool:
    """Tell whether an event was written."""
    return outbox.exists(tx, EVENT, f"{name}/{about}")


def deliver_event(context: Context, effect: outbox.Effect) -> None:
    """Tell an event to every listener that has not heard it yet.

    Raises:
        PartlyDelivered: At least one listener failed; the others have it.
    """
    event = _event(context, effect)
    heard, failed = list(effect.progress), []
    for name in context.listeners.names():
        if name in heard:
            continue
        try:
            context.listeners.deliver(name, event)
            heard.append(name)
        except Exception:
            # One listener must not keep the others from hearing; it is told again later.
            log.exception("listener %s failed on event %s", name, event.name)
            failed.append(name)
    if failed:
        raise PartlyDelivered(tuple(heard), f"failed: {', '.join(failed)}")


def _event(context: Context, effect: outbox.Effect) -> Event:
    payload, amount = effect.payload, effect.payload["amount"]
    return Event(
        id=effect.id.replace("out_", "evt_", 1),
        name=payload["name"],
        at=from_micros(payload["at"]),
        book=context.book,
        mode=context.mode,
        customer=payload["customer"],
        amount=None if amount is None else Money(int(amount[0]), amount[1]),
        details=payload["details"],
    )


def drain(context: Context, handlers: Mapping[str, Handler], *, until: datetime | None = None, batch: int = 50) -> int:
    """Deliver what is due, and give how many effects were had.

    Args:
        context: The billing system.
        handlers: What to do by topic; other topics wait.
        until: Stop beginning new deliveries after this instant.
        batch: Effects read at a time.
    """
    delivered = 0
    topics = tuple(handlers)
    while True:
        now = context.now()
        effects = _due(context, topics, now, batch)
        tried = 0
        for effect in effects:
            if until is not None and context.now() >= until:
                return delivered
            if effect.attempts > len(RETRY_AFTER):
                _park(context, effect)
            elif (claimed := _claim(context, effect)) is not None:
                tried += 1
                delivered += _deliver(context, claimed, handlers[claimed.topic])
        if not tried:
            return delivered


def deliver_now(context: Context, topic: str, dedupe_key: str, handler: Handler) -> bool:
    """Deliver one effect if its time has come, and tell whether it was had, now or before."""
    effect = context.database.read(lambda tx: outbox.find_due(tx, topic, dedupe_key, context.now()))
    claimed = None if effect is None else _claim(context, effect)
    if claimed is not None:
        _deliver(context, claimed, handler)
    return context.database.read(lambda tx: outbox.state_of(tx, topic, dedupe_key)) == "done"


def _due(context: Context, topics: tuple[str, ...], now: datetime, batch: int) -> list[outbox.Effect]:
    return context.database.read(lambda tx: outbox.due(tx, topics, now, limit=batch))


def _claim(context: Context, effect: outbox.Effect) -> outbox.Effect | None:
    return context.database.write(lambda tx: outbox.claim(tx, effect))


def _park(context: Context, effect: outbox.Effect) -> None:
    """Give up an effect that takes its worker down each time, before it can say why."""
    context.database.write(
        lambda tx: outbox.postpone(
            tx, effect, next_at=None, error="its worker ended each time", progress=effect.progress
        )
    )


def _deliver(context: Context, effect: outbox.Effect, handler: Handler) -> bool:
    try:
        handler(context, effect)
    except Exception as error:
        if not isinstance(error, PartlyDelivered):
            log.warning("%s %s failed: %s", effect.topic, effect.id, type(error).__name__)
        _postpone(context, effect, error)
        return False
    now = context.now()
    context.database.write(lambda tx: outbox.finish(tx, effect, now))
    return True


def _postpone(context: Context, effect: outbox.Effect, error: Exception) -> None:
    done = error.done if isinstance(error, PartlyDelivered) else effect.progress
    last = effect.attempts > len(RETRY_AFTER)
    next_at = None if last else context.now() + RETRY_AFTER[effect.attempts - 1]
    # The class only: a driver's message may carry an address or a password.
    text = str(error) if isinstance(error, PartlyDelivered) else type(error).__name__
    context.database.write(lambda tx: outbox.postpone(tx, effect, next_at=next_at, error=text, progress=done))
