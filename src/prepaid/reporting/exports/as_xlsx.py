"""Exports as XLSX: text as text, numbers as numbers where a spreadsheet can hold them.

A spreadsheet keeps numbers as binary floating point, which holds every decimal of up to fifteen digits and not every
one of more. A number of more digits is therefore written as text, so that none is rounded without a word.

Sources: ISO/IEC 29500-1 (SpreadsheetML); Microsoft, *Excel specifications and limits* (rows, characters, digits).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import chain, islice
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

from ...core.errors import ConfigurationError
from ...export_ports import Cell, Column, Row
from .cells import plain
from .columns import COLUMNS

ROWS_OF_A_SHEET: Final = 1_048_576
EXACT_DIGITS: Final = 15

_WIDTHS: Final = {"text": 24, "amount": 16, "number": 12, "day": 12, "instant": 28}
_FIRST_DAY: Final = date(1900, 3, 1)
"""Before it, spreadsheets count days in two ways."""

Place = tuple[int, int]
"""Row and column of a cell, from 0."""

Writing = Callable[[Any, Place, Cell], int]
"""Writes a cell to a sheet; not 0 if the sheet did not take it whole."""


class XlsxFormat:
    """A workbook, on as many sheets as the rows need.

    Attributes:
        rows_of_a_sheet: After how many rows, with the header, a sheet is full.
    """

    name = "xlsx"
    extension = "xlsx"
    exports: tuple[str, ...] = tuple(COLUMNS)

    def __init__(self, rows_of_a_sheet: int = ROWS_OF_A_SHEET) -> None:
        """Make the format; other sizes of sheets are for tests."""
        self.rows_of_a_sheet = rows_of_a_sheet

    def write(self, columns: tuple[Column, ...], rows: Iterator[Row], to: IO[bytes]) -> None:
        """Write a workbook.

        Raises:
            ConfigurationError: The package that writes them is not installed, or a text is too long for a cell.
        """
        xlsxwriter = _package()
        # What is written lies in files until the end: in a folder that is gone then, whatever happens.
        with TemporaryDirectory(prefix="prepaid-") as folder:
            options = {"constant_memory": True, "tmpdir": folder, "use_zip64": True}
            workbook = xlsxwriter.Workbook(to, options)
            try:
                self._fill(workbook, columns, rows)
            except BaseException:
                # It has files open, and closes them only when it is written.
                workbook.filename = os.devnull
                workbook.close()
                raise
            try:
                workbook.close()
            except xlsxwriter.exceptions.FileCreateError as failure:
                raise failure.args[0] from None  # as the file itself said it

    def _fill(self, workbook: Any, columns: tuple[Column, ...], rows: Iterator[Row]) -> None:
        style = _Style(workbook)
        written = [style.writing(column) for column in columns]
        while True:
            sheet = _new_sheet(workbook, columns, style)
            place = 0
            for place, row in enumerate(islice(rows, self.rows_of_a_sheet - 1), start=1):
                for number, (write, cell) in enumerate(zip(written, row, strict=True)):
                    if cell is not None and write(sheet, (place, number), cell):
                        raise ConfigurationError(f"{columns[number].name} is too long for a cell of a spreadsheet.")
            following = next(rows, None) if place == self.rows_of_a_sheet - 1 else None
            if following is None:
                return
            rows = chain((following,), rows)


def _package() -> Any:
    try:
        import xlsxwriter
    except ImportError:
        raise ConfigurationError(
            "The package that writes XLSX is not installed: install prepaid with its extra xlsx."
        ) from None
    return xlsxwriter


def _new_sheet(workbook: Any, columns: tuple[Column, ...], style: _Style) -> Any:
    sheet = workbook.add_worksheet()
    sheet.freeze_panes(1, 0)
    for number, column in enumerate(columns):
        sheet.set_column(number, number, max(_WIDTHS[column.kind], len(column.name) + 2))
        sheet.write_string(0, number, column.name, style.heading)
    return sheet


class _Style:
    """The formats of one workbook, and how cells of each kind are written in them."""

    def __init__(self, workbook: Any) -> None:
        self.heading = workbook.add_format({"bold": True})
        self._day = workbook.add_format({"num_format": "yyyy-mm-dd"})
        self._text = workbook.add_format({"num_format": "@"})
        self._numbers: dict[str, Any] = {}
        self._workbook = workbook

    def writing(self, column: Column) -> Writing:
        """Give the function that writes cells of a column."""
        kinds: dict[str, Writing] = {
            "amount": partial(self._number, "#,##0"),
            "number": partial(self._number, "0"),
            "day": self._date,
        }
        return kinds.get(column.kind, self._string)

    def _string(self, sheet: Any, place: Place, cell: Cell) -> int:
        return int(sheet.write_string(*place, plain(cell), self._text))

    def _date(self, sheet: Any, place: Place, cell: Cell) -> int:
        if not isinstance(cell, date) or cell < _FIRST_DAY:
            return self._string(sheet, place, cell)
        return int(sheet.write_datetime(*place, cell, self._day))

    def _number(self, whole: str, sheet: Any, place: Place, cell: Cell) -> int:
        digits = plain(cell)
        if not is_exact(digits):
            return self._string(sheet, place, cell)
        # All digits are shown that there are: those of the currency's minor unit at least, those of the ledger at most.
        part = len(digits.partition(".")[2])
        shown = f"{whole}.{'0' * part}" if part else whole
        if shown not in self._numbers:
            self._numbers[shown] = self._workbook.add_format({"num_format": shown})
        return int(sheet.write_number(*place, Decimal(digits), self._numbers[shown]))


def is_exact(digits: str) -> bool:
    """Tell whether a spreadsheet holds a number, written in plain digits, without rounding it.

    >>> is_exact("-999999999.999999"), is_exact("1000000000.000001")
    (True, False)
    """
    return len(digits.lstrip("-").replace(".", "").strip("0")) <= EXACT_DIGITS
