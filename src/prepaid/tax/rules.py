"""Keeping tax rules: added with their dates checked against each other, retired, never edited."""

from __future__ import annotations

from itertools import pairwise

from attrs import evolve

from .. import audit
from ..config import Context, object_id
from ..core.errors import InvalidRequest, NotFound
from ..core.taxation import TaxRule
from ..store import Tx, tax_rules


def add(context: Context, rule: object, *, actor: str) -> TaxRule:
    """Put a rule in force and give it with its id.

    Raises:
        InvalidRequest: Not a `TaxRule`; or its dates overlap those of another
            rule of the country, or leave a gap to them.
    """
    if not isinstance(rule, TaxRule):
        raise InvalidRequest("rule is a TaxRule.", field="rule")
    stored = evolve(rule, id=context.ids.new("tax"))

    def work(tx: Tx) -> TaxRule:
        others = [other for other in tax_rules.active(tx) if other.country == rule.country]
        check_dates([*others, stored])
        tax_rules.add(tx, stored, context.now())
        after = {"country": rule.country, "valid_from": rule.valid_from.isoformat()}
        audit.record(tx, context, actor=actor, action="tax-rule-add", target=stored.id, after=after)
        return stored

    return context.database.write(work)


def check_dates(rules: list[TaxRule]) -> None:
    """Make sure that the rules of one country follow each other day by day.

    Raises:
        InvalidRequest: Two of them overlap, or days between them have no rule.
    """
    ordered = sorted(rules, key=lambda rule: rule.valid_from)
    for earlier, later in pairwise(ordered):
        if earlier.valid_to is None or earlier.valid_to > later.valid_from:
            raise InvalidRequest(
                f"Two rules of {later.country} are in force on {later.valid_from}; end the earlier one first.",
                field="valid_from",
            )
        if earlier.valid_to < later.valid_from:
            raise InvalidRequest(
                f"No rule of {later.country} would be in force on {earlier.valid_to}.", field="valid_from"
            )


def retire(context: Context, rule_id: str, *, actor: str) -> None:
    """Take a rule out of use; decisions made by it stay as they are.

    Raises:
        NotFound: No rule in use has that id.
    """
    wanted = object_id(rule_id, field="rule_id")

    def work(tx: Tx) -> bool:
        retired = tax_rules.retire(tx, wanted, context.now())
        if retired:
            audit.record(tx, context, actor=actor, action="tax-rule-retire", target=wanted)
        return retired

    if not context.database.write(work):
        raise NotFound("There is no such tax rule in use.", field="rule_id")


def active(context: Context) -> tuple[TaxRule, ...]:
    """Read the rules in use, by country and date."""
    return context.database.read(tax_rules.active)
