r"""The journal as text for Beancount: a transaction for each of the ledger's, with postings that sum to zero.

What the ledger debits is above zero there, and what it credits below. An account is opened, on the first day of the
file, before the first transaction that uses it.

>>> quoted('Bob "the builder"')
'"Bob \\"the builder\\""'

Sources: Beancount Language Syntax (directives, accounts, strings, metadata).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from types import SimpleNamespace
from typing import IO, Any, Final

from ...core.money import Money
from ...export_ports import Column, Row
from .cells import plain

_ESCAPES: Final = str.maketrans(
    # What has no shape and no escape becomes a blank.
    {chr(code): " " for code in (*range(32), *range(127, 160))}
    | {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
)


def quoted(text: str) -> str:
    """Write a string as Beancount reads it back."""
    return f'"{text.translate(_ESCAPES)}"'


class BeancountFormat:
    """Double entry as plain text."""

    name = "beancount"
    extension = "beancount"
    exports: tuple[str, ...] = ("journal",)

    def write(self, columns: tuple[Column, ...], rows: Iterator[Row], to: IO[bytes]) -> None:
        """Write a directive for each transaction, and for each account that is new in the file."""
        names = [column.name for column in columns]
        entries = (SimpleNamespace(**dict(zip(names, row, strict=True))) for row in rows)
        opened, first_day = set[str](), None
        to.write(b";; -*- mode: beancount; coding: utf-8 -*-\n")
        for parts in _transactions(entries):
            first_day = first_day or parts[0].day
            used = dict.fromkeys(name for part in parts for name in (part.debit_account, part.credit_account))
            if new := [name for name in used if name not in opened]:
                opened.update(new)
                to.write(("\n" + "".join(f"{first_day} open {name}\n" for name in new)).encode())
            to.write(_directive(parts).encode())


def _transactions(entries: Iterable[Any]) -> Iterator[list[Any]]:
    """Put together what belongs to a transaction: its transfers are of one instant, and others may stand between."""
    for _, of_instant in groupby(entries, attrgetter("posted_at")):
        found: dict[str, list[Any]] = {}
        for entry in of_instant:
            found.setdefault(entry.transaction, []).append(entry)
        yield from found.values()


def _directive(parts: list[Any]) -> str:
    head = parts[0]
    about = {
        "transaction": head.transaction,
        "posted_at": plain(head.posted_at),
        "kind": head.kind,
        "customer": next((part.customer for part in parts if part.customer is not None), None),
    }
    lines = [f"\n{head.day} * {quoted(head.description or head.kind)}"]
    lines += [f"  {name}: {quoted(value)}" for name, value in about.items() if value is not None]
    lines += [f"  {name}  {amount}" for name, amount in _postings(parts)]
    return "\n".join(lines) + "\n"


def _postings(parts: Iterable[Any]) -> Iterator[tuple[str, Money]]:
    sums: dict[str, Money] = {}
    for part in parts:
        for name, amount in ((part.debit_account, part.amount), (part.credit_account, -part.amount)):
            sums[name] = sums[name] + amount if name in sums else amount
    yield from sums.items()
