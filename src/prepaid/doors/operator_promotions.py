"""The operator's door to promotions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import permissions, promoting
from ..core.pages import Page
from ..core.promotions import Promotion
from ..core.redemption import Redemption
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
