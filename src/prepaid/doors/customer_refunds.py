"""The customer's refunds: what may be asked back, asking, taking that back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import refunds
from ..core.money import Money
from ..core.pages import Page
from ..core.refund_requests import EligibleRefund, RequestedRefund

if TYPE_CHECKING:
    from .customer import CustomerDoor


class CustomerRefunds:
    """Asking for money, or for credit, back."""

    def __init__(self, door: CustomerDoor) -> None:
        """Bind the customer."""
        self._context, self._id = door._context, door._id

    def eligible(self, *, cursor: str | None = None, limit: int = 50) -> Page[EligibleRefund]:
        """List top-ups and charges, each with how much may be asked back; see `prepaid.refunds.eligible`."""
        return refunds.eligible(self._context, self._id, cursor=cursor, limit=limit)

    def eligible_of(self, subject_id: str) -> EligibleRefund:
        """Say of one top-up or charge how much may be asked back; see `prepaid.refunds.eligible_of`."""
        return refunds.eligible_of(self._context, self._id, subject_id)

    def request(self, subject_id: str, amount: Money, *, reason: str, key: str) -> RequestedRefund:
        """Ask for a part of a top-up's credit, or of a charge, back; see `prepaid.refunds.request`."""
        return refunds.request(self._context, self._id, subject_id, amount, reason=reason, key=key)

    def withdraw(self, refund_id: str) -> RequestedRefund:
        """Take a request back; see `prepaid.refunds.withdraw`."""
        return refunds.withdraw(self._context, self._id, refund_id)

    def get(self, refund_id: str) -> RequestedRefund:
        """Read a request; see `prepaid.refunds.get`."""
        return refunds.get(self._context, self._id, refund_id)

    def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[RequestedRefund]:
        """List requests, newest first; see `prepaid.refunds.list_of`."""
        return refunds.list_of(self._context, self._id, cursor=cursor, limit=limit)
