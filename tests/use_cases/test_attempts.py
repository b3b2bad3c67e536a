"""Codes tried in vain: ten within a quarter of an hour, then nothing is looked at until it is over."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest

from prepaid import PromotionRefused, TooManyAttempts
from prepaid.attempts import MOST_MISSES, WINDOW, missed, require_room
from tests.use_cases.steps import ADA, EVE, SQLITE, counts, eur, operator, rows

TICK = timedelta(microseconds=1)


_guesses = itertools.count(1)


def guess(billing, customer=ADA, code=None):
    """Try a code, a new one unless it is told which, and give the code of the refusal."""
    code = code or f"GUESS-{next(_guesses)}"
    with pytest.raises((PromotionRefused, TooManyAttempts)) as refused:
        billing.customer(customer).vouchers.redeem(code)
    return refused.value.code


def misses(billing, customer=ADA):
    statement = "SELECT misses FROM prepaid_code_attempt WHERE book_id = :book AND customer = :customer"
    [(found,)] = rows(billing, statement, customer=customer)
    return found


def test_ten_guesses_are_answered_and_the_eleventh_is_not_looked_at(billing, clock):
    began = clock.now()
    [made] = operator(billing).vouchers.create(eur("10"))
    for _ in range(MOST_MISSES):
        assert guess(billing) == "promotion-refused"
        clock.advance(seconds=1)

    with pytest.raises(TooManyAttempts) as refused:
        billing.customer(ADA).vouchers.redeem(made.code)  # right, and too late

    assert (refused.value.code, refused.value.field) == ("too-many-attempts", "code")
    assert refused.value.params == {"retry_at": began + WINDOW}
    assert misses(billing) == MOST_MISSES
    assert operator(billing).vouchers.list().items[0].state == "open"
    assert billing.customer(EVE).vouchers.redeem(made.code).amount == eur(
        "10"
    )  # each customer has a count of their own
    assert billing.check().ok


def test_it_is_over_when_the_window_is(billing, clock):
    began = clock.now()
    clock.advance(minutes=5)
    for _ in range(MOST_MISSES):
        guess(billing)
    end = began + timedelta(minutes=5) + WINDOW

    clock.set(end - TICK)
    assert guess(billing) == "too-many-attempts"
    clock.set(end)
    assert guess(billing) == "promotion-refused"
    assert misses(billing) == 1

    # A new window, from its own first.
    clock.set(end + WINDOW - TICK)
    for _ in range(MOST_MISSES - 1):
        assert guess(billing) == "promotion-refused"
    assert guess(billing) == "too-many-attempts"
    clock.set(end + WINDOW)
    assert guess(billing) == "promotion-refused"


def test_nine_guesses_leave_room_and_a_right_code_counts_for_nothing(billing):
    [made] = operator(billing).vouchers.create(eur("10"))
    for _ in range(MOST_MISSES - 1):
        guess(billing)

    first = billing.customer(ADA).vouchers.redeem(made.code)

    assert misses(billing) == MOST_MISSES - 1
    assert guess(billing) == "promotion-refused"
    assert guess(billing) == "too-many-attempts"
    assert guess(billing, code=made.code) == "too-many-attempts"
    assert first.amount == eur("10")


def test_who_filled_the_count_meanwhile_keeps_the_last_answer_from_the_others(billing, clock):
    for _ in range(MOST_MISSES):
        missed(billing._context, ADA, f"guess-{next(_guesses)}")

    with pytest.raises(TooManyAttempts) as refused:
        missed(billing._context, ADA, f"guess-{next(_guesses)}")

    assert refused.value.params["retry_at"] == clock.now() + WINDOW
    assert misses(billing) == MOST_MISSES
    with pytest.raises(TooManyAttempts):
        require_room(billing._context, ADA)
    require_room(billing._context, EVE)


@pytest.mark.parametrize(
    ("ahead", "blocked"), [(timedelta(minutes=1), True), (WINDOW - TICK, True), (WINDOW, False), (900 * WINDOW, False)]
)
@SQLITE
def test_a_clock_that_ran_ahead_locks_nobody_out_for_long(billing, clock, ahead, blocked):
    now = clock.now()
    clock.set(now + ahead)
    for _ in range(MOST_MISSES):
        guess(billing)

    clock.set(now)

    assert guess(billing) == ("too-many-attempts" if blocked else "promotion-refused")
    if not blocked:
        assert misses(billing) == 1


def test_sixteen_at_once_are_counted_each(billing):
    gate, answers = threading.Barrier(16), []

    def count():
        gate.wait()
        try:
            missed(billing._context, ADA, f"guess-{next(_guesses)}")
            answers.append("counted")
        except TooManyAttempts:
            answers.append("full")

    threads = [threading.Thread(target=count) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == ["counted"] * MOST_MISSES + ["full"] * 6
    assert misses(billing) == MOST_MISSES
    assert counts(billing)["code_attempt"] == 1


def test_a_code_that_is_tried_again_is_one_guess(billing):
    """A page may ask again for another amount, with the code still mistyped in its field."""
    for code in ("MISTYPED", " mistyped ", "Mistyped"):
        for _ in range(MOST_MISSES):
            assert guess(billing, code=code) == "promotion-refused"
    assert misses(billing) == 1
    assert guess(billing, code="\ud800") == "promotion-refused"
    assert misses(billing) == 2


def test_books_count_apart(billing, open_billing, place):
    other = open_billing(book=f"{place.book}-2")
    other.customers.register(ADA)
    for _ in range(MOST_MISSES):
        guess(billing)

    assert guess(other) == "promotion-refused"
    assert guess(billing) == "too-many-attempts"
