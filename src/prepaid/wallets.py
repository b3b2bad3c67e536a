"""Posting to wallets: debits by guard and burn order, credits that pay debts first, balances.

Every posting runs inside a transaction that the caller opened, on accounts that
exist. A refusal is a value, raised after the commit by whoever asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import frozen

from . import outbox
from .config import Context
from .core.errors import AmountOutOfRange, IntegrityFault
from .core.grants import NEVER, PAID_KINDS, GrantKind, burn, default_priority, pay_debt
from .core.money import Money
from .core.thresholds import SETTING, crossings
from .core.transfers import REVENUE, AccountRef, Line, charge_lines
from .core.usage import Balance
from .store import Tx, accounts, ledger, operations
from .store.ledger import Header, Label, NewGrant, Row

Accounts = Mapping[AccountRef, int]


@frozen(kw_only=True)
class Debit:
    """A usage debit to post.

    Attributes:
        customer: Who pays.
        amount: What, above zero.
        performed: Post it whatever the balance.
        header: Key, cause and times of the transaction.
        label: What the customer reads.
    """

    customer: str
    amount: Money
    performed: bool
    header: Header
    label: Label


@frozen(kw_only=True)
class GrantSpec:
    """A grant that a credit opens: sizes in ledger units, costs in minor units."""

    kind: GrantKind
    size: int
    source_topup: str | None = None
    cost_net_minor: int = 0
    cost_tax_minor: int = 0
    expires_at: datetime = NEVER


@frozen(kw_only=True)
class Credit:
    """One transaction that raises a wallet, with the grant it opens."""

    currency: str
    header: Header
    label: Label
    lines: tuple[Line, ...]
    grant: GrantSpec


@frozen
class Done:
    """A debit was posted."""

    balance_after: int


@frozen
class Replayed:
    """The key was posted before, with the same content."""

    transaction_id: str
    balance_after: int


@frozen
class Conflict:
    """The key was posted before, with other content."""


@frozen
class Short:
    """The wallet does not cover the debit; ``available`` ledger units."""

    available: int


def post_debit(tx: Tx, context: Context, debit: Debit, system: Accounts) -> Done | Replayed | Conflict | Short:
    """Take a debit from a wallet, grant by grant, or say why not.

    After a failed guard the key is looked up before anything is refused: the
    charge may have been made and emptied the wallet itself.
    """
    currency, amount = debit.amount.currency, debit.amount.units
    take = ledger.debit_performed if debit.performed else ledger.debit
    if not take(tx, debit.customer, currency, amount):
        return replay(tx, context, debit.header) or Short(_available(tx, debit.customer, currency))
    wallet = _held(tx, debit.customer, currency)
    before = wallet.balance + amount
    grants = ledger.open_grants(tx, wallet.id)
    parts = burn(amount, grants)
    ledger.spend(tx, parts, grants)
    if len(parts) > 1:
        ledger.take_sequence(tx, wallet.id, len(parts) - 1)
    lines = charge_lines(tuple(part.amount for part in parts))
    chain = _Chain(wallet, system, before, wallet.seq)
    rows = chain.rows(lines, [part.grant for part in parts])
    ledger.add_transfers(tx, debit.header, debit.label, currency=currency, rows=rows)
    _tell_crossings(tx, context, wallet, before=before, about=debit.header.transaction_id)
    return Done(wallet.balance)


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
    lines = [line for credit in credits for line in credit.lines if line.wallet_sign]
    total = sum(line.amount for line in lines)
    if not ledger.credit(tx, customer, currency, total, rows=len(lines)):
        raise AmountOutOfRange("The balance would be larger than the ledger can hold.", field="amount")
    wallet = _held(tx, customer, currency)
    before = wallet.balance - total
    grants = _new_grants(context, wallet.id, before, credits)
    ledger.add_grants(tx, grants, now=context.now())
    chain = _Chain(wallet, system, before, wallet.seq - len(lines) + 1)
    for credit, grant in zip(credits, grants, strict=True):
        rows = chain.rows(credit.lines, [grant.id] * len(credit.lines))
        ledger.add_transfers(tx, credit.header, credit.label, currency=currency, rows=rows)
    _tell_crossings(tx, context, wallet, before=before, about=credits[0].header.transaction_id)
    return wallet.balance


def _new_grants(context: Context, wallet_id: int, before: int, credits: Sequence[Credit]) -> list[NewGrant]:
    priorities = [default_priority(c.grant.kind, _expiry(c.grant)) for c in credits]
    order = sorted(range(len(credits)), key=lambda i: priorities[i])
    shares = dict(zip(order, pay_debt(before, *(credits[i].grant.size for i in order)), strict=True))
    return [
        NewGrant(
            id=context.ids.new("grt"),
            wallet_id=wallet_id,
            kind=credit.grant.kind,
            size=credit.grant.size,
            debt_paid=shares[i],
            priority=priorities[i],
            source_topup=credit.grant.source_topup,
            cost_net_minor=credit.grant.cost_net_minor,
            cost_tax_minor=credit.grant.cost_tax_minor,
            effective_at=credit.header.effective_at,
            expires_at=credit.grant.expires_at,
        )
        for i, credit in enumerate(credits)
    ]


def _expiry(grant: GrantSpec) -> datetime | None:
    return None if grant.expires_at == NEVER else grant.expires_at


def post_system(tx: Tx, header: Header, lines: Sequence[Line], *, currency: str, system: Accounts) -> None:
    """Move money between the book's own accounts, without a wallet."""
    rows = [Row(debit_id=system[line.debit], credit_id=system[line.credit], amount=line.amount) for line in lines]
    ledger.add_transfers(tx, header, Label(), currency=currency, rows=rows)


class _Chain:
    """Numbers the wallet's rows of one transaction and carries its balance from row to row."""

    def __init__(self, wallet: accounts.Wallet, system: Accounts, balance: int, next_seq: int) -> None:
        self._wallet, self._system = wallet, system
        self._balance, self._seq = balance, next_seq

    def rows(self, lines: Sequence[Line], grants: Sequence[str | None]) -> list[Row]:
        return [self._row(line, grant) for line, grant in zip(lines, grants, strict=True)]

    def _row(self, line: Line, grant: str | None) -> Row:
        wallet_id = self._wallet.id
        debit_id = wallet_id if line.wallet_sign < 0 else self._system[line.debit]
        credit_id = wallet_id if line.wallet_sign > 0 else self._system[line.credit]
        if not line.wallet_sign:
            return Row(debit_id=debit_id, credit_id=credit_id, amount=line.amount)
        self._balance += line.wallet_sign * line.amount
        self._seq += 1
        return Row(
            debit_id=debit_id,
            credit_id=credit_id,
            amount=line.amount,
            wallet_id=wallet_id,
            wallet_seq=self._seq - 1,
            wallet_after=self._balance,
            grant_id=grant,
        )


def _held(tx: Tx, customer: str, currency: str) -> accounts.Wallet:
    wallet = accounts.find_wallet(tx, customer, currency)
    if wallet is None:
        raise IntegrityFault("A wallet that was just changed does not exist.")
    return wallet


def _available(tx: Tx, customer: str, currency: str) -> int:
    wallet = accounts.find_wallet(tx, customer, currency)
    return wallet.available if wallet else 0


def _tell_crossings(tx: Tx, context: Context, wallet: accounts.Wallet, *, before: int, about: str) -> None:
    levels = operations.read_setting(tx, SETTING) or {}
    low, balance = levels.get("low", {}).get(wallet.currency), Money(wallet.balance, wallet.currency)
    for name in crossings(before=before, after=wallet.balance, low=low):
        outbox.emit(tx, context, name, about=about, customer=wallet.owner, amount=balance)


def revenue_accounts(context: Context, currency: str) -> Accounts:
    """Give the accounts that usage posts to, opening them if need be."""
    return accounts.system_accounts(context.database, (REVENUE,), currency, context.now())


def balance(tx: Tx, customer: str, currency: str) -> Balance:
    """Read a balance; a wallet that was never used is zero."""
    wallet = accounts.find_wallet(tx, customer, currency)
    zero = Money.zero(currency)
    if wallet is None:
        return Balance(available=zero, settled=zero, held=zero, paid=zero, promotional=zero, currency=currency)
    return _balance_of(tx, wallet)


def _balance_of(tx: Tx, wallet: accounts.Wallet) -> Balance:
    sums, currency = ledger.grant_sums(tx, wallet.id), wallet.currency
    paid = sum(amount for kind, amount in sums.items() if kind in PAID_KINDS)
    return Balance(
        available=Money(wallet.available, currency),
        settled=Money(wallet.balance, currency),
        held=Money(wallet.held, currency),
        paid=Money(paid, currency),
        promotional=Money(sum(sums.values()) - paid, currency),
        currency=currency,
    )


def balances(tx: Tx, customer: str) -> tuple[Balance, ...]:
    """Read all wallets of a customer."""
    return tuple(_balance_of(tx, wallet) for wallet in accounts.wallets_of(tx, customer))
