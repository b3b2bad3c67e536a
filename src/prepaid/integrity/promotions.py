"""Proving promotions: what is counted of each by its redemptions, and each redemption by its top-up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..core.states import OPEN_STATES
from ..store import Tx
from ..store.proofs import promotions as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, identity_of, record_of, unless_equal

_UNPAID: Final = ("failed", "expired", "canceled")


def promotions(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove limits, budgets and redemptions."""
    for row in stored.promotion_rows(tx):
        yield from _promotion(row)
    for row in stored.customer_rows(tx):
        keys = ("promotion", row.promotion_id, row.customer)
        yield contradiction("B4", keys, f"{row.found} uses", f"{row.uses} uses")
    for row in stored.redemption_rows(tx, scope):
        yield from _redemption(row)
    for row in stored.unexplained_topups(tx, scope):
        yield contradiction("B4", ("topup", row.id), "a redemption of a promotion", (row.bonus, row.discount))


def _promotion(row: Any) -> Iterator[Finding]:
    keys = ("promotion", row.id)
    spent = 0 if row.budget is None else int(row.found_spent)
    yield from unless_equal("B4", keys, (int(row.found_uses), spent), (row.uses, row.spent))
    over_uses = row.uses_total is not None and row.uses > row.uses_total
    if over_uses or (row.budget is not None and row.spent > row.budget):
        limits = f"at most {row.uses_total} uses and {row.budget} spent"
        yield contradiction("B4", keys, limits, (row.uses, row.spent))
    content = record_of(row.content)
    kept = content.get("budget")
    budget = {row.currency: str(row.budget)} if row.budget is not None else {}
    found = (identity_of(content.get("code")), content.get("uses_total"), kept)
    yield from unless_equal("B4", keys, (row.code, row.uses_total, budget), found)


def _redemption(row: Any) -> Iterator[Finding]:
    keys = ("redemption", row.id)
    whose = (row.topup_customer, row.topup_currency, row.promotion_code)
    yield from unless_equal("B4", keys, whose, (row.customer, row.currency, identity_of(row.code)))
    if row.topup_state is None:
        return
    if row.state not in _states_for(row.topup_state):
        yield contradiction("B4", keys, f"a state that goes with {row.topup_state}", row.state)
    if (row.closed_at is None) != (row.state == "reserved"):
        yield contradiction("B4", keys, "closed exactly when it is not reserved", row.closed_at)
    rule = record_of(row.terms).get("rule")
    first = int(bool(rule.get("first_topup_only"))) if isinstance(rule, dict) else None
    yield from unless_equal("B4", keys, first, row.first_only)
    promised = row.topup_state != "credited" or row.state == "redeemed"
    figures = (row.bonus, row.discount) if promised else (0, 0)
    yield from unless_equal("B4", keys, figures, (row.topup_bonus, row.topup_discount))


def _states_for(topup_state: str) -> tuple[str, ...]:
    if topup_state in OPEN_STATES or topup_state == "review":
        return "reserved", "released"
    if topup_state in _UNPAID:
        return ("released",)
    return ("redeemed", "lost", "released") if topup_state == "credited" else ("released",)
