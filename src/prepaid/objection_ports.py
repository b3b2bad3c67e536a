"""The contract of plugins that object: what they are asked before something is sold, or money or credit goes back.

Any sentence they answer refuses. Money that was paid, or went back, already is
never asked about.
"""

from __future__ import annotations

from typing import Literal, Protocol

from attrs import frozen

from .core.money import Money
from .core.quotes import Quote
from .core.refund_requests import Subject

TopupMoment = Literal["quote", "start"]
"""When a plugin is asked about a top-up: when it is priced, and before it is started."""

RefundMoment = Literal["request", "approval", "review"]
"""When a plugin is asked about a refund: before a customer asks for it, before an operator approves that, and before
an operator gives a payment in review back."""


@frozen(kw_only=True)
class TopupQuestion:
    """What a plugin is asked: does anything speak against selling this?

    Attributes:
        customer_id: The host's id of the customer.
        moment: ``"quote"`` or ``"start"``.
        quote: What they would buy and pay, and where; its ``identity`` is None, whatever the policies ask for.
    """

    customer_id: str
    moment: TopupMoment
    quote: Quote


@frozen(kw_only=True)
class RefundQuestion:
    """What a plugin is asked: does anything speak against giving this back?

    Attributes:
        customer_id: The host's id of the customer.
        moment: ``"request"``, ``"approval"`` or ``"review"``.
        kind: ``"topup"`` or ``"charge"``.
        subject_id: The top-up, or the charge's transaction.
        amount: Credit that would go back; of a payment in review the money.
        actor: Who asks, as the audit names them: ``customer:…``, or the operator.
        request_id: The request that is decided, or None.
    """

    customer_id: str
    moment: RefundMoment
    kind: Subject
    subject_id: str
    amount: Money
    actor: str
    request_id: str | None = None


class Objectors(Protocol):
    """Those who may object to sales and refunds."""

    def topup_objections(self, question: TopupQuestion) -> tuple[str, ...]:
        """Give what speaks against a top-up, in sentences for the customer; one that fails objects."""
        ...

    def refund_objections(self, question: RefundQuestion) -> tuple[str, ...]:
        """Give what speaks against a refund, in sentences for the customer; one that fails objects."""
        ...
