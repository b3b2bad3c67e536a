"""The operator's door to the book's figures, and to who did what."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime
from typing import IO, TYPE_CHECKING

from .. import audit, permissions
from ..core.pages import Page
from ..reporting import exports, rolling
from ..reporting.daily import Day, daily
from ..reporting.exports import Exported, ExportFormat
from ..reporting.forward import RollForward, roll_forward
from ..reporting.gateways import GatewayFigures, by_gateway
from ..reporting.summary import Summary, summarise
from ..reporting.taxes import TaxSum, sum_taxes
from ..store.audits import AuditEntry

if TYPE_CHECKING:
    from .operator import OperatorDoor


class OperatorAudit:
    """Who did what, and why."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def list(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
        customer: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        words: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[AuditEntry]:
        """List audit rows, newest first, all or those that meet what is given; see `prepaid.audit.entries`.

        Raises:
            NotAllowed: Without ``audit.read``.
        """
        return audit.entries(
            self._door.allow(permissions.AUDIT_READ),
            actor=actor,
            action=action,
            target=target,
            customer=customer,
            since=since,
            until=until,
            words=words,
            cursor=cursor,
            limit=limit,
        )


class OperatorReports:
    """Figures."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def summary(self, since: date, until: date, *, currency: str | None = None, compare: bool = False) -> Summary:
        """Sum ``[since, until)``; see `prepaid.reporting.summary.summarise`.

        Raises:
            NotAllowed: Without ``reports.read``.
        """
        context = self._door.allow(permissions.REPORTS_READ)
        return summarise(context, since, until, currency=currency, compare=compare)

    def daily(self, since: date, until: date, *, currency: str | None = None) -> tuple[Day, ...]:
        """Give the figures of each day of ``[since, until)``; see `prepaid.reporting.daily.daily`.

        Raises:
            NotAllowed: Without ``reports.read``.
        """
        return daily(self._door.allow(permissions.REPORTS_READ), since, until, currency=currency)

    def by_gateway(self, since: date, until: date, *, currency: str | None = None) -> tuple[GatewayFigures, ...]:
        """Sum ``[since, until)`` gateway by gateway; see `prepaid.reporting.gateways.by_gateway`.

        Raises:
            NotAllowed: Without ``reports.read``.
        """
        return by_gateway(self._door.allow(permissions.REPORTS_READ), since, until, currency=currency)

    def roll_forward(self, since: date, until: date, *, currency: str | None = None) -> RollForward:
        """Roll all customers' balances forward; see `prepaid.reporting.forward.roll_forward`.

        Raises:
            NotAllowed: Without ``reports.read``.
        """
        return roll_forward(self._door.allow(permissions.REPORTS_READ), since, until, currency=currency)

    def rebuild(self, *, reason: str) -> None:
        """Forget the sums by day, so that the job makes them anew; see `prepaid.reporting.rolling.rebuild`.

        Raises:
            NotAllowed: Without ``settings.write``.
        """
        rolling.rebuild(self._door.allow(permissions.SETTINGS_WRITE), reason=reason, actor=self._door.actor)

    def tax(self, since: date, until: date) -> tuple[TaxSum, ...]:
        """Sum what documents bear of each tax; see `prepaid.reporting.taxes.sum_taxes`.

        Raises:
            NotAllowed: Without ``reports.read``.
        """
        return sum_taxes(self._door.allow(permissions.REPORTS_READ), since, until)

    def export(
        self,
        name: str,
        *,
        since: date,
        until: date,
        to: str | os.PathLike[str] | IO[bytes],
        format: str = "csv",
        currency: str | None = None,
        overwrite: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
    ) -> Exported:
        """Write transactions, revenue, invoices, tax or the journal; see `prepaid.reporting.exports.export`.

        Raises:
            NotAllowed: Without ``reports.export``.
        """
        return exports.export(
            self._door.allow(permissions.REPORTS_EXPORT),
            name,
            since=since,
            until=until,
            to=to,
            format=format,
            currency=currency,
            overwrite=overwrite,
            on_progress=on_progress,
        )

    def export_formats(self) -> tuple[ExportFormat, ...]:
        """List the formats of exports, those of plugins last.

        Raises:
            NotAllowed: Without ``reports.export``.
        """
        return exports.formats(self._door.allow(permissions.REPORTS_EXPORT))
