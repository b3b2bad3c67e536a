"""Exports as JSON lines: an object for each row, amounts and rates as strings, so that no reader rounds them.

Sources: RFC 8259 (JSON); jsonlines.org.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from ...export_ports import Cell, Column, Row
from .cells import plain
from .columns import COLUMNS


class JsonLinesFormat:
    """One JSON object a line, in UTF-8; null where a cell is empty."""

    name = "jsonl"
    extension = "jsonl"
    exports: tuple[str, ...] = tuple(COLUMNS)

    def write(self, columns: tuple[Column, ...], rows: Iterator[Row], to: IO[bytes]) -> None:
        """Write a line for each row."""
        names = [column.name for column in columns]
        for row in rows:
            record = {name: _value(cell) for name, cell in zip(names, row, strict=True)}
            to.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")


def _value(cell: Cell) -> Any:
    return cell if cell is None or isinstance(cell, int) else plain(cell)
