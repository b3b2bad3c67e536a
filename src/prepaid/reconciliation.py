"""Reconciliation: a gateway's own list of a period against ours; differences are listed, nothing is changed.

Payments and refunds are compared both ways: what the gateway lists is looked
for here, and what was settled here, or was started and never paid, is looked
for there. Disputes that the gateway lists are looked for here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Literal, Protocol, TypeVar

from attrs import evolve, field, frozen

from .config import Context
from .core.errors import GatewayError, InvalidRequest
from .core.ids import looks_like_id
from .core.instants import check_instant
from .core.money import Money
from .core.refunds import Refund
from .ports import (
    ConfirmedByOperator,
    DisputeSnapshot,
    Gateway,
    Listing,
    PaymentRef,
    PaymentSnapshot,
    RefundRef,
    RefundSnapshot,
)
from .store import Tx, disputes, payments, refunds, topups
from .store.payments import StoredPayment
from .store.refunds import StoredRefund

T_co = TypeVar("T_co", covariant=True)

OnProgress = Callable[[str, int], object]

ROWS_AT_ONCE = 200
MOST_PAGES = 100_000
"""A gateway whose list does not end is not believed."""


@frozen(kw_only=True)
class ReconciliationItem:
    """One thing that was compared and did not agree.

    Attributes:
        kind: What it is.
        id: The gateway's id of it.
        topup_id: The top-up it belongs to, if it is known.
        here: The amount we have, or None.
        there: The amount the gateway has, or None.
        detail: What differs, in a machine word.
    """

    kind: Literal["payment", "refund", "dispute"]
    id: str
    topup_id: str | None = None
    here: Money | None = None
    there: Money | None = None
    detail: str = ""


Items = tuple[ReconciliationItem, ...]


@frozen(kw_only=True)
class ReconciliationReport:
    """What a comparison found.

    Attributes:
        gateway: Name of the gateway.
        since: First instant of the period.
        until: First instant after it.
        matched: Payments, refunds and disputes that agree.
        missing_here: The gateway has them, we do not.
        missing_there: We have them, the gateway does not.
        different: Both have them, but not alike.
        foreign: Payments the gateway lists that are none of this book's.
        listed: The gateway could be asked for its list; if not, only what
            we know of was looked up.
    """

    gateway: str
    since: datetime
    until: datetime
    matched: int = 0
    missing_here: Items = ()
    missing_there: Items = ()
    different: Items = ()
    foreign: int = 0
    listed: bool = True

    @property
    def ok(self) -> bool:
        """Nothing is missing, and nothing differs."""
        return not (self.missing_here or self.missing_there or self.different)


@frozen
class _Run:
    """A comparison on its way."""

    context: Context
    gateway: Gateway
    since: datetime
    until: datetime
    tell: OnProgress
    seen: set[str] = field(factory=set)
    missing_here: list[ReconciliationItem] = field(factory=list)
    missing_there: list[ReconciliationItem] = field(factory=list)
    different: list[ReconciliationItem] = field(factory=list)
    counts: dict[str, int] = field(factory=lambda: {"matched": 0, "foreign": 0, "done": 0})

    def count(self, what: str) -> None:
        self.counts[what] += 1

    def step(self, name: str) -> None:
        self.count("done")
        self.tell(name, self.counts["done"])


def reconcile(
    context: Context,
    gateway_name: object,
    since: datetime,
    until: datetime,
    *,
    on_progress: OnProgress | None = None,
) -> ReconciliationReport:
    """Compare a gateway's payments, refunds and disputes of ``[since, until)`` with ours.

    A period should end before now by the gateway's ``list_delay_s``: what it has
    not listed yet is looked up one by one.

    Args:
        context: The billing system.
        gateway_name: Name of the gateway.
        since: First instant.
        until: First instant after it.
        on_progress: Told what is compared, and how many things were.

    Raises:
        InvalidRequest: There is no such gateway, or the period is none.
        GatewayError: The gateway cannot be asked.
    """
    gateway = context.gateway(gateway_name)
    first, last = check_instant(since, field="since"), check_instant(until, field="until")
    if first >= last:
        raise InvalidRequest("since comes before until.", field="until")
    if on_progress is not None and not callable(on_progress):
        raise InvalidRequest("on_progress is a function of a word and a number.", field="on_progress")
    run = _Run(context, gateway, first, last, on_progress or (lambda name, done: None))
    claims = gateway.capabilities()
    if claims.lists_payments:
        _listed_payments(run)
    if not isinstance(gateway, ConfirmedByOperator):  # such a gateway knows nothing but what is told it here
        _settled_here(run)
        _unpaid_here(run)
    if claims.lists_refunds:
        _listed_refunds(run)
    if claims.refunds:
        _refunds_here(run)
    if claims.lists_disputes:
        _listed_disputes(run)
    return ReconciliationReport(
        gateway=gateway.name,
        since=since,
        until=until,
        matched=run.counts["matched"],
        missing_here=tuple(run.missing_here),
        missing_there=tuple(run.missing_there),
        different=tuple(run.different),
        foreign=run.counts["foreign"],
        listed=claims.lists_payments,
    )


class _Lister(Protocol[T_co]):
    def __call__(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[T_co]: ...


def _all(run: _Run, listing: _Lister[T_co], name: str) -> Iterator[T_co]:
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = listing(run.since, run.until, cursor=cursor)
        for item in page.items:
            run.step(name)
            yield item
        cursor = page.next
        if cursor is None:
            return
    raise GatewayError("The gateway's list does not end.", code="unusable-reply")


def _listed_payments(run: _Run) -> None:
    for payment in _all(run, run.gateway.list_payments, "payments"):
        for one in (payment, *payment.further):
            if one.state == "captured" and one.payment_id is not None and one.mode in (None, run.context.mode):
                _compare(run, one, one.payment_id)


def _compare(run: _Run, payment: PaymentSnapshot, payment_id: str) -> None:
    """Look for a payment of the gateway's among ours, once."""
    if payment_id in run.seen:
        return
    run.seen.add(payment_id)
    name = run.gateway.name
    known = run.context.database.read(lambda tx: payments.find(tx, name, payment_id))
    if known is not None:
        _compare_amounts(run, known, payment)
    elif _is_ours(run, payment.topup_id):
        item = ReconciliationItem(
            kind="payment", id=payment_id, topup_id=payment.topup_id, there=payment.captured, detail="not-settled"
        )
        run.missing_here.append(item)
    else:
        run.count("foreign")


def _compare_amounts(run: _Run, known: StoredPayment, payment: PaymentSnapshot) -> None:
    if known.captured == payment.captured:
        run.count("matched")
        return
    item = ReconciliationItem(
        kind="payment",
        id=known.payment_id,
        topup_id=known.topup_id,
        here=known.captured,
        there=payment.captured,
        detail="amount-differs",
    )
    run.different.append(item)


def _is_ours(run: _Run, topup_id: str | None) -> bool:
    if topup_id is None or not looks_like_id(topup_id):
        return False
    found = run.context.database.read(lambda tx: topups.find(tx, topup_id))
    return found is not None and found.topup.gateway == run.gateway.name


def _settled_here(run: _Run) -> None:
    """Look up, one by one, what was settled here in the period and not listed there."""
    name, since, until = run.gateway.name, run.since, run.until

    def read(tx: Tx, after: str) -> list[StoredPayment]:
        return payments.settled_between(tx, name, since, until, after=after, limit=ROWS_AT_ONCE)

    for row in _rows(run, read, lambda row: row.payment_id):
        run.step("settled here")
        if row.payment_id not in run.seen:
            run.seen.add(row.payment_id)
            _confirm(run, row)


R = TypeVar("R")


def _rows(run: _Run, read: Callable[[Tx, str], list[R]], id_of: Callable[[R], str]) -> Iterator[R]:
    """Read rows chunk by chunk, each in a transaction of its own: none is open while the gateway is asked."""
    after = ""
    while rows := run.context.database.read(partial(_read_after, read, after)):
        yield from rows
        after = id_of(rows[-1])


def _read_after(read: Callable[[Tx, str], list[R]], after: str, tx: Tx) -> list[R]:
    return read(tx, after)


def _confirm(run: _Run, known: StoredPayment) -> None:
    ref = run.context.database.read(lambda tx: topups.payment_ref(tx, known.topup_id))
    there, refusal = (None, "") if ref is None else _fetch(run, ref)
    found = (there, *there.further) if there is not None else ()
    same = next((one for one in found if one.payment_id == known.payment_id and one.state == "captured"), None)
    if same is not None:
        _compare_amounts(run, known, same)
        return
    item = ReconciliationItem(
        kind="payment",
        id=known.payment_id,
        topup_id=known.topup_id,
        here=known.captured,
        detail=refusal or "not-captured",
    )
    run.missing_there.append(item)


def _fetch(run: _Run, ref: PaymentRef) -> tuple[PaymentSnapshot | None, str]:
    """Ask for a payment; if the gateway refuses, as it does for what it does not know, say in which word."""
    try:
        return run.gateway.fetch_payment(ref), ""
    except GatewayError as error:
        if error.retryable or error.outcome_unknown or error.is_of_credentials:
            raise
        return None, error.code or "refused"


def _unpaid_here(run: _Run) -> None:
    """Ask for every checkout that was started in the period and has no payment here."""
    name, since, until = run.gateway.name, run.since, run.until

    def read(tx: Tx, after: str) -> list[PaymentRef]:
        return topups.unpaid_between(tx, name, since, until, after=after, limit=ROWS_AT_ONCE)

    for ref in _rows(run, read, lambda ref: ref.topup_id):
        run.step("not paid here")
        there, _ = _fetch(run, ref)
        for one in () if there is None else (there, *there.further):
            if one.state == "captured" and one.payment_id is not None:
                _compare(run, evolve(one, topup_id=ref.topup_id), one.payment_id)


def _listed_refunds(run: _Run) -> None:
    for refund in _all(run, run.gateway.list_refunds, "refunds"):
        if refund.mode in (None, run.context.mode) and _owner(run, refund.payment_id) is not None:
            _compare_refund(run, refund)


def _compare_refund(run: _Run, there: RefundSnapshot) -> None:
    known = run.context.database.read(partial(_known_refund, run.gateway.name, there))
    run.seen.add(there.gateway_refund_id)
    item = ReconciliationItem(
        kind="refund",
        id=there.gateway_refund_id,
        topup_id=_owner(run, there.payment_id),
        here=None if known is None else known.refund.amount,
        there=there.amount,
    )
    if known is None:
        run.missing_here.append(evolve(item, detail="not-recorded"))
    elif (known.refund.amount, known.refund.state) != (there.amount, there.state):
        run.different.append(evolve(item, detail=f"{known.refund.state}-here-{there.state}-there"))
    else:
        run.count("matched")


def _known_refund(gateway: str, there: RefundSnapshot, tx: Tx) -> StoredRefund | None:
    """Find a refund of the gateway's among ours; one whose answer was lost has no id of the gateway's yet."""
    known = refunds.find_at_gateway(tx, gateway, there.gateway_refund_id)
    ours = refunds.find(tx, there.refund_id) if known is None and there.refund_id else None
    same = ours is not None and (ours.refund.gateway, ours.refund.payment_id) == (gateway, there.payment_id)
    return ours if same else known


def _refunds_here(run: _Run) -> None:
    """Look up, one by one, the refunds that were made in the period, are known to the gateway, and not listed there."""
    name, since, until = run.gateway.name, run.since, run.until

    def read(tx: Tx, after: str) -> list[Refund]:
        return refunds.known_between(tx, name, since, until, after=after, limit=ROWS_AT_ONCE)

    for refund in _rows(run, read, lambda refund: refund.id):
        run.step("refunds here")
        if refund.gateway_refund_id not in run.seen:
            _confirm_refund(run, refund)


def _confirm_refund(run: _Run, known: Refund) -> None:
    payment = run.context.database.read(lambda tx: topups.payment_ref(tx, known.topup_id))
    there = None
    if payment is not None:
        ref = RefundRef(payment=payment, refund_id=known.id, gateway_refund_id=known.gateway_refund_id)
        there = run.gateway.fetch_refund(ref)
    if there is not None:
        _compare_refund(run, there)
        return
    item = ReconciliationItem(
        kind="refund",
        id=known.gateway_refund_id or "",
        topup_id=known.topup_id,
        here=known.amount,
        detail="not-made",
    )
    run.missing_there.append(item)


def _listed_disputes(run: _Run) -> None:
    for dispute in _all(run, run.gateway.list_disputes, "disputes"):
        if dispute.mode in (None, run.context.mode) and _owner(run, dispute.payment_id) is not None:
            _compare_dispute(run, dispute)


def _compare_dispute(run: _Run, there: DisputeSnapshot) -> None:
    name = run.gateway.name
    known = run.context.database.read(lambda tx: disputes.find_at_gateway(tx, name, there.dispute_id))
    item = ReconciliationItem(
        kind="dispute",
        id=there.dispute_id,
        topup_id=_owner(run, there.payment_id),
        here=None if known is None else known.amount,
        there=there.amount,
    )
    if known is None:
        run.missing_here.append(evolve(item, detail="not-recorded"))
    elif (known.amount, known.state) != (there.amount, there.state):
        run.different.append(evolve(item, detail=f"{known.state}-here-{there.state}-there"))
    else:
        run.count("matched")


def _owner(run: _Run, payment_id: str) -> str | None:
    def find(tx: Tx) -> str | None:
        return payments.owner(tx, run.gateway.name, payment_id)

    return run.context.database.read(find)
