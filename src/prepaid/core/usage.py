"""Usage values: charges, their outcome, meters, and what a customer reads of them."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from attrs import field, frozen

from .errors import InvalidRequest
from .ids import check_key, check_text
from .instants import EPOCH, check_instant
from .money import Money, require_positive
from .rates import Rate

Period = tuple[datetime, datetime]

Status = Literal["posted", "duplicate", "insufficient", "conflict", "refused"]


@frozen
class Charge:
    """A usage debit to post.

    Attributes:
        customer: The host's id of who pays.
        amount: What to charge, above zero; finer than minor units is fine.
        key: The caller's key; the same charge again changes nothing.
        description: What the customer reads.
        resource: The host's id of what was used, or empty.
        kind: What sort of resource, such as ``"instance"``, or empty.
        project: The host's project, or empty.
        period: Start and end of the usage, kept in UTC, or None.
        allow_negative: Post performed usage even below the floor.
    """

    customer: str
    amount: Money
    key: str
    description: str = field(default="", kw_only=True)
    resource: str = field(default="", kw_only=True)
    kind: str = field(default="", kw_only=True)
    project: str = field(default="", kw_only=True)
    period: Period | None = field(default=None, kw_only=True)
    allow_negative: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        check_key(self.customer, field="customer")
        require_positive(self.amount)
        check_key(self.key)
        check_text(self.description, field="description", longest=200)
        if self.resource != "":
            check_key(self.resource, field="resource")
        if self.kind != "":
            check_text(self.kind, field="kind", longest=120)
        if self.project != "":
            check_text(self.project, field="project", longest=120)
        if self.period is not None:
            # In UTC: elsewhere the hour that autumn repeats is equal to the one before.
            object.__setattr__(self, "period", _checked_period(self.period))
        if not isinstance(self.allow_negative, bool):
            raise InvalidRequest("allow_negative is True or False.", field="allow_negative")


_LAST_YEAR: Final = 9998  # days after it have no end


def _checked_period(period: object) -> Period:
    if not isinstance(period, tuple) or len(period) != 2:
        raise InvalidRequest("period is a pair (start, end).", field="period")
    start, end = (check_instant(instant, field="period") for instant in period)
    if end <= start:
        raise InvalidRequest("period ends after it starts.", field="period")
    if start < EPOCH or end.year > _LAST_YEAR:
        raise InvalidRequest(f"period lies between 1970 and {_LAST_YEAR}.", field="period")
    return start, end


@frozen(kw_only=True)
class ChargeOutcome:
    """What became of a charge.

    Attributes:
        status: ``"posted"``, or ``"duplicate"`` for a key that was posted before. In a
            batch also ``"insufficient"``, ``"conflict"`` for a key or period that was
            charged with other content, and ``"refused"`` for anything else.
        transaction_id: ``txn_…``, the first answer's for a duplicate; empty if nothing was posted.
        balance_after: Balance right after the charge; as it is if nothing was posted.
        key: The caller's key.
        code: Why an item of a batch was not posted, as the error of a single charge names it.
        field: Which of its arguments that is about, or empty.
    """

    status: Status
    transaction_id: str
    balance_after: Money
    key: str
    code: str = ""
    field: str = ""


@frozen(kw_only=True)
class Balance:
    """A wallet at one instant.

    Attributes:
        available: What a charge may use now: settled less held plus overdraft.
        settled: Credit less usage; below zero is a debt.
        held: Reserved by holds.
        paid: Left of paid, external and migrated credit.
        promotional: Left of promotional and goodwill credit.
        currency: ISO 4217 code.
    """

    available: Money
    settled: Money
    held: Money
    paid: Money
    promotional: Money
    currency: str


@frozen(kw_only=True)
class Credit:
    """The paid and promotional parts of a transaction, signed like its amount."""

    paid: Money
    promotional: Money


@frozen(kw_only=True)
class Transaction:
    """One line of a customer's history: all transfers of one key.

    Attributes:
        id: ``txn_…``.
        kind: One of `prepaid.core.transfers.TRANSACTION_KINDS`.
        amount: Signed as the customer sees it: credit above zero, usage below.
        balance_after: Balance right after it.
        description: What it was.
        at: When it was posted.
        period: Usage period, or None.
        resource: The host's id of what was used, or empty.
        topup_id: Top-up it belongs to, or None.
        invoice_number: Invoice of that top-up, or credit note of what went back of it; or None.
        credit: Paid and promotional parts.
    """

    id: str
    kind: str
    amount: Money
    balance_after: Money
    description: str
    at: datetime
    period: Period | None
    resource: str
    topup_id: str | None
    invoice_number: str | None
    credit: Credit


@frozen
class Permission:
    """Whether a resource may start.

    Attributes:
        allowed: It may.
        code: ``"allowed"``, ``"customer-frozen"``, ``"identity-required"``, ``"suspended"``,
            ``"negative-balance"`` or ``"insufficient-credit"``.
        reason: A sentence for the customer; empty if allowed.
    """

    allowed: bool
    code: str
    reason: str


@frozen(kw_only=True)
class UsageLine:
    """What one resource, project, day or kind cost.

    Attributes:
        name: Of what; empty for usage that names none.
        amount: Charges and adjustments less reversals.
        charges: How many charges and adjustments.
    """

    name: str
    amount: Money
    charges: int


@frozen(kw_only=True)
class UsageStatement:
    """What usage of a span of time cost, by resource, project, day or kind.

    Usage counts when its period ended, corrections in the period that they correct.

    Attributes:
        since: Periods that end after it.
        until: Periods that end by then.
        by: ``"resource"``, ``"project"``, ``"day"`` (of the seller's zone) or ``"kind"``.
        lines: Each with its cost, by name.
        total: Of all lines.
    """

    since: datetime
    until: datetime
    by: str
    lines: tuple[UsageLine, ...]
    total: Money


@frozen(kw_only=True)
class Meter:
    """A resource that accrues a rate.

    Attributes:
        resource: The host's id of the resource.
        customer: Who pays.
        kind: What sort of resource.
        project: The host's project, or empty.
        rate: What it costs now; what it cost last, once it stopped.
        started_at: When the hours began to count.
        stopped_at: When it stopped, or None while it runs.
        billed_until: End of the last hour that was counted and, if it cost anything, charged.
    """

    resource: str
    customer: str
    kind: str
    project: str
    rate: Rate
    started_at: datetime
    stopped_at: datetime | None
    billed_until: datetime


@frozen(kw_only=True)
class BillingRun:
    """What one run over the meters charged.

    Attributes:
        charges: Hours charged.
        customers: Customers charged.
        total: What was charged, one Money per currency.
        refused: Resources with hours that could not be charged, each with the
            reason: ``"period-charged"`` (the host charged an hour itself, the
            rest goes on), ``"amount-out-of-range"`` (the debt would be larger
            than the ledger can hold), ``"key-conflict"``, ``"rate-unreadable"``.
        duration: Seconds the run took, for operators; not money.
    """

    charges: int
    customers: int
    total: tuple[Money, ...]
    refused: tuple[tuple[str, str], ...]
    duration: float
