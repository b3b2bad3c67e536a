"""What makes a transaction that one: the hash of its key, and the fingerprint of what the key stands for.

The code that posts and the check that proves call the same functions, so that
each formula is written once. Amounts are written as `Money` writes them,
instants as their microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from .hashing import fingerprint, key_hash
from .records import record


class Identity(NamedTuple):
    """Hash of a scoped key, and of what it was used for.

    Attributes:
        key_hash: Unique in the book.
        fingerprint: Tells a replay from a conflict.
    """

    key_hash: str
    fingerprint: str


def usage(
    book_id: int,
    operation: str,
    *,
    customer: str,
    key: str,
    amount: str,
    resource: str = "",
    kind: str = "",
    period: tuple[str, str] = ("", ""),
) -> Identity:
    """Identify a charge or an adjustment: by the host's key, for an amount, a resource and a period."""
    if resource or kind or period[0]:
        used = fingerprint(operation, amount, resource, kind, *period)
    else:
        used = _usage_of_nothing(operation, amount)
    return record(Identity, (key_hash(book_id, operation, customer, key), used))


@lru_cache(maxsize=1024)
def _usage_of_nothing(operation: str, amount: str) -> str:
    """Give the fingerprint of usage that names no resource: the same for all that cost the same."""
    return fingerprint(operation, amount, "", "", "", "")


def metered_hour(book_id: int, *, customer: str, resource: str, start: str, amount: str) -> Identity:
    """Identify an hour of a meter: by resource and start."""
    return Identity(
        key_hash(book_id, "meter", customer, f"{resource}/{start}"), fingerprint("meter", resource, start, amount)
    )


def hold(book_id: int, *, customer: str, key: str, amount: str, resource: str, kind: str) -> Identity:
    """Identify a hold: by the host's key."""
    return Identity(key_hash(book_id, "hold", customer, key), held(amount, resource, kind))


def held(amount: str, resource: str, kind: str) -> str:
    """Give the fingerprint of a hold."""
    return fingerprint("hold", amount, resource, kind)


def capture(book_id: int, *, customer: str, hold_id: str, amount: str) -> Identity:
    """Identify the capture of a hold: there is one."""
    return Identity(key_hash(book_id, "capture", customer, hold_id), fingerprint("capture", hold_id, amount))


def reversal(book_id: int, *, customer: str, key: str, transaction_id: str, amount: str) -> Identity:
    """Identify a reversal: by the host's key; the amount is empty if all that was left was asked for."""
    return Identity(key_hash(book_id, "reversal", customer, key), fingerprint("reversal", transaction_id, amount))


def given(book_id: int, *, customer: str, key: str, amount: str, terms: Mapping[str, str]) -> Identity:
    """Identify credit that an operator gave: by the operator's key, on its terms."""
    return Identity(key_hash(book_id, "grant", customer, key), fingerprint("grant", amount, terms))


def voucher(book_id: int, voucher_id: str, *, customer: str, amount: str, expires_at: str) -> Identity:
    """Identify the credit of a voucher: by the voucher alone, so that there is one whoever redeems it."""
    return Identity(
        key_hash(book_id, "voucher", "", voucher_id), fingerprint("voucher", voucher_id, customer, amount, expires_at)
    )


def expiry(book_id: int, *, customer: str, grant_id: str, seq: int, units: int) -> Identity:
    """Identify what of a grant expired; a grant may lapse again after credit came back to it."""
    return Identity(
        key_hash(book_id, "expiry", customer, f"{grant_id}/{seq}"), fingerprint("expiry", grant_id, str(units))
    )


def void(book_id: int, grant_id: str, *, seq: int | None = None) -> Identity:
    """Identify the void of a grant: the first by the grant alone, one of credit that came back to it by its number."""
    again = "" if seq is None else f"/{seq}"
    return Identity(key_hash(book_id, "void", "", f"{grant_id}{again}"), fingerprint("void", grant_id))


def settlement(book_id: int, operation: str, *, customer: str, topup_id: str) -> Identity:
    """Identify what a top-up posts: once as a top-up, a bonus, or into suspense."""
    return Identity(key_hash(book_id, operation, customer, topup_id), fingerprint(operation, topup_id))


def further(book_id: int, *, gateway: str, payment_id: str, first: str) -> Identity:
    """Identify the top-up that a second payment of another one's checkout is: by the payment."""
    return Identity(key_hash(book_id, "further", gateway, payment_id), fingerprint("further", first, payment_id))


def refunded(book_id: int, step: str, refund_id: str, turn: int = 0) -> Identity:
    """Identify what a refund posts at a step of one of its turns: once each."""
    return Identity(
        key_hash(book_id, f"refund-{step}", "", f"{refund_id}/{turn}"),
        fingerprint("refund", step, refund_id, str(turn)),
    )


def disputed(book_id: int, step: str, dispute_id: str, turn: int) -> Identity:
    """Identify what a dispute posts at a step of one of its turns: once each."""
    return Identity(
        key_hash(book_id, f"dispute-{step}", "", f"{dispute_id}/{turn}"),
        fingerprint("dispute", step, dispute_id, str(turn)),
    )


def fee(book_id: int, topup_id: str) -> Identity:
    """Identify what a gateway kept of the payment of a top-up."""
    return Identity(key_hash(book_id, "fee", "", topup_id), fingerprint("fee", topup_id))


def refund_request(book_id: int, *, customer: str, key: str, subject_id: str, amount: str) -> Identity:
    """Identify a request for a refund: by the customer's key, of a top-up or charge, for an amount."""
    return Identity(
        key_hash(book_id, "refund-request", customer, key), fingerprint("refund-request", subject_id, amount)
    )


def suspended(operation: str) -> str:
    """Name the operation that parks a payment instead."""
    return f"{operation}-suspense"


def order(amount: str, gateway: str, code: str, *, shown: Sequence[tuple[str, int]]) -> str:
    """Give the fingerprint of a top-up's order: what was asked for, and the figures that were shown."""
    return fingerprint("topup", amount, gateway, code, shown)


def period_key(book_id: int, resource: str, start: str) -> str:
    """Hash a resource's period, by its start: charged at most once, by meter or host."""
    return key_hash(book_id, "period", resource, start)
