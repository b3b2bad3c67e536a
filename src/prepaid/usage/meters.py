"""Meters: resources that accrue an hourly rate, started, changed and stopped by the host.

Hours count from the start. A restart within an hour already begun goes on in
that hour; a later one begins a new meter and a new count. What the hours cost
is decided in `prepaid.core.metering` and charged by `prepaid.usage.billing`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

from .. import customers
from ..config import Context
from ..core.errors import InvalidRequest, KeyConflict, NotFound, WrongState
from ..core.ids import check_key, check_text
from ..core.instants import check_instant, to_micros
from ..core.metering import end_of_count
from ..core.rates import Rate
from ..core.usage import Meter
from ..store import Duplicate, Tx, accounts, meters, resources
from ..store.meters import StoredMeter
from ..wallets import levels

T = TypeVar("T")

MOST_LATE: Final = timedelta(days=366)
"""How long after it happened a start, a change or a stop may be told: each of its hours is charged."""


def start(
    context: Context,
    customer_id: str,
    *,
    resource: str,
    rate: Rate,
    kind: str = "",
    project: str = "",
    at: datetime | None = None,
) -> Meter:
    """Let a resource accrue a rate from ``at`` (now if None); the same start again changes nothing.

    A restart in an hour that was begun before goes on in that hour, at another
    rate as if it had been changed.

    Raises:
        WrongState: The resource runs already or is billed elsewhere
            (``resource``); or ``at`` lies before the last stop, or in hours
            that were counted on other terms (``at``).
        NotFound: The customer is not registered.
        InvalidRequest: An argument has the wrong form, or ``at`` is in the future
            or more than a year back.
    """
    customer = customers.require(context, customer_id)
    _check_rate(rate)
    context.currency_or_default(rate.currency)
    check_key(resource, field="resource")
    for name, value in (("kind", kind), ("project", project)):
        check_text(value, field=name, longest=120)
    started_at = _instant(context, at)
    accounts.ensure_wallet(context.database, customer.id, rate.currency, context.now())
    meter = Meter(
        resource=resource,
        customer=customer.id,
        kind=kind,
        project=project,
        rate=rate,
        started_at=started_at,
        stopped_at=None,
        billed_until=started_at,
    )
    return _move_rates(context, lambda tx: _begin(tx, context, meter))


def _move_rates(context: Context, work: Callable[[Tx], Meter]) -> Meter:
    """Start, change or stop a meter; levels that are hours of runway move with the rates that run."""

    def act(tx: Tx) -> Meter:
        meter = work(tx)
        levels.refresh(tx, context, meter.customer, currency=meter.rate.currency, about=context.ids.new("lvl"))
        return meter

    return _again_if_met(context, act)


def _again_if_met(context: Context, work: Callable[[Tx], T]) -> T:
    """Run a transaction, and once more if somebody else met the same resource for the first time."""
    try:
        return context.database.write(work)
    except Duplicate:
        return context.database.write(work)


def _check_rate(rate: object) -> None:
    if not isinstance(rate, Rate):
        raise InvalidRequest("rate is a Rate, such as Rate.hourly('0.00744', 'EUR').", field="rate")


def _instant(context: Context, at: datetime | None) -> datetime:
    now = context.now()
    instant = now if at is None else check_instant(at, field="at")
    if instant > now:
        raise InvalidRequest("at lies in the future.", field="at")
    if instant < now - MOST_LATE:
        raise InvalidRequest(f"at lies more than {MOST_LATE.days} days back.", field="at")
    return instant


def _begin(tx: Tx, context: Context, meter: Meter) -> Meter:
    resources.hold(tx, meter.resource, context.now())
    before = _hold(tx, meter.resource)
    if before is not None and before.meter.stopped_at is None:
        return _started_before(tx, before, meter)
    if resources.billed_elsewhere(tx, (meter.resource,)):
        raise WrongState("The resource is billed elsewhere.", field="resource")
    if before is None or not _is_counted(before, meter.started_at):
        meters.add(tx, context.ids.new("mtr"), meter)
        return meter
    _check_goes_on(before, meter)
    meters.resume(tx, before, meter.rate, meter.started_at)
    return _current(tx, meter.resource)


def _is_counted(stopped: StoredMeter, at: datetime) -> bool:
    """Tell whether an instant lies in the hours of a meter that stopped.

    Raises:
        WrongState: It lies before the stop.
    """
    old = stopped.meter
    if old.stopped_at is None or stopped.ended_at is None or at < old.stopped_at or at == stopped.since:
        raise WrongState("The resource was metered until after that time.", field="at")
    return to_micros(at) < end_of_count(to_micros(old.started_at), to_micros(stopped.ended_at))


def _started_before(tx: Tx, running: StoredMeter, meter: Meter) -> Meter:
    """Give a meter that runs, if it is this very start that made it run."""
    same = _content(running.meter) == _content(meter)
    if not same or meters.rate_from(tx, running, meter.started_at) != meter.rate:
        raise WrongState("The resource is metered already.", field="resource")
    return running.meter


def _content(meter: Meter) -> tuple[str, str, str, str, str]:
    return meter.customer, meter.kind, meter.project, meter.rate.currency, meter.rate.increment


def _check_goes_on(before: StoredMeter, meter: Meter) -> None:
    """Make sure that a restart may go on in an hour that was begun before.

    Raises:
        WrongState: The hour belongs to somebody or something else, or was charged.
    """
    if _content(before.meter) != _content(meter):
        raise WrongState(
            "The hour already begun belongs to another customer, kind, project, currency or increment.", field="at"
        )
    charged, ended = meter.started_at < before.meter.billed_until, before.ended_at
    other = meter.rate != before.meter.rate
    if meter.started_at < before.since or (other and (charged or meter.started_at == before.since)):
        raise WrongState("That time was counted at another rate.", field="at")
    # A counted hour knows only the seconds that ran; with whole hours there is nothing to add to it.
    if charged and meter.rate.increment == "second" and ended is not None and ended < before.meter.billed_until:
        raise WrongState("That time was counted as stopped.", field="at")


def _current(tx: Tx, resource: str) -> Meter:
    stored = meters.latest(tx, resource)
    if stored is None:
        raise NotFound("There is no running meter of that resource.", field="resource")
    return stored.meter


def _hold(tx: Tx, resource: str) -> StoredMeter | None:
    """Read the newest meter of a resource and keep its row from others until the commit."""
    stored = meters.latest(tx, resource)
    while stored is not None:
        held = meters.lock(tx, stored)
        # While we waited, hours may have been charged, and a newer meter begun.
        known, stored = stored, meters.latest(tx, resource)
        if held and stored is not None and stored.id == known.id:
            return stored
    return None


def _hold_running(tx: Tx, resource: str) -> StoredMeter:
    stored = _hold(tx, resource)
    if stored is None or stored.meter.stopped_at is not None:
        raise NotFound("There is no running meter of that resource.", field="resource")
    return stored


def change(context: Context, resource: str, *, rate: Rate, at: datetime | None = None) -> Meter:
    """Let a running resource accrue another rate from ``at`` (now if None).

    With increment ``"hour"`` the hour in which it changes costs the highest
    rate in force in it, with ``"second"`` pro rata. The same change again
    changes nothing.

    Raises:
        NotFound: The resource has no running meter.
        InvalidRequest: ``rate`` has another currency or increment than the
            meter; ``at`` is before the start or an earlier change, or in the
            future.
        WrongState: ``at`` lies in hours that were counted.
        KeyConflict: Another rate began at that very instant.
    """
    check_key(resource, field="resource")
    _check_rate(rate)
    changed_at = _instant(context, at)

    def work(tx: Tx) -> Meter:
        stored = _hold_running(tx, resource)
        if not _changed_before(tx, stored, rate, changed_at):
            _check_change(stored, rate, changed_at)
            meters.change(tx, stored, rate, changed_at)
        return _current(tx, resource)

    return _move_rates(context, work)


def _changed_before(tx: Tx, stored: StoredMeter, rate: Rate, at: datetime) -> bool:
    known = meters.rate_from(tx, stored, at)
    if known is not None and known != rate:
        raise KeyConflict("Another rate began at that very instant.", field="at")
    return known is not None


def _check_change(stored: StoredMeter, rate: Rate, at: datetime) -> None:
    old = stored.meter.rate
    if (rate.currency, rate.increment) != (old.currency, old.increment):
        raise InvalidRequest("A rate is changed within its currency and increment.", field="rate")
    if at < stored.meter.started_at:
        raise InvalidRequest("at is before the meter's start.", field="at")
    if at < stored.meter.billed_until:
        raise WrongState("That time is charged already.", field="at")
    if at < stored.since:
        raise InvalidRequest("at is before an earlier change or start.", field="at")


def stop(context: Context, resource: str, *, at: datetime | None = None) -> Meter:
    """Let a resource accrue no more from ``at`` (now if None); what it began is still charged.

    The same stop again changes nothing. A stop told late is taken: hours that
    were charged beyond it stay charged, up to ``billed_until`` of the result.

    Raises:
        NotFound: The resource has no running meter.
        InvalidRequest: ``at`` is before the start, or before a stop and restart;
            in the future; or more than a year back.
    """
    check_key(resource, field="resource")
    stopped_at = _instant(context, at)

    def work(tx: Tx) -> Meter:
        stored = _hold(tx, resource)
        if stored is not None and stored.meter.stopped_at == stopped_at:
            return stored.meter
        if stored is None or stored.meter.stopped_at is not None:
            raise NotFound("There is no running meter of that resource.", field="resource")
        if stopped_at < stored.since and not meters.ran_since(tx, stored.id, stopped_at):
            raise InvalidRequest("at is before the meter's start, or its last one.", field="at")
        meters.stop(tx, stored, stopped_at)
        return _current(tx, resource)

    return _move_rates(context, work)


def assign(context: Context, resource: str, biller: str) -> None:
    """Say who bills a resource: ``"prepaid"`` (as it is for all others) or the name of another biller.

    What another biller bills can be neither metered nor charged here.

    Raises:
        WrongState: Its meter runs and the biller is another.
        InvalidRequest: An argument has the wrong form.
    """
    check_key(resource, field="resource")
    check_key(biller, field="biller")

    def work(tx: Tx) -> None:
        resources.hold(tx, resource, context.now())
        stored = meters.latest(tx, resource)
        if biller != resources.PREPAID and stored is not None and stored.meter.stopped_at is None:
            raise WrongState("A meter of the resource runs; stop it first.", field="resource")
        resources.assign(tx, resource, biller)

    _again_if_met(context, work)


def owner(context: Context, resource: str) -> str:
    """Say who bills a resource: ``"prepaid"`` unless another biller was assigned.

    Raises:
        InvalidRequest: Not the name of a resource.
    """
    check_key(resource, field="resource")
    return context.database.read(lambda tx: resources.biller_of(tx, resource))


def running(context: Context, customer_id: str) -> tuple[Meter, ...]:
    """Read the running meters of a customer at their current rates, in all currencies, by resource."""
    return tuple(context.database.read(lambda tx: meters.running_of(tx, customer_id)))
