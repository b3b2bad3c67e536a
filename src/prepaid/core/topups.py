"""A top-up: the order to buy credit, as the library remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

from .money import Money
from .redemption import RedemptionState
from .states import TopupState
from .taxation import TaxDecision

NO_GATEWAY: Final = "none"
"""Stands for the gateway of a top-up whose total is zero: nothing is paid, so that nobody is asked."""


@frozen(kw_only=True)
class CheckoutLink:
    """How the customer pays: a page to go to, parameters for a widget, or what to do elsewhere.

    Attributes:
        redirect_url: Where to send the browser, or None.
        widget: Public parameters of an embedded form, or None.
        instructions: What the customer has to do, as label and text, or None.
    """

    redirect_url: str | None = field(default=None, repr=False)
    widget: Mapping[str, Any] | None = field(default=None, repr=False)
    instructions: Mapping[str, str] | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Topup:
    """An order to buy credit.

    Attributes:
        id: ``top_…``.
        customer: The host's id of the buyer.
        state: See `prepaid.core.states`.
        gateway: Name of the gateway it is paid at; ``"none"`` if nothing is to be paid.
        credit: Credit bought (paid for, or given by a discount).
        bonus: Promotional credit on top.
        discount: What a promotion took off the price.
        net: Price without tax, after discount.
        total: What is to be paid.
        tax: The frozen tax decision.
        checkout: Where to pay, while that is possible.
        created_at: When it was started.
        expires_at: When the checkout lapses.
        failure: Why it failed or waits in review, in a machine word, or empty.
        invoice_number: Number of its invoice once credited.
        code: Promotion code that it was started with, or empty.
        promotion: What became of the promotion: ``"reserved"``, ``"redeemed"``,
            ``"released"``, ``"lost"`` if it was paid too late for it; or None without one.
        further_of: The top-up whose checkout was paid a second time, for the
            second payment; None for what a customer started.
    """

    id: str
    customer: str
    state: TopupState
    gateway: str
    credit: Money
    bonus: Money
    discount: Money
    net: Money
    total: Money
    tax: TaxDecision
    checkout: CheckoutLink = CheckoutLink()
    created_at: datetime
    expires_at: datetime
    failure: str = ""
    invoice_number: str | None = None
    code: str = ""
    promotion: RedemptionState | None = None
    further_of: str | None = None
