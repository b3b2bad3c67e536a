"""From a customer to a tax decision: what is known is read at one moment, then plugins or the rules decide.

Nothing here touches the network but `confirm`, which asks a register once more before a sale without tax is started.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from attrs import frozen

from ..config import Context
from ..core.errors import InvalidRequest
from ..core.money import Money, require_whole_minor
from ..core.parties import Customer, TaxProfile
from ..core.tax_ids import TAX_ID_STATES, TaxId, TaxIdState
from ..core.taxation import TaxDecision
from ..ports import TaxRequest
from ..store import Tx, customers, tax_facts
from ..store.tax_facts import Approval
from . import registers
from .engine import EVIDENCE_FOR, Exemption, KnownTaxId, Sale, decide
from .rules import RuleSet

SUPPOSED: Final = "supposed"
"""Stands for a tax id in a try-out that has none."""


@frozen
class Taxed:
    """A tax decision, and the version of the profile that it rests on."""

    decision: TaxDecision
    profile_version: int | None


def taxed(context: Context, customer: Customer, price: Money, *, only_fresh: bool = False) -> Taxed:
    """Decide how a sale of now to a customer is taxed.

    Args:
        context: The billing system.
        customer: Who buys.
        price: In whole minor units.
        only_fresh: Let a tax id count that its register found valid in the last day, and none found valid before.

    Raises:
        TaxProfileInvalid: The customer's profile lacks what the decision needs.
        TaxUndecided: The rules, or a plugin, do not say.
    """
    version, sale, rules = context.database.read(
        lambda tx: _read_sale(tx, context, customer, price, only_fresh=only_fresh)
    )
    return Taxed(_decided(context, sale, rules, customer.id), version)


def _read_sale(
    tx: Tx, context: Context, customer: Customer, price: Money, *, only_fresh: bool = False
) -> tuple[int | None, Sale, RuleSet]:
    version, profile = customers.current_profile(tx, customer.id) or (None, None)
    approvals, day = tax_facts.approvals(tx, customer.id), context.current_day()
    sale = Sale(
        price=price,
        at=context.now(),
        day=day,
        seller=context.seller,
        profile=profile,
        tax_id=registers.known(tx, context, profile, approvals=approvals, only_fresh=only_fresh),
        exemption=_exemption(approvals, day),
        evidence=tax_facts.latest_evidence(tx, customer.id, since=context.now() - EVIDENCE_FOR),
    )
    return version, sale, context.rulebook.read(tx)


def _exemption(approvals: Iterable[Approval], day: date) -> Exemption | None:
    for approval in approvals:
        if approval.kind == tax_facts.EXEMPTION and approval.covers(day):
            return Exemption(reason=approval.reason, code=approval.code, approved_by=approval.actor)
    return None


def _decided(context: Context, sale: Sale, rules: RuleSet, customer_id: str | None) -> TaxDecision:
    request = TaxRequest(
        customer_id=customer_id,
        price=sale.price,
        day=sale.day,
        seller=sale.seller,
        profile=sale.profile,
        tax_id_state=sale.tax_id.state,
        exempt=sale.exemption is not None,
        evidence=sale.evidence,
    )
    return context.tax_deciders.decide_tax(request) or decide(sale, rules)


def confirm(context: Context, customer: Customer, decision: TaxDecision) -> bool:
    """Ask a register again before a sale rests on what it said more than a day ago; tell whether to decide anew.

    Waits `prepaid.tax.registers.BUDGET_S` seconds at most, and never raises for a register that is down. One that gave
    no answer lately is not waited for again: the outage policy decides.
    """
    if decision.tax_id_state == "pending" and decision.tax_id_matters:
        registers.note_again(context, customer.id)
    if decision.tax_id_state != "valid" or decision.total or not decision.tax_id_matters:
        return False
    checked_at = decision.checked_at
    if checked_at is not None and context.now() - checked_at < registers.REUSED_FOR:
        return False
    profile = context.database.read(lambda tx: customers.current_profile(tx, customer.id))
    _, tax_id = registers.read_profile(profile[1] if profile else None)
    registers.ask_now(context, tax_id, patiently=True)
    return True


def explain(
    context: Context,
    profile: TaxProfile | None,
    amount: Money,
    *,
    tax_id_state: TaxIdState | None = None,
    day: date | None = None,
) -> TaxDecision:
    """Show how a sale would be taxed; writes nothing and asks nobody.

    Args:
        context: The billing system.
        profile: The customer's tax profile, or None.
        amount: What they would type, in whole minor units.
        tax_id_state: What to take for known of the tax id; what is known if None.
        day: Tax point; today if None.

    Raises:
        InvalidRequest: Not a `TaxProfile`, a state that does not exist, or not a date.
        RequestRefused: As the quote of such a sale.
    """
    if profile is not None and not isinstance(profile, TaxProfile):
        raise InvalidRequest("profile is a TaxProfile, or None.", field="profile")
    if tax_id_state is not None and tax_id_state not in TAX_ID_STATES:
        raise InvalidRequest(f"tax_id_state is one of {', '.join(TAX_ID_STATES)}.", field="tax_id_state")
    if day is not None and type(day) is not date:
        raise InvalidRequest("day is a date, or None.", field="day")
    price = require_whole_minor(amount)
    context.currency_or_default(price.currency)

    def read(tx: Tx) -> tuple[KnownTaxId, RuleSet]:
        return registers.known(tx, context, profile), context.rulebook.read(tx)

    known, rules = context.database.read(read)
    if tax_id_state is not None:
        known = _supposed(context, profile, known, tax_id_state)
    sale = Sale(
        price=price,
        at=context.now(),
        day=day or context.current_day(),
        seller=context.seller,
        profile=profile,
        tax_id=known,
    )
    return _decided(context, sale, rules, None)


def _supposed(context: Context, profile: TaxProfile | None, known: KnownTaxId, state: TaxIdState) -> KnownTaxId:
    """Suppose a state of a tax id, and a number of the customer's country if there is none."""
    tax_id = known.tax_id
    if tax_id is None and profile is not None and state not in ("none", "malformed"):
        tax_id = TaxId(kind="other", country=profile.address.country, number=SUPPOSED)
    return KnownTaxId(state=state, tax_id=tax_id, checked_at=context.now(), valid_at=context.now())
