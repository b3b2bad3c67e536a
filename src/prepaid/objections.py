"""Objections: whether plugins have anything against a sale or a refund, asked before any transaction.

Refusals are given as values: what a key did already is its answer, whatever is
objected by now, and only who keeps things knows which keys were used.
"""

from __future__ import annotations

from .config import Context
from .core.errors import RefundRefused, TopupRefused
from .core.quotes import Quote
from .objection_ports import RefundQuestion, TopupMoment, TopupQuestion


def to_topup(context: Context, customer: str, quote: Quote, *, moment: TopupMoment) -> TopupRefused | None:
    """Give the refusal of a top-up that plugins object to, or None."""
    question = TopupQuestion(customer_id=customer, moment=moment, quote=quote)
    found = context.objectors.topup_objections(question)
    return TopupRefused(" ".join(found), objections=found) if found else None


def to_refund(context: Context, question: RefundQuestion) -> RefundRefused | None:
    """Give the refusal of a refund that plugins object to, or None."""
    found = context.objectors.refund_objections(question)
    if not found:
        return None
    return RefundRefused(" ".join(found), reason="objection", field=None, objections=found)
