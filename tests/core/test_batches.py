"""A batch is decided as its items would be one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.batches import (
    Allotter,
    Clash,
    Item,
    Known,
    OpenGrant,
    Part,
    Purse,
    Repeated,
    Taken,
    Uncovered,
    Verdict,
)
from prepaid.core.grants import burn
from prepaid.core.money import MAX_UNITS


def item(amount: int, key: str, **changes: object) -> Item:
    return Item(1, amount, False, key, "content", None)._replace(**changes)


def purse(*grants: int, balance: int | None = None, held: int = 0, floor: int = 0, seq: int = 7) -> Purse:
    opened = [OpenGrant(f"g{number}", left) for number, left in enumerate(grants)]
    return Purse(sum(grants) if balance is None else balance, held, floor, seq, opened)


class Decided(NamedTuple):
    verdicts: list[Verdict]
    wallets: dict[int, tuple[int, int]]
    grants: dict[str, int]


def decide(items: Iterable[Item], purses: Mapping[int, Purse], known: Known | None = None) -> Decided:
    allotter = Allotter(purses, known or Known())
    verdicts = [allotter.decide(each) for each in items]
    wallets, grants = allotter.changes()
    assert all(change.seq == purses[change.id].seq for change in wallets)
    return Decided(
        verdicts,
        {id: (purses[id].balance - taken, purses[id].seq + rows) for id, taken, rows, seq in wallets},
        {id: before - taken for id, taken, before in grants},
    )


class Slowly:
    """Posts one item after the other by the words of the ledger's rules, without any of the code under test."""

    def __init__(self, purses: dict[int, Purse], known: Known) -> None:
        self.balances = {wallet: each.balance for wallet, each in purses.items()}
        self.seqs = {wallet: each.seq for wallet, each in purses.items()}
        self.grants = {wallet: {grant.id: grant.remaining for grant in each.grants} for wallet, each in purses.items()}
        self.keys: dict[str, tuple[str, int | None]] = {key: (content, None) for key, content in known.keys.items()}
        self.periods, self.purses = set(known.periods), purses

    def post(self, number: int, wanted: Item) -> Verdict:
        wallet = wanted.wallet
        balance = self.balances.get(wallet, 0)
        if wanted.key in self.keys:
            content, first = self.keys[wanted.key]
            return Repeated(first) if content == wanted.content else Clash(balance, "key")
        if wallet not in self.purses:
            return Uncovered(0, 0)
        available = balance - self.purses[wallet].held - self.purses[wallet].floor
        if not wanted.performed and available < wanted.amount:
            return Uncovered(available, balance)
        if wanted.period in self.periods - {None}:
            return Clash(balance, "period")
        self.keys[wanted.key] = wanted.content, number
        self.periods.add(wanted.period)
        return Taken(tuple(self._parts(wallet, wanted.amount)))

    def _parts(self, wallet: int, amount: int) -> list[Part]:
        left = self.grants[wallet]
        parts = []
        for burned in burn(amount, [OpenGrant(grant, units) for grant, units in left.items() if units]):
            self.balances[wallet] -= burned.amount
            self.seqs[wallet] += 1
            if burned.grant is not None:
                left[burned.grant] -= burned.amount
            parts.append(Part(burned.grant, burned.amount, self.seqs[wallet], self.balances[wallet]))
        return parts


UNITS = st.integers(1, 12)
ITEMS = st.lists(
    st.builds(
        Item,
        st.sampled_from([1, 1, 2, None]),
        UNITS,
        st.booleans(),
        st.sampled_from("abcdefghij"),
        st.sampled_from("xxxy"),
        st.sampled_from([None, None, "p", "q", "r"]),
    ),
    max_size=14,
)
HELD = st.integers(0, 5)
PURSES = st.fixed_dictionaries(
    {
        wallet: st.builds(
            lambda sizes, debt, held, floor, wallet=wallet: Purse(
                sum(sizes) or -debt,
                held,
                -floor,
                3,
                [OpenGrant(f"{wallet}-{number}", size) for number, size in enumerate(sizes)],
            ),
            st.lists(UNITS, max_size=4),
            st.integers(0, 4),
            HELD,
            st.integers(0, 6),
        )
        for wallet in (1, 2)
    }
)
KNOWN = st.builds(Known, st.dictionaries(st.sampled_from("abz"), st.sampled_from("xy")), st.sets(st.sampled_from("qs")))


@given(ITEMS, PURSES, KNOWN)
def test_a_batch_is_what_its_items_are_one_by_one(items: Sequence[Item], purses: dict[int, Purse], known: Known):
    slowly = Slowly(purses, known)

    decided = decide(items, purses, known)

    assert decided.verdicts == [slowly.post(number, each) for number, each in enumerate(items)]
    changed = {wallet for wallet, each in purses.items() if slowly.seqs[wallet] != each.seq}
    assert decided.wallets == {wallet: (slowly.balances[wallet], slowly.seqs[wallet]) for wallet in changed}
    before = {grant.id: grant.remaining for each in purses.values() for grant in each.grants}
    left = {grant: units for grants in slowly.grants.values() for grant, units in grants.items()}
    assert decided.grants == {grant: units for grant, units in left.items() if units != before[grant]}


@given(ITEMS, PURSES)
def test_what_is_taken_leaves_wallets_and_grants(items: Sequence[Item], purses: dict[int, Purse]):
    decided = decide(items, purses)

    parts = [
        (each.wallet, part)
        for each, verdict in zip(items, decided.verdicts, strict=True)
        if isinstance(verdict, Taken)
        for part in verdict.parts
    ]
    for wallet, before in purses.items():
        mine = [part for owner, part in parts if owner == wallet]
        balance, seq = decided.wallets.get(wallet, (before.balance, before.seq))
        assert before.balance - balance == sum(part.amount for part in mine)
        assert [part.seq for part in mine] == list(range(before.seq + 1, seq + 1))
        assert [part.after for part in mine][-1:] in ([], [balance])
        remaining = [decided.grants.get(grant.id, grant.remaining) for grant in before.grants]
        assert all(left >= 0 for left in remaining)
        assert sum(remaining) == max(0, balance)


def test_a_refused_item_leaves_the_next_one_alone():
    decided = decide([item(80, "a"), item(40, "b"), item(20, "c")], {1: purse(50)})

    assert decided.verdicts == [
        Uncovered(50, 50),
        Taken((Part("g0", 40, 8, 10),)),
        Uncovered(10, 10),
    ]
    assert decided.wallets == {1: (10, 8)}


def test_a_refused_key_is_free_for_what_fits():
    decided = decide([item(80, "a"), item(50, "a", content="other")], {1: purse(50)})

    assert [type(verdict) for verdict in decided.verdicts] == [Uncovered, Taken]


def test_performed_usage_goes_below_zero_and_is_numbered():
    decided = decide([item(70, "a", performed=True), item(5, "b", performed=True)], {1: purse(50)})

    assert decided.verdicts == [
        Taken((Part("g0", 50, 8, 0), Part(None, 20, 9, -20))),
        Taken((Part(None, 5, 10, -25),)),
    ]
    assert (decided.wallets, decided.grants) == ({1: (-25, 10)}, {"g0": 0})


def test_performed_usage_stops_where_64_bits_end():
    decided = decide([item(1, "a", performed=True)], {1: purse(balance=-MAX_UNITS)})

    assert decided.verdicts == [Uncovered(-MAX_UNITS, -MAX_UNITS)]
    assert (decided.wallets, decided.grants) == ({}, {})


@pytest.mark.parametrize(("held", "floor", "fits"), [(0, 0, True), (1, 0, False), (1, -1, True)])
def test_holds_and_the_floor_count(held, floor, fits):
    [verdict] = decide([item(50, "a")], {1: purse(50, held=held, floor=floor)}).verdicts

    assert isinstance(verdict, Taken) == fits
