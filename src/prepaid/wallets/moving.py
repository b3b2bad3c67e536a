"""Credit that leaves a wallet for another reason than usage, grant by grant, and comes back to its grants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from ..config import Context
from ..core.errors import AmountOutOfRange, IntegrityFault
from ..core.grants import Burn
from ..core.reversals import ChargedPart, Returned, give_back
from ..core.taking import spread
from ..core.transfers import WALLET, AccountRef, Line
from ..store import Tx, accounts, grants, ledger
from ..store.accounts import Wallet
from ..store.ledger import Header, Label
from . import due, levels
from .chain import Chain
from .values import Accounts


@frozen(kw_only=True)
class Taking:
    """One transaction that takes credit: from which grants, and where it goes.

    Attributes:
        header: Key, cause and times.
        label: What the customer reads.
        parts: What is taken from which grant, in order.
        targets: Accounts that get it with their ledger units; together they get all parts.
    """

    header: Header
    label: Label
    parts: tuple[Burn, ...]
    targets: tuple[tuple[AccountRef, int], ...]

    def lines(self) -> tuple[list[Line], list[str | None]]:
        """Give its transfers, with the grant of each."""
        pieces = spread(self.parts, [amount for _, amount in self.targets])
        cut = [(target, each) for (target, _), piece in zip(self.targets, pieces, strict=True) for each in piece]
        return [Line(WALLET, target, each.amount) for target, each in cut], [each.grant for _, each in cut]


@frozen(kw_only=True)
class Giving:
    """One transaction that gives credit back to the grants it came from.

    Attributes:
        header: Key, cause and times.
        label: What the customer reads.
        parts: What comes back to which grant.
        sources: Accounts that give it with their ledger units; together they give all parts.
    """

    header: Header
    label: Label
    parts: tuple[ChargedPart, ...]
    sources: tuple[tuple[AccountRef, int], ...]

    def lines(self, returned: Sequence[Returned]) -> tuple[list[Line], list[str | None]]:
        """Give its transfers as they were planned, with the grant of each."""
        pieces = spread([Burn(each.grant, each.amount) for each in returned], [amount for _, amount in self.sources])
        cut = [(source, each) for (source, _), piece in zip(self.sources, pieces, strict=True) for each in piece]
        return [Line(source, WALLET, each.amount) for source, each in cut], [each.grant for _, each in cut]


def take(
    tx: Tx, context: Context, wallet: Wallet, *, takings: Sequence[Taking], only_free: bool, system: Accounts
) -> Wallet:
    """Take credit from a held wallet by one or more transactions, and give the wallet after them.

    Args:
        tx: The transaction that holds the wallet, with nothing due on it.
        context: The billing system.
        wallet: The wallet as it is.
        takings: What is taken, in order.
        only_free: Take it of grants alone, and of what nothing reserves; else it is taken all the same.
        system: The accounts that get it.

    Raises:
        IntegrityFault: It has to be free, and is not: who asks has looked while the wallet was held.
        AmountOutOfRange: The balance would leave what 64 bits hold.
    """
    lines = [taking.lines() for taking in takings]
    total, rows = sum(line.amount for found, _ in lines for line in found), sum(len(found) for found, _ in lines)
    if only_free:
        granted = all(part.grant is not None for taking in takings for part in taking.parts)
        if not granted or not ledger.take_free(tx, wallet.id, total, rows=rows):
            raise IntegrityFault("Credit that was free a moment ago is not there.")
    elif not ledger.take(tx, wallet.id, total, rows=rows):
        raise AmountOutOfRange("The debt would be larger than the ledger can hold.", field="amount")
    grants.take(tx, [part for taking in takings for part in taking.parts])
    after = _again(tx, wallet)
    chain = Chain(after, system, before=wallet.balance, rows=rows)
    for taking, (found, touched) in zip(takings, lines, strict=True):
        _add(tx, chain, taking, after.currency, lines=found, touched=touched)
    levels.after_debit(tx, context, after, about=takings[0].header.transaction_id)
    return after


def give(tx: Tx, wallet: Wallet, *, givings: Sequence[Giving], system: Accounts) -> tuple[Wallet, tuple[Returned, ...]]:
    """Give credit back to a held wallet by one or more transactions; give the wallet after them, and the plan.

    A debt is paid first, by what comes first. What came back to grants that have
    expired is still to be swept.

    Raises:
        AmountOutOfRange: The balance would leave what 64 bits hold.
    """
    balance, plans = wallet.balance, []
    for giving in givings:
        # Read anew each time: what one transaction unpaid is paid no more.
        plan = give_back(giving.parts, balance=balance, debtors=grants.debtors(tx, wallet.id))
        grants.change(tx, [change for returned in plan for change in returned.changes])
        balance += sum(returned.amount for returned in plan)
        plans.append((giving, plan, giving.lines(plan)))
    rows = sum(len(found) for _, _, (found, _) in plans)
    if not ledger.credit(tx, wallet.id, balance - wallet.balance, rows=rows):
        raise AmountOutOfRange("The balance would be larger than the ledger can hold.", field="amount")
    after = _again(tx, wallet)
    chain = Chain(after, system, before=wallet.balance, rows=rows)
    for giving, _, (found, touched) in plans:
        _add(tx, chain, giving, after.currency, lines=found, touched=touched)
    return after, tuple(returned for _, plan, _ in plans for returned in plan)


def _add(
    tx: Tx, chain: Chain, act: Taking | Giving, currency: str, *, lines: Sequence[Line], touched: Sequence[Any]
) -> None:
    ledger.add_transfers(tx, act.header, act.label, currency=currency, rows=chain.rows(lines, touched))


def _again(tx: Tx, wallet: Wallet) -> Wallet:
    return accounts.hold_wallet_by_id(tx, wallet.id) or wallet


def settle(tx: Tx, context: Context, wallet: Wallet, *, about: str) -> Wallet:
    """Expire at once what came back to grants that have expired, and tell what the wallet recovered from.

    Only what stays makes a wallet recover.
    """
    swept = due.sweep(tx, context, _again(tx, wallet))
    levels.after_credit(tx, context, swept, about=about)
    return swept


def charged_parts(tx: Tx, parts: Sequence[Burn]) -> tuple[ChargedPart, ...]:
    """Give parts with the priorities of the grants that they came from."""
    facts = grants.facts(tx, [part.grant for part in parts if part.grant is not None])
    return tuple(
        ChargedPart(part.grant, part.amount, priority=0 if part.grant is None else facts[part.grant][0])
        for part in parts
    )
