"""Proving identity: a verification rests on a case that was decided so, and what waited was credited for a reason.

That no policy was passed over when something was credited cannot be proved from
the rows that are left: policies change, and verifications end. What is proved is
that nobody counts as verified whom nobody decided on, and that each payment that
was held back and credited says in the audit on what that rested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..core.identity import CASE_STEPS, OPEN_CASES
from ..store import Tx
from ..store.proofs import audits
from ..store.proofs import identities as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, record_of, unless_equal

_MET: Final = "identity-met"
_DECIDED: Final = ("verified", "rejected")


def identities(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove cases, verifications and released top-ups by the audit, if everything is proved."""
    if not scope.is_whole:
        return
    acts = _acts(tx)
    verified: dict[str, str] = {}
    for row in stored.case_rows(tx):
        yield from _case(row, acts)
        if row.state == "verified":
            verified[row.id] = row.customer
    for row in stored.verification_rows(tx):
        yield from _verification(row, acts)
    yield from _released(tx, acts, verified)


def _acts(tx: Tx) -> dict[tuple[str, str], Any]:
    """Give acts by what they did and to which case, or top-up."""
    actions = (*(f"identity-{state}" for state in _DECIDED), "identity-revoked", _MET)
    found: dict[tuple[str, str], Any] = {}
    for act in audits.acts(tx, actions):
        about = act.target if act.action == _MET else str(record_of(act.state_after).get("case"))
        found[act.action, about] = act
    return found


def _case(row: Any, acts: dict[tuple[str, str], Any]) -> Iterator[Finding]:
    keys = ("case", row.id)
    if row.state not in CASE_STEPS:
        yield contradiction("B6", keys, "a state that steps lead to", row.state)
        return
    is_open = row.state in OPEN_CASES
    found = (row.open_for, row.decided_at is not None)
    yield from unless_equal("B6", keys, (row.customer if is_open else None, not is_open), found)
    if row.state == "submitted" and row.submitted_at is None:
        yield contradiction("B6", keys, "when it was submitted", "nothing")
    for state in _DECIDED:
        act = acts.get((f"identity-{state}", row.id))
        expected = (row.customer, row.level, row.actor) if row.state == state else None
        told = None if act is None else (act.target, record_of(act.state_after).get("level"), act.actor)
        yield from unless_equal("B8", keys, f"{state}: {expected}", f"{state}: {told}")


def _verification(row: Any, acts: dict[tuple[str, str], Any]) -> Iterator[Finding]:
    keys = ("identity", row.customer)
    expected = (row.customer, "verified", row.level, row.verified_at)
    yield from unless_equal(
        "B8", keys, expected, (row.case_customer, row.case_state, row.case_level, row.case_decided_at)
    )
    revoked = ("identity-revoked", row.case_id) in acts
    yield from unless_equal("B8", keys, f"revoked {revoked}", f"revoked {row.revoked_at is not None}")


def _released(tx: Tx, acts: dict[tuple[str, str], Any], verified: dict[str, str]) -> Iterator[Finding]:
    met = {about: act for (action, about), act in acts.items() if action == _MET}
    for row in stored.resolved_rows(tx):
        if record_of(row.resolved).get("action") != "identity_met":
            continue
        act = met.pop(row.id, None)
        if act is None:
            yield contradiction("B8", ("topup", row.id), "the act that released it", "none")
            continue
        case = record_of(act.state_after).get("case")
        if case != "" and verified.get(str(case)) != row.customer:
            yield contradiction("B8", ("topup", row.id), f"a verification of {row.customer}", case)
    for topup_id in met:
        yield contradiction("B8", ("topup", topup_id), "credited, because it was met", "not so")
