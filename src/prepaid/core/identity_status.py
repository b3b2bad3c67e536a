"""Whether a customer has to be verified: decided from what is known of them, by every policy of the book."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

from .identity import CaseState, IdentityPolicy, IdentityState, IdentityStatus, Verification
from .money import Money

PLUGIN_LEVEL: Final = 1
"""Level that is enough for a plugin that asks."""


@frozen(kw_only=True)
class IdentityFacts:
    """What is known of a customer when it is decided whether they have to be verified.

    Attributes:
        country: Country of their tax profile, or None.
        ordered_in: Country of it when they ordered what is to be credited, or None.
        verification: The last one that was successful, or None.
        open_case: Id of the case that nobody has decided, or None.
        last_case: State of their latest case, or None.
    """

    country: str | None = None
    ordered_in: str | None = None
    verification: Verification | None = None
    open_case: str | None = None
    last_case: CaseState | None = None

    def are_of(self, policy: IdentityPolicy) -> bool:
        """Tell whether a policy is about them; another country in their profile is no way out of it after they paid."""
        return policy.covers(self.country) or (self.ordered_in is not None and policy.covers(self.ordered_in))


@frozen
class _Demand:
    """That somebody asks for a verification, and why."""

    level: int
    reason: str
    message: str


def status_of(
    policies: Sequence[IdentityPolicy],
    facts: IdentityFacts,
    *,
    totals: Sequence[Money],
    now: datetime,
    asked: str = "",
) -> IdentityStatus:
    """Decide whether a customer has to be verified.

    Args:
        policies: Those of the book.
        facts: What is known of the customer.
        totals: What each policy compares with its limit.
        now: The instant.
        asked: Why a plugin asks for it, in words for the customer, or empty.
    """
    covering = [(policy, total) for policy, total in zip(policies, totals, strict=True) if facts.are_of(policy)]
    asking = [(policy, demand) for policy, total in covering if (demand := _demand(policy, total)) is not None]
    judged = [policy for policy, _ in asking or covering]
    level = _level(facts.verification, judged, now)
    demands = [demand for _, demand in asking] + ([_Demand(PLUGIN_LEVEL, "plugin", asked)] if asked else [])
    unmet = next((demand for demand in demands if demand.level > level), None)
    held = facts.verification
    return IdentityStatus(
        state=_state(facts, level),
        level=level,
        required_level=max((demand.level for demand in demands), default=0),
        reason="" if unmet is None else unmet.reason,
        message="" if unmet is None else unmet.message,
        case_id=facts.open_case,
        verified_at=None if held is None else held.verified_at,
        expires_at=_expires_at(held, judged),
    )


def _demand(policy: IdentityPolicy, total: Money) -> _Demand | None:
    if policy.before_first_topup:
        return _Demand(policy.level, "first-topup", "Verify your identity before anything is topped up.")
    if not policy.exceeded(total):
        return None
    limit = next((amount for amount in policy.above if amount.currency == total.currency), None)
    if limit is None:
        words = f"Verify your identity to pay in {total.currency}."
    elif policy.basis == "usage":
        words = f"Verify your identity: more than {limit} was used."
    else:
        words = f"Verify your identity to top up more than {limit}."
    return _Demand(policy.level, "above", words)


def _level(held: Verification | None, judged: Sequence[IdentityPolicy], now: datetime) -> int:
    """Give the level that counts: none at all once it is too old for a policy that it is judged by."""
    if held is None or held.revoked:
        return 0
    is_fresh = all(policy.valid_for is None or now < held.verified_at + policy.valid_for for policy in judged)
    return held.level if is_fresh else 0


def _state(facts: IdentityFacts, level: int) -> IdentityState:
    if level:
        return "verified"
    if facts.open_case is not None:
        return "pending"
    if facts.verification is not None:
        return "revoked" if facts.verification.revoked else "expired"
    return "rejected" if facts.last_case == "rejected" else "unverified"


def _expires_at(held: Verification | None, judged: Sequence[IdentityPolicy]) -> datetime | None:
    if held is None or held.revoked:
        return None
    spans = [policy.valid_for for policy in judged if policy.valid_for is not None]
    return held.verified_at + min(spans) if spans else None
