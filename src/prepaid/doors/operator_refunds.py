"""The operator's desk: refunds that customers ask for, and disputes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import disputes, permissions, refund_desk
from ..core.money import Money
from ..core.pages import Page
from ..core.refund_requests import EligibleRefund, RefundRules, RequestedRefund
from ..core.refunds import Dispute, Refund
from ..refund_desk import RefundCase

if TYPE_CHECKING:
    from .operator import OperatorDoor


class OperatorRefunds:
    """Refunds that customers ask for, and those that the seller makes by other means."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def queue(self, *, state: str = "open", cursor: str | None = None, limit: int = 50) -> Page[RequestedRefund]:
        """List requests, oldest first; see `prepaid.refund_desk.queue`.

        Raises:
            NotAllowed: Without ``refunds.read``.
        """
        context = self._door.allow(permissions.REFUNDS_READ)
        return refund_desk.queue(context, state=state, cursor=cursor, limit=limit)

    def get(self, refund_id: str) -> RefundCase:
        """Read a request with its refund and history; see `prepaid.refund_desk.case_of`.

        Raises:
            NotAllowed: Without ``refunds.read``.
        """
        return refund_desk.case_of(self._door.allow(permissions.REFUNDS_READ), refund_id)

    def eligible_of(self, subject_id: str, *, by_hand: bool = False) -> EligibleRefund:
        """Say how much of a top-up or a charge can be given back now; see `prepaid.refund_desk.eligible_of`.

        Raises:
            NotAllowed: Without ``refunds.read``.
        """
        context = self._door.allow(permissions.REFUNDS_READ)
        return refund_desk.eligible_of(context, subject_id, by_hand=by_hand)

    def rules(self) -> RefundRules:
        """Read what the book has set about refunds and disputes.

        Raises:
            NotAllowed: Without ``refunds.read``.
        """
        return refund_desk.rules(self._door.allow(permissions.REFUNDS_READ))

    def approve(self, refund_id: str, *, amount: Money | None = None, reason: str, note: str = "") -> RequestedRefund:
        """Approve a request, whole or in part; see `prepaid.refund_desk.approve`.

        Raises:
            NotAllowed: Without ``refunds.write``, or it is the operator's own account.
        """
        return refund_desk.approve(
            self._door.allow(permissions.REFUNDS_WRITE),
            refund_id,
            amount=amount,
            reason=reason,
            note=note,
            actor=self._door.actor,
            allows=self._allows,
        )

    def reject(self, refund_id: str, *, reason: str, note: str = "") -> RequestedRefund:
        """Reject a request; see `prepaid.refund_desk.reject`.

        Raises:
            NotAllowed: Without ``refunds.write``, or it is the operator's own account.
        """
        context = self._door.allow(permissions.REFUNDS_WRITE)
        return refund_desk.reject(
            context, refund_id, reason=reason, note=note, actor=self._door.actor, allows=self._allows
        )

    def record(
        self, topup_id: str, amount: Money, *, reference: str, reason: str, refund_id: str | None = None
    ) -> Refund:
        """Record a refund that was made outside any gateway; see `prepaid.refund_desk.record`.

        Raises:
            NotAllowed: Without ``refunds.write``, or it is the operator's own account.
        """
        return refund_desk.record(
            self._door.allow(permissions.REFUNDS_WRITE),
            topup_id,
            amount,
            reference=reference,
            reason=reason,
            request_id=refund_id,
            actor=self._door.actor,
            allows=self._allows,
        )

    def _allows(self, customer_id: str) -> object:
        return self._door.approves(permissions.REFUNDS_WRITE, customer_id)


class OperatorDisputes:
    """Payments that their customers dispute at their bank."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def list(self, *, state: str = "open", cursor: str | None = None, limit: int = 50) -> Page[Dispute]:
        """List disputes, newest first; see `prepaid.disputes.list_of`.

        Raises:
            NotAllowed: Without ``refunds.read``.
        """
        return disputes.list_of(self._door.allow(permissions.REFUNDS_READ), state=state, cursor=cursor, limit=limit)
