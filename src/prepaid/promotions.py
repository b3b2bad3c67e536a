"""Promotions around a top-up: looked up for a quote, reserved at its start, redeemed or released at its end.

Limits and budgets are counted by guarded updates, in the transaction that
starts, settles or ends the top-up. A reservation is released when its top-up
ends unpaid, and when its time is over; a payment that comes later takes it
again, or is credited without it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial
from typing import Final

from attrs import evolve, frozen

from . import attempts
from .config import Context
from .core.codes import code_identity
from .core.errors import IntegrityFault, InvalidRequest, PromotionRefused, WrongState
from .core.grants import NEVER
from .core.money import Money
from .core.parties import Customer
from .core.promotions import Promotion
from .core.redemption import (
    RESERVED_FOR,
    Adjustment,
    Applicant,
    Redemption,
    RedemptionTerms,
    Taken,
    apply,
    in_use,
    refusal,
    unknown,
    used_up,
)
from .core.topups import Topup
from .store import Tx, promotions, redemptions
from .store import customers as customer_rows
from .store.promotions import StoredPromotion

LAPSED_AT_ONCE: Final = 100


@frozen(kw_only=True)
class Wish:
    """A code that a customer wants to use for a top-up.

    Attributes:
        code: Identity of the code.
        gateway: The gateway they chose, or None.
        typed: The amount they typed.
        credit: The credit they buy.
    """

    code: str
    gateway: str | None
    typed: Money
    credit: Money


@frozen
class Offer:
    """A promotion that applies, what it gives, and the customer's checkouts that a start with it gives up."""

    rule: Promotion
    adjustment: Adjustment
    moved: tuple[str, ...]


def identity_of(code: object) -> str:
    """Give the identity of a code that a customer typed.

    Raises:
        InvalidRequest: Not a string.
        PromotionRefused: It cannot be a code, so there is none of it.
    """
    try:
        return code_identity(code)
    except InvalidRequest:
        if not isinstance(code, str):
            raise
        raise unknown() from None


def look_up(
    context: Context, customer: Customer, code: object, *, gateway: str | None, typed: Money, credit: Money
) -> Offer:
    """Say what a code that a customer typed gives for a top-up; one that is not known counts as tried in vain.

    Raises:
        InvalidRequest: Not a string.
        PromotionRefused: It does not apply.
        TooManyAttempts: They tried too many in vain lately.
    """
    attempts.require_room(context, customer.id)
    try:
        wish = Wish(code=identity_of(code), gateway=gateway, typed=typed, credit=credit)
        return _offer(context, customer, wish)
    except PromotionRefused as refused:
        if refused.reason == "unknown":
            attempts.missed(context, customer.id, str(code))
        raise


def _offer(context: Context, customer: Customer, wish: Wish) -> Offer:
    """Say what a code gives as it is now; what a start would release or move is not counted."""

    def read(tx: Tx) -> Offer:
        stored = _find(tx, wish)
        own, now = _movable(tx, customer, stored), context.now()
        freed = {each.id: each for each in (*_lapsed(tx, context, stored), *own)}
        adjustment = _apply(tx, context, customer, wish, stored=stored, freed=tuple(freed.values()))
        if redemptions.is_under_way(tx, [each for each in own if each.lapses_at > now]):
            raise in_use()
        return Offer(stored.rule, adjustment, tuple(each.topup_id for each in own))

    return context.database.read(read)


def movable(context: Context, customer: Customer, code: str) -> tuple[str, ...]:
    """Name the unpaid top-ups of a customer whose reservation a new start with a code moves."""

    def read(tx: Tx) -> tuple[str, ...]:
        stored = promotions.find(tx, code)
        return () if stored is None else tuple(each.topup_id for each in _movable(tx, customer, stored))

    return context.database.read(read)


def reserve(tx: Tx, context: Context, customer: Customer, wish: Wish, *, topup: Topup) -> None:
    """Reserve a promotion for a top-up that is kept in the same transaction; the customer's turn is taken.

    Raises:
        PromotionRefused: It does not apply any more, or not as it was quoted.
    """
    now = context.now()
    stored = promotions.hold(tx, _find(tx, wish).id)
    if stored is None:
        raise IntegrityFault("A promotion is gone.")
    own = _movable(tx, customer, stored)
    if any(each.lapses_at > now for each in own):
        raise in_use()
    lapsed = tuple({each.id: each for each in (*_lapsed(tx, context, stored), *own)}.values())
    adjustment = _apply(tx, context, customer, wish, stored=stored, freed=lapsed)
    for each in lapsed:  # so that nobody is refused for want of a job
        _release(tx, each, "lapsed", now)
    if (adjustment.bonus, adjustment.discount) != (topup.bonus, topup.discount):
        raise refusal("changed", "This code gives something else by now; look at the new summary.")
    rule = stored.rule
    if not promotions.take(tx, stored.id, customer.id, adjustment.cost, per_customer=rule.uses_per_customer):
        raise used_up()
    redemption = Redemption(
        id=context.ids.new("rdm"),
        promotion_id=stored.id,
        code=rule.code,
        customer=customer.id,
        topup_id=topup.id,
        state="reserved",
        bonus=adjustment.bonus,
        discount=adjustment.discount,
        reserved_at=now,
        lapses_at=min(topup.expires_at, now + RESERVED_FOR),
        typed=wish.typed,
        terms=RedemptionTerms(
            uses_per_customer=rule.uses_per_customer,
            first_topup_only=rule.first_topup_only,
            bonus_expires_after=rule.bonus_expires_after,
            bonus_priority=rule.bonus_priority,
        ),
    )
    redemptions.add(tx, redemption, rule)


def redeem(tx: Tx, context: Context, topup: Topup) -> Topup:
    """Redeem what a top-up reserved, in the transaction that credits it, and give it as it is sold.

    What was released meanwhile is taken again, if the limits leave room; if they
    do not, what was paid is credited net, and the top-up says so.
    """
    if topup.promotion is None:
        return topup
    redemption, now = _redemption_of(tx, topup), context.now()
    if redemptions.step(tx, redemption, "reserved", "redeemed", at=now):
        return evolve(topup, promotion="redeemed")
    if _take_again(tx, redemption):
        redemptions.step(tx, redemption, "released", "redeemed", at=now)
        return evolve(topup, promotion="redeemed")
    redemptions.step(tx, redemption, "released", "lost", at=now)
    zero = Money.zero(topup.net.currency)
    return evolve(topup, promotion="lost", credit=topup.net, bonus=zero, discount=zero)


def redeem_as_quoted(tx: Tx, context: Context, topup: Topup) -> None:
    """Redeem the promotion of a top-up whose review ends as it was quoted.

    Raises:
        WrongState: It was released meanwhile, and the limits leave no room any more.
    """
    if redeem(tx, context, topup).promotion == "lost":
        raise WrongState("The promotion of this top-up is used up; credit what was received.", field="action")


@frozen
class BonusTerms:
    """How long a bonus that is credited now lasts, and when it burns; the priority of its kind if None."""

    expires_at: datetime = NEVER
    priority: int | None = None


def bonus_terms(tx: Tx, context: Context, topup: Topup) -> BonusTerms:
    """Read the terms of a top-up's bonus, as its promotion was when it was started."""
    if not topup.bonus or topup.promotion is None:
        return BonusTerms()
    terms = _redemption_of(tx, topup).terms
    lasts = terms.bonus_expires_after
    return BonusTerms(NEVER if lasts is None else context.now() + lasts, terms.bonus_priority)


def release(tx: Tx, context: Context, topup: Topup, reason: str) -> None:
    """Give back what a top-up reserved, if it still is; the promotion is held before its redemption."""
    if topup.promotion is None:
        return
    redemption = _redemption_of(tx, topup)
    if redemption.state == "reserved":
        promotions.lock(tx, redemption.promotion_id)
        _release(tx, redemption, reason, context.now())


def release_lapsed(context: Context, *, stop_at: datetime | None) -> int:
    """Release reservations whose time is over, and count them."""
    released = 0
    while lapsed := context.database.read(lambda tx: redemptions.lapsed(tx, context.now(), limit=LAPSED_AT_ONCE)):
        for redemption in lapsed:
            if stop_at is not None and context.now() >= stop_at:
                return released
            released += context.database.write(partial(_lapse, redemption, context.now()))
    return released


def _lapse(redemption: Redemption, now: datetime, tx: Tx) -> bool:
    promotions.lock(tx, redemption.promotion_id)
    return _release(tx, redemption, "lapsed", now)


def _release(tx: Tx, redemption: Redemption, reason: str, now: datetime) -> bool:
    if not redemptions.step(tx, redemption, "reserved", "released", at=now, reason=reason):
        return False
    promotions.give_back(tx, redemption.promotion_id, redemption.customer, redemption.cost)
    return True


def _find(tx: Tx, wish: Wish) -> StoredPromotion:
    stored = promotions.find(tx, wish.code)
    if stored is None:
        raise unknown()
    return stored


def _movable(tx: Tx, customer: Customer, stored: StoredPromotion) -> list[Redemption]:
    return redemptions.open_of(tx, customer.id, stored.id, first_only=stored.rule.first_topup_only)


def _lapsed(tx: Tx, context: Context, stored: StoredPromotion) -> list[Redemption]:
    """Read reservations that stand in somebody's way though their time is over."""
    rule = stored.rule
    uses_met = rule.uses_total is not None and stored.uses >= rule.uses_total
    if not uses_met and rule.budget is None:  # those of the customer who asks are moved in any case
        return []
    return redemptions.lapsed(tx, context.now(), limit=LAPSED_AT_ONCE, promotion_id=stored.id)


def _apply(
    tx: Tx, context: Context, customer: Customer, wish: Wish, *, stored: StoredPromotion, freed: Collection[Redemption]
) -> Adjustment:
    """Apply a promotion to what a customer wants, with some of its reservations taken for released."""
    profile = customer_rows.current_profile(tx, customer.id)
    applicant = Applicant(
        customer=customer.id,
        groups=customer.groups,
        since=customer_rows.joined_at(tx, customer.id),
        country=None if profile is None else profile[1].address.country or None,
        gateway=wish.gateway,
        typed=wish.typed,
        credit=wish.credit,
    )
    same, budget = [each for each in freed if each.promotion_id == stored.id], stored.rule.budget
    cost = sum(each.cost.units for each in same if budget is not None and each.cost.currency == budget.currency)
    first = stored.rule.first_topup_only
    taken = Taken(
        uses=stored.uses - len(same),
        spent=stored.spent - cost,
        by_customer=promotions.uses_of(tx, stored.id, customer.id) - _of_customer(same, customer),
        first=first and redemptions.has_first(tx, customer.id, besides=[each.topup_id for each in freed]),
        ended=stored.ended_at is not None,
    )
    return apply(stored.rule, applicant, taken, now=context.now())


def _of_customer(freed: Collection[Redemption], customer: Customer) -> int:
    return sum(each.customer == customer.id for each in freed)


def _take_again(tx: Tx, redemption: Redemption) -> bool:
    promotions.lock(tx, redemption.promotion_id)
    rule = redemption.terms
    if rule.first_topup_only and redemptions.has_first(tx, redemption.customer, besides=[redemption.topup_id]):
        return False
    return promotions.take(
        tx, redemption.promotion_id, redemption.customer, redemption.cost, per_customer=rule.uses_per_customer
    )


def _redemption_of(tx: Tx, topup: Topup) -> Redemption:
    redemption = redemptions.of_topup(tx, topup.id)
    if redemption is None:
        raise IntegrityFault("A top-up with a promotion has no redemption.")
    return redemption
