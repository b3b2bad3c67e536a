"""The operator's door to the book's figures, and to who did what."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from typing import IO, TYPE_CHECKING

from .. import audit, permissions
from ..core.pages import Page
from ..reporting import exports
from ..reporting.exports import Exported, ExportFormat
from ..reporting.summary import Summary, summarise
from ..reporting.taxes import TaxSum, sum_taxes
from ..store.operations import AuditEntry

if TYPE_CHECKING:
    from .operator import OperatorDoor


class OperatorAudit:
    """Who did what, and why."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def list(self, *, cursor: str | None = None, limit: int = 50) -> Page[AuditEntry]:
        """List audit rows, newest first.

        Raises:
            NotAllowed: Without ``audit.read``.
            InvalidRequest: A foreign cursor, or a limit out of range.
        """
        return audit.entries(self._door.allow(permissions.AUDIT_READ), cursor=cursor, limit=limit)


class OperatorReports:
    """Figures."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def summary(self, since: date, until: date, *, currency: str | None = None) -> Summary:
        """Sum ``[since, until)``; see `prepaid.reporting.summary.summarise`.

        Raises:
            NotAllowed: Without ``reports.read``.
        """
        return summarise(self._door.allow(permissions.REPORTS_READ), since, until, currency=currency)

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
