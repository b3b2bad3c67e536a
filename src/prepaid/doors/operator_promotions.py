"""The operator's side of what is given away by codes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from .. import permissions, vouchers
from ..core.money import Money
from ..core.pages import Page
from ..core.vouchers import NewVoucher, Voucher

if TYPE_CHECKING:
    from .operator import OperatorDoor


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
