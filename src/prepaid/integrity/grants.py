"""Proving grants: what is left of each by what its transfers put in and took out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from ..store import Tx
from ..store.proofs import chains
from ..store.proofs import grants as stored
from .findings import Finding, contradiction, unless_equal

_GRANTED: Final = (
    ("topup", "paid"),
    ("bonus", "promotional"),
    ("goodwill", "goodwill"),
    ("external", "external"),
    ("migration", "migrated"),
    *(("reversal", kind) for kind in ("paid", "promotional", "goodwill", "external", "migrated")),
)
"""Kind of a transfer that gives credit, and of the grant it opens."""


def grants(tx: Tx) -> Iterator[Finding]:
    """Prove what is left of every grant, and of all open ones of a wallet."""
    remaining: dict[int, int] = defaultdict(int)
    for row in stored.grant_rows(tx):
        if row.open == 2:
            continue
        remaining[row.wallet_id] += row.remaining if row.open else 0
        yield from _grant(row)
    for wallet_id, (balance, _) in chains.wallets(tx).items():
        if remaining[wallet_id] != max(0, balance):
            yield contradiction("L3", ("account", wallet_id), f"open grants {max(0, balance)}", remaining[wallet_id])
    for row in stored.misplaced_grants(tx, _GRANTED):
        yield contradiction("L3", ("transfer", row.id), "a grant of its wallet, kind and source", row.grant_id)
    for row in stored.costly_gifts(tx):
        yield from unless_equal("L3", ("grant", row.id), (0, 0), (row.cost_net_minor, row.cost_tax_minor))


def _grant(row: Any) -> Iterator[Finding]:
    keys = ("grant", row.id)
    put, took = int(row.put_high) * 2**32 + int(row.put_low), int(row.took_high) * 2**32 + int(row.took_low)
    left = put - row.debt_paid - took
    expected, found = (left, int(left != 0)), (row.remaining, row.open)
    yield from unless_equal("L3", keys, f"remaining, open {expected}", f"remaining, open {found}")
    yield from unless_equal("L3", keys, "a grant of a wallet", f"a grant of a {row.wallet_kind}")
