"""Whether a promotion applies to a top-up, what it gives, and the states of its redemption.

A redemption is reserved when its top-up is started, redeemed when that is
credited, and released when it ends unpaid or the reservation lapses. One that
was released and is paid after all is taken again within the limits, or lost.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from attrs import frozen

from .amounts import of_currency
from .errors import PromotionRefused
from .money import Money
from .promotions import Discount, Promotion

RedemptionState = Literal["reserved", "redeemed", "released", "lost"]
"""``lost``: paid after the release, when the limits left no room any more; the top-up was credited net."""

RESERVED_FOR: Final = timedelta(minutes=60)
"""How long a reservation lasts at most; it lapses earlier if its checkout does."""

COUNTED_STATES: Final[tuple[RedemptionState, ...]] = ("reserved", "redeemed")
"""These count against limits and budget."""

UNKNOWN: Final = "This code is not known or does not apply to you."
"""Said of what does not exist, and to those who may not know that it does."""

RefusalReason = Literal[
    "unknown",
    "ended",
    "not-yet-valid",
    "expired",
    "currency",
    "country",
    "gateway",
    "new-customers-only",
    "below-minimum",
    "above-maximum",
    "first-topup-only",
    "already-used",
    "in-use",
    "used-up",
    "amount-too-small",
    "changed",
]


@frozen
class Adjustment:
    """What a promotion gives for one top-up."""

    bonus: Money
    discount: Money

    @property
    def cost(self) -> Money:
        """What it takes of a budget."""
        return self.bonus + self.discount


@frozen(kw_only=True)
class Applicant:
    """Who wants to use a promotion, for what.

    Attributes:
        customer: The host's id.
        groups: Their groups.
        since: When they joined the host.
        country: Country of their tax profile, or None.
        gateway: The gateway they chose, or None.
        typed: The amount they typed.
        credit: The credit they buy.
    """

    customer: str
    groups: tuple[str, ...]
    since: datetime
    country: str | None
    gateway: str | None
    typed: Money
    credit: Money


@frozen(kw_only=True)
class Taken:
    """What is taken of a promotion's limits, without what a new start would move.

    Attributes:
        uses: By all customers.
        spent: Of the budget.
        by_customer: By the one who asks.
        first: The customer has had a first top-up, or another one is reserved as such.
        ended: An operator ended it.
    """

    uses: int
    spent: int
    by_customer: int
    first: bool
    ended: bool


@frozen(kw_only=True)
class RedemptionTerms:
    """What settling a top-up needs of its promotion as it was: plain values, which nothing refuses any more.

    Attributes:
        uses_per_customer: Limit per customer, or None.
        first_topup_only: Only a first top-up may have it.
        bonus_expires_after: How long the bonus lasts, or None.
        bonus_priority: Burn priority of the bonus, or None.
    """

    uses_per_customer: int | None = None
    first_topup_only: bool = False
    bonus_expires_after: timedelta | None = None
    bonus_priority: int | None = None


@frozen(kw_only=True)
class Redemption:
    """The use of a promotion by one top-up.

    Attributes:
        id: ``rdm_…``.
        promotion_id: Id of the promotion.
        code: Its code, as its operator wrote it when the top-up was started.
        customer: The host's id of the customer.
        topup_id: The top-up.
        state: How far it is.
        bonus: Bonus as it was quoted.
        discount: Discount as it was quoted.
        reserved_at: When the top-up was started.
        lapses_at: When the reservation ends, unless it is paid.
        closed_at: When it was redeemed, released or lost; or None.
        reason: Why it was released, in a machine word, or empty.
        typed: The amount that the customer typed.
        terms: What of its promotion, as it was then, settles it.
    """

    id: str
    promotion_id: str
    code: str
    customer: str
    topup_id: str
    state: RedemptionState
    bonus: Money
    discount: Money
    reserved_at: datetime
    lapses_at: datetime
    closed_at: datetime | None = None
    reason: str = ""
    typed: Money
    terms: RedemptionTerms

    @property
    def cost(self) -> Money:
        """What it takes of a budget."""
        return self.bonus + self.discount


def refusal(reason: RefusalReason, message: str, **params: str) -> PromotionRefused:
    """Make the refusal of a code."""
    return PromotionRefused(message, reason=reason, **params)


def unknown() -> PromotionRefused:
    """Make the one refusal of what does not exist or is not theirs to know."""
    return refusal("unknown", UNKNOWN)


def apply(promotion: Promotion, applicant: Applicant, taken: Taken, *, now: datetime) -> Adjustment:
    """Give what a promotion gives for a top-up.

    Raises:
        PromotionRefused: It does not apply; the first reason in a fixed order, so
            that who may not know of it learns nothing of its other limits.
    """
    if not promotion.is_for(applicant.customer, applicant.groups):
        raise unknown()
    _require_time(promotion, taken, now)
    _require_place(promotion, applicant)
    _require_amount(promotion, applicant)
    _require_newness(promotion, applicant, taken, now)
    adjustment = adjust(promotion, applicant.credit, typed=applicant.typed)
    if not adjustment.cost:
        raise refusal("amount-too-small", "The amount is too small for this code to give anything.")
    _require_left(promotion, taken, adjustment)
    return adjustment


def adjust(promotion: Promotion, credit: Money, *, typed: Money) -> Adjustment:
    """Give bonus and discount of a promotion; a discount is never more than the credit."""
    zero = Money.zero(credit.currency)
    amounts = {type(effect): effect.of(credit, typed=typed) for effect in promotion.effects}
    discount = min(amounts.pop(Discount, zero), credit)
    return Adjustment(next(iter(amounts.values()), zero), discount)


def shown_instant(instant: datetime, timezone: str) -> str:
    """Write an instant as customers of a promotion read it, with its zone."""
    return f"{instant.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M} ({timezone})"


def _require_time(promotion: Promotion, taken: Taken, now: datetime) -> None:
    if taken.ended:
        raise refusal("ended", "This code can be used no more.")
    begins, ends = promotion.begins_at, promotion.ends_at
    if begins is not None and now < begins:
        at = shown_instant(begins, promotion.timezone)
        raise refusal("not-yet-valid", f"This code can be used from {at}.", valid_from=at)
    if ends is not None and now >= ends:
        at = shown_instant(ends, promotion.timezone)
        raise refusal("expired", f"This code expired on {at}.", valid_until=at)


def _require_place(promotion: Promotion, applicant: Applicant) -> None:
    currency = applicant.typed.currency
    if not promotion.takes(currency):
        raise refusal("currency", f"This code is not for top-ups in {currency}.", currency=currency)
    if promotion.countries and applicant.country is None:
        raise refusal("country", "This code is for some countries only; add your address first.")
    if promotion.countries and applicant.country not in promotion.countries:
        raise refusal("country", "This code is not for your country.", country=applicant.country or "")
    if promotion.gateways and applicant.gateway is not None and applicant.gateway not in promotion.gateways:
        raise refusal("gateway", "This code is not for this way to pay.", gateway=applicant.gateway)


def _require_amount(promotion: Promotion, applicant: Applicant) -> None:
    typed = applicant.typed
    least, most = promotion.smallest(typed.currency), of_currency(promotion.maximum, typed.currency)
    if least is not None and typed < least:
        raise refusal("below-minimum", f"The smallest amount for this code is {least}.", minimum=str(least))
    if most is not None and typed > most:
        raise refusal("above-maximum", f"The largest amount for this code is {most}.", maximum=str(most))


def _require_newness(promotion: Promotion, applicant: Applicant, taken: Taken, now: datetime) -> None:
    if promotion.customer_age is not None and now - applicant.since >= promotion.customer_age:
        raise refusal("new-customers-only", "This code is for new customers only.")
    if promotion.uses_per_customer is not None and taken.by_customer >= promotion.uses_per_customer:
        raise already_used(promotion)
    if promotion.first_topup_only and taken.first:
        raise refusal("first-topup-only", "This code is for the first top-up only.")


def already_used(promotion: Promotion) -> PromotionRefused:
    """Make the refusal of a code that the customer used as often as they may."""
    times = promotion.uses_per_customer or 1
    how_often = "this code" if times == 1 else f"this code {times} times"
    return refusal("already-used", f"You have already used {how_often}.", uses=str(times))


def _require_left(promotion: Promotion, taken: Taken, adjustment: Adjustment) -> None:
    if promotion.uses_total is not None and taken.uses >= promotion.uses_total:
        raise used_up()
    if promotion.budget is not None and taken.spent + adjustment.cost.units > promotion.budget.units:
        raise used_up()


def used_up() -> PromotionRefused:
    """Make the refusal of a code that others used up."""
    return refusal("used-up", "This code is used up.")


def in_use() -> PromotionRefused:
    """Make the refusal of a code that another top-up of the customer has reserved and cannot give back now."""
    return refusal("in-use", "Another top-up with this code is still being paid; finish it, or try again later.")
