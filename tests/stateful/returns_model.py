"""What a book must say when money goes back, worked out in plain Python from its design and nothing else.

Credit is in ledger units, money in cents, shares are fractions. What went back of a
top-up is a list, and every sum is made anew from it. The plain purse with its
lots, debts and holds is that of `tests.stateful.model`.
"""

from __future__ import annotations

import copy
from collections import Counter
from datetime import datetime
from fractions import Fraction
from math import ceil, floor
from typing import Final

from attrs import define, field

from .model import FOREVER, Lot, Part, Purse, Refused, Reserve, Spent

CENT: Final = 10_000
"""Ledger units of a cent."""

NO_MONEY: Final = "gateway-limit"
"""Why credit that is worth less than a cent is not given back."""

GIVEN_BACK: Final = ("transit", "settled")


def tax_on(net: int, percents: list[str]) -> int:
    """Add up the taxes on cents, each rounded half up."""
    return sum(floor(Fraction(percent) * net / 100 + Fraction(1, 2)) for percent in percents)


def share_of(cents: int, percent: str) -> int:
    """Give a percentage of cents, rounded down."""
    return floor(Fraction(percent) * cents / 100)


@define(eq=False)
class Back:
    """What went back of a top-up at once: credit with its money, and the bonus that was taken back with it.

    It is in ``transit``, ``settled``, or ``undone`` and counts no more.
    """

    credit: int
    clawback: int
    net: int
    tax: int
    state: str = "transit"
    taken: list[Part] = field(factory=list)
    clawed: list[Part] = field(factory=list)
    excess: int = 0  # cents that a gateway gave back beyond what was left of the payment
    request: Request | None = None
    by_desk: bool = False  # operators decided it

    @property
    def cash(self) -> int:
        """The money that goes back for the credit."""
        return self.net + self.tax

    @property
    def counts(self) -> bool:
        """It has not failed."""
        return self.state in GIVEN_BACK


@define(eq=False)
class Seen:
    """A refund as the provider has it, and what is booked for it."""

    gross: int
    state: str
    back: Back | None = None
    heard: bool = False


@define(eq=False)
class Dispute:
    """A dispute as the provider has it, and what is booked of it."""

    gross: int
    state: str
    booked: str = ""
    heard: bool = False
    back: Back | None = None
    reserve: Reserve | None = None

    @property
    def withdrawn(self) -> bool:
        """The money left for it, and what becomes of it is open."""
        return self.booked == "withdrawn"


@define(eq=False)
class Sale:
    """A credited top-up: what was bought for how much, and what went back of it since."""

    who: str
    paid: Lot
    bonus: Lot | None
    net: int
    tax: int
    backs: list[Back] = field(factory=list)
    seen: list[Seen] = field(factory=list)
    disputes: list[Dispute] = field(factory=list)
    requests: list[Request] = field(factory=list)
    lapsed: bool = False  # the date of its bonus has passed, though a hold may keep it
    documents: list[tuple[str, int, int]] = field(factory=list)

    @property
    def credit(self) -> int:
        """C: the credit that was bought."""
        return self.paid.size

    @property
    def total(self) -> int:
        """X: what was paid, with tax."""
        return self.net + self.tax

    @property
    def own(self) -> list[Lot]:
        """Its paid credit, then its bonus before its date."""
        return [self.paid] if self.bonus is None or self.lapsed else [self.paid, self.bonus]

    @property
    def own_left(self) -> int:
        """What is unspent of both."""
        return sum(lot.left for lot in self.own)

    @property
    def beta(self) -> Fraction:
        """How much bonus stands beside a unit of credit: what lapsed or was voided does not."""
        if self.bonus is None:
            return Fraction(0)
        gone = self.bonus.gone + (self.bonus.left if self.lapsed else 0)
        return Fraction(self.bonus.size - gone, self.credit)

    @property
    def counted(self) -> list[Back]:
        """What went back and did not fail."""
        return [back for back in self.backs if back.counts]

    @property
    def returned(self) -> int:
        """R: the credit that went back."""
        return sum(back.credit for back in self.counted)

    @property
    def cash_back(self) -> int:
        """The money that went back for credit."""
        return sum(back.cash for back in self.counted)

    @property
    def cash_left(self) -> int:
        """Captured less refunded less charged back, as far as is known."""
        lost = [dispute.back for dispute in self.disputes]
        refunded = sum(back.cash + back.excess for back in self.counted if back not in lost)
        charged_back = sum(dispute.gross for dispute in self.disputes if dispute.booked in ("withdrawn", "lost"))
        return self.total - refunded - charged_back

    def clawback_of(self, credit: int) -> int:
        """Give k of a refund of so much credit."""
        return max(0, ceil(self.beta * (self.returned + credit)) - sum(back.clawback for back in self.counted))

    def money_of(self, credit: int) -> tuple[int, int]:
        """Give n and t of a refund of so much credit."""
        share = Fraction(self.returned + credit, self.credit)
        net = floor(share * self.net) - sum(back.net for back in self.counted)
        tax = floor(share * self.tax) - sum(back.tax for back in self.counted)
        return max(0, net), max(0, tax)

    def back_of_credit(self, credit: int) -> Back:
        """Work out a refund of so much credit."""
        return Back(credit, self.clawback_of(credit), *self.money_of(credit))

    def back_of_gross(self, gross: int) -> Back:
        """Work out what so much money with its tax is, however it went back: all of it together is rounded once."""
        within = min(gross, self.total - self.cash_back)
        share = Fraction(self.cash_back + within, self.total)
        tax = max(0, floor(share * self.tax) - sum(back.tax for back in self.counted))
        net = within - tax
        paid_back = net + sum(back.net for back in self.counted)
        credit = max(0, ceil(Fraction(paid_back * self.credit, self.net)) - self.returned)
        return Back(credit, self.clawback_of(credit), net, tax, excess=gross - within)

    def fits(self, credit: int, free: int, cash: int) -> bool:
        """Tell whether so much credit may be given back, with its bonus, of its own and with nothing held."""
        both = credit + self.clawback_of(credit)
        return both <= min(self.own_left, free) and sum(self.money_of(credit)) <= cash

    def most(self, free: int, cash: int | None = None) -> int:
        """Give the most credit that may be asked back, in whole cents."""
        cash = self.cash_left if cash is None else cash
        bounds = [self.paid.left, floor(self.own_left / (1 + self.beta)), self.credit - self.returned, free]
        credit = max(0, min(bounds)) // CENT * CENT
        while credit and not self.fits(credit, free, cash):
            credit -= CENT
        return credit

    def why_not_more(self, free: int) -> str:
        """Say what keeps the rest of it from going back."""
        most = self.most(free)
        if most == self.credit:
            return ""
        if most < self.most(self.own_left):
            return "held"
        if most + CENT > self.credit - self.returned or most < self.most(free, self.total):
            return "refunded"
        return "promotional" if most + CENT <= self.paid.left else "spent"

    @property
    def is_disputed(self) -> bool:
        """The money of it left for a dispute that is open."""
        return any(dispute.withdrawn for dispute in self.disputes)


@define(eq=False)
class Request:
    """What a customer asked back, and what became of it."""

    who: str
    subject: Sale | Spent
    amount: int
    key: str
    state: str = "requested"
    approved: int | None = None
    confirmed_by: str = ""
    back: Back | None = None

    @property
    def is_open(self) -> bool:
        """Nobody has decided yet."""
        return self.state in ("requested", "confirming")


@define(eq=False)
class Eligible:
    """How much of something may be asked back, and why not more."""

    credit: int
    cash: int = 0
    tax: int = 0
    clawback: int = 0
    reason: str = ""


@define(eq=False)
class Wallet(Purse):
    """A purse with what was bought for it, what was asked back, and what went back."""

    sales: list[Sale] = field(factory=list)
    requests: list[Request] = field(factory=list)
    freed: bool = False  # something came free that disputes have not looked at

    @property
    def free(self) -> int:
        """What no hold reserves; an overdraft is nothing to give back."""
        return self.balance - self.held

    def look(self, now: datetime) -> None:
        """Deal with what is due, and see whose bonus has passed its date."""
        super().look(now)
        for sale in self.sales:
            sale.lapsed = sale.bonus is not None and sale.bonus.lapses <= now

    def as_of(self, now: datetime) -> Wallet:
        """Give a copy in which everything that is due was dealt with."""
        soon = copy.deepcopy(self)
        soon.look(now)
        return soon

    def same(self, other: Wallet, subject: Sale | Spent) -> Sale | Spent:
        """Find here what another copy of this wallet has."""
        if isinstance(subject, Sale):
            return self.sales[other.sales.index(subject)]
        return self.charges[other.charges.index(subject)]

    def leave(self, amount: int, account: str) -> None:
        """Let an amount, whose lots were dealt with, leave the balance for an account."""
        self._move(-amount, account)

    # What may be asked back

    def eligible(self, subject: Sale | Spent, *, answering: Request | None = None, by_hand: bool = False) -> Eligible:
        """Say how much of a top-up or a charge may be asked back."""
        asked = any(request.is_open and request.subject is subject for request in self.requests)
        asked = asked and answering is None and not by_hand
        if isinstance(subject, Spent):
            reason = "requested" if asked else "refunded" if subject.returned else ""
            return Eligible(0 if asked else subject.left, reason=reason)
        if not subject.total:
            return Eligible(0, reason="unpaid")
        if subject.is_disputed:
            return Eligible(0, reason="disputed")
        if asked:
            return Eligible(0, reason="requested")
        most = subject.most(self.free)
        back = subject.back_of_credit(most) if most else Back(0, 0, 0, 0)
        if most and not back.cash:
            return Eligible(0, reason=NO_MONEY)
        return Eligible(most, back.cash, back.tax, back.clawback, subject.why_not_more(self.free))

    # Taking and giving back

    def take_own(self, sale: Sale, back: Back) -> None:
        """Take the bonus back first from the bonus, and credit from what was bought."""
        bonus_first = sale.own[::-1]
        back.clawed = self.take(back.clawback, bonus_first)
        back.taken = self.take(back.credit, [sale.paid])
        assert all(part.lot is not None for part in back.clawed + back.taken), "a refund makes no debt"

    def take_wherever(self, sale: Sale, back: Back) -> None:
        """Take from the top-up's own credit, its bonus, other credit as it burns, then below zero."""
        others = [lot for lot in self.in_turn() if lot not in sale.own]
        back.taken = self.take(back.credit, [*sale.own, *others])
        back.clawed = self.take(back.clawback, [*sale.own[::-1], *others])

    def take(self, amount: int, lots: list[Lot]) -> list[Part]:
        """Take an amount from lots in their order, and the rest from none; give what came from where."""
        parts = []
        for lot in lots:
            taken = 0 if lot.waiting else min(amount, lot.left)
            if taken:
                lot.left -= taken
                amount -= taken
                parts.append(Part(lot, taken))
        return [*parts, Part(None, amount)] if amount else parts

    def put(self, parts: list[Part], account: str) -> None:
        """Give parts back where they came from, as credit that arrives: what was below zero first."""
        for part in [p for p in parts if p.lot is None] + [p for p in parts if p.lot is not None]:
            if part.lot is None:
                self._unpay(part.amount)
            else:
                self._return(part.lot, part.amount)
            self._move(part.amount, account)

    # What comes free while it is disputed

    def sweep(self, now: datetime) -> None:
        """See whether a hold lapses: what that sets free is held by disputes later."""
        lapses = any(reserve.state == "open" and reserve.lapses <= now for reserve in self.reserves)
        super().sweep(now)
        self.freed = self.freed or (lapses and self.is_disputed)

    def reverse(self, spent: Spent, amount: int | None, now: datetime, *, lapses: datetime | None = None) -> int:
        """Give usage back, and let disputes hold what is theirs of it."""
        after = super().reverse(spent, amount, now, lapses=lapses)
        self.hold_all_again(now)
        return after

    def capture(self, reserve: Reserve, amount: int, now: datetime, *, resource: str) -> int:
        """Charge a hold, and let disputes hold what is theirs of its rest."""
        after = super().capture(reserve, amount, now, resource=resource)
        if amount < reserve.amount:
            self.hold_all_again(now)
        return after

    def release(self, reserve: Reserve, now: datetime) -> None:
        """Free what a hold reserves, and let disputes hold what is theirs of it."""
        self.look(now)
        was_open = reserve.state == "open"
        super().release(reserve, now)
        if was_open:
            self.hold_all_again(now)

    def effects_are_had(self, now: datetime) -> None:
        """Let disputes hold what came free."""
        if self.freed:
            self.hold_all_again(now)
        self.freed = False

    @property
    def is_disputed(self) -> bool:
        """Money of some top-up left for a dispute that is open."""
        return any(sale.is_disputed for sale in self.sales)

    def hold_all_again(self, now: datetime) -> None:
        """Hold what is left of every top-up that is disputed, as far as it is not held, the oldest first."""
        for sale in self.sales:
            if sale.is_disputed:
                self.look(now)
                self.hold_again(sale, now)

    def hold_again(self, sale: Sale, now: datetime, which: list[Dispute] | None = None) -> None:
        """Hold what is left of a top-up that is disputed, as far as no dispute does and nothing else reserves it.

        All disputes hold no more than may still be taken: what was bought less what went back.
        """
        for dispute in sale.disputes if which is None else which:
            reserves = [each.reserve for each in sale.disputes if each.reserve is not None]
            held = sum(reserve.amount for reserve in reserves if reserve.state == "open")
            gone = sum(back.credit + back.clawback for back in sale.counted)
            most = sale.credit + int(sale.beta * sale.credit) - gone
            if dispute.withdrawn and dispute.reserve is not None and held > most:
                dispute.reserve.amount -= min(dispute.reserve.amount, held - most)
                self.sweep(now)
                continue
            more = min(sale.own_left - held, self.free)
            if dispute.withdrawn and more > 0:
                if dispute.reserve is None:
                    dispute.reserve = Reserve(0, FOREVER)
                    self.reserves.append(dispute.reserve)
                dispute.reserve.amount += more


@define(eq=False)
class Book:
    """All wallets of a book, and what moved between its own accounts."""

    wallets: dict[str, Wallet]
    accounts: Counter[str] = field(factory=Counter)
    figures: Counter[str] = field(factory=Counter)
    two_above: int | None = None
    recorded: dict[str, tuple[Sale, int]] = field(factory=dict)

    def move(self, cents: int, debit: str, credit: str) -> None:
        """Move money between accounts of the book's own."""
        self.accounts[debit] -= cents * CENT
        self.accounts[credit] += cents * CENT

    # Buying

    def sell(self, who: str, paid: Lot, bonus: Lot | None, *, net: int, tax: int, now: datetime) -> Sale:
        """Credit a top-up: a bonus pays a debt first, then what was bought."""
        wallet, sale = self.wallets[who], Sale(who, paid, bonus, net, tax)
        for lot in [paid] if bonus is None else [bonus, paid]:
            wallet.give(lot, now)
        self.move(tax, "clearing", "tax_payable")
        wallet.sales.append(sale)
        sale.documents.append(("invoice", net, tax))
        self.figures.update(funds_in=sale.total * CENT, discount=paid.discount)
        return sale

    # Asking and deciding

    def ask(self, who: str, subject: Sale | Spent, amount: int, *, key: str, now: datetime) -> Request:
        """Ask for something back; the same key again is the same request."""
        wallet = self.wallets[who]
        for request in wallet.requests:
            if request.key == key:
                if (request.subject, request.amount) != (subject, amount):
                    raise Refused("key-conflict", "")
                return request
        if wallet.frozen:
            raise Refused("customer-frozen", "")
        seen = wallet.as_of(now)
        found = seen.eligible(seen.same(wallet, subject))
        if amount > found.credit:
            raise Refused("refund-refused", found.reason or "spent")
        if isinstance(subject, Sale) and not sum(subject.money_of(amount)):
            raise Refused("refund-refused", NO_MONEY)
        wallet.requests.append(Request(who, subject, amount, key))
        return wallet.requests[-1]

    def withdraw(self, request: Request) -> None:
        """Take a request back that nobody has decided."""
        self._end(request, "withdrawn")

    def reject(self, request: Request) -> None:
        """Reject a request that nobody has decided."""
        self._end(request, "rejected")

    def _end(self, request: Request, state: str) -> None:
        if not request.is_open and request.state != state:
            raise Refused("wrong-state", "")
        request.state, request.approved = state, None

    def approve(self, request: Request, amount: int | None, *, actor: str, now: datetime) -> Back | None:
        """Approve a request; give what goes back at the gateway, if that is asked now."""
        wanted = request.amount if amount is None else amount
        if wanted > request.amount:
            raise Refused("amount-out-of-range", "")
        self._refuse_decided(request, wanted)
        if not request.is_open or self._waits_for_another(request, wanted, actor):
            return None
        wallet = self.wallets[request.who]
        if isinstance(request.subject, Spent):
            if wanted > request.subject.left:
                raise Refused("refund-refused", "refunded")
            wallet.reverse(request.subject, wanted, now)
            request.state, request.approved = "refunded", wanted
            return None
        self._refuse_more(request.subject, wanted, request=request, now=now)
        request.back = self._take(request.subject, wanted, request=request)
        request.state, request.approved = "approved", wanted
        return request.back

    def _waits_for_another(self, request: Request, wanted: int, actor: str) -> bool:
        if not self.takes_two(request.who, request.subject, wanted) or request.confirmed_by not in ("", actor):
            return False
        request.state, request.approved, request.confirmed_by = "confirming", wanted, actor
        return True

    def takes_two(self, who: str, subject: Sale | Spent, amount: int) -> bool:
        """Tell whether two operators approve so much more of something."""
        if isinstance(subject, Sale):
            before = sum(back.credit for back in subject.backs if back.by_desk and back.counts)
        else:
            known = self.wallets[who].requests
            before = sum(each.approved or 0 for each in known if each.subject is subject and each.state == "refunded")
        return self.two_above is not None and before + amount > self.two_above

    @staticmethod
    def _refuse_decided(request: Request, amount: int) -> None:
        """Of a request that was decided only the same may be said again."""
        if request.state in ("rejected", "withdrawn"):
            raise Refused("wrong-state", "")
        if request.approved not in (None, amount):
            raise Refused("key-conflict", "")

    def _refuse_more(
        self, sale: Sale, credit: int, *, request: Request | None, now: datetime, by_hand: bool = False
    ) -> None:
        """Give back no more than may be asked back now."""
        wallet = self.wallets[sale.who]
        wallet.look(now)
        found = wallet.eligible(sale, answering=request, by_hand=by_hand)
        if credit > found.credit:
            raise Refused("refund-refused", found.reason or "spent")
        if not sum(sale.money_of(credit)):
            raise Refused("refund-refused", NO_MONEY)

    def _take(self, sale: Sale, credit: int, *, request: Request | None) -> Back:
        wallet = self.wallets[sale.who]
        back = sale.back_of_credit(credit)
        back.request, back.by_desk = request, True
        wallet.take_own(sale, back)
        self._leave(sale, back)
        return back

    def _leave(self, sale: Sale, back: Back) -> None:
        wallet = self.wallets[sale.who]
        wallet.leave(back.credit, "refunds_in_transit")
        wallet.leave(back.clawback, "promotion")
        sale.backs.append(back)
        self.figures["clawback"] += back.clawback

    def record(
        self, sale: Sale, credit: int, *, reference: str, actor: str, request: Request | None, now: datetime
    ) -> Back | None:
        """Book what the seller gave back by other means; the same reference again is the same."""
        if reference in self.recorded:
            if self.recorded[reference] != (sale, credit):
                raise Refused("key-conflict", "")
            return None
        if self.takes_two(sale.who, sale, credit):
            confirmed = request is not None and request.approved == credit
            if not confirmed or request.confirmed_by in ("", actor):
                raise Refused("not-allowed", "")
        self._refuse_more(sale, credit, request=request, by_hand=True, now=now)
        if request is not None:
            self._refuse_decided(request, credit)
            if not request.is_open:
                raise Refused("wrong-state", "")
        back = self._take(sale, credit, request=request)
        if request is not None:
            request.state, request.approved, request.back = "approved", credit, back
        self._settle(sale, back)
        self.recorded[reference] = (sale, credit)
        return back

    # What becomes of it at the gateway

    def send(self, sale: Sale, back: Back, *, outcome: str, fault: str | None, now: datetime) -> None:
        """Ask the gateway for the money: it gives it, refuses, or nobody hears."""
        if fault in ("unavailable", "rate-limit"):
            return
        if fault == "garbage" or back.cash > self.held_by_gateway(sale):
            self._undo(sale, back, now)
            return
        sale.seen.append(Seen(back.cash, outcome, back, heard=True))
        if fault is None:
            self._follow(sale, back, outcome, now)

    @staticmethod
    def held_by_gateway(sale: Sale) -> int:
        """Give what the gateway still has of a payment, in cents."""
        given = sum(seen.gross for seen in sale.seen if seen.state != "failed")
        return max(0, sale.total - given - sum(d.gross for d in sale.disputes if d.state in ("open", "lost")))

    def pursue(self, sale: Sale, back: Back, *, fault: str | None, now: datetime) -> None:
        """Look a refund of ours up that is on its way, and send it if the gateway has none."""
        for seen in sale.seen:
            if seen.back is back:
                self._follow(sale, back, seen.state, now)
                return
        self.send(sale, back, outcome="succeeded", fault=fault, now=now)

    def hear(self, sale: Sale, now: datetime) -> None:
        """Read all refunds and disputes of a payment at its gateway, and book what is new."""
        for seen in sale.seen:
            if not seen.heard and seen.state != "failed":
                seen.back = self._take_gross(sale, seen.gross, now)
                self._leave(sale, seen.back)
                if seen.state == "succeeded":
                    self._settle(sale, seen.back)
                self._rebalance(sale, now)
            if seen.back is not None:
                self._follow(sale, seen.back, seen.state, now)
            seen.heard = True
        for dispute in sale.disputes:
            self._hear_dispute(sale, dispute, now)

    def _take_gross(self, sale: Sale, gross: int, now: datetime) -> Back:
        wallet = self.wallets[sale.who]
        wallet.look(now)
        back = sale.back_of_gross(gross)
        wallet.take_wherever(sale, back)
        return back

    def _follow(self, sale: Sale, back: Back, state: str, now: datetime) -> None:
        if state == "succeeded" and back.state == "transit":
            self._settle(sale, back)
        if state == "failed" and back.counts:
            self._undo(sale, back, now)

    def _settle(self, sale: Sale, back: Back) -> None:
        back.state = "settled"
        self._money_leaves(back, 1)
        self._write(sale, "credit-note", back)
        if back.request is not None:
            back.request.state = "refunded"

    def _undo(self, sale: Sale, back: Back, now: datetime) -> None:
        wallet = self.wallets[sale.who]
        if back.state == "settled":
            self._money_leaves(back, -1)
            self._write(sale, "invoice", back)
        back.state = "undone"
        if back.taken or back.clawed:  # nobody touches a wallet to which nothing comes back
            wallet.look(now)
            wallet.put(back.clawed, "promotion")
            wallet.put(back.taken, "refunds_in_transit")
            wallet.sweep(now)
        self.figures["clawback"] -= back.clawback
        if back.request is not None:
            back.request.state = "failed"
        self._rebalance(sale, now)

    def _rebalance(self, sale: Sale, now: datetime) -> None:
        """Let refunds that found too little take the rest, then lost disputes; and open disputes hold what is left."""
        short = [seen for seen in sale.seen if seen.back is not None and seen.back.counts and seen.back.excess]
        if short or any(dispute.booked in ("withdrawn", "lost") for dispute in sale.disputes):
            self.wallets[sale.who].look(now)
        for seen in short:
            self._take_again(sale, seen, now)
        for dispute in sale.disputes:
            if dispute.booked == "lost":
                self._take_what_came_back(sale, dispute, now)
        wallet = self.wallets[sale.who]
        wallet.hold_again(sale, now)
        # What came back may be other top-ups' credit: their disputes look later.
        wallet.freed = wallet.freed or any(each.is_disputed for each in wallet.sales if each is not sale)

    def _take_again(self, sale: Sale, seen: Seen, now: datetime) -> None:
        """Undo what a refund made at the provider took, and take it anew, if there is more of the payment now."""
        old, wallet = seen.back, self.wallets[sale.who]
        sale.backs.remove(old)
        if sale.back_of_gross(seen.gross).cash <= old.cash:
            sale.backs.append(old)
            return
        if old.state == "settled":
            self._money_leaves(old, -1)
            self._write(sale, "invoice", old)
        wallet.put(old.clawed, "promotion")
        wallet.put(old.taken, "refunds_in_transit")
        wallet.sweep(now)
        self.figures["clawback"] -= old.clawback
        seen.back = self._take_gross(sale, seen.gross, now)
        self._leave(sale, seen.back)
        if old.state == "settled":
            self._settle(sale, seen.back)

    def _take_what_came_back(self, sale: Sale, dispute: Dispute, now: datetime) -> None:
        """Undo what a lost dispute took, and take it anew, if there is more of the payment now."""
        old, wallet = dispute.back, self.wallets[sale.who]
        sale.backs.remove(old)
        if sale.back_of_gross(dispute.gross).cash <= old.cash:
            sale.backs.append(old)
            return
        wallet.put(old.clawed, "promotion")
        wallet.put(old.taken, "promotion")
        self.accounts["promotion"] += old.net * CENT
        self.accounts["disputes"] -= old.net * CENT
        self.move(old.tax, "disputes", "tax_payable")
        self._write(sale, "invoice", old)
        self.figures["clawback"] -= old.clawback
        self.figures["discount"] += old.credit - old.net * CENT
        wallet.sweep(now)
        self._lose(sale, dispute, now)

    def _money_leaves(self, back: Back, sign: int) -> None:
        self.move(sign * back.net, "refunds_in_transit", "clearing")
        self.move(sign * back.tax, "tax_payable", "clearing")
        self.move(sign * back.excess, "disputes", "clearing")
        of_discount = sign * (back.credit - back.net * CENT)
        self.accounts["refunds_in_transit"] -= of_discount
        self.accounts["promotion"] += of_discount
        self.figures["discount"] -= of_discount
        self.figures["refunds"] += sign * (back.cash + back.excess) * CENT

    @staticmethod
    def _write(sale: Sale, kind: str, back: Back) -> None:
        if back.cash:
            sale.documents.append((kind, back.net, back.tax))

    def _hear_dispute(self, sale: Sale, dispute: Dispute, now: datetime) -> None:
        before, dispute.heard = dispute.booked, True
        if dispute.state in ("open", "lost") and not dispute.booked:
            self._withdraw_funds(sale, dispute, now)
        if dispute.withdrawn and dispute.state == "won":
            self.move(dispute.gross, "clearing", "disputes")
            self.figures["disputed"] -= dispute.gross * CENT
            self._release(sale, dispute, now)
            dispute.booked = "won"
        if dispute.withdrawn and dispute.state == "lost":
            self._lose(sale, dispute, now)
        if dispute.booked != before:
            self._rebalance(sale, now)

    def _withdraw_funds(self, sale: Sale, dispute: Dispute, now: datetime) -> None:
        wallet = self.wallets[sale.who]
        wallet.look(now)
        self.move(dispute.gross, "disputes", "clearing")
        self.figures["disputed"] += dispute.gross * CENT
        dispute.booked = "withdrawn"
        wallet.hold_again(sale, now, [dispute])  # what nothing holds yet is its own, then the others'

    def _release(self, sale: Sale, dispute: Dispute, now: datetime) -> None:
        wallet = self.wallets[sale.who]
        if dispute.reserve is not None:
            wallet.look(now)
            dispute.reserve.state = "released"
            wallet.sweep(now)

    def _lose(self, sale: Sale, dispute: Dispute, now: datetime) -> None:
        wallet = self.wallets[sale.who]
        wallet.look(now)
        if dispute.reserve is not None:
            dispute.reserve.state = "released"
        dispute.booked = "lost"
        back = dispute.back = self._take_gross(sale, dispute.gross, now)
        back.state, back.excess = "settled", 0  # the rest is not credit's: it stays where the dispute took it
        sale.backs.append(back)
        wallet.leave(back.net * CENT, "disputes")
        wallet.leave(back.credit - back.net * CENT + back.clawback, "promotion")
        self.move(back.tax, "tax_payable", "disputes")
        wallet.sweep(now)
        self._write(sale, "credit-note", back)
        self.figures["clawback"] += back.clawback
        self.figures["discount"] -= back.credit - back.net * CENT
