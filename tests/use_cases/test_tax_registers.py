"""When a register of tax ids is asked, by whom, and when it rests: nobody waits long, and no answer is lost."""

from __future__ import annotations

import threading
import time

import pytest

from prepaid.system import threads_in_time
from prepaid.tax import registers
from tests.use_cases.steps import ADA, EVE, SQLITE, counts, eur, operator, rows, seller, start, told
from tests.use_cases.tax_steps import (
    FRENCH,
    OTHER_FRENCH,
    Scripted,
    at_once,
    be,
    business,
    buy,
    eventually,
    numbers_of,
    run_checks,
    state,
)


def customers_with(billing, numbers, country):
    """Register a customer for each number; the number is noted and asked about."""
    for place, number in enumerate(numbers):
        billing.customers.register(f"{country}-{place}", currency="EUR")
        be(billing, business(number, country), customer=f"{country}-{place}")


# How long a customer waits


def test_an_answer_that_comes_after_the_budget_still_counts(wired, register, simulated, monkeypatch):
    monkeypatch.setattr(registers, "BUDGET_S", 0.1)
    register.hold()
    billing = wired()

    assert be(billing, business()) == "pending"
    _, invoice = buy(billing, simulated)
    register.gate.set()
    eventually(lambda: state(billing) == "valid")

    assert (invoice.tax.tax_id_state, invoice.tax.total) == ("pending", eur("2"))
    assert billing.customer(ADA).topups.quote(eur("10")).tax.treatment == "reverse_charge"
    assert register.asked == [FRENCH]
    assert billing.check().ok


def test_who_asks_again_while_the_register_is_asked_neither_asks_twice_nor_loses_its_answer(
    wired, register, monkeypatch, clock
):
    monkeypatch.setattr(registers, "BUDGET_S", 0.1)
    register.hold()
    billing = wired()
    be(billing, business())

    for _ in range(3):  # a customer who reloads the page
        clock.advance(seconds=5)
        assert billing.customer(ADA).tax_profile.verify().state == "pending"
        assert be(billing, business(), customer=EVE) == "pending"
    register.gate.set()
    eventually(lambda: state(billing) == "valid")

    assert register.asked == [FRENCH]


@SQLITE
def test_the_probe_after_a_rest_keeps_its_answer_though_somebody_looks_meanwhile(wired, register, monkeypatch, clock):
    billing = wired()
    register.down()
    for _ in range(registers.PATIENCE):
        be(billing, business())
    clock.advance(minutes=2)
    register.up()
    register.hold()
    monkeypatch.setattr(registers, "BUDGET_S", 0.1)
    billing.customer(ADA).tax_profile.verify()

    clock.advance(seconds=5)
    billing.customer(ADA).tax_profile.verify()
    be(billing, business(OTHER_FRENCH), customer=EVE)
    register.gate.set()

    eventually(lambda: state(billing) == "valid")
    eventually(lambda: billing.customer(EVE).tax_profile.verify().state == "invalid")


@SQLITE
def test_a_job_that_runs_while_the_register_is_asked_leaves_the_number_alone(wired, register, monkeypatch, clock):
    monkeypatch.setattr(registers, "BUDGET_S", 0.1)
    register.hold()
    billing = wired()
    be(billing, business())

    assert run_checks(billing) == 0
    clock.advance(seconds=59)
    assert run_checks(billing) == 0
    register.gate.set()
    eventually(lambda: state(billing) == "valid")
    assert register.asked == [FRENCH]


@SQLITE
def test_who_asked_for_longer_than_their_turn_overrides_nobody(wired, register, monkeypatch, clock):
    monkeypatch.setattr(registers, "BUDGET_S", 0.1)
    register.answer(FRENCH, "invalid")
    register.hold()
    billing = wired()
    be(billing, business())
    slow, register.gate = register.gate, threading.Event()
    register.gate.set()
    register.answer(FRENCH, "valid")
    clock.advance(minutes=1)
    assert run_checks(billing) == 1
    register.answer(FRENCH, "invalid")

    slow.set()
    eventually(lambda: threads_in_time() == 0)

    assert len(register.asked) == 2
    assert state(billing) == "valid"
    assert [check.state for check in operator(billing).tax.of_customer(ADA).checks] == ["valid"]


@SQLITE
def test_who_died_while_they_asked_is_followed_by_the_job_after_a_minute(wired, register, clock, monkeypatch):
    billing = wired()
    monkeypatch.setattr(registers, "_answer", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        be(billing, business())
    monkeypatch.undo()
    assert state(billing) == "pending"

    clock.advance(seconds=59)
    assert run_checks(billing) == 0
    clock.advance(seconds=1)
    assert run_checks(billing) == 1
    assert state(billing) == "valid"


def test_two_workers_that_ask_about_a_number_at_once_ask_once(wired, open_billing, register, clock):
    billing = wired()
    other = open_billing(tax_id_registers=[register])
    be(billing, business())
    clock.advance(hours=25)

    at_once(*[one.customer(ADA).tax_profile.verify for one in (billing, other, billing, other)])

    assert register.asked == [FRENCH, FRENCH]
    assert state(billing) == "valid"


def test_two_jobs_at_once_ask_once(wired, open_billing, register, clock):
    billing = wired()
    other = open_billing(tax_id_registers=[register])
    be(billing, business())
    clock.advance(days=30)
    [number] = registers.due(billing._context)

    at_once(*[lambda one=one: registers.ask_again(one._context, number) for one in (billing, other)])

    assert register.asked == [FRENCH, FRENCH]


def test_two_customers_may_give_the_same_new_number_at_the_same_moment(wired, open_billing, register):
    billing = wired()
    other = open_billing(tax_id_registers=[register])

    results = at_once(
        lambda: billing.customer(ADA).tax_profile.set(business()),
        lambda: other.customer(EVE).tax_profile.set(business()),
        lambda: other.customer(ADA).tax_profile.set(business()),
    )

    assert results == [business()] * 3
    assert [state(billing, customer) for customer in (ADA, EVE)] == ["valid", "valid"]
    assert register.asked == [FRENCH]
    assert counts(billing)["tax_identity"] == 1
    assert billing.check().ok


# When a register is asked again


def test_a_register_without_an_answer_is_asked_again_after_five_five_ten_twenty_forty_minutes_then_hourly(
    wired, register, clock
):
    billing = wired()
    register.down()
    be(billing, business())
    assert run_checks(billing) == 0

    for minutes in (5, 5, 10, 20, 40, 60, 60):
        clock.advance(minutes=minutes - 1, seconds=59)
        asked = len(register.asked)
        assert (run_checks(billing), len(register.asked)) == (0, asked)
        clock.advance(seconds=1)
        assert (run_checks(billing), len(register.asked)) == (1, asked + 1)
        assert state(billing) == "unavailable"
    register.up()
    clock.advance(hours=1)

    assert run_checks(billing) == 1
    assert state(billing) == "valid"
    assert [event["state"] for event in told(billing, "tax-id-checked")] == ["valid"]


@SQLITE
def test_the_waits_begin_anew_after_an_answer(wired, register, clock):
    billing = wired()
    register.down()
    be(billing, business())
    for minutes in (5, 5, 10):
        clock.advance(minutes=minutes)
        run_checks(billing)
    register.up()
    clock.advance(minutes=20)
    run_checks(billing)
    register.down()
    clock.advance(days=30)
    run_checks(billing)

    clock.advance(minutes=5)
    assert run_checks(billing) == 1


@SQLITE
def test_a_valid_number_is_asked_about_after_thirty_days_by_the_job_and_after_a_day_by_its_customer(
    wired, register, clock
):
    billing = wired()
    verify = billing.customer(ADA).tax_profile.verify
    be(billing, business())

    clock.advance(hours=23, minutes=59)
    verify()
    be(billing, business())
    assert len(register.asked) == 1
    clock.advance(minutes=1)
    verify()
    assert len(register.asked) == 2
    clock.advance(days=29, hours=23)
    assert run_checks(billing) == 0
    clock.advance(hours=1)
    assert run_checks(billing) == 1
    assert len(register.asked) == 3


@SQLITE
def test_customers_with_the_same_number_cost_one_request(wired, register):
    billing = wired()

    assert [be(billing, business(), customer=customer) for customer in (ADA, EVE)] == ["valid", "valid"]
    assert be(billing, business("fr 40 303.265-045"), customer=EVE) == "valid"

    assert register.asked == [FRENCH]


@SQLITE
def test_an_invalid_number_is_not_asked_about_for_an_hour(wired, register, clock):
    billing = wired()
    assert be(billing, business(OTHER_FRENCH)) == "invalid"
    register.answer(OTHER_FRENCH, "valid")

    clock.advance(minutes=59)
    assert billing.customer(ADA).tax_profile.verify().state == "invalid"
    clock.advance(minutes=2)
    assert billing.customer(ADA).tax_profile.verify().state == "valid"
    assert len(register.asked) == 2


@SQLITE
def test_an_invalid_number_that_is_new_is_asked_about_each_day_for_four_weeks(wired, register, clock):
    billing = wired()
    assert be(billing, business(OTHER_FRENCH)) == "invalid"

    for _ in range(40):
        clock.advance(hours=23, minutes=59)
        assert run_checks(billing) == 0
        clock.advance(minutes=1)
        run_checks(billing)

    assert len(register.asked) == 1 + 28
    clock.advance(days=300)
    assert run_checks(billing) == 0
    register.answer(OTHER_FRENCH, "valid")
    assert billing.customer(ADA).tax_profile.verify().state == "valid"


@SQLITE
def test_no_answer_is_never_kept_for_one(wired, register):
    billing = wired()
    register.down()
    be(billing, business())
    register.up()

    assert billing.customer(ADA).tax_profile.verify().state == "valid"


@SQLITE
def test_a_number_that_was_invalid_stays_so_while_the_register_is_down(wired, register, clock):
    billing = wired()
    be(billing, business(OTHER_FRENCH))
    register.down()

    for _ in range(5):
        clock.advance(hours=1)
        assert billing.customer(ADA).tax_profile.verify().state == "invalid"
        run_checks(billing)
    assert state(billing) == "invalid"


@SQLITE
def test_a_number_that_nobody_has_any_more_is_not_asked_about(wired, register, clock):
    billing = wired()
    be(billing, business())
    be(billing, business(""))
    clock.advance(days=31)

    run_checks(billing)
    assert (register.asked, run_checks(billing)) == ([FRENCH], 0)
    assert be(billing, business(), customer=EVE) == "valid"
    assert register.asked == [FRENCH, FRENCH]
    clock.advance(days=30)
    assert run_checks(billing) == 1


@SQLITE
def test_a_number_that_comes_back_without_an_answer_is_the_jobs_again(wired, register, clock, monkeypatch):
    billing = wired()
    register.down()
    be(billing, business())
    be(billing, business(""))
    clock.advance(minutes=5)
    run_checks(billing)  # leaves it alone: it is nobody's
    register.up()
    monkeypatch.setattr(registers, "ask_now", lambda *given: None)  # the process died before it asked
    be(billing, business())
    monkeypatch.undo()

    assert run_checks(billing) == 1
    assert state(billing) == "valid"


@SQLITE
def test_a_valid_number_that_is_given_again_by_another_is_looked_at_after_thirty_days(wired, register, clock):
    billing = wired()
    be(billing, business())
    clock.advance(hours=23)
    be(billing, business(""))
    be(billing, business(), customer=EVE)

    clock.advance(days=30)
    assert run_checks(billing) == 1


@SQLITE
def test_an_answer_of_more_than_ninety_days_ago_does_not_count(wired, register, clock):
    billing = wired()
    be(billing, business())

    clock.advance(days=90)
    assert billing.customer(ADA).topups.quote(eur("10")).tax.treatment == "reverse_charge"
    clock.advance(seconds=1)
    tax = billing.customer(ADA).topups.quote(eur("10")).tax
    assert (tax.tax_id_state, tax.treatment) == ("expired", "standard")
    assert billing.customer(ADA).tax_profile.verify().state == "valid"


# Registers at rest


def test_a_register_that_fails_thrice_for_a_country_rests_for_it_alone(wired, register, clock):
    billing = wired()
    germans, [finn] = numbers_of("DE", 6), numbers_of("FI", 1)
    register.down_for.add("DE")
    for number in (*germans, finn):
        register.answer(number, "valid")

    customers_with(billing, germans[:5], "DE")
    assert register.asked == germans[:3]
    assert {state(billing, f"DE-{place}") for place in range(5)} == {"unavailable"}
    customers_with(billing, [FRENCH, finn], "FR")
    assert register.asked[3:] == [FRENCH, finn]


def test_after_its_rest_one_probe_tells_whether_a_register_is_back(wired, register, clock):
    billing = wired()
    germans = numbers_of("DE", 6)
    register.down_for.add("DE")
    customers_with(billing, germans[:3], "DE")
    rests = [2, 5, 15, 30, 30]

    for place, minutes in enumerate(rests):
        asked = len(register.asked)
        clock.advance(minutes=minutes - 1, seconds=59)
        be(billing, business(germans[3], "DE"))
        assert len(register.asked) == asked, (place, minutes)
        clock.advance(seconds=1)
        be(billing, business(germans[3], "DE"))
        be(billing, business(germans[4], "DE"), customer=EVE)
        assert len(register.asked) == asked + 1, (place, minutes)
    register.down_for.clear()
    for number in germans:
        register.answer(number, "valid")
    clock.advance(minutes=30)

    assert be(billing, business(germans[3], "DE")) == "valid"
    assert be(billing, business(germans[4], "DE"), customer=EVE) == "valid"
    register.down_for.add("DE")
    assert be(billing, business(germans[5], "DE")) == "unavailable"
    register.down_for.clear()  # one failure after the recovery is not the third
    assert be(billing, business(germans[5], "DE")) == "valid"


def test_failures_of_the_whole_service_rest_it_for_every_country(wired, register, clock):
    billing = wired()
    register.down()
    customers_with(billing, [*numbers_of("DE", 1), *numbers_of("FI", 1), *numbers_of("AT", 1)], "DE")
    assert len(register.asked) == 3
    register.up()

    assert be(billing, business()) == "unavailable"
    assert len(register.asked) == 3
    clock.advance(minutes=2)
    assert billing.customer(ADA).tax_profile.verify().state == "valid"


def test_one_failure_keeps_nobody_from_being_asked_for(wired, register, monkeypatch):
    billing = wired()
    germans = numbers_of("DE", 2)
    register.answer(OTHER_FRENCH, "valid")
    register.down()
    be(billing, business())
    register.up()
    register.down_for.add("DE")
    be(billing, business(germans[0], "DE"), customer=EVE)

    monkeypatch.setattr(registers, "BUDGET_S", 0.1)
    register.hold()  # one customer's check is under way...
    assert be(billing, business()) in ("unavailable", "pending")
    assert register.entered.wait(5)
    register.entered.clear()
    be(billing, business(OTHER_FRENCH), customer=EVE)  # ...when another's begins
    assert register.entered.wait(5)
    register.gate.set()

    eventually(lambda: [state(billing, customer) for customer in (ADA, EVE)] == ["valid", "valid"])


@SQLITE
def test_an_answer_in_between_begins_the_count_anew(wired, register):
    billing = wired()
    germans = numbers_of("DE", 7)
    for number in germans:
        register.answer(number, "valid")
    for place, number in enumerate(germans):
        register.down_for = set() if place == 2 else {"DE"}
        be(billing, business(number, "DE"))

    assert register.asked == germans[:6]  # two failures, an answer, three failures


@SQLITE
def test_nobody_waits_for_a_register_that_rests(wired, register, simulated, monkeypatch):
    billing = wired()
    register.down()
    customers_with(billing, numbers_of("DE", 3), "DE")
    monkeypatch.setattr(Scripted, "check", lambda *given, **named: time.sleep(30))
    began = time.monotonic()

    assert be(billing, business()) == "unavailable"
    billing.customer(ADA).tax_profile.verify()
    assert buy(billing, simulated)[1].tax.policy == "charge"
    assert run_checks(billing) == 0
    assert time.monotonic() - began < 3


def test_a_job_with_many_numbers_of_a_register_that_is_down_leaves_it_after_two(wired, register, clock):
    billing = wired()
    numbers = numbers_of("DE", 12)
    for number in numbers:
        register.answer(number, "valid")
    customers_with(billing, numbers, "DE")
    register.answer(FRENCH, "valid")
    be(billing, business())
    register.down_for.add("DE")
    del register.asked[:]
    clock.advance(days=30)

    run_checks(billing)

    assert len([number for number in register.asked if number.startswith("DE")]) == 2
    assert FRENCH in register.asked
    register.down_for.clear()
    clock.advance(minutes=5)
    run_checks(billing)
    assert {state(billing, f"DE-{place}") for place in range(12)} == {"valid"}


def test_first_failures_at_the_same_moment_are_both_counted(wired, open_billing, register):
    billing = wired()
    other = open_billing(tax_id_registers=[register])
    register.down()

    results = at_once(
        lambda: billing.customer(ADA).tax_profile.set(business()),
        lambda: other.customer(EVE).tax_profile.set(business(OTHER_FRENCH)),
    )

    assert results == [business(), business(OTHER_FRENCH)]
    [(failures,)] = rows(billing, "SELECT failures FROM prepaid_tax_register WHERE book_id = :book")
    assert failures == 2


@SQLITE
def test_a_number_that_was_given_before_its_register_is_asked_about_from_the_next_start_on(
    wired, open_billing, register, clock
):
    before = wired(registers=())
    be(before, business())
    assert state(before) == "format_only"
    billing = open_billing(tax_id_registers=[register])
    assert state(billing) == "pending"

    start(billing, "10.00")
    run_checks(billing)

    assert (state(billing), register.asked) == ("valid", [FRENCH])


@SQLITE
def test_a_number_is_asked_about_on_request_though_it_was_given_before_its_register(wired, open_billing, register):
    be(wired(registers=()), business())
    billing = open_billing(tax_id_registers=[register])

    assert billing.customer(ADA).tax_profile.verify().state == "valid"


@SQLITE
def test_what_a_register_that_was_taken_away_found_valid_counts_as_recent(wired, open_billing, register, clock):
    be(wired("accept_recent"), business())
    clock.advance(days=2)
    alone = open_billing(tax_id_registers=(), seller=seller(outage_policy="accept_recent"))

    topup = start(alone, "10.00")

    assert (topup.tax.total, topup.tax.tax_id_state, topup.tax.policy) == (eur("0"), "unavailable", "accept_recent")


@SQLITE
def test_a_register_that_was_taken_away_and_never_answered_leaves_the_form(wired, open_billing, register, clock):
    billing = wired()
    register.down()
    be(billing, business())
    alone = open_billing(tax_id_registers=())

    assert (state(billing), state(alone)) == ("unavailable", "format_only")
    clock.advance(hours=1)
    run_checks(alone)
    assert run_checks(alone) == 0
