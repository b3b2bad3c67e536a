"""Steps that many scenarios begin with, and the questions they end with."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import text

from prepaid import Address, Money, Rate, Seller, TaxProfile, TaxRule, permissions
from tests.engines import SERVERS

BACK = "https://panel.example/back"
BILLING = "https://panel.example/billing"
ADA = "user-42"
EVE = "eve"
RATE = Rate.hourly("0.01", "EUR")
BOOK_TABLES = (
    "currency customer tax_profile account topup promotion promotion_customer redemption code_attempt voucher "
    "identity identity_case topup_allowance payment refund refund_request dispute reconciliation grant hold transfer "
    "webhook_event tax_rule tax_identity tax_id_check tax_register tax_approval location_evidence meter meter_segment "
    "resource_owner invoice_series invoice document_file tax_entry tax_correction outbox audit job_lease setting "
    "digest rollup rollup_day"
).split()

SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
"""For a test whose subject does not depend on the engine."""

_FULL_SERVERS = [pytest.param(*server.values, marks=(*server.marks, pytest.mark.full)) for server in SERVERS]

SQLITE_FIRST = pytest.mark.parametrize("place", ["sqlite", *_FULL_SERVERS], indirect=True)
"""For stories whose engine matters little: on servers only when everything is run."""

_numbers = itertools.count(1)


class Place(NamedTuple):
    """Where a book lives: an upgraded database, and a name that no other test uses in it."""

    url: str
    book: str


class PlainRenderer:
    """A renderer that costs nothing and counts how often it was asked."""

    media_type = "application/pdf"
    version = "plain-1"

    def __init__(self):
        self.rendered = 0

    def render(self, invoice):
        self.rendered += 1
        return f"%PDF {invoice.number} {invoice.total} #{self.rendered}".encode()


def seller(**changes):
    values = {
        "name": "Nimbus GmbH",
        "address": Address(line1="Invalidenstr. 1", city="Berlin", postcode="10115", country="DE"),
        "tax_ids": ("DE136695976",),
        "email": "billing@nimbus.example",
        "timezone": "Europe/Berlin",
    }
    return Seller(**{**values, **changes})


def eur(amount):
    return Money.of(amount, "EUR")


def at(*parts):
    return datetime(*parts, tzinfo=UTC)


def start(billing, amount="50.00", *, customer=ADA, currency="EUR", gateway=None, key=None, code=None):
    """Start a top-up that waits for its payment."""
    door = billing.customer(customer)
    quote = door.topups.quote(Money.of(amount, currency), gateway=gateway, code=code)
    return door.topups.start(quote, return_url=BACK, cancel_url=BILLING, key=key or f"form-{next(_numbers)}")


def checkout_of(topup):
    return topup.checkout.redirect_url.rsplit("/", 1)[1]


def top_up(billing, gateway, amount="50.00", **options):
    """Start, pay and confirm: the whole way in one call."""
    topup = start(billing, amount, **options)
    gateway.pay(checkout_of(topup))
    credited = billing.customer(topup.customer).topups.confirm(topup.id)
    assert credited.state == "credited"
    return credited


def give(billing, amount, *, customer=ADA, kind="promotional", key=None, **options):
    """Give credit that nobody paid for."""
    return operator(billing).customers.grant(
        customer, eur(amount), kind=kind, reason="welcome", key=key or f"gift-{next(_numbers)}", **options
    )


def charge(billing, amount, *, key=None, customer=ADA, **options):
    return billing.usage.charge(customer, eur(amount), key=key or f"use-{next(_numbers)}", **options)


def hold(billing, amount, *, key=None, customer=ADA, hours=2, **options):
    """Reserve credit for some hours."""
    return billing.usage.hold(
        customer, eur(amount), key=key or f"hold-{next(_numbers)}", expires_in=timedelta(hours=hours), **options
    )


def reverse(billing, outcome, amount=None, *, key=None, reason="outage", **options):
    """Give a charge back, in whole or in part."""
    wanted = None if amount is None else eur(amount)
    return billing.usage.reverse(
        outcome.transaction_id, wanted, key=key or f"back-{next(_numbers)}", reason=reason, **options
    )


def run(billing, resource="vm-1", **options):
    """Let a resource run, at a cent an hour."""
    return billing.meters.start(ADA, **{"resource": resource, "rate": RATE, **options})


def operator(billing, actor="alice@nimbus.example", granted=permissions.ALL):
    return billing.operator(actor, permissions=granted)


def add_rule(billing, country="FR", components=(("TVA", "20"),), since=date(2014, 1, 1), **more):
    return operator(billing).tax.add(TaxRule(country=country, components=components, valid_from=since, **more))


def live_in(billing, country, customer=ADA):
    return billing.customer(customer).tax_profile.set(TaxProfile(address=Address(country=country)))


def deliver(billing, delivery, *, to="simulated", **how):
    """Bring one webhook of the simulated provider to the host's endpoint."""
    headers, body = delivery.request(**how)
    return billing.webhooks.receive(to, body=body, headers=headers)


def parts(balance):
    """Give a balance, and what of it is paid and promotional."""
    return tuple(str(amount.amount) for amount in (balance.settled, balance.paid, balance.promotional))


def kept(balance):
    """Give a balance, what is held of it, and what is available."""
    return tuple(str(amount.amount) for amount in (balance.settled, balance.held, balance.available))


def lines(door, **filters):
    """Give kind and amount of a history's lines, the oldest first."""
    found = reversed(walk(door.transactions, **filters))
    return [(line.kind, str(line.amount.amount)) for line in found]


def grant_ids(billing):
    """Give the ids of all grants, the oldest first."""
    return [grant for (grant,) in rows(billing, "SELECT id FROM prepaid_grant WHERE book_id = :book ORDER BY id")]


def flow(billing, debit, credit):
    """Sum what moved from one sort of account to another, by the database itself, in euros."""
    found = value(
        billing,
        "SELECT sum(t.amount) FROM prepaid_transfer t JOIN prepaid_account d ON d.id = t.debit_id"
        " JOIN prepaid_account c ON c.id = t.credit_id"
        " WHERE t.book_id = :book AND d.kind = :debit AND c.kind = :credit",
        debit=debit,
        credit=credit,
    )
    return str(Money(int(found or 0), "EUR").amount)


def database(billing):
    return billing._context.database


def rows(billing, statement, **parameters):
    """Ask the database itself; ``:book`` is the book's row id."""
    parameters["book"] = database(billing).book_id
    return database(billing).read(lambda tx: tx.execute(text(statement), parameters).all())


def change(billing, statement, **parameters):
    """Change the database behind the library's back."""
    database(billing).write(lambda tx: tx.execute(text(statement), parameters))


def value(billing, statement, **parameters):
    [[found]] = rows(billing, statement, **parameters)
    return found


STORY_TABLES = ("account", "grant", "transfer", "hold", "outbox")
_MADE = re.compile(r"[a-z]{2,4}_[0-9a-z]{26}|\b[0-9a-f]{32}\b|\bdue/[0-9]+")


def everything(billing, order="id"):
    """Give all rows of a book, with ids, keys and references to rows by the order in which they appear.

    Transfers are in an order of their own if that is asked for.
    """
    names = {}

    def known(found):
        return names.setdefault(found, f"#{len(names)}")

    def shown(column, cell):
        if column == "book_id" or (column == "id" and isinstance(cell, int)):
            return None
        if column in ("wallet_id", "debit_id", "credit_id"):
            return accounts[cell] if cell is not None else None
        return _MADE.sub(lambda match: known(match[0]), cell) if isinstance(cell, str) else cell

    found = {
        name: rows(
            billing,
            f"SELECT * FROM prepaid_{name} WHERE book_id = :book ORDER BY {order if name == 'transfer' else 'id'}",
        )
        for name in STORY_TABLES
    }
    accounts = {row.id: (row.kind, row.owner) for row in found["account"]}
    return {
        name: [{column: shown(column, cell) for column, cell in row._mapping.items()} for row in found[name]]
        for name in STORY_TABLES
    }


def counts(billing):
    """Count the rows of every table of the book."""
    tables = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM prepaid_{table} WHERE book_id = :book" for table in BOOK_TABLES
    )
    return {name: int(number) for name, number in rows(billing, tables)}


def told(billing, name):
    """Give the details of every event of one name that was written to the outbox."""
    import json

    found = rows(billing, "SELECT payload FROM prepaid_outbox WHERE book_id = :book AND topic = 'event' ORDER BY id")
    payloads = [json.loads(payload) for (payload,) in found]
    return [payload["details"] for payload in payloads if payload["name"] == name]


def alarms(billing):
    """Give the reasons of the security audit rows, after making sure each was told as an event too."""
    entries = [entry for entry in operator(billing).audit.list().items if entry.action == "security"]
    assert all(entry.actor.startswith("gateway:") for entry in entries)
    reasons = sorted(entry.reason for entry in entries)
    assert sorted(event["reason"] for event in told(billing, "security")) == reasons
    return reasons


def assert_nothing_credited(billing, customer=ADA):
    balance = billing.customer(customer).balance()
    assert (balance.settled, balance.available) == (eur("0"), eur("0"))
    assert billing.customer(customer).transactions().items == ()
    assert billing.customer(customer).invoices.list().items == ()
    assert billing.check().ok


def walk(list_page, **options):
    """Read a whole list page by page."""
    items, page = [], list_page(**options)
    items.extend(page.items)
    while page.next is not None:
        page = list_page(cursor=page.next, **options)
        items.extend(page.items)
    return items
