"""What a refund takes back of a bonus: kept for what was used, undone for what is returned, to the unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.clawback import NOTHING, Bought, Returned, cash_of, claw_back, refundable, split_claw_back
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
        net, tax = cash_of(terms, part, before)
        before = Returned(
            credit=before.credit + part,
            net_minor=before.net_minor + net,
            tax_minor=before.tax_minor + tax,
            clawed_back=before.clawed_back + claw_back(terms, part, before),
        )
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
        _, from_paid = split_claw_back(claw_back(terms, amount), bonus_left=left)
        return amount <= terms.credit and amount + from_paid <= paid

    assert most % CENT == 0
    assert most == 0 or fits(most)
    assert not fits(most + CENT)


def test_a_claw_back_comes_from_the_bonus_first():
    assert split_claw_back(10, bonus_left=4) == (4, 6)
    assert split_claw_back(3, bonus_left=4) == (3, 0)


@pytest.mark.parametrize("amount", [0, -1, 101 * EURO])
def test_no_more_is_refunded_than_was_bought(amount):
    with pytest.raises(IntegrityFault):
        cash_of(bought(100), amount)
