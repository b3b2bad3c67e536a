"""PayPal's transaction search: windows, pages and rows, for reconciliation.

There is no list of orders. What there is comes up to three hours late, in
windows of at most 31 days and 10,000 rows; a window here is a week, which a
busy seller does not fill either.

Sources: https://developer.paypal.com/docs/api/transaction-search/v1/ (range,
paging, delay); https://developer.paypal.com/docs/transaction-search/transaction-event-codes/
(T00nn: payments between accounts; T1107: refund made by the seller).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from attrs import frozen

from ..core.errors import GatewayError
from ..core.instants import from_micros, to_micros
from ..core.money import Money
from ..ports import PaymentSnapshot, RefundSnapshot, RefundState
from .paypal_currencies import read_money
from .paypal_payments import OBJECT_ID, read_time
from .replies import Reply, demand, optional_str, require_int, require_object, require_str, require_word, unusable

TRANSACTIONS: Final = "/v1/reporting/transactions"
REFUND_CODE: Final = "T1107"
WINDOW: Final = timedelta(days=7)
PAYMENTS_PER_PAGE: Final = 20
REFUNDS_PER_PAGE: Final = 10
"""Rows of a page: those that may be ours are read by themselves, with their payment, within the time of one call."""

_SECOND: Final = timedelta(seconds=1)
_CURSOR = re.compile(r"([0-9]{1,17}):([0-9]{1,5})", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
_PAYMENT_CODE = re.compile(r"T00[0-9]{2}", re.ASCII)
_REVERSED: Final = "V"
_COMPLETED: Final = frozenset({"S", _REVERSED})
_REFUND_STATES: Final[Mapping[str, RefundState]] = {"S": "succeeded", "P": "pending", "D": "failed", "V": "canceled"}
"""By status: completed, pending, denied, reversed since."""


@frozen
class Window:
    """A page of a window of time.

    Attributes:
        since: Its begin.
        until: Its end, not included.
        page: From 1.
        end: Of all windows.
    """

    since: datetime
    until: datetime
    page: int
    end: datetime

    def following(self, total_pages: int) -> str | None:
        """Give the cursor of what comes next, or None at the end."""
        if self.page < total_pages:
            return f"{to_micros(self.since)}:{self.page + 1}"
        return f"{to_micros(self.until)}:1" if self.until < self.end else None

    def query(self, *, page_size: int, **further: str) -> str:
        """Give the path of the search; its times are whole seconds around the window."""
        return f"{TRANSACTIONS}?" + urlencode(
            {
                "start_date": _written(self.since),
                "end_date": _written(self.until + _SECOND),
                "fields": "transaction_info",
                "page_size": str(page_size),
                "page": str(self.page),
                **further,
            }
        )


@frozen(kw_only=True)
class Row:
    """A transaction as it is listed.

    Attributes:
        transaction_id: PayPal's id of it.
        amount: Negative if it went out.
        fee: What PayPal kept, or None.
        reference: Ours, if both fields hold the same.
        code: What kind of transaction it is.
        status: PayPal's letter for how far it is.
        related_id: PayPal's id of the transaction it follows from, or None.
        created_at: When it was made.
    """

    transaction_id: str
    amount: Money
    fee: Money | None
    reference: str | None
    code: str
    status: str
    related_id: str | None
    created_at: datetime

    @property
    def is_payment(self) -> bool:
        """Money came in from another account, and is ours."""
        return _PAYMENT_CODE.fullmatch(self.code) is not None and self.amount.units > 0 and self.status in _COMPLETED

    def payment(self) -> PaymentSnapshot:
        """Give what a row alone tells of a payment; which order it was of, it does not tell."""
        return PaymentSnapshot(
            checkout_id="",
            payment_id=self.transaction_id,
            topup_id=self.reference,
            state="captured",
            captured=self.amount,
            fee=self.fee,
            refunded=self.amount if self.status == _REVERSED else None,
            created_at=self.created_at,
        )

    def refund(self) -> RefundSnapshot:
        """Give what a row alone tells of a refund; whether we asked for it, it does not tell."""
        return RefundSnapshot(
            gateway_refund_id=self.transaction_id,
            payment_id=self.related_id or "",
            amount=abs(self.amount),
            state=_REFUND_STATES[self.status],
            created_at=self.created_at,
        )


def window_of(since: datetime, until: datetime, cursor: str | None) -> Window:
    """Give the page that a cursor stands for, or the first.

    Raises:
        GatewayError: The cursor is none of ours, or of another range.
    """
    begin, page = since, 1
    if cursor is not None:
        read = _CURSOR.fullmatch(cursor)
        if read is None or not to_micros(since) <= int(read[1]) < to_micros(until):
            raise GatewayError("This is no cursor of this list.", code="invalid-cursor")
        begin, page = from_micros(int(read[1])), int(read[2])
    return Window(begin, min(begin + WINDOW, until), page, until)


def read_rows(reply: Reply, window: Window) -> tuple[list[Row], int]:
    """Read the transactions of a page that lie in its window, and how many pages there are.

    Raises:
        GatewayError: A field is missing or mistyped.
    """
    details = reply.get("transaction_details")
    if not isinstance(details, list) or not all(isinstance(detail, dict) for detail in details):
        raise unusable("transaction_details is not a list of objects")
    rows = [_row(require_object(detail, "transaction_info")) for detail in details]
    return [row for row in rows if window.since <= row.created_at < window.until], require_int(reply, "total_pages")


def _row(info: Reply) -> Row:
    transaction_id = require_str(info, "transaction_id")
    demand(OBJECT_ID.fullmatch(transaction_id) is not None, "transaction_id is none of PayPal's")
    created_at = read_time(info, "transaction_initiation_date")
    if created_at is None:
        raise unusable("transaction_initiation_date is missing")
    return Row(
        transaction_id=transaction_id,
        amount=read_money(info, "transaction_amount", signed=True),
        fee=-read_money(info, "fee_amount", signed=True) if info.get("fee_amount") is not None else None,
        reference=_reference(info),
        code=require_str(info, "transaction_event_code"),
        status=require_word(info, "transaction_status", _REFUND_STATES),
        related_id=optional_str(info, "paypal_reference_id"),
        created_at=created_at,
    )


def _reference(info: Reply) -> str | None:
    # Others write what they like into these fields, which is no reason to refuse the whole page.
    custom = info.get("custom_field")
    ours = isinstance(custom, str) and _REFERENCE.fullmatch(custom) and custom == info.get("invoice_id")
    return str(custom) if ours else None


def _written(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
