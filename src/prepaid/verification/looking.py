"""Reading cases anew from their providers: what counts is what these say of the case that we began there."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

from attrs import evolve

from .. import audit, identity, outbox, settlement
from ..config import Context
from ..core.errors import GatewayError, InvalidRequest
from ..core.identity import OPEN_CASES, CaseState, IdentityCase
from ..core.instants import check_instant
from ..core.schedule import LOOKS, next_look
from ..identity_ports import IdentityEvent, IdentityProvider, IdentityResult, ResultState
from ..store import Duplicate, Tx, customers, identities
from ..store.identities import StoredCase, StoredVerification
from . import sessions

log = logging.getLogger("prepaid.identity")

CASES_AT_ONCE: Final = 50
HELD_AT_ONCE: Final = 100

OPEN_FOR: Final = timedelta(days=7)
"""After what time a case that its customer does not go on with is given up."""

WAITING: Final[tuple[CaseState, ...]] = ("starting", "pending")
"""Open cases whose customers have not done their part."""

MAX_REASON: Final = 64

STATES: Final[dict[ResultState, CaseState]] = {
    "pending": "pending",
    "processing": "submitted",
    "verified": "verified",
    "rejected": "rejected",
    "canceled": "canceled",
}
"""What a provider's word for it is here."""

Heard = Literal["identity", "ignored", "recorded"]


def apply(context: Context, case: IdentityCase) -> IdentityCase:
    """Read a case anew from its provider and bring it to where it is there; safe to repeat.

    What is not about this case, customer and mode changes nothing and is recorded.

    Raises:
        GatewayError: The provider cannot be asked; the case is as it was.
    """
    provider = context.identity_providers.get(case.provider)
    if provider is None or case.reference is None or case.state not in OPEN_CASES or sessions.is_decided_here(provider):
        return case
    reference = case.reference
    result = sessions.ask(provider, lambda: provider.fetch(reference))
    return take(context, provider, case, result)


def take(context: Context, provider: IdentityProvider, case: IdentityCase, result: object) -> IdentityCase:
    """Do what a provider says of a case, if it says it of this one.

    Raises:
        GatewayError: It says nothing that can be understood.
    """
    if not isinstance(result, IdentityResult) or result.state not in tuple(STATES):
        raise GatewayError("The provider gave no result that can be used.", code="unusable")
    wrong = _mismatch(context, case, result)
    if wrong:
        _refuse(context, provider, case, wrong)
    else:
        _move(context, case, result)
    return _again(context, case)


def _mismatch(context: Context, case: IdentityCase, result: IdentityResult) -> str:
    """Name what of a result is not ours; empty if all is."""
    if result.reference != case.reference:
        return "identity-reference"
    if result.mode not in (None, context.mode):
        return "identity-mode"
    if result.case_id != case.id:
        return "identity-case"
    return "" if result.customer_id == case.customer else "identity-customer"


def _refuse(context: Context, provider: IdentityProvider, case: IdentityCase, reason: str) -> None:
    log.warning("identity case %s: result refused, %s", case.id, reason)
    with suppress(Duplicate):  # told before
        context.database.write(
            lambda tx: audit.security(
                tx,
                context,
                gateway=provider.name,
                reason=reason,
                target=case.id,
                about=f"{case.id}/{reason}",
                customer=case.customer,
            )
        )


def _move(context: Context, case: IdentityCase, result: IdentityResult) -> None:
    target, now, words = STATES[result.state], context.now(), _printable(result.reason)
    if target == case.state:
        if words != case.reason:  # a try that failed, after which there may be another
            context.database.write(lambda tx: identities.keep_reason(tx, case.id, words))
        return
    decided = _instant(result.decided_at, case, now)
    values = {"submitted_at": now} if target == "submitted" else {}
    if target not in OPEN_CASES:
        values = {"decided_at": decided}

    def work(tx: Tx) -> None:
        customers.hold(tx, case.customer)
        decide(tx, context, case, target, actor=decider(case), reason=words, **values)

    context.database.write(work)
    if target == "verified":
        release(context, case.customer)


def _instant(told: object, case: IdentityCase, now: datetime) -> datetime:
    """Give when a case was decided: as told, but not before it was begun, nor in the future."""
    try:
        return min(max(check_instant(told, field="decided_at"), case.created_at), now)
    except InvalidRequest:
        return now


def _printable(reason: object) -> str:
    return "".join(char for char in reason[:MAX_REASON] if char.isprintable()) if isinstance(reason, str) else ""


def decide(
    tx: Tx, context: Context, case: IdentityCase, target: CaseState, *, actor: str, reason: str, **values: Any
) -> bool:
    """Move a case whose customer's turn is held, and what follows from it; False if it had moved on."""
    final = {"actor": actor} if target not in OPEN_CASES else {}
    if not identities.step(tx, case.id, target, reason=reason, **final, **values):
        return False
    conclude(tx, context, evolve(case, state=target, actor=actor, reason=reason, **values))
    return True


def conclude(tx: Tx, context: Context, case: IdentityCase) -> None:
    """Let a case that was just decided count, with an audit row, and tell it."""
    if case.state not in ("verified", "rejected"):
        return
    if case.state == "verified":
        _keep(tx, context, case, case.decided_at or context.now())
    audit.of_customer(
        tx,
        context,
        case.customer,
        actor=case.actor,
        action=f"identity-{case.state}",
        reason=case.reason,
        after={"case": case.id, "level": case.level, "provider": case.provider},
    )
    tell(tx, context, case, case.state)


def _keep(tx: Tx, context: Context, case: IdentityCase, decided_at: datetime) -> None:
    """Let a verification count, unless a higher one still does, or all that was known was taken back since."""
    known = identities.verification(tx, case.customer)
    if known is not None and (_is_better(tx, context, known, case.level) or _is_revoked_since(known, case, decided_at)):
        return
    identities.keep_verification(tx, case.customer, level=case.level, case_id=case.id, verified_at=decided_at)


def _is_better(tx: Tx, context: Context, known: StoredVerification, level: int) -> bool:
    return known.verification.level > level and _counts(tx, context, known)


def _counts(tx: Tx, context: Context, known: StoredVerification) -> bool:
    """Tell whether a verification counts for every policy, however little it lets one live."""
    held, now = known.verification, context.now()
    spans = [policy.valid_for for policy in identity.policies(tx) if policy.valid_for is not None]
    return not held.revoked and all(now < held.verified_at + span for span in spans)


def is_verified(tx: Tx, context: Context, customer: str, level: int) -> bool:
    """Tell whether a customer is verified at a level so that no policy asks for more but a higher one."""
    known = identities.verification(tx, customer)
    return known is not None and known.verification.level >= level and _counts(tx, context, known)


def _is_revoked_since(known: StoredVerification, case: IdentityCase, decided_at: datetime) -> bool:
    """Tell whether what a case came to was taken back before it was heard of.

    Providers need not say when they decided, and tell it late: of theirs only a
    case counts that was begun after an operator's word.
    """
    since = case.created_at if case.actor == decider(case) else decided_at
    return known.revoked_at is not None and known.revoked_at > since


def decider(case: IdentityCase) -> str:
    """Name a case's provider as who decides."""
    return f"provider:{case.provider}"


def tell(tx: Tx, context: Context, case: IdentityCase, state: str) -> None:
    """Tell what became of a case, once."""
    outbox.emit(
        tx,
        context,
        "identity-checked",
        about=f"{case.id}/{state}",
        customer=case.customer,
        case=case.id,
        state=state,
        provider=case.provider,
    )


def release(context: Context, customer: str) -> int:
    """Credit the top-ups of a customer that nothing holds back any more, oldest first; give how many."""
    after, released = "", 0
    while found := _held(context, customer, after):
        for topup_id, _ in found:
            released += _released(context, topup_id)
        after = found[-1][0]
    return released


def _held(context: Context, customer: str | None, after: str) -> list[tuple[str, str]]:
    return context.database.read(
        lambda tx: identities.held_topups(tx, customer=customer, after=after, limit=HELD_AT_ONCE)
    )


def _released(context: Context, topup_id: str) -> bool:
    try:
        return settlement.release_held(context, topup_id)
    except Exception as error:
        # One must not keep the others from being credited, whatever is wrong with it; a job comes to it again.
        log.error("top-up %s waits on: %s", topup_id, type(error).__name__)
        return False


def release_due(context: Context, until: datetime | None) -> int:
    """Credit every held top-up that nothing asks a verification for any more: a policy ended, a period passed."""
    after, released = "", 0
    while found := _held(context, None, after):
        for topup_id, _ in found:
            if until is not None and context.now() >= until:
                return released
            released += _released(context, topup_id)
        after = found[-1][0]
    return released


def _again(context: Context, case: IdentityCase) -> IdentityCase:
    stored = context.database.read(lambda tx: identities.find(tx, case.id))
    return case if stored is None else stored.case


# Webhooks


def note(context: Context, provider: IdentityProvider, event: IdentityEvent) -> IdentityCase | None:
    """Find the open case that an event tells to look at, and have a job look soon should we not come to it now."""
    reference, soon = event.reference, context.now() + LOOKS[0]
    if not sessions.is_reference(reference):
        return None

    def work(tx: Tx) -> IdentityCase | None:
        found = identities.find_by_reference(tx, provider.name, cast(str, reference))
        if found is None or found.case.state not in OPEN_CASES:
            return None
        identities.schedule_look(tx, found.case.id, soon, found.polls)
        return found.case

    return context.database.write(work)


def heard(context: Context, case: IdentityCase | None) -> Heard:
    """Look at a case that an event told of; nothing else in the event counts."""
    if case is None:
        return "ignored"
    try:
        apply(context, case)
    except GatewayError as error:
        log.warning("identity case %s waits for its provider: %s", case.id, type(error).__name__)
        return "recorded"
    return "identity"


# The job


def due(context: Context) -> list[StoredCase]:
    """Give some of the open cases whose next look has come, longest waiting first."""
    return context.database.read(lambda tx: identities.due(tx, context.now(), limit=CASES_AT_ONCE))


def put_off(context: Context, stored: StoredCase) -> None:
    """Leave a case for the next run, without having looked."""
    _schedule(context, stored, context.now() + next_look(0), polls=stored.polls)


def _schedule(context: Context, stored: StoredCase, at: datetime | None, *, polls: int) -> None:
    context.database.write(lambda tx: identities.schedule_look(tx, stored.case.id, at, polls))


def look_again(context: Context, stored: StoredCase) -> bool:
    """Look at a case whose time has come, or give it up; False if its provider did not answer."""
    case, now = stored.case, context.now()
    provider = context.identity_providers.get(case.provider)
    if provider is not None and sessions.is_decided_here(provider):
        _schedule(context, stored, None, polls=stored.polls)  # an operator decides it
        return True
    # The next look is written first: a case that makes its provider fail must not be first for ever. One whose
    # provider is not there is looked at too: it may be back tomorrow, and its webhooks came in vain.
    _schedule(context, stored, now + next_look(stored.polls), polls=stored.polls + 1)
    is_old = now - case.created_at >= OPEN_FOR
    try:
        looked = _looked_at(context, provider, stored)
        if is_old and looked.state in WAITING:
            _give_up_at_last(context, evolve(stored, case=looked))
    except GatewayError as error:
        log.warning("identity case %s waits for its provider: %s", case.id, type(error).__name__)
        if is_old and case.state in WAITING and not (error.retryable or error.outcome_unknown):
            _lapse(context, case, "provider-refuses")
        return not error.retryable
    return True


def _looked_at(context: Context, provider: IdentityProvider | None, stored: StoredCase) -> IdentityCase:
    if provider is None or stored.case.reference is not None:
        return apply(context, stored.case)
    return _find(context, provider, stored)


def _give_up_at_last(context: Context, stored: StoredCase) -> None:
    """Give a case up; also one of which its provider says nothing that is about it, which would be open for ever."""
    if not give_up(context, stored) and _again(context, stored.case).state in WAITING:
        _lapse(context, stored.case, "not-ours")


def _find(context: Context, provider: IdentityProvider, stored: StoredCase) -> IdentityCase:
    """Find a case whose beginning was not answered, while its provider knows the key; else give it up."""
    customer = context.database.read(lambda tx: customers.find(tx, stored.case.customer))
    if customer is None or sessions.is_forgotten(context, stored.case):
        give_up(context, stored)
        return _again(context, stored.case)
    return apply(context, sessions.open_session(context, provider, stored, customer))


def give_up(context: Context, stored: StoredCase) -> bool:
    """End a case that its customer does not go on with, there and here; False if it is past that.

    Raises:
        GatewayError: The provider cannot be asked; the case is as it was.
    """
    case, provider = stored.case, context.identity_providers.get(stored.case.provider)
    if provider is None or case.reference is None or sessions.is_decided_here(provider):
        # Nobody can be asked about it; what is told of it later changes nothing.
        _lapse(context, case, "provider-gone" if provider is None else "given-up")
        return _again(context, case).state not in OPEN_CASES
    case = apply(context, case)
    if case.state in WAITING:
        reference = case.reference or ""
        case = take(context, provider, case, sessions.ask(provider, lambda: provider.cancel(reference)))
    return case.state not in OPEN_CASES


def _lapse(context: Context, case: IdentityCase, reason: str) -> None:
    def work(tx: Tx) -> None:
        customers.hold(tx, case.customer)
        found = identities.find(tx, case.id)
        if found is not None and found.case.reference == case.reference:
            decide(tx, context, case, "canceled", actor="system", reason=reason, decided_at=context.now())

    context.database.write(work)
