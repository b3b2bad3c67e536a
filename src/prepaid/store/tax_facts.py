"""What operators and hosts say of a customer's tax: approvals, and evidence of where they are."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from attrs import field, frozen
from sqlalchemy import func, insert, select, update

from ..core.parties import Evidence
from . import schema
from .database import Tx

_approval = schema.tax_approval
_evidence = schema.location_evidence

ONE_DAY = timedelta(days=1)
EXEMPTION = "exemption"
TAX_ID = "tax-id"


@frozen(kw_only=True)
class Approval:
    """What an operator approved for a customer.

    Attributes:
        id: ``apr_…``.
        customer: The host's customer id.
        kind: ``"exemption"``, or ``"tax-id"`` that the operator vouches for.
        number: The key of the tax id, see `prepaid.core.tax_ids.tax_id_key`; or empty.
        reason: Why.
        code: Code of the reason, or empty.
        actor: The operator.
        valid_to: First day on which it does not hold any more, or None.
        created_at: When it was given.
    """

    id: str
    customer: str
    kind: str
    number: str = field(repr=False)
    reason: str = field(repr=False)
    code: str
    actor: str
    valid_to: date | None
    created_at: datetime

    def covers(self, day: date) -> bool:
        """Tell whether it holds on ``day``."""
        return self.valid_to is None or day < self.valid_to


def add_approval(tx: Tx, approval: Approval) -> None:
    """Keep an approval."""
    names = "id customer kind number reason code actor created_at".split()
    row = {name: getattr(approval, name) for name in names}
    valid_to = None if approval.valid_to is None else approval.valid_to.isoformat()
    tx.execute(insert(_approval).values(book_id=tx.book_id, valid_to=valid_to, **row))


def approvals(tx: Tx, customer_id: str) -> list[Approval]:
    """Read what is approved for a customer and was not taken back, newest first."""
    wanted = select(_approval).where(
        _approval.c.book_id == tx.book_id, _approval.c.customer == customer_id, _approval.c.ended_at.is_(None)
    )
    return [_approval_from(row) for row in tx.execute(wanted.order_by(_approval.c.id.desc()))]


def _approval_from(row: Any) -> Approval:
    names = "id customer kind number reason code actor created_at".split()
    valid_to = None if row.valid_to is None else date.fromisoformat(row.valid_to)
    return Approval(valid_to=valid_to, **{name: getattr(row, name) for name in names})


def end_approvals(tx: Tx, customer_id: str, kind: str, now: datetime) -> int:
    """Take back what is approved for a customer; the count of it."""
    statement = update(_approval).where(
        _approval.c.book_id == tx.book_id,
        _approval.c.customer == customer_id,
        _approval.c.kind == kind,
        _approval.c.ended_at.is_(None),
    )
    return int(tx.execute(statement.values(ended_at=now)).rowcount)


def ended_at(tx: Tx, customer_id: str, kind: str) -> datetime | None:
    """Give when something approved was taken back last, or None."""
    scope = (_approval.c.book_id == tx.book_id, _approval.c.customer == customer_id, _approval.c.kind == kind)
    found: datetime | None = tx.execute(select(func.max(_approval.c.ended_at)).where(*scope)).scalar()
    return found


def add_evidence(tx: Tx, customer_id: str, evidence: Evidence, now: datetime) -> None:
    """Keep a piece of evidence; the same as the newest of its kind is kept once a day."""
    newest = {item.kind: item for item in latest_evidence(tx, customer_id, since=now - ONE_DAY)}
    if newest.get(evidence.kind) == evidence:
        return
    row = {
        "book_id": tx.book_id,
        "customer": customer_id,
        "kind": evidence.kind,
        "country": evidence.country,
        "reference": evidence.reference,
        "at": now,
    }
    tx.execute(insert(_evidence).values(row))


def latest_evidence(tx: Tx, customer_id: str, *, since: datetime | None = None) -> tuple[Evidence, ...]:
    """Read the newest piece of evidence of each kind, of those that were kept since an instant."""
    scope = [_evidence.c.book_id == tx.book_id, _evidence.c.customer == customer_id]
    if since is not None:
        scope.append(_evidence.c.at >= since)
    newest = select(func.max(_evidence.c.id)).where(*scope).group_by(_evidence.c.kind)
    wanted = select(_evidence).where(_evidence.c.id.in_(newest)).order_by(_evidence.c.kind)
    return tuple(Evidence(kind=row.kind, country=row.country, reference=row.reference) for row in tx.execute(wanted))
