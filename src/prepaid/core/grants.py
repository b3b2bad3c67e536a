"""Credit grants: lots of credit, the order in which they burn, and debts they pay.

Promotional credit burns before paid credit, and what expires soon before what
does not, so that a customer loses nothing and a refund finds paid credit left.
The order is the ``priority`` column: a book may choose other numbers.

>>> grants = (OpenGrant("a", 30), OpenGrant("b", 100))
>>> burn(50, grants)
(Burn(grant='a', amount=30), Burn(grant='b', amount=20))
>>> burn(150, grants)[-1]
Burn(grant=None, amount=20)
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

from attrs import frozen

GrantKind = Literal["paid", "promotional", "goodwill", "external", "migrated"]

PAID_KINDS: Final[tuple[GrantKind, ...]] = ("paid", "external", "migrated")
"""Kinds that a balance counts as paid; the others are promotional."""

NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Expiry of a grant that does not expire; sorts after every real date."""

_PRIORITY: Final[dict[GrantKind, int]] = {
    "promotional": 20,
    "goodwill": 20,
    "external": 30,
    "migrated": 40,
    "paid": 50,
}
_EXPIRING_PROMOTIONAL: Final = 10


def default_priority(kind: GrantKind, expires_at: datetime | None) -> int:
    """Give the burn priority of a grant; lower numbers burn first."""
    if kind == "promotional" and expires_at is not None:
        return _EXPIRING_PROMOTIONAL
    return _PRIORITY[kind]


@frozen
class OpenGrant:
    """A grant with credit left, as the burn reads it: id and remaining ledger units."""

    id: str
    remaining: int


@frozen
class Burn:
    """Part of a charge: ``amount`` ledger units from one grant, or from none below zero."""

    grant: str | None
    amount: int


def burn(amount: int, grants: Iterable[OpenGrant]) -> tuple[Burn, ...]:
    """Split ``amount`` over grants in the order given; what they lack is debt, without a grant."""
    parts: list[Burn] = []
    for grant in grants:
        if amount == 0:
            break
        taken = min(amount, grant.remaining)
        if taken:
            parts.append(Burn(grant.id, taken))
            amount -= taken
    if amount:
        parts.append(Burn(None, amount))
    return tuple(parts)


def pay_debt(balance: int, *sizes: int) -> tuple[int, ...]:
    """Give what of each arriving grant, in order, pays the debt of a balance below zero.

    >>> pay_debt(-30, 20, 100)
    (20, 10)
    """
    debt = max(0, -balance)
    paid: list[int] = []
    for size in sizes:
        paid.append(min(size, debt))
        debt -= paid[-1]
    return tuple(paid)
