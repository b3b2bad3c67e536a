"""A Hypothesis machine that lives one customer's life after another against the plain model."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
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

from prepaid import Money, Prepaid, RequestRefused, permissions
from prepaid.gateways import SimulatedGateway
from prepaid.store.engines import READ_ONLY
from prepaid.testing.clock import START, MovableClock
from tests.faults.world import SELLER, PlainText, checkout_of

from .model import FOREVER, Lot, Purse, Refused, Reserve, Spent, usual_priority

CUSTOMERS = ("ada", "bob")
RESOURCES = ("", "vm-1", "disk-1")
EURO = 1_000_000

PICKS = st.integers(0, 999)
WHO = st.sampled_from(CUSTOMERS)
AMOUNTS = st.one_of(st.integers(1, 12).map(lambda euros: euros * EURO), st.integers(1, 6 * EURO))
HOURS = st.integers(1, 60)
SOMETIME = st.one_of(st.none(), HOURS)
KINDS = st.sampled_from(["promotional", "goodwill", "external", "migrated"])

_books = itertools.count(1)


def money(units: int) -> Money:
    return Money(units, "EUR")


class Life(RuleBasedStateMachine):
    """What a host, its operator, its customers and the calendar do to one book, in any order."""

    engine: Engine
    folder: Path
    counted: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.clock = MovableClock()
        self.gateway = SimulatedGateway(state=self.folder / "provider.db", clock=self.clock)
        self.billing = Prepaid(
            database=self.engine,
            book=f"life-{next(_books)}",
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
        self.purses = {customer: Purse() for customer in CUSTOMERS}
        self.numbers, self.turns = itertools.count(1), itertools.count()
        self.lots: list[tuple[str, Lot, str]] = []
        self.gifts: list[tuple[str, dict[str, Any], str]] = []
        self.charges: list[tuple[str, Spent, Any, dict[str, Any]]] = []
        self.spent: list[tuple[str, Spent, str]] = []
        self.holds: list[tuple[str, Reserve, str]] = []
        self.backs: list[tuple[str, int | None, dict[str, Any], str]] = []
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
        self.clock.advance(seconds=1)

    def pick(self, among: list[Any], number: int) -> Any:
        return among[number % len(among)]

    # Credit

    @initialize(amount=AMOUNTS)
    def begin_with_something(self, amount: int) -> None:
        """Most acts are refused to an empty wallet."""
        self.give("ada", "promotional", amount, begins=None, lasts=30, priority=None)
        self.give("ada", "migrated", 9 * EURO, begins=None, lasts=None, priority=None)
        self.give("bob", "goodwill", 9 * EURO, begins=20, lasts=40, priority=None)

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
        self.gifts.append((who, {"amount": money(amount), **wanted}, transaction))
        self.remember_lot(who, lot)
        self.tick()

    def remember_lot(self, who: str, lot: Lot) -> None:
        known = {grant for _, _, grant in self.lots}
        [new] = [grant.id for grant in self.ops.customers.grants(who, all=True) if grant.id not in known]
        self.lots.append((who, lot, new))

    @precondition(lambda self: self.gifts)
    @rule(number=PICKS)
    def give_again(self, number: int) -> None:
        who, wanted, transaction = self.pick(self.gifts, number)
        assert self.ops.customers.grant(who, **wanted) == transaction
        self.tick()

    @rule(who=WHO, cents=st.integers(500, 3000), webhook=st.booleans())
    def top_up(self, who: str, cents: int, webhook: bool) -> None:
        door, purse, now = self.billing.customer(who), self.purses[who], self.clock.now()
        wanted = Money.from_minor(cents, "EUR")
        if purse.frozen:
            with pytest.raises(RequestRefused) as refused:
                self.start(door, wanted)
            assert refused.value.code == "customer-frozen"
            return
        topup = self.start(door, wanted)
        self.gateway.pay(checkout_of(topup))
        if webhook:
            told = [each.request(at=now) for each in self.gateway.events() if topup.id.encode() in each.body]
            for headers, body in told:
                assert self.billing.webhooks.receive("simulated", body=body, headers=headers).status == 200
        assert door.topups.confirm(topup.id).state == "credited"
        lot = Lot(next(self.numbers), "paid", wanted.units, now, FOREVER, usual_priority("paid", FOREVER))
        purse.give(lot, now)
        self.remember_lot(who, lot)
        self.tick()

    def start(self, door: Any, wanted: Money) -> Any:
        back, away = "https://panel.example/back", "https://panel.example/away"
        return door.topups.start(door.topups.quote(wanted), return_url=back, cancel_url=away, key=self.key())

    @precondition(lambda self: self.lots)
    @rule(number=PICKS)
    def void(self, number: int) -> None:
        who, lot, grant = self.pick(self.lots, number)
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
            self.charges.append((who, spent, outcome, {"amount": money(amount), **wanted}))
            self.spent.append((who, spent, outcome.transaction_id))
        self.tick()

    @rule(who=WHO)
    def charge_all_there_is(self, who: str) -> None:
        room = self.billing.customer(who).balance().available.units
        if room > 0:
            self.charge(who, room, performed=False, resource="vm-1")
            assert self.purses[who].available == 0

    @rule(who=WHO)
    def charge_one_unit_too_much(self, who: str) -> None:
        room = max(0, self.billing.customer(who).balance().available.units)
        before = len(self.charges)
        self.charge(who, room + 1, performed=False, resource="vm-1")
        assert len(self.charges) == before

    @precondition(lambda self: self.charges)
    @rule(number=PICKS)
    def charge_again(self, number: int) -> None:
        who, _, first, wanted = self.pick(self.charges, number)
        self.settle_due()
        again = self.billing.usage.charge(who, **wanted)
        assert (again.status, again.transaction_id) == ("duplicate", first.transaction_id)
        assert again.balance_after == first.balance_after

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
    @rule(number=PICKS, share=st.one_of(st.none(), st.integers(1, 120)), lasts=SOMETIME)
    def reverse(self, number: int, share: int | None, lasts: int | None) -> None:
        who, spent, transaction = self.pick(self.spent, number)
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
            self.backs.append((transaction, amount, wanted, outcome.transaction_id))
        self.tick()

    @precondition(lambda self: self.backs)
    @rule(number=PICKS)
    def reverse_again(self, number: int) -> None:
        transaction, amount, wanted, first = self.pick(self.backs, number)
        again = self.billing.usage.reverse(transaction, None if amount is None else money(amount), **wanted)
        assert (again.status, again.transaction_id) == ("duplicate", first)

    # Holds

    @rule(who=WHO, amount=AMOUNTS, hours=HOURS, resource=st.sampled_from(RESOURCES))
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

    @precondition(lambda self: self.holds)
    @rule(number=PICKS, share=st.one_of(st.just(100), st.integers(1, 105)))
    def capture(self, number: int, share: int) -> None:
        who, reserve, hold = self.pick(self.holds, number)
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
        who, reserve, hold = self.pick(self.holds, number)
        released, _ = self.compare(
            lambda: self.billing.usage.release(hold),
            lambda: self.purses[who].release(reserve, self.clock.now()),
        )
        assert released is None or released.state == reserve.state
        self.tick()

    # The operator and the calendar

    @rule(who=WHO, euros=st.integers(0, 9))
    def overdraft(self, who: str, euros: int) -> None:
        self.ops.customers.overdraft(who, money(euros * EURO), reason="known")
        self.purses[who].floor = -euros * EURO

    @rule(who=WHO)
    def freeze_or_end_it(self, who: str) -> None:
        purse = self.purses[who]
        act = self.ops.customers.unfreeze if purse.frozen else self.ops.customers.freeze
        act(who, reason="chargeback")
        purse.frozen = not purse.frozen

    @rule(hours=st.integers(1, 50))
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
        assert found == [soon.balance, soon.held, soon.available, paid, free]
        grants = [
            (grant.kind, grant.size.units, grant.remaining.units, grant.priority, grant.expires_at or FOREVER)
            for grant in self.ops.customers.grants(customer, all=True)
        ]
        assert grants == [(lot.kind, lot.size, lot.left, lot.priority, lot.lapses) for lot in soon.in_turn()]
        assert max(0, soon.balance) == paid + free

    @invariant()
    def the_rows_are_the_models(self) -> None:
        wallets = {owner: figures for owner, *figures in self.rows(_WALLETS)}
        for customer in CUSTOMERS:
            purse = self.purses[customer]
            if customer in wallets:
                balance, held, floor, left, debt_paid = map(int, wallets[customer])
                assert (balance, held, floor) == (purse.balance, purse.held, purse.floor)
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
        for customer in CUSTOMERS:
            self.prove_balance(customer)
            self.prove_history(customer)
        self.counted["lives"] += 1

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


def live(engine: Engine, folder: Path, *, lives: int, acts: int, shrink: bool = True) -> Counter[str]:
    """Live so many lives of so many acts on an engine, and count what was done and refused.

    A life that fails is lived again and again until the shortest like it is found, unless ``shrink`` is off.
    """
    counted = Counter[str]()
    machine = type("LifeHere", (Life,), {"engine": engine, "folder": folder, "counted": counted})
    wanted = settings(
        max_examples=lives,
        stateful_step_count=acts,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=tuple(Phase) if shrink else (Phase.generate,),
    )
    run_state_machine_as_test(machine, settings=wanted)
    return counted
