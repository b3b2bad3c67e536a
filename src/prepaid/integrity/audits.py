"""Proving acts of operators: what the audit says was done is what stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ..core.resolution import RESOLVE_ACTIONS
from ..store import Tx
from ..store.proofs import audits as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, record_of, unless_equal, written

_SYSTEM: Final = "system"
_APPROVALS: Final = ("exemption", "tax-id")
_RECEIPT: Final = ("units", "currency", "evidence")


def audits(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove what operators did by the audit, if everything is proved."""
    if scope.is_whole:
        yield from _wallets(tx)
        yield from _settings(tx)
        yield from _tax_rules(tx)
        yield from _approvals(tx)
        yield from _corrections(tx)
        yield from _reviews(tx)


def _wallets(tx: Tx) -> Iterator[Finding]:
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


# What they decided; values are not shown, they may name people.


def _settings(tx: Tx) -> Iterator[Finding]:
    """Prove that each change of a setting began with what the one before it left, and the last left what stands."""
    said: dict[str, object] = {}
    for act in stored.acts(tx, ("settings",)):
        if record_of(act.state_before) != said.get(act.target, {}):
            yield contradiction("L6", ("audit", act.id), f"what {act.target} was before it", "something else")
        said[act.target] = record_of(act.state_after)
    yield from _as_said("setting", said, ((row.name, record_of(row.value)) for row in stored.settings(tx)))


def _tax_rules(tx: Tx) -> Iterator[Finding]:
    said: dict[str, object] = {}
    for act in stored.acts(tx, ("tax-rule-add", "tax-rule-retire")):
        is_retired = act.action == "tax-rule-retire"
        rule = record_of(act.state_before if is_retired else act.state_after)
        if is_retired and said.get(act.target) != (rule, False):
            yield contradiction("L6", ("audit", act.id), f"the rule {act.target} in use before it", "something else")
        said[act.target] = (rule, is_retired)
    rows = (
        (row.id, ({"country": row.country, **record_of(row.content)}, row.retired_at is not None))
        for row in stored.tax_rules(tx)
    )
    yield from _as_said("tax_rule", said, rows)


def _as_said(kind: str, said: dict[str, object], rows: Iterable[tuple[str, object]]) -> Iterator[Finding]:
    """Prove that each row is what the audit says of it last, and that none is missing."""
    for name, found in rows:
        if found != said.pop(name, None):
            yield contradiction("L6", (kind, name), "what an operator left it as", "something else")
    for name in said:
        yield contradiction("L6", (kind, name), "what an operator made", "none")


def _approvals(tx: Tx) -> Iterator[Finding]:
    """Prove exemptions and vouched tax ids: each was approved by an act, and those that hold by the last."""
    given: Counter[tuple[object, ...]] = Counter()
    holding: dict[tuple[str, str], tuple[object, ...]] = {}
    for act in stored.acts(tx, (f"tax-{kind}{end}" for kind in _APPROVALS for end in ("", "-end"))):
        kind, after = act.action.removeprefix("tax-").removesuffix("-end"), record_of(act.state_after)
        if act.action.endswith("-end"):
            holding.pop((act.target, kind), None)
            continue
        terms = (act.target, kind, act.reason, act.actor, after.get("code"), after.get("valid_to"))
        holding[act.target, kind] = terms
        given[terms] += 1
    for row in stored.approvals(tx):
        keys, terms = (row.customer, row.kind), (row.customer, row.kind, row.reason, row.actor, row.code, row.valid_to)
        holds = row.ended_at is None
        if given[terms] < 1 or (holds and holding.pop(keys, None) != terms):
            yield contradiction("L6", ("tax_approval", *keys), "what an operator approved last", "something else")
        given[terms] -= 1
    for customer, kind, *_ in (*(+given), *holding.values()):
        yield contradiction("L6", ("tax_approval", customer, kind), "what an operator approved", "none")


def _corrections(tx: Tx) -> Iterator[Finding]:
    acts = stored.acts(tx, ("tax-correction-close",))
    said: dict[str, object] = {act.target: (act.actor, act.reason) for act in acts}
    rows = ((row.id, (row.actor, row.reason)) for row in stored.closed_corrections(tx, but_by=_SYSTEM))
    yield from _as_said("tax_correction", said, rows)


def _reviews(tx: Tx) -> Iterator[Finding]:
    """Prove how reviews ended and what was confirmed, by who decided it last."""
    resolved: dict[str, object] = {}
    confirmed: dict[str, object] = {}
    for act in stored.acts(tx, ("confirm-transfer", *(f"resolve-{action}" for action in RESOLVE_ACTIONS))):
        after = record_of(act.state_after)
        if act.action == "confirm-transfer":
            confirmed[act.target] = (_receipt(after), act.actor)
        else:
            resolved[act.target] = after
    for row in stored.decided_topups(tx):
        ended, told = record_of(row.resolved or ""), record_of(row.confirmation or "")
        by_operator = row.resolved is not None and ended.get("actor") != _SYSTEM
        if by_operator and ended != resolved.pop(row.id, None):
            yield contradiction("L6", ("topup", row.id), "how an operator ended its review", "something else")
        if row.confirmation is not None and (_receipt(told), told.get("actor")) != confirmed.pop(row.id, None):
            yield contradiction("L6", ("topup", row.id), "what an operator confirmed", "something else")
    for topup_id in (*resolved, *confirmed):
        yield contradiction("L6", ("topup", topup_id), "what an operator decided on it", "none")


def _receipt(record: dict[str, Any]) -> tuple[object, ...]:
    return tuple(record.get(name) for name in _RECEIPT)
