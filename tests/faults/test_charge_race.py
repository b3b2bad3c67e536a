"""Many processes charge one wallet at once: never below the floor, every key exactly once."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select, update

from prepaid import InsufficientCredit, permissions
from prepaid.store import Database, Tx, accounts, ledger, schema

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


def rich(world: World, customer: str = "ada") -> World:
    host = Host(world)
    host.register(customer)
    operator = host.billing.operator("alice", permissions=permissions.ALL)
    operator.customers.grant(customer, CREDIT, kind="goodwill", reason="welcome", key="welcome")
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


def _looks_then_writes(seen_by: Any) -> None:
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
