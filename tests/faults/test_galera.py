"""A cluster that takes writes at every node keeps the books: keys, floors, and what a dead node had acknowledged.

A host's process is bound to one node and moves to the next when the library
gives up on it, always with the same key.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import pytest
from attrs import define

from prepaid import InsufficientCredit, TransactionAborted, permissions
from prepaid.store import raw, schema
from tests.engines.galera import NODES, GaleraCluster

from .planted import with_a_new_key_each_time
from .processes import Child, barrier, results_of
from .world import Host, World, eur, open_quickly

pytestmark = pytest.mark.galera

PRICE = eur("1.00")
AFTER_ALL_COMMITS = "?init_command=SET%20SESSION%20wsrep_sync_wait%3D1"
"""A read at any node waits for what was committed at another."""

WRITERS = 6
PATIENCE_S = 60.0


class Said(NamedTuple):
    """What a host heard about a charge.

    Attributes:
        customer: Who was charged.
        key: By which key.
        status: ``posted``, ``duplicate`` or ``refused``.
        transaction: Its id, unless it was refused.
    """

    customer: str
    key: str
    status: str
    transaction: str = ""


@define
class Place:
    """One database of a cluster, seen from each node."""

    cluster: GaleraCluster
    database: str
    folder: Path

    def world(self, node: int, *, late: bool = False) -> World:
        """Open it at one node; reads wait for the others' commits unless they may be late."""
        return World(
            open_quickly(self.cluster.url(node, self.database) + ("" if late else AFTER_ALL_COMMITS)), self.folder
        )

    def give(self, *customers: str, credit: str) -> None:
        """Give customers credit."""
        with closing(self.world(0)) as world:
            host = Host(world)
            operator = host.billing.operator("alice", permissions=permissions.ALL)
            for customer in customers:
                host.register(customer)
                operator.customers.grant(customer, eur(credit), kind="goodwill", reason="welcome", key="welcome")


@pytest.fixture
def place(galera_cluster: GaleraCluster, tmp_path: Path) -> Iterator[Place]:
    """Give an upgraded database."""
    made = Place(galera_cluster, galera_cluster.new_database(), tmp_path)
    with closing(made.world(0)) as world:
        Host(world).billing.upgrade_database()
    yield made
    galera_cluster.drop_database(made.database)


@define
class Writer:
    """A host's process.

    Attributes:
        place: Where it charges.
        node: The node it is bound to at first.
        gate: Where all wait before the first charge.
        progress: Counts the answers of all.
    """

    place: Place
    node: int
    gate: Any
    progress: Any

    def charge_all(self, wanted: Sequence[tuple[str, str]]) -> tuple[list[Said], int]:
        """Charge customers by keys; give what was answered, and how often the node was changed."""
        nodes = itertools.cycle([self.place.world((self.node + step) % NODES, late=True) for step in range(NODES)])
        host, moved, answers = Host(next(nodes)), 0, []
        host.billing.customer(wanted[0][0]).balance()
        self.gate.wait()
        for customer, key in wanted:
            while True:
                try:
                    outcome = host.billing.usage.charge(customer, PRICE, key=key)
                except TransactionAborted:
                    host, moved = Host(next(nodes)), moved + 1
                    continue
                except InsufficientCredit:
                    answers.append(Said(customer, key, "refused"))
                else:
                    answers.append(Said(customer, key, outcome.status, outcome.transaction_id))
                break
            with self.progress.get_lock():
                self.progress.value += 1
        return answers, moved


@define
class Race:
    """Processes that charge at the same time.

    Attributes:
        answers: What they heard.
        moved: How often one of them went to another node.
        seconds: How long it took.
        stall: The longest time in which nobody heard anything.
    """

    answers: list[Said]
    moved: int
    seconds: float
    stall: float

    def __str__(self) -> str:
        counted = dict(Counter(said.status for said in self.answers))
        return f"{counted}, {self.moved} times another node, {self.seconds:.1f} s, longest silence {self.stall:.1f} s"


def race(place: Place, wanted: Sequence[Sequence[tuple[str, str]]], *, nodes: int, victim: int | None = None) -> Race:
    """Let each process charge its list, at one of the first ``nodes`` nodes; kill a victim after a third of it."""
    for node in range(nodes):  # reads of the writers do not wait for what was made before them
        with closing(place.world(node)) as there:
            there.rows("SELECT count(*) FROM prepaid_grant")
    gate, progress = barrier(len(wanted)), get_context("fork").Value("i", 0)
    writers = [Writer(place, number % nodes, gate, progress) for number in range(len(wanted))]
    began = time.monotonic()
    children = [
        Child(lambda writer=writer, keys=keys: writer.charge_all(keys))
        for writer, keys in zip(writers, wanted, strict=True)
    ]
    total, seen, heard_at, stall = sum(len(keys) for keys in wanted), 0, time.monotonic(), 0.0
    while seen < total and time.monotonic() - heard_at < PATIENCE_S:
        if victim is not None and seen >= total // 3:
            place.cluster.kill_node(victim)
            victim = None
        time.sleep(0.002)
        if progress.value > seen:
            seen = progress.value
            stall, heard_at = max(stall, time.monotonic() - heard_at if seen else 0.0), time.monotonic()
    done = results_of(children)
    return Race(
        [said for answers, _ in done for said in answers],
        sum(moved for _, moved in done),
        time.monotonic() - began,
        stall,
    )


def kept_at(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Read every row of the tables that hold money."""
    tables = (schema.account, schema.transfer, schema.grant)
    return {table.name: world.rows(f"SELECT * FROM {table.name} ORDER BY id") for table in tables}


def contradictions(place: Place, answers: Sequence[Said], *, credit: str) -> list[str]:
    """Say what is wrong with charges that raced for customers, at any node."""
    acknowledged = {(said.customer, said.key): said.transaction for said in answers if said.status != "refused"}
    twice = {
        key: n for key, n in Counter((s.customer, s.key) for s in answers if s.status == "posted").items() if n > 1
    }
    found = [f"posted twice: {twice}"] if twice else []
    first: dict[str, list[tuple[Any, ...]]] | None = None
    for node in range(NODES):
        with closing(place.world(node)) as world:
            found += [f"node {node}: {what}" for what in _wrong_at(world, acknowledged, credit=credit)]
            kept = kept_at(world)
            first = first or kept
            found += [f"node {node} and node 0 differ in {name}" for name in kept if kept[name] != first[name]]
    return found


def _wrong_at(world: World, acknowledged: dict[tuple[str, str], str], *, credit: str) -> list[str]:
    charged = world.rows(
        "SELECT owner, cause_id, transaction_id, wallet_after FROM prepaid_transfer AS t JOIN prepaid_account AS a "
        "ON a.id = t.wallet_id WHERE t.kind = 'charge'"
    )
    posted = {(owner, key): transaction for owner, key, transaction, _ in charged}
    spent = Counter(owner for owner, *_ in charged)
    balances = dict(world.rows("SELECT owner, balance FROM prepaid_account WHERE kind = 'wallet'"))
    expected = {owner: eur(credit).units - spent[owner] * PRICE.units for owner in balances}
    report = Host(world).billing.check()
    lost = {key for key, transaction in acknowledged.items() if posted.get(key) != transaction}
    return [
        what
        for what, wrong in {
            f"acknowledged and lost, or answered otherwise: {lost}": bool(lost),
            f"never acknowledged: {posted.keys() - acknowledged.keys()}": posted.keys() != acknowledged.keys(),
            "a key was charged twice": len(charged) != len(posted),
            f"the balances are {balances}, {expected} expected": balances != expected,
            "below the floor": min(after for *_, after in charged) < 0,
            f"check: {report.findings[:3]}": not report.ok,
        }.items()
        if wrong
    ]


def shared_and_own(customer: str) -> list[list[tuple[str, str]]]:
    """List what each process charges: keys that all have, and some that only it has."""
    shared = [(customer, f"shared-{count}") for count in range(6)]
    own = [[(customer, f"own-{process}-{count}") for count in range(4)] for process in range(WRITERS)]
    # Half of the processes begin with the keys that all share, so that these meet.
    return [shared + keys if process % 2 else keys + shared for process, keys in enumerate(own)]


@pytest.fixture
def late(galera_cluster: GaleraCluster, tmp_path: Path) -> Iterator[tuple[Place, Callable[[], object]]]:
    """Give an empty database, of which the last node learns nothing more until what is given is called."""
    place = Place(galera_cluster, galera_cluster.new_database(), tmp_path)
    engine = open_quickly(galera_cluster.url(NODES - 1, "mysql"))
    with closing(engine.connect()) as connection:
        connection.exec_driver_sql("SET STATEMENT wsrep_sync_wait = 1 FOR SELECT 1")
        # Out of step, so that the others do not wait for it.
        connection.exec_driver_sql("SET GLOBAL wsrep_desync = ON")
        connection.exec_driver_sql("FLUSH TABLES WITH READ LOCK")
        yield place, lambda: connection.exec_driver_sql("UNLOCK TABLES")
        connection.exec_driver_sql("UNLOCK TABLES")
        connection.exec_driver_sql("SET GLOBAL wsrep_desync = OFF")
    engine.dispose()
    galera_cluster.wait_for(NODES)
    galera_cluster.drop_database(place.database)


def test_a_node_that_lags_behind_an_upgrade_is_opened_once_it_has_the_tables(late):
    place, release = late
    with closing(place.world(0)) as world:
        Host(world).billing.upgrade_database()

    released = Timer(0.5, release)
    released.start()
    with closing(place.world(NODES - 1, late=True)) as world:
        Host(world).register("ada")
        assert Host(world).billing.check().ok
    released.join()


@pytest.mark.parametrize("nodes", [1, NODES], ids=["one writer", "three writers"])
@pytest.mark.parametrize("rounds", [1, pytest.param(30, marks=pytest.mark.full)])
def test_a_wallet_raced_for_adds_up_at_every_node(place, nodes, rounds):
    answers = []
    for number in range(rounds):
        customer = f"ada-{number}"
        place.give(customer, credit="20.00")

        done = race(place, shared_and_own(customer), nodes=nodes)

        print(done)
        assert len({said.key for said in done.answers if said.status != "refused"}) == 20
        assert len(done.answers) == WRITERS * 10
        answers += done.answers
    assert contradictions(place, answers, credit="20.00") == []


@pytest.mark.parametrize(
    ("victims", "count"), [((2,), 20), pytest.param((2, 1, 0), 500, marks=pytest.mark.full)], ids=["one", "each"]
)
def test_a_node_killed_while_three_write_loses_nothing_that_was_acknowledged(place, victims, count):
    customers = [f"ada-{number}" for number in range(5)]
    place.give(*customers, credit="5000.00")
    answers = []
    for victim in victims:

        def keys_of(process: int, victim: int = victim) -> list[tuple[str, str]]:
            # Every third key is one that another process has as well.
            names = [f"{victim}-{number if number % 3 == 0 else (process, number)}" for number in range(count)]
            return [(customers[number % len(customers)], name) for number, name in enumerate(names)]

        done = race(place, [keys_of(process) for process in range(WRITERS)], nodes=NODES, victim=victim)

        began = time.monotonic()
        place.cluster.restart_node(victim)
        print(f"node {victim} killed: {done}; back in step {time.monotonic() - began:.1f} s after its start")
        assert len(done.answers) == WRITERS * count
        assert "refused" not in {said.status for said in done.answers}
        # Of those bound to the victim one may be through a few keys before it dies.
        assert done.moved >= (WRITERS // NODES if count > 100 else 1), "who was bound to the victim went on elsewhere"
        answers += done.answers
    assert contradictions(place, answers, credit="5000.00") == []


def test_a_read_that_waits_sees_at_any_node_what_was_charged_at_another(place):
    place.give("ada", credit="20.00")
    with closing(place.world(0)) as here, closing(place.world(1)) as there:
        writer, reader = Host(here).billing, Host(there).billing
        for number in range(1, 21):
            after = writer.usage.charge("ada", PRICE, key=f"charge-{number}").balance_after
            assert reader.customer("ada").balance().settled == after == eur(f"{20 - number}.00")


@pytest.mark.full
def test_the_race_finds_charges_that_forget_their_keys(place, monkeypatch):
    place.give("ada", credit="100.00")
    monkeypatch.setattr(raw, "execute", with_a_new_key_each_time(raw.execute))

    done = race(place, shared_and_own("ada"), nodes=NODES)

    assert "a key was charged twice" in " ".join(contradictions(place, done.answers, credit="100.00"))
