"""The postings of a dispute: money that a gateway took, gave back, or kept.

While disputes are open what is left of their top-up is held as one amount, once
however many they are. One that is lost takes the credit from the top-up's own grants,
then from others, then below zero, and is documented by a credit note; one that is
won after all gives it back, with an invoice.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from .. import audit, customers, wallets
from ..config import Context
from ..core import keys
from ..core.clawback import by_gross
from ..core.documents import DocumentKind
from ..core.grants import NEVER
from ..core.holds import Hold
from ..core.money import Money
from ..core.refund_requests import DISPUTES_SETTING
from ..core.refunds import Dispute, DisputeBooked, DisputeStep, dispute_steps, money_of
from ..core.transfers import FEES, PROMOTION, TAX_PAYABLE, SystemKind, TransactionKind, clearing, disputed, moving_lines
from ..documents import CREDIT_NOTE, INVOICE, Change, Changes
from ..store import Tx, accounts, disputes, holds, ledger, operations, standings
from ..store import customers as customer_rows
from ..store.disputes import StoredDispute
from ..store.ledger import Header, Label
from ..store.standings import Sold
from ..store.topups import StoredTopup
from ..wallets import due, moving
from .refunds import document_lines
from .steps import Held, Prepared, header, hold_sold

Kind = TransactionKind | SystemKind


def book_dispute(
    tx: Tx, context: Context, dispute_id: str, *, topup: StoredTopup, prepared: Prepared
) -> Changes | None:
    """Post what is still to be posted of a dispute, and give what is to be documented; None if it posts nothing.

    Nothing is posted while its top-up is not credited, or in another currency
    than that was paid in.

    Args:
        tx: The transaction that holds the top-up's row.
        context: The billing system.
        dispute_id: The dispute.
        topup: Its top-up.
        prepared: Accounts and series.
    """
    stored = disputes.hold(tx, dispute_id)
    if stored is None or stored.dispute.amount.currency != topup.topup.total.currency:
        return None
    steps = dispute_steps(stored.dispute)
    if not steps and not stored.unbooked_fee:
        return None
    held = hold_sold(tx, context, topup)
    if held is None:
        return None
    return _book(tx, context, _Act(stored, held, prepared, f"gateway:{stored.dispute.gateway}"), steps)


def rebook_dispute(tx: Tx, context: Context, dispute_id: str, *, topup: StoredTopup, prepared: Prepared) -> Changes:
    """Let a dispute that is lost take more of its top-up, if there is more now.

    What is posted of it is undone and posted anew, over all that there is. Gives what
    is to be documented of that.

    Args:
        tx: The transaction that holds the top-up's row.
        context: The billing system.
        dispute_id: The dispute.
        topup: Its top-up.
        prepared: Accounts and series.
    """
    stored, held = disputes.hold(tx, dispute_id), hold_sold(tx, context, topup)
    assert stored is not None and held is not None  # noqa: S101, PT018 - one that is lost is of a credited top-up
    dispute = stored.dispute
    part = by_gross(held.sold.bought, dispute.withdrawn.minor, held.sold.before - dispute.returned)
    if part.gross_minor <= dispute.returned.gross_minor:
        return ()
    # What was posted is what counts: one that is appealed may be about another amount by now.
    stored = evolve(stored, dispute=evolve(dispute, amount=dispute.withdrawn))
    return _book(tx, context, _Act(stored, held, prepared, f"gateway:{dispute.gateway}"), ("restored", "lost"))


def hold_again(tx: Tx, context: Context, dispute_id: str, *, topup: StoredTopup, prepared: Prepared) -> None:
    """Let an open dispute hold what no dispute holds of its top-up, and no more than may still be taken of that.

    Args:
        tx: The transaction that holds the top-up's row.
        context: The billing system.
        dispute_id: A dispute for which the money is withdrawn.
        topup: Its top-up.
        prepared: Accounts and series.
    """
    stored, held = disputes.hold(tx, dispute_id), hold_sold(tx, context, topup)
    assert stored is not None and held is not None  # noqa: S101, PT018 - it is posted, so its top-up is credited
    act, before = _Act(stored, held, prepared, f"gateway:{stored.dispute.gateway}"), _State.of(stored)
    after = _keep(tx, context, act, before)
    if after != before:
        _remember(tx, context, act, after)
        due.sweep(tx, context, _wallet(tx, act))  # credit past its date that only the hold kept


def _remember(tx: Tx, context: Context, act: _Act, after: _State) -> None:
    """End a turn: post what is still to be posted of the fee, and keep what is posted by now."""
    _book_fee(tx, context, act)
    kept = {"booked": after.booked, "hold_id": after.hold_id, "lost_turn": after.lost_turn}
    recorded = disputes.book(tx, act.stored, **kept, **after.figures)  # type: ignore[arg-type]
    assert recorded  # noqa: S101 - its row is held


def _book(tx: Tx, context: Context, act: _Act, steps: Sequence[DisputeStep]) -> Changes:
    """Post the steps of one turn, and give what is to be documented of them."""
    after = _State.of(act.stored)
    for step in steps:
        after = _STEPS[step](tx, context, act, after)
    if "withdrawn" in steps and "lost" not in steps:
        _freeze(tx, context, act)
        after = _keep(tx, context, act, after)
        # Changed also if there is nothing to hold: who sets credit free on an older snapshot has to look again.
        ledger.mark_replayed(tx, act.held.wallet.id, context.now())
    _remember(tx, context, act, after)
    return after.changes


@frozen
class _Act:
    """One turn of a dispute: the dispute as it was, its top-up, and who says so."""

    stored: StoredDispute
    held: Held
    prepared: Prepared
    actor: str

    @property
    def dispute(self) -> Dispute:
        """The dispute."""
        return self.stored.dispute

    def header(self, context: Context, kind: Kind, step: str) -> Header:
        """Make the header of a step of this turn."""
        identity = keys.disputed(context.database.book_id, step, self.dispute.id, self.stored.turn)
        return header(context, kind, cause=("dispute", self.dispute.id), identity=identity, actor=self.actor)


@frozen(kw_only=True)
class _State:
    """What is posted of a dispute while its steps are."""

    booked: DisputeBooked
    hold_id: str | None
    lost_turn: int | None
    figures: dict[str, Money]
    changes: Changes = ()

    @classmethod
    def of(cls, stored: StoredDispute) -> _State:
        """Begin with what was posted before."""
        names = ("withdrawn", "credit", "clawback", "net", "tax")
        figures = {name: getattr(stored.dispute, name) for name in names}
        return cls(booked=stored.dispute.booked, hold_id=stored.hold_id, lost_turn=stored.lost_turn, figures=figures)

    def documented(self, changes: Changes) -> _State:
        """Add what is to be documented of a step to what is of the steps before it."""
        return evolve(self, changes=self.changes + changes)


def _withdraw(tx: Tx, context: Context, act: _Act, before: _State) -> _State:
    gateway, amount = act.dispute.gateway, act.dispute.amount
    made = act.header(context, "dispute", "withdrawn")
    lines = moving_lines([(disputed(gateway), clearing(gateway), amount.units)])
    wallets.post_system(tx, made, lines, currency=amount.currency, system=act.prepared.system)
    return evolve(before, booked="withdrawn", figures={"withdrawn": amount})


def _regain(tx: Tx, context: Context, act: _Act, before: _State) -> _State:
    gateway, amount = act.dispute.gateway, before.figures["withdrawn"]
    made = act.header(context, "dispute-reversal", "regained")
    lines = moving_lines([(clearing(gateway), disputed(gateway), amount.units)])
    wallets.post_system(tx, made, lines, currency=amount.currency, system=act.prepared.system)
    _let_go(tx, context, act, before)
    due.sweep(tx, context, _wallet(tx, act))
    return evolve(before, booked="won", hold_id=None, figures={})


def _lose(tx: Tx, context: Context, act: _Act, before: _State) -> _State:
    """Take the credit, and book what of the money was tax of it and what a discount had added."""
    _let_go(tx, context, act, before)
    dispute, held = act.dispute, _held_again(tx, context, act)
    returned = by_gross(held.sold.bought, dispute.amount.minor, held.sold.before)
    figures = money_of(returned, dispute.amount.currency)
    taken = held.any_grants(tx, returned.credit, returned.clawed_back)
    net, credit = figures["net"].units, returned.credit
    lost = disputed(dispute.gateway)
    takings = [
        moving.Taking(
            header=act.header(context, "dispute", "lost"),
            label=Label(description="Payment disputed and lost"),
            parts=taken.credit,
            targets=((lost, min(net, credit)), (PROMOTION, max(0, credit - net))),
        ),
        moving.Taking(
            header=act.header(context, "clawback", "lost-clawback"),
            label=Label(description="Bonus taken back"),
            parts=taken.clawed_back,
            targets=((PROMOTION, returned.clawed_back),),
        ),
    ]
    asked = [taking for taking in takings if taking.parts]
    if asked:
        moving.take(tx, context, held.wallet, takings=asked, only_free=False, system=act.prepared.system)
    _post_tax(tx, context, act, figures, step="lost-tax", sign=1)
    due.sweep(tx, context, _wallet(tx, act))
    posted, turn = figures | {"withdrawn": dispute.amount}, act.stored.turn
    after = evolve(before, booked="lost", hold_id=None, lost_turn=turn, figures=posted)
    words = "Disputed payment: account credit"
    return after.documented(_change(tx, act, figures, kind=CREDIT_NOTE, turn=turn, words=words))


def _held_again(tx: Tx, context: Context, act: _Act) -> Held:
    """Read how the top-up stands after the steps before, without what the dispute itself had taken of it."""
    sold = standings.sold(tx, act.dispute.topup_id, context.now()) or act.held.sold
    if act.dispute.booked == "lost":
        sold = evolve(sold, before=sold.before - act.dispute.returned)
    return evolve(act.held, sold=sold, wallet=_wallet(tx, act))


def _restore(tx: Tx, context: Context, act: _Act, before: _State) -> _State:
    """Give back what a dispute took that was lost, to the grants that it came from."""
    book, dispute, turn = context.database.book_id, act.dispute, before.lost_turn or 0
    net, credit = before.figures["net"].units, before.figures["credit"].units
    lost = disputed(dispute.gateway)
    asked = (
        ("lost-clawback", "clawback", "restored-clawback", "Bonus given back", ((PROMOTION, None),)),
        (
            *("lost", "dispute-reversal", "restored", "Dispute won"),
            ((lost, min(net, credit)), (PROMOTION, max(0, credit - net))),
        ),
    )
    givings = []
    for taken_at, kind, step, words, sources in asked:
        found = ledger.taken_parts(tx, keys.disputed(book, taken_at, dispute.id, turn).key_hash)
        total = sum(part.amount for part in found)
        if total:
            givings.append(
                moving.Giving(
                    header=act.header(context, kind, step),  # type: ignore[arg-type]
                    label=Label(description=words),
                    parts=moving.charged_parts(tx, found),
                    sources=tuple((ref, total if units is None else units) for ref, units in sources),
                )
            )
    if givings:
        after, _ = moving.give(tx, _wallet(tx, act), givings=givings, system=act.prepared.system)
        moving.settle(tx, context, after, about=givings[-1].header.transaction_id)
    _post_tax(tx, context, act, before.figures, step="restored-tax", sign=-1)
    left = {"withdrawn": before.figures["withdrawn"]}
    restored = evolve(before, booked="withdrawn", lost_turn=None, figures=left)
    words = "Account credit, dispute won"
    return restored.documented(_change(tx, act, before.figures, kind=INVOICE, turn=turn, words=words))


_STEPS = {"restored": _restore, "regained": _regain, "withdrawn": _withdraw, "lost": _lose}


def _post_tax(tx: Tx, context: Context, act: _Act, figures: dict[str, Money], *, step: str, sign: int) -> None:
    lost, over = disputed(act.dispute.gateway), figures["net"].units - figures["credit"].units
    flows = ((TAX_PAYABLE, lost, sign * figures["tax"].units), (PROMOTION, lost, sign * max(0, over)))
    lines = moving_lines(flows)
    if lines:
        made = act.header(context, "dispute" if sign > 0 else "dispute-reversal", step)
        wallets.post_system(tx, made, lines, currency=act.dispute.amount.currency, system=act.prepared.system)


def _change(tx: Tx, act: _Act, figures: dict[str, Money], *, kind: DocumentKind, turn: int, words: str) -> Changes:
    """Give what a document says of what a dispute takes, or gives back; nothing if that is no money."""
    if not figures["net"] + figures["tax"]:
        return ()
    change = Change(
        kind=kind,
        topup_id=act.dispute.topup_id,
        cause_id=act.dispute.id,
        turn=turn,
        net=figures["net"],
        tax=figures["tax"],
        lines=document_lines(words, credit=figures["credit"], clawback=figures["clawback"], net=figures["net"]),
        customer=customers.get(tx, act.held.stored.topup.customer),
    )
    return (change,)


def _keep(tx: Tx, context: Context, act: _Act, after: _State) -> _State:
    """Hold what is left of the top-up as one amount, as far as nothing else reserves it."""
    wallet, known = _wallet(tx, act), holds.of_disputes(tx, act.dispute.topup_id)
    amount = known.get(act.dispute.id, 0)
    change = _more_to_hold(act.held.sold, sum(known.values()), own=amount, free=wallet.balance - wallet.held)
    if not change or (change > 0 and not ledger.reserve(tx, wallet.id, change)):
        return after
    if change < 0:
        ledger.take(tx, wallet.id, 0, rows=0, unhold=-change)
    _end_hold(tx, context, after)
    if not amount + change:
        return evolve(after, hold_id=None)
    return evolve(after, hold_id=_add_hold(tx, context, act, wallet=wallet, amount=amount + change))


def _more_to_hold(sold: Sold, held: int, *, own: int, free: int) -> int:
    """Say how much more a dispute has to hold of its top-up, or how much less.

    Usage that burned what is held lessens nothing: a loss takes other credit then. What
    went back by other ways does, as no loss can take it.
    """
    went_back = sold.before.credit + sold.before.clawed_back
    most = max(0, sold.bought.credit + sold.bought.bonus - went_back)
    if held > most:
        return -min(own, held - most)
    return max(0, min(sold.own.paid_left + sold.own.bonus_left - held, free))


def _add_hold(tx: Tx, context: Context, act: _Act, *, wallet: accounts.Wallet, amount: int) -> str:
    currency, now = wallet.currency, context.now()
    hold = Hold(
        id=context.ids.new("hld"),
        customer=wallet.owner,
        amount=Money(amount, currency),
        state="open",
        captured=Money.zero(currency),
        expires_at=NEVER,
        created_at=now,
        description="Disputed payment",
        dispute_id=act.dispute.id,
    )
    identity = keys.disputed(context.database.book_id, "hold", act.dispute.id, act.stored.turn)
    holds.add(tx, hold, wallet.id, key_hash=identity.key_hash, fingerprint=identity.fingerprint)
    return hold.id


def _freeze(tx: Tx, context: Context, act: _Act) -> None:
    policy = operations.read_setting(tx, DISPUTES_SETTING) or {}
    customer = act.held.stored.topup.customer
    if policy.get("freeze") and customer_rows.set_frozen(tx, customer, context.now()):
        audit.of_customer(tx, context, customer, actor="system", action="freeze", reason=f"dispute {act.dispute.id}")


def _let_go(tx: Tx, context: Context, act: _Act, before: _State) -> None:
    """Release the hold of the dispute, if there is one."""
    amount = _end_hold(tx, context, before)
    if amount:
        ledger.take(tx, act.held.wallet.id, 0, rows=0, unhold=amount)


def _end_hold(tx: Tx, context: Context, before: _State) -> int:
    """End the hold of the dispute, if there is one that is open, and say how much it was."""
    hold = None if before.hold_id is None else holds.read_held(tx, before.hold_id)
    if hold is None or not holds.close(tx, hold.id, state="released", now=context.now()):
        return 0
    return hold.amount.units


def _wallet(tx: Tx, act: _Act) -> accounts.Wallet:
    """Read the wallet as the steps before left it."""
    return accounts.hold_wallet_by_id(tx, act.held.wallet.id) or act.held.wallet


def _book_fee(tx: Tx, context: Context, act: _Act) -> None:
    """Post what the gateway keeps for the dispute, or gave back of that."""
    fee, units = act.dispute.fee, act.stored.unbooked_fee
    if fee is not None and units:
        made = act.header(context, "fee", "fee")
        lines = moving_lines([(FEES, clearing(act.dispute.gateway), units)])
        wallets.post_system(tx, made, lines, currency=fee.currency, system=act.prepared.fees)


__all__ = ["DisputeStep", "book_dispute", "hold_again", "rebook_dispute"]
