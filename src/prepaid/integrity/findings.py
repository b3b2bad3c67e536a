"""What a check finds: one contradiction each, never mended silently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from attrs import field, frozen

from ..core.codes import code_identity
from ..core.errors import InvalidRequest
from ..core.money import MAX_UNITS, MINOR_DIGITS, Money, minor_unit


@frozen(kw_only=True)
class Finding:
    """One contradiction.

    Attributes:
        invariant: Which invariant is broken, such as ``"L2"``.
        keys: The rows it is about.
        expected: What should stand there.
        found: What stands there.
    """

    invariant: str
    keys: tuple[str, ...]
    expected: str
    found: str


@frozen(kw_only=True)
class IntegrityReport:
    """The result of a check.

    Attributes:
        ok: Nothing contradicts itself.
        findings: What does.
        counted: Rows of the book, by table.
        place: From where the next check may go on with ``since``; what was given if anything was found.
        is_complete: Every proof was run to its end; not so after very many findings.
    """

    ok: bool
    findings: tuple[Finding, ...]
    counted: dict[str, int] = field(factory=dict)
    place: str | None = None
    is_complete: bool = True


def contradiction(invariant: str, keys: tuple[object, ...], expected: object, found: object) -> Finding:
    """Describe a contradiction; keys and values as text."""
    return Finding(invariant=invariant, keys=tuple(str(key) for key in keys), expected=str(expected), found=str(found))


def unless_equal(invariant: str, keys: tuple[object, ...], expected: object, found: object) -> Iterator[Finding]:
    """Give a contradiction unless what was found is what was expected."""
    if expected != found:
        yield contradiction(invariant, keys, expected, found)


def record_of(text: str) -> dict[str, Any]:
    """Read a stored record; one that was damaged is empty and agrees with nothing."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


@lru_cache(maxsize=4096)
def written(units: int, currency: str) -> str:
    """Write an amount as fingerprints have it."""
    return str(Money(units, currency)) if currency in MINOR_DIGITS and abs(units) <= MAX_UNITS else "no amount"


def units_of(minor: object, currency: str) -> int | None:
    """Turn minor units of a record into ledger units; None for anything else."""
    return minor * minor_unit(currency) if type(minor) is int and currency in MINOR_DIGITS else None


def decided(decision: dict[str, Any], currency: str) -> tuple[object, ...]:
    """Give net, tax, gross and currency of a decision, in ledger units."""
    return (*(units_of(decision.get(name), currency) for name in ("net", "total", "gross")), decision.get("currency"))


def identity_of(code: object) -> str:
    """Give the identity of a promotion's code; nothing for what is none."""
    try:
        return code_identity(code)
    except InvalidRequest:
        return ""
