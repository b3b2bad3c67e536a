"""A Hypothesis machine in which money goes back: asked for, given, lost on the way, taken by banks, in any order."""

from __future__ import annotations

import itertools
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from prepaid import (
    Address,
    Bonus,
    Discount,
    Money,
    Percent,
    Promotion,
    RequestRefused,
    TaxProfile,
    TaxRule,
    permissions,
)
from prepaid.testing.clock import START
from tests.faults.world import checkout_of

from .machine import _MOVED, AMOUNTS, LONGER, PICKS, Life, agree, money
from .model import FOREVER, Lot, Refused, usual_priority
from .returns_model import CENT, Back, Book, Dispute, Request, Sale, Seen, Wallet, share_of, tax_on

CUSTOMERS = ("ada", "bob")
WHO = st.sampled_from((*CUSTOMERS, CUSTOMERS[0]))  # the more happens to one wallet, the more of it meets
OPERATORS = st.sampled_from(["alice", "alice", "bert"])

LANDS = {"DE": (("USt", "19"),), "CA": (("GST", "5"), ("QST", "9.975")), "US": ()}
"""Where customers live, and what is collected there."""

PROMOTIONS = {
    "PLUS": ("20", "0", 0),
    "SOON": ("33.3", "0", 30),
    "LESS": ("0", "12.5", 0),
    "BOTH": ("7", "30", 50),
    "FREE": ("0", "100", 0),
}
"""Percentages of bonus and discount, and after how many hours a bonus lapses."""

CODES = st.sampled_from(["", "PLUS", "PLUS", "SOON", "SOON", "LESS", "LESS", "BOTH", "BOTH", "FREE"])
CENTS = st.one_of(st.integers(100, 3000), st.integers(2, 60).map(lambda halves: halves * 50))
SHARES = st.one_of(st.sampled_from([100, 100, 50, 33]), st.integers(1, 100))
OUTCOMES = st.sampled_from(["succeeded", "succeeded", "pending", "pending", "failed"])
FAULTS = st.sampled_from(
    [None, None, None, None, "unavailable", "rate-limit", "garbage", "timeout-after-accept", "unreadable"]
)
TOLD = st.sampled_from(["webhooks", "webhooks", "one webhook", "look", ""])
LOOKS = (1, 5, 15, 60)
"""Minutes until a job looks at a refund again."""

CHECKED_EVERY = 20


class Returns(Life):
    """What customers, operators, banks and a provider do about money that was paid, in any order."""

    # The machine of wallets lives the first; the others come less often here, several in one rule.
    adjust = charge_all_but = hold_all_but = None
    hold = capture = release = None
    overdraft = freeze_or_end_it = None
    time_passes = time_passes_to_the_instant_something_is_due = the_job_runs = None

    def __init__(self) -> None:
        super().__init__()
        self.book = Book({customer: Wallet() for customer in CUSTOMERS})
        self.purses = self.book.wallets
        for code, (bonus, off, hours) in PROMOTIONS.items():
            kinds = ((Bonus, bonus), (Discount, off))
            effects = [kind(Percent(percent)) for kind, percent in kinds if percent != "0"]
            effect = effects[0] if len(effects) == 1 else tuple(effects)
            lasts = timedelta(hours=hours) if hours else None
            self.ops.promotions.create(Promotion(f"MY{code}", effect, bonus_expires_after=lasts))
        for land, components in LANDS.items():
            if components:
                self.ops.tax.add(TaxRule(country=land, components=components, valid_from=START.date()))
        self.lands: dict[str, str] = {}
        self.bought: list[tuple[Sale, Any]] = []
        self.asked: list[tuple[Request, str]] = []
        self.bank: list[tuple[Sale, Dispute, str]] = []
        self.looks: dict[Back, tuple[datetime, int]] = {}
        self.delivered: set[str] = set()
        self.acts = itertools.count(1)

    def compare(self, act: Any, model: Any) -> tuple[Any, Any]:
        """Do an act in both worlds: both refuse with the same code and reason, or both answer."""
        try:
            expected, refusal = model(), None
        except Refused as refused:
            expected, refusal = None, tuple(word for word in refused.args if word)
        try:
            answer, found = act(), None
        except RequestRefused as refused:
            answer, found = None, (refused.code, *([refused.reason] if hasattr(refused, "reason") else []))
        assert found == refusal, f"refused as {found}, the model says {refusal}"
        self.counted["refused" if refusal else "done"] += 1
        return answer, expected

    def settle_due(self) -> None:
        """Let the calendar be up to date, and what it set free be held by disputes."""
        super().settle_due()
        self.billing.run_due(only="outbox")
        for wallet in self.book.wallets.values():
            wallet.effects_are_had(self.clock.now())

    def desk(self, actor: str) -> Any:
        """Give the desk as another operator sees it."""
        return self.billing.operator(actor, permissions=permissions.ALL).refunds

    # Buying

    @initialize(land=st.sampled_from([*LANDS]), cents=CENTS, code=CODES, pace=st.sampled_from([0, 0, 3]))
    def begin_with_something(self, land: str, cents: int, code: str, pace: int) -> None:
        """Give one customer a top-up, and the other one credit."""
        for customer in CUSTOMERS:
            self.move(customer, land)
        self.give("bob", "goodwill", 900 * CENT, begins=None, lasts=None, priority=None)
        self.top_up("ada", cents, code, early="")
        self.pace = pace

    def move(self, who: str, land: str) -> None:
        self.billing.customer(who).tax_profile.set(TaxProfile(address=Address(country=land)))
        self.lands[who] = land

    @rule(who=WHO, cents=CENTS, code=CODES, early=st.sampled_from(["", "", "", "", "refund", "dispute"]))
    def top_up(self, who: str, cents: int, code: str, early: str) -> None:
        """Buy credit; now and then some of the money has gone back when it is credited."""
        door, wallet, now = self.billing.customer(who), self.purses[who], self.clock.now()
        bonus, off, hours = PROMOTIONS.get(code, ("0", "0", 0))
        net, extra = cents - share_of(cents, off), share_of(cents, bonus)
        tax = tax_on(net, [percent for _, percent in LANDS[self.lands[who]]])
        topup, _ = self.compare(
            lambda: self.start(door, Money.from_minor(cents, "EUR"), f"MY{code}" if code else None),
            wallet.refuse_if_frozen,
        )
        if topup is None:
            return
        assert (topup.total.minor, topup.net.minor) == (net + tax, net)
        if topup.total:
            self.gateway.pay(checkout_of(topup))
        made = next(self.numbers)
        paid = Lot(
            made, "paid", cents * CENT, now, FOREVER, usual_priority("paid", FOREVER), share_of(cents, off) * CENT
        )
        lapses = now + timedelta(hours=hours) if hours else FOREVER
        priority = usual_priority("promotional", lapses)
        free = Lot(next(self.numbers), "promotional", extra * CENT, now, lapses, priority) if extra else None
        sale = self.book.sell(who, paid, free, net=net, tax=tax, now=now)
        self.bought.append((sale, topup))
        if early and topup.total:
            self.happen_early(sale, early)
        assert door.topups.confirm(topup.id).state == "credited"
        self.remember_lots(who, [paid] if free is None else [paid, free])
        self.repeats.append(lambda: self.confirmed_again(door, topup))
        self.tick()

    def confirmed_again(self, door: Any, topup: Any) -> None:
        assert door.topups.confirm(topup.id).state == "credited"
        assert door.topups.get(topup.id).total == topup.total

    def happen_early(self, sale: Sale, what: str) -> None:
        """Give money back, or dispute it, before the library knows that it was paid."""
        if what == "refund":
            self.give_back_at_provider(sale, 40, "succeeded")
        else:
            self.dispute_at_bank(sale, 60, inquiry=False)
        self.book.hear(sale, self.clock.now())

    # Asking and deciding

    @rule(number=PICKS, of_charge=st.sampled_from([False, False, False, True]), way=st.integers(0, 4), share=SHARES)
    def ask(self, number: int, of_charge: bool, way: int, share: int) -> None:
        """Ask for a share, for all that may be asked back, or for a cent more."""
        subject, subject_id, who = self.subject(number, of_charge=of_charge)
        if subject is None:
            return
        wallet = self.purses[who].as_of(self.clock.now())
        most = wallet.eligible(wallet.same(self.purses[who], subject)).credit
        whole = subject.credit if isinstance(subject, Sale) else subject.left
        amount = (most, most, most + CENT, most * share // 100, whole * share // 100)[way]
        self.ask_for(who, subject, subject_id, max(CENT, amount // CENT * CENT))

    def subject(self, number: int, *, of_charge: bool) -> tuple[Any, str, str]:
        """Pick a charge or a top-up."""
        if of_charge and self.spent:
            who, spent, transaction = self.pick_living(self.spent, number, lambda spent: spent.left)
            return spent, transaction, who
        if not self.bought:
            return None, "", ""
        sale, topup = self.pick_sale(number)
        return sale, topup.id, sale.who

    def pick_sale(self, number: int) -> tuple[Sale, Any]:
        """Pick, three times of four, a top-up of which something is left."""
        number, way = divmod(number, 4)
        living = [each for each in self.bought if each[0].paid.left and each[0].total] if way else []
        return self.pick(living or self.bought, number)

    def ask_for(self, who: str, subject: Any, subject_id: str, amount: int, key: str | None = None) -> Request | None:
        door, key, now = self.billing.customer(who).refunds, key or self.key(), self.clock.now()
        answer, request = self.compare(
            lambda: door.request(subject_id, money(amount), reason="not needed", key=key),
            lambda: self.book.ask(who, subject, amount, key=key, now=now),
        )
        if request is not None and all(request is not known for known, _ in self.asked):
            self.asked.append((request, answer.id))
        self.tick()
        return request

    @precondition(lambda self: self.asked)
    @rule(number=PICKS, more=st.sampled_from([0, 0, CENT]))
    def ask_again_with_its_key(self, number: int, more: int) -> None:
        request, request_id = self.pick(self.asked, number)
        subject_id = self.subject_id(request.subject)
        again = self.ask_for(request.who, request.subject, subject_id, request.amount + more, request.key)
        assert again is None or again is request
        assert request_id

    def subject_id(self, subject: Any) -> str:
        """Give the library's id of a top-up or a charge."""
        if isinstance(subject, Sale):
            return next(topup.id for sale, topup in self.bought if sale is subject)
        return next(transaction for _, spent, transaction in self.spent if spent is subject)

    def pick_request(self, number: int) -> tuple[Request, str]:
        """Pick, three times of four, one that nobody has decided."""
        number, way = divmod(number, 4)
        living = [each for each in self.asked if each[0].is_open] if way else []
        return self.pick(living or self.asked, number)

    @precondition(lambda self: self.asked)
    @rule(number=PICKS, rejected=st.booleans(), actor=OPERATORS)
    def withdraw_or_reject(self, number: int, rejected: bool, actor: str) -> None:
        request, request_id = self.pick_request(number)
        door = self.billing.customer(request.who).refunds
        if rejected:
            self.compare(lambda: self.desk(actor).reject(request_id, reason="no"), lambda: self.book.reject(request))
        else:
            self.compare(lambda: door.withdraw(request_id), lambda: self.book.withdraw(request))
        self.tick()

    @precondition(lambda self: self.asked)
    @rule(number=PICKS, part=st.sampled_from([0, 0, 0, 50, 99, 101]), actor=OPERATORS, outcome=OUTCOMES, fault=FAULTS)
    def approve(self, number: int, part: int, actor: str, outcome: str, fault: str | None) -> None:
        request, request_id = self.pick_request(number)
        # What was approved before is mostly approved again as it was.
        amount = request.approved if not part else max(CENT, request.amount * part // 100 // CENT * CENT)
        self.decide(request, request_id, amount, actor=actor, outcome=outcome, fault=fault)

    def decide(
        self, request: Request, request_id: str, amount: int | None, *, actor: str, outcome: str, fault: str | None
    ) -> None:
        """Approve, with the gateway doing what it is told to."""
        self.settle_due()
        wanted, now = None if amount is None else money(amount), self.clock.now()
        made: list[Back] = []

        def model() -> bool:
            back = self.book.approve(request, amount, actor=actor, now=now)
            made.extend([] if back is None else [back])
            return True

        def act() -> Any:
            for back in made:
                self.script(request.subject, back, outcome, fault)
            return self.desk(actor).approve(request_id, amount=wanted, reason="fair")

        answer, _ = self.compare(act, model)
        for back in made:
            self.looks[back] = (now + timedelta(minutes=1), 0)
            self.book.send(request.subject, back, outcome=outcome, fault=fault, now=now)
        if answer is not None:
            assert answer.state == request.state
        self.tick()

    def script(self, sale: Sale, back: Back, outcome: str, fault: str | None) -> None:
        """Tell the provider what goes wrong with a refund that it is asked for now."""
        if fault is not None:
            self.gateway.fault_next("refund", fault)
        taken = fault not in ("unavailable", "rate-limit", "garbage") and back.cash <= self.book.held_by_gateway(sale)
        if taken and outcome != "succeeded":
            self.gateway.script_refund(outcome)

    @rule(number=PICKS, share=SHARES, outcome=OUTCOMES, fault=FAULTS, tell=TOLD)
    def give_back(self, number: int, share: int, outcome: str, fault: str | None, tell: str) -> None:
        """Ask for a share of what may be asked back, and have it approved by whoever must: the whole way."""
        subject, subject_id, who = self.subject(number, of_charge=False)
        if subject is None:
            return
        wallet = self.purses[who].as_of(self.clock.now())
        most = wallet.eligible(wallet.same(self.purses[who], subject)).credit
        request = self.ask_for(who, subject, subject_id, max(CENT, most * share // 100 // CENT * CENT))
        if request is None:
            return
        request_id = self.asked[-1][1]
        for actor in ("alice", "bert"):
            if request.is_open:
                self.decide(request, request_id, None, actor=actor, outcome=outcome, fault=fault)
        if request.back is not None:
            self.end_at_provider(subject, tell)

    def end_at_provider(self, sale: Sale, tell: str) -> None:
        """Let a refund that is pending come to its end, and tell of it or not."""
        for index, seen in enumerate(sale.seen):
            if seen.state == "pending" and tell:
                self.gateway.finish_refund(self.refund_ids(sale)[index])
                seen.state = "succeeded"
        self.tell(sale, tell)

    def two_approve_above(self, cents: int | None) -> None:
        limit = None if cents is None else Money.from_minor(cents, "EUR")
        self.ops.settings.approvals(two_person_above=limit)
        self.book.two_above = None if cents is None else cents * CENT

    @precondition(lambda self: self.bought)
    @rule(
        number=PICKS,
        share=SHARES,
        actor=OPERATORS,
        line=st.integers(1, 9),
        answers=st.sampled_from([False, False, True]),
    )
    def record(self, number: int, share: int, actor: str, line: int, answers: bool) -> None:
        """Book by hand what the seller gave back by other means, once with a line of a statement."""
        sale, topup = self.pick_sale(number)
        request, request_id = self.pick_request(number) if answers and self.asked else (None, None)
        if request is not None:
            if not isinstance(request.subject, Sale):
                return
            sale = request.subject
            topup = next(bought for known, bought in self.bought if known is sale)
        self.settle_due()
        size = request.amount if request is not None else self.purses[sale.who].eligible(sale, by_hand=True).credit
        amount = max(CENT, size * share // 100 // CENT * CENT)
        words, now = {"reference": f"line {line}", "reason": "agreed"}, self.clock.now()
        refund, _ = self.compare(
            lambda: self.desk(actor).record(topup.id, money(amount), refund_id=request_id, **words),
            lambda: self.book.record(sale, amount, reference=words["reference"], actor=actor, request=request, now=now),
        )
        assert refund is None or (refund.state, refund.credit.units) == ("succeeded", amount)
        self.tick()

    # What also happens

    @rule(number=PICKS, who=WHO, way=st.integers(0, 3), amount=AMOUNTS, hours=LONGER, share=SHARES)
    def reserve(self, number: int, who: str, way: int, amount: int, hours: int, share: int) -> None:
        if way > 1 or not self.holds:
            Life.hold(self, who, amount, hours, "vm-1")
        elif way:
            Life.capture(self, number, share)
        else:
            Life.release(self, number)

    @rule(
        what=st.sampled_from(["overdraft", "freeze", "two", "two", "land", "land"]),
        who=WHO,
        euros=st.integers(0, 20),
        land=st.sampled_from([*LANDS]),
    )
    def operate(self, what: str, who: str, euros: int, land: str) -> None:
        if what == "overdraft":
            Life.overdraft(self, who, euros)
        elif what == "freeze":
            Life.freeze_or_end_it(self, who, frozen=euros > 15)
        elif what == "two":
            self.two_approve_above(euros * 100 if euros < 10 else None)
        else:
            self.move(who, land)

    @rule(who=WHO, hours=st.integers(0, 40), way=st.sampled_from(["hours", "due", "job"]))
    def time_goes_on(self, who: str, hours: int, way: str) -> None:
        if way == "due":
            Life.time_passes_to_the_instant_something_is_due(self, who)
        elif way == "job":
            Life.the_job_runs(self)
        else:
            Life.time_passes(self, hours)

    # The provider and the bank

    def rows_at_provider(self, statement: str, topup: Any) -> list[Any]:
        with closing(sqlite3.connect(self.provider)) as provider:
            return provider.execute(statement, (checkout_of(topup),)).fetchall()

    def refund_ids(self, sale: Sale) -> list[str]:
        """Ask the provider's own memory for the refunds of a payment, in their order."""
        topup = next(bought for known, bought in self.bought if known is sale)
        return [refund for (refund,) in self.rows_at_provider(_REFUNDS, topup)]

    @precondition(lambda self: any(seen.state != "failed" for sale, _ in self.bought for seen in sale.seen))
    @rule(number=PICKS, succeed=st.booleans(), tell=TOLD)
    def a_refund_ends_or_comes_back(self, number: int, succeed: bool, tell: str) -> None:
        moving = [
            (sale, index, seen)
            for sale, _ in self.bought
            for index, seen in enumerate(sale.seen)
            if seen.state == "pending" or (seen.state == "succeeded" and not succeed)
        ]
        if not moving:
            return
        sale, index, seen = self.pick(moving, number)
        self.gateway.finish_refund(self.refund_ids(sale)[index], succeed=succeed)
        seen.state = "succeeded" if succeed else "failed"
        self.tell(sale, tell)
        self.tick()

    @precondition(lambda self: self.bought)
    @rule(number=PICKS, share=SHARES, outcome=OUTCOMES, tell=TOLD)
    def somebody_gives_back_at_the_provider(self, number: int, share: int, outcome: str, tell: str) -> None:
        sale, _ = self.pick(self.bought, number)
        if self.book.held_by_gateway(sale):
            self.give_back_at_provider(sale, share, outcome)
            self.tell(sale, tell)
            self.tick()

    def give_back_at_provider(self, sale: Sale, share: int, outcome: str) -> None:
        topup = next(bought for known, bought in self.bought if known is sale)
        gross = max(1, self.book.held_by_gateway(sale) * share // 100)
        if outcome != "succeeded":
            self.gateway.script_refund(outcome)
        self.gateway.refund_at_provider(checkout_of(topup), Money.from_minor(gross, "EUR"))
        sale.seen.append(Seen(gross, outcome))

    @precondition(lambda self: self.bought)
    @rule(number=PICKS, share=SHARES, fate=st.sampled_from(["inquiry", "open", "open", "won", "lost"]), tell=TOLD)
    def somebody_disputes(self, number: int, share: int, fate: str, tell: str) -> None:
        """Dispute a payment; now and then the library hears of it only when it is decided."""
        sale, _ = self.pick(self.bought, number)
        if not sale.total or len(sale.disputes) > 2:
            return
        self.dispute_at_bank(sale, share, inquiry=fate == "inquiry")
        if fate in ("won", "lost"):
            self.decide_dispute(*self.bank[-1], won=fate == "won")
        self.tell(sale, tell)
        self.tick()

    def dispute_at_bank(self, sale: Sale, share: int, *, inquiry: bool) -> None:
        topup = next(bought for known, bought in self.bought if known is sale)
        gross = max(1, sale.total * share // 100)
        dispute_id = self.gateway.dispute(checkout_of(topup), amount=Money.from_minor(gross, "EUR"), inquiry=inquiry)
        dispute = Dispute(gross, "inquiry" if inquiry else "open")
        sale.disputes.append(dispute)
        self.bank.append((sale, dispute, dispute_id))

    @precondition(lambda self: any(dispute.state in ("inquiry", "open") for _, dispute, _ in self.bank))
    @rule(number=PICKS, won=st.sampled_from([False, False, True]), tell=TOLD)
    def a_dispute_goes_on(self, number: int, won: bool, tell: str) -> None:
        going = [each for each in self.bank if each[1].state in ("inquiry", "open")]
        sale, dispute, dispute_id = self.pick(going, number)
        if dispute.state == "inquiry" and not won:
            self.gateway.escalate(dispute_id)
            dispute.state = "open"
        else:
            self.decide_dispute(sale, dispute, dispute_id, won=won)
        self.tell(sale, tell)
        self.tick()

    def decide_dispute(self, sale: Sale, dispute: Dispute, dispute_id: str, *, won: bool) -> None:
        """Let a bank decide for the seller or for the customer."""
        decide = self.gateway.win if won else self.gateway.lose
        assert decide(dispute_id), sale
        dispute.state = "won" if won else "lost"

    @precondition(lambda self: self.bought)
    @rule(number=PICKS, share=SHARES, way=st.sampled_from(["reverse", "reverse", "release", "capture", "lapse"]))
    def what_was_used_of_a_disputed_payment_comes_back(self, number: int, share: int, way: str) -> None:
        """Use or reserve all that a customer has, dispute a payment of theirs, and set that credit free again."""
        sale, _ = self.pick(self.bought, number)
        self.settle_due()
        room = self.billing.customer(sale.who).balance().available.units
        if not sale.total or len(sale.disputes) > 2 or room <= 0 or self.purses[sale.who].frozen:
            return
        if way == "reverse":
            Life.charge(self, sale.who, room, performed=False, resource="vm-1")
        else:
            Life.hold(self, sale.who, room, 2, "vm-1")
        self.dispute_at_bank(sale, share, inquiry=False)
        self.tell(sale, "look")
        newest = 4 * (len(self.spent if way == "reverse" else self.holds) - 1)
        if way == "reverse":
            Life.reverse(self, newest, share, None)
        elif way == "capture":
            Life.capture(self, newest, share)
        elif way == "release":
            Life.release(self, newest)
        else:
            Life.time_passes(self, 3)
            self.settle_due()

    # What the library hears

    def tell(self, sale: Sale, how: str) -> None:
        """Let the library hear of what happened to a payment: by webhooks in any order, by a look, or not yet."""
        topup = next(bought for known, bought in self.bought if known is sale)
        if how == "look":
            assert self.ops.topups.recheck(topup.id).state == "credited"
            self.book.hear(sale, self.clock.now())
        elif how:
            new = [each for each in self.about(topup) if each.event_id not in self.delivered]
            for event in new[-1:] if how == "one webhook" else new[::-1]:
                self.deliver(sale, event)

    def about(self, topup: Any) -> list[Any]:
        return [each for each in self.gateway.events() if topup.id.encode() in each.body]

    def deliver(self, sale: Sale, event: Any) -> None:
        headers, body = event.request(at=self.clock.now())
        result = self.billing.webhooks.receive("simulated", body=body, headers=headers)
        assert (result.status, result.outcome) == (200, "duplicate")
        if event.event_id not in self.delivered and event.type.startswith(("refund.", "dispute.")):
            self.book.hear(sale, self.clock.now())
        self.delivered.add(event.event_id)

    @precondition(lambda self: self.bought)
    @rule(number=PICKS, which=PICKS, way=st.sampled_from(["webhook", "webhook", "look", "page"]))
    def something_is_heard(self, number: int, which: int, way: str) -> None:
        """Hear of a payment: a webhook, new or late or again; a look; its customer on the page, who tells nothing."""
        sale, topup = self.pick(self.bought, number)
        events = self.about(topup)
        if way == "page" or not sale.total:
            assert self.billing.customer(sale.who).topups.confirm(topup.id).state == "credited"
        elif way == "look":
            self.tell(sale, "look")
        else:
            self.deliver(sale, self.pick(events, which))
        self.tick()

    @rule(days=st.integers(0, 1), again=st.booleans(), fault=FAULTS)
    def jobs_run_later(self, days: int, again: bool, fault: str | None) -> None:
        """Let the jobs go on with what is on its way, a day later, perhaps with a gateway that fails once more."""
        self.clock.advance(days=days, minutes=1)
        now = self.clock.now()
        due = [back for back, (at, _) in self.looks.items() if back.state == "transit" and at <= now]
        due.sort(key=lambda back: self.looks[back][0])
        sales = {back: sale for sale, _ in self.bought for back in sale.backs}
        unsent = [back for back in due if all(seen.back is not back for seen in sales[back].seen)]
        fault = fault if len(unsent) == 1 and fault != "garbage" else None
        if fault is not None:
            self.gateway.fault_next("refund", fault)
        for _ in range(1 + again):
            self.billing.run_due(only="refunds")
        for back in due:
            polls = self.looks[back][1]
            self.looks[back] = (now + timedelta(minutes=LOOKS[min(polls, 3)]), polls + 1)
            self.book.pursue(sales[back], back, fault=fault, now=now)
        self.tick()

    # What must be true after every act

    @invariant()
    def money_that_goes_back_is_the_models(self) -> None:
        """Now the one customer, now the other; the dearer proofs now and then; all of it at the end."""
        turn = next(self.acts)
        self.counted["steps"] += 1
        customer = CUSTOMERS[turn % 2]
        self.prove_eligible(customer)
        if turn % 4 < 2:
            self.prove_requests(customer)
            self.prove_documents(customer)
        for sale, topup in self.bought[turn % 3 :: 3]:
            self.prove_facts(sale, topup)
        if turn % 4 == 3:
            self.prove_cards()
            self.prove_cash()
        if turn % CHECKED_EVERY == 0:
            self.prove_book()

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        """Each account's transfers add up to what the model moved there; all together to nothing."""
        found = {kind: int(moved) for kind, moved in self.rows(_MOVED) if moved}
        expected = self.all_accounts()
        expected["wallet"] = sum(purse.balance for purse in self.purses.values())
        agree(found, {kind: moved for kind, moved in expected.items() if moved})
        assert sum(found.values()) == 0

    def prove_eligible(self, customer: str) -> None:
        """Show of every top-up and charge how much may be asked back, what that is in money, and why not more."""
        wallet = self.purses[customer]
        soon = wallet.as_of(self.clock.now())
        found = {
            each.id: (each.credit.units, each.cash.units, each.tax.units, each.clawback.units, each.reason)
            for each in self.walk(self.billing.customer(customer).refunds.eligible)
        }
        subjects = {topup.id: sale for sale, topup in self.bought if sale.who == customer}
        subjects |= {transaction: spent for who, spent, transaction in self.spent if who == customer}
        expected = {}
        for subject_id, subject in subjects.items():
            most = soon.eligible(soon.same(wallet, subject))
            expected[subject_id] = (most.credit, most.cash * CENT, most.tax * CENT, most.clawback, most.reason)
        agree(found, expected)

    def prove_requests(self, customer: str) -> None:
        found = {each.id: _request_of(each) for each in self.walk(self.billing.customer(customer).refunds.list)}
        asked = [(request, request_id) for request, request_id in self.asked if request.who == customer]
        agree(found, {request_id: _expected_request(request) for request, request_id in asked})

    def prove_documents(self, customer: str) -> None:
        """Invoices less credit notes are what did not go back, of each tax too if all went back."""
        documents: dict[str, list[Any]] = {}
        for each in reversed(self.walk(self.billing.customer(customer).invoices.list)):
            documents.setdefault(each.topup_id, []).append(each)
        for sale, topup in self.bought:
            if sale.who == customer:
                self.prove_documents_of(sale, documents[topup.id])

    def prove_documents_of(self, sale: Sale, documents: list[Any]) -> None:
        agree([(each.kind, each.net.minor, each.tax.total.minor) for each in documents], sale.documents)
        settled = [back for back in sale.backs if back.state == "settled"]
        left = Counter[str]()
        for each in documents:
            sign = -1 if each.kind == "credit-note" else 1
            left["net"] += sign * each.net.minor
            left["tax"] += sign * each.tax.total.minor
            for line in each.tax.lines:
                left[f"of {line.name}"] += sign * line.amount.minor
        assert left["net"] == sale.net - sum(back.net for back in settled)
        assert left["tax"] == sale.tax - sum(back.tax for back in settled)
        assert all(amount >= 0 for amount in left.values())
        if not left["net"] + left["tax"]:
            assert not any(left.values())

    def prove_facts(self, sale: Sale, topup: Any) -> None:
        """Of a payment no more goes back than was captured, as the library itself shows refunds and disputes."""
        facts = self.ops.topups.facts(topup.id)
        counted = [each for each in facts.refunds if each.state not in ("failed", "canceled")]
        counted += [each for each in facts.disputes if each.booked == "lost"]
        assert sum(each.net.minor + each.tax.minor for each in counted) <= sale.total
        assert sum(each.credit.units for each in counted) <= sale.credit
        found = [(each.credit.units, each.clawback.units, each.net.minor, each.tax.minor) for each in counted]
        agree(sorted(found), sorted((b.credit, b.clawback, b.net, b.tax) for b in sale.counted))
        banks = [(each.booked, each.withdrawn.minor) for each in facts.disputes]
        known = [dispute for dispute in sale.disputes if dispute.heard]
        agree(banks, [(d.booked, d.gross if d.booked in ("withdrawn", "lost") else 0) for d in known])

    def prove_cash(self) -> None:
        """What goes back by the desk is no more than what was paid for credit that was not used.

        What a provider gives back, or a bank takes, of credit that was used is a debt; that alone may be more.
        """
        used = Counter({grant: int(units) for grant, units in self.rows(_PAID_DEBTS)})
        used.update({grant: int(units) for grant, units in self.rows(_USED)})
        grants = {id(lot): grant for _, lot, grant in self.lots}
        for sale, _ in self.bought:
            if not any(seen.heard and seen.back and seen.back.request is None for seen in sale.seen):
                unused = sale.credit - used[grants[id(sale.paid)]]
                by_desk = [back for back in sale.counted if all(back is not each.back for each in sale.disputes)]
                # One that was made while another counted that failed since may be a part of a cent ahead.
                ahead = sale.credit - 1 if any(not back.counts for back in sale.backs) else 0
                assert sum(back.net for back in by_desk) * sale.credit <= sale.net * unused + ahead

    def prove_cards(self) -> None:
        shown = self.ops.reports.summary(START - timedelta(days=1), self.clock.now() + timedelta(days=1))
        accounts, figures = self.all_accounts(), self.book.figures
        balances = [purse.balance for purse in self.purses.values()]
        # Who shows refunds shows bonuses less what was taken back.
        has_refunds = hasattr(shown, "refunds_issued")
        expected = {
            "funds_in": figures["funds_in"],
            "credit_consumed": accounts["revenue"],
            "tax_collected": accounts["tax_payable"],
            "bonus_granted": self.given_free() - (figures["clawback"] if has_refunds else 0),
            "refunds_issued": figures["refunds"],
            "discount": figures["discount"],
            "disputed": figures["disputed"],
            "breakage": accounts["breakage"],
            "liability": sum(max(0, balance) for balance in balances),
            "debts": sum(min(0, balance) for balance in balances),
        }
        found = {name: getattr(shown, name).units for name in expected if hasattr(shown, name)}
        agree(found, {name: expected[name] for name in found})

    def given_free(self) -> int:
        """Sum promotional credit that arrived, with a top-up or as a gift; one voided before it began never did."""
        lots = [lot for purse in self.purses.values() for lot in purse.lots if lot.kind == "promotional"]
        return sum(lot.size for lot in lots if not lot.waiting and not (lot.voided and not lot.gone))

    def prove_book(self) -> None:
        report = self.billing.check()
        assert report.ok, report.findings[:3]

    def all_accounts(self) -> Counter[str]:
        accounts = Counter(self.book.accounts)
        for purse in self.purses.values():
            accounts.update(purse.accounts)
        return accounts

    def teardown(self) -> None:
        """Prove all of it at the end of a life that had no fault."""
        if sys.exc_info()[1] is not None:
            return
        super().teardown()
        for customer in CUSTOMERS:
            self.prove_eligible(customer)
            self.prove_requests(customer)
            self.prove_documents(customer)
        for sale, topup in self.bought:
            self.prove_facts(sale, topup)
            self.counted.update(f"refunds {back.state}" for back in sale.backs)
            self.counted.update(f"disputes {dispute.booked or 'unheard'}" for dispute in sale.disputes)
        self.counted.update(f"requests {request.state}" for request, _ in self.asked)
        self.prove_cards()
        self.prove_cash()

    def walk(self, pages: Any) -> list[Any]:
        """Read a whole list page by page."""
        page = pages()
        items = [*page.items]
        while page.next is not None:
            page = pages(cursor=page.next)
            items.extend(page.items)
        return items


def _request_of(found: Any) -> tuple[Any, ...]:
    return (
        found.state,
        found.amount.units,
        None if found.approved is None else found.approved.units,
        None if found.cash is None else found.cash.minor,
        None if found.tax is None else found.tax.minor,
    )


def _expected_request(request: Request) -> tuple[Any, ...]:
    back = request.back
    cash, tax = (None, None) if back is None else (back.cash, back.tax)
    return request.state, request.amount, request.approved, cash, tax


_USED = """
SELECT t.grant_id, sum(CASE WHEN a.id = t.credit_id THEN t.amount ELSE -t.amount END)
FROM prepaid_account a JOIN prepaid_transfer t ON t.book_id = a.book_id AND a.id IN (t.debit_id, t.credit_id)
WHERE a.book_id = :book AND a.kind = 'revenue' AND t.grant_id IS NOT NULL GROUP BY t.grant_id
"""

_PAID_DEBTS = "SELECT id, debt_paid FROM prepaid_grant WHERE book_id = :book"

_REFUNDS = """
SELECT r.id FROM refund r JOIN payment p ON p.id = r.payment WHERE p.checkout = ? ORDER BY r.seq
"""
