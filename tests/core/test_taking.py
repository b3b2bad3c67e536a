"""Whose credit is taken when money goes back: the top-up's own first, the debt last, to the unit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.grants import Burn, OpenGrant
from prepaid.core.taking import Own, spread, take

PAID, BONUS = OpenGrant("paid", 80), OpenGrant("bonus", 5)
OTHERS = (OpenGrant("gift", 30), OpenGrant("older", 40))


def parts(burns):
    return [(burn.grant, burn.amount) for burn in burns]


def test_a_claw_back_comes_from_the_bonus_first_then_from_what_was_bought():
    taken = take(50, 10, own=Own(PAID, BONUS))
    assert parts(taken.credit) == [("paid", 50)]
    assert parts(taken.clawed_back) == [("bonus", 5), ("paid", 5)]


def test_what_the_own_grants_lack_comes_from_others_in_burn_order_then_from_nobody():
    taken = take(160, 10, own=Own(PAID, BONUS), others=OTHERS)
    assert parts(taken.credit) == [("paid", 80), ("gift", 30), ("older", 40), (None, 10)]
    assert parts(taken.clawed_back) == [("bonus", 5), (None, 5)]


def test_what_is_left_of_the_bonus_gives_credit_too():
    taken = take(84, 1, own=Own(PAID, BONUS))
    assert parts(taken.credit) == [("paid", 80), ("bonus", 4)]


def test_a_top_up_of_which_nothing_is_left_takes_from_the_others():
    taken = take(10, 0, own=Own(None, None), others=OTHERS)
    assert parts(taken.credit) == [("gift", 10)]
    assert taken.clawed_back == ()


GRANTS = st.builds(
    lambda paid, bonus, others: (
        Own(OpenGrant("paid", paid) if paid else None, OpenGrant("bonus", bonus) if bonus else None),
        tuple(OpenGrant(f"g{n}", left) for n, left in enumerate(others)),
    ),
    st.integers(0, 50),
    st.integers(0, 50),
    st.lists(st.integers(1, 50), max_size=4),
)


@given(GRANTS, st.integers(0, 200), st.integers(0, 200))
def test_all_of_it_is_taken_and_no_grant_gives_more_than_it_has(grants, credit, clawback):
    own, others = grants
    taken = take(credit, clawback, own=own, others=others)
    assert sum(part.amount for part in taken.credit) == credit
    assert sum(part.amount for part in taken.clawed_back) == clawback
    given: dict[str, int] = {}
    for part in taken.parts:
        if part.grant is not None:
            given[part.grant] = given.get(part.grant, 0) + part.amount
    left = {grant.id: grant.remaining for grant in (own.paid, own.bonus, *others) if grant is not None}
    assert all(amount <= left[name] for name, amount in given.items())
    debt = sum(part.amount for part in taken.parts if part.grant is None)
    assert debt == max(0, credit + clawback - sum(left.values()))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.data())
def test_parts_are_cut_into_pieces_without_a_rest(amounts, data):
    burns = [Burn(f"g{n}", amount) for n, amount in enumerate(amounts)]
    first = data.draw(st.integers(0, sum(amounts)))
    pieces = spread(burns, [first, sum(amounts) - first])
    assert [sum(each.amount for each in piece) for piece in pieces] == [first, sum(amounts) - first]
    sums: dict[str | None, int] = {}
    for each in (each for piece in pieces for each in piece):
        sums[each.grant] = sums.get(each.grant, 0) + each.amount
    assert sums == {burn.grant: burn.amount for burn in burns}
