"""Invoices: numbers without gaps, content that never changes, a file and a mail each exactly once."""

from __future__ import annotations

import hashlib
import threading
from datetime import date, timedelta

import attrs
import pytest
from sqlalchemy.exc import DBAPIError

from prepaid import Address, IntegrityFault, Money, NotFound, TaxProfile
from prepaid.outbox import RETRY_AFTER
from prepaid.testing.mail import RecordingMailer
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    PlainRenderer,
    add_rule,
    at,
    change,
    checkout_of,
    counts,
    eur,
    live_in,
    rows,
    seller,
    start,
    told,
    top_up,
    value,
    walk,
)


def numbers(billing):
    found = rows(billing, "SELECT number, issued_on FROM prepaid_invoice WHERE book_id = :book ORDER BY sequence, year")
    return [tuple(row) for row in found]


# Numbers


def test_numbers_have_no_gap_whoever_buys_and_whatever_fails_between(billing, simulated):
    bought = []
    for customer in (ADA, EVE, ADA):
        unpaid = start(billing, customer=customer)
        simulated.fail(checkout_of(unpaid))
        billing.customer(customer).topups.confirm(unpaid.id)
        bought.append(top_up(billing, simulated, customer=customer).invoice_number)

    assert bought == ["TINV26-000001", "TINV26-000002", "TINV26-000003"]
    assert billing.check().ok


def test_numbers_have_no_gap_under_four_at_once(billing, simulated):
    waiting = [start(billing, "1.00") for _ in range(8)]
    for topup in waiting:
        simulated.pay(checkout_of(topup))
    barrier = threading.Barrier(4)

    def settle(share):
        barrier.wait()
        for topup in share:
            billing.customer(ADA).topups.confirm(topup.id)

    threads = [threading.Thread(target=settle, args=(waiting[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [number for number, _ in numbers(billing)] == [f"TINV26-{n:06d}" for n in range(1, 9)]
    assert billing.check().ok


def test_a_year_begins_a_series_of_its_own_on_the_sellers_day(billing, simulated, clock):
    clock.set(at(2026, 12, 31, 22, 59))
    top_up(billing, simulated)
    clock.advance(minutes=1)  # midnight in Berlin
    top_up(billing, simulated)

    assert numbers(billing) == [("TINV26-000001", "2026-12-31"), ("TINV27-000001", "2027-01-01")]
    assert billing.check().ok


@SQLITE
def test_a_fiscal_year_may_begin_on_another_day(open_billing, billing, simulated, clock):
    april = open_billing(seller=seller(fiscal_year_start=(4, 1)))
    for day in (at(2027, 3, 31, 12), at(2027, 4, 1, 12)):
        clock.set(day)
        top_up(april, simulated)

    assert [number for number, _ in numbers(april)] == ["TINV26-000001", "TINV27-000001"]


def test_a_date_never_goes_back_although_the_clock_does(billing, simulated, clock):
    top_up(billing, simulated)
    clock.set(clock.now() - timedelta(days=2))
    top_up(billing, simulated)
    clock.set(clock.now() + timedelta(days=3))
    top_up(billing, simulated)

    assert [day for _, day in numbers(billing)] == ["2026-11-23", "2026-11-23", "2026-11-24"]
    assert billing.check().ok


@SQLITE
def test_a_clock_that_goes_back_over_new_year_numbers_in_the_year_it_shows(billing, simulated, clock):
    clock.set(at(2027, 1, 1, 12))
    top_up(billing, simulated)
    clock.set(at(2026, 12, 31, 12))
    top_up(billing, simulated)

    assert numbers(billing) == [("TINV26-000001", "2026-12-31"), ("TINV27-000001", "2027-01-01")]


# Content


def test_an_invoice_shows_both_sides_what_was_sold_and_the_tax(billing, ada, simulated, clock):
    add_rule(billing, "CA", (("GST", "5"), ("QST", "9.975")))
    profile = TaxProfile(
        kind="business",
        company="Ada Inc.",
        name="Ada L.",
        address=Address(line1="1 rue X", city="Montréal", postcode="H2X 1Y4", subdivision="CA-QC", country="CA"),
        tax_id="123456789RT0001",
    )
    ada.tax_profile.set(profile)

    topup = top_up(billing, simulated, "50.00")

    [invoice] = ada.invoices.list().items
    assert ada.invoices.get(invoice.number) == ada.invoices.get(invoice.id) == invoice
    assert (invoice.kind, invoice.mode, invoice.locale, invoice.customer) == ("invoice", "test", "en", ADA)
    assert invoice.buyer.name == "Ada Inc."
    assert invoice.buyer.address == ("Ada L.", "1 rue X", "H2X 1Y4 Montréal", "CA-QC", "CA")
    assert (invoice.buyer.tax_ids, invoice.buyer.email) == (("123456789RT0001",), "ada@example.com")
    assert (invoice.seller.name, invoice.seller.tax_ids) == ("Nimbus GmbH", ("DE136695976",))
    assert [(line.description, line.quantity, line.net) for line in invoice.lines] == [
        ("Account credit 50.00 EUR", 1, eur("50"))
    ]
    assert [(line.name, line.amount) for line in invoice.tax.lines] == [("GST", eur("2.50")), ("QST", eur("4.99"))]
    assert (invoice.net, invoice.tax.total, invoice.total) == (eur("50"), eur("7.49"), eur("57.49"))
    assert (invoice.topup_id, invoice.payment[0]) == (topup.id, "Simulated payment")
    assert (invoice.issued_at, invoice.issued_on) == (clock.now(), date(2026, 11, 23))


def test_what_was_issued_stays_although_profile_name_and_seller_change(open_billing, billing, ada, simulated, clock):
    live_in(billing, "FR")
    top_up(billing, simulated)
    [before] = ada.invoices.list().items

    clock.advance(minutes=1)
    live_in(billing, "IT")
    billing.customers.register(ADA, email="new@example.com", name="Ada Byron")
    moved = open_billing(seller=seller(name="Cumulus SE", email="new@nimbus.example"))
    [after] = moved.customer(ADA).invoices.list().items
    top_up(moved, simulated)

    assert after == before
    newest = moved.customer(ADA).invoices.list().items[0]
    assert (newest.seller.name, newest.buyer.address) == ("Cumulus SE", ("IT",))


def test_a_customer_without_a_profile_is_billed_by_name_or_id(billing, simulated):
    billing.customers.register("anon")
    for customer, name in ((EVE, "Eve"), ("anon", "anon")):
        top_up(billing, simulated, customer=customer)
        [invoice] = billing.customer(customer).invoices.list().items
        assert (invoice.buyer.name, invoice.buyer.address) == (name, ())


def test_the_hash_covers_the_frozen_content(billing, ada, simulated):
    top_up(billing, simulated)
    [invoice] = ada.invoices.list().items

    [(snapshot, digest)] = rows(billing, "SELECT snapshot, sha256 FROM prepaid_invoice WHERE book_id = :book")

    assert invoice.sha256 == digest == hashlib.sha256(snapshot.encode()).hexdigest()


def test_no_engine_lets_an_issued_invoice_change_or_go(billing, simulated):
    top_up(billing, simulated)
    for statement in ("UPDATE prepaid_invoice SET total = total", "DELETE FROM prepaid_invoice"):
        with pytest.raises(DBAPIError, match="append-only"):
            change(billing, statement)


# Files


def test_a_file_is_rendered_once_and_identical_ever_after(billing, ada, simulated, renderer):
    top_up(billing, simulated)
    [invoice] = ada.invoices.list().items

    first = ada.invoices.pdf(invoice.id)
    again = ada.invoices.pdf(invoice.number)

    assert first == again == b"%PDF TINV26-000001 50.00 EUR #1"
    assert renderer.rendered == counts(billing)["document_file"] == 1


def test_a_newer_renderer_does_not_touch_a_file_that_was_handed_out(open_billing, billing, ada, simulated):
    top_up(billing, simulated)
    [invoice] = ada.invoices.list().items
    first = ada.invoices.pdf(invoice.id)

    newer = PlainRenderer()
    newer.version = "plain-2"

    assert open_billing(renderer=newer).customer(ADA).invoices.pdf(invoice.id) == first
    assert newer.rendered == 0


def test_two_who_render_at_once_hand_out_the_same_file(open_billing, billing, ada, simulated):
    top_up(billing, simulated)
    [invoice] = ada.invoices.list().items
    theirs = []

    class Slow(PlainRenderer):
        def render(self, invoice):
            theirs.append(ada.invoices.pdf(invoice.id))  # somebody else was faster
            return b"%PDF slower"

    assert open_billing(renderer=Slow()).customer(ADA).invoices.pdf(invoice.id) == theirs[0]
    assert counts(billing)["document_file"] == 1


@SQLITE
def test_a_file_that_was_tampered_with_is_not_handed_out(billing, ada, simulated):
    top_up(billing, simulated)
    [invoice] = ada.invoices.list().items
    ada.invoices.pdf(invoice.id)
    change(billing, "DROP TRIGGER prepaid_document_file_keep_update")
    change(billing, "UPDATE prepaid_document_file SET content = x'2550'")

    with pytest.raises(IntegrityFault):
        ada.invoices.pdf(invoice.id)


@SQLITE
def test_the_real_renderer_makes_a_pdf(open_billing, billing, ada, simulated):
    top_up(billing, simulated)
    [invoice] = ada.invoices.list().items

    assert open_billing(renderer=None).customer(ADA).invoices.pdf(invoice.id).startswith(b"%PDF")


# Mail


def test_an_invoice_is_mailed_once_with_its_file(billing, ada, simulated, mailer):
    top_up(billing, simulated)
    assert mailer.sent == []  # nothing is sent inside the transaction

    for _ in range(3):
        billing.run_due(only="outbox")

    [message] = mailer.sent
    assert message.to == "ada@example.com"
    assert [attachment.content for attachment in message.attachments] == [ada.invoices.pdf("TINV26-000001")]
    assert message.attachments[0].media_type == "application/pdf"
    assert "TINV26-000001" in message.subject + message.text
    [told_invoice] = told(billing, "invoice-issued")
    assert told_invoice["invoice"] in message.message_key


def test_the_mail_goes_where_the_customer_was_reached_when_it_was_issued(billing, simulated, mailer):
    top_up(billing, simulated)
    billing.customers.register(ADA, email="new@example.com")

    billing.run_due()

    assert [message.to for message in mailer.sent] == ["ada@example.com"]


@SQLITE
def test_a_mailer_that_fails_is_tried_again_later_with_the_same_message(billing, simulated, mailer, clock):
    top_up(billing, simulated)
    mailer.failures += [ConnectionRefusedError(), TimeoutError()]
    billing.run_due(only="outbox")
    billing.run_due(only="outbox")  # too early: nothing is tried
    assert len(mailer.failures) == 1

    clock.advance(seconds=5)
    billing.run_due(only="outbox")
    assert (mailer.failures, mailer.sent) == ([], [])
    clock.advance(seconds=30)
    billing.run_due(only="outbox")

    assert len(mailer.sent) == 1
    assert billing.health()["outbox_pending"] == 0


@SQLITE
def test_a_mail_that_never_gets_through_is_parked_and_holds_nothing_up(billing, simulated, mailer, clock):
    top_up(billing, simulated)
    mailer.failures += [ConnectionRefusedError() for _ in range(20)]
    for wait in (timedelta(0), *RETRY_AFTER):
        clock.set(clock.now() + wait)
        billing.run_due(only="outbox")

    assert len(mailer.failures) == 20 - 1 - len(RETRY_AFTER)
    assert (billing.health()["ok"], billing.health()["outbox_parked"]) == (False, 1)
    parked = "SELECT state, last_error FROM prepaid_outbox WHERE book_id = :book AND topic = 'invoice-mail'"
    assert rows(billing, parked) == [("dead", "ConnectionRefusedError")]
    mailer.failures.clear()
    clock.advance(days=30)
    top_up(billing, simulated)
    billing.run_due(only="outbox")
    assert len(mailer.sent) == 1


def test_without_an_address_nothing_is_mailed(billing, simulated, mailer):
    billing.customers.register("anon", name="Anonymous")
    top_up(billing, simulated, customer="anon")

    billing.run_due()

    assert mailer.sent == []
    assert billing.health()["outbox_pending"] == 0


@SQLITE
def test_without_a_mailer_invoices_are_only_downloaded(open_billing, billing, simulated):
    silent = open_billing(mailer=None)
    top_up(silent, simulated)
    silent.run_due()

    assert silent.health()["outbox_pending"] == 0
    assert silent.customer(ADA).invoices.pdf("TINV26-000001").startswith(b"%PDF")


@SQLITE
def test_a_mailer_that_was_taken_away_leaves_the_mail_waiting(open_billing, billing, simulated, clock):
    top_up(billing, simulated)
    open_billing(mailer=None).run_due(only="outbox")
    clock.advance(hours=1)
    later = RecordingMailer()

    open_billing(mailer=later).run_due(only="outbox")

    assert len(later.sent) == 1


# Reading


def test_a_foreign_invoice_is_not_found_by_number_or_id(billing, ada, simulated):
    top_up(billing, simulated)
    [invoice] = ada.invoices.list().items
    for name in (invoice.id, invoice.number):
        for ask in (billing.customer(EVE).invoices.get, billing.customer(EVE).invoices.pdf):
            with pytest.raises(NotFound):
                ask(name)
    assert counts(billing)["document_file"] == 0


def test_the_list_is_newest_first_and_the_same_at_every_page_size(billing, ada, simulated, clock):
    for _ in range(4):
        top_up(billing, simulated, "1.00")
        clock.advance(minutes=1)
    top_up(billing, simulated, customer=EVE)

    whole = list(ada.invoices.list().items)

    assert [invoice.number for invoice in whole] == [f"TINV26-{n:06d}" for n in (4, 3, 2, 1)]
    for size in range(1, 6):
        assert walk(ada.invoices.list, limit=size) == whole


@SQLITE
def test_an_invoice_is_a_value_that_nobody_can_change(billing, ada, simulated):
    top_up(billing, simulated)
    [invoice] = ada.invoices.list().items

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        invoice.total = Money.zero("EUR")
    assert "ada@example.com" not in repr(invoice)


@SQLITE
def test_the_series_counts_what_was_issued(billing, simulated):
    for _ in range(2):
        top_up(billing, simulated)

    assert value(billing, "SELECT last FROM prepaid_invoice_series WHERE book_id = :book") == 2
