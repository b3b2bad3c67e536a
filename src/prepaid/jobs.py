"""Jobs: what is due, each under a lease, safe to run anywhere and any number of times."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from attrs import frozen

from . import outbox, promotions, repayment, returning, settlement, verification, waking, wallets
from .config import Context
from .core.errors import GatewayError, InvalidRequest
from .core.schedule import next_look
from .invoicing import delivery
from .reporting import digest, rolling
from .store import Duplicate, Tx, operations, topups
from .store.topups import StoredTopup
from .tax import registers
from .usage import billing

log = logging.getLogger("prepaid.jobs")

T = TypeVar("T")

LEASE_FOR: Final = timedelta(minutes=15)
MAX_BUDGET_S: Final = 86_400
LOOKS_AT_ONCE: Final = 50

PATIENCE: Final = 2
"""How often in a row a gateway may fail to answer before a job leaves it for its next run."""

LONGEST_STEP: Final = timedelta(minutes=5)
"""What one step of a job may take at most: a mail or a gateway call with its retries."""

HANDLERS: Final[dict[str, outbox.Handler]] = {
    outbox.EVENT: outbox.deliver_event,
    outbox.INVOICE_MAIL: delivery.mail,
    outbox.DIGEST_MAIL: digest.mail,
    outbox.FREED_CREDIT: returning.hold_freed,
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
            ``"topups"``, ``"identity"``, ``"promotions"``, ``"refunds"``, ``"tax-ids"``,
            ``"rollups"``, ``"digest"`` or ``"outbox"``.
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
    token = _take_lease(context, name, holder)
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


def _take_lease(context: Context, name: str, holder: str) -> int | None:
    try:
        return context.database.write(lambda tx: operations.take_lease(tx, name, holder, LEASE_FOR))
    except Duplicate:  # the first run ever, twice at once
        return None


def _bill_meters(context: Context, until: datetime | None) -> int:
    run = billing.bill(context, stop_at=until)
    for resource, reason in run.refused:
        log.error("resource %s could not be charged: %s", resource, reason)
    return run.charges


@frozen
class _Due(Generic[T]):
    """Things of a kind that wait for their gateways.

    Attributes:
        find: Give some that are due, longest waiting first.
        gateway: Name the gateway, or the register, of one.
        handle: Deal with one; False if its gateway did not answer.
        put_off: Leave one for later; in vain it was not.
    """

    find: Callable[[Context], Sequence[T]]
    gateway: Callable[[T], str]
    handle: Callable[[Context, T], bool]
    put_off: Callable[[Context, T], None]


def _ask_gateways(context: Context, until: datetime | None, due: _Due[T]) -> int:
    """Deal with what is due, one by one, until there is none or the time is over.

    A gateway that does not answer time and again is left for the next run, so
    that it keeps no other one's customers waiting.
    """
    done, unanswered = 0, Counter[str]()
    while found := due.find(context):
        for item in found:
            if until is not None and context.now() >= until:
                return done
            gateway = due.gateway(item)
            if unanswered[gateway] >= PATIENCE:
                due.put_off(context, item)
                continue
            unanswered[gateway] = 0 if due.handle(context, item) else unanswered[gateway] + 1
            done += 1
    return done


def _look_at_topups(context: Context, until: datetime | None) -> int:
    """Settle open top-ups whose webhook may be lost, and close those that lapsed."""
    return _ask_gateways(context, until, _Due(_topups_due, lambda stored: stored.topup.gateway, _look, _put_off))


def _topups_due(context: Context) -> list[StoredTopup]:
    return context.database.read(lambda tx: topups.due_for_look(tx, context.now(), limit=LOOKS_AT_ONCE))


def _put_off(context: Context, stored: StoredTopup) -> None:
    _look_next(context, stored, context.now() + next_look(0), stored.polls)


def _look_next(context: Context, stored: StoredTopup, at: datetime, polls: int) -> None:
    def work(tx: Tx) -> None:
        topups.schedule_look(tx, stored.topup.id, at, polls)
        topups.schedule_facts(tx, stored.topup.id, at, polls)

    context.database.write(work)


def _look(context: Context, stored: StoredTopup) -> bool:
    topup, now = stored.topup, context.now()
    # The next look is written first: a top-up that makes its gateway fail must not be first for ever.
    _look_next(context, stored, now + next_look(stored.polls), stored.polls + 1)
    try:
        settlement.settle(context, topup.id, close="lapse" if now >= topup.expires_at else None, due=True)
    except GatewayError as error:
        log.warning("top-up %s cannot be looked at now: %s", topup.id, error)
        if not (error.retryable or error.outcome_unknown):
            _give_up(context, stored, error)
        return not error.retryable
    return True


def _give_up(context: Context, stored: StoredTopup, error: GatewayError) -> None:
    """Mark an unpaid top-up that cannot be looked at, and end the looks at a paid one after many of them."""
    topup_id, reason = stored.topup.id, (error.code or "gateway-error")[:32]

    def work(tx: Tx) -> None:
        topups.mark(tx, topup_id, reason)
        if stored.polls >= settlement.MANY_LOOKS:
            topups.schedule_facts(tx, topup_id, None, 0)

    context.database.write(work)


def _handle_webhooks(context: Context, until: datetime | None) -> int:
    events = _Due(waking.due, lambda event: event.gateway, waking.handle_again, waking.put_off)
    return _ask_gateways(context, until, events)


def _pursue_refunds(context: Context, until: datetime | None) -> int:
    refunds = _Due(repayment.due, lambda stored: stored.refund.gateway, repayment.pursue_again, repayment.put_off)
    return _ask_gateways(context, until, refunds)


def _verify_identities(context: Context, until: datetime | None) -> int:
    """Look at open cases whose webhook may be lost, and credit what waits for a verification no more."""
    cases = _Due(verification.due, lambda stored: stored.case.provider, verification.look_again, verification.put_off)
    return _ask_gateways(context, until, cases) + verification.release_due(context, until)


def _verify_tax_ids(context: Context, until: datetime | None) -> int:
    numbers = _Due(
        registers.due,
        lambda stored: f"{stored.register}/{stored.tax_id.country}",
        registers.ask_again,
        registers.put_off,
    )
    return _ask_gateways(context, until, numbers)


def _deliver_outbox(context: Context, until: datetime | None) -> int:
    return outbox.drain(context, HANDLERS, until=until)


def _credit_dates(context: Context, until: datetime | None) -> int:
    return wallets.run_due(context, stop_at=until)


def _release_promotions(context: Context, until: datetime | None) -> int:
    return promotions.release_lapsed(context, stop_at=until)


def _sum_days(context: Context, until: datetime | None) -> int:
    return rolling.roll_up(context, stop_at=until)


def _write_digests(context: Context, until: datetime | None) -> int:
    return digest.write_due(context, stop_at=until)


JOBS: Final[dict[str, Callable[[Context, datetime | None], int]]] = {
    "meters": _bill_meters,
    "credit": _credit_dates,
    "webhooks": _handle_webhooks,
    "topups": _look_at_topups,
    "identity": _verify_identities,
    "promotions": _release_promotions,
    "refunds": _pursue_refunds,
    "tax-ids": _verify_tax_ids,
    "rollups": _sum_days,
    "digest": _write_digests,
    "outbox": _deliver_outbox,
}
