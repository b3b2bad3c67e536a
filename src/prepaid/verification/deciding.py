"""The operator's side: approve, reject, take back, ask again."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from .. import audit, customers, identity
from ..config import Context
from ..core.errors import WrongState
from ..core.identity import IdentityCase, IdentityStatus, check_level
from ..core.parties import Customer
from ..store import Tx, identities
from ..store import customers as customer_rows
from . import beginning, looking

OPERATOR: Final = "operator"
"""Provider of cases that an operator decided without one being open."""


def approve(context: Context, customer_id: object, *, reason: object, level: object, actor: str) -> IdentityStatus:
    """Let a customer count as verified, decide their open case so, and credit what waited for it.

    Args:
        context: The billing system.
        customer_id: The customer.
        reason: What was looked at, for the audit; no data out of a document.
        level: Level that they are verified at; None takes that of the open case,
            or without one the highest that a policy asks for.
        actor: The operator.

    Raises:
        InvalidRequest: No reason, or a level that is none.
        NotFound: The customer is not registered.
    """
    why, wanted = audit.check_reason(reason), None if level is None else check_level(level)
    customer = customers.require(context, customer_id)

    def work(tx: Tx) -> None:
        customer_rows.hold(tx, customer.id)
        opened = identities.find_open(tx, customer.id)
        if opened is not None:
            case = opened.case
            granted = evolve(case, level=wanted or case.level)
            now = context.now()
            looking.decide(
                tx, context, granted, "verified", actor=actor, reason=why, level=granted.level, decided_at=now
            )
            return
        granted_level = wanted or _highest(tx)
        if not looking.is_verified(tx, context, customer.id, granted_level):
            _grant(tx, context, customer, granted_level, actor=actor, reason=why)

    context.database.write(work)
    looking.release(context, customer.id)
    return beginning.status(context, customer)


def _highest(tx: Tx) -> int:
    return max((policy.level for policy in identity.policies(tx)), default=1)


def _grant(tx: Tx, context: Context, customer: Customer, level: int, *, actor: str, reason: str) -> None:
    """Keep a case that was decided as it was begun."""
    now = context.now()
    case = IdentityCase(
        id=context.ids.new("idc"),
        customer=customer.id,
        provider=OPERATOR,
        state="verified",
        level=level,
        reason=reason,
        actor=actor,
        created_at=now,
        decided_at=now,
    )
    identities.add(tx, case, return_url="", next_look_at=None)
    looking.conclude(tx, context, case)


def reject(context: Context, customer_id: object, *, reason: object, actor: str) -> IdentityStatus:
    """Decide a customer's open case against them; what waits for it goes on waiting, to be refunded.

    Raises:
        InvalidRequest: No reason.
        NotFound: The customer is not registered.
        WrongState: No case of theirs is open, and the last was not rejected.
    """
    why, customer = audit.check_reason(reason), customers.require(context, customer_id)

    def work(tx: Tx) -> None:
        customer_rows.hold(tx, customer.id)
        opened, last = identities.find_open(tx, customer.id), identities.find_last(tx, customer.id)
        if opened is not None:
            looking.decide(tx, context, opened.case, "rejected", actor=actor, reason=why, decided_at=context.now())
        elif last is None or last.case.state != "rejected":
            raise WrongState("No verification of this customer is open.", field="customer")

    context.database.write(work)
    return beginning.status(context, customer)


def revoke(context: Context, customer_id: object, *, reason: object, actor: str) -> IdentityStatus:
    """Take a verification back: from now on the customer counts as not verified. What was credited stays.

    Raises:
        InvalidRequest: No reason.
        NotFound: The customer is not registered.
        WrongState: They were never verified.
    """
    why, customer = audit.check_reason(reason), customers.require(context, customer_id)

    def work(tx: Tx) -> None:
        customer_rows.hold(tx, customer.id)
        known = identities.verification(tx, customer.id)
        if known is None:
            raise WrongState("This customer was never verified.", field="customer")
        if not identities.revoke(tx, customer.id, context.now()):
            return
        after = {"case": known.case_id, "level": known.verification.level}
        audit.of_customer(tx, context, customer.id, actor=actor, action="identity-revoked", reason=why, after=after)
        rested = identities.find(tx, known.case_id)
        if rested is not None:
            looking.tell(tx, context, rested.case, "revoked")

    context.database.write(work)
    return beginning.status(context, customer)


def recheck(context: Context, customer_id: object, *, actor: str, reason: object = "") -> IdentityStatus:
    """Ask the provider of a customer's open case now, and credit what nothing holds back any more.

    Raises:
        NotFound: The customer is not registered.
        InvalidRequest: A reason that is no text, or too long.
        GatewayError: The provider cannot be asked.
    """
    why, customer = audit.optional_reason(reason), customers.require(context, customer_id)

    def work(tx: Tx) -> IdentityCase | None:
        audit.of_customer(tx, context, customer.id, actor=actor, action="identity-recheck", reason=why)
        opened = identities.find_open(tx, customer.id)
        return None if opened is None else opened.case

    case = context.database.write(work)
    if case is not None:
        looking.apply(context, case)
    looking.release(context, customer.id)
    return beginning.status(context, customer)
