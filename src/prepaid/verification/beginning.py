"""The customer's side: what is known of them, beginning a case, saying what was handed in."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from .. import identity
from ..config import Context
from ..core.errors import InvalidRequest, WrongState
from ..core.identity import OPEN_CASES, IdentityCase, IdentityStatus, check_level
from ..core.ids import check_key
from ..core.money import Money
from ..core.parties import Customer
from ..core.schedule import LOOKS
from ..core.topups import Topup
from ..core.urls import page_url
from ..store import Duplicate, Tx, customers, identities, topups
from ..store.identities import StoredCase
from . import looking, sessions

MOST_WAITING: Final = 10


def status(context: Context, customer: Customer) -> IdentityStatus:
    """Say what is known of a customer's identity, and whether anything asks for it now; asks nobody.

    What was paid and waits for a verification asks for it, although nothing more may be wanted.
    """

    def read(tx: Tx) -> IdentityStatus:
        now = identity.assess(tx, context, customer.id, Money.zero(customer.currency))
        found = [now, *(identity.of_payment(tx, context, topup) for topup in _waiting(tx, customer))]
        return max(found, key=lambda status: (status.required, status.required_level))

    return context.database.read(read)


def _waiting(tx: Tx, customer: Customer) -> list[Topup]:
    """Give what waits for a customer's verification, the oldest few."""
    held = identities.held_topups(tx, customer=customer.id, limit=MOST_WAITING)
    found = [topups.find(tx, topup_id) for topup_id, _ in held]
    return [stored.topup for stored in found if stored is not None]


def start(context: Context, customer: Customer, *, return_url: str, level: object = None) -> IdentityCase:
    """Begin to verify a customer, or go on with the case that is open; give it with where to go.

    The case is kept before its provider is called, and the call carries its key,
    so that what was begun is found though the answer was lost. One that is open is
    read anew first: it may have been decided.

    Args:
        context: The billing system.
        customer: Who is to be verified; one who is frozen may be.
        return_url: Page to come back to. An open case keeps its own.
        level: Level that they need, such as ``required_level`` of a refusal;
            what is asked for now if None, else the highest that a policy asks for.

    Raises:
        InvalidRequest: No provider is set up, a level that is none, or a URL of the wrong form.
        GatewayError: The provider refused, or did not answer: ``retryable``; the same call goes on.
    """
    url = page_url(return_url, field="return_url")
    opened = context.database.read(lambda tx: identities.find_open(tx, customer.id))
    name = identity.provider_for(context, _level(context, customer, level))
    if opened is not None and _is_stale(context, opened, name) and looking.give_up(context, opened):
        opened = None
    if opened is not None:
        looked = looking.apply(context, opened.case)
        if looked.state == "verified":
            return looked
        opened = evolve(opened, case=looked) if looked.state in OPEN_CASES else None
    stored = opened or _keep_intent(context, customer, url, name)
    provider = context.identity_providers.get(stored.case.provider)
    if provider is None or stored.case.state == "submitted":
        return stored.case
    return sessions.open_session(context, provider, stored, customer)


def _level(context: Context, customer: Customer, level: object) -> int:
    """Give the level that a customer needs, as far as anybody knows what they are about to do."""
    if level is not None:
        return check_level(level)
    known, policies = status(context, customer), context.database.read(identity.policies)
    highest = max((policy.level for policy in policies), default=1)
    return known.required_level if known.required else highest


def _is_stale(context: Context, stored: StoredCase, wanted: str) -> bool:
    """Tell whether a case is not to be gone on with.

    Its provider is gone, has forgotten its key, or is not enough; or a
    verification was taken back since, so that it would count for nothing.
    """
    case, provider = stored.case, context.identity_providers.get(stored.case.provider)
    if provider is None or case.state == "submitted":
        return provider is None
    better = context.identity_providers.get(wanted)
    if better is not None and better.level > case.level:
        return True
    if case.reference is None and sessions.is_forgotten(context, case):
        return True
    return not sessions.is_decided_here(provider) and _is_revoked_since(context, case)


def _is_revoked_since(context: Context, case: IdentityCase) -> bool:
    known = context.database.read(lambda tx: identities.verification(tx, case.customer))
    return known is not None and known.revoked_at is not None and known.revoked_at > case.created_at


def _keep_intent(context: Context, customer: Customer, return_url: str, name: str) -> StoredCase:
    provider = context.identity_providers.get(name)
    if provider is None:
        raise InvalidRequest("Nobody is set up who verifies identities.", field="identity")
    now = context.now()
    case = IdentityCase(
        id=context.ids.new("idc"),
        customer=customer.id,
        provider=provider.name,
        state="starting",
        level=provider.level,
        created_at=now,
    )

    def work(tx: Tx) -> StoredCase:
        customers.hold(tx, customer.id)
        opened = identities.find_open(tx, customer.id)
        if opened is not None:
            return opened
        identities.add(tx, case, return_url=return_url, next_look_at=now + LOOKS[0])
        return StoredCase(case=case, return_url=return_url, polls=0)

    try:
        return context.database.write(work)
    except Duplicate:  # begun by somebody else at the same moment
        return context.database.write(work)


def submit(context: Context, customer: Customer, reference: object) -> IdentityCase:
    """Say what a customer handed in, for a case that an operator decides.

    Args:
        context: The billing system.
        customer: Who was asked.
        reference: The host's own reference to what was handed in, which the host
            keeps; 1 to 191 printable characters. Another one takes its place
            until the case is decided.

    Raises:
        InvalidRequest: A reference of the wrong form.
        WrongState: No case is open that an operator decides.
    """
    handed = check_key(reference, field="reference")

    def work(tx: Tx) -> StoredCase | None:
        customers.hold(tx, customer.id)
        opened = identities.find_open(tx, customer.id)
        provider = None if opened is None else context.identity_providers.get(opened.case.provider)
        if opened is None or provider is None or not sessions.is_decided_here(provider):
            return None
        if opened.case.submission != handed:
            identities.submit(tx, opened.case.id, handed, context.now())
        return identities.find(tx, opened.case.id)

    submitted = context.database.write(work)
    if submitted is None:
        raise WrongState("No verification is open that something can be handed in for; start one.", field="identity")
    return submitted.case
