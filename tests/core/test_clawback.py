"""What a refund takes back of a bonus: kept for what was used, undone for what is returned, to the unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.clawback import NOTHING, Bought, Returned, by_credit, by_gross, claw_back, refundable
from prepaid.core.errors import IntegrityFault

CENT = 10_000
EURO = 100 * CENT


def bought(credit, bonus=0, net=None, tax=0):
    return Bought(
        credit=credit * EURO, bonus=bonus * EURO, net_minor=100 * (credit if net is None else net), tax_minor=tax
    )


EXAMPLES = [
    ("nothing spent", bought(100, 20), 100, 20, "100.00"),
    ("20 spent, all of it bonus", bought(100, 20), 100, 0, "83.33"),
    ("100 and 50, 120 spent", bought(100, 50), 30, 0, "20.00"),
    ("90 paid for 100, 20 spent", bought(100, net=90), 80, 0, "80.00"),
    ("all spent", bought(100, 20), 0, 0, "0.00"),
    ("only bonus left", bought(100, 20), 0, 5, "0.00"),
]


@pytest.mark.parametrize(
    ("terms", "paid", "bonus", "most"), [each[1:] for each in EXAMPLES], ids=[e[0] for e in EXAMPLES]
)
def test_the_published_examples(terms, paid, bonus, most):
    found = refundable(terms, paid_left=paid * EURO, bonus_left=bonus * EURO, unit=CENT)
    assert f"{found / EURO:.2f}" == most


def returned(terms, parts):
    """Refund parts one after the other, and give what they come to."""
    before = NOTHING
    for part in parts:
        before += by_credit(terms, part, before)
    return before


def test_the_same_credit_in_parts_is_the_same_cash():
    terms = bought(100, net=90)
    parts = [2667 * CENT, 2667 * CENT, 2666 * CENT]
    assert returned(terms, parts) == returned(terms, [8000 * CENT]) == Returned(credit=8000 * CENT, net_minor=7200)


@given(st.data())
def test_all_of_the_credit_gives_all_of_net_tax_and_bonus_in_however_many_parts(data):
    credit = data.draw(st.integers(1, 10**6))
    terms = Bought(
        credit=credit * CENT,
        bonus=data.draw(st.integers(0, 10**10)),
        net_minor=data.draw(st.integers(0, credit)),
        tax_minor=data.draw(st.integers(0, credit)),
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, credit), max_size=6)) | {credit})
    parts = [(end - start) * CENT for start, end in zip([0, *cuts], cuts, strict=False)]
    whole = returned(terms, parts)
    assert (whole.net_minor, whole.tax_minor, whole.clawed_back) == (terms.net_minor, terms.tax_minor, terms.bonus)


@given(st.data())
def test_the_most_that_can_be_refunded_fits_and_one_unit_more_does_not(data):
    credit, bonus = data.draw(st.integers(1, 10**5)), data.draw(st.integers(0, 10**9))
    terms = Bought(credit=credit * CENT, bonus=bonus, net_minor=credit, tax_minor=0)
    paid, left = data.draw(st.integers(0, credit * CENT)), data.draw(st.integers(0, bonus))
    most = refundable(terms, paid_left=paid, bonus_left=left, unit=CENT)

    def fits(amount):
        from_paid = max(0, claw_back(terms, amount) - left)
        return amount <= terms.credit and amount + from_paid <= paid

    assert most % CENT == 0
    assert most == 0 or fits(most)
    assert not fits(most + CENT)


@pytest.mark.parametrize("amount", [0, -1, 101 * EURO])
def test_no_more_is_refunded_than_was_bought(amount):
    with pytest.raises(IntegrityFault):
        by_credit(bought(100), amount)


# What went back without being asked for


def test_money_that_went_back_is_credit_net_tax_and_bonus_in_proportion():
    terms = bought(100, bonus=20, net=90, tax=1710)
    assert by_gross(terms, 10710) == Returned(credit=100 * EURO, net_minor=9000, tax_minor=1710, clawed_back=20 * EURO)
    half = by_gross(terms, 5355)
    assert half == Returned(credit=50 * EURO, net_minor=4500, tax_minor=855, clawed_back=10 * EURO)


def test_no_more_goes_back_than_was_paid():
    terms = bought(100, tax=1900)
    first = by_gross(terms, 11_000)
    assert by_gross(terms, 5_000, first).gross_minor == 900
    assert by_gross(terms, 5_000, by_gross(terms, 11_900)) == NOTHING


@st.composite
def lives(draw):
    """Give terms and what goes back of them: by credit or by money, in any order, and now and then not after all."""
    credit = draw(st.integers(1, 10**5))
    net = draw(st.integers(1, credit))
    terms = Bought(
        credit=credit * CENT,
        bonus=draw(st.integers(0, 10**9)),
        net_minor=net,
        tax_minor=draw(st.integers(0, net)),
    )
    acts = st.tuples(st.sampled_from(["credit", "credit", "money", "fails"]), st.integers(1, credit), st.booleans())
    return terms, draw(st.lists(acts, max_size=8))


@given(lives())
def test_whatever_goes_back_in_whatever_order_the_whole_is_the_whole(life):
    terms, acts = life
    parts = []

    def sums():
        return sum(parts, NOTHING)

    for act, size, _ in acts:
        before = sums()
        if act == "fails" and parts:
            parts.pop(size % len(parts))
        elif act == "money":
            parts.append(by_gross(terms, size, before))
            assert parts[-1].gross_minor <= size
        elif act == "credit":
            left = terms.credit - before.credit
            amount = min(size * CENT, left // CENT * CENT)
            if amount:
                parts.append(by_credit(terms, amount, before))
        now = sums()
        assert all(min(p.credit, p.net_minor, p.tax_minor, p.clawed_back) >= 0 for p in parts)
        assert now.credit <= terms.credit
        assert now.net_minor <= terms.net_minor
        assert now.tax_minor <= terms.tax_minor
        assert now.clawed_back <= terms.bonus
    before = sums()
    if before.credit < terms.credit:
        rest = before + by_credit(terms, terms.credit - before.credit, before)
        assert rest == Returned(
            credit=terms.credit, net_minor=terms.net_minor, tax_minor=terms.tax_minor, clawed_back=terms.bonus
        )
    rest = before + by_gross(terms, terms.gross_minor, before)
    assert (rest.net_minor, rest.tax_minor) == (terms.net_minor, terms.tax_minor)


@given(lives())
def test_after_money_went_back_a_refund_never_asks_for_more_than_is_there(life):
    terms, acts = life
    before = NOTHING
    for act, size, _ in acts:
        if act == "money":
            before += by_gross(terms, size, before)
    paid = terms.credit - before.credit
    most = refundable(terms, paid_left=paid, bonus_left=0, unit=CENT, before=before)
    if most:
        part = by_credit(terms, most, before)
        assert most + part.clawed_back <= paid
        assert before.gross_minor + part.gross_minor <= terms.gross_minor


def test_a_hold_keeps_what_it_reserves_from_being_refunded():
    terms = bought(100, bonus=25)
    assert refundable(terms, paid_left=100 * EURO, bonus_left=25 * EURO, unit=CENT, free=50 * EURO) == 40 * EURO
    assert refundable(terms, paid_left=100 * EURO, bonus_left=25 * EURO, unit=CENT, free=-5) == 0


def test_credit_that_came_back_after_a_dispute_took_it_elsewhere_is_not_refunded_again():
    terms = bought(100)
    lost = by_gross(terms, 6000)
    assert refundable(terms, paid_left=100 * EURO, bonus_left=0, unit=CENT, before=lost) == 40 * EURO


def test_no_more_is_refunded_than_is_left_of_the_payment():
    terms = bought(100)
    options = {"paid_left": 100 * EURO, "bonus_left": 0, "unit": CENT}
    whole = terms.gross_minor
    for cash in (whole, whole // 2, 1, 0):
        most = refundable(terms, **options, cash_left=cash)
        assert not most or by_credit(terms, most).gross_minor <= cash
        assert most == 100 * EURO or by_credit(terms, most + CENT).gross_minor > cash
    assert refundable(terms, **options, cash_left=whole) == 100 * EURO
    assert refundable(terms, **options, cash_left=0) == 0


def test_what_was_taken_back_of_a_bonus_before_is_not_kept_from_what_is_free():
    before = Returned(credit=50 * EURO, net_minor=5_000, tax_minor=0, clawed_back=10 * EURO)
    terms = bought(100, bonus=10)
    assert refundable(terms, paid_left=50 * EURO, bonus_left=0, unit=CENT, before=before, free=30 * EURO) == 30 * EURO
