"""The job that keeps sums by day: figures are those of the transfers before, after and in the middle of it."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from datetime import date, timedelta

import pytest
from sqlalchemy import create_engine

from prepaid import InvalidRequest, NotAllowed, permissions
from prepaid.reporting import rolling
from prepaid.reporting.rolling import COUNTED_AGAIN, SETTLED_AFTER
from prepaid.store import Duplicate, rollups, schema
from prepaid.store.proofs.scope import place_of
from tests.engines import SERVERS
from tests.use_cases.movements import RULES as SQL
from tests.use_cases.movements import Facts, Movements, start_of, unproved
from tests.use_cases.steps import ADA, SQLITE, at, change, charge, database, eur, give, operator, rows, seller, value

ON_SERVERS = pytest.mark.parametrize("place", SERVERS, indirect=True)
ZONE = "Europe/Berlin"
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 23)
DAY = timedelta(days=1)


def run(billing):
    [done] = billing.run_due("rollups")
    assert done.status == "done"
    return done.count


def table(billing):
    """Give what is kept of each day."""
    found = rows(billing, "SELECT * FROM prepaid_rollup_day WHERE book_id = :book")
    return sorted(tuple(row) for row in found)


def state(billing):
    return database(billing).read(rollups.read)


def kept(billing, day):
    """Count the transfers that are kept of a day."""
    found = value(
        billing, "SELECT sum(transfers) FROM prepaid_rollup_day WHERE book_id = :book AND day = :day", day=str(day)
    )
    return int(found or 0)


def assert_right(billing, zone=ZONE):
    """Compare every day of the month with sums of the test's own, and let check prove what is kept."""
    facts = Facts(billing).days(zone)
    days = operator(billing).reports.daily(FIRST - DAY, LAST + 9 * DAY)
    closing = 0
    for day in days:
        expected = facts.get(day.day, dict.fromkeys(SQL, 0))
        closing += expected["wallets"]
        found = {name: getattr(day, name).units for name in SQL if name != "wallets"}
        assert found == {name: expected[name] for name in found}, day.day
        assert day.closing.units == closing, day.day
    assert unproved(billing) == []


@pytest.fixture
def month(open_billing, clock):
    """Give a book with three weeks of movements that no job has summed, and their writer; it is the last day's noon."""
    billing = open_billing()
    moves = Movements(billing, ZONE, seed=3)
    moves.write(300, start_of(FIRST, ZONE), start_of(LAST, ZONE))
    clock.set(at(2026, 11, 23, 12))
    return billing, moves


# Made


def test_the_first_run_sums_every_day_there_is(month):
    billing, _ = month

    assert run(billing) == 22
    assert sum(row[-1] for row in table(billing)) == 300
    assert state(billing).zone == ZONE
    assert_right(billing)


def test_a_run_that_is_done_again_changes_nothing(month, clock):
    billing, _ = month
    run(billing)
    before = table(billing)

    assert run(billing) == 0
    clock.advance(hours=3)
    assert run(billing) == 0
    assert table(billing) == before
    assert state(billing).made_at == clock.now()


@SQLITE
def test_what_was_just_written_is_summed_from_the_transfers_until_it_is_settled(month, clock):
    billing, moves = month
    run(billing)

    moves.write(10, clock.now() - timedelta(minutes=30), clock.now())
    assert_right(billing)
    clock.advance(hours=2)
    assert run(billing) == 0  # marked
    assert_right(billing)
    clock.advance(hours=2)
    assert run(billing) == 1
    assert kept(billing, LAST) == 10
    assert_right(billing)


@SQLITE
def test_a_day_that_goes_on_is_written_whole_each_time(month, clock):
    billing, moves = month
    for hours in range(0, 24, 3):
        clock.set(at(2026, 11, 24, hours))
        moves.write(5, clock.now() - timedelta(hours=1), clock.now())
        run(billing)
        assert_right(billing)
    clock.advance(hours=3)
    run(billing)
    clock.advance(hours=3)
    run(billing)

    assert kept(billing, date(2026, 11, 24)) + kept(billing, LAST) == 40
    assert_right(billing)


@SQLITE
def test_a_new_book_is_kept_before_anything_moves(open_billing, clock):
    billing = open_billing()

    assert run(billing) == 0
    clock.advance(hours=3)
    assert run(billing) == 0
    assert table(billing) == []
    [day] = operator(billing).reports.daily(FIRST, FIRST + DAY)
    assert day.closing == eur("0")
    assert billing.check().findings == ()


@SQLITE
def test_the_figures_are_read_from_the_sums(month):
    """A sum that was changed by hand shows, so that the other tests do put the sums to the test."""
    billing, _ = month
    run(billing)
    before = operator(billing).reports.summary(FIRST, LAST).credit_consumed

    change(billing, "UPDATE prepaid_rollup_day SET amount = amount + 5 WHERE kind = 'charge' AND currency = 'EUR'")

    assert operator(billing).reports.summary(FIRST, LAST).credit_consumed > before
    assert unproved(billing)


@SQLITE
def test_a_book_that_rests_is_not_read_through_the_others_rows(open_billing, clock):
    """Its sums reach to a number of another book's transfer: beyond are only the last hours of all books."""
    resting, busy = open_billing(book="resting"), open_billing(book="busy")
    Movements(resting, ZONE, seed=1).write(20, start_of(FIRST, ZONE), start_of(FIRST + DAY, ZONE))
    moves = Movements(busy, ZONE, seed=2)
    moves.write(50, start_of(FIRST, ZONE), start_of(LAST, ZONE))
    clock.set(at(2026, 11, 23, 12))

    run(resting)
    assert state(resting).through == 70
    moves.write(50, clock.now() - timedelta(hours=1), clock.now())
    for _ in range(2):
        clock.advance(hours=2)
        run(resting)
    assert state(resting).through == 120
    assert kept(resting, FIRST) == 20
    assert_right(resting)


# Cut off


@SQLITE
@pytest.mark.parametrize("steps", [0, 1, 5, 21])
def test_a_run_that_is_cut_off_leaves_right_figures_and_the_next_one_goes_on(month, monkeypatch, steps):
    billing, _ = month
    advance, done = rollups.advance, []

    def dying(*arguments):
        if len(done) == steps:
            raise RuntimeError("killed")
        done.append(advance(*arguments))
        return done[-1]

    monkeypatch.setattr(rollups, "advance", dying)
    [job] = billing.run_due("rollups")
    assert job.status == "failed"
    assert len({row[1] for row in table(billing)}) == steps
    assert_right(billing)
    monkeypatch.undo()

    assert run(billing) == 22 - steps
    made = table(billing)
    operator(billing).reports.rebuild(reason="to compare")
    run(billing)
    assert table(billing) == made
    assert_right(billing)


@SQLITE
def test_a_run_ends_in_time_and_the_next_one_goes_on(month, clock, monkeypatch):
    billing, _ = month
    advance = rollups.advance

    def slow(*arguments):
        clock.advance(seconds=10)
        return advance(*arguments)

    monkeypatch.setattr(rollups, "advance", slow)

    [job] = billing.run_due("rollups", budget_s=25)
    assert job.count == 3
    assert_right(billing)
    assert run(billing) == 19
    assert_right(billing)


# Two at once


@SQLITE
@pytest.mark.parametrize("steps", [0, 7, 22])
def test_of_two_workers_one_makes_each_step(month, open_billing, monkeypatch, steps):
    billing, _ = month
    other, write, seen = open_billing(), rolling._write, []

    def interrupted(context, before, step):
        if context is billing._context and len(seen) == steps:
            seen.append("other")
            rolling.roll_up(other._context)  # as if this one's lease had lapsed
        elif context is billing._context:
            seen.append("this one")
        return write(context, before, step)

    monkeypatch.setattr(rolling, "_write", interrupted)

    assert run(billing) == steps
    assert seen[-1] == "other"
    assert sum(row[-1] for row in table(billing)) == 300
    assert_right(billing)


@SQLITE
@pytest.mark.parametrize("is_made", [False, True])
def test_of_two_workers_one_begins(month, open_billing, clock, monkeypatch, is_made):
    """The other worker begins, and gets all of it done, before this one writes its first row."""
    billing, _ = month
    here, there = (open_billing(seller=seller(timezone="Asia/Kolkata")) for _ in range(2))
    if is_made:
        run(billing)
        clock.advance(hours=2)
    begin = rolling._begin

    def beaten(context, before):
        if context is here._context:
            rolling.roll_up(there._context)
        return begin(context, before)

    monkeypatch.setattr(rolling, "_begin", beaten)

    assert run(here) == 0
    assert state(here).zone == "Asia/Kolkata"
    assert sum(row[-1] for row in table(here)) == 300
    assert_right(here, "Asia/Kolkata")


@pytest.mark.parametrize("workers", [4])
def test_workers_that_run_at_the_same_time_leave_what_one_leaves(month, open_billing, workers):
    billing, _ = month
    others, gate, failed = [open_billing() for _ in range(workers)], threading.Barrier(workers), []

    def work(other):
        gate.wait()
        try:
            rolling.roll_up(other._context)
        except Duplicate as problem:  # pragma: no cover - would be a defect
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run(billing)

    assert failed == []
    assert sum(row[-1] for row in table(billing)) == 300
    assert_right(billing)


# Late


def test_what_a_clock_that_was_behind_posted_counts_at_once_and_is_taken_in_later(month, clock):
    billing, moves = month
    run(billing)
    late = start_of(date(2026, 11, 5), ZONE) + timedelta(hours=7)
    before = kept(billing, date(2026, 11, 5))

    moves.write_at([late, late, start_of(date(2026, 10, 1), ZONE)])

    assert_right_from_october(billing)
    assert unproved(billing) == []
    for _ in range(2):
        clock.advance(hours=2)
        run(billing)
    assert kept(billing, date(2026, 11, 5)) == before + 2
    assert kept(billing, date(2026, 10, 1)) == 1
    assert_right_from_october(billing)
    assert unproved(billing) == []


def assert_right_from_october(billing):
    facts = Facts(billing).days(ZONE)
    for day in operator(billing).reports.daily(date(2026, 9, 30), LAST):
        assert day.credit_consumed.units == facts.get(day.day, {"credit_consumed": 0})["credit_consumed"]
    last = day.closing.units
    assert last == sum(each["wallets"] for each in facts.values())


class LateWriter:
    """Somebody who has a row number already, and commits when told."""

    def __init__(self, billing, moves, number):
        self._billing, self._moves, self._number = billing, moves, number

    def commit(self, posted_at):
        self._moves.write_at([posted_at], id=self._number)


@pytest.fixture
def open_for_hours(month, clock):
    """Give a book whose sums passed over a number that a transaction had taken, and who commits it now."""
    billing, moves = month
    number = value(billing, "SELECT max(id) FROM prepaid_transfer") + 1
    moves.write_at([clock.now()], id=number + 1)  # after it, and committed before it
    run(billing)
    for _ in range(2):
        clock.advance(hours=2)
        run(billing)
    assert state(billing).through > number
    return billing, LateWriter(billing, moves, number)


@SQLITE
def test_a_transaction_that_was_open_for_hours_is_found_and_its_day_summed_again(open_for_hours, clock, caplog):
    billing, late = open_for_hours
    day = date(2026, 11, 20)
    before = kept(billing, day)

    late.commit(start_of(day, ZONE) + timedelta(hours=3))
    assert {finding.keys[1] for finding in unproved(billing)} == {"2026-11-20"}
    clock.advance(hours=2)

    assert run(billing) == 1
    assert "the sums of 2026-11-20 hold another number of transfers" in caplog.text
    assert kept(billing, day) == before + 1
    assert_right(billing)


@SQLITE
def test_sums_of_a_quiet_day_that_somebody_made_up_go_with_the_next_run(month, clock):
    billing, _ = month
    run(billing)
    made = table(billing)
    change(billing, "UPDATE prepaid_rollup_day SET day = '2026-11-23' WHERE day = '2026-11-20'")
    assert {finding.keys[1] for finding in unproved(billing)} == {"2026-11-20", "2026-11-23"}
    clock.advance(hours=2)

    assert run(billing) == 2
    assert table(billing) == made
    assert_right(billing)


@SQLITE
def test_one_that_was_open_for_more_than_a_week_is_found_by_check_and_put_right_by_an_operator(open_for_hours, clock):
    billing, late = open_for_hours
    day = LAST - (COUNTED_AGAIN + 1) * DAY

    late.commit(start_of(day, ZONE) + timedelta(hours=3))
    clock.advance(hours=2)
    run(billing)
    assert {finding.keys[1] for finding in unproved(billing)} == {str(day)}

    operator(billing).reports.rebuild(reason="check found it")
    assert_right(billing)
    run(billing)
    assert_right(billing)


@contextmanager
def transaction_of_a_host(billing):
    """Open a transaction on a connection of the host's own."""
    engine = create_engine(database(billing).engine.url, isolation_level="READ COMMITTED")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@ON_SERVERS
def test_a_transaction_that_is_committed_within_hours_is_never_missed(billing, clock):
    give(billing, "100")
    with transaction_of_a_host(billing) as connection:
        with billing.joined(connection) as joined:
            joined.usage.charge(ADA, eur("3"), key="slow")
        give(billing, "5", customer="eve")  # with a higher number, and committed before it
        clock.advance(hours=1)
        run(billing)
        clock.advance(minutes=59)
        run(billing)
        connection.commit()
    assert consumed(billing) == eur("3")
    for _ in range(3):
        clock.advance(hours=2)
        run(billing)
        assert consumed(billing) == eur("3")
        assert billing.check().findings == ()
    assert kept(billing, LAST) == 3


@ON_SERVERS
def test_a_transaction_that_is_committed_after_many_hours_is_counted_by_the_next_run(billing, clock):
    give(billing, "100")
    with transaction_of_a_host(billing) as connection:
        with billing.joined(connection) as joined:
            joined.usage.charge(ADA, eur("3"), key="slow")
        give(billing, "5", customer="eve")
        for _ in range(3):
            run(billing)
            clock.advance(hours=2)
        connection.commit()
    assert consumed(billing) == eur("0")  # until then

    assert run(billing) == 1
    assert consumed(billing) == eur("3")
    assert billing.check().findings == ()


def consumed(billing):
    return operator(billing).reports.summary(LAST, LAST + 2 * DAY).credit_consumed


# Clocks


@SQLITE
def test_clocks_that_are_set_back_and_forth_change_no_figure(month, clock):
    billing, moves = month
    run(billing)
    for hours in (-80, 3, 50, -1, 400, -300, 2, 2, 2):
        clock.advance(hours=hours)
        moves.write(7, clock.now() - timedelta(hours=1), clock.now())
        run(billing)
        facts = Facts(billing)
        since, until = at(2026, 10, 1), at(2027, 2, 1)
        summary = operator(billing).reports.summary(since, until)
        assert summary.credit_consumed.units == facts.figures(since, until)["credit_consumed"]
        assert unproved(billing) == []


# The seller's zone


@pytest.mark.parametrize("new", ["America/New_York", "Asia/Kolkata"])
def test_a_seller_who_moves_gets_the_days_of_the_new_zone_at_once_and_their_sums_within_hours(
    month, open_billing, clock, new
):
    billing, moves = month
    run(billing)
    moved = open_billing(seller=seller(timezone=new))
    before = table(billing)

    assert_right(moved, new)
    assert run(moved) == 0
    assert (state(moved).zone, table(moved)) == (ZONE, before)
    clock.advance(hours=2)
    moves.write(3, clock.now() - timedelta(hours=1), clock.now())
    assert run(moved) > 20
    assert state(moved).zone == new
    assert_right(moved, new)
    assert_right(billing, ZONE)  # who still runs with the old zone reads the transfers
    assert table(moved) != before


@SQLITE
def test_sums_that_were_half_made_in_the_old_zone_are_begun_anew(month, open_billing, monkeypatch):
    billing, _ = month
    advance = rollups.advance

    def dying(tx, before, after, days):
        if len(days) and min(days) > date(2026, 11, 6):
            raise RuntimeError("killed")
        return advance(tx, before, after, days)

    monkeypatch.setattr(rollups, "advance", dying)
    billing.run_due("rollups")
    monkeypatch.undo()
    assert 0 < len({row[1] for row in table(billing)}) < 10
    moved = open_billing(seller=seller(timezone="Asia/Kolkata"))

    assert run(moved) > 20
    assert_right(moved, "Asia/Kolkata")


@SQLITE
def test_two_sellers_zones_at_once_do_not_make_each_others_sums_anew_all_the_time(month, open_billing, clock):
    billing, _ = month
    moved = open_billing(seller=seller(timezone="Asia/Kolkata"))
    run(billing)

    made = []
    for _ in range(12):
        clock.advance(minutes=30)
        made += [run(moved), run(billing)]
    assert sum(count > 0 for count in made) <= 3
    assert_right(moved, "Asia/Kolkata")
    assert_right(billing)


# Made anew by an operator


@SQLITE
def test_an_operator_lets_the_sums_be_made_anew_and_leaves_an_audit_row(month):
    billing, _ = month
    run(billing)
    before = table(billing)

    operator(billing).reports.rebuild(reason="after a restore")

    assert (table(billing), state(billing)) == ([], None)
    [entry] = operator(billing).audit.list().items
    assert (entry.action, entry.actor, entry.reason) == ("rebuild-rollups", "alice@nimbus.example", "after a restore")
    assert_right(billing)
    run(billing)
    assert table(billing) == before


@SQLITE
@pytest.mark.parametrize("reason", ["", "  ", None, 5, "x" * 501])
def test_sums_are_not_made_anew_without_a_reason(month, reason):
    billing, _ = month
    run(billing)
    before = table(billing)

    with pytest.raises(InvalidRequest) as refused:
        operator(billing).reports.rebuild(reason=reason)
    assert refused.value.field == "reason"
    assert table(billing) == before


@SQLITE
def test_who_may_only_read_reports_cannot_let_them_be_made_anew(month):
    billing, _ = month
    with pytest.raises(NotAllowed):
        operator(billing, granted={permissions.REPORTS_READ}).reports.rebuild(reason="x")


@SQLITE
def test_a_worker_whose_sums_were_forgotten_under_its_hands_stops(month, monkeypatch):
    billing, _ = month
    write = rolling._write

    def interrupted(context, before, step):
        operator(billing).reports.rebuild(reason="now")
        return write(context, before, step)

    monkeypatch.setattr(rolling, "_write", interrupted)
    assert run(billing) == 0
    monkeypatch.undo()

    assert state(billing) is None
    assert run(billing) == 22
    assert_right(billing)


# Proved


@SQLITE
def test_a_check_of_what_is_new_proves_the_days_of_that_and_no_other(month, clock):
    billing, moves = month
    run(billing)
    clock.advance(hours=2)
    place = database(billing).read(lambda tx: place_of(tx, clock.now()))
    moves.write(5, clock.now() - timedelta(hours=1), clock.now())
    for _ in range(2):
        clock.advance(hours=2)
        run(billing)
    assert kept(billing, LAST) == 5
    assert unproved(billing, place) == unproved(billing) == []

    raise_sum(billing, "2026-11-05")
    assert unproved(billing, place) == []
    assert {finding.keys[1] for finding in unproved(billing)} == {"2026-11-05"}
    raise_sum(billing, "2026-11-23")
    assert {finding.keys[1] for finding in unproved(billing, place)} == {"2026-11-23"}


def raise_sum(billing, day):
    change(billing, "UPDATE prepaid_rollup_day SET amount = amount + 1 WHERE day = :day", day=day)


CHANGES = (
    "amount = amount + 1",
    "amount = amount + 1000000000",
    "transfers = transfers + 1",
    "kind = 'gift'",
    "debit_kind = 'rounding'",
    "credit_owner = 'nobody'",
    "day = '2026-10-30'",
    "day = '2026-11-31'",
    None,
)


def assert_every_change_of_a_sum_is_found(billing, seed, count):
    """Change or remove one row of the sums at a time, and put it right again."""
    chance, names = random.Random(seed), [column.name for column in schema.rollup_day.c]
    for _ in range(count):
        row, how = chance.choice(table(billing)), chance.choice(CHANGES)
        where = " AND ".join(f"{name} = :{name}" for name in names)
        values = dict(zip(names, row, strict=True))
        what = "DELETE FROM prepaid_rollup_day" if how is None else f"UPDATE prepaid_rollup_day SET {how}"
        before = table(billing)
        change(billing, f"{what} WHERE {where}", **values)

        assert unproved(billing), (row, how)
        changed = set(table(billing)) - set(before)
        for other in changed:
            change(billing, f"DELETE FROM prepaid_rollup_day WHERE {where}", **dict(zip(names, other, strict=True)))
        marks = ", ".join(f":{name}" for name in names)
        change(billing, f"INSERT INTO prepaid_rollup_day VALUES ({marks})", **values)
        assert table(billing) == before
    assert unproved(billing) == []


@SQLITE
def test_random_changes_of_sums_are_found(month):
    billing, _ = month
    run(billing)

    assert_every_change_of_a_sum_is_found(billing, 1, 40)


@pytest.mark.full
@SQLITE
@pytest.mark.parametrize("seed", range(2, 7))
def test_random_changes_of_sums_are_found_in_full(month, seed):
    billing, _ = month
    run(billing)

    assert_every_change_of_a_sum_is_found(billing, seed, 200)


# A real life


def test_the_sums_of_a_real_life_are_right_and_check_is_clean(billing, clock):
    give(billing, "50")
    for _ in range(30):
        clock.advance(hours=5)
        charge(billing, "0.7")
        billing.run_due()

    assert int(value(billing, "SELECT count(*) FROM prepaid_rollup_day WHERE book_id = :book")) >= 6
    assert state(billing).made_at >= clock.now() - SETTLED_AFTER
    report = operator(billing).reports.daily(date(2026, 11, 23), date(2026, 12, 1))
    assert sum(day.credit_consumed.units for day in report) == eur("21").units
    assert report[-1].closing == eur("29") == billing.customer(ADA).balance().settled
    assert billing.check().findings == ()
