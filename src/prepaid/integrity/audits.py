"""Proving acts of operators: what the audit says was done is what stands."""

from __future__ import annotations

from collections.abc import Iterator

from ..store import Tx
from ..store.proofs import audits as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, record_of, unless_equal, written


def audits(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove overdrafts, freezes and gifts by the audit, if everything is proved."""
    if not scope.is_whole:
        return
    overdrafts: dict[tuple[str, str], str] = {}
    frozen: set[str] = set()
    for act in stored.acts(tx, ("overdraft", "freeze", "unfreeze")):
        if act.action == "overdraft":
            amount = str(record_of(act.state_after).get("overdraft"))
            overdrafts[act.target, amount.rpartition(" ")[2]] = amount
        else:
            (frozen.add if act.action == "freeze" else frozen.discard)(act.target)
    yield from _overdrafts(tx, overdrafts)
    for row in stored.customers(tx):
        is_frozen = row.frozen_at is not None
        yield from unless_equal("L5", ("customer", row.id), f"frozen {row.id in frozen}", f"frozen {is_frozen}")
    acted, given = stored.count_gifts(tx)
    yield from unless_equal("L5", ("audit", "grant"), f"{acted} grants given", f"{given} grants given")
    for row in stored.ended_by_nobody(tx):
        yield contradiction("L3", ("grant", row.id), "posted, waiting or voided", "none of these")


def _overdrafts(tx: Tx, allowed: dict[tuple[str, str], str]) -> Iterator[Finding]:
    for row in stored.floors(tx):
        overdraft = allowed.get((row.owner, row.currency), written(0, row.currency))
        found = written(-row.floor, row.currency)
        yield from unless_equal("L4", ("account", row.id), f"an overdraft of {overdraft}", f"an overdraft of {found}")
