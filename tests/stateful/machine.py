"""A Hypothesis machine that lives one customer's life after another against the plain model."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from prepaid import Bonus, Discount, Money, Percent, Prepaid, Promotion, RequestRefused, permissions
from prepaid.gateways import SimulatedGateway
from prepaid.store.engines import READ_ONLY
from prepaid.testing.clock import START, MovableClock
from tests.faults.world import SELLER, PlainText, checkout_of

from .model import FOREVER, Campaign, Lot, Purse, Refused, Reserve, Spent, usual_priority

CUSTOMERS = ("ada", "bob")
RESOURCES = ("", "vm-1", "disk-1")
EURO = 1_000_000
CENT = EURO // 100

PICKS = st.integers(0, 999)
WHO = st.sampled_from((*CUSTOMERS, CUSTOMERS[0]))  # the more happens to one wallet, the more of it meets
AMOUNTS = st.one_of(st.integers(1, 12).map(lambda euros: euros * EURO), st.integers(1, 6 * EURO))
SPARE = st.sampled_from([0, EURO, -1])
HOURS = st.integers(1, 60)
SOMETIME = st.one_of(st.none(), HOURS)
LONGER = st.one_of(HOURS, st.integers(48, 240))
KINDS = st.sampled_from(["promotional", "goodwill", "external", "migrated"])

CODES = st.sampled_from([None, "PLUS", "LESS"])
PROMOTIONS = (
    Promotion("PLUS", Bonus(Percent("10")), uses_total=4, bonus_expires_after=timedelta(hours=30)),
    Promotion("LESS", Discount(Percent("25")), uses_per_customer=2),
)

NEW_LIVES = 9
"""So many lives of a run are new: from the tenth on Hypothesis spends five of six on copies that differ in little."""

_books = itertools.count(1)


def money(units: int) -> Money:
    return Money(units, "EUR")


def agree(found: Any, expected: Any) -> None:
    """Refuse what differs, and show where."""
    if isinstance(found, dict) and isinstance(expected, dict):
        names = [name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)]
        found, expected = ({name: each.get(name) for name in sorted(names)} for each in (found, expected))
    assert found == expected, f"found {found}, the model says {expected}"


class Life(RuleBasedStateMachine):
    """What a host, its operator, its customers and the calendar do to one book, in any order."""

    engine: Engine
    folder: Path
    counted: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.clock, book = MovableClock(), f"life-{next(_books)}"
        self.provider = self.folder / f"{book}.db"
        self.gateway = SimulatedGateway(state=self.provider, clock=self.clock)
        self.billing = Prepaid(
            database=self.engine,
            book=book,
            mode="test",
            seller=SELLER,
            gateways=[self.gateway],
            renderer=PlainText(),
            load_plugins=False,
            webhook_budget_s=60,
            clock=self.clock,
        )
        self.ops = self.billing.operator("alice", permissions=permissions.ALL)
        for customer in CUSTOMERS:
            self.billing.customers.register(customer, currency="EUR")
        for promotion in PROMOTIONS:
            self.ops.promotions.create(promotion)
        self.campaigns = {"PLUS": Campaign(bonus=10, hours=30, total=4), "LESS": Campaign(discount=25, each=2)}
        self.purses = {customer: Purse() for customer in CUSTOMERS}
        self.numbers, self.turns, self.pace = itertools.count(1), itertools.count(), 0
        self.lots: list[tuple[str, Lot, str]] = []
        self.spent: list[tuple[str, Spent, str]] = []
        self.holds: list[tuple[str, Reserve, str]] = []
        self.repeats: list[Callable[[], None]] = []
        self.seen: dict[tuple[datetime, str], int] = {}

    # How acts are done and compared

    def key(self) -> str:
        return f"k{next(self.numbers)}"

    def compare(self, act: Any, model: Any) -> tuple[Any, Any]:
        """Do an act in both worlds: both refuse with the same code, or both answer."""
        try:
            expected, code = model(), None
        except Refused as refused:
            expected, code = None, refused.args[0]
        try:
            answer, found = act(), None
        except RequestRefused as refused:
            answer, found = None, refused.code
        assert found == code, f"refused as {found}, the model says {code}"
        self.counted["refused" if code else "done"] += 1
        return answer, expected

    def settle_due(self) -> None:
        """Let the calendar be up to date, where an act that is refused may or may not have kept what it dealt with."""
        self.billing.run_due(only="credit")
        for purse in self.purses.values():
            purse.look(self.clock.now())

    def tick(self) -> None:
        """Remember how it is now and let time pass, so that of two lots the older one is known."""
        for customer in CUSTOMERS:
            self.seen[self.clock.now(), customer] = self.purses[customer].balance
        self.clock.advance(seconds=1, hours=self.pace)

    def pick(self, among: list[Any], number: int) -> Any:
        return among[number % len(among)]

    def pick_living(self, among: list[Any], number: int, alive: Callable[[Any], object]) -> Any:
        """Pick, three times of four, what something can still be done with; once of four the newest of that."""
        number, way = divmod(number, 4)
        living = [each for each in among if alive(each[1])] if way else []
        return living[-1] if living and way == 1 else self.pick(living or among, number)

    # Credit

    @initialize(amount=AMOUNTS, pace=st.sampled_from([0, 3, 6]))
    def begin_with_something(self, amount: int, pace: int) -> None:
        """Most acts are refused to an empty wallet; little lapses in a life that is over in a minute."""
        self.give("ada", "promotional", amount, begins=None, lasts=30, priority=None)
        self.give("ada", "migrated", 9 * EURO, begins=None, lasts=None, priority=None)
        self.give("bob", "goodwill", 9 * EURO, begins=20, lasts=40, priority=None)
        self.pace = pace

    @rule(
        who=WHO, kind=KINDS, amount=AMOUNTS, begins=SOMETIME, lasts=SOMETIME, priority=st.sampled_from([None, None, 5])
    )
    def give(
        self, who: str, kind: str, amount: int, begins: int | None, lasts: int | None, priority: int | None
    ) -> None:
        now = self.clock.now()
        effective = None if begins is None else now + timedelta(hours=begins)
        expiry = None if lasts is None else (effective or now) + timedelta(hours=lasts)
        lapses = expiry or FOREVER
        wished = usual_priority(kind, lapses) if priority is None else priority
        lot = Lot(next(self.numbers), kind, amount, effective or now, lapses, wished)
        wanted = {
            "kind": kind,
            "reason": "gift",
            "key": self.key(),
            "system": "partner" if kind == "external" else "",
            "priority": priority,
            "effective_at": effective,
            "expires_at": expiry,
        }
        transaction = self.ops.customers.grant(who, money(amount), **wanted)
        self.purses[who].give(lot, now)
        self.remember_lots(who, [lot])
        self.tick()

        def again() -> None:
            assert self.ops.customers.grant(who, money(amount), **wanted) == transaction

        self.repeats.append(again)

    def remember_lots(self, who: str, lots: list[Lot]) -> None:
        known = {grant for _, _, grant in self.lots}
        new = sorted(grant.id for grant in self.ops.customers.grants(who, all=True) if grant.id not in known)
        self.lots += [(who, lot, grant) for lot, grant in zip(lots, new, strict=True)]

    @rule(
        who=WHO,
        cents=st.integers(500, 1500),
        webhook=st.booleans(),
        code=CODES,
        paid=st.sampled_from([True, True, False]),
    )
    def top_up(self, who: str, cents: int, webhook: bool, code: str | None, paid: bool) -> None:
        door, purse, now = self.billing.customer(who), self.purses[who], self.clock.now()
        wanted, campaign = Money.from_minor(cents, "EUR"), self.campaigns.get(code or "")

        def refuse() -> None:
            if campaign is not None:
                campaign.refuse_if_used_up(who)
            purse.refuse_if_frozen()

        topup, _ = self.compare(lambda: self.start(door, wanted, code), refuse)
        if topup is None:
            return
        if not paid:
            assert door.topups.cancel(topup.id).state == "canceled"
            return
        self.gateway.pay(checkout_of(topup))
        if webhook:
            told = [each.request(at=now) for each in self.gateway.events() if topup.id.encode() in each.body]
            for headers, body in told:
                assert self.billing.webhooks.receive("simulated", body=body, headers=headers).status == 200
        assert door.topups.confirm(topup.id).state == "credited"
        lots = self.bought(who, cents, campaign)
        for lot in reversed(lots):  # a bonus pays debts first
            purse.give(lot, now)
        self.remember_lots(who, lots)
        self.tick()

    def bought(self, who: str, cents: int, campaign: Campaign | None) -> list[Lot]:
        """Give what a paid top-up is to the model: the credit, and a bonus after it."""
        now, terms = self.clock.now(), campaign or Campaign()
        terms.used[who] += 1
        off, extra = (cents * percent // 100 * CENT for percent in (terms.discount, terms.bonus))
        priority = usual_priority("paid", FOREVER)
        lots = [Lot(next(self.numbers), "paid", cents * CENT, now, FOREVER, priority, off)]
        if extra:
            lapses = now + timedelta(hours=terms.hours)
            kind = "promotional"
            lots.append(Lot(next(self.numbers), kind, extra, now, lapses, usual_priority(kind, lapses)))
        return lots

    def start(self, door: Any, wanted: Money, code: str | None) -> Any:
        back, away = "https://panel.example/back", "https://panel.example/away"
        quote = door.topups.quote(wanted, code=code)
        return door.topups.start(quote, return_url=back, cancel_url=away, key=self.key())

    @precondition(lambda self: self.lots)
    @rule(number=PICKS)
    def void(self, number: int) -> None:
        who, lot, grant = self.pick_living(self.lots, number, lambda lot: lot.left and lot.kind != "paid")
        self.settle_due()
        transaction, moved = self.compare(
            lambda: self.ops.customers.void_grant(grant, reason="given twice"),
            lambda: self.purses[who].void(lot, self.clock.now()),
        )
        assert not moved or transaction is not None
        self.tick()

    # Usage

    @rule(who=WHO, amount=AMOUNTS, performed=st.booleans(), resource=st.sampled_from(RESOURCES))
    def charge(self, who: str, amount: int, performed: bool, resource: str) -> None:
        wanted = {"key": self.key(), "resource": resource, "allow_negative": performed}
        outcome, spent = self.compare(
            lambda: self.billing.usage.charge(who, money(amount), **wanted),
            lambda: self.purses[who].charge(amount, self.clock.now(), performed=performed, resource=resource),
        )
        if spent is not None:
            assert (outcome.status, outcome.balance_after.units) == ("posted", self.purses[who].balance)
            self.spent.append((who, spent, outcome.transaction_id))
            self.repeats.append(lambda: self.charged_again(outcome, who, money(amount), wanted))
        self.tick()

    def charged_again(self, first: Any, who: str, amount: Money, wanted: dict[str, Any]) -> None:
        self.settle_due()
        again = self.billing.usage.charge(who, amount, **wanted)
        assert (again.status, again.transaction_id) == ("duplicate", first.transaction_id)
        assert again.balance_after == first.balance_after

    @rule(who=WHO, spare=SPARE)
    def charge_all_but(self, who: str, spare: int) -> None:
        room = self.billing.customer(who).balance().available.units
        if room > spare:
            self.charge(who, room - spare, performed=False, resource="vm-1")
            assert self.purses[who].available == (spare if spare >= 0 else room)

    @rule(who=WHO, amount=AMOUNTS, resource=st.sampled_from(RESOURCES))
    def adjust(self, who: str, amount: int, resource: str) -> None:
        now = self.clock.now()
        period = (now - timedelta(hours=9), now - timedelta(hours=8))
        outcome = self.billing.usage.adjust(who, money(amount), key=self.key(), period=period, resource=resource)
        spent = self.purses[who].charge(amount, now, performed=True, resource=resource)
        assert outcome.balance_after.units == self.purses[who].balance
        self.spent.append((who, spent, outcome.transaction_id))
        self.tick()

    @precondition(lambda self: self.spent)
    @rule(number=PICKS, share=st.one_of(st.none(), st.integers(1, 60), st.integers(1, 120)), lasts=SOMETIME)
    def reverse(self, number: int, share: int | None, lasts: int | None) -> None:
        who, spent, transaction = self.pick_living(self.spent, number, lambda spent: spent.left)
        now, size = self.clock.now(), spent.left or EURO
        amount = None if share is None else max(1, size * share // 100)
        expiry = None if lasts is None else now + timedelta(hours=lasts)
        wanted = {"key": self.key(), "reason": "outage", "expires_at": expiry}
        outcome, after = self.compare(
            lambda: self.billing.usage.reverse(transaction, None if amount is None else money(amount), **wanted),
            lambda: self.purses[who].reverse(spent, amount, now, lapses=expiry),
        )
        if after is not None:
            assert (outcome.status, outcome.balance_after.units) == ("posted", after)
            self.repeats.append(lambda: self.reversed_again(outcome, transaction, amount, wanted))
        self.tick()

    def reversed_again(self, first: Any, transaction: str, amount: int | None, wanted: dict[str, Any]) -> None:
        again = self.billing.usage.reverse(transaction, None if amount is None else money(amount), **wanted)
        assert (again.status, again.transaction_id) == ("duplicate", first.transaction_id)

    # Holds

    @rule(who=WHO, amount=AMOUNTS, hours=LONGER, resource=st.sampled_from(RESOURCES))
    def hold(self, who: str, amount: int, hours: int, resource: str) -> None:
        lasts = timedelta(hours=hours)
        held, reserve = self.compare(
            lambda: self.billing.usage.hold(who, money(amount), key=self.key(), expires_in=lasts, resource=resource),
            lambda: self.purses[who].hold(amount, self.clock.now() + lasts, self.clock.now()),
        )
        if reserve is not None:
            assert (held.state, held.resource) == ("open", resource)
            self.holds.append((who, reserve, held.id))
        self.tick()

    @rule(who=WHO, spare=SPARE, hours=LONGER)
    def hold_all_but(self, who: str, spare: int, hours: int) -> None:
        """Leave little or nothing that may lapse or be voided meanwhile."""
        room = self.billing.customer(who).balance().available.units
        if room > spare:
            self.hold(who, room - spare, hours, resource="disk-1")

    @precondition(lambda self: self.holds)
    @rule(number=PICKS, share=st.one_of(st.just(100), st.integers(1, 105)))
    def capture(self, number: int, share: int) -> None:
        who, reserve, hold = self.pick_living(self.holds, number, lambda reserve: reserve.state == "open")
        amount = max(1, reserve.amount * share // 100)
        resource = next((held.resource for held in self.billing.customer(who).holds() if held.id == hold), "")
        purse = self.purses[who]

        def model() -> int | None:
            try:
                return purse.capture(reserve, amount, self.clock.now(), resource=resource)
            except Refused as refused:
                if refused.args[0] == "duplicate":
                    return None
                raise

        outcome, after = self.compare(lambda: self.billing.usage.capture(hold, money(amount)), model)
        if after is not None:
            assert (outcome.status, outcome.balance_after.units) == ("posted", after)
            self.spent.append((who, purse.charges[-1], outcome.transaction_id))
        elif outcome is not None:
            assert outcome.status == "duplicate"
        self.tick()

    @precondition(lambda self: self.holds)
    @rule(number=PICKS)
    def release(self, number: int) -> None:
        who, reserve, hold = self.pick_living(self.holds, number, lambda reserve: reserve.state == "open")
        released, _ = self.compare(
            lambda: self.billing.usage.release(hold),
            lambda: self.purses[who].release(reserve, self.clock.now()),
        )
        assert released is None or released.state == reserve.state
        self.tick()

    # The host asks again, the operator and the calendar

    @precondition(lambda self: self.repeats)
    @rule(number=PICKS)
    def the_same_again(self, number: int) -> None:
        self.pick(self.repeats, number)()
        self.tick()

    @rule(who=WHO, euros=st.integers(0, 9))
    def overdraft(self, who: str, euros: int) -> None:
        self.ops.customers.overdraft(who, money(euros * EURO), reason="known")
        self.purses[who].floor = -euros * EURO

    @rule(who=WHO, frozen=st.sampled_from([False, False, True]))
    def freeze_or_end_it(self, who: str, frozen: bool) -> None:
        act = self.ops.customers.freeze if frozen else self.ops.customers.unfreeze
        act(who, reason="chargeback")
        self.purses[who].frozen = frozen

    @rule(hours=st.one_of(st.integers(1, 6), st.integers(1, 50)))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    @rule(who=WHO)
    def time_passes_to_the_instant_something_is_due(self, who: str) -> None:
        due = self.purses[who].due
        if START < due < FOREVER and due > self.clock.now():
            self.clock.set(due)

    @rule()
    def the_job_runs(self) -> None:
        self.settle_due()

    # What must be true after every act

    @invariant()
    def what_a_customer_reads_is_the_models(self) -> None:
        """Now the one customer, now the other; both at the end."""
        self.prove_balance(CUSTOMERS[next(self.turns) % 2])

    def prove_balance(self, customer: str) -> None:
        soon = copy.deepcopy(self.purses[customer])
        soon.look(self.clock.now())
        balance = self.billing.customer(customer).balance()
        found = [getattr(balance, name).units for name in ("settled", "held", "available", "paid", "promotional")]
        paid, free = soon.left_of("paid", "external", "migrated"), soon.left_of("promotional", "goodwill")
        agree(found, [soon.balance, soon.held, soon.available, paid, free])
        grants = [
            (grant.kind, grant.size.units, grant.remaining.units, grant.priority, grant.expires_at or FOREVER)
            for grant in self.ops.customers.grants(customer, all=True)
        ]
        agree(grants, [(lot.kind, lot.size, lot.left, lot.priority, lot.lapses) for lot in soon.in_turn()])
        assert max(0, soon.balance) == paid + free

    @invariant()
    def the_rows_are_the_models(self) -> None:
        wallets = {owner: figures for owner, *figures in self.rows(_WALLETS)}
        for customer in CUSTOMERS:
            purse = self.purses[customer]
            if customer in wallets:
                balance, held, floor, left, debt_paid = map(int, wallets[customer])
                agree((balance, held, floor), (purse.balance, purse.held, purse.floor))
                assert left == max(0, balance)
                assert debt_paid == sum(lot.debt_paid for lot in purse.lots)

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        """Each account's transfers add up to what the model moved there; all together to nothing."""
        found = {kind: int(moved) for kind, moved in self.rows(_MOVED) if moved}
        expected = Counter[str]()
        for purse in self.purses.values():
            expected.update(purse.accounts)
            expected["wallet"] += purse.balance
        assert found == {kind: moved for kind, moved in expected.items() if moved}
        assert sum(found.values()) == 0

    def teardown(self) -> None:
        """Prove the book, its past, its statements and its history."""
        report = self.billing.check()
        assert report.ok, report.findings[:3]
        for (instant, customer), balance in list(self.seen.items())[::5]:
            assert self.billing.customer(customer).balance(at=instant).settled.units == balance
        self.let_go()
        for customer in CUSTOMERS:
            self.prove_balance(customer)
            self.prove_history(customer)
        self.provider.unlink(missing_ok=True)
        self.counted["lives"] += 1

    def let_go(self) -> None:
        """Release what is still held, so that what only a hold kept alive lapses."""
        for who, reserve, hold in self.holds:
            if reserve.state == "open":
                released = self.billing.usage.release(hold)
                self.purses[who].release(reserve, self.clock.now())
                assert released.state == reserve.state
        self.the_rows_are_the_models()

    def prove_history(self, customer: str) -> None:
        door, purse = self.billing.customer(customer), self.purses[customer]
        span = {"since": START - timedelta(days=1), "until": self.clock.now() + timedelta(days=1)}
        used = {name: units for name, units in purse.used.items() if units}
        for by in ("resource", "day"):
            statement = door.usage(by=by, **span)
            assert statement.total.units == sum(used.values())
        lines = {line.name: line.amount.units for line in door.usage(by="resource", **span).lines}
        assert {name: units for name, units in lines.items() if units} == used
        history, page = [], door.transactions(limit=7)
        history.extend(page.items)
        while page.next is not None:
            page = door.transactions(limit=7, cursor=page.next)
            history.extend(page.items)
        assert sum(line.amount.units for line in history) == purse.balance
        assert len({line.id for line in history}) == len(history)

    def rows(self, statement: str) -> list[Any]:
        with self.engine.connect() as connection, connection.execution_options(**{READ_ONLY: True}).begin():
            return list(connection.execute(text(statement), {"book": self.billing._context.database.book_id}))


_WALLETS = """
SELECT a.owner, a.balance, a.held, a.floor,
  (SELECT coalesce(sum(g.remaining), 0) FROM prepaid_grant g WHERE g.wallet_id = a.id AND g.open = 1),
  (SELECT coalesce(sum(g.debt_paid), 0) FROM prepaid_grant g WHERE g.wallet_id = a.id)
FROM prepaid_account a WHERE a.book_id = :book AND a.kind = 'wallet'
"""

_MOVED = """
SELECT a.kind, sum(CASE WHEN t.credit_id = a.id THEN t.amount ELSE -t.amount END)
FROM prepaid_account a JOIN prepaid_transfer t ON t.book_id = a.book_id AND a.id IN (t.debit_id, t.credit_id)
WHERE a.book_id = :book GROUP BY a.kind
"""


def live(
    engine: Engine, folder: Path, *, lives: int, acts: int, shrink: bool = True, kind: type[Life] = Life
) -> Counter[str]:
    """Live so many lives of so many acts on an engine, and count what was done and refused.

    A life that fails is lived again and again until the shortest like it is found, unless ``shrink`` is off.
    """
    counted = Counter[str]()
    machine = type("LifeHere", (kind,), {"engine": engine, "folder": folder, "counted": counted})
    seeds = Random(0 if settings.default.derandomize else None)
    phases = tuple(Phase) if shrink else (Phase.generate,)
    for begun in range(0, lives, NEW_LIVES):
        wanted = settings(
            max_examples=min(NEW_LIVES, lives - begun),
            stateful_step_count=acts,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=phases,
        )
        run_state_machine_as_test(seed(seeds.getrandbits(64))(machine), settings=wanted)
    return counted
