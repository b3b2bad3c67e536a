"""The host's namespaces: customers, usage, meters, webhooks, the return page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from attrs import frozen

from .. import customers, topups, webhooks
from ..config import Context
from ..core.errors import InvalidRequest, NotFound
from ..core.holds import Hold
from ..core.money import Money
from ..core.parties import Customer, Evidence
from ..core.rates import Rate
from ..core.states import TopupState
from ..core.usage import BillingRun, Charge, ChargeOutcome, Meter, Period
from ..usage import batches, billing, charges, holds, meters, reversals
from ..webhooks import WebhookResult


class HostCustomers:
    """Customers, known by the host's own ids."""

    def __init__(self, context: Context) -> None:
        """Bind the book."""
        self._context = context

    def register(
        self,
        customer_id: str,
        *,
        email: str | None = None,
        name: str | None = None,
        currency: str | None = None,
        locale: str | None = None,
        groups: Iterable[str] | None = None,
        since: datetime | None = None,
    ) -> Customer:
        """Register a customer or bring them up to date; see `prepaid.customers.register`."""
        return customers.register(
            self._context,
            customer_id,
            email=email,
            name=name,
            currency=currency,
            locale=locale,
            groups=groups,
            since=since,
        )

    def evidence(self, customer_id: str, evidence: Evidence) -> None:
        """Keep something that tells where a customer is, as the host learned it; never what a form says.

        Raises:
            InvalidRequest: Not an `Evidence`.
            NotFound: Not registered.
        """
        customers.add_evidence(self._context, customer_id, evidence)

    def get(self, customer_id: str) -> Customer:
        """Read a customer.

        Raises:
            NotFound: Not registered.
        """
        return customers.require(self._context, customer_id)


class HostUsage:
    """Usage that the host measured itself."""

    def __init__(self, context: Context) -> None:
        """Bind the book."""
        self._context = context

    def charge(
        self,
        customer_id: str,
        amount: Money,
        *,
        key: str,
        description: str = "",
        resource: str = "",
        kind: str = "",
        project: str = "",
        period: Period | None = None,
        allow_negative: bool = False,
    ) -> ChargeOutcome:
        """Post a usage debit once; see `prepaid.usage.charges.charge` and `prepaid.Charge`.

        Raises:
            InsufficientCredit: The wallet does not cover it; nothing was posted.
            KeyConflict: The key, or the resource's period, was charged otherwise.
            NotFound: The customer is not registered.
            InvalidAmount: Not money above zero.
            InvalidRequest: Another argument has the wrong form.
        """
        wanted = Charge(
            customer=customer_id,
            amount=amount,
            key=key,
            description=description,
            resource=resource,
            kind=kind,
            project=project,
            period=period,
            allow_negative=allow_negative,
        )
        return charges.charge(self._context, wanted)

    def charge_many(self, wanted: Iterable[Charge]) -> tuple[ChargeOutcome, ...]:
        """Post many usage debits in their order, with an outcome for each; see `prepaid.usage.batches.charge_many`.

        A generator is read in chunks of 10 000, each posted in one transaction.

        Raises:
            InvalidRequest: Not a list of charges.
        """
        return batches.charge_many(self._context, wanted)

    def adjust(
        self,
        customer_id: str,
        amount: Money,
        *,
        key: str,
        period: Period,
        description: str = "",
        resource: str = "",
        kind: str = "",
        project: str = "",
    ) -> ChargeOutcome:
        """Charge usage that became known late, in its original period; see `prepaid.usage.charges.adjust`."""
        wanted = Charge(
            customer=customer_id,
            amount=amount,
            key=key,
            description=description,
            resource=resource,
            kind=kind,
            project=project,
            period=period,
        )
        return charges.adjust(self._context, wanted)

    def reverse(
        self,
        transaction_id: str,
        amount: Money | None = None,
        *,
        key: str,
        reason: str,
        expires_at: datetime | None = None,
    ) -> ChargeOutcome:
        """Give a charge back, in whole or in part; see `prepaid.usage.reversals.reverse`."""
        return reversals.reverse(self._context, transaction_id, amount, key=key, reason=reason, expires_at=expires_at)

    def hold(
        self,
        customer_id: str,
        amount: Money,
        *,
        key: str,
        expires_in: timedelta,
        description: str = "",
        resource: str = "",
        kind: str = "",
        project: str = "",
    ) -> Hold:
        """Reserve credit; see `prepaid.usage.holds.hold`."""
        return holds.hold(
            self._context,
            customer_id,
            amount,
            key=key,
            expires_in=expires_in,
            description=description,
            resource=resource,
            kind=kind,
            project=project,
        )

    def capture(self, hold_id: str, amount: Money) -> ChargeOutcome:
        """Charge a hold, once; see `prepaid.usage.holds.capture`."""
        return holds.capture(self._context, hold_id, amount)

    def release(self, hold_id: str) -> Hold:
        """Give a hold's credit back; see `prepaid.usage.holds.release`."""
        return holds.release(self._context, hold_id)


class HostMeters:
    """Resources that accrue an hourly rate."""

    def __init__(self, context: Context) -> None:
        """Bind the book."""
        self._context = context

    def start(
        self,
        customer_id: str,
        *,
        resource: str,
        rate: Rate,
        kind: str = "",
        project: str = "",
        at: datetime | None = None,
    ) -> Meter:
        """Let a resource accrue a rate; see `prepaid.usage.meters.start`."""
        return meters.start(self._context, customer_id, resource=resource, rate=rate, kind=kind, project=project, at=at)

    def change(self, resource: str, *, rate: Rate, at: datetime | None = None) -> Meter:
        """Let a running resource accrue another rate; see `prepaid.usage.meters.change`."""
        return meters.change(self._context, resource, rate=rate, at=at)

    def stop(self, resource: str, *, at: datetime | None = None) -> Meter:
        """Let a resource accrue no more; see `prepaid.usage.meters.stop`."""
        return meters.stop(self._context, resource, at=at)

    def bill(
        self, *, until: datetime | None = None, on_progress: Callable[[int, int | None], object] | None = None
    ) -> BillingRun:
        """Charge every hour that has ended; repeatable; see `prepaid.usage.billing.bill`.

        Args:
            until: Hours that end later wait.
            on_progress: Told after each transaction how many hours were
                counted so far, and how many were due when the run began.
        """
        return billing.bill(self._context, until=until, on_progress=on_progress)

    def assign(self, resource: str, biller: str) -> None:
        """Say who bills a resource, ``"prepaid"`` or another; see `prepaid.usage.meters.assign`."""
        meters.assign(self._context, resource, biller)

    def owner(self, resource: str) -> str:
        """Say who bills a resource; ``"prepaid"`` unless another biller was assigned."""
        return meters.owner(self._context, resource)


class HostWebhooks:
    """What gateways send."""

    def __init__(self, context: Context) -> None:
        """Bind the book."""
        self._context = context

    def receive(
        self, gateway: str, *, body: bytes, headers: Mapping[str, str] | Iterable[tuple[str, str]]
    ) -> WebhookResult:
        """Take one webhook and say which HTTP status to answer; never raises."""
        return webhooks.receive(self._context, gateway, body=body, headers=headers)


@frozen
class ReturnResult:
    """What a return page without a login may show.

    Attributes:
        topup_id: The top-up named in the URL, or None if there is none.
        state: Where it is now, or None.
    """

    topup_id: str | None
    state: TopupState | None


class HostReturns:
    """The page a gateway sends the browser back to."""

    def __init__(self, context: Context) -> None:
        """Bind the book."""
        self._context = context

    def receive(self, params: Mapping[str, str]) -> ReturnResult:
        """Settle the top-up that a return URL names; trusts nothing sent and reveals only its state.

        Args:
            params: The parameters of the URL, and of the form if the gateway
                posted one.

        Raises:
            InvalidRequest: ``params`` is no mapping of the URL's parameters.
        """
        if not isinstance(params, Mapping):
            raise InvalidRequest("params is the mapping of the URL's parameters.", field="params")
        try:
            topup = topups.returned(self._context, params)
        except NotFound:
            return ReturnResult(None, None)
        return ReturnResult(topup.id, topup.state)
