"""Comparisons with gateways that are kept: each one an operator has made, with what it found."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from attrs import frozen

from . import audit
from .config import Context, page_limit
from .core.money import Money
from .core.pages import Page, make_cursor, read_cursor
from .reconciliation import OnProgress, ReconciliationItem, ReconciliationReport, reconcile
from .store import Tx, reconciliations
from .store.reconciliations import StoredReconciliation

MOST_KEPT: Final = 1000
"""Of each list so many differences are kept: where everything differs, the first tell why."""

_LISTS: Final = ("missing_here", "missing_there", "different")


@frozen(kw_only=True)
class KeptReconciliation:
    """A comparison with a gateway that was made some time.

    Attributes:
        id: ``rec_…``.
        at: When.
        actor: Who had it made.
        report: What it found; of each list the first thousand.
        found: How many differences there were in all.
    """

    id: str
    at: datetime
    actor: str
    report: ReconciliationReport
    found: int


def reconcile_and_keep(
    context: Context,
    gateway: object,
    since: datetime,
    until: datetime,
    *,
    actor: str,
    on_progress: OnProgress | None,
) -> ReconciliationReport:
    """Compare a gateway with the books, and keep what was found; see `prepaid.reconciliation.reconcile`."""
    report = reconcile(context, gateway, since, until, on_progress=on_progress)
    kept = StoredReconciliation(
        id=context.ids.new("rec"),
        gateway=report.gateway,
        since=report.since,
        until=report.until,
        actor=actor,
        report=_record(report),
        created_at=context.now(),
    )

    def work(tx: Tx) -> None:
        reconciliations.add(tx, kept)
        after = {name: kept.report[name] for name in ("matched", "foreign", "listed", "found")}
        audit.record(tx, context, actor=actor, action="reconcile", target=report.gateway, after=after)

    context.database.write(work)
    return report


def list_of(context: Context, *, gateway: object, cursor: str | None, limit: int) -> Page[KeptReconciliation]:
    """List comparisons that were made, newest first.

    Raises:
        InvalidRequest: There is no such gateway, a foreign cursor, or a limit out of range.
    """
    name = None if gateway is None else context.gateway(gateway).name
    size, before = page_limit(limit), read_cursor("k", cursor)
    rows = context.database.read(lambda tx: reconciliations.page(tx, gateway=name, before=before, limit=size + 1))
    following = make_cursor("k", rows[size - 1].id) if len(rows) > size else None
    return Page(tuple(map(_kept, rows[:size])), following)


def _record(report: ReconciliationReport) -> dict[str, Any]:
    lists = {name: getattr(report, name) for name in _LISTS}
    record: dict[str, Any] = {name: [_item_record(item) for item in items[:MOST_KEPT]] for name, items in lists.items()}
    counts = {name: getattr(report, name) for name in ("matched", "foreign", "listed")}
    return record | counts | {"found": sum(map(len, lists.values()))}


def _item_record(item: ReconciliationItem) -> dict[str, Any]:
    plain = {name: getattr(item, name) for name in ("kind", "id", "topup_id", "detail")}
    return plain | {name: _money_record(getattr(item, name)) for name in ("here", "there")}


def _money_record(amount: Money | None) -> list[str] | None:
    return None if amount is None else [str(amount.units), amount.currency]


def _kept(stored: StoredReconciliation) -> KeptReconciliation:
    record = dict(stored.report)
    found = record.pop("found")
    record |= {name: tuple(map(_item_from, record[name])) for name in _LISTS}
    report = ReconciliationReport(gateway=stored.gateway, since=stored.since, until=stored.until, **record)
    return KeptReconciliation(id=stored.id, at=stored.created_at, actor=stored.actor, report=report, found=found)


def _item_from(record: dict[str, Any]) -> ReconciliationItem:
    amounts = {name: record[name] for name in ("here", "there")}
    money = {name: None if kept is None else Money(int(kept[0]), kept[1]) for name, kept in amounts.items()}
    return ReconciliationItem(**{**record, **money})
