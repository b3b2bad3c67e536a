"""Look-ups at Razorpay that take several requests: an order with its payments, refunds, disputes, and lists.

Sources: https://razorpay.com/docs/api/orders/fetch-payments/ (all payments of an
order); https://razorpay.com/docs/api/refunds/fetch-multiple-refund-payment/;
https://razorpay.com/docs/api/disputes/fetch-all/ (the only list of disputes);
https://razorpay.com/docs/api/understand/ (``from``, ``to``, ``count``, ``skip``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

from ..core.errors import GatewayError
from ..core.instants import to_micros
from ..ports import DisputeSnapshot, PaymentRef, PaymentSnapshot, RefundSnapshot
from .razorpay_payments import (
    ORDER_ID,
    disagree,
    items_of,
    read_attempt,
    read_dispute,
    read_order,
    read_payment,
    read_refund,
)
from .replies import Reply, demand

if TYPE_CHECKING:
    from .razorpay_client import RazorpayApi

PAGE: Final = 100
"""Most objects that Razorpay lists at once."""
MAX_PAGES: Final = 100
"""Pages of one look-up: beyond ten thousand objects it is not believed to end."""

_CURSOR = re.compile(r"[0-9]{1,9}", re.ASCII)

T = TypeVar("T")
Page = Mapping[str, int]


def fetch(api: RazorpayApi, ref: PaymentRef) -> PaymentSnapshot:
    """Read how far the payment of an order is, and whether it is or was disputed.

    Raises:
        GatewayError: Razorpay cannot be asked, or its reply lacks or
            contradicts a field.
    """
    order_id = checked(ORDER_ID, ref.checkout_id)
    order = read_order(api.order(order_id))
    attempts = [read_attempt(payment) for payment in items_of(api.payments_of(order_id))]
    if disagree(order, attempts):
        order = read_order(api.order(order_id))  # it was paid between the two requests
    demand(order.id == order_id, "id is not the one asked for")
    taken = [attempt.created_at for attempt in attempts if attempt.state == "captured"]
    disputed = {one.payment_id for one in disputes_since(api, min(taken))} if taken else set()
    return read_payment(order, attempts, payment_id=ref.payment_id, disputed=disputed)


def all_refunds(api: RazorpayApi, payment_id: str) -> Iterator[RefundSnapshot]:
    """Read the refunds of a payment, page by page as they are wanted.

    Raises:
        GatewayError: As `fetch`.
    """
    for reply in _pages(lambda page: api.refunds_of(payment_id, page), {}):
        refund = read_refund(reply)
        demand(refund.payment_id == payment_id, "a refund is of another payment")
        yield refund


def ours_among(refunds: Iterable[RefundSnapshot], refund_id: str) -> RefundSnapshot | None:
    """Find the refund that echoes our reference."""
    return next((refund for refund in refunds if refund.refund_id == refund_id), None)


def disputes_since(api: RazorpayApi, since: datetime) -> Iterator[DisputeSnapshot]:
    """Read the disputes opened since an instant, page by page as they are wanted.

    Raises:
        GatewayError: As `fetch`.
    """
    return (read_dispute(reply) for reply in _pages(api.disputes, {"from": _seconds(since) - 1}))


def _pages(ask: Callable[[Page], Reply], window: Page) -> Iterator[Reply]:
    for number in range(MAX_PAGES):
        items = items_of(ask({**window, "count": PAGE, "skip": number * PAGE}))
        yield from items
        if len(items) < PAGE:
            return
    raise GatewayError("Razorpay's list does not end.", retryable=True, code="too-many")


def listed(
    ask: Callable[[Page], Reply], read: Callable[[Reply], T], since: datetime, until: datetime, *, cursor: str | None
) -> tuple[list[T], str | None]:
    """Read one page of what was made from shortly before ``since`` to shortly after ``until``, and the next's cursor.

    Razorpay counts whole seconds and does not say whether bounds are included: who asks leaves out what is beyond.

    Raises:
        GatewayError: The cursor is none of ours, or as `fetch`.
    """
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise GatewayError("This is no cursor of a list of Razorpay.", code="invalid-cursor")
    skip = int(cursor or 0)
    items = items_of(ask({"from": _seconds(since) - 1, "to": _seconds(until) + 1, "count": PAGE, "skip": skip}))
    return [read(item) for item in items], str(skip + PAGE) if len(items) == PAGE else None


def is_within(found: RefundSnapshot | DisputeSnapshot, since: datetime, until: datetime) -> bool:
    """Tell whether something was made in ``[since, until)``."""
    return found.created_at is not None and since <= found.created_at < until


def _seconds(instant: datetime) -> int:
    return to_micros(instant) // 1_000_000


def checked(form: re.Pattern[str], value: str | None) -> str:
    """Give an id that may stand in a path.

    Raises:
        GatewayError: It is none, or of another form.
    """
    # It goes into a path: anything else would ask for another object, or for all.
    if value is None or not form.fullmatch(value):
        raise GatewayError("This is no id of Razorpay.", code="unknown-id")
    return value
