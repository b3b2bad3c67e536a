"""The rows of every export: how many there are, and each as the cells of its columns, read as they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any, Final

from attrs import field, frozen

from ...config import Context
from ...core.account_map import ACCOUNT_MAP_SETTING, AccountMap
from ...core.documents import Invoice, invoice_from_record
from ...core.errors import InvalidRequest
from ...core.figures import figures
from ...core.grants import PAID_KINDS
from ...core.instants import day_start, local_day
from ...core.money import Money
from ...core.topups import NO_GATEWAY
from ...core.transfers import AccountRef
from ...export_ports import Row
from ...store import Tx, exports, operations
from ...store.exports import Span
from ...store.flows import Flow, flows
from .columns import ALL_GATEWAYS

MOST_DAYS: Final = 3_700
"""A row for each day of ten years, and not for each of the calendar's."""

_DAY: Final = timedelta(days=1)


@frozen
class Asked:
    """What an export is asked for.

    Attributes:
        context: The billing system.
        span: From when to when.
        currency: The only currency, or None for all.
    """

    context: Context = field(repr=False)
    span: Span
    currency: str | None

    def currencies(self, tx: Tx) -> Sequence[str]:
        """Name the currencies to tell of: those in use, and those that were."""
        if self.currency is not None:
            return (self.currency,)
        used = self.context.currencies
        return (*used, *(code for code in exports.currencies(tx) if code not in used))

    def days(self) -> list[date]:
        """List the seller's days that the span touches.

        Raises:
            InvalidRequest: More of them than an export of days has.
        """
        zone = self.context.seller.timezone
        first = local_day(self.span.since, zone)
        count = (local_day(self.span.until - timedelta(microseconds=1), zone) - first).days + 1
        if count > MOST_DAYS:
            raise InvalidRequest(f"This export has a row for each day, of at most {MOST_DAYS} days.", field="since")
        return [first + number * _DAY for number in range(count)]


@frozen
class Source:
    """Where the rows of an export come from: how many there are, and they themselves."""

    count: Callable[[Tx, Asked], int]
    rows: Callable[[Tx, Asked], Iterator[Row]]


# Transactions


def _count_transactions(tx: Tx, asked: Asked) -> int:
    return exports.count_transfers(tx, asked.span, asked.currency, of_wallets=True)


def _transactions(tx: Tx, asked: Asked) -> Iterator[Row]:
    zone = asked.context.seller.timezone
    for row in exports.wallet_transfers(tx, asked.span, asked.currency):
        yield (
            row.id,
            row.transaction_id,
            row.posted_at,
            local_day(row.posted_at, zone),
            row.customer,
            row.kind,
            Money(row.amount if row.credit_id == row.wallet_id else -row.amount, row.currency),
            row.currency,
            Money(row.wallet_after, row.currency),
            # A part below zero has no grant; it is a debt that paid credit will cover.
            "paid" if row.grant_kind is None or row.grant_kind in PAID_KINDS else "promotional",
            row.grant_kind,
            row.description,
            row.resource,
            row.resource_kind,
            row.project,
            row.period_start,
            row.period_end,
            row.topup_id,
            _gateway(row.gateway),
            row.cause_type,
            row.cause_id,
            row.reverses,
            row.actor,
        )


def _gateway(name: str | None) -> str | None:
    return None if name == NO_GATEWAY else name


# Revenue


def _count_revenue(tx: Tx, asked: Asked) -> int:
    a_day = sum(1 + len(exports.gateways(tx, currency)) for currency in asked.currencies(tx))
    return len(asked.days()) * a_day


def _revenue(tx: Tx, asked: Asked) -> Iterator[Row]:
    return _revenue_of(tx, asked, asked.days())  # too many are refused before anything is written


def _revenue_of(tx: Tx, asked: Asked, days: Sequence[date]) -> Iterator[Row]:
    gateways = {currency: exports.gateways(tx, currency) for currency in asked.currencies(tx)}
    for day, currency in product(days, gateways):
        found = figures_of_day(tx, asked, day, currency=currency, gateways=gateways[currency])
        for gateway, sums in found.items():
            yield day, currency, gateway, *(Money(units, currency) for units in sums.values())


def figures_of_day(
    tx: Tx, asked: Asked, day: date, *, currency: str, gateways: Sequence[str]
) -> dict[str, Mapping[str, int]]:
    """Give every figure of a day, or what of it lies in the span: of all that moved, and of each gateway's accounts."""
    zone = asked.context.seller.timezone
    first = max(day_start(day, zone), asked.span.since)
    moved = flows(tx, currency, first, min(day_start(day + _DAY, zone), asked.span.until))
    of_gateways = {name: figures(flow for flow in moved if _is_of(flow, name)) for name in gateways}
    return {ALL_GATEWAYS: figures(moved), **of_gateways}


def _is_of(flow: Flow, gateway: str) -> bool:
    own = (AccountRef("clearing", gateway), AccountRef("disputes", gateway))
    return flow.debit in own or flow.credit in own


# Documents and taxes


def _count_invoices(tx: Tx, asked: Asked) -> int:
    return exports.count_documents(tx, asked.span, asked.currency)


def _invoices(tx: Tx, asked: Asked) -> Iterator[Row]:
    for row in exports.documents(tx, asked.span, asked.currency):
        yield _document(row, invoice_from_record(json.loads(row.snapshot), sha256=row.sha256))


def _document(row: Any, invoice: Invoice) -> Row:
    tax = invoice.tax
    # Below zero as in the sums of taxes: the columns add up to what was sold and not taken back.
    sums = (invoice.net, tax.total, invoice.total)
    net, taxes, total = (amount if row.kind == "invoice" else -amount for amount in sums)
    return (
        invoice.number,
        row.kind,
        invoice.issued_on,
        invoice.issued_at,
        invoice.customer,
        invoice.buyer.name,
        invoice.buyer.address[-1] if invoice.buyer.address else tax.place[:2],
        tax.jurisdiction,
        tax.treatment,
        "; ".join(invoice.buyer.tax_ids),
        net,
        taxes,
        total,
        invoice.currency,
        invoice.corrects,
        invoice.topup_id,
        _gateway(row.gateway),
        invoice.payment[1],
        invoice.id,
        invoice.sha256,
    )


def _count_taxes(tx: Tx, asked: Asked) -> int:
    return len(exports.taxes(tx, asked.span, asked.currency))


def _taxes(tx: Tx, asked: Asked) -> Iterator[Row]:
    for row in exports.taxes(tx, asked.span, asked.currency):
        yield (
            row.period,
            row.jurisdiction,
            row.treatment,
            row.category,
            row.name,
            Decimal(row.percent),
            row.currency,
            row.documents,
            Money(int(row.base), row.currency),
            Money(int(row.amount), row.currency),
        )


# The journal


def _count_journal(tx: Tx, asked: Asked) -> int:
    return exports.count_transfers(tx, asked.span, asked.currency, of_wallets=False)


def _journal(tx: Tx, asked: Asked) -> Iterator[Row]:
    zone = asked.context.seller.timezone
    names = AccountMap(operations.read_setting(tx, ACCOUNT_MAP_SETTING) or {})
    for row in exports.journal(tx, asked.span, asked.currency):
        debit, credit = _side(row, "debit"), _side(row, "credit")
        yield (
            row.id,
            row.transaction_id,
            row.posted_at,
            local_day(row.posted_at, zone),
            row.description,
            row.kind,
            next((owner for kind, owner in _sides(row) if kind == "wallet"), None),
            str(debit),
            str(credit),
            names.name_of(debit),
            names.name_of(credit),
            Money(row.amount, row.currency),
            row.currency,
        )


def _sides(row: Any) -> tuple[tuple[str, str], tuple[str, str]]:
    return (row.debit_kind, row.debit_owner), (row.credit_kind, row.credit_owner)


def _side(row: Any, side: str) -> AccountRef:
    kind = getattr(row, f"{side}_kind")
    # All wallets are one account here; whose it is stands in a column of its own.
    return AccountRef(kind, "" if kind == "wallet" else getattr(row, f"{side}_owner"))


SOURCES: Final[dict[str, Source]] = {
    "transactions": Source(_count_transactions, _transactions),
    "revenue": Source(_count_revenue, _revenue),
    "invoices": Source(_count_invoices, _invoices),
    "tax": Source(_count_taxes, _taxes),
    "journal": Source(_count_journal, _journal),
}
"""Where the rows of each export come from, by its name."""
