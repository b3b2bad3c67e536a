"""The operator's door: each act needs a permission and leaves an audit row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from .. import (
    adjustments,
    customers,
    gateway_status,
    permissions,
    reconciling,
    reviewing,
    settings_store,
)
from ..config import Context
from ..core.errors import InvalidRequest, NotAllowed
from ..core.grants import BurnOrder, CreditGrant
from ..core.ids import check_key
from ..core.limits import TopupLimits
from ..core.money import Money
from ..core.pages import Page
from ..core.parties import Customer
from ..core.thresholds import Thresholds
from ..core.topups import Topup
from ..gateway_facts import TopupFacts
from ..plugins import PluginInfo, Plugins
from ..reconciliation import ReconciliationReport
from ..reconciling import KeptReconciliation
from ..tax import approvals
from .operator_digest import OperatorDigest
from .operator_identity import OperatorIdentity
from .operator_promotions import OperatorPromotions, OperatorVouchers
from .operator_refunds import OperatorDisputes, OperatorRefunds
from .operator_reports import OperatorAudit, OperatorReports
from .operator_tax import OperatorTax


class OperatorDoor:
    """What an operator may do, as far as their permissions go.

    Attributes:
        audit: Who did what.
        disputes: Payments that their customers dispute at their bank.
        customers: Customers and what an operator changes on their wallets.
        digest: A mail of each day's figures.
        gateways: How the gateways are, and who may pay there.
        identity: When customers have to be verified, and who is.
        promotions: Promotions and what they gave.
        refunds: Refunds that customers ask for.
        reports: Figures.
        settings: Thresholds, the burn order, the limits of top-ups and the accounts of the journal.
        tax: Tax rules, tax ids and what may have to be corrected.
        topups: Top-ups that need a look.
        vouchers: Codes that are credit.
    """

    def __init__(
        self, context: Context, plugins: Plugins, actor: str, *, granted: Collection[str], customer_id: str | None
    ) -> None:
        """Open the door.

        Raises:
            InvalidRequest: No actor, one that the audit would take for another, a permission that does not exist,
                or not a customer id.
        """
        self._context, self._plugins, self._granted = context, plugins, _known(granted)
        self.actor = _operator(actor)
        self._own = None if customer_id is None else check_key(customer_id, field="customer_id")
        self.audit = OperatorAudit(self)
        self.customers = OperatorCustomers(self)
        self.disputes = OperatorDisputes(self)
        self.digest = OperatorDigest(self)
        self.gateways = OperatorGateways(self)
        self.identity = OperatorIdentity(self)
        self.promotions = OperatorPromotions(self)
        self.refunds = OperatorRefunds(self)
        self.reports = OperatorReports(self)
        self.settings = OperatorSettings(self)
        self.tax = OperatorTax(self)
        self.topups = OperatorTopups(self)
        self.vouchers = OperatorVouchers(self)

    def allow(self, permission: str) -> Context:
        """Give the billing system if the operator has a permission.

        Raises:
            NotAllowed: They have not.
        """
        if permission not in self._granted:
            raise NotAllowed(f"This needs the permission {permission}.", field="permissions", permission=permission)
        return self._context

    def approves(self, permission: str, customer_id: str) -> Context:
        """Give the billing system if the operator may decide in favour of a customer, who is not themself.

        Raises:
            NotAllowed: They may not.
        """
        context = self.allow(permission)
        if self._own is not None and customer_id == self._own:
            raise NotAllowed("Nobody decides about their own account.", field="customer")
        return context

    def reconcile(
        self,
        gateway: str,
        since: datetime,
        until: datetime,
        *,
        on_progress: Callable[[str, int], object] | None = None,
    ) -> ReconciliationReport:
        """Compare a gateway's payments and refunds with ours, and keep what was found.

        See `prepaid.reconciliation.reconcile`.

        Raises:
            NotAllowed: Without ``gateways.read``.
        """
        context = self.allow(permissions.GATEWAYS_READ)
        return reconciling.reconcile_and_keep(context, gateway, since, until, actor=self.actor, on_progress=on_progress)

    def reconciliations(
        self, *, gateway: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[KeptReconciliation]:
        """List comparisons that were made, newest first; see `prepaid.reconciling.list_of`.

        Raises:
            NotAllowed: Without ``gateways.read``.
        """
        context = self.allow(permissions.GATEWAYS_READ)
        return reconciling.list_of(context, gateway=gateway, cursor=cursor, limit=limit)

    def plugins(self) -> tuple[PluginInfo, ...]:
        """List the loaded plugins.

        Raises:
            NotAllowed: Without ``plugins.read``.
        """
        self.allow(permissions.PLUGINS_READ)
        return self._plugins.listing()


def _operator(actor: object) -> str:
    """Return an operator's name; what names a machine or a customer in the audit is none."""
    name = check_key(actor, field="actor")
    if name in ("system", "host") or name.startswith(("gateway:", "provider:", "customer:")):
        raise InvalidRequest("This name is not an operator's.", field="actor")
    return name


def _known(granted: object) -> frozenset[str]:
    if isinstance(granted, str) or not isinstance(granted, Iterable):
        raise InvalidRequest("permissions is a collection of names.", field="permissions")
    names = tuple(granted)
    unknown = sorted(str(name)[:32] for name in names if not isinstance(name, str) or name not in permissions.ALL)
    if unknown:
        raise InvalidRequest(f"There is no permission {', '.join(unknown)}.", field="permissions")
    return frozenset(names)


class OperatorCustomers:
    """Customers, and credit an operator gives by hand."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def search(self, words: str, *, limit: int = 50) -> tuple[Customer, ...]:
        """Find customers by part of their id, name or mail address.

        Raises:
            NotAllowed: Without ``customers.read``.
            InvalidRequest: Nothing to search for, or a limit out of range.
        """
        return customers.search(self._door.allow(permissions.CUSTOMERS_READ), words, limit=limit)

    def get(self, customer_id: str) -> Customer:
        """Read a customer.

        Raises:
            NotAllowed: Without ``customers.read``.
            NotFound: Not registered.
        """
        return customers.require(self._door.allow(permissions.CUSTOMERS_READ), customer_id)

    def grant(
        self,
        customer_id: str,
        amount: Money,
        *,
        kind: str,
        reason: str,
        key: str,
        system: str = "",
        priority: int | None = None,
        effective_at: datetime | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """Give credit and name the transaction; see `prepaid.adjustments.grant`.

        Raises:
            NotAllowed: Without ``customers.write``.
        """
        return adjustments.grant(
            self._door.allow(permissions.CUSTOMERS_WRITE),
            customer_id,
            amount,
            kind=kind,
            reason=reason,
            key=key,
            actor=self._door.actor,
            system=system,
            priority=priority,
            effective_at=effective_at,
            expires_at=expires_at,
        )

    def grants(self, customer_id: str, *, all: bool = False) -> tuple[CreditGrant, ...]:
        """List a customer's credit, in the order in which it burns; see `prepaid.adjustments.grants_of`.

        Raises:
            NotAllowed: Without ``customers.read``.
        """
        return adjustments.grants_of(self._door.allow(permissions.CUSTOMERS_READ), customer_id, all=all)

    def void_grant(self, grant_id: str, *, reason: str) -> str | None:
        """Take back what is left of credit that was given; see `prepaid.adjustments.void_grant`.

        Raises:
            NotAllowed: Without ``customers.write``.
        """
        context = self._door.allow(permissions.CUSTOMERS_WRITE)
        return adjustments.void_grant(context, grant_id, reason=reason, actor=self._door.actor)

    def freeze(self, customer_id: str, *, reason: str) -> None:
        """Let the customer start nothing new; see `prepaid.adjustments.freeze`.

        Raises:
            NotAllowed: Without ``customers.write``.
        """
        context = self._door.allow(permissions.CUSTOMERS_WRITE)
        adjustments.freeze(context, customer_id, frozen=True, reason=reason, actor=self._door.actor)

    def unfreeze(self, customer_id: str, *, reason: str) -> None:
        """End a freeze; see `prepaid.adjustments.freeze`.

        Raises:
            NotAllowed: Without ``customers.write``.
        """
        context = self._door.allow(permissions.CUSTOMERS_WRITE)
        adjustments.freeze(context, customer_id, frozen=False, reason=reason, actor=self._door.actor)

    def overdraft(self, customer_id: str, amount: Money, *, reason: str) -> None:
        """Let a wallet go below zero; see `prepaid.adjustments.overdraft`.

        Raises:
            NotAllowed: Without ``customers.write``.
        """
        context = self._door.allow(permissions.CUSTOMERS_WRITE)
        adjustments.overdraft(context, customer_id, amount, reason=reason, actor=self._door.actor)

    def exempt(self, customer_id: str, *, reason: str, code: str = "", valid_to: date | None = None) -> None:
        """Charge a customer no tax, whatever the rules say; see `prepaid.tax.approvals.exempt`.

        Raises:
            NotAllowed: Without ``tax.write``.
            NotFound: Not registered.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        customer = customers.require(context, customer_id)
        approvals.exempt(context, customer, reason=reason, code=code, valid_to=valid_to, actor=self._door.actor)

    def end_exemption(self, customer_id: str, *, reason: str) -> None:
        """Let the rules decide a customer's tax again; see `prepaid.tax.approvals.end_exemption`.

        Raises:
            NotAllowed: Without ``tax.write``.
            NotFound: Not registered, or not exempt.
        """
        context = self._door.allow(permissions.TAX_WRITE)
        approvals.end_exemption(context, customers.require(context, customer_id), reason=reason, actor=self._door.actor)


class OperatorGateways:
    """How the gateways are, and who may pay there."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def status(self) -> tuple[gateway_status.GatewayStatus, ...]:
        """Ask every gateway whether it takes our credentials.

        Raises:
            NotAllowed: Without ``gateways.read``.
        """
        return gateway_status.statuses(self._door.allow(permissions.GATEWAYS_READ))

    def enable(self, name: str, *, reason: str = "") -> None:
        """Offer a gateway; see `prepaid.settings_store.enable_gateway`.

        Raises:
            NotAllowed: Without ``gateways.write``.
        """
        context = self._door.allow(permissions.GATEWAYS_WRITE)
        settings_store.enable_gateway(context, name, on=True, actor=self._door.actor, reason=reason)

    def disable(self, name: str, *, reason: str = "") -> None:
        """Offer a gateway no more; what is open there is settled all the same.

        Raises:
            NotAllowed: Without ``gateways.write``.
        """
        context = self._door.allow(permissions.GATEWAYS_WRITE)
        settings_store.enable_gateway(context, name, on=False, actor=self._door.actor, reason=reason)

    def countries(self, name: str, countries: Collection[str] | None, *, reason: str = "") -> None:
        """Offer a gateway in some countries only, or everywhere; see `prepaid.settings_store.limit_gateway`.

        Raises:
            NotAllowed: Without ``gateways.write``.
        """
        context = self._door.allow(permissions.GATEWAYS_WRITE)
        settings_store.limit_gateway(context, name, countries, actor=self._door.actor, reason=reason)


class OperatorSettings:
    """Settings of the book."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def thresholds(self, thresholds: Thresholds, *, reason: str = "") -> None:
        """Set the levels of balances that emit events.

        Raises:
            NotAllowed: Without ``settings.write``.
            InvalidRequest: Levels that cannot be.
        """
        context = self._door.allow(permissions.SETTINGS_WRITE)
        settings_store.set_thresholds(context, thresholds, actor=self._door.actor, reason=reason)

    def topup_limits(
        self,
        *,
        minimum: Money | Sequence[Money] | None = None,
        maximum: Money | Sequence[Money] | None = None,
        step: Money | Sequence[Money] | None = None,
        maximum_balance: Money | Sequence[Money] | None = None,
        daily: Money | Sequence[Money] | None = None,
        pending: Money | Sequence[Money] | None = None,
        reason: str = "",
    ) -> None:
        """Set the limits of top-ups, all anew; each is a `Money`, or one per currency. See `TopupLimits`.

        Raises:
            NotAllowed: Without ``settings.write``.
            InvalidRequest: Limits that cannot be, or a currency not in use.
        """
        context = self._door.allow(permissions.SETTINGS_WRITE)
        limits = TopupLimits(
            minimum=minimum,
            maximum=maximum,
            step=step,
            maximum_balance=maximum_balance,
            daily=daily,
            pending=pending,
        )
        settings_store.set_topup_limits(context, limits, actor=self._door.actor, reason=reason)

    def approvals(self, *, two_person_above: Money | Sequence[Money] | None, reason: str = "") -> None:
        """Set above which amounts two operators approve a refund; see `prepaid.settings_store.set_approvals`.

        Raises:
            NotAllowed: Without ``settings.write``.
        """
        context = self._door.allow(permissions.SETTINGS_WRITE)
        settings_store.set_approvals(context, two_person_above, actor=self._door.actor, reason=reason)

    def refunds(
        self,
        *,
        topups_within: timedelta | None = None,
        charges_within: timedelta | None = None,
        reason: str = "",
    ) -> None:
        """Set until when customers may ask for a refund; see `prepaid.settings_store.set_refund_policy`.

        Raises:
            NotAllowed: Without ``settings.write``.
        """
        context = self._door.allow(permissions.SETTINGS_WRITE)
        settings_store.set_refund_policy(
            context,
            topups_within=topups_within,
            charges_within=charges_within,
            actor=self._door.actor,
            reason=reason,
        )

    def disputes(self, *, freeze: bool, reason: str = "") -> None:
        """Say whether a customer who disputes is frozen; see `prepaid.settings_store.set_dispute_policy`.

        Raises:
            NotAllowed: Without ``settings.write``.
        """
        context = self._door.allow(permissions.SETTINGS_WRITE)
        settings_store.set_dispute_policy(context, freeze=freeze, actor=self._door.actor, reason=reason)

    def burn_order(self, order: BurnOrder, *, reason: str = "") -> None:
        """Set the burn priorities of new credit by its kind.

        Raises:
            NotAllowed: Without ``settings.write``.
            InvalidRequest: Not a `BurnOrder`.
        """
        context = self._door.allow(permissions.SETTINGS_WRITE)
        settings_store.set_burn_order(context, order, actor=self._door.actor, reason=reason)

    def account_map(self, names: Mapping[str, str], *, reason: str = "") -> None:
        """Name the accounts of the exported journal, all anew; see `prepaid.settings_store.set_account_map`.

        Raises:
            NotAllowed: Without ``settings.write``.
        """
        context = self._door.allow(permissions.SETTINGS_WRITE)
        settings_store.set_account_map(context, names, actor=self._door.actor, reason=reason)


class OperatorTopups:
    """Top-ups that need a look."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def review(self, *, cursor: str | None = None, limit: int = 50) -> Page[Topup]:
        """List what needs a look, oldest first; see `prepaid.reviewing.for_review`.

        Raises:
            NotAllowed: Without ``topups.read``.
        """
        return reviewing.for_review(self._door.allow(permissions.TOPUPS_READ), cursor=cursor, limit=limit)

    def facts(self, topup_id: str) -> TopupFacts:
        """Read a top-up, what was paid for it, what of that went back and what is disputed.

        Raises:
            NotAllowed: Without ``topups.read``.
            NotFound: There is none of that id.
        """
        return reviewing.facts(self._door.allow(permissions.TOPUPS_READ), topup_id)

    def recheck(self, topup_id: str, *, reason: str = "") -> Topup:
        """Ask the gateway about a top-up again and settle it; see `prepaid.reviewing.recheck`.

        Raises:
            NotAllowed: Without ``topups.write``.
        """
        context = self._door.allow(permissions.TOPUPS_WRITE)
        return reviewing.recheck(context, topup_id, actor=self._door.actor, reason=reason)

    def resolve(self, topup_id: str, *, action: str, reason: str, key: str) -> Topup:
        """End the review of a payment; see `prepaid.reviewing.resolve`.

        Raises:
            NotAllowed: Without ``topups.write``.
        """
        context = self._door.allow(permissions.TOPUPS_WRITE)
        return reviewing.resolve(context, topup_id, action=action, reason=reason, key=key, actor=self._door.actor)

    def confirm_bank_transfer(self, topup_id: str, *, received: Money, reference: str, reason: str = "") -> Topup:
        """Say what came in for a top-up, and settle it; see `prepaid.reviewing.confirm_transfer`.

        Raises:
            NotAllowed: Without ``topups.write``.
        """
        context = self._door.allow(permissions.TOPUPS_WRITE)
        return reviewing.confirm_transfer(
            context, topup_id, received=received, reference=reference, actor=self._door.actor, reason=reason
        )
