"""What operators look at: cases, and who would be asked by policies that are not set yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .. import identity, settings_store
from ..config import Context, page_limit
from ..core.errors import InvalidRequest
from ..core.identity import CASE_STEPS, OPEN_CASES, IdentityCase, IdentityPolicy
from ..core.money import Money, minor_unit
from ..core.pages import Page, make_cursor, read_cursor, read_number_cursor
from ..store import Tx, identities
from .values import IdentityPreview, PreviewedCustomer

MOST_PREVIEWED: Final = 10_000
_AT_ONCE: Final = 500


def cases(context: Context, *, state: object, cursor: str | None, limit: int) -> Page[IdentityCase]:
    """List cases, oldest first: those that nobody has decided, or those in one state.

    Raises:
        InvalidRequest: No such state, a cursor of another list, or a limit out of range.
    """
    if state is not None and (not isinstance(state, str) or state not in CASE_STEPS):
        raise InvalidRequest(f"state is one of {', '.join(CASE_STEPS)}, or None.", field="state")
    size, after = page_limit(limit), read_cursor("i", cursor)
    wanted = OPEN_CASES if state is None else (state,)
    rows = context.database.read(lambda tx: identities.page(tx, wanted, after=after, limit=size + 1))
    return Page(tuple(rows[:size]), make_cursor("i", rows[size - 1].id) if len(rows) > size else None)


def policies_of(context: Context) -> tuple[IdentityPolicy, ...]:
    """Read the policies that are set."""
    return context.database.read(identity.policies)


def preview(context: Context, policies: tuple[object, ...], *, cursor: str | None, limit: int) -> IdentityPreview:
    """Say who would be asked by some policies at their next top-up, however small; writes nothing.

    Raises:
        InvalidRequest: Not `IdentityPolicy`, too many of them, a currency not in
            use, a cursor of another list, or a limit out of range.
    """
    asking = settings_store.check_identity_policies(context, policies)
    size, skipped = page_limit(limit), read_number_cursor("p", cursor) or 0

    def read(tx: Tx) -> IdentityPreview:
        looked_at, asked, items = 0, 0, list[PreviewedCustomer]()
        for customer, currency in _customers(tx):
            looked_at += 1
            found = _asked(tx, context, asking, customer, currency=currency)
            if found is None:
                continue
            if skipped <= asked < skipped + size:
                items.append(found)
            asked += 1
        following = make_cursor("p", skipped + size) if asked > skipped + size else None
        return IdentityPreview(looked_at=looked_at, asked=asked, items=tuple(items), next=following)

    return context.database.read(read)


def _customers(tx: Tx) -> Iterator[tuple[str, str]]:
    after, left = "", MOST_PREVIEWED
    while left and (found := identities.customer_page(tx, after=after, limit=min(_AT_ONCE, left))):
        yield from found
        after, left = found[-1][0], left - len(found)


def _asked(
    tx: Tx, context: Context, asking: tuple[IdentityPolicy, ...], customer: str, *, currency: str
) -> PreviewedCustomer | None:
    least = Money(minor_unit(currency), currency)
    status = identity.judge(tx, context, asking, customer, credit=least)
    if not status.required:
        return None
    bought = identities.credit_bought(tx, customer, currency, None)
    return PreviewedCustomer(customer=customer, reason=status.reason, level=status.required_level, bought=bought)
