"""The daily digest: one of each day, with the day's own figures, and late entries told once."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import pytest

from prepaid import InvalidRequest, NotAllowed, RequestRefused, Thresholds, WrongState, permissions
from prepaid.core.figures import FIGURES
from prepaid.reporting.open_work import open_work
from prepaid.testing.mail import RecordingMailer
from tests.engines import SERVERS
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    SQLITE_FIRST,
    add_rule,
    at,
    change,
    charge,
    checkout_of,
    counts,
    eur,
    give,
    live_in,
    operator,
    rows,
    seller,
    start,
    told,
    top_up,
    value,
)
from tests.use_cases.test_reports import micros

ON_SERVERS = pytest.mark.parametrize("place", SERVERS, indirect=True)

CFO = "cfo@nimbus.example"
SUNDAY, MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2026, 11, day) for day in (22, 23, 24, 25, 26))
"""Tests begin on a Monday at noon."""


def switch_on(billing, email=CFO, **options):
    return operator(billing).digest.settings(email=email, **options)


def run(billing):
    """Write what is due and deliver it; count the digests."""
    digests, _ = billing.run_due("digest")[0], billing.run_due("outbox")
    assert digests.status == "done"
    return digests.count


def days(billing):
    found = rows(billing, "SELECT day FROM prepaid_digest WHERE book_id = :book ORDER BY day")
    return [day for (day,) in found]


def facts(billing, day):
    return json.loads(
        value(billing, "SELECT facts FROM prepaid_digest WHERE book_id = :book AND day = :day", day=day.isoformat())
    )


def of(billing, day, currency="EUR"):
    return next(each for each in facts(billing, day)["currencies"] if each["currency"] == currency)


def subjects(mailer):
    return [message.subject for message in mailer.sent]


def subject(billing, day, funds):
    """Give the subject of a digest; each test on a server has a book of its own."""
    book = billing._context.book
    return f"[TEST] Nimbus GmbH{'' if book == 'main' else f' ({book})'}: {day}, 2026, funds in {funds}"


# Settings


def test_settings_are_read_as_they_were_set_and_nothing_is_sent_without_any(billing):
    ops = operator(billing)
    assert (ops.digest.read().enabled, ops.digest.read().email) == (False, ())
    assert run(billing) == 0

    given = switch_on(billing, [CFO, "ceo@nimbus.example"], hour=9, timezone="Asia/Tokyo", locale="de_DE")

    assert given == ops.digest.read()
    assert (given.enabled, given.email) == (True, (CFO, "ceo@nimbus.example"))
    assert (given.hour, given.timezone, given.locale, given.first_day) == (9, "Asia/Tokyo", "de_DE", SUNDAY)


def test_settings_are_audited_with_what_they_were(billing):
    operator(billing, "bob").digest.settings(email=CFO, reason="the board asked")
    operator(billing, "bob").digest.settings(email=CFO, reason="said twice")
    operator(billing, "carol").digest.settings(enabled=False)

    off, on = operator(billing).audit.list(target="digest").items
    assert (on.actor, on.action, on.reason, on.before) == ("bob", "settings", "the board asked", {})
    assert (on.after["email"], on.after["enabled"], on.after["first_day"]) == ([CFO], True, "2026-11-22")
    assert (off.actor, off.before, off.after["enabled"], off.after["email"]) == ("carol", on.after, False, [])


@SQLITE
@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("email", {"email": "CFO <cfo@nimbus.example>"}),
        ("email", {"email": f"{CFO}\r\nBcc: eve@evil.example"}),
        ("email", {"email": [CFO, CFO]}),
        ("email", {"email": [f"cfo-{number}@nimbus.example" for number in range(21)]}),
        ("email", {"email": ()}),
        ("hour", {"hour": 24}),
        ("hour", {"hour": "7"}),
        ("timezone", {"timezone": "Mars/Olympus"}),
        ("locale", {"locale": "tlh"}),
        ("locale", {"locale": "../../etc"}),
        ("locale", {"locale": 5}),
        ("enabled", {"enabled": "yes"}),
        ("reason", {"reason": "x" * 501}),
        ("reason", {"reason": "a\nb"}),
    ],
)
def test_settings_that_cannot_be_are_refused_and_change_nothing(billing, field, options):
    switch_on(billing)
    before = counts(billing), operator(billing).digest.read()

    with pytest.raises(InvalidRequest) as refused:
        operator(billing).digest.settings(**{"email": CFO, **options})

    assert refused.value.field == field
    assert (counts(billing), operator(billing).digest.read()) == before


@SQLITE
def test_without_a_mailer_it_cannot_be_switched_on_but_off(open_billing, billing):
    switch_on(billing)
    mute = open_billing(mailer=None)

    with pytest.raises(InvalidRequest, match="mailer") as refused:
        switch_on(mute)
    assert refused.value.field == "enabled"
    assert operator(mute).digest.settings(enabled=False).enabled is False


# What a digest says


SUMS = """
SELECT d.kind AS debit, c.kind AS credit, t.kind AS kind, sum(t.amount) AS amount
FROM prepaid_transfer t
JOIN prepaid_account d ON d.id = t.debit_id JOIN prepaid_account c ON c.id = t.credit_id
WHERE t.book_id = :book AND t.currency = 'EUR' AND t.posted_at >= :since AND t.posted_at < :until
GROUP BY d.kind, c.kind, t.kind
"""


def independent(billing, since, until):
    """Sum some figures by the accounting rules, written down without the library's own words."""
    moved = [(*row[:3], int(row[3])) for row in rows(billing, SUMS, since=micros(since), until=micros(until))]

    def flow(debit=None, credit=None, kind=None):
        return sum(
            amount for d, c, k, amount in moved if debit in (None, d) and credit in (None, c) and kind in (None, k)
        )

    return {
        "funds_in": flow("clearing", "wallet") + flow("clearing", "tax_payable"),
        "credit_consumed": flow(credit="revenue") - flow(debit="revenue"),
        "tax_collected": flow(credit="tax_payable") - flow(debit="tax_payable"),
        "bonus_granted": flow(kind="bonus"),
        "goodwill": flow(kind="goodwill"),
        "breakage": flow(credit="breakage"),
        "suspense_in": flow(credit="suspense"),
        "suspense_out": flow(debit="suspense"),
    }


def live_through(billing, simulated, clock):
    """Let a bit of everything happen on Monday, more on Tuesday, and nothing on Wednesday."""
    add_rule(billing)
    live_in(billing, "FR")
    top_up(billing, simulated, "50.00")
    give(billing, "5", kind="goodwill")
    give(billing, "2", kind="promotional", expires_at=clock.now() + timedelta(hours=1))
    charge(billing, "1.234567")
    parked = start(billing, "20.00")
    simulated.pay(checkout_of(parked), amount=eur("19.00"))
    billing.customer(ADA).topups.confirm(parked.id)
    clock.advance(hours=24)
    billing.run_due("credit")
    top_up(billing, simulated, "30.00")
    charge(billing, "7", allow_negative=True, customer=EVE)
    clock.advance(hours=48)


def test_every_figure_equals_an_independent_sum_over_the_days_transfers(billing, simulated, clock):
    switch_on(billing)
    live_through(billing, simulated, clock)

    assert run(billing) == 4

    assert days(billing) == [str(day) for day in (SUNDAY, MONDAY, TUESDAY, WEDNESDAY)]
    spans = {day: (at(2026, 11, day.day - 1, 23), at(2026, 11, day.day, 23)) for day in (MONDAY, TUESDAY, WEDNESDAY)}
    for day, span in spans.items():
        found, expected = of(billing, day), independent(billing, *span)
        assert set(found["figures"]) == set(FIGURES)
        assert {name: int(found["figures"][name]) for name in expected} == expected
    moved = [independent(billing, *spans[day]) for day in (MONDAY, TUESDAY)]
    assert [name for name in moved[0] if not any(found[name] for found in moved)] == ["suspense_out"]
    assert of(billing, TUESDAY)["day_before"] == of(billing, MONDAY)["figures"]
    assert of(billing, WEDNESDAY)["day_before"] == of(billing, TUESDAY)["figures"]
    assert set(of(billing, WEDNESDAY)["figures"].values()) == {"0"}


def test_it_compares_with_the_same_weekday_a_week_before(billing, simulated, clock):
    top_up(billing, simulated, "50.00")
    clock.advance(days=8)
    switch_on(billing)

    assert run(billing) == 1

    [letter] = [message.text for message in billing._context.mailer.sent if "Book" in message.text]
    assert "day before €0.00 · week before €50.00" in letter
    assert of(billing, date(2026, 11, 30))["week_before"]["funds_in"] == "50000000"


def test_liability_and_debts_are_those_of_the_moment_it_is_written(billing, simulated, clock):
    switch_on(billing)
    top_up(billing, simulated, "50.00")
    charge(billing, "7", allow_negative=True, customer=EVE)

    run(billing)

    found = of(billing, SUNDAY)
    assert (found["liability"], found["debts"]) == ("50000000", "-7000000")
    text = operator(billing).digest.preview(SUNDAY).text
    assert "Unspent credit, Nov 23, 1:00\u202fPM: €50.00" in text
    assert "Debts, Nov 23, 1:00\u202fPM: -€7.00" in text


def test_every_currency_in_use_is_there_and_quiet_ones_are_only_named(billing, simulated, clock, mailer):
    switch_on(billing)
    top_up(billing, simulated, "50.00")
    top_up(billing, simulated, "500", currency="JPY")
    clock.advance(days=1)

    run(billing)

    assert [each["currency"] for each in facts(billing, MONDAY)["currencies"]] == ["EUR", "USD", "JPY"]
    message = mailer.sent[-1]
    assert message.subject == subject(billing, "Mon, Nov 23", "€50.00 + ¥500")
    assert "Nothing moved in USD." in message.text
    assert "\nUSD\n" not in message.text


def test_a_quiet_day_has_its_digest_too(billing, mailer):
    switch_on(billing)

    assert run(billing) == 1

    [message] = mailer.sent
    assert message.subject == subject(billing, "Sun, Nov 22", "€0.00")
    assert "Nothing moved in USD, JPY." in message.text
    assert "Nothing waits for an operator." in message.text
    assert "TEST – no real money" in message.text
    assert "TEST – no real money" in message.html


@SQLITE
def test_a_digest_of_live_mode_has_no_mark_of_a_test(open_billing, billing, mailer, tmp_path, clock):
    live = open_billing(mode="live", gateways=[], book="eu-2")
    switch_on(live)

    run(live)

    assert subjects(mailer) == ["Nimbus GmbH (eu-2): Sun, Nov 22, 2026, funds in €0.00"]
    assert "TEST" not in mailer.sent[0].text + mailer.sent[0].html


def test_what_waits_for_an_operator_is_counted(billing, simulated, clock, mailer):
    switch_on(billing)
    parked = start(billing, "20.00")
    simulated.pay(checkout_of(parked), amount=eur("19.00"))
    billing.customer(ADA).topups.confirm(parked.id)
    refunded = start(billing, "30.00")
    simulated.pay(checkout_of(refunded), amount=eur("29.00"))
    billing.customer(ADA).topups.confirm(refunded.id)
    simulated.fault_next("refund", "timeout-after-accept", times=9)
    operator(billing).topups.resolve(refunded.id, action="refund", reason="short", key="act-1")
    change(billing, "UPDATE prepaid_outbox SET state = 'dead' WHERE topic = 'event'")
    insert = (
        "INSERT INTO prepaid_webhook_event (book_id, gateway, event_id, kind, type, body_sha256, outcome, attempts,"
        " next_at, received_at) SELECT id, 'simulated', :event, 'payment', 'x', '', :outcome, 32, :next_at, 0"
        " FROM prepaid_book WHERE name = :name"
    )
    for number, (outcome, next_at) in enumerate([("parked", None), ("parked", 10**18), ("credited", None)]):
        event = {"event": f"evt_{number}", "outcome": outcome, "next_at": next_at}
        change(billing, insert, name=billing._context.book, **event)
    parked_effects = value(billing, "SELECT count(*) FROM prepaid_outbox WHERE book_id = :book AND state = 'dead'")

    run(billing)

    assert facts(billing, SUNDAY)["work"] == {
        "reviews": 2,
        "refund_requests": 0,
        "open_disputes": 0,
        "unknown_refunds": 1,
        "parked_events": 1,
        "parked_effects": parked_effects,
    }
    assert open_work(billing._context) == facts(billing, SUNDAY)["work"]
    text = mailer.sent[-1].text
    assert (
        "Waits for an operator\nTop-ups to look at: 2\nRefunds of unknown outcome: 1\nWebhooks handled in vain: 1\n"
        in text
    )
    assert operator(billing).topups.review().items[0].id == parked.id


# When it is sent


def test_the_first_digest_is_that_of_yesterday_and_each_day_has_one(billing, clock, mailer):
    switch_on(billing)
    for _ in range(40):
        run(billing)
        run(billing)
        clock.advance(hours=12)
    run(billing)

    assert [date.fromisoformat(day) for day in days(billing)] == [SUNDAY + timedelta(days=n) for n in range(21)]
    assert len(set(subjects(mailer))) == len(mailer.sent) == 21


@pytest.mark.parametrize(
    ("options", "instant"),
    [
        ({}, at(2026, 11, 24, 6)),
        ({"hour": 0}, at(2026, 11, 23, 23)),
        ({"hour": 7, "timezone": "America/New_York"}, at(2026, 11, 24, 12)),
        ({"hour": 7, "timezone": "Asia/Tokyo"}, at(2026, 11, 24, 22)),
    ],
)
@SQLITE_FIRST
def test_it_is_sent_at_its_hour_and_not_a_minute_before(billing, clock, options, instant):
    switch_on(billing, **options)
    run(billing)
    clock.set(instant - timedelta(minutes=1))

    run(billing)
    early = days(billing)
    clock.set(instant)
    run(billing)

    assert days(billing) == [*early, "2026-11-23"]


@SQLITE
def test_figures_are_by_the_sellers_day_whatever_the_zone_of_the_hour(billing, clock):
    give(billing, "100")
    switch_on(billing, timezone="Pacific/Kiritimati")
    clock.set(at(2026, 11, 23, 22, 59))
    charge(billing, "1")
    clock.set(at(2026, 11, 23, 23, 1))
    charge(billing, "10")
    clock.advance(days=2)

    run(billing)

    consumed = [of(billing, day)["figures"]["credit_consumed"] for day in (MONDAY, TUESDAY)]
    assert consumed == ["1000000", "10000000"]


def test_missed_days_are_caught_up_with_the_oldest_first_up_to_a_month(billing, clock, mailer):
    switch_on(billing)
    run(billing)
    clock.advance(days=3)

    assert run(billing) == 3
    expected = ("Sun, Nov 22", "Mon, Nov 23", "Tue, Nov 24", "Wed, Nov 25")
    assert subjects(mailer) == [subject(billing, day, "€0.00") for day in expected]
    clock.advance(days=100)

    assert run(billing) == 31
    assert run(billing) == 0


def test_switched_off_nothing_is_written_and_switched_on_again_it_begins_with_yesterday(billing, clock):
    switch_on(billing)
    run(billing)
    operator(billing).digest.settings(enabled=False)
    clock.advance(days=10)
    assert run(billing) == 0

    switch_on(billing)

    assert run(billing) == 1
    assert days(billing) == ["2026-11-22", "2026-12-02"]


@SQLITE
def test_switched_off_and_on_within_a_day_sends_nothing_twice(billing, mailer):
    for _ in range(3):
        switch_on(billing)
        run(billing)
        operator(billing).digest.settings(enabled=False)

    assert len(mailer.sent) == 1


@SQLITE
def test_without_a_mailer_days_wait_and_are_caught_up_with(open_billing, billing, clock, caplog):
    switch_on(billing)
    mute = open_billing(mailer=None)
    clock.advance(days=2)

    assert run(mute) == 0
    assert days(billing) == []
    assert "digests wait: no mailer is configured" in caplog.text
    assert run(billing) == 3


@SQLITE
def test_a_budget_ends_between_two_days(billing, clock, monkeypatch):
    switch_on(billing)
    clock.advance(days=9)
    real = type(clock).now
    monkeypatch.setattr(type(clock), "now", lambda self: self.advance(seconds=1) and real(self))

    first = billing.run_due("digest", budget_s=20)[0].count
    monkeypatch.undo()

    assert 0 < first < 10
    assert first + billing.run_due("digest")[0].count == 10


# Late entries


def post_late(billing, day, amount, *, key):
    """Charge something whose transaction was begun on an earlier day and is committed only now."""
    outcome = charge(billing, amount, key=key, allow_negative=True)
    lift = "UPDATE prepaid_transfer SET posted_at = :at WHERE transaction_id = :id"
    for statement in unlocked(billing):
        change(billing, statement)
    change(
        billing,
        lift,
        at=micros(datetime(day.year, day.month, day.day, 12, tzinfo=at(2026, 1, 1).tzinfo)),
        id=outcome.transaction_id,
    )


def unlocked(billing):
    """Take away what keeps transfers as they are; the database is the test's own."""
    return ["DROP TRIGGER IF EXISTS prepaid_transfer_keep_update"]


@SQLITE
def test_what_was_posted_after_the_digest_of_its_day_is_told_by_the_next_one_once(billing, clock, mailer):
    give(billing, "100")
    charge(billing, "1")
    clock.advance(days=1)
    switch_on(billing)
    run(billing)
    post_late(billing, MONDAY, "5", key="late-1")
    clock.advance(days=1)
    run(billing)

    assert facts(billing, TUESDAY)["late"] == [["2026-11-23", "EUR", "credit_consumed", "5000000"]]
    text = mailer.sent[-1].text
    assert (
        "Late entries\nPosted for a day after its digest had been written.\nNov 23, 2026, Credit consumed: +€5.00"
        in text
    )
    assert "+€5.00" in mailer.sent[-1].html
    assert of(billing, TUESDAY)["day_before"]["credit_consumed"] == "6000000"  # as it is now

    post_late(billing, MONDAY, "0.5", key="late-2")
    post_late(billing, TUESDAY, "2", key="late-3")
    clock.advance(days=1)
    run(billing)
    clock.advance(days=1)
    run(billing)

    assert facts(billing, WEDNESDAY)["late"] == [
        ["2026-11-23", "EUR", "credit_consumed", "500000"],
        ["2026-11-24", "EUR", "credit_consumed", "2000000"],
    ]
    assert facts(billing, THURSDAY)["late"] == []
    assert "Late entries" not in mailer.sent[-1].text


@ON_SERVERS
def test_a_transaction_that_is_committed_after_the_digest_of_its_day_is_late(billing, panel, clock):
    """On a server others write meanwhile; SQLite has one writer at a time."""
    give(billing, "100")
    switch_on(billing, hour=0)
    run(billing)
    clock.set(at(2026, 11, 23, 22, 59))
    with panel.opened("connection") as host:
        with billing.joined(host) as joined:
            charge(joined, "5", key="slow")
        clock.set(at(2026, 11, 23, 23))
        assert run(billing) == 1
        host.commit()
    clock.advance(days=1)
    run(billing)

    assert of(billing, MONDAY)["figures"]["credit_consumed"] == "0"
    assert facts(billing, TUESDAY)["late"] == [["2026-11-23", "EUR", "credit_consumed", "5000000"]]


@SQLITE
def test_days_that_are_caught_up_with_tell_what_is_late_once(billing, clock):
    switch_on(billing)
    run(billing)
    post_late(billing, SUNDAY, "5", key="late")
    clock.advance(days=3)

    assert run(billing) == 3

    late = [facts(billing, day)["late"] for day in (MONDAY, TUESDAY, WEDNESDAY)]
    assert late == [[["2026-11-22", "EUR", "credit_consumed", "5000000"]], [], []]


@SQLITE
def test_a_seller_who_moves_to_another_zone_makes_nothing_late(open_billing, billing, clock):
    give(billing, "100")
    clock.set(at(2026, 11, 23, 22, 30))
    charge(billing, "1")
    switch_on(billing)
    clock.advance(days=1)
    run(billing)
    moved = open_billing(seller=seller(timezone="Asia/Tokyo"))
    clock.advance(days=2)
    run(moved)

    late = [each for day in days(billing) for each in facts(billing, date.fromisoformat(day))["late"]]
    assert late == []


@SQLITE
def test_what_is_posted_more_than_a_week_late_is_left_to_the_reports(billing, clock):
    switch_on(billing)
    run(billing)
    for _ in range(9):
        clock.advance(days=1)
        run(billing)
    post_late(billing, SUNDAY, "5", key="late")
    clock.advance(days=1)
    run(billing)

    assert all(json.loads(text)["late"] == [] for (text,) in rows(billing, "SELECT facts FROM prepaid_digest"))


@SQLITE
def test_days_that_a_clock_which_ran_ahead_wrote_too_early_are_put_right_as_late(billing, clock, mailer):
    """The clock jumps forty days for a minute: those digests were of days to come."""
    give(billing, "100")
    switch_on(billing)
    run(billing)
    began = clock.now()
    clock.advance(days=40)
    assert run(billing) == 31
    clock.set(began)
    for _ in range(42):
        clock.advance(days=1)
        charge(billing, "1", allow_negative=True)
        run(billing)

    written = [date.fromisoformat(day) for day in days(billing)]
    assert written == [SUNDAY + timedelta(days=n) for n in range(43)]
    assert len(mailer.sent) == len(set(subjects(mailer))) == 43
    consumed = sum(int(of(billing, day)["figures"]["credit_consumed"]) for day in written)
    late = [each for day in written for each in facts(billing, day)["late"]]
    assert consumed + sum(int(amount) for _, _, figure, amount in late if figure == "credit_consumed") == 41_000_000
    assert len({(day, figure) for day, _, figure, _ in late}) == len(late)


# Mail


@SQLITE
def test_what_is_sent_is_what_the_preview_shows_before_and_after(billing, simulated, clock, mailer):
    live_through(billing, simulated, clock)
    switch_on(billing, locale="de_DE")
    before = operator(billing).digest.preview(WEDNESDAY)

    run(billing)
    after = operator(billing).digest.preview(WEDNESDAY)

    message = mailer.sent[-1]
    assert before == after
    assert (message.subject, message.text, message.html) == (before.subject, before.text, before.html)
    assert message.subject == "[TEST] Nimbus GmbH: Mi., 25. Nov. 2026, Einzahlungen 0,00 €"


def test_a_preview_writes_and_sends_nothing_and_needs_no_settings(billing, mailer):
    before = counts(billing)

    letter = operator(billing).digest.preview(SUNDAY)

    assert letter.subject == subject(billing, "Sun, Nov 22", "€0.00")
    assert (counts(billing), mailer.sent) == (before, [])


@SQLITE
@pytest.mark.parametrize("day", [MONDAY, date(2027, 1, 1), date(1969, 12, 31), "2026-11-22", None, 5, at(2026, 11, 22)])
@pytest.mark.parametrize("act", ["preview", "send"])
def test_only_a_day_that_has_ended_has_a_digest(billing, day, act):
    switch_on(billing)
    before = counts(billing)

    with pytest.raises(InvalidRequest) as refused:
        getattr(operator(billing).digest, act)(day)

    assert refused.value.field == "day"
    assert counts(billing) == before


def test_each_address_gets_its_own_mail_with_one_stable_key(billing, mailer):
    switch_on(billing, [CFO, "ceo@nimbus.example"])

    run(billing)

    assert [message.to for message in mailer.sent] == [CFO, "ceo@nimbus.example"]
    digest = value(billing, "SELECT id FROM prepaid_digest WHERE book_id = :book")
    assert {message.message_key for message in mailer.sent} == {f"digest/{digest}"}
    assert told(billing, "digest-sent") == [{"digest": digest, "day": "2026-11-22"}]


def test_a_mailer_that_fails_is_tried_again_and_the_mail_stays_the_same(billing, clock, mailer):
    switch_on(billing)
    mailer.failures = [OSError("down")] * 3
    run(billing)
    assert (mailer.sent, told(billing, "digest-sent")) == ([], [])

    give(billing, "5")
    for _ in range(4):
        clock.advance(minutes=15)
        billing.run_due("outbox")

    [message] = mailer.sent
    assert message.text == operator(billing).digest.preview(SUNDAY).text
    assert "€5.00" not in message.text
    assert len(told(billing, "digest-sent")) == 1


@SQLITE
def test_an_address_that_fails_keeps_no_other_from_having_it_and_none_has_it_twice(billing, clock, mailer):
    class Picky(RecordingMailer):
        refused = "ceo@nimbus.example"

        def send(self, message):
            if message.to == self.refused:
                raise OSError(f"no such user {message.to}")
            super().send(message)

    picky = billing._context.mailer.__class__ = Picky
    switch_on(billing, ["ceo@nimbus.example", CFO])
    run(billing)
    clock.advance(minutes=1)
    billing.run_due("outbox")
    error = value(billing, "SELECT last_error FROM prepaid_outbox WHERE topic = 'digest-mail'")

    assert [message.to for message in mailer.sent] == [CFO]
    assert error == "1 of 2 addresses failed"
    assert told(billing, "digest-sent") == []
    picky.refused = None
    clock.advance(minutes=1)
    billing.run_due("outbox")
    assert [message.to for message in mailer.sent] == [CFO, "ceo@nimbus.example"]
    assert len(told(billing, "digest-sent")) == 1


@SQLITE
@pytest.mark.parametrize("jump", [timedelta(0), timedelta(hours=-12), timedelta(hours=12)])
def test_addresses_that_are_slow_do_not_outlive_the_attempt(billing, clock, mailer, jump):
    """Whatever the host's clock says: the attempt ends by the clock of the database."""

    class Slow(RecordingMailer):
        def send(self, message):
            change(
                billing, "UPDATE prepaid_outbox SET claimed_until = claimed_until - 90000000 WHERE state = 'pending'"
            )
            clock.set(clock.now() + jump)
            super().send(message)

    mailer.__class__ = Slow
    switch_on(billing, [f"cfo-{number}@nimbus.example" for number in range(5)])

    run(billing)
    assert len(mailer.sent) == 2
    for _ in range(3):
        clock.advance(days=2)
        billing.run_due("outbox")

    assert sorted(message.to for message in mailer.sent) == [f"cfo-{number}@nimbus.example" for number in range(5)]


@SQLITE
def test_who_is_not_set_any_more_gets_no_mail_that_still_waits(billing, clock, mailer):
    switch_on(billing, [CFO, "left@nimbus.example"])
    mailer.failures = [OSError("down")] * 2
    run(billing)

    switch_on(billing, [CFO, "new@nimbus.example"])
    clock.advance(minutes=1)
    billing.run_due("outbox")

    assert [message.to for message in mailer.sent] == [CFO, "new@nimbus.example"]


@SQLITE
def test_what_waits_when_it_is_switched_off_is_not_sent(billing, clock, mailer):
    switch_on(billing)
    mailer.failures = [OSError("down")]
    run(billing)
    operator(billing).digest.settings(enabled=False)
    clock.advance(minutes=1)

    billing.run_due("outbox")

    assert (mailer.sent, told(billing, "digest-sent")) == ([], [])
    assert billing.health()["outbox_pending"] == 0


@SQLITE
def test_a_mailer_that_is_gone_leaves_the_digest_in_the_outbox(open_billing, billing, clock, mailer):
    switch_on(billing)
    billing.run_due("digest")

    open_billing(mailer=None).run_due("outbox")

    state = rows(billing, "SELECT state, last_error FROM prepaid_outbox WHERE topic = 'digest-mail'")
    assert state == [("pending", "ConfigurationError")]
    clock.advance(minutes=1)
    billing.run_due("outbox")
    assert len(mailer.sent) == 1


@SQLITE
def test_a_sellers_name_is_a_value_and_never_markup_a_template_or_a_header(open_billing, billing, mailer):
    name = "<script>alert(1)</script> {{ 7 * 7 }} {day}"
    odd = open_billing(seller=seller(name=name))
    switch_on(odd)

    run(odd)

    message = mailer.sent[0]
    assert "<script>" not in message.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }}" in message.html
    assert name in message.text
    assert message.subject.isprintable()
    assert message.subject.startswith("[TEST] <script>")
    assert len(message.subject) <= 200


@SQLITE
def test_the_mail_asks_for_nothing_from_outside(billing, mailer):
    switch_on(billing)
    run(billing)

    for asking in ("http", "src=", "url(", "@import", "<img", "<link", "<script"):
        assert asking not in mailer.sent[0].html


# Sending one now


def test_a_day_is_sent_now_once_and_audited_once(billing, mailer):
    switch_on(billing)
    ops = operator(billing, "bob")

    assert ops.digest.send(date(2026, 11, 2), reason="for the auditors") == "sent"
    assert ops.digest.send(date(2026, 11, 2), reason="again") == "sent"

    [message] = mailer.sent
    assert "Nov 2, 2026" in message.subject
    [entry] = ops.audit.list(action="digest-send").items
    assert (entry.actor, entry.target, entry.reason) == ("bob", "2026-11-02", "for the auditors")
    assert run(billing) == 1
    assert days(billing) == ["2026-11-02", "2026-11-22"]


def test_a_day_whose_mail_waits_or_was_given_up_is_sent_now(billing, clock, mailer):
    switch_on(billing)
    mailer.failures = [OSError("down")] * 2
    ops = operator(billing)

    assert ops.digest.send(SUNDAY) == "waiting"
    assert ops.digest.send(SUNDAY) == "waiting"  # not before its time: another worker may be at it
    change(billing, "UPDATE prepaid_outbox SET state = 'dead', attempts = 11 WHERE topic = 'digest-mail'")
    assert ops.digest.send(SUNDAY, reason="mail server mended") == "waiting"
    clock.advance(minutes=1)
    assert ops.digest.send(SUNDAY) == "sent"

    assert len(mailer.sent) == 1
    assert [entry.reason for entry in ops.audit.list(action="digest-send").items] == ["mail server mended", ""]


@SQLITE
def test_nothing_is_sent_while_it_is_off_or_there_is_no_mailer(open_billing, billing):
    with pytest.raises(WrongState) as refused:
        operator(billing).digest.send(SUNDAY)
    assert refused.value.field == "day"
    switch_on(billing)
    with pytest.raises(InvalidRequest, match="mailer"):
        operator(open_billing(mailer=None)).digest.send(SUNDAY)
    assert counts(billing)["digest"] == 0


@SQLITE
def test_reading_and_changing_need_their_own_permissions(billing):
    reader = operator(billing, granted=[permissions.DIGEST_READ])
    writer = operator(billing, granted=[permissions.DIGEST_WRITE])

    writer.digest.settings(email=CFO)
    assert reader.digest.read().enabled
    assert reader.digest.preview(SUNDAY).subject
    assert writer.digest.send(SUNDAY) == "sent"
    for refused in (
        lambda: reader.digest.settings(email=CFO),
        lambda: reader.digest.send(SUNDAY),
        writer.digest.read,
        lambda: writer.digest.preview(SUNDAY),
    ):
        with pytest.raises(NotAllowed):
            refused()


@SQLITE
def test_a_refusal_is_one_that_can_be_shown(billing):
    with pytest.raises(RequestRefused) as refused:
        operator(billing).digest.settings(email="nobody")
    assert "nobody" not in str(refused.value)


# Two at once


@SQLITE
def test_what_another_worker_wrote_meanwhile_is_looked_at_before_late_entries_are_told_again(
    open_billing, billing, clock, monkeypatch
):
    from prepaid.reporting import digest as digests

    switch_on(billing)
    run(billing)
    post_late(billing, SUNDAY, "5", key="late")
    clock.advance(days=2)
    other, real, asked = open_billing(), digests._facts, []

    def facts_and_then_another(tx, context, day, **options):
        found = real(tx, context, day, **options)
        if not asked:
            asked.append(day)
            assert operator(other).digest.send(TUESDAY) == "sent"
        return found

    monkeypatch.setattr(digests, "_facts", facts_and_then_another)
    run(billing)

    late = [each for day in days(billing) for each in facts(billing, date.fromisoformat(day))["late"]]
    assert late == [["2026-11-22", "EUR", "credit_consumed", "5000000"]]


@SQLITE
def test_a_digest_that_another_worker_is_sending_is_left_to_it(open_billing, billing, mailer, clock):
    other, seen = open_billing(), []

    class Nested(RecordingMailer):
        def send(self, message):
            seen.append(operator(other).digest.send(SUNDAY))
            super().send(message)

    mailer.__class__ = Nested
    switch_on(billing)

    run(billing)

    assert (seen, len(mailer.sent)) == (["waiting"], 1)


@SQLITE
def test_it_can_be_switched_off_between_summing_and_writing(open_billing, billing, monkeypatch):
    from prepaid.reporting import digest as digests

    switch_on(billing)
    other, real = open_billing(), digests._facts

    def facts_and_then_off(tx, context, day, **options):
        found = real(tx, context, day, **options)
        operator(other).digest.settings(enabled=False)
        return found

    monkeypatch.setattr(digests, "_facts", facts_and_then_off)

    assert run(billing) == 0
    assert days(billing) == []


@SQLITE
def test_thresholds_do_not_meddle(billing):
    """Settings are kept apart: one does not write over another."""
    switch_on(billing)
    operator(billing).settings.thresholds(Thresholds(low=eur("5")))
    assert operator(billing).digest.read().enabled
