"""Credit grants: lots of credit, the order in which they burn, debts they pay, and how they lapse.

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

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from attrs import field, fields, frozen

from .errors import InvalidRequest
from .money import Money

GrantKind = Literal["paid", "promotional", "goodwill", "external", "migrated"]

TaxState = Literal["taxed", "untaxed"]
"""Whether tax was dealt with when credit came in, so that its use bears none, or is to be charged on its use."""

TAX_STATES: Final[dict[str, TaxState]] = {"at_topup": "taxed", "at_use": "untaxed"}
"""The state of new credit, by the seller's tax point."""

PAID_KINDS: Final[tuple[GrantKind, ...]] = ("paid", "external", "migrated")
"""Kinds that a balance counts as paid; the others are promotional."""

NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""Expiry of a grant that does not expire; sorts after every real date."""

BURN_ORDER_SETTING: Final = "burn_order"
"""Name of the setting that keeps a `BurnOrder`."""

MAX_PRIORITY: Final = 1_000_000


def check_priority(value: object, *, field: str = "priority") -> int:
    """Return a burn priority.

    Raises:
        InvalidRequest: Not an int from 0 to a million.
    """
    if type(value) is not int or not 0 <= value <= MAX_PRIORITY:
        raise InvalidRequest(f"{field} is a whole number from 0 to {MAX_PRIORITY}.", field=field)
    return value


def _priority(default: int) -> Any:
    return field(default=default, validator=lambda _, attribute, value: check_priority(value, field=attribute.name))


@frozen(kw_only=True)
class BurnOrder:
    """Priorities that new grants of a book get by their kind; lower numbers burn first.

    Among equal priorities the earlier expiry burns first, then the older grant.

    Attributes:
        expiring_promotional: Promotional credit that expires.
        promotional: Other promotional credit.
        goodwill: Credit that an operator gave.
        external: Credit that an outside system funds.
        migrated: Credit brought over from another system.
        paid: Credit that was paid for.
    """

    expiring_promotional: int = _priority(10)
    promotional: int = _priority(20)
    goodwill: int = _priority(20)
    external: int = _priority(30)
    migrated: int = _priority(40)
    paid: int = _priority(50)

    def priority(self, kind: GrantKind, expires_at: datetime) -> int:
        """Give the priority of a grant of a kind; `NEVER` stands for one that does not expire."""
        expiring = kind == "promotional" and expires_at < NEVER
        return int(getattr(self, "expiring_promotional" if expiring else kind))

    def record(self) -> dict[str, int]:
        """Give the priorities by name, as the setting keeps them."""
        return {attribute.name: getattr(self, attribute.name) for attribute in fields(BurnOrder)}


def burn_order(record: Mapping[str, int] | None) -> BurnOrder:
    """Read a kept burn order; the usual one if there is none."""
    return BurnOrder(**(record or {}))


@frozen(kw_only=True)
class CreditGrant:
    """A lot of credit, as its customer and an operator see it.

    Attributes:
        id: ``grt_…``.
        kind: ``"paid"``, ``"promotional"``, ``"goodwill"``, ``"external"`` or ``"migrated"``.
        size: What it was given with.
        remaining: What is left of it.
        priority: Lower numbers burn first.
        effective_at: From when it can be spent.
        expires_at: When the rest lapses, or None.
        tax_state: ``"taxed"`` if tax was dealt with when it came in; ``"untaxed"`` if it is to be charged on its use.
        topup_id: Top-up it came with, or None.
    """

    id: str
    kind: GrantKind
    size: Money
    remaining: Money
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    tax_state: TaxState
    topup_id: str | None


class OpenGrant(NamedTuple):
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


def lapsing(spendable: int, lapsed: Iterable[OpenGrant]) -> tuple[Burn, ...]:
    """Give what of lapsed grants, in burn order, expires: all but what holds keep.

    Args:
        spendable: Balance less held credit, in ledger units.
        lapsed: Grants past their expiry.

    >>> lapsing(50, (OpenGrant("a", 30), OpenGrant("b", 100)))
    (Burn(grant='a', amount=30), Burn(grant='b', amount=20))
    """
    return tuple(part for part in burn(max(0, spendable), lapsed) if part.grant is not None)
