"""Cells in plain text, the same in every format that is made of text.

>>> from datetime import UTC
>>> plain(Money.of("-0.00744", "EUR")), plain(datetime(2026, 11, 23, 12, tzinfo=UTC)), plain(Decimal("20.00"))
('-0.00744', '2026-11-23T12:00:00Z', '20.00')

Sources: ISO 8601 (days and instants).
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from ...core.money import Money
from ...export_ports import Cell


def plain(cell: Cell) -> str:
    """Write a cell: digits with a point and nothing rounded, days and instants in UTC by ISO 8601; empty for None."""
    match cell:
        case None:
            return ""
        case str():
            return cell
        case Money():
            return cell.plain()
        case datetime():
            return cell.isoformat().replace("+00:00", "Z")
        case date():
            return cell.isoformat()
        case _:
            return format(cell, "f") if isinstance(cell, Decimal) else str(cell)
