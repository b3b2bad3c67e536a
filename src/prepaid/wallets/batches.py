"""Posting many debits in one transaction: what each would have done alone, one after the other.

The wallets are held in the order of their ids and swept first. Keys are not
looked up beforehand: nearly all are new, and one that exists fails the whole,
which `optimistic` then runs again with the look-up. Debits are decided one by
one; where the engine takes rows one by one, also while those before them are on
their way to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from attrs import Factory, frozen

from ..config import Context
from ..core.batches import Allotter, Clash, Known, Purse, Repeated, Taken, Uncovered, Verdict, WalletChange
from ..core.errors import IntegrityFault, TransactionAborted
from ..core.grants import OpenGrant
from ..core.instants import to_micros
from ..core.money import Money
from ..core.records import record
from ..core.transfers import REVENUE
from ..store import Duplicate, Tx, bulk
from ..store.bulk import Debited, HeldWallet, TransferRows
from ..store.ledger import Posted
from . import due, levels
from .levels import Moved
from .values import Accounts, Conflict, Debit, Replayed, Short

P = TypeVar("P")
T = TypeVar("T")

MOST: Final = 10_000
"""Debits that one transaction takes."""

_ATTEMPTS: Final = 5

NotPosted = Replayed | Conflict | Short
"""What becomes of a debit of a batch that is not posted."""


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


class Payer(Protocol):
    """What a debit is for: who pays, and how much."""

    @property
    def customer(self) -> str:
        """Whose wallet is lowered."""
        ...

    @property
    def amount(self) -> Money:
        """By what, above zero."""
        ...


def debits_of(
    context: Context, payers: Sequence[P], ids: Sequence[str], describe: Callable[[P, str], Debit]
) -> Iterable[Debit]:
    """Give debits that can be gone over again: made one by one while they are sent, where that saves time.

    Args:
        context: The billing system.
        payers: What they are for, in their order.
        ids: Of their transactions.
        describe: Makes one.
    """
    debits = _Described(payers, ids, describe)
    # Where it saves none, others would wait longer for the wallets.
    return debits if bulk.sends_while_making(context.database) else list(debits)


@frozen
class _Described(Generic[P]):
    """Debits that are made anew each time that somebody goes over them."""

    payers: Sequence[P]
    ids: Sequence[str]
    describe: Callable[[P, str], Debit]

    def __iter__(self) -> Iterator[Debit]:
        return map(self.describe, self.payers, self.ids)


@frozen
class Wanted(Generic[T]):
    """Debits to post, in their order.

    They may be made, and are answered, while those before them are being written, so that the two take the time of
    one; and again if the whole is begun again.

    Attributes:
        payers: What each is for; at most `MOST`.
        debits: The debits themselves, as often as they are gone over.
        posted: Makes the answer to one that is posted.
        now: The latest instant at which any of them is posted.
        of_resources: Some of them name a resource, a kind, a project or a period.
    """

    payers: Sequence[Payer]
    debits: Iterable[Debit]
    posted: Callable[[Debit, Taken], T]
    now: datetime
    of_resources: bool = True


def post_debits(
    tx: Tx, context: Context, wanted: Wanted[T], system: Mapping[str, Accounts], *, look_up: bool = False
) -> list[T | NotPosted]:
    """Take many debits from their wallets in their order, and answer each as `post_debit` would.

    A refused debit takes nothing and refuses no other; one whose customer has no
    wallet in its currency is short. A batch of which nothing is posted writes
    nothing but what was due, and that a key was asked for again.

    Args:
        tx: The transaction.
        context: The billing system.
        wanted: What to post.
        system: The accounts that usage posts to, by currency.
        look_up: Look for keys and periods that were posted before; without it they fail the whole.

    Raises:
        sqlalchemy.exc.IntegrityError: A key, or a charged period, exists.
        IntegrityFault: A wallet or grant changed though it was held.
    """
    if not wanted.payers:
        return []
    found = _read(tx, _hold(tx, context, wanted), wanted.payers)
    posted, periods = _posted_before(tx, wanted) if look_up else ({}, ())
    run = _Run[T](Allotter(found.purses, _known(posted, periods)), _revenue(system))
    rows = bulk.rows_of(tx.book_id, _debited(wanted, found, run), wanted.of_resources)
    below = _below(found, _write(tx, rows, run.allotter))
    if below:
        _tell(tx, context, below, run.decided)
    if len(run.answers) == len(run.decided):
        return list(run.answers)
    if not look_up:
        posted = _refused_before(tx, run.decided)
    if again := {wallet for _, wallet, verdict in run.decided if wallet and type(verdict) is Repeated}:
        bulk.mark_replayed(tx, again, context.now())
    answers = iter(run.answers)
    return [
        next(answers)
        if type(verdict) is Taken
        else _not_posted(run.decided, verdict, posted.get(debit.header.key_hash))
        for debit, _, verdict in run.decided
    ]


_Decided = tuple[Debit, int | None, Verdict]
"""A debit, the row id of its wallet or None if there is none, and what was decided of it."""


@frozen
class _Run(Generic[T]):
    """What is decided of debits while they are written.

    Attributes:
        allotter: Decides.
        revenue: The account that each currency's usage is posted to.
        decided: All of them so far.
        answers: To those that are posted.
    """

    allotter: Allotter
    revenue: Mapping[str, int]
    decided: list[_Decided] = Factory(list)
    answers: list[T] = Factory(list)


@frozen
class _Found:
    """What debits find.

    Attributes:
        owners: The row id of each one's wallet, or None if there is none.
        wallets: Held ones, by row id.
        purses: Those of them that debits name.
    """

    owners: Sequence[int | None]
    wallets: Mapping[int, HeldWallet]
    purses: Mapping[int, Purse]


def _hold(tx: Tx, context: Context, wanted: Wanted[Any]) -> list[HeldWallet]:
    """Hold the wallets, with nothing due on them."""
    owners = {payer.customer for payer in wanted.payers}
    held = bulk.hold_wallets(tx, owners, {payer.amount.currency for payer in wanted.payers})
    by = to_micros(wanted.now)
    late = [wallet.id for wallet in held if wallet.next_due_at <= by]
    if not late:
        return held
    for wallet in bulk.whole_wallets(tx, late):
        due.sweep(tx, context, wallet, now=wanted.now)
    return bulk.read_wallets(tx, [wallet.id for wallet in held])


def _read(tx: Tx, held: Sequence[HeldWallet], payers: Sequence[Payer]) -> _Found:
    """Read what the debits can need of held wallets' grants: nearly always the first."""
    wallets = {wallet.id: wallet for wallet in held}
    ids = {(owner, currency): id for id, owner, currency, *_ in held}
    owners, sums = list[int | None](), dict[int, int]()
    for payer in payers:
        amount = payer.amount
        owner = ids.get((payer.customer, amount.currency))
        owners.append(owner)
        if owner is not None:
            sums[owner] = sums.get(owner, 0) + amount.units
    grants = bulk.first_grants(tx, sums) if sums else {}
    # A first grant that is all there is of a balance has none behind it.
    grants |= bulk.open_grants(
        tx, [id for id, ((_, left),) in grants.items() if left < sums[id] and left < wallets[id].balance]
    )
    return _Found(owners, wallets, {id: _purse(wallets[id], grants.get(id, ())) for id in sums})


def _purse(wallet: HeldWallet, grants: Sequence[OpenGrant]) -> Purse:
    return record(Purse, (wallet.balance, wallet.held, wallet.floor, wallet.seq, grants))


def _posted_before(tx: Tx, wanted: Wanted[Any]) -> tuple[dict[str, Posted], set[str]]:
    """Look for the keys of debits, and for their periods."""
    debits = list(wanted.debits)
    posted = bulk.find_posted(tx, {debit.header.key_hash for debit in debits})
    periods = (debit.label.charge_period_key for debit in debits)
    return posted, bulk.charged_periods(tx, {period for period in periods if period is not None})


def _known(posted: Mapping[str, Posted], periods: Collection[str]) -> Known:
    return Known({key: found.fingerprint for key, found in posted.items()}, periods)


def _revenue(system: Mapping[str, Accounts]) -> dict[str, int]:
    return {currency: accounts[REVENUE] for currency, accounts in system.items()}


def _debited(wanted: Wanted[T], found: _Found, run: _Run[T]) -> Iterator[Debited]:
    """Decide debits one after the other, and give those to write."""
    for debit, wallet in zip(wanted.debits, found.owners, strict=True):
        _, amount, performed, header, label = debit
        verdict = run.allotter.decide(
            (wallet, amount.units, performed, header.key_hash, header.fingerprint, label.charge_period_key)
        )
        run.decided.append((debit, wallet, verdict))
        if type(verdict) is Taken and wallet is not None:
            run.answers.append(wanted.posted(debit, verdict))
            yield header, label, amount.currency, wallet, run.revenue[amount.currency], verdict.parts


def _write(tx: Tx, rows: TransferRows, allotter: Allotter) -> list[WalletChange]:
    """Write what is decided meanwhile; give what wallets lost.

    A wallet is lowered if its number, a grant if what is left of it is what was read. What else a wallet was decided
    on, its floor and holds, rests on its lock.
    """
    ways = bulk.ways_of(tx)
    written = ways.add_transfers(tx, rows)
    wallets, grants = allotter.changes()
    # The wallets are held already; a count that is not met rolls the whole back.
    _all(written, sum(wallet.rows for wallet in wallets))
    if wallets:
        _all(ways.lower_wallets(tx, wallets), len(wallets))
    if grants:
        _all(ways.lower_grants(tx, grants), len(grants))
    return wallets


def _all(written: int, wanted: int) -> None:
    if written != wanted:
        raise IntegrityFault("A batch did not write what it decided: its wallets or grants changed under it.")


def _below(found: _Found, lowered: Iterable[WalletChange]) -> set[int]:
    """Give the wallets of which something may have to be told; nothing is asked of the others."""
    wallets = found.wallets
    return {
        change.id
        for change in lowered
        if levels.may_tell((wallet := wallets[change.id]).alert_at, wallet.balance - change.taken)
    }


def _tell(tx: Tx, context: Context, below: Collection[int], decided: Iterable[_Decided]) -> None:
    """Tell what the batch brought wallets below."""
    moved = [
        Moved(wallet, verdict.parts[-1].after, debit.header.transaction_id)
        for debit, wallet, verdict in decided
        if type(verdict) is Taken and wallet is not None and wallet in below
    ]
    levels.after_debits(tx, context, moved)


def _refused_before(tx: Tx, decided: list[_Decided]) -> dict[str, Posted]:
    """Look whether what was refused had been posted before, and had perhaps emptied the wallet by that.

    If so it changes to a replay or a conflict, which take as little as a refusal.
    """
    refused, taken = (
        {debit.header.key_hash for debit, _, verdict in decided if type(verdict) in kinds}
        for kinds in ((Uncovered, Clash), (Taken,))
    )
    posted = bulk.find_posted(tx, refused - taken) if refused - taken else {}
    for place, (debit, wallet, verdict) in enumerate(decided):
        before = posted.get(debit.header.key_hash)
        if before is not None and isinstance(verdict, Uncovered | Clash):
            again = before.fingerprint == debit.header.fingerprint
            decided[place] = debit, wallet, Repeated(None) if again else Clash(verdict.balance, "key")
    return posted


def _not_posted(decided: Sequence[_Decided], verdict: Verdict, posted: Posted | None) -> NotPosted:
    if type(verdict) is Uncovered:
        return Short(verdict.available, verdict.balance)
    if type(verdict) is Clash:
        return Conflict(verdict.balance, verdict.field)
    if type(verdict) is Repeated and verdict.first is not None:
        debit, _, first = decided[verdict.first]
        if type(first) is Taken:
            return Replayed(debit.header.transaction_id, first.parts[-1].after)
    if posted is None or posted.wallet_after is None:
        raise IntegrityFault("A wallet's key was posted without a wallet.")
    return Replayed(posted.transaction_id, posted.wallet_after)
