"""Digests over SMTP: what a real server on loopback gets, one mail of each day and address."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import InvalidRequest, SmtpMailer
from prepaid.store import outbox as outbox_rows
from tests.claims import let_claims_lapse
from tests.test_mail import Postbox, serve
from tests.use_cases.steps import SQLITE, at, change, database, eur, operator, seller, top_up, value

SENDER = "billing@nimbus.example"
CFO, CEO = "cfo@nimbus.example", "ceo@nimbus.example"


@pytest.fixture
def postbox():
    return Postbox()


@pytest.fixture
def server(postbox):
    """Give the port of a mail server."""
    with serve(postbox) as port:
        yield port


@pytest.fixture
def mailer(server, clock):
    return SmtpMailer(f"smtp://127.0.0.1:{server}", sender=SENDER, timeout_s=10, clock=clock)


def deliver(billing):
    billing.run_due("digest")
    billing.run_due("outbox")


def recipients(postbox):
    return [tuple(envelope.rcpt_tos) for envelope in postbox.envelopes]


@SQLITE
def test_it_arrives_as_text_and_html_that_are_those_of_the_preview(billing, simulated, clock, postbox):
    operator(billing).digest.settings(email=[CFO, CEO], locale="de_DE")
    clock.advance(days=1)
    top_up(billing, simulated, "1234.50")
    clock.advance(days=1)

    deliver(billing)

    assert recipients(postbox)[1:] == [(address,) for _ in range(3) for address in (CFO, CEO)]  # after an invoice
    letter, mail = operator(billing).digest.preview(at(2026, 11, 24).date()), postbox.mails[-1]
    assert (mail["From"], mail["To"], mail["Cc"], mail["Bcc"]) == (SENDER, CEO, None, None)
    assert letter.subject == "[TEST] Nimbus GmbH: Di., 24. Nov. 2026, Einzahlungen 1.234,50 €"
    assert mail["Subject"].split() == letter.subject.split()  # a header that is folded may gain a blank
    assert mail["Date"].datetime == clock.now()
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert mail.get_body(("plain",)).get_content() == letter.text
    assert mail.get_body(("html",)).get_content() == letter.html
    assert "1.234,50\u00a0€" in letter.text
    assert postbox.envelopes[-1].content.isascii()


@SQLITE
def test_forty_days_are_forty_mails_and_each_day_has_its_own_message_id(billing, clock, postbox):
    operator(billing).digest.settings(email=CFO)
    for _ in range(40):
        deliver(billing)
        clock.advance(hours=24)

    ids = [mail["Message-ID"] for mail in postbox.mails]
    assert (len(ids), len(set(ids))) == (40, 40)
    subjects = [mail["Subject"] for mail in postbox.mails]
    assert len(set(subjects)) == 40


@SQLITE
@pytest.mark.parametrize(("first", "skipped"), [(at(2026, 10, 23, 12), 25), (at(2027, 3, 26, 12), 28)])
def test_days_on_which_the_clocks_change_have_one_mail_too(billing, clock, postbox, first, skipped):
    """Looked at every quarter of an hour, at an hour that comes twice, or not at all."""
    clock.set(first)
    operator(billing).digest.settings(email=CFO, hour=2)
    for _ in range(4 * 24 * 4):
        billing.run_due("digest")
        clock.advance(minutes=15)
    billing.run_due("outbox")

    days = [mail["Subject"].split(", ")[1] for mail in postbox.mails]
    month = "Oct" if first.month == 10 else "Mar"
    assert days == [f"{month} {first.day + number}" for number in range(-1, 4)]
    assert f"{month} {skipped}" in days


@SQLITE
def test_a_worker_that_dies_after_the_server_took_the_mail_sends_the_same_one_again(
    open_billing, billing, clock, postbox, monkeypatch
):
    operator(billing).digest.settings(email=CFO)
    monkeypatch.setattr(outbox_rows, "finish", lambda tx, effect, now: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        deliver(billing)
    monkeypatch.undo()
    let_claims_lapse(database(billing).engine)

    deliver(open_billing())

    first, second = postbox.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert first.get_body(("plain",)).get_content() == second.get_body(("plain",)).get_content()
    assert value(billing, "SELECT count(*) FROM prepaid_digest WHERE book_id = :book") == 1


@SQLITE
def test_a_server_that_is_away_gets_every_day_later(open_billing, clock, postbox, tmp_path, mailer):
    away = SmtpMailer("smtp://127.0.0.1:1", sender=SENDER, timeout_s=1, clock=clock)
    billing = open_billing(mailer=away)
    operator(billing).digest.settings(email=CFO)
    for _ in range(2):
        deliver(billing)
        clock.advance(hours=12)
    assert postbox.envelopes == []

    back = open_billing(mailer=mailer)
    for _ in range(3):
        clock.advance(hours=12)
        deliver(back)

    assert len(postbox.envelopes) == len({mail["Message-ID"] for mail in postbox.mails}) == 3


@SQLITE
def test_an_address_the_server_refuses_keeps_nobody_else_from_having_it(billing, clock, postbox):
    postbox.refused = {CEO}
    operator(billing).digest.settings(email=[CEO, CFO])
    deliver(billing)
    for _ in range(12):
        clock.advance(hours=13)
        billing.run_due("outbox")

    assert recipients(postbox) == [(CFO,)]
    assert billing.health()["outbox_parked"] == 1
    operator(billing).digest.settings(email=[CFO])
    assert operator(billing).digest.send(at(2026, 11, 22).date()) == "sent"
    assert recipients(postbox) == [(CFO,)]  # who has it is not sent it again
    assert billing.health()["outbox_parked"] == 0


@SQLITE
def test_neither_an_address_nor_a_name_can_add_a_header_or_a_recipient(open_billing, clock, postbox, mailer):
    name = "Nimbus\u2028Bcc: eve@evil.example"
    billing = open_billing(mailer=mailer)
    for address in (f"{CFO}\r\nBcc: eve@evil.example", f"{CFO}, eve@evil.example", f"CFO <{CFO}>"):
        with pytest.raises(InvalidRequest):
            operator(billing).digest.settings(email=address)
    with pytest.raises(InvalidRequest):
        seller(name=name)
    odd = seller(name="Nimbus Bcc: eve@evil.example =?utf-8?q?=0D=0ABcc:_eve?=")
    billing = open_billing(mailer=mailer, seller=odd)
    operator(billing).digest.settings(email=CFO)

    deliver(billing)

    [mail] = postbox.mails
    assert recipients(postbox) == [(CFO,)]
    assert set(mail.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }


@SQLITE
def test_an_address_that_was_put_into_the_database_by_hand_is_not_taken_either(billing, clock, postbox):
    operator(billing).digest.settings(email=CFO)
    billing.run_due("digest")
    change(billing, "UPDATE prepaid_setting SET value = replace(value, 'cfo@', 'x, cfo@')")

    billing.run_due("outbox")

    assert postbox.envelopes == []


@SQLITE
def test_a_mail_of_twenty_currencies_and_large_amounts_arrives(open_billing, clock, postbox, mailer, simulated):
    codes = "EUR USD GBP CHF SEK NOK DKK PLN CZK HUF RON BGN INR JPY KWD BHD TND AUD NZD CAD".split()
    billing = open_billing(mailer=mailer, currencies=codes)
    billing.customers.register("rich", currency="EUR")
    ops = operator(billing)
    for code in codes:
        ops.customers.grant("rich", type(eur("1")).of("999999999", code), kind="goodwill", reason="x", key=code)
    ops.digest.settings(email=CFO)
    clock.advance(days=1)

    deliver(billing)

    text = postbox.mails[-1].get_body(("plain",)).get_content()
    assert all(f"\n{code}\n" in text for code in codes)
    assert timedelta(0) < clock.now() - at(2026, 11, 23)
