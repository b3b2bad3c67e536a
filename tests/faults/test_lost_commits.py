"""The database commits, the answer never arrives: what was asked for happens once all the same."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import Factory, define

from prepaid import Charge, Money, Rate, permissions
from prepaid.store import raw
from prepaid.testing.clock import START
from tests.conftest import DatabaseServer
from tests.engines.proxy import LossyProxy

from .planted import with_a_new_key_each_time
from .world import Host, World, eur, open_quickly

LOSS = 0.35
"""How likely an answer is lost; twelve losses in a row would be given up."""

NOTHING = eur("0.00")

SMALL = eur("0.37")
"""One grant pays for it: the engine's fast path."""

LARGE = eur("4.10")
"""Takes more than one grant: the portable path."""

HOURLY = eur("0.25")


@define
class Loser:
    """Loses answers by chance, the same ones in every run, and counts them by what the host was doing.

    Attributes:
        act: What the host is doing.
        lost: How often an answer to it was lost.
        wanted: How many are to be lost in all.
    """

    wanted: int
    act: str = "set-up"
    lost: Counter[str] = Factory(Counter)
    _chance: random.Random = Factory(lambda: random.Random(20261125))

    def __call__(self, statement: str) -> bool:
        """Decide about the answer to a commit."""
        if self.lost.total() == self.wanted or self._chance.random() > LOSS:
            return False
        self.lost[self.act] += 1
        return True


@define
class Story:
    """A host that goes on giving and taking credit, and what the balance must be after it.

    Attributes:
        host: The host's process.
        loser: Is told what the host does.
        spent: What was taken so far, by the host's own reckoning.
        given: What was given so far.
        answers: What was answered to each key: the transaction, and the balance after it.
    """

    host: Host
    loser: Loser
    given: Money = NOTHING
    spent: Money = NOTHING
    answers: dict[str, tuple[str, str]] = Factory(dict)

    def turn(self, number: int) -> None:
        """Do each thing with keys of its own, and again with the same ones."""
        self.give(number)
        for count in range(2):
            self.charge(f"small-{number}-{count}", SMALL)
        self.charge(f"large-{number}", LARGE)
        self.charge_many(number)
        self.reserve(number)
        self.bill()

    def give(self, number: int) -> None:
        """Give credit in two grants."""
        self.loser.act = "grant"
        operator = self.host.billing.operator("alice", permissions=permissions.ALL)
        for kind in ("goodwill", "promotional"):
            key = f"{kind}-{number}"
            first, second = (
                operator.customers.grant("ada", eur("4.00"), kind=kind, reason="welcome", key=key) for _ in range(2)
            )
            assert first == second
            self.given += eur("4.00")

    def charge(self, key: str, amount: Money) -> None:
        """Charge by a key, until it is known to be a repetition."""
        self.loser.act = key.partition("-")[0] + " charge"
        first, second = (self.host.billing.usage.charge("ada", amount, key=key) for _ in range(2))
        self.spent += amount
        self.answers[key] = (first.transaction_id, str(first.balance_after))
        assert first.status in {"posted", "duplicate"}
        assert second.status == "duplicate"
        assert (second.transaction_id, second.balance_after) == (first.transaction_id, first.balance_after)
        assert first.balance_after == self.left

    def charge_many(self, number: int) -> None:
        """Charge three keys at once, and again."""
        self.loser.act = "batch"
        batch = [Charge(customer="ada", amount=SMALL, key=f"batch-{number}-{count}") for count in range(3)]
        first, second = (self.host.billing.usage.charge_many(batch) for _ in range(2))
        for one, again in zip(first, second, strict=True):
            self.spent += SMALL
            self.answers[one.key] = (one.transaction_id, str(one.balance_after))
            assert one.status in {"posted", "duplicate"}
            assert again.status == "duplicate"
            assert (again.transaction_id, again.balance_after) == (one.transaction_id, one.balance_after)
            assert one.balance_after == self.left

    def reserve(self, number: int) -> None:
        """Hold credit and capture half of it; hold some more and let it go."""
        usage, half = self.host.billing.usage, SMALL
        for act, amount in (("captured", half + half), ("released", SMALL)):
            self.loser.act = "hold"
            key = f"{act}-{number}"
            kept, again = (usage.hold("ada", amount, key=key, expires_in=timedelta(hours=9)) for _ in range(2))
            assert kept.id == again.id
            assert self.host.billing.customer("ada").balance().held == amount
            if act == "captured":
                self.loser.act = "capture"
                first, second = (usage.capture(kept.id, half) for _ in range(2))
                self.spent += half
                assert first.transaction_id == second.transaction_id
                assert first.balance_after == second.balance_after == self.left
            else:
                self.loser.act = "release"
                assert [usage.release(kept.id).state for _ in range(2)] == ["released"] * 2
            assert self.host.billing.customer("ada").balance().held == NOTHING

    def bill(self) -> None:
        """Let an hour pass and bill it."""
        self.loser.act = "bill"
        self.host.clock.advance(hours=1)
        self.host.billing.meters.bill()
        self.host.billing.meters.bill()
        self.spent += HOURLY
        assert self.host.billing.customer("ada").balance().settled == self.left

    @property
    def left(self) -> Money:
        """What there must be."""
        return self.given - self.spent


def tell(url: str, folder: Path, loser: Loser) -> tuple[Story, list[str]]:
    """Go on until as many answers were lost as were wanted; give the statements too whose answers they were."""
    with LossyProxy(url, loser) as proxy, closing(World(open_quickly(proxy.url), folder)) as world:
        host = Host(world)
        host.register("ada")
        host.billing.meters.start("ada", resource="vm-1", rate=Rate.hourly(str(HOURLY.amount), "EUR"), at=START)
        story, number = Story(host, loser), 0
        while loser.lost.total() < loser.wanted:
            story.turn(number)
            number += 1
    return story, proxy.lost


def contradictions(world: World, story: Story) -> list[str]:
    """Say what is wrong, by a connection on which nothing gets lost."""
    posted = world.rows("SELECT cause_id, transaction_id FROM prepaid_transfer WHERE cause_type = 'usage' AND part = 0")
    expected = sorted((key, transaction) for key, (transaction, _) in story.answers.items())
    [(balance, held)] = world.rows("SELECT balance, held FROM prepaid_account WHERE kind = 'wallet'")
    report = Host(world, at=story.host.clock.now()).billing.check()
    return [
        what
        for what, wrong in {
            "each key once, with the transaction that was answered": sorted(posted) != expected,
            f"{balance} and {held} held, {story.left.units} expected": (balance, held) != (story.left.units, 0),
            f"check: {report.findings[:3]}": not report.ok,
        }.items()
        if wrong
    ]


@pytest.fixture
def places(server: DatabaseServer, tmp_path: Path) -> Iterator[tuple[str, World]]:
    """Give a database's URL, and the world in it as it is without a proxy."""
    url = server.new_database()
    world = World(open_quickly(url), tmp_path)
    Host(world).billing.upgrade_database()
    yield url, world
    world.close()
    server.drop_database(url)


@pytest.mark.parametrize("wanted", [40, pytest.param(1000, marks=pytest.mark.full)])
def test_what_was_asked_for_happens_once_whichever_answer_is_lost(places, wanted):
    url, world = places
    loser, began = Loser(wanted), time.monotonic()

    story, statements = tell(url, world.folder, loser)

    engine, seconds = world.engine.dialect.name, time.monotonic() - began
    print(f"{engine}: {wanted} answers lost in {seconds:.0f} s and {len(story.answers)} charges, {dict(loser.lost)}")
    assert len(statements) == wanted
    assert {"COMMIT"} < set(statements), "and the statement that is a charge by itself"
    assert set(loser.lost) >= {"grant", "small charge", "large charge", "batch", "hold", "capture", "release", "bill"}
    assert contradictions(world, story) == []


@pytest.mark.parametrize(("forgetful", "left"), [(False, "3.26"), (True, "2.89")])
def test_it_is_the_key_that_keeps_a_charge_from_being_posted_again(places, monkeypatch, forgetful, left):
    """The proof above can fail: without the key one lost answer makes one charge two."""
    url, world = places
    host = Host(world)
    host.register("ada")
    operator = host.billing.operator("alice", permissions=permissions.ALL)
    operator.customers.grant("ada", eur("4.00"), kind="goodwill", reason="welcome", key="welcome")
    host.billing.usage.charge("ada", SMALL, key="before")
    if forgetful:
        monkeypatch.setattr(raw, "execute", with_a_new_key_each_time(raw.execute))

    with (
        LossyProxy(url, lambda statement: not proxy.lost) as proxy,
        closing(World(open_quickly(proxy.url), world.folder)) as lossy,
    ):
        Host(lossy).billing.usage.charge("ada", SMALL, key="once")

    assert len(proxy.lost) == 1
    assert host.billing.customer("ada").balance().settled == eur(left)
