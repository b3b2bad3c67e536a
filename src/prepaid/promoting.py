"""What operators do with promotions: make them, change and end them, and see what they gave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from attrs import field, frozen

from . import audit
from .config import Context, page_limit
from .core.codes import code_identity
from .core.errors import InvalidRequest, KeyConflict, NotFound, WrongState
from .core.money import Money
from .core.pages import Page, make_cursor, read_cursor
from .core.promotion_records import promotion_record
from .core.promotions import Promotion
from .core.redemption import Redemption
from .store import Duplicate, Tx, promotions, redemptions
from .store.promotions import StoredPromotion
from .store.redemptions import Totals

PromotionState = Literal["scheduled", "active", "used-up", "expired", "ended"]


@frozen(kw_only=True)
class PromotionStatus:
    """A promotion and how far it is used.

    Attributes:
        promotion: The rule.
        state: ``"scheduled"``, ``"active"``, ``"used-up"``, ``"expired"`` or ``"ended"``.
        reserved: Top-ups that have it reserved.
        redeemed: Top-ups that were credited with it.
        lost: Top-ups that were paid too late for it.
        granted: Bonus credited, one amount per currency.
        discounted: Discounts of credited top-ups, likewise.
        budget_left: What is left of the budget, reservations counted as spent; None without one.
        actor: Who made it.
    """

    promotion: Promotion
    state: PromotionState
    reserved: int
    redeemed: int
    lost: int
    granted: tuple[Money, ...]
    discounted: tuple[Money, ...]
    budget_left: Money | None
    actor: str = field(repr=False)


def create(context: Context, promotion: object, *, reason: str, actor: str) -> PromotionStatus:
    """Make a promotion; the same one again is made once.

    Raises:
        InvalidRequest: Not a `Promotion`; or a currency, gateway or budget that is not in use here.
        KeyConflict: Another promotion has this code.
    """
    rule, why = _checked(context, promotion), audit.optional_reason(reason)
    stored = StoredPromotion(
        id=context.ids.new("prm"),
        rule=rule,
        uses=0,
        spent=0,
        ended_at=None,
        created_at=context.now(),
        actor=actor,
    )

    def work(tx: Tx) -> None:
        known = promotions.find(tx, rule.identity)
        if known is not None:
            if known.rule != rule or known.ended_at is not None:
                raise KeyConflict("Another promotion has this code.", field="code")
            return
        promotions.add(tx, stored)
        _record(tx, context, "promotion-create", rule, reason=why, actor=actor)

    try:
        context.database.write(work)
    except Duplicate:  # made by two operators at the same moment
        context.database.write(work)
    return get(context, rule.code)


def change(context: Context, promotion: object, *, reason: str, actor: str) -> PromotionStatus:
    """Give a promotion another rule; top-ups that were started keep the one they were started with.

    Raises:
        InvalidRequest: As `create`, or a limit below what is used of it already.
        NotFound: There is none with this code.
        WrongState: It was ended.
    """
    rule, why = _checked(context, promotion), audit.optional_reason(reason)

    def work(tx: Tx) -> None:
        known = _hold(tx, rule.identity)
        if known.ended_at is not None:
            raise WrongState("This promotion was ended.", field="code")
        if known.rule == rule:  # said twice, or the commit was made and its answer lost
            return
        if rule.uses_total is not None and rule.uses_total < known.uses:
            raise InvalidRequest(f"uses_total is below the {known.uses} uses so far.", field="uses_total")
        if rule.uses_per_customer is not None and rule.uses_per_customer < promotions.most_uses(tx, known.id):
            raise InvalidRequest("uses_per_customer is below what a customer used so far.", field="uses_per_customer")
        # Without a budget nothing was counted; and one in another currency counted something else.
        spent = 0 if rule.budget is None else redemptions.cost_of(tx, known.id, rule.budget.currency)
        if rule.budget is not None and rule.budget.units < spent:
            raise InvalidRequest("budget is below what was given and reserved so far.", field="budget")
        promotions.change(tx, known.id, rule, spent=spent)
        _record(tx, context, "promotion-change", rule, reason=why, actor=actor, before=known.rule)

    context.database.write(work)
    return get(context, rule.code)


def end(context: Context, code: object, *, reason: str, actor: str) -> PromotionStatus:
    """Let a promotion be used no more; what is reserved stays so. Ending it again changes nothing.

    Raises:
        InvalidRequest: Not a code.
        NotFound: There is none with it.
    """
    identity, why, now = code_identity(code), audit.optional_reason(reason), context.now()

    def work(tx: Tx) -> None:
        known = _hold(tx, identity)
        if promotions.end(tx, known.id, now):
            _record(tx, context, "promotion-end", known.rule, reason=why, actor=actor)

    context.database.write(work)
    return get(context, code)


def get(context: Context, code: object) -> PromotionStatus:
    """Read a promotion with what it gave so far.

    Raises:
        InvalidRequest: Not a code.
        NotFound: There is none with it.
    """
    identity = code_identity(code)

    def read(tx: Tx) -> PromotionStatus:
        known = _known(promotions.find(tx, identity))
        return _status(context, known, redemptions.totals(tx, [known.id]))

    return context.database.read(read)


def listed(context: Context, *, cursor: str | None, limit: int) -> Page[PromotionStatus]:
    """List promotions, newest first.

    Raises:
        InvalidRequest: A cursor of another list, or a limit out of range.
    """
    size, before = page_limit(limit), read_cursor("p", cursor)

    def read(tx: Tx) -> tuple[list[StoredPromotion], list[Totals]]:
        rows = promotions.page(tx, before=before, limit=size + 1)
        return rows, redemptions.totals(tx, [row.id for row in rows[:size]])

    rows, totals = context.database.read(read)
    items = tuple(_status(context, row, totals) for row in rows[:size])
    return Page(items, make_cursor("p", rows[size - 1].id) if len(rows) > size else None)


def redemptions_of(context: Context, code: object, *, cursor: str | None, limit: int) -> Page[Redemption]:
    """List who used a promotion, newest first, reservations and what was released with them.

    Raises:
        InvalidRequest: Not a code, a cursor of another list, or a limit out of range.
        NotFound: There is no promotion with it.
    """
    identity, size, before = code_identity(code), page_limit(limit), read_cursor("r", cursor)

    def read(tx: Tx) -> list[Redemption]:
        known = _known(promotions.find(tx, identity))
        return redemptions.page(tx, known.id, before=before, limit=size + 1)

    rows = context.database.read(read)
    return Page(tuple(rows[:size]), make_cursor("r", rows[size - 1].id) if len(rows) > size else None)


def _checked(context: Context, promotion: object) -> Promotion:
    if not isinstance(promotion, Promotion):
        raise InvalidRequest("promotion is a Promotion.", field="promotion")
    for currency in promotion.currencies:
        context.currency_or_default(currency)
    left = frozenset(context.currencies)
    for field_name, currencies in promotion.currency_sets():
        left = left if currencies is None else left & currencies
        if not left:
            raise InvalidRequest(f"{field_name} names no currency that is in use here.", field=field_name)
    for gateway in promotion.gateways:
        context.gateway(gateway)
    return promotion


def _hold(tx: Tx, identity: str) -> StoredPromotion:
    found = _known(promotions.find(tx, identity))
    return _known(promotions.hold(tx, found.id))


def _known(found: StoredPromotion | None) -> StoredPromotion:
    if found is None:
        raise NotFound("There is no such promotion.", field="code")
    return found


def _record(
    tx: Tx,
    context: Context,
    action: str,
    rule: Promotion,
    *,
    reason: str,
    actor: str,
    before: Promotion | None = None,
) -> None:
    audit.record(
        tx,
        context,
        actor=actor,
        action=action,
        target=rule.identity,
        reason=reason,
        before={} if before is None else promotion_record(before),
        after=promotion_record(rule),
    )


def _status(context: Context, stored: StoredPromotion, totals: Iterable[Totals]) -> PromotionStatus:
    own = [each for each in totals if each.promotion_id == stored.id]
    redeemed = [each for each in own if each.state == "redeemed"]
    budget = stored.rule.budget
    return PromotionStatus(
        promotion=stored.rule,
        state=_state(context, stored),
        reserved=sum(each.count for each in own if each.state == "reserved"),
        redeemed=sum(each.count for each in redeemed),
        lost=sum(each.count for each in own if each.state == "lost"),
        granted=tuple(each.bonus for each in redeemed if each.bonus),
        discounted=tuple(each.discount for each in redeemed if each.discount),
        budget_left=None if budget is None else Money(budget.units - stored.spent, budget.currency),
        actor=stored.actor,
    )


def _state(context: Context, stored: StoredPromotion) -> PromotionState:
    rule, now = stored.rule, context.now()
    if stored.ended_at is not None:
        return "ended"
    if rule.ends_at is not None and now >= rule.ends_at:
        return "expired"
    if rule.begins_at is not None and now < rule.begins_at:
        return "scheduled"
    uses_met = rule.uses_total is not None and stored.uses >= rule.uses_total
    budget_met = rule.budget is not None and stored.spent >= rule.budget.units
    return "used-up" if uses_met or budget_met else "active"
