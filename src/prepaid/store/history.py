"""A customer's transactions, newest first, in pages that cost the same at any depth."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, func, select
from sqlalchemy.sql import ColumnElement

from ..core.grants import PAID_KINDS
from ..core.money import Money
from ..core.usage import Credit, Transaction
from . import schema
from .database import Tx

_transfer = schema.transfer
_grant = schema.grant


def page(
    tx: Tx,
    wallet_id: int,
    *,
    kind: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    resource: str | None = None,
    project: str | None = None,
    before_seq: int | None = None,
    limit: int,
) -> list[tuple[int, Transaction]]:
    """Read up to ``limit`` whole transactions below ``before_seq``, with their first sequence number.

    Two keyset queries: which transactions stand on the page, then all their
    wallet transfers, so that a transaction of several parts is never cut.
    """
    first = _transfer.alias("first")
    wanted: list[ColumnElement[bool]] = [first.c.wallet_id == wallet_id]
    if kind is not None:
        wanted.append(first.c.kind == kind)
    if since is not None:
        wanted.append(first.c.posted_at >= since)
    if until is not None:
        wanted.append(first.c.posted_at < until)
    if resource is not None:
        wanted.append(first.c.resource == resource)
    if project is not None:
        wanted.append(first.c.project == project)
    if before_seq is not None:
        wanted.append(first.c.wallet_seq < before_seq)
    # The first wallet part of a transaction stands for it: no earlier part of the wallet has the same id.
    chosen = (
        select(first.c.transaction_id, first.c.wallet_seq)
        .where(and_(*wanted), first.c.part == 0)
        .order_by(first.c.wallet_seq.desc())
        .limit(limit)
    )
    order = {row.transaction_id: int(row.wallet_seq) for row in tx.execute(chosen)}
    if not order:
        return []
    parts = _parts(tx, wallet_id, list(order))
    returned = _returned(tx, [rows[0] for rows in parts.values()])
    return [(seq, _transaction(parts[transaction_id], returned)) for transaction_id, seq in order.items()]


def _parts(tx: Tx, wallet_id: int, transaction_ids: list[str]) -> dict[str, list[Any]]:
    wanted = (
        select(_transfer, _grant.c.kind.label("grant_kind"), schema.invoice.c.number)
        .select_from(
            _transfer.outerjoin(
                _grant, and_(_grant.c.book_id == _transfer.c.book_id, _grant.c.id == _transfer.c.grant_id)
            )
            .outerjoin(
                schema.topup,
                and_(
                    _transfer.c.cause_type == "topup",
                    schema.topup.c.book_id == _transfer.c.book_id,
                    schema.topup.c.id == _transfer.c.cause_id,
                ),
            )
            .outerjoin(
                schema.invoice,
                and_(schema.invoice.c.book_id == _transfer.c.book_id, schema.invoice.c.id == schema.topup.c.invoice_id),
            )
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.transaction_id.in_(transaction_ids))
        .order_by(_transfer.c.wallet_seq)
    )
    parts: dict[str, list[Any]] = {}
    for row in tx.execute(wanted):
        # Not asked for above: SQLite would go through all that the wallet ever saw.
        if row.wallet_id == wallet_id:
            parts.setdefault(row.transaction_id, []).append(row)
    return parts


def _returned(tx: Tx, heads: list[Any]) -> dict[str, tuple[str, str | None]]:
    """Give top-up and credit note of the refunds and disputes that caused some transactions, by their ids."""
    found: dict[str, tuple[str, str | None]] = {}
    note = schema.invoice
    for table, cause in ((schema.refund, "refund"), (schema.dispute, "dispute")):
        ids = [head.cause_id for head in heads if head.cause_type == cause]
        about = and_(note.c.book_id == table.c.book_id, note.c.cause_id == table.c.id, note.c.kind == "credit-note")
        if ids:
            wanted = select(table.c.id, table.c.topup_id, note.c.number).select_from(table.outerjoin(note, about))
            rows = tx.execute(wanted.where(table.c.book_id == tx.book_id, table.c.id.in_(ids)).order_by(note.c.turn))
            found |= {row.id: (row.topup_id, row.number) for row in rows}
    return found


def _transaction(parts: list[Any], returned: dict[str, tuple[str, str | None]]) -> Transaction:
    head, currency = parts[0], parts[0].currency
    topup_id, number = returned.get(head.cause_id, (None, head.number))
    signed = [(row.amount if row.credit_id == row.wallet_id else -row.amount, row.grant_kind) for row in parts]
    total = sum(amount for amount, _ in signed)
    # A part below zero has no grant; it is a debt that paid credit will cover.
    paid = sum(amount for amount, kind in signed if kind is None or kind in PAID_KINDS)
    return Transaction(
        id=head.transaction_id,
        kind=head.kind,
        amount=Money(total, currency),
        balance_after=Money(parts[-1].wallet_after, currency),
        description=head.description or "",
        at=head.posted_at,
        period=None if head.period_start is None else (head.period_start, head.period_end),
        resource=head.resource or "",
        topup_id=head.cause_id if head.cause_type == "topup" else topup_id,
        invoice_number=number,
        credit=Credit(paid=Money(paid, currency), promotional=Money(total - paid, currency)),
    )


def place_at(tx: Tx, wallet_id: int, last_seq: int, at: datetime) -> tuple[int, int]:
    """Give number and balance of a wallet's last transfer posted by an instant; zeros before the first.

    Found by halving: numbers are dense, and rise with the time of posting.
    """
    wanted = select(_transfer.c.posted_at, _transfer.c.wallet_after).where(
        _transfer.c.wallet_id == wallet_id, _transfer.c.wallet_seq == bindparam("number")
    )
    low, high, balance = 0, last_seq, 0
    while low < high:
        middle = (low + high + 1) // 2
        row = tx.execute(wanted, {"number": middle}).one()
        if row.posted_at <= at:
            low, balance = middle, int(row.wallet_after)
        else:
            high = middle - 1
    return low, balance


def left_by_kind(tx: Tx, wallet_id: int, seq: int) -> dict[str, int]:
    """Sum what a wallet's transfers up to a number left of its grants, by kind, in ledger units."""
    signed = case((_transfer.c.credit_id == _transfer.c.wallet_id, _transfer.c.amount), else_=-_transfer.c.amount)
    of_grants = (
        select(_transfer.c.grant_id, func.sum(signed).label("left"))
        .where(_transfer.c.wallet_id == wallet_id, _transfer.c.wallet_seq <= seq, _transfer.c.grant_id.is_not(None))
        .group_by(_transfer.c.grant_id)
        .subquery()
    )
    wanted = (
        select(_grant.c.kind, func.sum(of_grants.c.left - _grant.c.debt_paid))
        .join_from(of_grants, _grant, and_(_grant.c.book_id == tx.book_id, _grant.c.id == of_grants.c.grant_id))
        .group_by(_grant.c.kind)
    )
    return {kind: int(left) for kind, left in tx.execute(wanted)}
