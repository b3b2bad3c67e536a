"""The operator's side of tax: rules, tax ids, and documents whose tax may have to be corrected."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from .. import customers, permissions
from ..core.money import Money
from ..core.pages import Page
from ..core.parties import TaxProfile
from ..core.tax_ids import TaxIdState
from ..core.tax_rules import TaxRule
from ..core.taxation import TaxDecision
from ..store.tax_entries import TaxCorrection
from ..tax import approvals, corrections, deciding, importing, records, rulebook
from ..tax.importing import RuleDiff
from ..tax.records import CustomerTax

if TYPE_CHECKING:
    from .operator import OperatorDoor


class OperatorTax:
    """Tax rules, tax ids, and documents whose tax may have to be corrected."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def add(self, rule: TaxRule, *, reason: str = "") -> TaxRule:
        """Put a rule in force; see `prepaid.tax.rulebook.add`.

        Raises:
            NotAllowed: Without ``tax.write``.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        return rulebook.add(context, rule, actor=self._door.actor, reason=reason)

    def list(self) -> tuple[TaxRule, ...]:
        """List the rules in use, by country and date.

        Raises:
            NotAllowed: Without ``tax.read``.
        """
        return rulebook.active(self._door.allow(permissions.TAX_READ))

    def end(self, rule_id: str, valid_to: date, *, reason: str = "") -> TaxRule:
        """Let a rule end on a day; see `prepaid.tax.rulebook.end`.

        Raises:
            NotAllowed: Without ``tax.write``.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        return rulebook.end(context, rule_id, valid_to, actor=self._door.actor, reason=reason)

    def retire(self, rule_id: str, *, reason: str = "") -> None:
        """Take a rule out of use; see `prepaid.tax.rulebook.retire`.

        Raises:
            NotAllowed: Without ``tax.write``.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        rulebook.retire(context, rule_id, actor=self._door.actor, reason=reason)

    def from_csv(self, text: str) -> RuleDiff:
        """Compare rules in CSV with those in use; see `prepaid.tax.importing.from_csv`.

        Raises:
            NotAllowed: Without ``tax.read``.
        """
        return importing.from_csv(self._door.allow(permissions.TAX_READ), text)

    def from_vat_rates(self, valid_from: date, countries: Iterable[str] | None = None) -> RuleDiff:
        """Compare the EU's standard rates with the rules in use; see `prepaid.tax.importing.from_vat_rates`.

        Raises:
            NotAllowed: Without ``tax.read``.
        """
        return importing.from_vat_rates(self._door.allow(permissions.TAX_READ), valid_from, countries)

    def apply(self, diff: RuleDiff, *, reason: str) -> tuple[TaxRule, ...]:
        """Do what a diff shows; see `prepaid.tax.importing.apply`.

        Raises:
            NotAllowed: Without ``tax.write``.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        return importing.apply(context, diff, reason=reason, actor=self._door.actor)

    def to_csv(self) -> str:
        """Write the rules in use as CSV; see `prepaid.tax.importing.export_csv`.

        Raises:
            NotAllowed: Without ``tax.read``.
        """
        return importing.export_csv(self._door.allow(permissions.TAX_READ))

    def explain(
        self,
        profile: TaxProfile | None,
        amount: Money,
        *,
        tax_id_state: TaxIdState | None = None,
        day: date | None = None,
    ) -> TaxDecision:
        """Show how a sale would be taxed; see `prepaid.tax.deciding.explain`.

        Raises:
            NotAllowed: Without ``tax.read``.
            RequestRefused: As the quote of such a sale.
        """
        context = self._door.allow(permissions.TAX_READ)
        return deciding.explain(context, profile, amount, tax_id_state=tax_id_state, day=day)

    def of_customer(self, customer_id: str) -> CustomerTax:
        """Give all that is known of a customer's tax, with its history.

        Raises:
            NotAllowed: Without ``tax.read``.
            NotFound: Not registered.
        """
        context = self._door.allow(permissions.TAX_READ)
        return records.of_customer(context, customers.require(context, customer_id))

    def verify_id(self, customer_id: str, *, reason: str, valid_to: date | None = None) -> None:
        """Vouch for the tax id of a customer's profile; see `prepaid.tax.approvals.vouch`.

        Raises:
            NotAllowed: Without ``tax.write``.
            NotFound: Not registered.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        customer = customers.require(context, customer_id)
        approvals.vouch(context, customer, reason=reason, valid_to=valid_to, actor=self._door.actor)

    def unverify_id(self, customer_id: str, *, reason: str) -> None:
        """Vouch for a customer's tax id no more; see `prepaid.tax.approvals.stop_vouching`.

        Raises:
            NotAllowed: Without ``tax.write``.
            NotFound: Not registered, or nobody vouches for it.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        customer = customers.require(context, customer_id)
        approvals.stop_vouching(context, customer, reason=reason, actor=self._door.actor)

    def corrections(self, *, state: str = "offered", cursor: str | None = None, limit: int = 50) -> Page[TaxCorrection]:
        """List documents whose tax was not right, as it turned out; see `prepaid.tax.corrections.listed`.

        Raises:
            NotAllowed: Without ``tax.read``.
        """
        return corrections.listed(self._door.allow(permissions.TAX_READ), state=state, cursor=cursor, limit=limit)

    def close_correction(self, correction_id: str, *, reason: str) -> None:
        """Close a correction that is offered; see `prepaid.tax.corrections.close`.

        Raises:
            NotAllowed: Without ``tax.write``.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        corrections.close(context, correction_id, reason=reason, actor=self._door.actor)
