"""Asking registers about tax ids: at once within a budget, later by a job, and not while they are down.

A register is asked in no transaction. Its answer is kept for ever; that it gave none is a state of its own and never
an answer: nothing is taken for invalid because somebody else was down. After failures in a row it rests, for one
country or as a whole, so that customers do not wait for what will not come.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from attrs import evolve

from .. import outbox
from ..config import Context
from ..core.parties import TaxProfile
from ..core.tax_ids import ANSWERED, RegisterAnswer, TaxId, TaxIdState
from ..ports import TaxIdRegister
from ..store import Duplicate, Tx, customers, tax_facts, tax_ids
from ..store.tax_facts import Approval
from ..store.tax_ids import ALL_COUNTRIES, StoredTaxId
from ..system import in_time
from . import corrections
from .engine import KnownTaxId
from .vat_ids import read_tax_id, requester_of

log = logging.getLogger("prepaid.tax")

BUDGET_S: Final = 5
"""Seconds that a customer waits for a register; its answer counts when it comes."""

REUSED_FOR: Final = timedelta(hours=24)
"""How long a valid number is not asked about again, and is good for a sale without tax."""

REFUSED_FOR: Final = timedelta(hours=1)
"""How long a number that was not valid is not asked about again."""

CHECKED_AGAIN: Final = timedelta(days=30)
"""After what time a valid number is asked about again, whether somebody buys or not."""

HOPED_EVERY: Final = timedelta(days=1)
HOPED_FOR: Final = timedelta(days=28)
"""How long a number that is new, or was valid lately, is asked about each day although it is not valid."""

VALID_FOR: Final = timedelta(days=90)
"""How long ago an answer counts at all."""

RETRIES: Final = (*(timedelta(minutes=minutes) for minutes in (5, 5, 10, 20, 40)), timedelta(hours=1))
"""Waits after a register gave no answer; the last for ever."""

CLAIM_FOR: Final = timedelta(minutes=1)
"""How long one worker asks before another may."""

PATIENCE: Final = 3
"""Failures in a row after which a register rests."""

RESTS: Final = tuple(timedelta(minutes=minutes) for minutes in (2, 5, 15, 30))
"""How long it rests, longer each time."""

TURN_FOR: Final = timedelta(seconds=20)


def read_profile(profile: TaxProfile | None) -> tuple[TaxIdState, TaxId | None]:
    """Say what the tax id of a profile is by its form."""
    if profile is None or not profile.tax_id.strip():
        return "none", None
    read = read_tax_id(profile.tax_id, country=profile.address.country)
    return ("malformed", None) if read.tax_id is None else ("format_only", read.tax_id)


def register_of(context: Context, tax_id: TaxId | None) -> TaxIdRegister | None:
    """Give the first register that knows numbers of a kind."""
    if tax_id is None:
        return None
    return next((register for register in context.registers if _covers(register, tax_id)), None)


def _covers(register: TaxIdRegister, tax_id: TaxId) -> bool:
    try:
        return bool(register.covers(tax_id))
    except Exception as error:
        _complain(register, error)
        return False


def _complain(register: TaxIdRegister, error: Exception) -> None:
    # Without its words and its traceback, which may hold the number and the address that was called.
    log.error("the register %s failed: %s", register.name, type(error).__name__)


def note(tx: Tx, context: Context, customer_id: str, profile: TaxProfile) -> TaxId | None:
    """Connect a customer with the number of their profile, which is asked about if it never was.

    Raises:
        sqlalchemy.exc.IntegrityError: Somebody else kept the number at the same moment.
    """
    _, tax_id = read_profile(profile)
    register = register_of(context, tax_id)
    customers.set_tax_number(tx, customer_id, None if tax_id is None else tax_id.key)
    if tax_id is None or register is None:
        return tax_id
    stored = tax_ids.find(tx, tax_id.key)
    if stored is None:
        tax_ids.add(tx, tax_id, register.name, context.now())
    elif stored.next_at is None and stored.state not in ("invalid", "malformed"):  # it was nobody's for a while
        tax_ids.schedule(tx, stored, context.now(), now=context.now())
    return tax_id


def note_again(context: Context, customer_id: str) -> None:
    """Let the number of a profile be asked about that was given before its register was set up."""

    def work(tx: Tx) -> None:
        _, profile = customers.current_profile(tx, customer_id) or (None, None)
        if profile is not None:
            note(tx, context, customer_id, profile)

    with suppress(Duplicate):  # somebody else kept the number at the same moment
        context.database.write(work)


def known(
    tx: Tx,
    context: Context,
    profile: TaxProfile | None,
    *,
    approvals: Iterable[Approval] = (),
    only_fresh: bool = False,
) -> KnownTaxId:
    """Say what is known of the tax id of a profile; asks nobody.

    Args:
        tx: The transaction to read in.
        context: The billing system.
        profile: The profile.
        approvals: What operators approved for whose profile it is.
        only_fresh: A number that was valid too long ago for a sale without tax counts as not confirmed.
    """
    form, tax_id = read_profile(profile)
    if tax_id is None:
        return KnownTaxId(state=form)
    day, now = context.current_day(), context.now()
    for approval in approvals:
        if approval.kind == tax_facts.TAX_ID and approval.number == tax_id.key and approval.covers(day):
            return KnownTaxId(state="manual", tax_id=tax_id, approved_by=approval.actor)
    stored = tax_ids.find(tx, tax_id.key)
    if stored is None:
        return KnownTaxId(state="format_only" if register_of(context, tax_id) is None else "pending", tax_id=tax_id)
    state = _state(stored, now, only_fresh=only_fresh)
    if stored.state in ("pending", "unavailable") and register_of(context, tax_id) is None:
        state = "format_only"  # its register was taken away, and gave no answer that counts
    return KnownTaxId(
        state=state,
        tax_id=tax_id,
        checked_at=stored.answered_at,
        valid_at=stored.valid_at,
        consultation=stored.consultation,
    )


def _state(stored: StoredTaxId, now: datetime, *, only_fresh: bool) -> TaxIdState:
    match stored.state:
        case "valid" if stored.valid_at is not None and now - stored.valid_at > VALID_FOR:
            return "expired"
        case "valid" if only_fresh and not is_fresh(stored, now):
            return "unavailable"
        case "valid" | "invalid" | "malformed" | "unavailable":
            return stored.state
        case _:
            return "pending"


def is_fresh(stored: StoredTaxId, now: datetime) -> bool:
    """Tell whether the answer that is kept is too new to ask again."""
    if stored.answered_at is None or stored.state not in ANSWERED:
        return False
    age = now - stored.answered_at
    return age < (REUSED_FOR if stored.state == "valid" else REFUSED_FOR)


def ask_now(context: Context, tax_id: TaxId | None, *, patiently: bool = False) -> None:
    """Ask about a number unless its answer is fresh, and wait for `BUDGET_S` seconds at most.

    Args:
        context: The billing system.
        tax_id: The number, or None.
        patiently: If there was no answer lately, leave it to the job to ask again.
    """
    if tax_id is None or register_of(context, tax_id) is None:
        return
    stored = _kept(context, tax_id)
    now = context.now()
    was_asked = stored.attempts > 0 and stored.next_at is not None and stored.next_at > now
    if not is_fresh(stored, now) and not (patiently and was_asked):
        in_time(partial(ask, context, stored), BUDGET_S)


def _kept(context: Context, tax_id: TaxId) -> StoredTaxId:
    def work(tx: Tx) -> StoredTaxId:
        found = tax_ids.find(tx, tax_id.key)
        if found is None:
            register = register_of(context, tax_id)
            tax_ids.add(tx, tax_id, register.name if register else "", context.now())
            found = tax_ids.find(tx, tax_id.key)
        assert found is not None  # noqa: S101 - it was just added
        return found

    try:
        return context.database.write(work)
    except Duplicate:
        return context.database.write(work)


def ask(context: Context, stored: StoredTaxId) -> bool:
    """Ask the register of a number and keep its answer; False if it gave none.

    True also if nobody had to be asked, because another worker does or the
    number is nobody's any more.
    """
    register, now = register_of(context, stored.tax_id), context.now()
    if register is None:
        context.database.write(lambda tx: tax_ids.schedule(tx, stored, None, now=now))
        return True
    country, claimed = stored.tax_id.country, now + CLAIM_FOR

    def begin(tx: Tx) -> bool:
        if not tax_ids.take_turn(
            tx, register.name, country, now=now, until=now + TURN_FOR, patience=PATIENCE, longest=RESTS[-1]
        ):
            later = max(tax_ids.rests_until(tx, register.name, country) or now, now + TURN_FOR)
            unconfirmed = not is_fresh(stored, now)
            tax_ids.leave(tx, stored, later, now=now, unconfirmed=unconfirmed)
            return False
        return tax_ids.begin(tx, stored, now=now, claimed=claimed)

    if not context.database.write(begin):
        return True
    requester = requester_of(context.seller.tax_ids, country=context.seller.address.country)
    answer = _answer(register, stored.tax_id, requester)
    keep = partial(
        _keep, context=context, stored=stored, answer=answer, register=register.name, claimed=claimed,
        requester=requester.number if requester else "",
    )  # fmt: skip
    try:
        context.database.write(keep)
    except Duplicate:  # the register's first failure, counted twice at once
        context.database.write(keep)
    return answer.state != "unavailable"


def _answer(register: TaxIdRegister, tax_id: TaxId, requester: TaxId | None) -> RegisterAnswer:
    try:
        answer = register.check(tax_id, requester=requester)
    except Exception as error:
        _complain(register, error)
        return RegisterAnswer(state="unavailable", reason="failed")
    if not _is_usable(answer):
        log.error("the register %s gave no RegisterAnswer", register.name)
        return RegisterAnswer(state="unavailable", reason="unusable")
    return _within_limits(answer)


_TEXTS: Final = {"reason": 32, "name": 200, "address": 400, "consultation": 64, "raw": 2000}
"""Characters of what is kept of an answer."""


def _is_usable(answer: object) -> bool:
    return (
        isinstance(answer, RegisterAnswer)
        and answer.state in (*ANSWERED, "unavailable")
        and all(isinstance(getattr(answer, name), str) for name in _TEXTS)
    )


def _within_limits(answer: RegisterAnswer) -> RegisterAnswer:
    kept: dict[str, Any] = {name: _printable(getattr(answer, name), longest) for name, longest in _TEXTS.items()}
    if len(answer.consultation) > _TEXTS["consultation"]:
        kept["consultation"] = ""  # half a number proves nothing
    return evolve(answer, of_country=answer.of_country is True, **kept)


def _printable(text: str, longest: int) -> str:
    return "".join(char for char in text[:longest] if char.isprintable())


def _keep(
    tx: Tx,
    *,
    context: Context,
    stored: StoredTaxId,
    answer: RegisterAnswer,
    register: str,
    requester: str,
    claimed: datetime,
) -> None:
    number, country, now = stored.tax_id.key, stored.tax_id.country, context.now()
    if answer.state == "unavailable":
        wait = RETRIES[min(stored.attempts, len(RETRIES) - 1)]
        # What it found valid not long ago counts on, until a sale without tax asks again.
        is_valid = stored.state == "valid" and stored.valid_at is not None and now - stored.valid_at <= VALID_FOR
        keeps = is_valid or stored.state in ("invalid", "malformed")
        if not tax_ids.unanswered(tx, number, answer.reason, claimed=claimed, keep_state=keeps, next_at=now + wait):
            return
        part = country if answer.of_country else ALL_COUNTRIES
        tax_ids.count_failure(tx, register, part, now=now, rests=RESTS, patience=PATIENCE)
    else:
        if not tax_ids.apply(tx, number, answer, claimed=claimed, now=now, next_at=_next(stored, answer, now)):
            return
        tax_ids.count_success(tx, register, country)
        corrections.answered(tx, context, number, is_valid=answer.state == "valid")
        if answer.state != stored.state:
            _tell(tx, context, stored, answer)
    tax_ids.record(tx, stored.tax_id, answer, register=register, requester=requester, now=now)


def _next(stored: StoredTaxId, answer: RegisterAnswer, now: datetime) -> datetime | None:
    """Say when a number is asked about again; one that is not valid daily at first, for it may be quite new."""
    if answer.state == "valid":
        return now + CHECKED_AGAIN
    return now + HOPED_EVERY if now - (stored.valid_at or stored.created_at) < HOPED_FOR else None


def _tell(tx: Tx, context: Context, stored: StoredTaxId, answer: RegisterAnswer) -> None:
    for customer in tax_ids.holders(tx, stored.tax_id.key):
        about = context.ids.new("chk")
        outbox.emit(tx, context, "tax-id-checked", about=about, customer=customer, state=answer.state)


def due(context: Context) -> Sequence[StoredTaxId]:
    """Give some of the numbers whose register is to be asked."""
    return context.database.read(lambda tx: tax_ids.due(tx, context.now(), limit=50))


def ask_again(context: Context, stored: StoredTaxId) -> bool:
    """Ask about a number that is due, if anything hangs on it still; False if its register did not answer."""
    number = stored.tax_id.key
    if context.database.read(lambda tx: tax_ids.is_wanted(tx, number)):
        return ask(context, stored)
    context.database.write(lambda tx: tax_ids.schedule(tx, stored, None, now=context.now()))
    return True


def put_off(context: Context, stored: StoredTaxId) -> None:
    """Leave a number that is due for later."""
    now = context.now()
    context.database.write(lambda tx: tax_ids.schedule(tx, stored, now + RETRIES[0], now=now))
