"""Proving promotions: what is counted of each by its redemptions, and each redemption by its top-up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from ..core.errors import RequestRefused
from ..core.money import Money
from ..core.promotion_records import promotion_from_record
from ..core.redemption import RESERVED_FOR, adjust
from ..core.states import OPEN_STATES
from ..store import Tx
from ..store.proofs import promotions as stored
from ..store.proofs.audits import acts
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, identity_of, record_of, unless_equal

_LASTS: Final = RESERVED_FOR // timedelta(microseconds=1)
_UNPAID: Final = ("failed", "expired", "canceled")


def promotions(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove limits, budgets and redemptions."""
    for row in stored.promotion_rows(tx):
        yield from _promotion(row)
    if scope.is_whole:
        yield from _written(tx)
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


def _written(tx: Tx) -> Iterator[Finding]:
    """Prove what every promotion says, and whether it ended, by the acts of operators."""
    said: dict[str, tuple[object, bool]] = {}
    for act in acts(tx, ("promotion-create", "promotion-change", "promotion-end")):
        said[act.target] = (record_of(act.state_after), act.action == "promotion-end")
    for row in stored.promotion_rules(tx):
        found = (record_of(row.content), row.ended_at is not None)
        if found != said.pop(row.code, None):
            yield contradiction("B4", ("promotion", row.id), "what an operator wrote last", "something else")
    for code in said:
        yield contradiction("B4", ("promotion", code), "a promotion that an operator made", "none")


def _promised(row: Any, terms: dict[str, Any]) -> tuple[int, int] | None:
    """Work out bonus and discount of a redemption by its terms; None where they cannot be read."""
    try:
        rule, typed = promotion_from_record(terms["rule"]), Money(int(terms["typed"]), row.currency)
        credit = Money(row.topup_credit + (row.discount if row.state == "lost" else 0), row.currency)
        given = adjust(rule, credit, typed=typed)
    except (RequestRefused, ArithmeticError, KeyError, TypeError, ValueError):
        return None
    return given.bonus.units, given.discount.units


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
    terms = record_of(row.terms)
    if row.topup_resolved is None:  # the figures of a review are its operator's
        yield from unless_equal("B4", keys, _promised(row, terms), (row.bonus, row.discount))
    lapses = min(row.reserved_at + _LASTS, row.topup_expires_at)
    yield from unless_equal("B4", keys, lapses, row.lapses_at)
    rule = terms.get("rule")
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
