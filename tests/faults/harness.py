"""Breaks a billing system at every step of an operation and says what contradicts itself afterwards.

A `World` is all that outlives a process: the database, the simulated provider's
memory, and a diary of what customers and listeners were told. A `Host` is one
process in that world. An `Operation` is what a host does, and what its survivor
does again. `enumerate_faults` runs the operation in a forked process, lets a
fault strike at step 1, 2, 3 … until the operation gets through unharmed, each
time in a world of its own, lets a survivor do it again and run the jobs, and
compares the outcome with that of a run in which nothing went wrong::

    found = enumerate_faults(SETTLE, sqlite_worlds(folder), KILL)
    assert not found.contradictions

A step is the instant before or after a SQL statement, a COMMIT, a call of the
gateway, a mail or an event. The processes are forked, so that a prepared
process pays for its imports and compiled statements once. To prove that the
harness sees anything, plant a defect with ``sabotage=``: a function that patches
the library in the forked processes only.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pymysql
from attrs import field, frozen

from prepaid import PrepaidError
from prepaid.testing.clock import START
from tests.claims import let_claims_lapse
from tests.conftest import DatabaseServer

from .processes import Child, ChildFailed, Died, die
from .world import Fuse, Host, World, open_quickly

AFTER_A_CRASH: Final = timedelta(minutes=16)
"""When the survivor starts: looks are due again. What the dead process had leased and claimed has lapsed too."""

LEAP: Final = 7


@frozen(kw_only=True)
class Operation:
    """Something a host does that must happen exactly once, whatever strikes.

    Attributes:
        name: What it is called.
        prepare: Makes the world it happens in.
        run: Does it, and lets everything be told.
        again: What the host does if it does not know whether it happened; gives the answer.
        after: How long after the preparation it happens.
    """

    name: str
    prepare: Callable[[Host], None]
    run: Callable[[Host], object]
    again: Callable[[Host], object]
    after: timedelta = timedelta(0)


@frozen(kw_only=True)
class Fault:
    """Something that goes wrong at one step.

    Attributes:
        name: What it is called.
        strike: Lets it happen, given the step's name and the driver's connection.
        counts: Whether it can happen at a step of that name.
    """

    name: str
    strike: Callable[[str, Any], None]
    counts: Callable[[str], bool] = lambda step: True


def and_tell(act: Callable[[Host], object]) -> Callable[[Host], object]:
    """Make of an act what a host runs: it does it, and lets everything be told."""

    def run(host: Host) -> object:
        act(host)
        return host.billing.run_due("outbox")

    return run


KILL: Final = Fault(name="kill", strike=die)
"""The process ends as by ``kill -9``."""


def _lose_commit(step: str, connection: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        lost: Exception = sqlite3.OperationalError("the answer to COMMIT was lost")
        lost.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise lost
    connection.close()
    if isinstance(connection, pymysql.Connection):
        raise pymysql.err.OperationalError(2013, "the answer to COMMIT was lost")
    raise psycopg.OperationalError("the answer to COMMIT was lost")


LOST_COMMIT: Final = Fault(name="lost commit", strike=_lose_commit, counts=lambda step: step == "after COMMIT")
"""The database commits, and the process hears an error that it may try again on."""


def _cut(step: str, connection: Any) -> None:
    if isinstance(connection, pymysql.Connection):
        _cut_on_mariadb(connection)
    else:
        _cut_on_postgresql(connection)


def _cut_on_postgresql(connection: Any) -> None:
    victim = connection.info.backend_pid
    # Ports and passwords are no secret on a server of the tests' own.
    with psycopg.connect(connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (victim,))
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (victim,)).fetchone():
            time.sleep(0.001)


def _cut_on_mariadb(connection: Any) -> None:
    victim = connection.thread_id()
    place = {"host": connection.host, "port": connection.port, "user": connection.user}
    with pymysql.connect(**place) as other, other.cursor() as cursor:
        cursor.execute("KILL %s", (victim,))
        while cursor.execute("SELECT 1 FROM information_schema.processlist WHERE id = %s", (victim,)):
            time.sleep(0.001)


CUT: Final = Fault(name="cut connection", strike=_cut, counts=lambda step: step.split()[1].isupper())
"""The server ends the session."""


def census(world: World) -> dict[str, Any]:
    """Count everything that must come out the same, with or without a fault; ids do not matter."""
    queries = {
        "wallets": "SELECT owner, currency, balance, held, seq FROM prepaid_account WHERE kind = 'wallet'",
        "transfers": "SELECT kind, cause_type, part, amount FROM prepaid_transfer",
        "grants": "SELECT kind, size, remaining, debt_paid FROM prepaid_grant",
        "holds": "SELECT amount, captured, state FROM prepaid_hold",
        "vouchers": "SELECT amount, coalesce(redeemed_by, ''), ended_at IS NULL FROM prepaid_voucher",
        "topups": "SELECT customer, state, total FROM prepaid_topup",
        "promotions": "SELECT code, uses, spent FROM prepaid_promotion",
        "redemptions": "SELECT customer, code, state, bonus, discount FROM prepaid_redemption",
        "payments": "SELECT gateway, captured, posted_as FROM prepaid_payment",
        "refunds": "SELECT origin, state, amount, credit, clawback, net, tax, settled_at IS NULL FROM prepaid_refund",
        "requests": "SELECT kind, state, coalesce(approved, 0), confirmed_by, decided_by FROM prepaid_refund_request",
        "disputes": "SELECT state, booked, turn, withdrawn, credit, clawback, tax FROM prepaid_dispute",
        "invoices": "SELECT number, sequence, total FROM prepaid_invoice",
        "series": "SELECT kind, last FROM prepaid_invoice_series",
        "files": "SELECT media_type, sha256 FROM prepaid_document_file",
        "meters": "SELECT resource, billed_until, residue, month, month_cost FROM prepaid_meter",
        "cases": "SELECT state, level, provider, reference IS NULL, open_for FROM prepaid_identity_case",
        "identities": "SELECT level FROM prepaid_identity WHERE revoked_at IS NULL",
        "digests": "SELECT day FROM prepaid_digest",
        "segments": "SELECT starts_at, coalesce(ends_at, 0), rate FROM prepaid_meter_segment",
    }
    counted: dict[str, Any] = {name: sorted(world.rows(query)) for name, query in queries.items()}
    effects = world.rows("SELECT topic, dedupe_key, state FROM prepaid_outbox")
    counted["outbox"] = Counter(
        (topic, key.split("/")[0] if topic == "event" else "", state) for topic, key, state in effects
    )
    counted["checkouts"] = sorted((checkout.state, checkout.minor) for checkout in world.checkouts())
    counted["given back"] = world.given_back()
    # Whoever looks again looks again.
    acts = "SELECT actor, action FROM prepaid_audit WHERE action NOT IN ('recheck', 'identity-recheck')"
    counted["acts"] = Counter(world.rows(acts))
    # However often the same thing was told, it is one thing; `Told` counts how often.
    counted["told"] = Counter(words[:2] if words[0] == "event" else words[:1] for words in world.diary.told())
    return counted


def durable(world: World) -> str:
    """Describe all that a survivor can find, so that two worlds with one description need judging once."""
    queries = {
        "accounts": "SELECT kind, owner, balance, seq FROM prepaid_account",
        "currencies": "SELECT code FROM prepaid_currency",
        "looks": "SELECT state, polls, next_poll_at, checkout_id IS NULL FROM prepaid_topup",
        "pursuits": "SELECT state, polls, next_poll_at, gateway_refund_id IS NULL FROM prepaid_refund",
        "hours": "SELECT resource, billed_until, due_at FROM prepaid_meter",
        "received": "SELECT event_id, outcome FROM prepaid_webhook_event",
        "leases": "SELECT name, expires_at > 0, token FROM prepaid_job_lease",
        "effects": "SELECT topic, state, attempts, next_at, claimed_until > 0, progress FROM prepaid_outbox",
        "sums": "SELECT day, debit_kind, kind, amount, transfers FROM prepaid_rollup_day",
        "reach": "SELECT through, mark, coalesce(made_at, 0) FROM prepaid_rollup",
    }
    found = census(world) | {name: sorted(world.rows(query)) for name, query in queries.items()}
    found["lines"] = Counter(words[:2] if words[0] == "event" else words[:1] for words in world.diary.told().elements())
    return repr([sorted(value.items()) if isinstance(value, Counter) else value for value in found.values()])


@frozen
class Told:
    """What had been told at one moment, by kind, and how much of it the database knew to be done."""

    lines: Counter[tuple[str, ...]]
    written: Counter[str]
    done: Counter[str]

    @classmethod
    def of(cls, world: World) -> Told:
        """Look at a world."""
        kinds = {"event": "event", "invoice-mail": "mail", "digest-mail": "mail", "freed-credit": ""}
        effects = world.rows("SELECT topic, state FROM prepaid_outbox")
        rows = [(kinds[topic], state) for topic, state in effects if kinds[topic]]  # the last tells nobody
        written = Counter(kind for kind, _ in rows)
        return cls(world.diary.told(), written, Counter(kind for kind, state in rows if state == "done"))

    def contradictions(self) -> list[str]:
        """Nothing is told that is not in the database: it may be rolled back."""
        things = Counter(words[0] for words in self.lines)
        return [
            f"{count} of kind {kind} told, {self.written[kind]} in the outbox"
            for kind, count in things.items()
            if count > self.written[kind]
        ]

    def since(self, death: Told) -> list[str]:
        """Each thing is told once, or once more if it was not known to be done when the process died."""
        found = []
        for kind in self.written:
            allowed = sum(n for words, n in death.lines.items() if words[0] == kind) + self.written[kind]
            told = sum(n for words, n in self.lines.items() if words[0] == kind)
            if told != allowed - death.done[kind]:
                found.append(f"{kind} told {told} times, {allowed - death.done[kind]} expected")
        return found


def survive(world: World, operation: Operation) -> tuple[dict[str, Any], list[str]]:
    """Do an operation again in a world where something struck, and give its census and contradictions."""
    death = Told.of(world)
    let_claims_lapse(world.engine)
    host = Host(world, at=START + operation.after + AFTER_A_CRASH)
    try:
        operation.again(host)
        answer = operation.again(host)
    except PrepaidError as refused:
        answer = f"{type(refused).__name__}: {refused}"
    host.billing.run_due()
    report = host.billing.check()
    counted = census(world) | {"answer": answer}
    told = Told.of(world)
    contradictions = [f"check: {finding}" for finding in report.findings]
    return counted, contradictions + death.contradictions() + told.contradictions() + told.since(death)


@frozen
class Enumeration:
    """What came of an operation struck at every step.

    Attributes:
        operation: Its name.
        fault: What struck.
        steps: The steps at which it struck, in their order.
        contradictions: What contradicts itself, by step.
        census: What there is after a run without a fault.
        seconds: How long it took.
    """

    operation: str
    fault: str
    steps: tuple[str, ...]
    contradictions: Mapping[str, list[str]]
    census: dict[str, Any] = field(repr=False)
    seconds: float

    def __str__(self) -> str:
        return f"{self.operation}: {self.fault} at {len(self.steps)} points, {self.seconds:.1f} s"


Worlds = Callable[[Callable[[World], None]], Callable[[], AbstractContextManager[World]]]
"""Prepares a world by a function, and gives a maker of copies of it (each a context manager)."""


def sqlite_worlds(folder: Path) -> Worlds:
    """Keep a world in SQLite; a copy is made by copying its files, always to the same place."""
    template, work = folder / "template", folder / "work"

    def prepared(prepare: Callable[[World], None]) -> Callable[[], AbstractContextManager[World]]:
        template.mkdir(parents=True)
        # SQLite moves the log into the file when the last connection closes: then a copy is whole.
        original = World(open_quickly(f"sqlite:///{template}/billing.db"), template)
        with closing(original):
            prepare(original)
        engine = open_quickly(f"sqlite:///{work}/billing.db")

        @contextmanager
        def copy() -> Iterator[World]:
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(template, work)
            with closing(World(engine, work)) as world:
                yield world

        return copy

    return prepared


def server_worlds(server: DatabaseServer, folder: Path) -> Worlds:
    """Keep a world in a database server; a copy is a database made from the prepared one as its template."""
    template, work = folder / "template", folder / "work"

    def prepared(prepare: Callable[[World], None]) -> Callable[[], AbstractContextManager[World]]:
        template.mkdir(parents=True)
        source = server.new_database()
        original = World(open_quickly(source), template)
        with closing(original):
            prepare(original)

        @contextmanager
        def copy() -> Iterator[World]:
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(template, work)
            url = server.new_database(template=source)
            with closing(World(open_quickly(url), work)) as world:
                yield world
            server.drop_database(url)

        return copy

    return prepared


def enumerate_faults(
    operation: Operation,
    worlds: Worlds,
    fault: Fault,
    *,
    sabotage: Callable[[], None] | None = None,
    stride: int = 1,
) -> Enumeration:
    """Let a fault strike at every step of an operation, each time in a world of its own.

    Args:
        operation: What is done.
        worlds: Where.
        fault: What strikes.
        sabotage: Plants a defect in every forked process; the first
            contradiction then ends the enumeration.
        stride: Strike only at every such step: a slice of the whole.
    """
    began = time.monotonic()

    def prepare(world: World) -> None:
        host = Host(world)
        host.billing.upgrade_database()
        operation.prepare(host)

    copies = worlds(prepare)
    with copies() as world:
        # In this process and not in a fork: it compiles the statements for all its forks.
        operation.run(Host(world, at=START + operation.after))
        expected, _ = survive(world, operation)
    found: dict[str, list[str]] = {}
    with copies() as world:
        steps = Child(lambda: _attempt(world, operation, fault, at=0, sabotage=sabotage)).result()
        if unlike := _differences(census(world), expected):
            raise AssertionError(f"this shows without any fault: {unlike}")
    struck, judged = [], set[str]()
    for at in _order(len(steps), stride, scattered=sabotage is not None):
        with copies() as world:
            contradictions = _strike(world, operation, fault, at=at, sabotage=sabotage)
            state = durable(world)
            if contradictions or state not in judged:
                contradictions += _after(world, operation, expected, sabotage)
                judged.add(state)
        struck.append(steps[at - 1])
        if contradictions:
            found[f"{at} {steps[at - 1]}"] = contradictions
            if sabotage is not None:
                break
    seconds = time.monotonic() - began
    return Enumeration(operation.name, fault.name, tuple(struck), found, expected, seconds)


def _order(steps: int, stride: int, *, scattered: bool) -> list[int]:
    # From the middle of the first stride: a slice of a short operation is not its first statement.
    numbers = list(range(1, steps + 1))[min(stride, steps) // 2 :: stride]
    if not scattered:
        return numbers
    # A defect shows over a run of neighbouring steps: leaps find it sooner than a walk.
    return [number for start in range(LEAP) for number in numbers[start::LEAP]]


def _attempt(
    world: World, operation: Operation, fault: Fault, *, at: int, sabotage: Callable[[], None] | None
) -> list[str]:
    if sabotage is not None:
        sabotage()
    fuse = Fuse(at, fault.strike, fault.counts)
    operation.run(Host(world, at=START + operation.after, fuse=fuse))
    return fuse.steps


def _strike(
    world: World, operation: Operation, fault: Fault, *, at: int, sabotage: Callable[[], None] | None
) -> list[str]:
    """Let a fault strike one run, and say if the process did not take it as it should."""
    try:
        outcome = Child(lambda: _attempt(world, operation, fault, at=at, sabotage=sabotage)).result()
    except ChildFailed as failed:
        outcome = failed
    met = isinstance(outcome, Died) if fault is KILL else isinstance(outcome, list)
    return [] if met else [f"after the {fault.name}: {outcome}"]


def _after(
    world: World, operation: Operation, expected: dict[str, Any], sabotage: Callable[[], None] | None
) -> list[str]:
    """Let a survivor do the operation again and give what differs from what is expected."""

    def sabotaged() -> tuple[dict[str, Any], list[str]]:
        if sabotage is not None:
            sabotage()
        return survive(world, operation)

    counted, contradictions = survive(world, operation) if sabotage is None else Child(sabotaged).result()
    return contradictions + _differences(counted, expected)


def _differences(counted: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return [f"{name}: {found}, {expected[name]} expected" for name, found in counted.items() if found != expected[name]]
