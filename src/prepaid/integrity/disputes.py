"""Proving disputes: the books are where the gateway is, line by line what that takes, and held what is in doubt."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from ..core import keys as formulas
from ..store import Tx
from ..store.proofs import disputes as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, unless_equal

_STEPS: Final = (
    *("withdrawn", "regained", "lost", "lost-clawback", "lost-tax", "restored", "restored-clawback", "restored-tax"),
    "fee",
)
_BOOKED: Final = {
    "": ("inquiry", "won"),
    "withdrawn": ("inquiry", "open"),
    "won": ("won", "inquiry"),
    "lost": ("inquiry", "open", "lost"),
}
"""What is posted of a dispute, and the states in which it may stay so: one that is appealed stays lost."""


def disputes(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every dispute by its state and its postings, and what it holds."""
    for dispute_id, rows in groupby(stored.dispute_postings(tx, scope), key=attrgetter("dispute")):
        yield from _posted(tx.book_id, dispute_id, list(rows))
    if scope.is_whole:
        for row in stored.stray_holds(tx):
            yield contradiction("L4", ("hold", row.id), "open exactly while its dispute is", (row.state, row.booked))


def _posted(book: int, dispute_id: str, rows: list[Any]) -> Iterator[Finding]:
    dispute, *transfers = rows
    keys = ("dispute", dispute_id)
    if dispute.what != stored.DISPUTE:
        yield contradiction("L8", ("transfer", dispute.transfer_id), f"the dispute {dispute_id}", "none")
        return
    yield from _state(dispute, keys)
    yield from unless_equal("L8", keys, _due(dispute), _sums(transfers))
    known = {formulas.disputed(book, step, dispute_id, turn) for step in _STEPS for turn in range(dispute.turn)}
    actor = f"gateway:{dispute.gateway}"
    for row in transfers:
        if (row.key_hash, row.fingerprint) not in known or row.posted_actor != actor:
            yield contradiction("L5", ("transfer", row.transfer_id), f"a key of {dispute_id}, by {actor}", "not so")


def _state(dispute: Any, keys: tuple[str, str]) -> Iterator[Finding]:
    """Prove that what is posted goes with the state, once the top-up is credited."""
    is_booked = dispute.topup_state == "credited" and dispute.topup_currency == dispute.currency
    if not is_booked:
        yield from unless_equal("B2", keys, "nothing posted", f"{dispute.booked or 'nothing'} posted")
    elif dispute.state not in _BOOKED.get(dispute.booked, ()):
        yield contradiction("B2", keys, f"the postings of a dispute that is {dispute.state}", dispute.booked)
    elif dispute.booked == "withdrawn" or (dispute.booked, dispute.state) == ("lost", "lost"):
        yield from unless_equal("B2", keys, f"{dispute.amount} withdrawn", f"{dispute.withdrawn} withdrawn")
    is_lost = dispute.booked == "lost"
    figures = (dispute.credit, dispute.clawback, dispute.net, dispute.tax)
    if not is_lost and (any(figures) or dispute.lost_turn is not None):
        yield contradiction("B2", keys, "no credit taken while it is not lost", figures)
    if is_booked and dispute.fee is not None:
        yield from unless_equal("L8", keys, f"a fee of {dispute.fee}", f"a fee of {dispute.booked_fee}")


Sums = dict[tuple[str, str, str], int]
"""What each account received less what it gave, by its kind, owner and currency."""


def _due(dispute: Any) -> Sums:
    gateway, currency = dispute.gateway, dispute.currency
    sums: Sums = {}

    def move(debit: tuple[str, str], credit: tuple[str, str], amount: int, of: str = currency) -> None:
        for (kind, owner), sign in ((debit, -1), (credit, 1)):
            place = (kind, owner, of)
            sums[place] = sums.get(place, 0) + sign * amount

    lost, clearing = ("disputes", gateway), ("clearing", gateway)
    wallet, promotion = ("wallet", dispute.customer), ("promotion", "")
    move(lost, clearing, dispute.withdrawn)
    if dispute.booked == "lost":
        over = dispute.credit - dispute.net
        move(wallet, lost, min(dispute.net, dispute.credit))
        move(wallet, promotion, max(0, over) + dispute.clawback)
        move(promotion, lost, max(0, -over))
        move(("tax_payable", ""), lost, dispute.tax)
    move(("fees", ""), clearing, dispute.booked_fee, dispute.fee_currency or currency)
    return {place: amount for place, amount in sums.items() if amount}


def _sums(transfers: list[Any]) -> Sums:
    sums: Sums = {}
    for row in transfers:
        for kind, owner, sign in (
            (row.debit_kind, row.debit_owner, -1),
            (row.credit_kind, row.credit_owner, 1),
        ):
            place = (kind, owner, row.posted_currency)
            sums[place] = sums.get(place, 0) + sign * row.posted_amount
    return {place: amount for place, amount in sums.items() if amount}
