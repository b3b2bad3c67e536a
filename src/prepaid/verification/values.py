"""What previews of policies are made of."""

from __future__ import annotations

from attrs import frozen

from ..core.money import Money


@frozen(kw_only=True)
class PreviewedCustomer:
    """A customer who would be asked to verify their identity at their next top-up, however small.

    Attributes:
        customer: The host's id.
        reason: ``"first-topup"`` or ``"above"``.
        level: Level that would be asked for.
        bought: Credit of all their credited top-ups in their own currency.
    """

    customer: str
    reason: str
    level: int
    bought: Money


@frozen(kw_only=True)
class IdentityPreview:
    """Who would be asked by some policies, in their own currency; nothing was written.

    Attributes:
        looked_at: How many customers were looked at: all of them, or the first ten thousand.
        asked: How many of these would be asked.
        items: Some of those, by their ids.
        next: Cursor of the following ones, or None.
    """

    looked_at: int
    asked: int
    items: tuple[PreviewedCustomer, ...]
    next: str | None
