"""Proving reversals: nothing comes back that was not taken, and it comes back to where it was taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..store import Tx
from ..store.proofs import reversals as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction

_REVERSIBLE: Final = ("charge", "adjustment")
_USED: Final = ("usage", "meter", "hold")


def reversals(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every reversal by the charge that it gives back."""
    for row in stored.returned_too_much(tx, scope):
        keys = ("transaction", row.reverses, row.grant_id or "no grant")
        yield contradiction("L3", keys, f"at most {int(row.taken)} given back", int(row.amount))
    for row in stored.unlike_their_charge(tx, scope, kinds=_REVERSIBLE, causes=_USED):
        expected = f"wallet, currency, period and label of {row.reverses}"
        yield contradiction("L5", ("transfer", row.id), expected, "not so")
