"""The operator's side of what is given away by codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .. import permissions, promoting, vouchers
from ..core.money import Money
from ..core.pages import Page
from ..core.promotions import Promotion
from ..core.redemption import Redemption
from ..core.vouchers import NewVoucher, Voucher
from ..promoting import PromotionStatus

if TYPE_CHECKING:
    from .operator import OperatorDoor


class OperatorPromotions:
    """Promotions and what they gave."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def create(self, promotion: Promotion, *, reason: str = "") -> PromotionStatus:
        """Make a promotion; see `prepaid.promoting.create`.

        Raises:
            NotAllowed: Without ``promotions.write``.
        """
        context = self._door.allow(permissions.PROMOTIONS_WRITE)
        return promoting.create(context, promotion, reason=reason, actor=self._door.actor)

    def change(self, promotion: Promotion, *, reason: str = "") -> PromotionStatus:
        """Give the promotion with the same code another rule; see `prepaid.promoting.change`.

        Raises:
            NotAllowed: Without ``promotions.write``.
        """
        context = self._door.allow(permissions.PROMOTIONS_WRITE)
        return promoting.change(context, promotion, reason=reason, actor=self._door.actor)

    def end(self, code: str, *, reason: str = "") -> PromotionStatus:
        """Let a promotion be used no more; see `prepaid.promoting.end`.

        Raises:
            NotAllowed: Without ``promotions.write``.
        """
        context = self._door.allow(permissions.PROMOTIONS_WRITE)
        return promoting.end(context, code, reason=reason, actor=self._door.actor)

    def get(self, code: str) -> PromotionStatus:
        """Read a promotion with what it gave; see `prepaid.promoting.get`.

        Raises:
            NotAllowed: Without ``promotions.read``.
        """
        return promoting.get(self._door.allow(permissions.PROMOTIONS_READ), code)

    def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[PromotionStatus]:
        """List promotions, newest first.

        Raises:
            NotAllowed: Without ``promotions.read``.
        """
        return promoting.listed(self._door.allow(permissions.PROMOTIONS_READ), cursor=cursor, limit=limit)

    def redemptions(self, code: str, *, cursor: str | None = None, limit: int = 50) -> Page[Redemption]:
        """List who used a promotion; see `prepaid.promoting.redemptions_of`.

        Raises:
            NotAllowed: Without ``promotions.read``.
        """
        context = self._door.allow(permissions.PROMOTIONS_READ)
        return promoting.redemptions_of(context, code, cursor=cursor, limit=limit)


class OperatorVouchers:
    """Codes that are credit."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def create(
        self,
        amount: Money,
        *,
        count: int = 1,
        expires_at: datetime | None = None,
        credit_valid_for: timedelta | None = None,
        prefix: str = "",
        reason: str = "",
    ) -> tuple[NewVoucher, ...]:
        """Make vouchers and tell their codes, which are told this once; see `prepaid.vouchers.create`.

        Raises:
            NotAllowed: Without ``promotions.write``.
        """
        return vouchers.create(
            self._door.allow(permissions.PROMOTIONS_WRITE),
            amount,
            count=count,
            expires_at=expires_at,
            credit_valid_for=credit_valid_for,
            prefix=prefix,
            actor=self._door.actor,
            reason=reason,
        )

    def list(
        self, *, batch: str | None = None, state: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Voucher]:
        """List vouchers, newest first; see `prepaid.vouchers.listed`.

        Raises:
            NotAllowed: Without ``promotions.read``.
        """
        context = self._door.allow(permissions.PROMOTIONS_READ)
        return vouchers.listed(context, batch=batch, state=state, cursor=cursor, limit=limit)

    def end(self, voucher_or_batch: str, *, reason: str) -> int:
        """Let open vouchers be redeemed no more, and count them; see `prepaid.vouchers.end`.

        Raises:
            NotAllowed: Without ``promotions.write``.
        """
        context = self._door.allow(permissions.PROMOTIONS_WRITE)
        return vouchers.end(context, voucher_or_batch, reason=reason, actor=self._door.actor)
