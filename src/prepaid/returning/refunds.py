"""The postings of a refund of credit: taken when it is intended, settled when the gateway gave it, undone if it failed.

Credit and claw-back leave the wallet at once and wait in transit; the discount,
the tax and the credit note are booked when the gateway says that the money went
back. A refund that fails gives the credit back to the grants it came from.
"""

from __future__ import annotations

from attrs import evolve

from .. import audit, customers, wallets
from ..config import Context
from ..core import keys
from ..core.clawback import by_gross
from ..core.documents import DocumentKind, InvoiceLine
from ..core.money import Money
from ..core.refund_requests import RequestState
from ..core.refunds import Refund, money_of
from ..core.taking import Taken
from ..core.transfers import IN_TRANSIT, PROMOTION, TAX_PAYABLE, AccountRef, clearing, disputed, moving_lines
from ..documents import CREDIT_NOTE, INVOICE, Change, Changes
from ..store import Tx, ledger, refund_requests, refunds
from ..store.ledger import Header, Label
from ..store.topups import StoredTopup
from ..wallets import moving
from .steps import OUTSIDE, Held, Prepared, header, held_wallet, hold_sold

INTENDED, CLAWED, SETTLED, RETURNED, LOST, UNCLAWED = (
    *("intended", "clawback", "settled", "returned", "lost", "unclawed"),
)
"""The steps of a refund that post."""


def paid_from(refund: Refund) -> AccountRef:
    """Name the account that the money of a refund leaves."""
    return OUTSIDE if refund.origin == "outside" else clearing(refund.gateway)


def take_for_refund(
    tx: Tx, context: Context, refund: Refund, *, held: Held, prepared: Prepared, own_only: bool
) -> None:
    """Take the credit and the claw-back of a refund from its wallet.

    Args:
        tx: The transaction that holds the top-up and its wallet.
        context: The billing system.
        refund: The refund, with what it takes.
        held: How its top-up stands.
        prepared: Accounts.
        own_only: It fits the top-up's own grants and what is free of the wallet; else it is taken all the same,
            below zero if need be.

    Raises:
        IntegrityFault: It has to fit, and does not.
    """
    credit, clawback = refund.credit.units, refund.clawback.units
    taken = held.own_grants(credit, clawback) if own_only else held.any_grants(tx, credit, clawback)
    takings = _takings(context, refund, taken)
    if takings:
        moving.take(tx, context, held.wallet, takings=takings, only_free=own_only, system=prepared.system)


def _takings(context: Context, refund: Refund, taken: Taken) -> list[moving.Taking]:
    asked = (
        ("refund", INTENDED, "Refund", taken.credit, IN_TRANSIT),
        ("clawback", CLAWED, "Bonus taken back", taken.clawed_back, PROMOTION),
    )
    return [
        moving.Taking(
            header=_header(context, refund, kind, step),
            label=Label(description=words),
            parts=parts,
            targets=((target, sum(part.amount for part in parts)),),
        )
        for kind, step, words, parts, target in asked
        if parts
    ]


def _header(context: Context, refund: Refund, kind: str, step: str, *, actor: str | None = None) -> Header:
    identity = keys.refunded(context.database.book_id, step, refund.id, refund.turn)
    return header(context, kind, cause=("refund", refund.id), identity=identity, actor=actor or refund.actor)  # type: ignore[arg-type]


def settle_refund(tx: Tx, context: Context, refund: Refund, *, customer: str, prepared: Prepared) -> Changes:
    """Book the money that went back with what of it is discount and tax, and give what a credit note has to say."""
    _post_settled(tx, context, refund, prepared)
    return _to_credit(tx, refund, customer)


def _post_settled(tx: Tx, context: Context, refund: Refund, prepared: Prepared) -> None:
    made = _header(context, refund, "refund", SETTLED, actor=_settler(refund))
    _post_system(tx, refund, made, prepared, sign=1)


def _to_credit(tx: Tx, refund: Refund, customer: str) -> Changes:
    return _change(tx, refund, customer, kind=CREDIT_NOTE, words="Refund of account credit")


def give_back_refund(tx: Tx, context: Context, refund: Refund, *, customer: str, prepared: Prepared) -> Changes:
    """Give the credit of a refund back that failed; of what was settled, give what an invoice has to say again.

    Args:
        tx: The transaction that moved the refund to its last state.
        context: The billing system.
        refund: The refund as it was before; settled if it ``settled_at`` some time.
        customer: Whose wallet.
        prepared: Accounts and series.
    """
    _undo(tx, context, refund, customer=customer, prepared=prepared)
    return _to_bill_again(tx, refund, customer)


def _undo(tx: Tx, context: Context, refund: Refund, *, customer: str, prepared: Prepared) -> None:
    actor = _settler(refund)
    if refund.settled_at is not None:
        made = _header(context, refund, "refund-reversal", RETURNED, actor=actor)
        _post_system(tx, refund, made, prepared, sign=-1)
    givings = _givings(tx, context, refund, actor=actor)
    if givings:
        wallet = held_wallet(tx, context, customer, refund.amount.currency)
        after, _ = moving.give(tx, wallet, givings=givings, system=prepared.system)
        moving.settle(tx, context, after, about=givings[-1].header.transaction_id)


def _to_bill_again(tx: Tx, refund: Refund, customer: str) -> Changes:
    if refund.settled_at is None:
        return ()
    return _change(tx, refund, customer, kind=INVOICE, words="Account credit, refund came back")


def rebook_refund(tx: Tx, context: Context, refund: Refund, *, topup: StoredTopup, prepared: Prepared) -> Changes:
    """Let a refund that is short take more of its top-up, if there is more now.

    What is posted of it is undone and posted anew, over all that there is. Gives what
    is to be documented of that.

    Args:
        tx: The transaction that holds the top-up's row.
        context: The billing system.
        refund: A refund that was made at the gateway, as it is stored.
        topup: Its top-up.
        prepared: Accounts and series.
    """
    held = hold_sold(tx, context, topup)
    assert held is not None  # noqa: S101 - a refund of credit is of a credited top-up
    part = by_gross(held.sold.bought, refund.amount.minor, held.sold.before - refund.returned)
    if part.gross_minor <= refund.returned.gross_minor:
        return ()
    customer = topup.topup.customer
    _undo(tx, context, refund, customer=customer, prepared=prepared)
    again = evolve(refund, turn=refund.turn + 1, **money_of(part, refund.amount.currency))
    held, kept = hold_sold(tx, context, topup), refunds.rebook(tx, again)
    assert held is not None and kept  # noqa: S101, PT018 - its top-up's row is held
    take_for_refund(tx, context, again, held=held, prepared=prepared, own_only=False)
    figures = [{"credit": str(each.credit), "net": str(each.net), "tax": str(each.tax)} for each in (refund, again)]
    audit.record(
        tx,
        context,
        actor=refund.actor,
        action="refund-rebooked",
        target=refund.id,
        customer=customer,
        before=figures[0],
        after=figures[1],
    )
    if again.settled_at is None:
        return ()
    before = _to_bill_again(tx, refund, customer)
    return before + settle_refund(tx, context, again, customer=customer, prepared=prepared)


def _givings(tx: Tx, context: Context, refund: Refund, *, actor: str) -> list[moving.Giving]:
    """Give the bonus back first: on a debt it pays before the credit that was bought."""
    book = context.database.book_id
    asked = (
        (CLAWED, _header(context, refund, "clawback", UNCLAWED, actor=actor), "Bonus given back", PROMOTION),
        (INTENDED, _header(context, refund, "refund-reversal", LOST, actor=actor), "Refund came back", IN_TRANSIT),
    )
    givings = []
    for step, made, words, source in asked:
        taken = keys.refunded(book, step, refund.id, refund.turn)
        parts = moving.charged_parts(tx, ledger.taken_parts(tx, taken.key_hash))
        amount = sum(part.amount for part in parts)
        if amount:
            label = Label(description=words)
            givings.append(moving.Giving(header=made, label=label, parts=parts, sources=((source, amount),)))
    return givings


def _settler(refund: Refund) -> str:
    """Name who says that the money went back, or did not: the gateway, or who made it outside of any."""
    return refund.actor if refund.origin == "outside" else f"gateway:{refund.gateway}"


def _post_system(tx: Tx, refund: Refund, made: Header, prepared: Prepared, *, sign: int) -> None:
    """Move what a refund settled between the book's own accounts, or back with ``sign`` -1.

    Money above what is left of the payment was lost to a dispute before: it is the seller's loss.
    """
    source, net, tax = paid_from(refund), refund.net.units, refund.tax.units
    excess = refund.amount.units - net - tax
    flows = (
        (IN_TRANSIT, source, net),
        (IN_TRANSIT, PROMOTION, refund.credit.units - net),
        (TAX_PAYABLE, source, tax),
        (disputed(refund.gateway), source, excess),
    )
    lines = moving_lines((debit, credit, sign * amount) for debit, credit, amount in flows)
    wallets.post_system(tx, made, lines, currency=refund.amount.currency, system=prepared.system)


def _change(tx: Tx, refund: Refund, customer: str, *, kind: DocumentKind, words: str) -> Changes:
    """Give what a document says of a refund; nothing of one that found nothing of its payment."""
    if not refund.net + refund.tax:
        return ()
    change = Change(
        kind=kind,
        topup_id=refund.topup_id,
        cause_id=refund.id,
        turn=refund.turn,
        net=refund.net,
        tax=refund.tax,
        lines=document_lines(words, credit=refund.credit, clawback=refund.clawback, net=refund.net),
        customer=customers.get(tx, customer),
    )
    return (change,)


def document_lines(words: str, *, credit: Money, clawback: Money, net: Money) -> tuple[InvoiceLine, ...]:
    """Give the lines of a document over a part of a top-up: the credit at its price, a bonus that goes with it."""
    lines = [InvoiceLine(description=f"{words} {credit}", net=net)]
    if clawback:
        lines.append(InvoiceLine(description=f"Bonus credit {clawback}", net=Money.zero(net.currency)))
    return tuple(lines)


def follow(tx: Tx, refund: Refund, target: RequestState) -> None:
    """Move the request that a refund answers to where the refund is."""
    if refund.request_id is not None:
        refund_requests.follow(tx, refund.id, target)
