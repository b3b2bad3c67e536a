"""Holds: credit reserved for something whose cost is not known yet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from attrs import frozen

from .errors import InvalidRequest
from .money import Money

HoldState = Literal["open", "captured", "released", "expired"]

LONGEST_HOLD: Final = timedelta(days=366)


@frozen(kw_only=True)
class Hold:
    """An amount reserved on a wallet: captured once, in whole or in part, or given back.

    Attributes:
        id: ``hld_…``.
        customer: The host's id of whose wallet it is.
        amount: What is reserved.
        state: ``"open"``, ``"captured"``, ``"released"`` or ``"expired"``.
        captured: What was charged of it.
        expires_at: When it lapses by itself.
        created_at: When it was made.
        closed_at: When it was captured, released or lapsed; None while it is open.
        transaction_id: The charge that captured it, or None.
        description: What the customer reads of the charge.
        resource: The host's id of what it is for, or empty.
        kind: What sort of resource, or empty.
        project: The host's project, or empty.
        dispute_id: The dispute that made it, and alone ends it; or None.
    """

    id: str
    customer: str
    amount: Money
    state: HoldState
    captured: Money
    expires_at: datetime
    created_at: datetime
    closed_at: datetime | None = None
    transaction_id: str | None = None
    description: str = ""
    resource: str = ""
    kind: str = ""
    project: str = ""
    dispute_id: str | None = None


def check_duration(value: object) -> timedelta:
    """Return how long a hold lasts.

    Raises:
        InvalidRequest: Not a timedelta above zero and at most a year.
    """
    if not isinstance(value, timedelta) or not timedelta(0) < value <= LONGEST_HOLD:
        raise InvalidRequest(
            f"expires_in is a timedelta above zero and at most {LONGEST_HOLD.days} days.", field="expires_in"
        )
    return value
