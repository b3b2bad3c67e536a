"""Processes that hold, charge, give back, take back and let lapse one wallet's credit: nothing twice, nothing lost."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import get_context
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text

from prepaid import RequestRefused, permissions
from prepaid.store import Tx
from prepaid.testing.clock import START

from .processes import barrier, in_processes
from .world import Host, World, eur

HOUR = timedelta(hours=1)
PRICE = eur("1.00")


def give(host: Host, customer: str, amount: str, *, key: str = "welcome", **options: Any) -> None:
    operator = host.billing.operator("alice", permissions=permissions.ALL)
    wanted = {"kind": "goodwill", "reason": "welcome", "key": key, **options}
    operator.customers.grant(customer, eur(amount), **wanted)


def answer(act: Callable[[], Any]) -> tuple[str, Any]:
    """Give what an act answered, or the code it was refused with."""
    try:
        return "done", act()
    except RequestRefused as refused:
        return refused.code, None


Racer = Callable[[Host, int], list[Any]]


def together(world: World, racers: list[Racer], *, clocks: tuple[timedelta, ...] = (timedelta(0),)) -> list[Any]:
    """Let each racer run in a process of its own, all from one instant, and give all their answers.

    Each process has a clock of its own; ``clocks`` says by turns what it shows after the start.
    """
    gate = barrier(len(racers))

    def run(number: int) -> list[Any]:
        host = Host(world, at=START + clocks[number % len(clocks)])
        host.billing.health()  # opens the database before the start
        gate.wait()
        return racers[number](host, number)

    world.close()
    answers = in_processes([lambda number=number: run(number) for number in range(len(racers))])
    return [each for process in answers for each in process]


class Book(NamedTuple):
    """What the database itself says of one customer's wallet, in ledger units."""

    balance: int
    held: int
    lowest: int
    moved: Counter[str]

    @classmethod
    def of(cls, world: World, customer: str) -> Book:
        [(wallet, balance, held)] = world.rows(
            "SELECT id, balance, held FROM prepaid_account WHERE kind = 'wallet' AND owner = :owner", owner=customer
        )
        sums = world.rows(
            "SELECT kind, sum(amount) FROM prepaid_transfer WHERE wallet_id = :id GROUP BY kind", id=wallet
        )
        [(lowest,)] = world.rows("SELECT min(wallet_after) FROM prepaid_transfer WHERE debit_id = :id", id=wallet)
        return cls(
            int(balance),
            int(held),
            int(balance if lowest is None else lowest),
            Counter({kind: int(units) for kind, units in sums}),
        )


def proved(world: World, *, at: timedelta = timedelta(0)) -> None:
    report = Host(world, at=START + at).billing.check()
    assert report.ok, report.findings[:3]


# Charges, holds and an expiry on one wallet


def charging(customer: str) -> Callable[[Host, int], list[Any]]:
    def race(host: Host, number: int) -> list[Any]:
        usage = host.billing.usage
        return [
            ("charge", answer(lambda key=f"c-{number}-{count}": usage.charge(customer, PRICE, key=key).status)[0])
            for count in range(6)
        ]

    return race


def reserving(customer: str) -> Callable[[Host, int], list[Any]]:
    """Hold, and then capture a part of it or give it back."""

    def race(host: Host, number: int) -> list[Any]:
        usage, answers = host.billing.usage, []
        for count in range(4):
            key = f"h-{number}-{count}"
            code, held = answer(lambda key=key: usage.hold(customer, eur("2.00"), key=key, expires_in=9 * HOUR))
            if held is None:
                answers.append(("hold", code))
            elif count % 2:
                usage.release(held.id)
                answers.append(("release", "done"))
            else:
                answers.append(("capture", usage.capture(held.id, eur("0.50")).status))
        return answers

    return race


def lapsing(host: Host, number: int) -> list[Any]:
    return [("job", host.billing.run_due(only="credit")[0].status) for _ in range(4)]


@pytest.mark.parametrize("rounds", [1, pytest.param(40, marks=pytest.mark.full)])
def test_charges_holds_and_an_expiry_take_each_unit_once(world, rounds):
    for number in range(rounds):
        customer = f"ada-{number}"
        host = Host(world)
        host.register(customer)
        give(host, customer, "10.00", key="stays")
        give(host, customer, "10.00", key="lapses", kind="promotional", expires_at=START + HOUR)
        kept = host.billing.usage.hold(customer, eur("13.00"), key="kept", expires_in=9 * HOUR)
        racers = [charging(customer), lapsing, reserving(customer), charging(customer)] * 2

        # For one half of the processes the credit lapses, by the clock of the others it is good for another minute.
        answers = Counter(together(world, racers, clocks=(HOUR, HOUR, HOUR - timedelta(minutes=1))))
        # What a capture set free last, by a clock of before, lapses now.
        Host(world, at=START + HOUR).billing.run_due(only="credit")

        book = Book.of(world, customer)
        spent = PRICE.units * answers["charge", "done"] + eur("0.50").units * answers["capture", "posted"]
        assert book.moved["charge"] == spent
        assert book.moved["expiry"] > 0
        # Seven are free: of each, it was charged or it lapsed.
        assert spent + book.moved["expiry"] == eur("7.00").units
        assert book.balance == book.held == book.lowest == kept.amount.units
        assert answers["charge", "insufficient-credit"] + answers["hold", "insufficient-credit"] > 0
        assert set(answers) <= EXPECTED, answers
        proved(world, at=HOUR)


EXPECTED = {
    ("charge", "done"),
    ("charge", "insufficient-credit"),
    ("hold", "insufficient-credit"),
    ("release", "done"),
    ("capture", "posted"),
    ("job", "done"),
    ("job", "busy"),
}


# Reversals of one charge


@pytest.mark.parametrize("rounds", [1, pytest.param(40, marks=pytest.mark.full)])
def test_many_reversals_of_one_charge_never_give_back_more_than_it_took(world, rounds):
    for number in range(rounds):
        customer = f"ada-{number}"
        host = Host(world)
        host.register(customer)
        give(host, customer, "3.00", key="bonus", kind="promotional")
        give(host, customer, "4.00", key="gift")
        used = host.billing.usage.charge(customer, eur("9.00"), key="used", allow_negative=True).transaction_id

        def giving_back(host: Host, number: int, used: str = used) -> list[Any]:
            """Every process has keys of its own and one that all share."""
            back = host.billing.usage.reverse
            keys = ["shared", *[f"r-{number}-{count}" for count in range(3)]]
            random.Random(number).shuffle(keys)
            answers = []
            for key in keys:
                code, done = answer(lambda key=key: back(used, PRICE, key=key, reason="outage"))
                answers.append((key, code, done and done.status, done and done.transaction_id))
            return answers

        answers = together(world, [giving_back] * 6)

        book, posted = Book.of(world, customer), [each for each in answers if each[2] == "posted"]
        shared = [each for each in answers if each[0] == "shared"]
        assert book.moved["reversal"] == PRICE.units * len(posted) == eur("9.00").units
        assert book.balance == eur("7.00").units
        assert {code for _, code, _, _ in answers} == {"done", "wrong-state"}
        assert len({transaction for _, code, _, transaction in shared if code == "done"}) <= 1
        proved(world)


# A void against charges, and against itself


@pytest.mark.parametrize("rounds", [1, pytest.param(40, marks=pytest.mark.full)])
def test_what_is_taken_back_was_not_charged(world, rounds):
    for number in range(rounds):
        customer = f"ada-{number}"
        host = Host(world)
        host.register(customer)
        give(host, customer, "10.00")
        [grant] = [each.id for each in host.billing.customer(customer).grants()]

        def voiding(host: Host, number: int, grant: str = grant) -> list[Any]:
            operator = host.billing.operator(f"bob-{number}", permissions=permissions.ALL)
            return [("void", *answer(lambda: operator.customers.void_grant(grant, reason="given twice")))]

        answers = together(world, [charging(customer), voiding] * 3)

        book = Book.of(world, customer)
        voids = [each[1:] for each in answers if each[0] == "void"]
        charged = PRICE.units * sum(each == ("charge", "done") for each in answers)
        assert len(set(voids)) == 1, voids  # whoever asks for the same thing hears the same answer
        assert book.moved["charge"] == charged
        assert book.moved["adjustment"] == eur("10.00").units - charged
        assert (book.balance, book.lowest) == (0, 0)
        assert (voids[0][0] == "done") is (book.moved["adjustment"] > 0)
        proved(world)


# One hold, captured and released by many


@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=pytest.mark.full)])
def test_a_hold_that_many_end_is_ended_once(world, rounds):
    for number in range(rounds):
        customer = f"ada-{number}"
        host = Host(world)
        host.register(customer)
        give(host, customer, "10.00")
        hold = host.billing.usage.hold(customer, eur("4.00"), key="h", expires_in=HOUR).id

        def capturing(host: Host, number: int, hold: str = hold) -> list[Any]:
            code, done = answer(lambda: host.billing.usage.capture(hold, eur("3.00")))
            return [("capture", code if done is None else done.status)]

        def releasing(host: Host, number: int, hold: str = hold, late: bool = number % 2 == 1) -> list[Any]:
            time.sleep(0.02 * late)  # a capture looks up more before it begins, and would always come second
            code, done = answer(lambda: host.billing.usage.release(hold))
            return [("release", code if done is None else done.state)]

        answers = Counter(together(world, [capturing, releasing] * 3))

        book, captured = Book.of(world, customer), answers["capture", "posted"]
        assert answers in (
            Counter({("capture", "posted"): 1, ("capture", "duplicate"): 2, ("release", "wrong-state"): 3}),
            Counter({("capture", "wrong-state"): 3, ("release", "released"): 3}),
        )
        assert (book.balance, book.held) == (eur("10.00").units - captured * eur("3.00").units, 0)
        proved(world)


# Reads of the whole bank while it is busy

CUSTOMERS = ("ada", "bob", "eve")


def working(host: Host, number: int, *, acts: int) -> list[Any]:
    """Give, charge, hold, capture, give back: whatever is refused is refused."""
    usage, chance, charges = host.billing.usage, random.Random(number), []
    for count in range(acts):
        customer, key = chance.choice(CUSTOMERS), f"{number}-{count}"
        act = chance.choice(["give", "charge", "charge", "performed", "hold", "reverse"])
        if act == "give":
            give(host, customer, "3.00", key=key, kind=chance.choice(["goodwill", "promotional"]))
        elif act == "hold":
            code, held = answer(lambda: usage.hold(customer, PRICE, key=key, expires_in=HOUR))  # noqa: B023
            if code == "done" and chance.random() < 0.5:
                usage.capture(held.id, eur("0.40"))
        elif act == "reverse" and charges:
            answer(lambda: usage.reverse(chance.choice(charges), eur("0.30"), key=key, reason="outage"))  # noqa: B023
        else:
            performed = act == "performed"
            code, done = answer(lambda: usage.charge(customer, PRICE, key=key, allow_negative=performed))  # noqa: B023
            if code == "done":
                charges.append(done.transaction_id)
    return [("worked", number)]


class Read(NamedTuple):
    """What one moment of the whole bank shows, in ledger units."""

    transfers: int
    wallets: int
    system: int
    left: int
    above_zero: int
    held: int
    reserved: int

    @property
    def contradictions(self) -> list[str]:
        return [
            name
            for name, wrong in {
                "wallets and the book's own accounts": self.wallets + self.system != 0,
                "credit left of grants": self.left != self.above_zero,
                "what holds reserve": self.held != self.reserved,
            }.items()
            if wrong
        ]


_READS = (
    "SELECT count(*) FROM prepaid_transfer",
    "SELECT coalesce(sum(balance), 0) FROM prepaid_account WHERE kind = 'wallet'",
    "SELECT coalesce(sum(CASE WHEN a.id = t.credit_id THEN t.amount ELSE -t.amount END), 0) FROM prepaid_account a"
    " JOIN prepaid_transfer t ON a.id IN (t.credit_id, t.debit_id) WHERE a.kind <> 'wallet'",
    "SELECT coalesce(sum(remaining), 0) FROM prepaid_grant WHERE open = 1",
    "SELECT coalesce(sum(CASE WHEN balance > 0 THEN balance ELSE 0 END), 0) FROM prepaid_account WHERE kind = 'wallet'",
    "SELECT coalesce(sum(held), 0) FROM prepaid_account WHERE kind = 'wallet'",
    "SELECT coalesce(sum(amount), 0) FROM prepaid_hold WHERE state = 'open'",
)


def read_the_bank(host: Host) -> Read:
    """Read it on one snapshot, as a check and a report do."""

    def work(tx: Tx) -> Read:
        return Read(*(int(tx.execute(text(statement)).scalar_one()) for statement in _READS))

    return host.billing._context.database.read(work)


def read_the_bank_without_a_snapshot(host: Host) -> Read:
    database = host.billing._context.database
    return Read(
        *(
            database.read(lambda tx, statement=statement: int(tx.execute(text(statement)).scalar_one()))
            for statement in _READS
        )
    )


def watch(world: World, read: Callable[[Host], Read], *, acts: int) -> list[Read]:
    """Read the bank over and over while eight processes work in it."""
    left = get_context("fork").Value("i", WRITERS)

    def reading(host: Host, number: int) -> list[Any]:
        reads = []
        while left.value:
            reads.append(read(host))
        return [*reads, read(host)]

    def writing(host: Host, number: int) -> list[Any]:
        try:
            return working(host, number, acts=acts)
        finally:
            with left.get_lock():
                left.value -= 1

    host = Host(world)
    for customer in CUSTOMERS:
        host.register(customer)
        give(host, customer, "5.00")
        host.billing.usage.charge(customer, PRICE, key="first")
    return [each for each in together(world, [writing] * WRITERS + [reading] * 2) if isinstance(each, Read)]


WRITERS = 8


@pytest.mark.parametrize("acts", [6, pytest.param(250, marks=pytest.mark.full)])
def test_at_every_moment_the_bank_adds_up_to_nothing(world, acts):
    reads = watch(world, read_the_bank, acts=acts)

    print(f"{world.engine.dialect.name}: {len(reads)} reads, {reads[-1].transfers} transfers")
    assert len({each.transfers for each in reads}) > 3, "nobody read while others worked"
    assert [each for each in reads if each.contradictions] == []
    proved(world)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_reads_of_different_moments_would_be_noticed(world):
    """The same questions in a transaction each: they contradict themselves, or this proves nothing."""
    reads = watch(world, read_the_bank_without_a_snapshot, acts=10)

    assert any(each.contradictions for each in reads)
