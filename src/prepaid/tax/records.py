"""What is known of a customer's tax: the state of their tax id for themself, all of it for an operator."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen

from ..config import Context
from ..core.parties import Customer, Evidence, TaxProfile
from ..core.tax_ids import TaxIdState
from ..store import Tx, customers, tax_facts, tax_ids
from ..store.customers import ProfileVersion
from ..store.tax_facts import Approval
from ..store.tax_ids import TaxIdCheck
from . import registers
from .vat_ids import read_tax_id


@frozen(kw_only=True)
class TaxIdStatus:
    """What is known of the tax id of a customer's profile.

    Attributes:
        state: See `prepaid.core.tax_ids.TaxIdState`.
        number: The number as documents print it, or empty.
        problem: One sentence on what is wrong with its form, or empty.
        checked_at: When its register answered last, or None.
        name: Name that the register has, or empty.
    """

    state: TaxIdState
    number: str = field(default="", repr=False)
    problem: str = ""
    checked_at: datetime | None = None
    name: str = field(default="", repr=False)


@frozen(kw_only=True)
class CustomerTax:
    """All that is known of a customer's tax.

    Attributes:
        tax_id: What is known of their tax id.
        profiles: Every version of their profile, the first one first.
        approvals: What operators approved, newest first.
        evidence: What tells where they are, the newest of each kind.
        checks: Every answer of a register on the tax id they have now, the first one first.
    """

    tax_id: TaxIdStatus
    profiles: tuple[ProfileVersion, ...]
    approvals: tuple[Approval, ...]
    evidence: tuple[Evidence, ...]
    checks: tuple[TaxIdCheck, ...] = field(repr=False)


def status(context: Context, customer: Customer) -> TaxIdStatus:
    """Say what is known of a customer's tax id; asks nobody."""
    return context.database.read(lambda tx: _status(tx, context, customer))


def _status(tx: Tx, context: Context, customer: Customer) -> TaxIdStatus:
    _, profile = customers.current_profile(tx, customer.id) or (None, None)
    known = registers.known(tx, context, profile, approvals=tax_facts.approvals(tx, customer.id))
    if known.tax_id is None:
        return TaxIdStatus(state=known.state, problem=_problem(profile) if known.state == "malformed" else "")
    stored = tax_ids.find(tx, known.tax_id.key)
    name = stored.name if stored is not None else ""
    return TaxIdStatus(state=known.state, number=known.tax_id.number, checked_at=known.checked_at, name=name)


def _problem(profile: TaxProfile | None) -> str:
    if profile is None:
        return ""
    return read_tax_id(profile.tax_id, country=profile.address.country, postcode=profile.address.postcode).problem


def verify(context: Context, customer: Customer) -> TaxIdStatus:
    """Ask the register of a customer's tax id, unless it answered lately, and say what is known then.

    Waits a few seconds at most; a job asks again if it does not answer.
    """
    profile = context.database.read(lambda tx: customers.current_profile(tx, customer.id))
    _, tax_id = registers.read_profile(profile[1] if profile else None)
    registers.ask_now(context, tax_id)
    return status(context, customer)


def of_customer(context: Context, customer: Customer) -> CustomerTax:
    """Give all that is known of a customer's tax."""

    def read(tx: Tx) -> CustomerTax:
        _, profile = customers.current_profile(tx, customer.id) or (None, None)
        _, tax_id = registers.read_profile(profile)
        return CustomerTax(
            tax_id=_status(tx, context, customer),
            profiles=customers.profile_history(tx, customer.id),
            approvals=tuple(tax_facts.approvals(tx, customer.id)),
            evidence=tax_facts.latest_evidence(tx, customer.id),
            checks=tuple(tax_ids.checks(tx, tax_id.key)) if tax_id is not None else (),
        )

    return context.database.read(read)
