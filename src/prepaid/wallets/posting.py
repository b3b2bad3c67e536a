"""Posting to wallets: debits by guard and burn order, credits that pay debts first.

Every posting runs inside a transaction that the caller opened, on accounts that
exist. A refusal is a value, raised after the commit by whoever asked, so that
what was dealt with on the way stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from ..config import Context
from ..core.errors import AmountOutOfRange, IntegrityFault
from ..core.grants import BURN_ORDER_SETTING, NEVER, TAX_STATES, burn, burn_order, pay_debt
from ..core.money import MAX_UNITS
from ..core.transfers import BREAKAGE, REVENUE, AccountRef, Line, charge_lines
from ..store import Tx, accounts, grants, ledger, operations
from ..store.accounts import Wallet
from ..store.grants import NewGrant
from ..store.ledger import Header, Label, Row
from . import due, levels
from .chain import Chain
from .values import Accounts, Conflict, Credit, Debit, Done, Replayed, Short

NOTICE_BEFORE: Final = timedelta(days=7)
"""How long before credit lapses its customer is told."""


def post_debit(tx: Tx, context: Context, debit: Debit, system: Accounts) -> Done | Replayed | Conflict | Short:
    """Take a debit from a wallet, grant by grant, or say why not.

    After a failed guard the key is looked up before anything is refused: the
    charge may have been made and emptied the wallet itself. The wallet is held
    first, so that neither answer comes from a host's snapshot that is older.
    """
    currency = debit.amount.currency
    if not _take(tx, debit):
        # By the same instant as the guard: whatever comes due meanwhile is not due yet.
        wallet = due.hold_swept(tx, context, debit.customer, currency=currency, now=debit.header.posted_at)
        if wallet is None or not _take(tx, debit):
            return replay(tx, context, debit.header) or Short(0 if wallet is None else wallet.available)
    wallet = _held(tx, debit.customer, currency)
    spend(tx, wallet, debit.header, debit.label, before=wallet.balance + debit.amount.units, system=system)
    levels.after_debit(tx, context, wallet, about=debit.header.transaction_id)
    return Done(wallet.balance)


def _take(tx: Tx, debit: Debit) -> bool:
    take = ledger.debit_performed if debit.performed else ledger.debit
    return take(tx, debit.customer, debit.amount.currency, debit.amount.units, now=debit.header.posted_at)


def spend(tx: Tx, wallet: Wallet, header: Header, label: Label, *, before: int, system: Accounts) -> None:
    """Write the transfers of a debit that a held wallet was lowered by, grant by grant.

    Args:
        tx: The transaction.
        wallet: The wallet after it was lowered, with one sequence number taken.
        header: Key, cause and times.
        label: What the customer reads.
        before: Its balance before, in ledger units.
        system: The accounts that usage posts to.
    """
    open_grants = grants.open_grants(tx, wallet.id)
    parts = burn(before - wallet.balance, open_grants)
    grants.spend(tx, parts, open_grants)
    if len(parts) > 1:
        ledger.take_sequence(tx, wallet.id, len(parts) - 1)
    lines = charge_lines(tuple(part.amount for part in parts))
    rows = Chain(wallet, system, before=before, rows=1).rows(lines, [part.grant for part in parts])
    ledger.add_transfers(tx, header, label, currency=wallet.currency, rows=rows)


def replay(tx: Tx, context: Context, header: Header) -> Replayed | Conflict | None:
    """Give the first answer of a key that was posted, after a durable write; None if it was not."""
    posted = ledger.find_posted(tx, header.key_hash)
    if posted is None:
        return None
    if posted.fingerprint != header.fingerprint:
        return Conflict()
    if posted.wallet_id is None or posted.wallet_after is None:
        raise IntegrityFault("A wallet's key was posted without a wallet.")
    ledger.mark_replayed(tx, posted.wallet_id, context.now())
    return Replayed(posted.transaction_id, posted.wallet_after)


def post_credits(tx: Tx, context: Context, customer: str, *, credits: Sequence[Credit], system: Accounts) -> int:
    """Raise a wallet by one or more transactions and give the balance after them.

    A debt is paid first, by promotional credit before paid credit, so that what
    was paid stays refundable as far as possible. The wallet must be open.

    Raises:
        AmountOutOfRange: The balance would leave what 64 bits hold.
    """
    currency = credits[0].currency
    before = due.hold_swept(tx, context, customer, currency=currency)
    if before is None:
        raise IntegrityFault("A wallet that is credited does not exist.")
    lines = [line for credit in credits for line in credit.lines if line.wallet_sign]
    raised = sum(line.amount for line in lines)
    _require_room(tx, before, raised)
    if not ledger.credit(tx, before.id, raised, rows=len(lines)):
        raise _too_much()
    wallet = _held(tx, customer, currency)
    opened = _new_grants(tx, context, wallet.id, before=before.balance, credits=credits)
    grants.add(tx, opened, now=context.now())
    _be_there_in_time(tx, wallet.id, opened)
    chain = Chain(wallet, system, before=before.balance, rows=len(lines))
    for credit, grant in zip(credits, opened, strict=True):
        rows = chain.rows(credit.lines, [grant.id] * len(credit.lines))
        ledger.add_transfers(tx, credit.header, credit.label, currency=currency, rows=rows)
    levels.after_credit(tx, context, wallet, about=credits[0].header.transaction_id)
    return wallet.balance


def _require_room(tx: Tx, wallet: Wallet, units: int) -> None:
    """Make sure that credit which waits for its beginning will find room: it is refused by nobody then."""
    if wallet.balance + units + grants.waiting(tx, wallet.id) > MAX_UNITS:
        raise _too_much()


def _too_much() -> AmountOutOfRange:
    return AmountOutOfRange("The balance would be larger than the ledger can hold.", field="amount")


def _new_grants(tx: Tx, context: Context, wallet_id: int, *, before: int, credits: Sequence[Credit]) -> list[NewGrant]:
    priorities = _priorities(tx, credits)
    order = sorted(range(len(credits)), key=lambda i: priorities[i])
    shares = dict(zip(order, pay_debt(before, *(credits[i].grant.size for i in order)), strict=True))
    return [
        new_grant(context, wallet_id, credit, priority=priorities[i], debt_paid=shares[i])
        for i, credit in enumerate(credits)
    ]


def _priorities(tx: Tx, credits: Sequence[Credit]) -> list[int]:
    specs = [credit.grant for credit in credits]
    if all(spec.priority is not None for spec in specs):
        return [spec.priority or 0 for spec in specs]
    order = burn_order(operations.read_setting(tx, BURN_ORDER_SETTING))
    usual = [order.priority(spec.kind, spec.expires_at) for spec in specs]
    return [number if spec.priority is None else spec.priority for spec, number in zip(specs, usual, strict=True)]


def new_grant(context: Context, wallet_id: int, credit: Credit, *, priority: int, debt_paid: int = 0) -> NewGrant:
    """Describe the grant row of a credit."""
    spec = credit.grant
    return NewGrant(
        id=context.ids.new("grt"),
        wallet_id=wallet_id,
        kind=spec.kind,
        size=spec.size,
        debt_paid=debt_paid,
        priority=priority,
        source_topup=spec.source_topup,
        cost_net_minor=spec.cost_net_minor,
        cost_tax_minor=spec.cost_tax_minor,
        tax_state=TAX_STATES[context.seller.tax_point],
        effective_at=credit.header.effective_at,
        expires_at=spec.expires_at,
        notice_at=notice_at(spec.expires_at),
        key_hash=spec.key_hash,
        posting=spec.given,
    )


def notice_at(expires_at: datetime) -> datetime | None:
    """Give when a customer is told that credit will lapse; None if it does not."""
    return None if expires_at == NEVER else expires_at - NOTICE_BEFORE


def _be_there_in_time(tx: Tx, wallet_id: int, opened: Sequence[NewGrant]) -> None:
    soonest = min(grant.expires_at for grant in opened)
    if soonest < NEVER:
        ledger.due_by(tx, wallet_id, soonest)


def post_later(tx: Tx, context: Context, customer: str, *, credit: Credit) -> None:
    """Make a grant that begins later: nothing moves until then; its key is taken now.

    Raises:
        AmountOutOfRange: The balance would leave what 64 bits hold by then.
        sqlalchemy.exc.IntegrityError: The key of another grant exists.
    """
    wallet = due.hold_swept(tx, context, customer, currency=credit.currency)
    if wallet is None:
        raise IntegrityFault("A wallet that is credited does not exist.")
    _require_room(tx, wallet, credit.grant.size)
    header = credit.header
    names = ("transaction_id", "kind", "cause_type", "cause_id", "fingerprint", "actor")
    posting = {name: getattr(header, name) for name in names} | {"description": credit.label.description}
    [priority] = _priorities(tx, [credit])
    grant = new_grant(context, wallet.id, credit, priority=priority)
    grants.add(tx, [evolve(grant, posting=posting | (credit.grant.given or {}), waiting=True)], now=context.now())
    ledger.due_by(tx, wallet.id, header.effective_at)


def post_system(tx: Tx, header: Header, lines: Sequence[Line], *, currency: str, system: Accounts) -> None:
    """Move money between the book's own accounts, without a wallet."""
    rows = [Row(debit_id=system[line.debit], credit_id=system[line.credit], amount=line.amount) for line in lines]
    ledger.add_transfers(tx, header, Label(), currency=currency, rows=rows)


def _held(tx: Tx, customer: str, currency: str) -> Wallet:
    wallet = accounts.find_wallet(tx, customer, currency)
    if wallet is None:
        raise IntegrityFault("A wallet that was just changed does not exist.")
    return wallet


def revenue_accounts(context: Context, currency: str) -> Accounts:
    """Give the accounts that usage posts to, opening them if need be."""
    return accounts.system_accounts(context.database, (REVENUE,), currency, context.now())


def credit_accounts(context: Context, refs: Sequence[AccountRef], currency: str, *, expires: bool) -> Accounts:
    """Give the accounts that a credit posts from; and open the one that it expires to, if it does."""
    wanted = (*refs, BREAKAGE) if expires else refs
    return accounts.system_accounts(context.database, wanted, currency, context.now())
