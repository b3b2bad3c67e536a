"""Giving a charge back inside a transaction: to the grants it came from, in its own period."""

from __future__ import annotations

from datetime import datetime

from ..config import Context
from ..core.errors import AmountOutOfRange, CurrencyMismatch, IntegrityFault, KeyConflict, NotFound, WrongState
from ..core.grants import Burn
from ..core.keys import reversal
from ..core.money import Money
from ..core.reversals import ChargedPart, Returned, take_back
from ..core.transfers import REVENUE
from ..core.usage import ChargeOutcome
from ..store import Tx, accounts, grants, ledger
from ..store.ledger import Header, PostedCharge
from . import due, freed, moving, posting
from .values import Accounts, Replayed

REVERSIBLE = ("charge", "adjustment")
USED = ("usage", "meter", "hold")
"""Causes of usage; an adjustment may also take back credit, which was never revenue."""


def reversible(charge: PostedCharge | None, amount: Money | None) -> PostedCharge:
    """Return a charge that can be given back.

    Raises:
        NotFound: There is no such charge.
        WrongState: The transaction is no charge.
        CurrencyMismatch: Another currency than the charge's.
    """
    if charge is None:
        raise NotFound("There is no such charge.", field="transaction")
    if charge.kind not in REVERSIBLE or charge.cause_type not in USED:
        raise WrongState("Only charges are given back.", field="transaction")
    if amount is not None and amount.currency != charge.currency:
        raise CurrencyMismatch(f"The charge is in {charge.currency}.", field="amount")
    return charge


def reversal_header(context: Context, charge: PostedCharge, amount: str, *, key: str, actor: str = "host") -> Header:
    """Make the header of a reversal: under a key, in the charge's own period; no amount if all that is left."""
    identity = reversal(
        context.database.book_id,
        customer=charge.owner,
        key=key,
        transaction_id=charge.transaction_id,
        amount=amount,
    )
    return Header(
        transaction_id=context.ids.new("txn"),
        kind="reversal",
        cause_type="reversal",
        cause_id=key,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor=actor,
        effective_at=charge.effective_at,
        posted_at=context.now(),
        reverses=charge.transaction_id,
    )


def reversal_accounts(context: Context, currency: str) -> Accounts:
    """Give the accounts that a reversal posts from, and the one that what comes back may expire to."""
    return posting.credit_accounts(context, (REVENUE,), currency, expires=True)


def reverse(
    tx: Tx,
    context: Context,
    charge: PostedCharge,
    *,
    header: Header,
    amount: Money | None,
    reason: str,
    expiry: datetime | None,
    system: Accounts,
) -> tuple[ChargeOutcome, bool]:
    """Give a charge back, all of what is left of it or an amount; a key that was used gives its first answer.

    Tells beside it whether open disputes are to look at what came free.

    Raises:
        WrongState: All of it was given back.
        AmountOutOfRange: More than is left of it, or than a balance can hold.
        KeyConflict: The key gave something else back.
    """
    held = accounts.hold_wallet_by_id(tx, charge.wallet_id)
    if held is None:
        raise IntegrityFault("A charge was posted without a wallet.")
    if ledger.find_posted(tx, header.key_hash) is not None:
        return reversed_again(tx, context, charge, header), False
    wallet = due.swept(tx, context, held)
    parts = left_of(tx, charge)
    units = sum(part.amount for part in parts) if amount is None else amount.units
    _check_left(units, parts, charge)
    giving = moving.Giving(
        header=header,
        label=charge.label._replace(description=reason),
        parts=take_back(parts, units),
        sources=((REVENUE, units),),
    )
    after, plan = moving.give(tx, wallet, givings=[giving], system=system)
    if expiry is not None:
        _extend(tx, plan, expiry, now=context.now())
    moving.settle(tx, context, after, about=header.transaction_id)
    told = freed.tell(tx, context, wallet.owner, about=header.transaction_id)
    balance = Money(wallet.balance + units, charge.currency)
    done = ChargeOutcome(
        status="posted", transaction_id=header.transaction_id, balance_after=balance, key=header.cause_id
    )
    return done, told


def left_of(tx: Tx, charge: PostedCharge) -> tuple[ChargedPart, ...]:
    """Give what is left of a charge, in burn order, with the priorities of the grants it came from."""
    given = ledger.given_back(tx, charge.transaction_id)
    left = [Burn(part.grant_id, part.amount - given.get(part.grant_id, 0)) for part in charge.parts]
    return moving.charged_parts(tx, left)


def _check_left(units: int, parts: tuple[ChargedPart, ...], charge: PostedCharge) -> None:
    left = sum(part.amount for part in parts)
    if not left:
        raise WrongState("All of this charge was given back.", field="transaction")
    if units > left:
        money = Money(left, charge.currency)
        raise AmountOutOfRange(f"Of this charge {money} is left.", field="amount", left=str(money))


def _extend(tx: Tx, plan: tuple[Returned, ...], expiry: datetime, *, now: datetime) -> None:
    """Give the grants that had expired, and have credit again, a new expiry."""
    touched = [change.grant for returned in plan for change in returned.changes]
    expired = [grant_id for grant_id, (_, at) in grants.facts(tx, touched).items() if at <= now]
    grants.set_expiry(tx, expired, expiry, notice_at=posting.notice_at(expiry))


def reversed_again(tx: Tx, context: Context, charge: PostedCharge, header: Header) -> ChargeOutcome:
    """Give the first answer of a key.

    Raises:
        KeyConflict: It gave something else back.
    """
    match posting.replay(tx, context, header):
        case Replayed(transaction_id, after):
            balance = Money(after, charge.currency)
            return ChargeOutcome(
                status="duplicate", transaction_id=transaction_id, balance_after=balance, key=header.cause_id
            )
        case _:
            raise KeyConflict("This key gave something else back.", field="key")
