"""Identity: whether a customer has to be verified before more is credited to them.

Plugins are asked before a transaction; everything else is read in it, after the
customer's turn was taken (`prepaid.store.customers.hold`), so that of two
top-ups at the same moment the second sees what the first credited.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve

from .config import Context
from .core.errors import IdentityRequired
from .core.identity import IDENTITY_SETTING, IdentityPolicy, IdentityStatus, policies_from_record
from .core.identity_status import IdentityFacts, status_of
from .core.money import Money
from .core.topups import Topup
from .identity_ports import IdentityMoment, IdentityQuestion
from .store import Tx, customers, identities, operations, topups


def policies(tx: Tx) -> tuple[IdentityPolicy, ...]:
    """Read the policies of the book; without any nobody has to be verified."""
    return policies_from_record(operations.read_setting(tx, IDENTITY_SETTING))


def assess(tx: Tx, context: Context, customer: str, credit: Money, *, asked: str = "") -> IdentityStatus:
    """Say whether a customer has to be verified before so much more is credited to them.

    Args:
        tx: The transaction; the customer's turn is held if anything rests on the answer.
        context: The billing system.
        customer: Id of the customer.
        credit: What they would buy; zero asks about what they have.
        asked: What a plugin said before the transaction, see `needed_by_plugins`.
    """
    return judge(tx, context, policies(tx), customer, credit=credit, asked=asked)


def judge(
    tx: Tx,
    context: Context,
    asking: Sequence[IdentityPolicy],
    customer: str,
    *,
    credit: Money,
    asked: str = "",
    ordered_in: str | None = None,
) -> IdentityStatus:
    """Say the same by given policies, of what was ordered while the customer was of a country, if any."""
    facts, now = evolve(_facts(tx, customer), ordered_in=ordered_in), context.now()
    totals = [_total(tx, policy, facts, customer, credit=credit, now=now) for policy in asking]
    found = status_of(asking, facts, totals=totals, now=now, asked=asked)
    return evolve(found, provider=provider_for(context, found.required_level))


def provider_for(context: Context, level: int) -> str:
    """Name the first provider whose verification is of a level, or the one of the highest; empty if there is none."""
    known = list(context.identity_providers.values())
    enough = next((provider for provider in known if provider.level >= level), None)
    best = enough or max(known, key=lambda provider: provider.level, default=None)
    return "" if best is None else best.name


def _facts(tx: Tx, customer: str) -> IdentityFacts:
    profile = customers.current_profile(tx, customer)
    stored, last = identities.verification(tx, customer), identities.find_last(tx, customer)
    opened = identities.find_open(tx, customer)
    return IdentityFacts(
        country=None if profile is None else profile[1].address.country or None,
        verification=None if stored is None else stored.verification,
        open_case=None if opened is None else opened.case.id,
        last_case=None if last is None else last.case.state,
    )


def _total(
    tx: Tx, policy: IdentityPolicy, facts: IdentityFacts, customer: str, *, credit: Money, now: datetime
) -> Money:
    """Give what a policy compares; nothing is summed that it would not look at."""
    currency = credit.currency
    if not facts.are_of(policy) or all(amount.currency != currency for amount in policy.above):
        return credit
    since = None if policy.period is None else now - policy.period
    if policy.basis == "usage":
        return identities.credit_used(tx, customer, currency, since)
    return identities.credit_bought(tx, customer, currency, since) + credit


def needed_by_plugins(
    context: Context, customer: str, credit: Money, *, moment: IdentityMoment, gateway: str, topup_id: str | None = None
) -> str:
    """Ask plugins whether a customer has to be verified, before any transaction; give why, or nothing.

    One that fails asks for it.
    """
    question = IdentityQuestion(customer_id=customer, amount=credit, moment=moment, gateway=gateway, topup_id=topup_id)
    return context.identity_deciders.identity_needed(question)


def of_quote(context: Context, customer: str, credit: Money, *, gateway: str) -> IdentityStatus | None:
    """Say what a quote warns of; None if nobody asks for anything in this book."""
    asked = needed_by_plugins(context, customer, credit, moment="quote", gateway=gateway)

    def read(tx: Tx) -> IdentityStatus | None:
        asking = policies(tx)
        return judge(tx, context, asking, customer, credit=credit, asked=asked) if asking or asked else None

    return context.database.read(read)


def asked_of_start(context: Context, customer: str, credit: Money, *, gateway: str) -> str:
    """Ask plugins about a top-up that is about to start."""
    return needed_by_plugins(context, customer, credit, moment="start", gateway=gateway)


def unmet(tx: Tx, context: Context, customer: str, credit: Money, *, asked: str) -> IdentityStatus | None:
    """Say why so much may not be credited to a customer yet, or give None; their turn is held."""
    asking = policies(tx)
    if not asking and not asked:
        return None
    status = judge(tx, context, asking, customer, credit=credit, asked=asked)
    return status if status.required else None


def require(tx: Tx, context: Context, customer: str, credit: Money, *, asked: str = "") -> None:
    """Refuse what would be credited to a customer who has to be verified first; their turn is held.

    Raises:
        IdentityRequired: They have; ``status`` says why, and who verifies.
    """
    status = unmet(tx, context, customer, credit, asked=asked)
    if status is not None:
        raise IdentityRequired(status.message, status=status)


def asked_of_payment(context: Context, topup: Topup) -> str:
    """Ask plugins about a payment that is about to be credited."""
    return needed_by_plugins(
        context, topup.customer, topup.credit, moment="settlement", gateway=topup.gateway, topup_id=topup.id
    )


def is_unmet(tx: Tx, context: Context, topup: Topup, *, asked: str) -> bool:
    """Tell whether nothing of a paid top-up may be credited yet; its customer's turn is held."""
    return of_payment(tx, context, topup, asked=asked).required


def of_payment(tx: Tx, context: Context, topup: Topup, *, asked: str = "") -> IdentityStatus:
    """Say whether a customer has to be verified before a top-up that they paid is credited."""
    asking = policies(tx)
    ordered_in = _ordered_in(tx, topup) if any(policy.countries is not None for policy in asking) else None
    return judge(tx, context, asking, topup.customer, credit=topup.credit, asked=asked, ordered_in=ordered_in)


def _ordered_in(tx: Tx, topup: Topup) -> str | None:
    """Give the country of the tax profile that a top-up was ordered with, or None."""
    stored = topups.find(tx, topup.id)
    version = None if stored is None else stored.profile_version
    profile = None if version is None else customers.profile_version(tx, topup.customer, version)
    return None if profile is None else profile.address.country or None


def unmet_by_usage(tx: Tx, context: Context, customer: str, currency: str) -> IdentityStatus | None:
    """Say why nothing new may run of a customer: what they used already asks for a verification; None if it does not.

    Whether anything was topped up does not matter here.
    """
    asking = [
        evolve(policy, before_first_topup=False) for policy in policies(tx) if policy.basis == "usage" and policy.above
    ]
    status = judge(tx, context, asking, customer, credit=Money.zero(currency)) if asking else None
    return status if status is not None and status.required else None
