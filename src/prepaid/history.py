"""A customer's transactions: one line per key, newest first."""

from __future__ import annotations

from datetime import datetime

from .config import Context, page_limit
from .core.errors import InvalidRequest
from .core.ids import MAX_KEY, check_text
from .core.instants import check_instant
from .core.pages import Page, make_cursor, read_number_cursor
from .core.transfers import TRANSACTION_KINDS
from .core.usage import Transaction
from .store import Tx, accounts, history


def transactions(
    context: Context,
    customer_id: str,
    *,
    currency: str,
    kind: str | None,
    since: datetime | None,
    until: datetime | None,
    resource: str | None,
    project: str | None,
    cursor: str | None,
    limit: int,
) -> Page[Transaction]:
    """List transactions of a wallet; pages never cut one and stay put while new ones come.

    Raises:
        InvalidRequest: Unknown kind, naive instants, a foreign cursor, a filter
            of the wrong form, or a limit that is not from 1 to 200.
    """
    if kind is not None and kind not in TRANSACTION_KINDS:
        raise InvalidRequest(f"kind is one of {', '.join(TRANSACTION_KINDS)}.", field="kind")
    for name, value, longest in (("resource", resource, MAX_KEY), ("project", project, 120)):
        if value is not None:
            check_text(value, field=name, longest=longest)
    size, before = page_limit(limit), read_number_cursor("h", cursor)
    first = None if since is None else check_instant(since, field="since")
    after = None if until is None else check_instant(until, field="until")

    def work(tx: Tx) -> list[tuple[int, Transaction]]:
        wallet = accounts.find_wallet(tx, customer_id, currency)
        if wallet is None:
            return []
        return history.page(
            tx,
            wallet.id,
            kind=kind,
            since=first,
            until=after,
            resource=resource,
            project=project,
            before_seq=before,
            limit=size + 1,
        )

    rows = context.database.read(work)
    following = make_cursor("h", rows[size - 1][0]) if len(rows) > size else None
    return Page(tuple(transaction for _, transaction in rows[:size]), following)
