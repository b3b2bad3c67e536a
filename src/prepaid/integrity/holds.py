"""Proving holds: what a wallet reserves is what its open holds reserve."""

from __future__ import annotations

from collections.abc import Iterator

from ..store import Tx
from ..store.proofs import holds as stored
from .findings import Finding, contradiction


def holds(tx: Tx) -> Iterator[Finding]:
    """Prove what every wallet holds."""
    for row in stored.held_otherwise(tx):
        yield contradiction("L4", ("account", row.id), f"held {row.reserved} by open holds", row.held)
