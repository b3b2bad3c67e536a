"""Holds: credit reserved now, charged later in whole or in part, or given back."""

from __future__ import annotations

from datetime import timedelta

from .. import customers, returning, wallets
from ..config import Context, object_id
from ..core import keys
from ..core.errors import (
    AmountOutOfRange,
    CurrencyMismatch,
    CustomerFrozen,
    InsufficientCredit,
    IntegrityFault,
    KeyConflict,
    NotFound,
    WrongState,
)
from ..core.holds import Hold, check_duration
from ..core.ids import check_key, check_text
from ..core.money import Money, require_positive
from ..core.usage import ChargeOutcome
from ..store import Duplicate, Tx, accounts, holds, ledger, resources
from ..store import customers as customer_rows
from ..store.accounts import Wallet
from ..store.ledger import Header, Label
from ..wallets import due, freed, levels


def hold(
    context: Context,
    customer_id: str,
    amount: Money,
    *,
    key: str,
    expires_in: timedelta,
    description: str = "",
    resource: str = "",
    kind: str = "",
    project: str = "",
) -> Hold:
    """Reserve credit; the same key again gives the same hold as it is now.

    Args:
        context: The billing system.
        customer_id: Whose credit.
        amount: How much, above zero.
        key: The caller's key.
        expires_in: After this it lapses by itself; at most a year.
        description: What the customer reads of the charge that captures it.
        resource: The host's id of what it is for, or empty.
        kind: What sort of resource, or empty.
        project: The host's project, or empty.

    Raises:
        InsufficientCredit: The wallet does not cover it.
        CustomerFrozen: The customer is frozen.
        WrongState: Another biller was named for the resource.
        KeyConflict: The key was used with other content.
        NotFound: The customer is not registered.
        InvalidAmount: Not money above zero.
        InvalidRequest: Another argument has the wrong form.
    """
    customer, now = customers.require(context, customer_id), context.now()
    currency = context.currency_or_default(require_positive(amount).currency)
    check_text(description, field="description", longest=200)
    if resource != "":
        check_key(resource, field="resource")
    for name, value in (("kind", kind), ("project", project)):
        check_text(value, field=name, longest=120)
    wanted = Hold(
        id=context.ids.new("hld"),
        customer=customer.id,
        amount=amount,
        state="open",
        captured=Money.zero(currency),
        expires_at=now + check_duration(expires_in),
        created_at=now,
        description=description,
        resource=resource,
        kind=kind,
        project=project,
    )
    book, owner = context.database.book_id, customer.id
    identity = keys.hold(book, customer=owner, key=check_key(key), amount=str(amount), resource=resource, kind=kind)

    def work(tx: Tx, *, current: bool = False) -> Hold | int:
        return _reserve(tx, context, wanted, identity=identity, current=current)

    try:
        made = due.write(context, owner, currency, work)
    except Duplicate:  # made by somebody else at the same moment
        made = due.write(context, owner, currency, lambda tx: work(tx, current=True))
    if isinstance(made, int):
        raise InsufficientCredit("The balance does not cover this.", available=Money(made, currency))
    return made


def _reserve(tx: Tx, context: Context, wanted: Hold, *, identity: keys.Identity, current: bool) -> Hold | int:
    """Make the hold, or give what is available instead."""
    wallet = due.hold_swept(tx, context, wanted.customer, currency=wanted.amount.currency)
    known = holds.find_by_key(tx, identity.key_hash, current=current)
    if known is not None:
        return _known(tx, context, wallet, known=known, fingerprint=identity.fingerprint)
    if customer_rows.frozen_at(tx, wanted.customer) is not None:
        raise CustomerFrozen("The customer is frozen.", field="customer")
    if resources.billed_elsewhere(tx, (wanted.resource,) if wanted.resource else ()):
        raise WrongState("The resource is billed elsewhere.", field="resource")
    if wallet is None or not ledger.reserve(tx, wallet.id, wanted.amount.units):
        if tx.snapshot and not current:  # the key itself may have taken the credit, after the host's snapshot
            return _reserve(tx, context, wanted, identity=identity, current=True)
        return 0 if wallet is None else wallet.available
    holds.add(tx, wanted, wallet.id, key_hash=identity.key_hash, fingerprint=identity.fingerprint)
    ledger.due_by(tx, wallet.id, wanted.expires_at)
    return wanted


def _known(tx: Tx, context: Context, wallet: Wallet | None, *, known: tuple[Hold, str], fingerprint: str) -> Hold:
    found, content = known
    if content != fingerprint or wallet is None:
        raise KeyConflict("This key reserved something else.", field="key")
    ledger.mark_replayed(tx, wallet.id, context.now())
    return found


def capture(context: Context, hold_id: str, amount: Money) -> ChargeOutcome:
    """Charge a hold, once, in whole or in part; the rest is released. Again with the same amount changes nothing.

    Raises:
        NotFound: There is no such hold.
        AmountOutOfRange: More than was reserved.
        WrongState: It was released, or its time is over.
        KeyConflict: It was captured with another amount.
        CurrencyMismatch: Another currency than the hold's.
        InvalidAmount: Not money above zero.
    """
    found = _find(context, hold_id)
    if require_positive(amount).currency != found.amount.currency:
        raise CurrencyMismatch(f"The hold is in {found.amount.currency}.", field="amount")
    if amount > found.amount:
        raise AmountOutOfRange(f"The hold reserves {found.amount}.", field="amount", held=str(found.amount))
    system = wallets.revenue_accounts(context, amount.currency)
    header = _header(context, found, amount)

    def work(tx: Tx) -> tuple[ChargeOutcome | Hold, bool]:
        return _capture(tx, context, found, header=header, amount=amount, system=system)

    done, told = due.write(context, found.customer, amount.currency, work)
    if isinstance(done, Hold):
        raise WrongState(f"The hold is {done.state}.", field="hold", state=done.state)
    if told:
        returning.hold_freed_now(context, about=found.id)
    return done


def _find(context: Context, hold_id: str) -> Hold:
    wanted = object_id(hold_id, field="hold")
    found = context.database.read(lambda tx: holds.find(tx, wanted))
    if found is None or found.dispute_id is not None:  # that of a dispute ends with the dispute
        raise NotFound("There is no such hold.", field="hold")
    return found


def _header(context: Context, found: Hold, amount: Money) -> Header:
    now, book = context.now(), context.database.book_id
    identity = keys.capture(book, customer=found.customer, hold_id=found.id, amount=str(amount))
    return Header(
        transaction_id=context.ids.new("txn"),
        kind="charge",
        cause_type="hold",
        cause_id=found.id,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor="host",
        effective_at=now,
        posted_at=now,
    )


def _capture(
    tx: Tx, context: Context, found: Hold, *, header: Header, amount: Money, system: wallets.Accounts
) -> tuple[ChargeOutcome | Hold, bool]:
    """Post the capture; or give the hold as it is, if it cannot be captured any more.

    Tells beside it whether open disputes are to look at what came free.
    """
    wallet, current = _held(tx, context, found)
    if current.state == "captured":
        return _again(tx, context, header, amount), False
    if current.state != "open":
        return current, False
    if not ledger.take(tx, wallet.id, amount.units, unhold=current.amount.units):
        raise IntegrityFault("A wallet holds less than its holds reserve.")
    after = accounts.hold_wallet_by_id(tx, wallet.id) or wallet
    label = Label(
        description=current.description,
        resource=current.resource or None,
        resource_kind=current.kind or None,
        project=current.project or None,
    )
    wallets.spend(tx, after, header, label, before=wallet.balance, system=system)
    transaction_id, now = header.transaction_id, context.now()
    holds.close(tx, current.id, state="captured", now=now, captured=amount.units, transaction_id=transaction_id)
    levels.after_debit(tx, context, after, about=transaction_id)
    _settle(tx, context, wallet.id)
    told = amount < current.amount and freed.tell(tx, context, wallet.owner, about=current.id)
    balance = Money(after.balance, amount.currency)
    done = ChargeOutcome(status="posted", transaction_id=transaction_id, balance_after=balance, key=current.id)
    return done, told


def _held(tx: Tx, context: Context, found: Hold) -> tuple[Wallet, Hold]:
    """Hold the wallet with nothing due on it, and read the hold as it is after that."""
    wallet = due.hold_swept(tx, context, found.customer, currency=found.amount.currency)
    current = holds.read_held(tx, found.id)
    if wallet is None or current is None:
        raise IntegrityFault("A hold lost its wallet.")
    return wallet, current


def _settle(tx: Tx, context: Context, wallet_id: int) -> None:
    """Let credit lapse that only the hold kept, and know what is due next."""
    wallet = accounts.hold_wallet_by_id(tx, wallet_id)
    if wallet is not None:
        due.sweep(tx, context, wallet)


def _again(tx: Tx, context: Context, header: Header, amount: Money) -> ChargeOutcome:
    match wallets.replay(tx, context, header):
        case wallets.Replayed(transaction_id, after):
            balance = Money(after, amount.currency)
            return ChargeOutcome(
                status="duplicate", transaction_id=transaction_id, balance_after=balance, key=header.cause_id
            )
        case _:
            raise KeyConflict("The hold was captured with another amount.", field="amount")


def release(context: Context, hold_id: str) -> Hold:
    """Give a hold's credit back; again, or after it lapsed, changes nothing.

    Raises:
        NotFound: There is no such hold.
        WrongState: It was captured.
    """
    found = _find(context, hold_id)

    done, told = context.database.write(lambda tx: _release(tx, context, found))
    if done.state == "captured":
        raise WrongState("The hold was captured.", field="hold", state=done.state)
    if told:
        returning.hold_freed_now(context, about=done.id)
    return done


def _release(tx: Tx, context: Context, found: Hold) -> tuple[Hold, bool]:
    """End a hold and give it; tells beside it whether open disputes are to look at what came free."""
    wallet, current = _held(tx, context, found)
    if current.state != "open":
        ledger.mark_replayed(tx, wallet.id, context.now())
        return current, False
    ledger.take(tx, wallet.id, 0, rows=0, unhold=current.amount.units)
    holds.close(tx, current.id, state="released", now=context.now())
    _settle(tx, context, wallet.id)
    told = freed.tell(tx, context, wallet.owner, about=current.id)
    return holds.read_held(tx, current.id) or current, told


def holds_of(context: Context, customer_id: str) -> tuple[Hold, ...]:
    """List a customer's open holds, the oldest first.

    Raises:
        NotFound: The customer is not registered.
    """
    customer = customers.require(context, customer_id)
    return tuple(context.database.read(lambda tx: holds.open_of(tx, customer.id, context.now())))
