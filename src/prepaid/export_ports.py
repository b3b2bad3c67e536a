"""What an export hands to its format: columns, rows of cells, and the contract of whoever writes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Literal, Protocol, runtime_checkable

from attrs import frozen

from .core.money import Money

ColumnKind = Literal["text", "amount", "number", "day", "instant"]

Cell = str | Money | int | Decimal | date | datetime | None
"""A value by the kind of its column: text, `Money`, a whole number or `Decimal`, a date of the seller's zone, an
aware datetime in UTC. None is empty."""

Row = tuple[Cell, ...]


@frozen
class Column:
    """A column of an export.

    Attributes:
        name: Its heading, the same in every format.
        kind: What its cells are: ``"text"``, ``"amount"``, ``"number"``, ``"day"`` or ``"instant"``.
        about: What it holds, in words.
    """

    name: str
    kind: ColumnKind
    about: str


@runtime_checkable
class Exporter(Protocol):
    """A format that exports can be written in.

    Attributes:
        name: How it is asked for: lower-case letters, digits and dashes.
        extension: What names of its files end in, without the dot.
        exports: Names of the exports that it can write.
    """

    name: str
    extension: str
    exports: tuple[str, ...]

    def write(self, columns: tuple[Column, ...], rows: Iterator[Row], to: IO[bytes]) -> None:
        """Write a header, if the format has one, and all rows.

        Called inside a transaction that only reads, which ends when this
        returns; rows are read from it as they are asked for. An exception
        passes to the caller of the export and leaves nothing at its path.

        Args:
            columns: What each cell of a row is.
            rows: To be taken to the end, and not to be kept: there may be millions.
            to: Where to write; it can only be written to, from the beginning to the end.
        """
        ...
