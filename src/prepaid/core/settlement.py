"""Whether a payment becomes credit: the checks of settlement, as one pure function.

Sources: the order of checks is published in the money-safety page of the docs;
each closes an attack that happened to a real system.
"""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from .money import Money
from .payments import PaymentSnapshot

VerdictKind = Literal["credit", "review", "capture", "wait", "processing", "failed", "expired", "canceled", "mismatch"]


@frozen
class Verdict:
    """What a payment means for its top-up.

    Attributes:
        kind: ``"credit"``; ``"review"`` for captured money that differs from
            what was started; ``"capture"`` for an authorised payment that we
            have to take; ``"mismatch"`` for a payment that is not ours to
            credit; the others leave or end an unpaid top-up.
        reason: Machine word for anything but a credit.
    """

    kind: VerdictKind
    reason: str = ""


@frozen(kw_only=True)
class Expected:
    """What was stored when the top-up was started.

    Attributes:
        topup_id: Our reference.
        checkout_id: The gateway's id of the checkout.
        mode: Our mode.
        account: Our merchant account, or None if it is not known here.
        total: What is to be paid.
        captures: An authorised payment is taken by us.
    """

    topup_id: str
    checkout_id: str
    mode: str
    account: str | None
    total: Money
    captures: bool = False


def judge(payment: PaymentSnapshot, expected: Expected) -> Verdict:
    """Compare a payment, as the gateway itself reports it, with what was started.

    The payment must be the one stored at start, carry our reference, be of our
    mode and account, and be captured, before its amount is even looked at.
    """
    foreign = _foreign(payment, expected)
    if foreign:
        return Verdict("mismatch", foreign)
    if payment.state == "authorised" and expected.captures:
        # Checked before it is taken: what differs is left to lapse, and no money moves.
        return Verdict("capture") if payment.authorised == expected.total else Verdict("mismatch", "amount-differs")
    return _captured(payment, expected) if payment.state == "captured" else _unpaid(payment)


def _captured(payment: PaymentSnapshot, expected: Expected) -> Verdict:
    if payment.payment_id is None or payment.captured is None or payment.captured.units <= 0:
        return Verdict("mismatch", "nothing-captured")
    if payment.captured.currency != expected.total.currency:
        return Verdict("review", "currency-differs")
    if payment.captured != expected.total:
        return Verdict("review", "amount-differs")
    return Verdict("credit")


def _foreign(payment: PaymentSnapshot, expected: Expected) -> str:
    if payment.checkout_id != expected.checkout_id:
        return "checkout-differs"
    if payment.topup_id != expected.topup_id:
        return "reference-differs"
    if payment.mode is not None and payment.mode != expected.mode:
        return "mode-differs"
    if payment.account is not None and expected.account is not None and payment.account != expected.account:
        return "account-differs"
    return ""


def _unpaid(payment: PaymentSnapshot) -> Verdict:
    match payment.state:
        case "failed" | "expired" | "canceled":
            return Verdict(payment.state, payment.failure or payment.state)
        case "processing" | "authorised":
            return Verdict("processing")
        case _:
            return Verdict("wait")
