"""Keeping tax rules: added with their dates checked against each other, retired, never edited."""

from __future__ import annotations

from itertools import pairwise

from attrs import evolve

from .. import audit
from ..config import Context, object_id
from ..core.errors import InvalidRequest, NotFound
from ..core.instants import local_day
from ..core.money import Money, require_whole_minor
from ..core.parties import TaxProfile
from ..core.taxation import TaxDecision, TaxRule
from ..store import Tx, tax_rules
from .engine import Sale, decide


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
        tax_rules.lock(tx)  # two operators at once would not see each other's rule
        known = tax_rules.active(tx)
        if stored in known:  # the commit was made, its answer lost
            return stored
        check_dates([*(other for other in known if other.country == rule.country), stored])
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
    wanted, now = object_id(rule_id, field="rule_id"), context.now()

    def work(tx: Tx) -> bool:
        if tax_rules.retire(tx, wanted, now):
            audit.record(tx, context, actor=actor, action="tax-rule-retire", target=wanted)
            return True
        return tax_rules.retired_at(tx, wanted) == now  # the commit was made, its answer lost

    if not context.database.write(work):
        raise NotFound("There is no such tax rule in use.", field="rule_id")


def active(context: Context) -> tuple[TaxRule, ...]:
    """Read the rules in use, by country and date."""
    return context.database.read(tax_rules.active)


def explain(context: Context, profile: TaxProfile | None, amount: Money) -> TaxDecision:
    """Show how a sale of today would be taxed.

    Raises:
        InvalidRequest: Not a `TaxProfile`.
        RequestRefused: As the quote of such a sale.
    """
    if profile is not None and not isinstance(profile, TaxProfile):
        raise InvalidRequest("profile is a TaxProfile, or None.", field="profile")
    day = local_day(context.now(), context.seller.timezone)
    sale = Sale(price=require_whole_minor(amount), day=day, seller=context.seller, profile=profile)
    return decide(sale, active(context))
