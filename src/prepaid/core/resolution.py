"""How an operator ends the review of a payment that differs from what was started.

The payment is in suspense, whole. It is credited as what it is
(``credit_received``), credited as what was quoted (``credit_quoted``), or given
back (``refund``). What is sold is split into net and tax by the frozen
decision, as a price that contains its tax.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from .errors import InvalidRequest, WrongState
from .money import Money
from .taxation import NOT_SOLD, TaxDecision, split_gross
from .topups import Topup

ResolveAction = Literal["credit_received", "credit_quoted", "refund"]
RESOLVE_ACTIONS: tuple[str, ...] = ("credit_received", "credit_quoted", "refund")


@frozen(kw_only=True)
class Resolution:
    """What of a payment in suspense becomes what.

    Attributes:
        decision: Net and tax of what is sold.
        discount: What a promotion adds to the credit.
        bonus: Promotional credit on top.
        goodwill: Credit given for what was not paid.
        refund: What goes back to the customer.
    """

    decision: TaxDecision
    discount: Money
    bonus: Money
    goodwill: Money
    refund: Money

    @property
    def credit(self) -> Money:
        """The credit that is bought: paid for, or given by a discount."""
        return self.decision.net + self.discount


def check_action(action: object) -> ResolveAction:
    """Return the action.

    Raises:
        InvalidRequest: There is none of that name.
    """
    match action:
        case "credit_received" | "credit_quoted" | "refund":
            return action
        case _:
            raise InvalidRequest(f"action is one of {', '.join(RESOLVE_ACTIONS)}.", field="action")


def resolve(topup: Topup, captured: Money, action: ResolveAction, *, rounding: str) -> Resolution:
    """Say what becomes of a payment in suspense.

    Args:
        topup: What was started.
        captured: What was paid.
        action: What the operator wants.
        rounding: The seller's rounding of tax.

    Raises:
        WrongState: It was paid in another currency than started, was a second
            payment that nothing can be sold for, or nothing would be left after
            tax: it can only be given back.
    """
    zero = Money.zero(captured.currency)
    if action == "refund":
        return Resolution(decision=topup.tax, discount=zero, bonus=zero, goodwill=zero, refund=captured)
    if captured.currency != topup.total.currency or topup.tax.reason == NOT_SOLD:
        raise WrongState("This payment can only be refunded: nothing can be sold for it.", field="action")
    if action == "credit_received":
        sold = split_gross(topup.tax, captured, rounding=rounding)
        resolution = Resolution(decision=sold, discount=zero, bonus=zero, goodwill=zero, refund=zero)
    else:
        resolution = _as_quoted(topup, captured, rounding=rounding)
    if resolution.decision.net.units <= 0:
        raise WrongState("Nothing would be left of this payment after tax; refund it.", field="action")
    return resolution


def _as_quoted(topup: Topup, captured: Money, *, rounding: str) -> Resolution:
    if captured >= topup.total:
        sold = topup.tax
    else:
        # Never more net, nor more tax, than was quoted, whatever the rounding of several components.
        net = split_gross(topup.tax, captured, rounding=rounding).net
        bounded = min(topup.net, max(net, captured - topup.tax.total))
        sold = split_gross(topup.tax, captured, rounding=rounding, net=bounded)
    return Resolution(
        decision=sold,
        discount=topup.discount,
        bonus=topup.bonus,
        goodwill=topup.net - sold.net,
        refund=captured - sold.gross,
    )
