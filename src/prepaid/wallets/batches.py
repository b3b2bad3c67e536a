"""Posting many debits in one transaction: what each would have done alone, one after the other.

The wallets are held in the order of their ids and swept first. Keys are not
looked up beforehand: nearly all are new, and one that exists fails the whole,
which `optimistic` then runs again with the look-up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from attrs import frozen

from ..config import Context
from ..core.batches import Allocation, Clash, Item, Known, Purse, Repeated, Taken, Uncovered, Verdict, allocate
from ..core.errors import IntegrityFault, TransactionAborted
from ..core.grants import OpenGrant
from ..core.instants import to_micros
from ..core.transfers import REVENUE
from ..store import Duplicate, Tx, bulk
from ..store.bulk import Debited, GrantChange, HeldWallet, WalletChange
from ..store.ledger import Posted
from . import due, levels
from .levels import Moved
from .values import Accounts, Conflict, Debit, Replayed, Short

T = TypeVar("T")

MOST: Final = 10_000
"""Debits that one transaction takes."""

_ATTEMPTS: Final = 5

Answer = Taken | Replayed | Conflict | Short
"""What becomes of a debit of a batch; one that is posted answers by its parts."""

Wallets = Mapping[tuple[str, str], HeldWallet]
"""Held wallets by customer and currency."""


def optimistic(context: Context, work: Callable[[Tx, bool], T]) -> T:
    """Run ``work`` in a transaction without looking keys up, and again with it if a key or a period exists.

    Args:
        context: The billing system.
        work: Takes the transaction, and whether `post_debits` must look keys up.

    Raises:
        TransactionAborted: Others post the same keys again and again meanwhile.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return context.database.write(lambda tx: work(tx, attempt > 0))  # noqa: B023 - called at once
        except Duplicate:
            continue
    raise TransactionAborted("Others posted the same keys at the same time, again and again.")


def post_debits(
    tx: Tx, context: Context, debits: Sequence[Debit], system: Mapping[str, Accounts], *, look_up: bool = False
) -> list[Answer]:
    """Take many debits from their wallets in their order, and answer each as `post_debit` would.

    A refused debit takes nothing and refuses no other; one whose customer has no
    wallet in its currency is short. A batch of which nothing is posted writes
    nothing but what was due, and that a key was asked for again.

    Args:
        tx: The transaction.
        context: The billing system.
        debits: At most `MOST`.
        system: The accounts that usage posts to, by currency.
        look_up: Look for keys and periods that were posted before; without it they fail the whole.

    Raises:
        sqlalchemy.exc.IntegrityError: A key, or a charged period, exists.
    """
    if not debits:
        return []
    batch = _read(tx, _hold(tx, context, debits), debits)
    decided, posted = _decide(tx, batch, look_up=look_up)
    if decided.wallets:
        _write(tx, batch, decided, system)
        _tell(tx, context, batch, decided)
    if again := {wallet for _, wallet, verdict in batch.each(decided) if wallet and type(verdict) is Repeated}:
        bulk.mark_replayed(tx, again, context.now())
    return [
        verdict if type(verdict) is Taken else _answer(batch, decided, verdict, posted.get(debit.header.key_hash))
        for debit, _, verdict in batch.each(decided)
    ]


@frozen
class _Batch:
    """Debits with what they find.

    Attributes:
        debits: In their order.
        owners: The row id of each one's wallet, or None if there is none.
        wallets: Held ones, by row id.
        purses: Those of them that debits name.
    """

    debits: Sequence[Debit]
    owners: Sequence[int | None]
    wallets: Mapping[int, HeldWallet]
    purses: Mapping[int, Purse]

    def items(self) -> Iterator[Item]:
        """Go over the debits as `allocate` takes them."""
        for (_, amount, performed, header, label), wallet in zip(self.debits, self.owners, strict=True):
            yield Item(wallet, amount.units, performed, header.key_hash, header.fingerprint, label.charge_period_key)

    def each(self, decided: Allocation) -> Iterator[tuple[Debit, int | None, Verdict]]:
        """Go over the debits, their wallets and what is decided of them."""
        return zip(self.debits, self.owners, decided.verdicts, strict=True)


def _hold(tx: Tx, context: Context, debits: Sequence[Debit]) -> list[HeldWallet]:
    """Hold the wallets, with nothing due on them."""
    owners, currencies = {debit.customer for debit in debits}, {debit.amount.currency for debit in debits}
    held = bulk.hold_wallets(tx, owners, currencies)
    now = max(debit.header.posted_at for debit in debits)
    by = to_micros(now)
    late = [wallet.id for wallet in held if wallet.next_due_at <= by]
    if not late:
        return held
    for wallet in bulk.whole_wallets(tx, late):
        due.sweep(tx, context, wallet, now=now)
    return bulk.read_wallets(tx, [wallet.id for wallet in held])


def _read(tx: Tx, held: Sequence[HeldWallet], debits: Sequence[Debit]) -> _Batch:
    """Read what the debits can need of held wallets' grants: nearly always the first."""
    ids = {(wallet.owner, wallet.currency): wallet.id for wallet in held}
    wallets = {wallet.id: wallet for wallet in held}
    owners = [ids.get((debit.customer, debit.amount.currency)) for debit in debits]
    wanted = dict[int, int]()
    for debit, owner in zip(debits, owners, strict=True):
        if owner is not None:
            wanted[owner] = wanted.get(owner, 0) + debit.amount.units
    grants = bulk.first_grants(tx, wanted) if wanted else {}
    # A first grant that is all there is of a balance has none behind it.
    grants |= bulk.open_grants(
        tx, [id for id, (first,) in grants.items() if first.remaining < min(wanted[id], wallets[id].balance)]
    )
    purses = {id: _purse(wallets[id], grants.get(id, ())) for id in wanted}
    return _Batch(debits, owners, wallets, purses)


def _purse(wallet: HeldWallet, grants: Sequence[OpenGrant]) -> Purse:
    return Purse(wallet.balance, wallet.held, wallet.floor, wallet.seq, grants)


def _decide(tx: Tx, batch: _Batch, *, look_up: bool) -> tuple[Allocation, dict[str, Posted]]:
    """Decide what is posted, and give what was posted before of it."""
    posted = dict[str, Posted]()
    if look_up:
        posted = bulk.find_posted(tx, {item.key for item in batch.items()})
        periods = bulk.charged_periods(tx, {item.period for item in batch.items() if item.period is not None})
        return allocate(batch.items(), batch.purses, _known(posted, periods)), posted
    decided = allocate(batch.items(), batch.purses)
    if set(map(type, decided.verdicts)) <= {Taken, Repeated}:
        return decided, posted
    # Who is refused may have been posted before, and have emptied the wallet by that.
    refused = (debit for debit, _, verdict in batch.each(decided) if type(verdict) in (Uncovered, Clash))
    posted = bulk.find_posted(tx, {debit.header.key_hash for debit in refused})
    return allocate(batch.items(), batch.purses, _known(posted)) if posted else decided, posted


def _known(posted: Mapping[str, Posted], periods: Collection[str] = ()) -> Known:
    return Known({key: found.fingerprint for key, found in posted.items()}, periods)


def _write(tx: Tx, batch: _Batch, decided: Allocation, system: Mapping[str, Accounts]) -> None:
    """Write what was decided, each change guarded by what it was decided on."""
    ways = bulk.ways_of(tx)
    wallets = [
        WalletChange(id, batch.purses[id].balance - balance, seq - batch.purses[id].seq, batch.purses[id].seq)
        for id, (balance, seq) in decided.wallets.items()
    ]
    before = {grant.id: grant.remaining for purse in batch.purses.values() for grant in purse.grants}
    grants = [GrantChange(id, before[id] - left, before[id]) for id, left in decided.grants.items()]
    # Wallets first, as every posting does; a count that is not met rolls the whole back.
    _all(ways.lower_wallets(tx, wallets), len(wallets))
    if grants:
        _all(ways.lower_grants(tx, grants), len(grants))
    rows = bulk.rows_of(tx.book_id, _debited(batch, decided, system))
    _all(ways.add_transfers(tx, rows), sum(wallet.rows for wallet in wallets))


def _debited(batch: _Batch, decided: Allocation, system: Mapping[str, Accounts]) -> list[Debited]:
    revenue = {currency: accounts[REVENUE] for currency, accounts in system.items()}
    return [
        (header, label, amount.currency, wallet, revenue[amount.currency], verdict.parts)
        for (_, amount, _, header, label), wallet, verdict in batch.each(decided)
        if type(verdict) is Taken and wallet is not None
    ]


def _all(written: int, wanted: int) -> None:
    if written != wanted:
        raise IntegrityFault("A batch did not write what it decided: its wallets or grants changed under it.")


def _tell(tx: Tx, context: Context, batch: _Batch, decided: Allocation) -> None:
    """Tell what the batch brought wallets below; nothing is asked of those that crossed nothing."""
    lowest = {id: balance for id, (balance, _) in decided.wallets.items()}
    below = {id for id, balance in lowest.items() if levels.may_tell(batch.wallets[id].alert_at, balance)}
    if below:
        moved = [
            Moved(wallet, verdict.parts[-1].after, debit.header.transaction_id)
            for debit, wallet, verdict in batch.each(decided)
            if type(verdict) is Taken and wallet in below
        ]
        levels.after_debits(tx, context, moved)


def _answer(batch: _Batch, decided: Allocation, verdict: Verdict, posted: Posted | None) -> Answer:
    if type(verdict) is Uncovered:
        return Short(verdict.available, verdict.balance)
    if type(verdict) is Clash:
        return Conflict(verdict.balance, verdict.field)
    if type(verdict) is Repeated and verdict.first is not None:
        first = decided.verdicts[verdict.first]
        if type(first) is Taken:
            return Replayed(batch.debits[verdict.first].header.transaction_id, first.parts[-1].after)
    if posted is None or posted.wallet_after is None:
        raise IntegrityFault("A wallet's key was posted without a wallet.")
    return Replayed(posted.transaction_id, posted.wallet_after)
