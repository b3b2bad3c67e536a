"""Proving refunds: what each posted, that no payment gave back more than it took, and what of limits is taken."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, get_args

from ..core import keys as formulas
from ..core.money import minor_unit
from ..core.references import outside_hash
from ..core.refunds import LOST_REFUNDS, REFUND_STEPS, RefundOrigin
from ..core.states import OPEN_STATES
from ..store import Tx
from ..store.proofs import refunds as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, unless_equal

_SUSPENSE: Final = ("suspense", "")
_TRANSIT: Final = ("refunds_in_transit", "")
_STEPS: Final = ("intended", "clawback", "settled", "returned", "lost", "unclawed")


def refunds(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every refund by its state and its postings, and every payment by what went back of it."""
    for refund_id, rows in groupby(stored.refund_postings(tx, scope), key=attrgetter("refund")):
        yield from _posted(tx.book_id, refund_id, list(rows))
    for row in stored.refunded_topups(tx, scope):
        if row.is_whole or row.captured is None or row.amount >= row.captured:
            yield from unless_equal("B1", ("topup", row.id), f"{row.captured} given back", f"{row.amount} given back")
    if scope.is_whole:
        yield from _facts(tx)
        yield from _counts(tx)
        yield from _returned(tx)


def _facts(tx: Tx) -> Iterator[Finding]:
    """Prove that refunds and disputes are of the payment that settled their top-up, and were told."""
    for row in stored.foreign(tx):
        yield contradiction("B2", (row.what, row.id), f"of the payment {row.paid}", f"of {row.payment_id}")
    for row in stored.unended_reviews(tx):
        yield contradiction("B6", ("topup", row.id), f"no review after {row.amount} went back", "review")
    for row in stored.unknown_disputes(tx):
        yield contradiction("B6", ("dispute", row.id), "a state that disputes have", row.state)
    for row in stored.untold(tx):
        yield contradiction("B9", (row.id,), f"the event {row.key}", "none")


def _counts(tx: Tx) -> Iterator[Finding]:
    for row in stored.given_back(tx):
        if row.captured is None or int(row.amount) > row.captured:
            yield contradiction("B2", ("topup", row.topup_id), f"at most {row.captured} given back", row.amount)
    for row in stored.allowances(tx):
        keys = ("allowance", row.customer, row.currency)
        yield from unless_equal("L4", keys, f"{int(row.credit)} reserved", f"{row.pending} reserved")
    for row in stored.uncounted(tx):
        yield contradiction("L4", ("topup", row.id), "counted against its customer's limits", "no count")
    for row in stored.wrongly_reserved(tx, OPEN_STATES):
        yield contradiction("L4", ("topup", row.id), "reserved exactly while it is open", row.state)


def _returned(tx: Tx) -> Iterator[Finding]:
    """Prove that of no top-up more went back than was bought, and all of its money with all of its credit."""
    for row in stored.returned(tx):
        keys = ("topup", row.topup_id)
        names = ("credit", "net", "tax")
        bought = tuple(getattr(row, f"topup_{name}") for name in names)
        back = tuple(int(getattr(row, name)) for name in names)
        if row.topup_state != "credited" or any(part > whole for part, whole in zip(back, bought, strict=True)):
            yield contradiction("B2", keys, f"at most {bought} back, of a credited top-up", (row.topup_state, back))
        elif back[0] == bought[0] and not _is_whole(back, bought, minor_unit(row.topup_currency)):
            yield contradiction("B2", keys, f"{bought} back with all of the credit", back)
        if row.topup_bonus is None or int(row.clawback) > row.topup_bonus:
            yield contradiction("B2", keys, f"at most {row.topup_bonus} of the bonus taken back", int(row.clawback))


def _is_whole(back: tuple[int, ...], bought: tuple[int, ...], unit: int) -> bool:
    """Tell whether all of the money went back with all of the credit.

    Where a gateway gave back less than all, what is rounded down as tax may be the last that is left.
    """
    _, net, tax = bought
    return back[1] == net and (tax - back[2]) * net < (net + tax) * unit


def _posted(book: int, refund_id: str, rows: list[Any]) -> Iterator[Finding]:
    refund, *transfers = rows
    keys = ("refund", refund_id)
    if refund.what != stored.REFUND:
        yield contradiction("L8", ("transfer", refund.transfer_id), f"the refund {refund_id}", "none")
        return
    yield from _state(refund, keys)
    reference = outside_hash(refund.gateway_refund_id or "") if refund.origin == "outside" else None
    yield from unless_equal("B7", keys, reference, refund.reference_hash)
    if refund.is_of_credit:
        due = _of_credit(book, refund_id, refund)
    else:
        due = _due(book, refund_id, refund) if refund.origin == "review" else {}
    earlier = {formulas.refunded(book, step, refund_id, turn) for step in _STEPS for turn in range(refund.turn)}
    undone = [row for row in transfers if (row.key_hash, row.fingerprint) in earlier]
    yield from unless_equal("L8", keys, due, _sums([row for row in transfers if row not in undone]))
    yield from unless_equal("L8", keys, {}, _left(undone))
    if refund.turn and not (refund.is_of_credit and refund.actor == f"gateway:{refund.gateway}"):
        yield contradiction("B7", keys, "posted anew only if it was made at the gateway", f"turn {refund.turn}")


Posting = tuple[Any, ...]
"""Kind, accounts, currency, actor, key and fingerprint of what a refund posts at a step."""


def _sums(transfers: list[Any]) -> dict[Posting, int]:
    """Sum what was posted: the credit of one step may come from several grants."""
    sums: dict[Posting, int] = {}
    for row in transfers:
        accounts = ((row.debit_kind, row.debit_owner), (row.credit_kind, row.credit_owner))
        posting = (row.kind, *accounts, row.posted_currency, row.posted_actor, row.key_hash, row.fingerprint)
        sums[posting] = sums.get(posting, 0) + row.moved
    return sums


def _left(undone: list[Any]) -> dict[tuple[Any, ...], int]:
    """Sum what earlier turns left in each account, by who posted it: nothing."""
    sums: dict[tuple[Any, ...], int] = {}
    for row in undone:
        for kind, owner, sign in ((row.debit_kind, row.debit_owner, -1), (row.credit_kind, row.credit_owner, 1)):
            place = (kind, owner, row.posted_currency, row.posted_actor)
            sums[place] = sums.get(place, 0) + sign * row.moved
    return {place: amount for place, amount in sums.items() if amount}


def _state(refund: Any, keys: tuple[str, str]) -> Iterator[Finding]:
    """Prove that origin, state, time of settling and the gateway's id of a refund say the same."""
    if refund.state not in REFUND_STEPS or refund.origin not in get_args(RefundOrigin):
        yield contradiction("B7", keys, "an origin, and a state that steps lead to", (refund.origin, refund.state))
    elif refund.settled_at is None and refund.state == "succeeded":
        yield contradiction("B7", keys, "settled when it succeeded", "never settled")
    elif refund.settled_at is not None and refund.state not in ("succeeded", *LOST_REFUNDS):
        yield contradiction("B7", keys, "a state that follows its settling", refund.state)
    elif refund.settled_at is not None and refund.gateway_refund_id is None:
        yield contradiction("B7", keys, "the gateway's id of a refund that succeeded", "none")


def _due(book: int, refund_id: str, refund: Any) -> dict[Posting, int]:
    """Give what a refund out of suspense posted on its way to its state."""
    clearing, gateway = ("clearing", refund.gateway), f"gateway:{refund.gateway}"
    ways = [("intended", _SUSPENSE, _TRANSIT, refund.actor)]
    if refund.settled_at is not None:
        ways.append(("settled", _TRANSIT, clearing, gateway))
    if refund.state in LOST_REFUNDS:
        returned = [("returned", clearing, _TRANSIT, gateway)] if refund.settled_at is not None else []
        ways += [*returned, ("lost", _TRANSIT, _SUSPENSE, gateway)]
    kind, currency = "suspense-refund", refund.currency
    return {
        (kind, debit, credit, currency, actor, *formulas.refunded(book, step, refund_id)): refund.amount
        for step, debit, credit, actor in ways
    }


def _of_credit(book: int, refund_id: str, refund: Any) -> dict[Posting, int]:
    """Give what a refund of credit posted on its way to its state."""
    wallet, promotion, tax = ("wallet", refund.customer), ("promotion", ""), ("tax_payable", "")
    source = ("clearing", "outside" if refund.origin == "outside" else refund.gateway)
    settler = refund.actor if refund.origin == "outside" else f"gateway:{refund.gateway}"
    over = refund.credit - refund.net
    settled = [
        (_TRANSIT, source, refund.net),
        (_TRANSIT, promotion, over),
        (tax, source, refund.tax),
        (("disputes", refund.gateway), source, refund.amount - refund.net - refund.tax),
    ]
    taken = [("refund", "intended", wallet, _TRANSIT, refund.credit)]
    taken.append(("clawback", "clawback", wallet, promotion, refund.clawback))
    steps = [(*line, refund.actor) for line in taken]
    if refund.settled_at is not None:
        steps += [("refund", "settled", *line, settler) for line in settled]
    if refund.state in LOST_REFUNDS:
        if refund.settled_at is not None:
            steps += [("refund-reversal", "returned", *_turned(line), settler) for line in settled]
        steps.append(("refund-reversal", "lost", _TRANSIT, wallet, refund.credit, settler))
        steps.append(("clawback", "unclawed", promotion, wallet, refund.clawback, settler))
    due: dict[Posting, int] = {}
    for kind, step, debit, credit, amount, actor in steps:
        ends = (debit, credit) if amount > 0 else (credit, debit)
        if amount:
            identity = formulas.refunded(book, step, refund_id, refund.turn)
            due[kind, *ends, refund.currency, actor, *identity] = abs(amount)
    return due


def _turned(line: tuple[Any, Any, int]) -> tuple[Any, Any, int]:
    debit, credit, amount = line
    return credit, debit, amount
