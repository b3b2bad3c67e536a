"""Jobs: what is due, each under a lease, safe to run anywhere and any number of times."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from . import outbox, repayment, settlement, waking, wallets
from .config import Context
from .core.errors import GatewayError, InvalidRequest
from .core.schedule import next_look
from .invoicing import delivery
from .store import Duplicate, Tx, operations, topups
from .store.topups import StoredTopup
from .usage import billing

log = logging.getLogger("prepaid.jobs")

LEASE_FOR: Final = timedelta(minutes=15)
MAX_BUDGET_S: Final = 86_400
LOOKS_AT_ONCE: Final = 50

LONGEST_STEP: Final = timedelta(minutes=5)
"""What one step of a job may take at most: a mail or a gateway call with its retries."""

HANDLERS: Final[dict[str, outbox.Handler]] = {
    outbox.EVENT: outbox.deliver_event,
    outbox.INVOICE_MAIL: delivery.mail,
}


@frozen(kw_only=True)
class JobRun:
    """What one job did.

    Attributes:
        name: Which job.
        status: ``"done"``; ``"busy"`` if another worker holds its lease;
            ``"failed"`` if it raised, which is logged.
        count: Things it dealt with.
    """

    name: str
    status: str
    count: int = 0


def run_due(context: Context, *, only: str | None = None, budget_s: int | None = None) -> tuple[JobRun, ...]:
    """Run every job that has something to do, each under its lease.

    Args:
        context: The billing system.
        only: Run just this job: ``"meters"``, ``"credit"``, ``"webhooks"``,
            ``"topups"``, ``"refunds"`` or ``"outbox"``.
        budget_s: Begin nothing new after this many seconds.

    Raises:
        InvalidRequest: There is no job of that name.
        ConfigurationError: The database is not the one of this library.
    """
    if only is not None and (not isinstance(only, str) or only not in JOBS):
        raise InvalidRequest(f"only is one of {', '.join(JOBS)}.", field="only")
    if budget_s is not None and (type(budget_s) is not int or not 1 <= budget_s <= MAX_BUDGET_S):
        raise InvalidRequest(f"budget_s is a whole number of seconds, at most {MAX_BUDGET_S}.", field="budget_s")
    until = None if budget_s is None else context.now() + timedelta(seconds=budget_s)
    context.database.book_id  # noqa: B018 - the schema is checked before any job hides the error
    return tuple(_run(context, name, until) for name in ([only] if only else JOBS))


def _run(context: Context, name: str, until: datetime | None) -> JobRun:
    holder, now = context.ids.new("run"), context.now()
    token = _take_lease(context, name, holder, now)
    if token is None:
        return JobRun(name=name, status="busy")
    # Begin nothing that could outlive the lease.
    lease_ends = now + LEASE_FOR - LONGEST_STEP
    until = lease_ends if until is None else min(until, lease_ends)
    try:
        return JobRun(name=name, status="done", count=JOBS[name](context, until))
    except Exception:
        # One job must not keep the others from running; it is due again next time.
        log.exception("job %s failed", name)
        return JobRun(name=name, status="failed")
    finally:
        finished = context.now()
        context.database.write(lambda tx: operations.return_lease(tx, name, token, finished))


def _take_lease(context: Context, name: str, holder: str, now: datetime) -> int | None:
    def work(tx: Tx) -> int | None:
        return operations.take_lease(tx, name, holder, until=now + LEASE_FOR, now=now)

    try:
        return context.database.write(work)
    except Duplicate:  # the first run ever, twice at once
        return None


def _bill_meters(context: Context, until: datetime | None) -> int:
    run = billing.bill(context, stop_at=until)
    for resource, reason in run.refused:
        log.error("resource %s could not be charged: %s", resource, reason)
    return run.charges


def _look_at_topups(context: Context, until: datetime | None) -> int:
    """Settle open top-ups whose webhook may be lost, and close those that lapsed."""
    looked = 0
    while until is None or context.now() < until:
        now = context.now()
        due = _due(context, now)
        if not due:
            break
        for stored in due:
            if until is not None and context.now() >= until:
                break
            _look(context, stored, now)
            looked += 1
    return looked


def _due(context: Context, now: datetime) -> list[StoredTopup]:
    return context.database.read(lambda tx: topups.due_for_look(tx, now, limit=LOOKS_AT_ONCE))


def _look(context: Context, stored: StoredTopup, now: datetime) -> None:
    topup = stored.topup
    # The next look is written first: a top-up that makes its gateway fail must not be first for ever.
    next_at, polls = now + next_look(stored.polls), stored.polls + 1

    def put_off(tx: Tx) -> None:
        topups.schedule_look(tx, topup.id, next_at, polls)
        topups.schedule_facts(tx, topup.id, next_at, polls)

    context.database.write(put_off)
    try:
        settlement.settle(context, topup.id, close="lapse" if now >= topup.expires_at else None)
    except GatewayError as error:
        log.warning("top-up %s cannot be looked at now: %s", topup.id, error)
        if not (error.retryable or error.outcome_unknown):
            reason = (error.code or "gateway-error")[:32]
            context.database.write(lambda tx: topups.mark(tx, topup.id, reason))


def _handle_webhooks(context: Context, until: datetime | None) -> int:
    return _in_chunks(context, until, waking.handle_due)


def _pursue_refunds(context: Context, until: datetime | None) -> int:
    return _in_chunks(context, until, repayment.run_due)


def _in_chunks(context: Context, until: datetime | None, work: Callable[[Context], int]) -> int:
    """Do what is due, chunk by chunk, until there is none or the time is over."""
    done = 0
    while (until is None or context.now() < until) and (count := work(context)):
        done += count
    return done


def _deliver_outbox(context: Context, until: datetime | None) -> int:
    return outbox.drain(context, HANDLERS, until=until)


def _credit_dates(context: Context, until: datetime | None) -> int:
    return wallets.run_due(context, stop_at=until)


JOBS: Final[dict[str, Callable[[Context, datetime | None], int]]] = {
    "meters": _bill_meters,
    "credit": _credit_dates,
    "webhooks": _handle_webhooks,
    "topups": _look_at_topups,
    "refunds": _pursue_refunds,
    "outbox": _deliver_outbox,
}
