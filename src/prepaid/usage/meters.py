"""Meters: resources that accrue an hourly rate, charged for every started hour.

Hours count from the start. An hour is charged once, when it has ended, also if
the resource stopped in it; a restart within an hour already begun goes on in
that hour. Performed usage is posted even below zero.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from functools import partial

from attrs import evolve, frozen

from .. import customers, wallets
from ..config import Context
from ..core.errors import AmountOutOfRange, InvalidRequest, NotFound, RequestRefused, WrongState
from ..core.ids import check_key, check_text
from ..core.instants import check_instant, to_micros
from ..core.keys import metered_hour, period_key
from ..core.money import Money
from ..core.rates import Rate
from ..core.usage import BillingRun, Meter
from ..store import Duplicate, Tx, accounts, meters
from ..store.ledger import Header, Label
from ..store.meters import HOUR, StoredMeter
from ..wallets import levels

HOURS_A_TRANSACTION = 200
METERS_A_PAGE = 200


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

    Raises:
        WrongState: The resource is metered already with other content, or
            ``at`` lies in hours that were counted before.
        NotFound: The customer is not registered.
        InvalidRequest: An argument has the wrong form, or ``at`` is in the future.
    """
    customer = customers.require(context, customer_id)
    if not isinstance(rate, Rate):
        raise InvalidRequest("rate is a Rate, such as Rate.hourly('0.00744', 'EUR').", field="rate")
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

    def work(tx: Tx) -> Meter:
        begun = _begin(tx, context, meter)
        _rates_moved(tx, context, meter)
        return begun

    try:
        return context.database.write(work)
    except Duplicate:  # started by somebody else at the same moment
        return context.database.write(work)


def _rates_moved(tx: Tx, context: Context, meter: Meter) -> None:
    """Tell levels that are hours of runway, and moved with the rates that run."""
    levels.refresh(tx, context, meter.customer, currency=meter.rate.currency, about=context.ids.new("lvl"))


def _instant(context: Context, at: datetime | None) -> datetime:
    now = context.now()
    instant = now if at is None else check_instant(at, field="at")
    if instant > now:
        raise InvalidRequest("at lies in the future.", field="at")
    return instant


def _begin(tx: Tx, context: Context, meter: Meter) -> Meter:
    before = _hold(tx, meter.resource)
    if before is None:
        meters.add(tx, context.ids.new("mtr"), meter)
        return meter
    old = before.meter
    if old.stopped_at is None:
        if (old.started_at, _content(old)) == (meter.started_at, _content(meter)):
            return old
        raise WrongState("The resource is metered already.", field="resource")
    if meter.started_at < old.stopped_at:
        raise WrongState("The resource was metered until after that time.", field="at")
    # Hours charged beyond a stop that came late count as begun.
    counted = old.started_at + HOUR * max(_hours_begun(old), before.billed_hours)
    if meter.started_at >= counted:
        meters.add(tx, context.ids.new("mtr"), meter)
        return meter
    if _content(old) != _content(meter):
        raise WrongState("The hour already begun belongs to another customer, rate, kind or project.", field="at")
    due_at = old.started_at + HOUR * (before.billed_hours + 1)
    meters.resume(tx, before.id, meter.resource, due_at=due_at)
    resumed = meters.latest(tx, meter.resource)
    return meter if resumed is None else resumed.meter


def _content(meter: Meter) -> tuple[str, Rate, str, str]:
    return meter.customer, meter.rate, meter.kind, meter.project


def _hold(tx: Tx, resource: str) -> StoredMeter | None:
    """Read the newest meter of a resource and keep its row from others until the commit."""
    stored = meters.latest(tx, resource)
    while stored is not None:
        held = meters.lock(tx, stored)
        # While we waited, hours may have been charged, and a newer meter begun.
        stored = meters.latest(tx, resource)
        if held is not None and stored is not None and stored.id == held.id:
            return held
    return None


def _hours_begun(meter: Meter) -> int:
    if meter.stopped_at is None:
        raise InvalidRequest("The meter runs.", field="resource")
    # Rounded up; a stop at the very start still used a moment of the first hour.
    return max(1, -((meter.started_at - meter.stopped_at) // HOUR))


def stop(context: Context, resource: str, *, at: datetime | None = None) -> Meter:
    """Let a resource accrue no more from ``at`` (now if None); its begun hour is still charged.

    The same stop again changes nothing. A stop told late is taken: hours that
    were charged beyond it stay charged, up to ``billed_until`` of the result.

    Raises:
        NotFound: The resource has no running meter.
        InvalidRequest: ``at`` is before the start or in the future.
    """
    check_key(resource, field="resource")
    stopped_at = _instant(context, at)

    def work(tx: Tx) -> Meter:
        stored = _hold(tx, resource)
        if stored is not None and stored.meter.stopped_at == stopped_at:
            return stored.meter
        if stored is None or stored.meter.stopped_at is not None:
            raise NotFound("There is no running meter of that resource.", field="resource")
        if stopped_at < stored.meter.started_at:
            raise InvalidRequest("at is before the meter's start.", field="at")
        ended = evolve(stored.meter, stopped_at=stopped_at)
        meters.stop(tx, stored.id, stopped_at, due_at=_due_at(ended, stored.billed_hours))
        _rates_moved(tx, context, ended)
        return ended

    return context.database.write(work)


def _due_at(meter: Meter, billed_hours: int) -> datetime | None:
    """Give when the next hour that must be charged ends; None if there is none."""
    if meter.stopped_at is not None and billed_hours >= _hours_begun(meter):
        return None
    return meter.started_at + HOUR * (billed_hours + 1)


def bill(context: Context, *, until: datetime | None = None, stop_at: datetime | None = None) -> BillingRun:
    """Charge every hour that ended by ``until`` (now if None); repeatable and resumable.

    Args:
        context: The billing system.
        until: Hours that end later wait; never later than now.
        stop_at: Begin no further meter after this instant, for jobs with a budget.
    """
    began = time.monotonic()
    limit = min(context.now(), context.now() if until is None else check_instant(until, field="until"))
    charges, customers_seen, refused = 0, set[str](), list[tuple[str, str]]()
    totals: Counter[str] = Counter()
    place: tuple[datetime, str] | None = None
    while page := _page(context, limit, place):
        for _, stored in page:
            if stop_at is not None and context.now() >= stop_at:
                break
            count, units = _bill_meter(context, stored, limit, refused)
            charges += count
            totals[stored.meter.rate.currency] += units
            if count:
                customers_seen.add(stored.meter.customer)
        place = (page[-1][0], page[-1][1].id)
        if stop_at is not None and context.now() >= stop_at:
            break
    return BillingRun(
        charges=charges,
        customers=len(customers_seen),
        total=tuple(Money(units, currency) for currency, units in sorted(totals.items()) if units),
        refused=tuple(refused),
        duration=time.monotonic() - began,
    )


def _page(context: Context, until: datetime, place: tuple[datetime, str] | None) -> list[tuple[datetime, StoredMeter]]:
    return context.database.read(lambda tx: meters.due(tx, until, after=place, limit=METERS_A_PAGE))


def _bill_meter(
    context: Context, stored: StoredMeter, until: datetime, refused: list[tuple[str, str]]
) -> tuple[int, int]:
    """Charge what one meter owes, in transactions of bounded length; gives hours and ledger units."""
    # Opened before the transaction that posts to them, and remembered.
    wallets.revenue_accounts(context, stored.meter.rate.currency)
    charges, units, most = 0, 0, HOURS_A_TRANSACTION
    current: StoredMeter | None = stored
    while current is not None:
        post = partial(_bill_hours, context=context, stored=current, until=until, most=most)
        try:
            done = context.database.write(post)
        except Duplicate:
            # The host charged one of these hours itself: find it hour by hour, and leave it at that charge.
            if most > 1:
                most = 1
                continue
            refused.append((stored.meter.resource, "period-charged"))
            done = context.database.write(partial(post, charged=True))
            most = HOURS_A_TRANSACTION
        except RequestRefused as error:  # no amount that 64 bits hold; the other meters go on
            refused.append((stored.meter.resource, error.code))
            break
        charges, units = charges + done.charges, units + done.units
        current = done.rest
    return charges, units


@frozen
class _Done:
    """What one transaction over a meter charged, and the meter if hours are left."""

    charges: int
    units: int
    rest: StoredMeter | None


def _bill_hours(
    tx: Tx, *, context: Context, stored: StoredMeter, until: datetime, most: int, charged: bool = False
) -> _Done:
    """Post up to ``most`` hours of a meter, or pass over those that are ``charged`` already.

    Raises:
        RequestRefused: The cost, or the debt after it, is larger than the ledger can hold.
    """
    held = meters.lock(tx, stored)
    if held is None:  # another worker is at it
        return _Done(0, 0, None)
    meter, charges, units = held.meter, 0, 0
    system = wallets.revenue_accounts(context, meter.rate.currency)
    first = held.billed_hours
    # Never back: a clock that jumped back must not undo hours that are charged.
    last = max(first, min(_billable(meter, until), first + most))
    for number in range(first, last):
        cost = meter.rate.cost_of_hour(number)
        if cost and not charged:
            posted = wallets.post_debit(tx, context, _hour_debit(context, meter, number, cost), system)
            if not isinstance(posted, wallets.Done):
                raise AmountOutOfRange("The debt would be larger than the ledger can hold.", field="amount")
            charges, units = charges + 1, units + cost.units
    meters.advance(tx, held.id, billed_hours=last, due_at=_due_at(meter, last))
    left = last < _billable(meter, until)
    rest = StoredMeter(id=held.id, meter=meter, billed_hours=last) if left else None
    return _Done(charges, units, rest)


def _billable(meter: Meter, until: datetime) -> int:
    """Count the hours that ended by ``until`` and had begun before a stop."""
    ended = max(0, (until - meter.started_at) // HOUR)
    return ended if meter.stopped_at is None else min(ended, _hours_begun(meter))


def _hour_debit(context: Context, meter: Meter, number: int, cost: Money) -> wallets.Debit:
    start = meter.started_at + HOUR * number
    micros, now, book = str(to_micros(start)), context.now(), context.database.book_id
    identity = metered_hour(book, customer=meter.customer, resource=meter.resource, start=micros, amount=str(cost))
    header = Header(
        transaction_id=context.ids.new("txn"),
        kind="charge",
        cause_type="meter",
        cause_id=meter.resource,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor="system",
        effective_at=start + HOUR,
        posted_at=now,
    )
    label = Label(
        description=f"{meter.resource}, 1 h",
        resource=meter.resource,
        resource_kind=meter.kind or None,
        project=meter.project or None,
        period_start=start,
        period_end=start + HOUR,
        charge_period_key=period_key(book, meter.resource, micros),
    )
    return wallets.Debit(customer=meter.customer, amount=cost, performed=True, header=header, label=label)


def running(context: Context, customer_id: str) -> tuple[Meter, ...]:
    """Read the running meters of a customer, in all currencies, by resource."""
    return tuple(context.database.read(lambda tx: meters.running_of(tx, customer_id)))
