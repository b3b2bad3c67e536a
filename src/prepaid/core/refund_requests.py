"""What a customer may ask back, and a request from being asked to being answered.

A request waits for an operator (``requested``), perhaps for a second one
(``confirming``), and is rejected, withdrawn or approved. Of a top-up it is
approved while the money is on its way, and ``refunded`` once the gateway says so;
of a charge it is refunded at once. One that was refunded still fails if the money
comes back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from attrs import field, frozen

from .amounts import Amounts, one_per_currency
from .clawback import Bought, Returned, refundable
from .errors import InvalidRequest
from .money import Money, minor_unit

RequestState = Literal["requested", "confirming", "approved", "refunded", "failed", "rejected", "withdrawn"]
Subject = Literal["topup", "charge"]

REQUEST_STEPS: Final[dict[RequestState, frozenset[RequestState]]] = {
    "requested": frozenset({"confirming", "approved", "refunded", "rejected", "withdrawn"}),
    "confirming": frozenset({"approved", "refunded", "rejected", "withdrawn"}),
    "approved": frozenset({"refunded", "failed"}),
    "refunded": frozenset({"failed"}),
    "failed": frozenset(),
    "rejected": frozenset(),
    "withdrawn": frozenset(),
}

OPEN_REQUESTS: Final[tuple[RequestState, ...]] = ("confirming", "requested")
"""An operator has not decided yet."""

APPROVALS_SETTING: Final = "approvals"
REFUNDS_SETTING: Final = "refunds"
DISPUTES_SETTING: Final = "disputes"

MAX_WORDS: Final = 500
LONGEST_WINDOW: Final = timedelta(days=3660)

REASONS: Final = {
    "spent": "The rest of it was spent.",
    "promotional": "The bonus that came with it is taken back, and part of that was spent.",
    "refunded": "The rest of it was given back before.",
    "held": "Part of the balance is reserved.",
    "requested": "A refund of it was requested already.",
    "too-old": "It is too long ago.",
    "disputed": "The payment is disputed at its bank.",
    "gateway-limit": "The payment provider gives back no more of it, or no longer.",
    "unpaid": "Nothing was paid for it.",
    "review": "The payment is being looked at.",
}
"""Why less than all of it may be asked for, by its machine word."""


def request_sources(target: RequestState) -> tuple[RequestState, ...]:
    """Give the states from which ``target`` may be reached, sorted."""
    return tuple(sorted(source for source, targets in REQUEST_STEPS.items() if target in targets))


@frozen(kw_only=True)
class RequestedRefund:
    """A refund as its customer asked for it, and what became of that.

    Attributes:
        id: ``req_…``.
        customer: The host's customer id.
        kind: ``"topup"`` or ``"charge"``.
        subject_id: The top-up, or the charge's transaction.
        amount: Credit asked for.
        approved: Credit that an operator approved; None before.
        state: How far it is.
        reason: Why, in the customer's words.
        note: What the operator tells the customer, or empty.
        cash: Money that goes back, tax included; None before it is approved, and for a charge.
        tax: Tax that is in it.
        refund_id: The refund that answers it, of a top-up.
        transaction_id: The reversal that answers it, of a charge.
        decided_by: Who decided.
        created_at: When it was asked for.
        decided_at: When it was decided; None before.
    """

    id: str
    customer: str
    kind: Subject
    subject_id: str
    amount: Money
    approved: Money | None = None
    state: RequestState
    reason: str = field(repr=False)
    note: str = field(default="", repr=False)
    cash: Money | None = None
    tax: Money | None = None
    refund_id: str | None = None
    transaction_id: str | None = None
    decided_by: str = ""
    created_at: datetime
    decided_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """An operator has not decided yet."""
        return self.state in OPEN_REQUESTS


@frozen(kw_only=True)
class EligibleRefund:
    """How much of a top-up or a charge may be asked back, and why not more.

    Attributes:
        kind: ``"topup"`` or ``"charge"``.
        id: The top-up, or the charge's transaction.
        at: When it was credited, or charged.
        description: What it was.
        total: Credit that was bought, or charged.
        credit: The most that may be asked for.
        cash: Money that goes back to the payment for all of that, tax included; zero
            for a charge, which gives credit back.
        tax: Tax that is in it.
        clawback: Bonus that is taken back with it.
        reason: Why it is not all, in a machine word; or empty.
        message: The same in a sentence; or empty.
        by_hand: The gateway cannot give it back itself: the seller does, by other means.
    """

    kind: Subject
    id: str
    at: datetime
    description: str
    total: Money
    credit: Money
    cash: Money
    tax: Money
    clawback: Money
    reason: str = ""
    message: str = ""
    by_hand: bool = False


@frozen(kw_only=True)
class Standing:
    """How a credited top-up stands: what it was, what is left of it, what went back.

    Amounts are ledger units.

    Attributes:
        bought: Its terms.
        paid_left: Unspent credit that was bought.
        bonus_left: Unspent bonus.
        free: What of the wallet neither a hold nor a debt takes.
        before: What went back of it.
        cash_left: What of its payment neither went back nor was taken by a bank, in minor units.
        currency: ISO 4217 code.
    """

    bought: Bought
    paid_left: int
    bonus_left: int
    free: int
    before: Returned
    cash_left: int
    currency: str

    def most(self) -> int:
        """Give the most credit that can be refunded, in whole minor units."""
        return self._most(free=self.free, cash_left=self.cash_left)

    def _most(self, *, free: int, cash_left: int | None) -> int:
        return refundable(
            self.bought,
            paid_left=self.paid_left,
            bonus_left=self.bonus_left,
            unit=minor_unit(self.currency),
            before=self.before,
            free=free,
            cash_left=cash_left,
        )

    def why_not_more(self) -> str:
        """Say what keeps the rest of it from being refunded, in a machine word; empty if nothing does."""
        most, unit = self.most(), minor_unit(self.currency)
        if most == self.bought.credit:
            return ""
        if self.before.credit and most + unit > self.bought.credit - self.before.credit:
            return "refunded"
        without_holds = max(self.free, self.paid_left + self.bonus_left)
        if most < self._most(free=without_holds, cash_left=self.cash_left):
            return "held"
        if most < self._most(free=self.free, cash_left=None):
            return "refunded"
        return "promotional" if most + unit <= self.paid_left else "spent"


@frozen
class RefundPolicy:
    """Until when customers may ask for a refund.

    Attributes:
        topups_within: How long after a top-up was credited; always if None.
        charges_within: How long after a charge was posted; always if None.
    """

    topups_within: timedelta | None = field(default=None)
    charges_within: timedelta | None = field(default=None)

    @topups_within.validator
    @charges_within.validator
    def _check(self, attribute: Any, value: object) -> None:
        whole = isinstance(value, timedelta) and timedelta(0) < value <= LONGEST_WINDOW
        if value is not None and not whole:
            text = f"{attribute.name} is a timedelta above zero and at most {LONGEST_WINDOW.days} days, or None."
            raise InvalidRequest(text, field=attribute.name)

    def record(self) -> dict[str, Any]:
        """Give the policy as plain values, in seconds."""
        named = {"topups_within": self.topups_within, "charges_within": self.charges_within}
        return {name: None if value is None else int(value.total_seconds()) for name, value in named.items()}


def refund_policy(record: dict[str, Any] | None) -> RefundPolicy:
    """Undo `RefundPolicy.record`; without one there is no limit."""
    kept = {name: seconds for name, seconds in (record or {}).items() if seconds is not None}
    return RefundPolicy(**{name: timedelta(seconds=seconds) for name, seconds in kept.items()})


def _above(value: object) -> Amounts:
    return one_per_currency(value, field="two_person_above", zero=True)


@frozen
class Approvals:
    """Above which amounts two operators approve a refund.

    Attributes:
        two_person_above: One `Money` per currency; refunds of more take two operators. None if never. What
            operators gave back of the same top-up or charge before counts as well.
    """

    two_person_above: Amounts = field(converter=_above)

    def needs_two(self, amount: Money) -> bool:
        """Tell whether an amount takes two operators."""
        return any(amount.currency == each.currency and amount > each for each in self.two_person_above)

    def record(self) -> dict[str, Any]:
        """Give the rule as plain values."""
        return {"two_person_above": {each.currency: str(each.units) for each in self.two_person_above}}


@frozen(kw_only=True)
class RefundRules:
    """What a book has set about money that goes back.

    Attributes:
        two_person_above: Refunds of more take two operators; one `Money` per currency, none if never. All that
            operators give back of one top-up or charge counts together.
        topups_within: How long after a top-up was credited customers may ask; always if None.
        charges_within: How long after a charge was posted; always if None.
        freezes: A customer who disputes a payment is frozen.
    """

    two_person_above: tuple[Money, ...]
    topups_within: timedelta | None
    charges_within: timedelta | None
    freezes: bool

    def needs_two(self, amount: Money) -> bool:
        """Tell whether so much credit, given back of one top-up or charge in all, takes two operators."""
        return Approvals(self.two_person_above).needs_two(amount)


def approvals(record: dict[str, Any] | None) -> Approvals:
    """Undo `Approvals.record`; without one no refund takes two."""
    kept = (record or {}).get("two_person_above", {})
    return Approvals([Money(int(units), currency) for currency, units in kept.items()])
