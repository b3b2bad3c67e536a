"""How much of a top-up or a charge may be asked back now, and why not more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import evolve, frozen

from .. import wallets
from ..config import Context
from ..core.clawback import NOTHING, by_credit
from ..core.errors import RefundRefused
from ..core.money import Money
from ..core.refund_requests import REASONS, REFUNDS_SETTING, EligibleRefund, RefundPolicy, Standing, refund_policy
from ..core.topups import NO_GATEWAY, Topup
from ..store import Tx, operations, refund_requests, standings
from ..store.ledger import PostedCharge, given_back, sums_given_back
from ..store.standings import Sold


def policy_of(tx: Tx) -> RefundPolicy:
    """Read until when customers may ask."""
    return refund_policy(operations.read_setting(tx, REFUNDS_SETTING))


def topups_eligible(tx: Tx, context: Context, topup_ids: Sequence[str]) -> list[EligibleRefund]:
    """Say of a customer's credited top-ups, in their order, what may be asked back; others are left out."""
    now, policy = context.now(), policy_of(tx)
    found = standings.sold_among(tx, topup_ids, now)
    asked = refund_requests.open_of(tx, list(topup_ids))
    free = {currency: _free(tx, found[0].customer, currency, now) for currency in {sold.currency for sold in found}}
    rule = _Rule(context, policy, now)
    return [rule.judge(sold, free=free[sold.currency], is_asked=sold.topup_id in asked) for sold in found]


def _free(tx: Tx, customer: str, currency: str, now: datetime) -> int:
    """Give what of a wallet nothing reserves, with what is due by now dealt with, as a balance is shown."""
    balance = wallets.balance(tx, customer, currency, now=now)
    return (balance.settled - balance.held).units


def topup_eligible(context: Context, sold: Sold, *, free: int, by_hand: bool) -> EligibleRefund:
    """Say of one top-up what an operator can give back, whenever it was bought and whether it was asked for or not.

    Args:
        context: The billing system.
        sold: How it stands.
        free: What of its wallet nothing reserves, in ledger units.
        by_hand: The seller gives it back by other means, so that no gateway refuses.
    """
    return _Rule(context, RefundPolicy(), context.now(), by_hand).judge(sold, free=free, is_asked=False)


def topup_givable(tx: Tx, context: Context, topup_id: str, *, by_hand: bool) -> EligibleRefund | None:
    """Say the same of a top-up that nobody holds; None if it is not credited."""
    now = context.now()
    sold = standings.sold(tx, topup_id, now)
    if sold is None:
        return None
    return topup_eligible(context, sold, free=_free(tx, sold.customer, sold.currency, now), by_hand=by_hand)


def not_credited(topup: Topup) -> RefundRefused:
    """Make the refusal of a top-up that is not credited."""
    reason = "review" if topup.state == "review" else "unpaid"
    return RefundRefused(REASONS[reason], reason=reason, field="refund")


def require_givable(context: Context, sold: Sold, *, gross_minor: int, by_hand: bool = False) -> None:
    """Refuse so little that it is no money, or a part that the gateway does not give back.

    Raises:
        RefundRefused: It is no money, or the gateway cannot give that back.
    """
    refusal = _Rule(context, RefundPolicy(), context.now(), by_hand).gateway_refuses(sold, gross=gross_minor)
    if refusal:
        raise RefundRefused(REASONS[refusal], reason=refusal)


@frozen
class _Rule:
    """What the book, its gateways and the time allow."""

    context: Context
    policy: RefundPolicy
    now: datetime
    by_hand: bool = False

    def judge(self, sold: Sold, *, free: int, is_asked: bool) -> EligibleRefund:
        """Say how much of a top-up may be asked back."""
        standing = Standing(
            bought=sold.bought,
            paid_left=sold.own.paid_left,
            bonus_left=sold.own.bonus_left,
            free=free,
            before=sold.before,
            cash_left=sold.cash_left,
            currency=sold.currency,
        )
        refusal = self._refusal(sold, is_asked=is_asked)
        most = 0 if refusal else standing.most()
        part = by_credit(sold.bought, most, sold.before) if most else NOTHING
        if not refusal and most:
            refusal = self.gateway_refuses(sold, gross=part.gross_minor)
        if refusal:
            part, most = NOTHING, 0
        reason, currency = refusal or standing.why_not_more(), sold.currency
        return EligibleRefund(
            kind="topup",
            id=sold.topup_id,
            at=sold.settled_at,
            description=f"Top-up, {self.context.label_of(sold.gateway)}".removesuffix(", "),
            total=Money(sold.bought.credit, currency),
            credit=Money(most, currency),
            cash=Money.from_minor(part.gross_minor, currency),
            tax=Money.from_minor(part.tax_minor, currency),
            clawback=Money(part.clawed_back, currency),
            reason=reason,
            message=REASONS.get(reason, ""),
            by_hand=self._is_by_hand(sold),
        )

    def _refusal(self, sold: Sold, *, is_asked: bool) -> str:
        """Say why nothing at all can be asked back, in a machine word; empty if something may."""
        if sold.gateway == NO_GATEWAY:
            return "unpaid"
        if sold.is_withdrawn:
            return "disputed"
        if is_asked:
            return "requested"
        within = self.policy.topups_within
        return "too-old" if within is not None and self.now > sold.settled_at + within else ""

    def _is_by_hand(self, sold: Sold) -> bool:
        gateway = self.context.gateways.get(sold.gateway)
        return sold.gateway != NO_GATEWAY and (gateway is None or not gateway.capabilities().refunds)

    def gateway_refuses(self, sold: Sold, *, gross: int) -> str:
        """Say that the gateway can give back nothing of that; what is given by hand asks no gateway."""
        gateway = self.context.gateways.get(sold.gateway)
        if not gross:
            return "gateway-limit"  # less than one minor unit of money
        if gateway is None or self.by_hand or self._is_by_hand(sold):
            return ""
        claims = gateway.capabilities()
        days = claims.refund_window_days
        is_late = days is not None and self.now > sold.settled_at + timedelta(days=days)
        is_second = sold.refunds > 0 and not claims.multiple_refunds
        is_part = not claims.partial_refund and gross < sold.captured.minor
        return "gateway-limit" if is_late or is_second or is_part else ""


def charge_eligible(tx: Tx, context: Context, charge: PostedCharge) -> EligibleRefund:
    """Say how much of a charge may be asked back."""
    asked = refund_requests.open_of(tx, [charge.transaction_id])
    return _judged(_left_of(tx, charge), policy_of(tx), context.now(), is_asked=bool(asked))


def charge_givable(tx: Tx, context: Context, charge: PostedCharge) -> EligibleRefund:
    """Say how much of a charge an operator can give back, whenever it was and whether it was asked for or not."""
    return _judged(_left_of(tx, charge), RefundPolicy(), context.now(), is_asked=False)


def _left_of(tx: Tx, charge: PostedCharge) -> EligibleRefund:
    total = sum(part.amount for part in charge.parts)
    left = total - sum(given_back(tx, charge.transaction_id).values())
    return EligibleRefund(
        kind="charge",
        id=charge.transaction_id,
        at=charge.posted_at,
        description=charge.label.description,
        total=Money(total, charge.currency),
        credit=Money(left, charge.currency),
        cash=Money.zero(charge.currency),
        tax=Money.zero(charge.currency),
        clawback=Money.zero(charge.currency),
    )


def charges_eligible(tx: Tx, context: Context, found: Sequence[EligibleRefund]) -> list[EligibleRefund]:
    """Say of charges, given as if nothing of them had been given back, how much may be asked back."""
    ids = [each.id for each in found]
    back, asked, policy = sums_given_back(tx, ids), refund_requests.open_of(tx, ids), policy_of(tx)
    return [
        _judged(
            evolve(each, credit=each.total - Money(back.get(each.id, 0), each.total.currency)),
            policy,
            context.now(),
            is_asked=each.id in asked,
        )
        for each in found
    ]


def _judged(found: EligibleRefund, policy: RefundPolicy, now: datetime, *, is_asked: bool) -> EligibleRefund:
    reason = "refunded" if found.credit != found.total else ""
    if found.credit and policy.charges_within is not None and now > found.at + policy.charges_within:
        reason, found = "too-old", evolve(found, credit=Money.zero(found.total.currency))
    if is_asked:
        reason, found = "requested", evolve(found, credit=Money.zero(found.total.currency))
    return evolve(found, reason=reason, message=REASONS.get(reason, ""))
