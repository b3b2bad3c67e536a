"""Many processes charge one wallet at once: never below the floor, every key exactly once."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, update

from prepaid import InsufficientCredit, Money, permissions
from prepaid.core.grants import GrantKind
from prepaid.store import Database, Tx, accounts, fast, ledger, schema

from .processes import barrier, in_processes
from .world import Host, World, eur

PROCESSES = 8
CHARGES = 12
CREDIT = eur("20.00")
PRICE = eur("1.00")
SHARED = tuple(f"shared-{number}" for number in range(6))


def charge_all(world: World, customer: str, gate: Any, number: int) -> list[tuple[str, str]]:
    """Charge shared and own keys and give what was answered: key and status."""
    host = Host(world)
    keys = [f"own-{number}-{count}" for count in range(CHARGES - len(SHARED))]
    answers = []
    gate.wait()
    # Half of the processes begin with the keys that all share, so that these meet.
    for key in [*SHARED, *keys] if number % 2 else [*keys, *SHARED]:
        try:
            answers.append((key, host.billing.usage.charge(customer, PRICE, key=key).status))
        except InsufficientCredit:
            answers.append((key, "refused"))
    return answers


def race(world: World, customer: str = "ada", defect: Any = None) -> list[tuple[str, str]]:
    gate = barrier(PROCESSES)

    def racer(number: int) -> list[tuple[str, str]]:
        if defect is not None:
            defect()
        return charge_all(world, customer, gate, number)

    world.close()
    answers = in_processes([lambda number=number: racer(number) for number in range(PROCESSES)])
    return [answer for process in answers for answer in process]


def contradictions(world: World, answers: list[tuple[str, str]], customer: str = "ada") -> list[str]:
    """Say what is wrong with a wallet after a race for it."""
    wallet = "SELECT id, balance, floor FROM prepaid_account WHERE kind = 'wallet' AND owner = :owner"
    [(wallet_id, balance, floor)] = world.rows(wallet, owner=customer)
    of_wallet = "FROM prepaid_transfer WHERE wallet_id = :id"
    charged = world.rows(
        f"SELECT cause_id, SUM(amount) {of_wallet} AND kind = 'charge' GROUP BY cause_id", id=wallet_id
    )
    [(lowest,)] = world.rows(f"SELECT MIN(wallet_after) {of_wallet}", id=wallet_id)
    posted = Counter(key for key, status in answers if status == "posted")
    replayed = {key for key, status in answers if status == "duplicate"}
    report = Host(world).billing.check()
    return [
        what
        for what, wrong in {
            f"keys posted twice: {posted.most_common(1)}": max(posted.values()) > 1,
            f"replayed and never posted: {replayed - set(posted)}": bool(replayed - set(posted)),
            "acknowledged and posted differ": {key for key, _ in charged} != set(posted),
            "a key was debited otherwise than once": any(amount != PRICE.units for _, amount in charged),
            f"below the floor: {lowest}": min(lowest, balance) < floor,
            f"the balance is {balance}": balance != CREDIT.units - PRICE.units * len(charged),
            "more was charged than there was": len(charged) * PRICE.units > CREDIT.units,
            f"check: {report.findings[:3]}": not report.ok,
        }.items()
        if wrong
    ]


def rich(
    world: World, customer: str = "ada", *, credit: Money = CREDIT, kinds: tuple[GrantKind, ...] = ("goodwill",)
) -> World:
    host = Host(world)
    host.register(customer)
    operator = host.billing.operator("alice", permissions=permissions.ALL)
    for kind in kinds:
        operator.customers.grant(customer, credit, kind=kind, reason="welcome", key=f"welcome-{kind}")
    return world


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.full)])
def test_a_wallet_raced_for_by_eight_processes_adds_up(world, rounds):
    for number in range(rounds):
        customer = f"ada-{number}"

        answers = race(rich(world, customer), customer)

        statuses = Counter(status for _, status in answers)
        assert statuses["posted"] == CREDIT.units // PRICE.units
        assert statuses["refused"] > 0
        assert contradictions(world, answers, customer) == []


SENDERS = 4


def send_all(world: World, keys: list[tuple[str, str]], gate: Any, number: int) -> Counter[str]:
    """Send every key once, in an order of one's own."""
    host = Host(world)
    random.Random(number).shuffle(keys)
    answers = Counter[str]()
    gate.wait()
    for customer, key in keys:
        answers[host.billing.usage.charge(customer, PRICE, key=key).status] += 1
    return answers


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.full)])
def test_keys_that_four_processes_send_are_each_debited_once(world, count):
    customers = [f"ada-{number}" for number in range(3)]
    for customer in customers:
        rich(world, customer, credit=eur(f"{count // 3}.00"), kinds=("goodwill", "promotional"))
    keys = [(customers[number % 3], f"key-{number}") for number in range(count)]
    gate = barrier(SENDERS)
    world.close()

    answers = in_processes([lambda number=number: send_all(world, keys, gate, number) for number in range(SENDERS)])

    assert sum(answers, Counter()) == {"posted": count, "duplicate": count * (SENDERS - 1)}
    charged = world.rows("SELECT COUNT(*), SUM(amount) FROM prepaid_transfer WHERE kind = 'charge'")
    assert [(rows, int(units)) for rows, units in charged] == [(count, count * PRICE.units)]
    debited = world.rows("SELECT SUM(balance) FROM prepaid_account WHERE kind = 'wallet'")
    assert int(debited[0][0]) == count * PRICE.units
    assert Host(world).billing.check().findings == ()


def only_the_portable_path() -> None:
    """Let every charge of this process take the path that the defects are planted in."""
    fast.MODULES.clear()


def _looks_then_writes(seen_by: Any) -> None:
    only_the_portable_path()

    def debit(tx: Tx, customer: str, currency: str, amount: int, *, now: Any) -> bool:
        balance = seen_by(tx, customer, currency)
        time.sleep(0.002)  # a busy machine's process waits here as well
        if balance - amount < 0:
            return False
        table = schema.account
        mine = update(table).where(table.c.kind == "wallet", table.c.owner == customer)
        tx.execute(mine.values(balance=balance - amount, seq=table.c.seq + 1))
        return True

    ledger.debit = debit


def reads_inside_the_transaction() -> None:
    """Read the balance without a lock, decide in Python, write what was computed."""

    def seen(tx: Tx, customer: str, currency: str) -> int:
        table = schema.account
        return int(
            tx.execute(select(table.c.balance).where(table.c.kind == "wallet", table.c.owner == customer)).scalar()
        )

    _looks_then_writes(seen)


def reads_before_the_transaction() -> None:
    """As above, with the read in a transaction of its own: SQLite lets nobody read inside a write unseen."""
    before: dict[str, int] = {}
    write = Database.write

    def look_then_write(self: Database, work: Any) -> Any:
        wallet = self.read(lambda tx: accounts.find_wallet(tx, "ada", "EUR"))
        before["ada"] = 0 if wallet is None else wallet.balance
        return write(self, work)

    Database.write = look_then_write
    _looks_then_writes(lambda tx, customer, currency: before[customer])


@pytest.mark.parametrize("defect", [reads_inside_the_transaction, reads_before_the_transaction])
def test_the_race_finds_a_balance_that_is_loaded_changed_and_saved(world, defect):
    answers = race(rich(world), defect=defect)
    found = contradictions(world, answers)

    if defect is reads_inside_the_transaction and world.engine.dialect.name == "sqlite":
        # BEGIN IMMEDIATE makes even this correct on SQLite; that it does is worth knowing.
        assert found == []
    else:
        # How it shows depends on who was slow: a wrong balance, a lost charge, a refused grant.
        assert found, answers
