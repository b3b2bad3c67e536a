"""Tax ids by their number: what their registers said, when they are asked again, and which registers rest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen
from sqlalchemy import exists, insert, or_, select, update

from ..core.tax_ids import RegisterAnswer, TaxId
from . import schema
from .database import Tx
from .tax_entries import WAITING

_identity = schema.tax_identity
_check = schema.tax_id_check
_register = schema.tax_register
_customer = schema.customer
_correction = schema.tax_correction

ALL_COUNTRIES = "*"


@frozen(kw_only=True)
class StoredTaxId:
    """What is kept of a tax id.

    Attributes:
        tax_id: The number.
        register: Name of the register that answered last, or is to be asked.
        state: ``"pending"``, or the state of its last answer.
        reason: The register's code, or empty.
        name: Name that the register has, or empty.
        consultation: Number of its answer, or empty.
        answered_at: When it last said something of the number, or None.
        valid_at: When it last found it valid, or None.
        attempts: How often in a row it gave no answer.
        next_at: When it is asked again, or None.
        created_at: When somebody first gave it.
    """

    tax_id: TaxId
    register: str
    state: str
    reason: str
    name: str = field(repr=False)
    consultation: str = field(repr=False)
    answered_at: datetime | None
    valid_at: datetime | None
    attempts: int
    next_at: datetime | None
    created_at: datetime


def find(tx: Tx, number: str, *, lock: bool = False) -> StoredTaxId | None:
    """Read what is kept of a number; with a lock nobody keeps an answer on it before this transaction ends."""
    wanted = _select(tx).where(_identity.c.number == number)
    row = tx.execute(wanted.with_for_update() if lock else wanted).first()
    return None if row is None else _from_row(row)


def due(tx: Tx, now: datetime, *, limit: int) -> list[StoredTaxId]:
    """Read the numbers whose register is to be asked, longest waiting first."""
    wanted = _select(tx).where(_identity.c.next_at <= now).order_by(_identity.c.next_at, _identity.c.number)
    return [_from_row(row) for row in tx.execute(wanted.limit(limit))]


def _select(tx: Tx) -> Any:
    return select(_identity).where(_identity.c.book_id == tx.book_id)


def _from_row(row: Any) -> StoredTaxId:
    names = "register state reason name consultation answered_at valid_at attempts next_at created_at".split()
    return StoredTaxId(
        tax_id=TaxId(kind=row.kind, country=row.country, number=row.number.rpartition(":")[2]),
        **{name: getattr(row, name) for name in names},
    )


def add(tx: Tx, tax_id: TaxId, register: str, now: datetime) -> None:
    """Keep a number whose register is to be asked.

    Raises:
        sqlalchemy.exc.IntegrityError: It is kept already.
    """
    row = {
        "book_id": tx.book_id,
        "number": tax_id.key,
        "kind": tax_id.kind,
        "country": tax_id.country,
        "register": register,
        "state": "pending",
        "reason": "",
        "name": "",
        "consultation": "",
        "attempts": 0,
        "next_at": now,
        "created_at": now,
    }
    tx.execute(insert(_identity).values(row))


def _update(tx: Tx, number: str) -> Any:
    return update(_identity).where(_identity.c.book_id == tx.book_id, _identity.c.number == number)


def _turn(tx: Tx, number: str, claimed: datetime) -> Any:
    return _update(tx, number).where(_identity.c.asked_until == claimed)


def _idle(tx: Tx, stored: StoredTaxId, now: datetime) -> Any:
    """Match a number that no worker asks about, and whose next look is where it was when it was read."""
    same = _identity.c.next_at.is_(None) if stored.next_at is None else _identity.c.next_at == stored.next_at
    asked = _identity.c.asked_until
    return _update(tx, stored.tax_id.key).where(same, or_(asked.is_(None), asked <= now))


def schedule(tx: Tx, stored: StoredTaxId, at: datetime | None, *, now: datetime) -> None:
    """Say when a number's register is asked again, unless it was asked since the number was read."""
    tx.execute(_idle(tx, stored, now).values(next_at=at))


def leave(tx: Tx, stored: StoredTaxId, at: datetime, *, now: datetime, unconfirmed: bool) -> None:
    """Ask about a number later, because its register rests; without an answer it has none till then."""
    values: dict[str, Any] = {"next_at": at}
    if unconfirmed and stored.state == "pending":
        values |= {"state": "unavailable", "reason": "resting"}
    tx.execute(_idle(tx, stored, now).where(_identity.c.state == stored.state).values(values))


def begin(tx: Tx, stored: StoredTaxId, *, now: datetime, claimed: datetime) -> bool:
    """Put the next look off while a register is asked; False if another worker asks it already."""
    return bool(tx.execute(_idle(tx, stored, now).values(next_at=claimed, asked_until=claimed)).rowcount)


def record(tx: Tx, tax_id: TaxId, answer: RegisterAnswer, *, register: str, requester: str, now: datetime) -> None:
    """Keep an answer for ever, as evidence."""
    row = {
        "book_id": tx.book_id,
        "number": tax_id.key,
        "register": register,
        "requester": requester,
        "state": answer.state,
        "reason": answer.reason[:32],
        "consultation": answer.consultation,
        "name": answer.name,
        "address": answer.address,
        "raw": answer.raw,
        "at": now,
    }
    tx.execute(insert(_check).values(row))


def apply(
    tx: Tx,
    number: str,
    answer: RegisterAnswer,
    *,
    claimed: datetime,
    now: datetime,
    next_at: datetime | None,
) -> bool:
    """Bring a number to what its register just said of it; False if the turn of who asked is over."""
    values: dict[str, Any] = {
        "state": answer.state,
        "reason": answer.reason[:32],
        "name": answer.name,
        "consultation": answer.consultation,
        "answered_at": now,
        "attempts": 0,
        "next_at": next_at,
        "asked_until": None,
    }
    if answer.state == "valid":
        values["valid_at"] = now
    return bool(tx.execute(_turn(tx, number, claimed).values(values)).rowcount)


def unanswered(tx: Tx, number: str, reason: str, *, claimed: datetime, keep_state: bool, next_at: datetime) -> bool:
    """Count that a register did not answer; False if the turn of who asked is over."""
    values: dict[str, Any] = {"attempts": _identity.c.attempts + 1, "next_at": next_at, "asked_until": None}
    if not keep_state:
        values |= {"state": "unavailable", "reason": reason[:32]}
    return bool(tx.execute(_turn(tx, number, claimed).values(values)).rowcount)


@frozen(kw_only=True)
class TaxIdCheck:
    """One answer of a register, kept as evidence.

    Attributes:
        register: Which register was asked.
        requester: The seller's number under which it was asked, or empty.
        state: Its answer.
        reason: Its code, or empty.
        consultation: Number of its answer, or empty.
        name: Name that it has, or empty.
        address: Address that it has, or empty.
        at: When it answered.
    """

    register: str
    requester: str = field(repr=False)
    state: str
    reason: str
    consultation: str = field(repr=False)
    name: str = field(repr=False)
    address: str = field(repr=False)
    at: datetime


def checks(tx: Tx, number: str) -> list[TaxIdCheck]:
    """Read every answer on a number, the first one first."""
    names = "register requester state reason consultation name address at".split()
    wanted = select(_check).where(_check.c.book_id == tx.book_id, _check.c.number == number).order_by(_check.c.id)
    return [TaxIdCheck(**{name: getattr(row, name) for name in names}) for row in tx.execute(wanted)]


def is_wanted(tx: Tx, number: str) -> bool:
    """Tell whether a customer's profile has a number now, or a document waits for what its register says of it."""
    held = exists().where(_customer.c.book_id == tx.book_id, _customer.c.tax_number == number)
    awaited = exists().where(
        _correction.c.book_id == tx.book_id, _correction.c.number == number, _correction.c.state == WAITING
    )
    return bool(tx.execute(select(or_(held, awaited))).scalar())


def holders(tx: Tx, number: str) -> list[str]:
    """Name the customers whose profile has a number now."""
    wanted = select(_customer.c.id).where(_customer.c.book_id == tx.book_id, _customer.c.tax_number == number)
    return [row.id for row in tx.execute(wanted.order_by(_customer.c.id))]


def rests_until(tx: Tx, register: str, country: str) -> datetime | None:
    """Give until when a register is not asked about a country's numbers, or None; it may have passed."""
    wanted = select(_register.c.rests_until).where(
        _register.c.book_id == tx.book_id,
        _register.c.name == register,
        _register.c.country.in_((country, ALL_COUNTRIES)),
        _register.c.failures > 0,
    )
    return max((row.rests_until for row in tx.execute(wanted)), default=None)


def count_failure(
    tx: Tx, register: str, country: str, *, now: datetime, rests: tuple[timedelta, ...], patience: int
) -> None:
    """Count that a register did not answer for a country; after ``patience`` times in a row it rests, longer each time.

    Raises:
        sqlalchemy.exc.IntegrityError: Another worker counted its first failure at the same moment.
    """
    at = (_register.c.book_id == tx.book_id, _register.c.name == register, _register.c.country == country)
    held = tx.execute(select(_register.c.failures).where(*at).with_for_update()).scalar()
    failures = (held or 0) + 1
    rest = rests[min(failures - patience, len(rests) - 1)] if failures >= patience else timedelta(0)
    values = {"failures": failures, "rests_until": now + rest}
    if held is None:
        row = {"book_id": tx.book_id, "name": register, "country": country, **values}
        tx.execute(insert(_register).values(row))
    else:
        tx.execute(update(_register).where(*at).values(values))


def count_success(tx: Tx, register: str, country: str) -> None:
    """Forget the failures of a register that answers again."""
    statement = update(_register).where(
        _register.c.book_id == tx.book_id,
        _register.c.name == register,
        _register.c.country.in_((country, ALL_COUNTRIES)),
        _register.c.failures > 0,
    )
    tx.execute(statement.values(failures=0))


def take_turn(
    tx: Tx, register: str, country: str, *, now: datetime, until: datetime, patience: int, longest: timedelta
) -> bool:
    """Let one worker ask a register whose rest is over, while the others leave it alone until its answer is in.

    One that failed less than ``patience`` times in a row may be asked by anybody. A rest that would be longer than
    ``longest`` was written by a clock that ran ahead, and is over.
    """
    row = (_register.c.book_id == tx.book_id, _register.c.name == register, _register.c.failures >= patience)
    among = _register.c.country.in_((country, ALL_COUNTRIES))
    resting = tx.execute(select(_register.c.rests_until).where(*row, among)).all()
    if any(now < found.rests_until <= now + longest for found in resting):
        return False
    if not resting:
        return True
    over = or_(_register.c.rests_until <= now, _register.c.rests_until > now + longest)
    turn = update(_register).where(*row, among, over).values(rests_until=until)
    return bool(tx.execute(turn).rowcount)
