r"""Exports as CSV: a header, a line for each row, UTF-8; and no text that a spreadsheet would run.

Spreadsheets take a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, also after blanks, also in the
wide forms of these signs, and some take one that begins with a tab or a new line apart. In columns of text, such a
cell gets an apostrophe before it. Where semicolons separate cells, a spreadsheet cuts a text at its own semicolons and
lines, so that a sign after one of them gets an apostrophe too. Numbers are written by the library alone and stay as
they are, a minus with them.

>>> harmless("=1+1"), harmless("  @SUM(A1)"), harmless("a; =1"), harmless("Grüße – 5 € -3")
("'=1+1", "'  @SUM(A1)", "a; '=1", 'Grüße – 5 € -3')

Sources: RFC 4180 (CSV); OWASP, *CSV Injection*; OWASP ASVS 5.0, 1.2.10.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import IO, Any, Final

from ...export_ports import Cell, Column, Row
from .cells import plain
from .columns import COLUMNS

_SIGNS: Final = r"=+\-@＝＋－＠﹦﹢﹣﹫"  # noqa: RUF001 - spreadsheets take the wide ones too
_UNSEEN: Final = r"\s\x00-\x1f\x7f-\x9f\u00ad\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff"
# Blanks, what no one sees, and then a sign; or what could end the cell before its text begins.
_BEGINS: Final = re.compile(rf"[{_UNSEEN}]*[{_SIGNS}]|[\t\r\n\x00]")
_GOES_ON: Final = re.compile(rf"([;\t\r\n][{_UNSEEN}\"]*)(?=[{_SIGNS}])")
_SUSPECT: Final = re.compile(rf"[{_SIGNS}\t\r\n\x00]")


def harmless(text: str) -> str:
    """Return a text, with an apostrophe before all that a spreadsheet could take for more than a text."""
    if _SUSPECT.search(text) is None:
        return text  # as most are
    begins = _BEGINS.match(text)
    return ("'" if begins else "") + _GOES_ON.sub(r"\1'", text)


class CsvFormat:
    """Comma-separated values, by RFC 4180."""

    name = "csv"
    extension = "csv"
    exports: tuple[str, ...] = tuple(COLUMNS)

    def write(self, columns: tuple[Column, ...], rows: Iterator[Row], to: IO[bytes]) -> None:
        """Write a header and a line for each row."""
        text = io.TextIOWrapper(to, encoding="utf-8", newline="")
        writer: Any = csv.writer(text, lineterminator="\r\n")
        writer.writerow(column.name for column in columns)
        written = [_writing(column) for column in columns]
        writer.writerows([write(cell) for write, cell in zip(written, row, strict=True)] for row in rows)
        text.detach()


def _writing(column: Column) -> Callable[[Cell], str]:
    return _text if column.kind == "text" else plain


def _text(cell: Cell) -> str:
    return "" if cell is None else harmless(plain(cell))
