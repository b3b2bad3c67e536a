"""One export: what is asked for is checked, then rows are read in one snapshot and written as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from attrs import frozen

from ...config import Context
from ...core.errors import ConfigurationError, InvalidRequest
from ...core.money import check_currency
from ...export_ports import Exporter, Row
from ...store import Tx, exports
from .as_beancount import BeancountFormat
from .as_csv import CsvFormat
from .as_jsonl import JsonLinesFormat
from .as_xlsx import XlsxFormat
from .columns import COLUMNS
from .destination import Destination, opened
from .rows import SOURCES, Asked
from .span import read_span

FORMATS: Final[Mapping[str, Exporter]] = {
    each.name: each for each in (CsvFormat(), XlsxFormat(), JsonLinesFormat(), BeancountFormat())
}
"""The formats that are there without a plugin, by name."""

TOLD_EVERY: Final = 1000
"""After how many rows who listens is told how far it is."""

OnProgress = Callable[[int, int], object]


@frozen
class Exported:
    """What an export wrote.

    Attributes:
        name: Which export.
        format: In which format.
        rows: How many rows, without a header.
    """

    name: str
    format: str
    rows: int


@frozen
class ExportFormat:
    """A format that exports can be written in.

    Attributes:
        name: How it is asked for.
        extension: What names of its files end in, without the dot.
        exports: Names of the exports that it can write.
    """

    name: str
    extension: str
    exports: tuple[str, ...]


def formats(context: Context) -> tuple[ExportFormat, ...]:
    """List every format, those of plugins last."""
    return tuple(ExportFormat(each.name, each.extension, each.exports) for each in _exporters(context).values())


def _exporters(context: Context) -> Mapping[str, Exporter]:
    return {**FORMATS, **context.exporters}


def export(
    context: Context,
    name: str,
    *,
    since: object,
    until: object,
    to: object,
    format: str = "csv",
    currency: str | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
) -> Exported:
    """Write an export of ``[since, until)``, all of it as it is at one moment.

    Memory does not grow with the number of rows. If it fails, nothing is left at
    a path; what was written to an open file until then stays there.

    Args:
        context: The billing system.
        name: ``"transactions"``, ``"revenue"``, ``"invoices"``, ``"tax"`` or ``"journal"``.
        since: First day in the seller's zone, or an aware instant.
        until: First day after, or an aware instant.
        to: Path of a file, which only its owner may read; or a binary file, which is left open.
        format: ``"csv"``, ``"xlsx"`` (with the extra ``xlsx``), ``"jsonl"``, for the journal ``"beancount"``, or one
            of a plugin.
        currency: The only currency; all that the book has if None.
        overwrite: Replace a file that is there.
        on_progress: Told how many rows are written, and of how many; the last time when it is all of them.

    Raises:
        InvalidRequest: There is no such export or format, or a format is not for it; days or instants that cannot be,
            or in the wrong order, or too many days; a currency that the book has never used; a place that
            nothing can be written to, or with a file that is there.
        InvalidAmount: Not a currency code.
        ConfigurationError: The extra that a format needs is not installed, or a plugin's exporter left rows out.
        TransactionAborted: The database was lost, and what is written to an open file cannot be taken back.
    """
    exporter = _exporter(context, name, format)
    span = read_span(context, since, until)
    if currency is not None:
        check_currency(currency)
    if on_progress is not None and not callable(on_progress):
        raise InvalidRequest("on_progress is a function of two numbers.", field="on_progress")
    work = _Work(Asked(context, span, currency), name, exporter, on_progress)
    with opened(to, overwrite=overwrite) as destination:
        rows = context.database.read(lambda tx: _write(tx, work, destination))
    return Exported(name, exporter.name, rows)


def _exporter(context: Context, name: object, format: object) -> Exporter:
    if not isinstance(name, str) or name not in COLUMNS:
        raise InvalidRequest(f"name is one of {', '.join(COLUMNS)}.", field="name")
    fitting = {known: each for known, each in _exporters(context).items() if name in each.exports}
    if not isinstance(format, str) or format not in fitting:
        raise InvalidRequest(f"format of {name} is one of {', '.join(fitting)}.", field="format")
    return fitting[format]


@frozen
class _Work:
    """An export that is to be written, in one transaction or, if that is lost, in another."""

    asked: Asked
    name: str
    exporter: Exporter
    on_progress: OnProgress | None


def _write(tx: Tx, work: _Work, destination: Destination) -> int:
    asked, used = work.asked, work.asked.context.currencies
    if asked.currency is not None and asked.currency not in (*used, *exports.currencies(tx)):
        raise InvalidRequest(f"{asked.currency} was never in use here.", field="currency", currencies=used)
    source = SOURCES[work.name]
    told = None if work.on_progress is None else _Told(work.on_progress, source.count(tx, asked))
    counted = _Counted(source.rows(tx, asked), told)
    with destination.begun() as file:
        work.exporter.write(COLUMNS[work.name], iter(counted), file)
        if next(counted.rows, None) is not None:
            raise ConfigurationError(f"The exporter {work.exporter.name!r} left rows unwritten.")
    if told is not None:
        told.function(counted.count, told.of)
    return counted.count


@frozen
class _Told:
    """Who is told how far an export is, and how many rows there are."""

    function: OnProgress
    of: int


class _Counted:
    """Rows that are counted as they are taken."""

    def __init__(self, rows: Iterator[Row], told: _Told | None) -> None:
        self.rows, self.count, self._told = rows, 0, told

    def __iter__(self) -> Iterator[Row]:
        for row in self.rows:
            if self._told is not None and self.count % TOLD_EVERY == 0:
                self._told.function(self.count, self._told.of)
            self.count += 1
            yield row
