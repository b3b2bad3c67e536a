"""Billing: charging the hours of meters that have ended, in chunks of one transaction each.

A chunk holds the meters that are due, counts their hours, posts the charges and
moves the meters on, all or nothing. It may be cut off anywhere and run again,
by several workers at once: what one of them holds the others pass over.
Performed usage is posted even below zero.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Final, NamedTuple

from attrs import Factory, define, frozen

from .. import wallets
from ..config import Context
from ..core.errors import IntegrityFault, InvalidRequest
from ..core.instants import check_instant, from_micros, to_micros
from ..core.keys import metered_hour, period_key
from ..core.metering import HOUR, HOUR_S, Hour, Meterage, count_hours, due_at, hours_owed
from ..core.money import Money
from ..core.usage import BillingRun
from ..store import Duplicate, Tx, due_meters
from ..store.bulk import MeterChange
from ..store.due_meters import DueMeter
from ..store.ledger import Header, Label
from ..system import collector_paused

CHARGES_A_TRANSACTION = 10_000
"""At most; a chunk holds as many meters, or fewer with several hours each."""

STRETCH: Final = 10
"""How many chunks are looked for at once."""

OUT_OF_RANGE: Final = "amount-out-of-range"
KEY_CONFLICT: Final = "key-conflict"
PERIOD_CHARGED: Final = "period-charged"
RATE_UNREADABLE: Final = "rate-unreadable"

Progress = Callable[[int, int | None], object]
"""Told how many hours were counted so far, and how many were due when the run began."""

_Hold = Callable[[Tx, datetime], list[DueMeter]]


class _Charge(NamedTuple):
    """An hour of a held meter that costs something; who pays, and how much, as `wallets.post_debits` asks first."""

    customer: str
    amount: Money
    meter: DueMeter
    hour: Hour


@frozen(kw_only=True)
class _Chunk:
    """What one transaction did."""

    hours: int = 0
    charged: Sequence[_Charge] = ()
    refused: tuple[tuple[str, str], ...] = ()


@define
class _Tally:
    """What a run did so far; ``stuck`` are the ids of meters it gave up."""

    hours: int = 0
    charges: int = 0
    customers: set[str] = Factory(set)
    totals: Counter[str] = Factory(Counter)
    refused: dict[tuple[str, str], None] = Factory(dict)
    stuck: set[str] = Factory(set)

    def add(self, chunk: _Chunk) -> None:
        self.hours += chunk.hours
        self.charges += len(chunk.charged)
        self.refused |= dict.fromkeys(chunk.refused)
        for charge in chunk.charged:
            self.customers.add(charge.customer)
            self.totals[charge.amount.currency] += charge.amount.units

    def give_up(self, meter: DueMeter, reason: str) -> None:
        self.stuck.add(meter.id)
        self.refused[meter.resource, reason] = None


@frozen(kw_only=True)
class _Run:
    """What all transactions of a run share."""

    context: Context
    until: datetime
    accounts: dict[str, wallets.Accounts]
    tally: _Tally = Factory(_Tally)


class _Counted(NamedTuple):
    """A held meter whose hours were counted, and which of them are charged."""

    meter: DueMeter
    hours: int
    move: MeterChange
    charges: list[_Charge]


class _Stuck(Exception):
    """Meters that cannot be charged, each with the reason."""

    def __init__(self, meters: dict[str, tuple[DueMeter, str]]) -> None:
        super().__init__()
        self.meters = tuple(meters.values())


def bill(
    context: Context,
    *,
    until: datetime | None = None,
    stop_at: datetime | None = None,
    on_progress: Progress | None = None,
) -> BillingRun:
    """Charge every hour that ended by ``until`` (now if None); repeatable, and safe to run twice at once.

    Args:
        context: The billing system.
        until: Hours that end later wait; never later than now.
        stop_at: Begin no further transaction from this instant on, for jobs with a budget.
        on_progress: Told after each transaction how many hours were counted
            so far, and how many were due when the run began.

    Raises:
        InvalidRequest: ``until`` is no instant, or ``on_progress`` cannot be called.
    """
    began = time.monotonic()
    now = context.now()
    limit = now if until is None else min(now, check_instant(until, field="until"))
    if on_progress is not None and not callable(on_progress):
        raise InvalidRequest("on_progress is a function of two numbers.", field="on_progress")
    run = _Run(context=context, until=limit, accounts=_accounts(context, limit))
    tell = None if on_progress is None else _teller(run, on_progress)
    while _pass(run, stop_at, tell):
        pass
    return _result(run.tally, time.monotonic() - began)


def _accounts(context: Context, until: datetime) -> dict[str, wallets.Accounts]:
    # Accounts are opened in transactions of their own, before the first that posts to them.
    currencies = context.database.read(lambda tx: due_meters.currencies_due(tx, until))
    return {currency: wallets.revenue_accounts(context, currency) for currency in currencies}


def _teller(run: _Run, on_progress: Progress) -> Callable[[], None]:
    due = run.context.database.read(lambda tx: due_meters.hours_due(tx, run.until))

    def tell() -> None:
        on_progress(run.tally.hours, due)

    return tell


def _result(tally: _Tally, duration: float) -> BillingRun:
    return BillingRun(
        charges=tally.charges,
        customers=len(tally.customers),
        total=tuple(Money(units, currency) for currency, units in sorted(tally.totals.items())),
        refused=tuple(tally.refused),
        duration=duration,
    )


def _pass(run: _Run, stop_at: datetime | None, tell: Callable[[], None] | None) -> bool:
    """Go once through the meters that are due; True if another pass may find more."""
    before = run.tally.hours
    for ids in _chunks(run):
        if stop_at is not None and run.context.now() >= stop_at:
            return False
        run.tally.add(_post_chunk(run, ids))
        if tell is not None:
            tell()
    return run.tally.hours > before


def _chunks(run: _Run) -> Iterator[Sequence[str]]:
    """Give the ids of meters that are due, as many as a transaction takes at a time.

    Those whose hour ended first come first, but of a long stretch of them those
    of one customer together: a wallet is changed once for all of its meters.
    """
    after, size = None, CHARGES_A_TRANSACTION
    while stretch := run.context.database.read(
        lambda tx: due_meters.due(tx, run.until, after=after, limit=STRETCH * size)  # noqa: B023 - called at once
    ):
        after = stretch[-1]
        stretch.sort(key=attrgetter("customer", "due_at", "id"))
        for start in range(0, len(stretch), size):
            yield [place.id for place in stretch[start : start + size]]


def _post_chunk(run: _Run, ids: Sequence[str]) -> _Chunk:
    """Charge some meters in one transaction; those that cannot be charged do not stop the others."""
    hold = partial(due_meters.hold, ids=ids)
    while True:
        try:
            return _write(run, hold)
        except _Stuck as stuck:
            for meter, _ in stuck.meters:
                _post_alone(run, meter)


def _post_alone(run: _Run, meter: DueMeter) -> None:
    """Charge a meter hour by hour as far as it can be, and give it up where it cannot."""
    hold = partial(due_meters.hold, ids=[meter.id])
    try:
        while (chunk := _write(run, hold, most=1)).hours:
            run.tally.add(chunk)
    except _Stuck as stuck:
        for given_up, reason in stuck.meters:
            run.tally.give_up(given_up, reason)


def _write(run: _Run, hold: _Hold, *, most: int | None = None) -> _Chunk:
    for passing in (False, True, True, True):
        try:
            with collector_paused():
                return run.context.database.write(partial(_post, run=run, hold=hold, most=most, passing=passing))
        except Duplicate:  # the host charged one of these hours itself: look which, and leave it at that charge
            continue
    raise IntegrityFault("Hours of meters were charged by somebody else again and again.")


def _post(tx: Tx, *, run: _Run, hold: _Hold, most: int | None, passing: bool) -> _Chunk:
    """Hold meters, count their hours, charge them and move on, in one transaction.

    Raises:
        _Stuck: Some of them cannot be charged.
        sqlalchemy.exc.IntegrityError: The host charged an hour itself, and such hours were not ``passing``.
    """
    now = run.context.now()
    # No hour is charged before it has ended, also if the clock was set back meanwhile.
    until = min(run.until, now)
    held = hold(tx, until)
    if not held:
        return _Chunk()
    share = max(1, CHARGES_A_TRANSACTION // len(held)) if most is None else most
    wanted = [meter for meter in held if _is_wanted(run, meter)]
    counted = [_count(run.context, meter, to_micros(until), most=share) for meter in wanted if meter.segments]
    charges = [charge for one in counted for charge in one.charges]
    passed = _charged_by_host(tx, charges) if passing else set()
    if passed:
        charges = [charge for charge in charges if _period(tx, charge) not in passed]
    if charges:
        charges.sort(key=_order)
        _post_charges(tx, run, charges, now=now, look_up=passing)
    if not due_meters.move(tx, [one.move for one in counted]):
        raise IntegrityFault("A meter that was held was moved by somebody else.")
    return _Chunk(
        hours=sum(one.hours for one in counted),
        charged=charges,
        refused=(*_unreadable(wanted), *_passed_over(tx, counted, passed)),
    )


def _is_wanted(run: _Run, meter: DueMeter) -> bool:
    return not meter.waits and meter.id not in run.tally.stuck and meter.currency in run.accounts


def _count(context: Context, meter: DueMeter, until: int, *, most: int) -> _Counted:
    """Count a meter's next hours, at most so many, that ended by ``until``."""
    meterage = Meterage(meter.started, meter.currency, context.seller.timezone)
    ended = meter.segments[-1].ends
    owed = hours_owed(meterage, ended, meter.counted, until)
    hours, count = count_hours(meter.segments, meter.counted, meterage, most=min(most, owed))
    due = due_at(meter.started, ended, count.until)
    cost = str(count.month_cost)
    move = MeterChange(meter.id, meter.counted.until, count.until, count.residue, count.month, cost, due)
    charges = [_Charge(meter.customer, Money(hour.units, meter.currency), meter, hour) for hour in hours if hour.units]
    return _Counted(meter, len(hours), move, charges)


def _debit(context: Context, charge: _Charge, *, now: datetime, id: str) -> wallets.Debit:
    customer, cost, meter, hour = charge
    micros, book = str(hour.start), context.database.book_id
    start, end = from_micros(hour.start), from_micros(hour.start + HOUR)
    identity = metered_hour(book, customer=customer, resource=meter.resource, start=micros, amount=str(cost))
    header = Header(
        transaction_id=id,
        kind="charge",
        cause_type="meter",
        cause_id=meter.resource,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor="system",
        effective_at=end,
        posted_at=now,
    )
    used = "1 h" if hour.seconds == HOUR_S else f"{hour.seconds} s"
    label = Label(
        description=f"{meter.resource}, {used}",
        resource=meter.resource,
        resource_kind=meter.kind or None,
        project=meter.project or None,
        period_start=start,
        period_end=end,
        charge_period_key=period_key(book, meter.resource, micros),
    )
    return wallets.Debit(customer=customer, amount=cost, performed=True, header=header, label=label)


def _period(tx: Tx, charge: _Charge) -> str:
    return period_key(tx.book_id, charge.meter.resource, str(charge.hour.start))


def _charged_by_host(tx: Tx, charges: Iterable[_Charge]) -> set[str]:
    return due_meters.charged_periods(tx, [_period(tx, charge) for charge in charges])


def _post_charges(tx: Tx, run: _Run, charges: Sequence[_Charge], *, now: datetime, look_up: bool) -> None:
    """Post the charges of a chunk.

    Raises:
        _Stuck: Some were not taken.
    """
    context = run.context
    ids = context.ids.several("txn", len(charges))
    debits = wallets.debits_of(context, charges, ids, lambda charge, id: _debit(context, charge, now=now, id=id))
    wanted = wallets.Wanted(charges, debits, lambda _, taken: taken, now)
    outcomes = wallets.post_debits(tx, context, wanted, run.accounts, look_up=look_up)
    stuck: dict[str, tuple[DueMeter, str]] = {}
    for charge, outcome in zip(charges, outcomes, strict=True):
        if not isinstance(outcome, wallets.Taken):
            reason = OUT_OF_RANGE if isinstance(outcome, wallets.Short) else KEY_CONFLICT
            stuck[charge.meter.id] = charge.meter, reason
    if stuck:
        raise _Stuck(stuck)


def _order(charge: _Charge) -> tuple[str, str, int]:
    """Within one wallet, in the order of time."""
    return charge.amount.currency, charge.customer, charge.hour.start


def _unreadable(meters: Iterable[DueMeter]) -> list[tuple[str, str]]:
    return [(meter.resource, RATE_UNREADABLE) for meter in meters if not meter.segments]


def _passed_over(tx: Tx, counted: Iterable[_Counted], passed: set[str]) -> list[tuple[str, str]]:
    if not passed:
        return []
    over = (one for one in counted if any(_period(tx, charge) in passed for charge in one.charges))
    return [(one.meter.resource, PERIOD_CHARGED) for one in over]
