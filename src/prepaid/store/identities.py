"""Identity cases, verifications, and what policies compare: credit bought and credit used."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, cast

from attrs import frozen
from sqlalchemy import and_, func, insert, select, update
from sqlalchemy import case as when

from ..core.hashing import canonical_json
from ..core.identity import OPEN_CASES, CaseState, IdentityCase, Verification, case_sources
from ..core.money import Money
from . import schema
from .database import Tx

_identity = schema.identity
_case = schema.identity_case
_topup = schema.topup
_invoice = schema.invoice
_transfer = schema.transfer
_account = schema.account
_customer = schema.customer

HELD: Final = "identity-required"
"""Why a paid top-up waits in review for its customer to be verified."""


@frozen(kw_only=True)
class StoredCase:
    """A case with what only the library needs.

    Attributes:
        case: What customer and operator may see.
        return_url: Where the browser goes afterwards; empty if an operator began it.
        polls: How often a job looked at it.
    """

    case: IdentityCase
    return_url: str
    polls: int


@frozen(kw_only=True)
class StoredVerification:
    """That a customer was verified, with the case it rests on.

    Attributes:
        verification: What counts of it.
        case_id: The case.
        revoked_at: When it was taken back, or None.
    """

    verification: Verification
    case_id: str
    revoked_at: datetime | None


def _from_row(row: Any) -> StoredCase:
    names = "id customer provider level reference submission reason actor created_at submitted_at decided_at".split()
    case = IdentityCase(state=cast(CaseState, row.state), **{name: getattr(row, name) for name in names})
    return StoredCase(case=case, return_url=row.return_url, polls=row.polls)


def add(tx: Tx, case: IdentityCase, *, return_url: str, next_look_at: datetime | None) -> None:
    """Keep a new case.

    Raises:
        sqlalchemy.exc.IntegrityError: The customer has an open one already.
    """
    row = {
        "book_id": tx.book_id,
        "id": case.id,
        "customer": case.customer,
        "open_for": case.customer if case.state in OPEN_CASES else None,
        "provider": case.provider,
        "reference": case.reference,
        "state": case.state,
        "level": case.level,
        "return_url": return_url,
        "submission": case.submission,
        "reason": case.reason,
        "actor": case.actor,
        "polls": 0,
        "next_look_at": next_look_at,
        "created_at": case.created_at,
        "submitted_at": case.submitted_at,
        "decided_at": case.decided_at,
    }
    tx.execute(insert(_case).values(row))


def _one(tx: Tx, *which: Any) -> StoredCase | None:
    wanted = select(_case).where(_case.c.book_id == tx.book_id, *which).order_by(_case.c.id.desc()).limit(1)
    row = tx.execute(wanted).first()
    return None if row is None else _from_row(row)


def find(tx: Tx, case_id: str) -> StoredCase | None:
    """Read a case by its id."""
    return _one(tx, _case.c.id == case_id)


def find_open(tx: Tx, customer: str) -> StoredCase | None:
    """Read the case of a customer that nobody has decided."""
    return _one(tx, _case.c.open_for == customer)


def find_last(tx: Tx, customer: str) -> StoredCase | None:
    """Read a customer's latest case."""
    return _one(tx, _case.c.customer == customer)


def find_by_reference(tx: Tx, provider: str, reference: str) -> StoredCase | None:
    """Read the case that a provider knows by a reference."""
    return _one(tx, _case.c.provider == provider, _case.c.reference == reference)


def page(tx: Tx, states: Collection[str], *, after: str | None, limit: int) -> list[IdentityCase]:
    """Read cases in some states, oldest first, after an id."""
    wanted = select(_case).where(_case.c.book_id == tx.book_id, _case.c.state.in_(tuple(states)))
    if after is not None:
        wanted = wanted.where(_case.c.id > after)
    return [_from_row(row).case for row in tx.execute(wanted.order_by(_case.c.id).limit(limit))]


def due(tx: Tx, now: datetime, *, limit: int) -> list[StoredCase]:
    """Read the open cases that a job should look at, longest waiting first."""
    wanted = select(_case).where(
        _case.c.book_id == tx.book_id, _case.c.next_look_at <= now, _case.c.state.in_(OPEN_CASES)
    )
    return [_from_row(row) for row in tx.execute(wanted.order_by(_case.c.next_look_at, _case.c.id).limit(limit))]


def keep_reference(tx: Tx, case_id: str, reference: str) -> None:
    """Record what a provider calls an open case, which waits for its customer then if it was only beginning.

    Nothing changes if it has another reference, or was decided.
    """
    statement = update(_case).where(
        _case.c.book_id == tx.book_id,
        _case.c.id == case_id,
        _case.c.state.in_(OPEN_CASES),
        _case.c.reference.is_(None) | (_case.c.reference == reference),
    )
    # What was handed in while the provider was asked stays so.
    state = when((_case.c.state == "starting", "pending"), else_=_case.c.state)
    tx.execute(statement.values(reference=reference, state=state))


def step(tx: Tx, case_id: str, target: CaseState, **values: Any) -> bool:
    """Move a case to ``target`` if its state still allows it; False otherwise."""
    if target not in OPEN_CASES:
        values |= {"open_for": None, "next_look_at": None}
    statement = update(_case).where(
        _case.c.book_id == tx.book_id, _case.c.id == case_id, _case.c.state.in_(case_sources(target))
    )
    return bool(tx.execute(statement.values(state=target, **values)).rowcount)


def submit(tx: Tx, case_id: str, submission: str, now: datetime) -> bool:
    """Say what a customer handed in, first or anew; False if the case was decided."""
    statement = update(_case).where(_case.c.book_id == tx.book_id, _case.c.id == case_id, _case.c.state.in_(OPEN_CASES))
    values = {"state": "submitted", "submission": submission, "submitted_at": now}
    return bool(tx.execute(statement.values(**values)).rowcount)


def keep_reason(tx: Tx, case_id: str, reason: str) -> None:
    """Say why an open case was not successful so far."""
    statement = update(_case).where(_case.c.book_id == tx.book_id, _case.c.id == case_id, _case.c.state.in_(OPEN_CASES))
    tx.execute(statement.values(reason=reason))


def schedule_look(tx: Tx, case_id: str, at: datetime | None, polls: int) -> None:
    """Say when a job should look at an open case again, if ever."""
    statement = update(_case).where(_case.c.book_id == tx.book_id, _case.c.id == case_id, _case.c.state.in_(OPEN_CASES))
    tx.execute(statement.values(next_look_at=at, polls=polls))


def verification(tx: Tx, customer: str) -> StoredVerification | None:
    """Read a customer's last successful verification."""
    row = tx.execute(
        select(_identity).where(_identity.c.book_id == tx.book_id, _identity.c.customer == customer)
    ).first()
    if row is None:
        return None
    counts = Verification(level=row.level, verified_at=row.verified_at, revoked=row.revoked_at is not None)
    return StoredVerification(verification=counts, case_id=row.case_id, revoked_at=row.revoked_at)


def keep_verification(tx: Tx, customer: str, *, level: int, case_id: str, verified_at: datetime) -> None:
    """Record that a customer is verified, in place of what was known before; their turn is held."""
    values = {"level": level, "case_id": case_id, "verified_at": verified_at, "revoked_at": None}
    scope = (_identity.c.book_id == tx.book_id, _identity.c.customer == customer)
    if not tx.execute(update(_identity).where(*scope).values(**values)).rowcount:
        tx.execute(insert(_identity).values(book_id=tx.book_id, customer=customer, **values))


def revoke(tx: Tx, customer: str, at: datetime) -> bool:
    """Take a verification back; False if there is none, or it was taken back before."""
    statement = update(_identity).where(
        _identity.c.book_id == tx.book_id, _identity.c.customer == customer, _identity.c.revoked_at.is_(None)
    )
    return bool(tx.execute(statement.values(revoked_at=at)).rowcount)


def credit_bought(tx: Tx, customer: str, currency: str, since: datetime | None) -> Money:
    """Sum the credit of a customer's credited top-ups in a currency, of those credited after an instant.

    Not of those paid: what waited in review for longer than a period would come all at once at its end.
    """
    wanted = select(func.sum(_topup.c.credit)).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.customer == customer,
        _topup.c.currency == currency,
        _topup.c.state == "credited",
    )
    if since is not None:
        # Its invoice is issued in the transaction that credits it.
        issued = and_(_invoice.c.book_id == _topup.c.book_id, _invoice.c.id == _topup.c.invoice_id)
        wanted = wanted.join(_invoice, issued).where(_invoice.c.issued_at > since)
    return Money(int(tx.execute(wanted).scalar() or 0), currency)


def credit_used(tx: Tx, customer: str, currency: str, since: datetime | None) -> Money:
    """Sum what a wallet was charged less what was given back, of what was posted after an instant."""
    wallet, revenue = (
        select(_account.c.id)
        .where(
            _account.c.book_id == tx.book_id,
            _account.c.kind == kind,
            _account.c.owner == owner,
            _account.c.currency == currency,
        )
        .scalar_subquery()
        for kind, owner in (("wallet", customer), ("revenue", ""))
    )
    used = when(
        (_transfer.c.credit_id == revenue, _transfer.c.amount),
        (_transfer.c.debit_id == revenue, -_transfer.c.amount),
        else_=0,
    )
    wanted = select(func.sum(used)).where(_transfer.c.book_id == tx.book_id, _transfer.c.wallet_id == wallet)
    if since is not None:
        wanted = wanted.where(_transfer.c.posted_at > since)
    return Money(int(tx.execute(wanted).scalar() or 0), currency)


def held_topups(tx: Tx, *, customer: str | None = None, after: str = "", limit: int) -> list[tuple[str, str]]:
    """Name paid top-ups that wait for their customers to be verified, with these, oldest first, after an id."""
    wanted = select(_topup.c.id, _topup.c.customer).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.state == "review",
        _topup.c.failure == HELD,
        _topup.c.resolved.is_(None),
        _topup.c.id > after,
    )
    if customer is not None:
        wanted = wanted.where(_topup.c.customer == customer)
    return [(row.id, row.customer) for row in tx.execute(wanted.order_by(_topup.c.id).limit(limit))]


def release(tx: Tx, topup_id: str, *, resolved: Mapping[str, Any], invoice_id: str) -> bool:
    """Let a held top-up be credited with the figures of its order; False if it is not held any more."""
    values = {"state": "credited", "failure": "", "invoice_id": invoice_id}
    return _change_held(tx, topup_id, resolved=canonical_json(dict(resolved)), **values)


def leave(tx: Tx, topup_id: str, failure: str) -> bool:
    """Say of a held top-up why it is left to an operator; False if it is not held any more."""
    return _change_held(tx, topup_id, failure=failure)


def _change_held(tx: Tx, topup_id: str, **values: Any) -> bool:
    statement = update(_topup).where(
        _topup.c.book_id == tx.book_id,
        _topup.c.id == topup_id,
        _topup.c.state == "review",
        _topup.c.failure == HELD,
        _topup.c.resolved.is_(None),
    )
    return bool(tx.execute(statement.values(**values)).rowcount)


def customer_page(tx: Tx, *, after: str, limit: int) -> list[tuple[str, str]]:
    """Name customers with their currencies, by their ids, after one."""
    wanted = select(_customer.c.id, _customer.c.currency).where(
        _customer.c.book_id == tx.book_id, _customer.c.id > after
    )
    return [(row.id, row.currency) for row in tx.execute(wanted.order_by(_customer.c.id).limit(limit))]
