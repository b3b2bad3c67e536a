"""Keeping tax rules: added with all others in view, ended on a day, retired, never edited."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from attrs import evolve

from .. import audit
from ..config import Context, object_id
from ..core.errors import InvalidRequest, NotFound
from ..core.tax_rules import TaxRule, rule_record
from ..store import Tx, tax_rules
from .rules import RuleSet, check_together


class RuleBook:
    """The rules of a book, read again only when they have changed; one for each `Prepaid`."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._kept: tuple[tuple[Any, ...], RuleSet] | None = None

    def read(self, tx: Tx) -> RuleSet:
        """Give the rules in use."""
        stamp = (tx.book_id, *tax_rules.stamp(tx))
        kept = self._kept
        if kept is None or kept[0] != stamp:
            kept = (stamp, RuleSet(tax_rules.active(tx)))
            with self._lock:
                self._kept = kept
        return kept[1]


def add(context: Context, rule: object, *, actor: str, reason: object = "") -> TaxRule:
    """Put a rule in force and give it with its id.

    Raises:
        InvalidRequest: Not a `TaxRule`; a territory that does not exist; it is as near as another rule and could
            match the same sale; it leaves days between it and one that matches the same sales; or a reason that is
            no text, or too long.
    """
    if not isinstance(rule, TaxRule):
        raise InvalidRequest("rule is a TaxRule.", field="rule")
    [stored] = change(context, add=[rule], retire=(), actor=actor, reason=audit.optional_reason(reason))
    return stored


def change(
    context: Context,
    *,
    add: Sequence[TaxRule],
    retire: Iterable[str],
    actor: str,
    reason: str = "",
    guard: Callable[[Sequence[TaxRule]], None] = lambda known: None,
) -> tuple[TaxRule, ...]:
    """Retire some rules and add others in one transaction, and give those added with their ids.

    Args:
        context: The billing system.
        add: Rules to put in force.
        retire: Ids of rules to take out of use.
        actor: The operator.
        reason: Why, for the audit.
        guard: Called with the rules in use once nobody else can change them; may refuse.

    Raises:
        InvalidRequest: What would then be in use contradicts itself.
        NotFound: A rule to retire is not in use.
    """
    fresh = tuple(evolve(rule, id=context.ids.new("tax")) for rule in add)
    gone, now = frozenset(retire), context.now()

    def work(tx: Tx) -> None:
        tax_rules.lock(tx)  # two operators at once would not see each other's rules
        known = {rule.id: rule for rule in tax_rules.active(tx)}
        if fresh and all(rule.id in known for rule in fresh):  # the commit was made, its answer lost
            return
        guard(tuple(known.values()))
        if not gone <= known.keys():
            raise NotFound("There is no such tax rule in use.", field="rule_id")
        check_together([*(rule for rule in known.values() if rule.id not in gone), *fresh], fresh=fresh)
        for rule_id in sorted(gone):
            _retire(tx, context, known[rule_id], now, actor=actor, reason=reason)
        for rule in fresh:
            tax_rules.add(tx, rule, now)
            after = _record(rule)
            audit.record(tx, context, actor=actor, action="tax-rule-add", target=rule.id, reason=reason, after=after)

    context.database.write(work)
    return fresh


def _retire(tx: Tx, context: Context, rule: TaxRule, now: datetime, *, actor: str, reason: str) -> bool:
    if not tax_rules.retire(tx, rule.id, now):
        return False
    before = _record(rule)
    audit.record(tx, context, actor=actor, action="tax-rule-retire", target=rule.id, reason=reason, before=before)
    return True


def _record(rule: TaxRule) -> dict[str, Any]:
    return {"country": rule.country, **rule_record(rule)}


def end(context: Context, rule_id: str, valid_to: object, *, actor: str, reason: object = "") -> TaxRule:
    """Let a rule end on a day: it is retired, and the same with that day is put in its place.

    Args:
        context: The billing system.
        rule_id: The rule.
        valid_to: First day on which it is not in force any more.
        actor: The operator.
        reason: Why, for the audit.

    Raises:
        NotFound: No rule in use has that id.
        InvalidRequest: Not a date after its first day, it leaves days without a rule, or a reason that is no text,
            or too long.
    """
    why, wanted = audit.optional_reason(reason), object_id(rule_id, field="rule_id")
    known = next((rule for rule in active(context) if rule.id == wanted), None)
    if known is None:
        raise NotFound("There is no such tax rule in use.", field="rule_id")
    if not isinstance(valid_to, date):
        raise InvalidRequest("valid_to is a date.", field="valid_to")
    [stored] = change(context, add=[evolve(known, valid_to=valid_to)], retire=[wanted], actor=actor, reason=why)
    return stored


def retire(context: Context, rule_id: str, *, actor: str, reason: object = "") -> None:
    """Take a rule out of use at once, as if it had never been; decisions made by it stay as they are.

    A day that it leaves without a rule is an error for who buys then, until another covers it.

    Raises:
        NotFound: No rule in use has that id.
        InvalidRequest: A reason that is no text, or too long.
    """
    why, wanted, now = audit.optional_reason(reason), object_id(rule_id, field="rule_id"), context.now()

    def work(tx: Tx) -> bool:
        known = next((rule for rule in tax_rules.active(tx) if rule.id == wanted), None)
        if known is not None and _retire(tx, context, known, now, actor=actor, reason=why):
            return True
        return tax_rules.retired_at(tx, wanted) == now  # the commit was made, its answer lost

    if not context.database.write(work):
        raise NotFound("There is no such tax rule in use.", field="rule_id")


def active(context: Context) -> tuple[TaxRule, ...]:
    """Read the rules in use, by country and date."""
    return context.database.read(tax_rules.active)
