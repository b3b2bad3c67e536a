"""Random movements of every kind, written as rows past the library, and what they come to by SQL of the tests' own.

The rows keep what a wallet promises (places without gaps, the balance after each),
and nothing else: no grant, no top-up, no document stands behind them.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from sqlalchemy import insert, text, update

from prepaid.core.transfers import (
    BREAKAGE,
    FEES,
    GOODWILL,
    IN_TRANSIT,
    MIGRATION,
    PROMOTION,
    REVENUE,
    SUSPENSE,
    TAX_PAYABLE,
    WALLET,
    clearing,
    disputed,
    external,
)
from prepaid.integrity.rollups import rollups
from prepaid.store import accounts, schema
from prepaid.store.proofs.scope import read_place
from tests.use_cases.steps import database

CUSTOMERS = ("ada", "bob", "eve", "zoe")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def at_gateway(name):
    """Give what is posted with a gateway's accounts: kind, debit, credit."""
    g, lost = clearing(name), disputed(name)
    return [
        ("topup", g, WALLET),
        ("topup", g, TAX_PAYABLE),
        ("topup", g, SUSPENSE),
        ("refund", IN_TRANSIT, g),
        ("refund", TAX_PAYABLE, g),
        ("refund-reversal", g, IN_TRANSIT),
        ("refund-reversal", g, TAX_PAYABLE),
        ("suspense-refund", IN_TRANSIT, g),
        ("suspense-refund", g, IN_TRANSIT),
        ("dispute", lost, g),
        ("dispute", WALLET, lost),
        ("dispute", TAX_PAYABLE, lost),
        ("dispute-reversal", g, lost),
        ("fee", FEES, g),
    ]


POSTINGS = [
    *at_gateway("acme"),
    *at_gateway("zenith"),
    ("topup", PROMOTION, WALLET),
    ("topup", SUSPENSE, WALLET),
    ("topup", SUSPENSE, TAX_PAYABLE),
    ("bonus", PROMOTION, WALLET),
    ("clawback", WALLET, PROMOTION),
    ("clawback", PROMOTION, WALLET),
    ("charge", WALLET, REVENUE),
    ("charge", WALLET, REVENUE),
    ("charge", WALLET, REVENUE),
    ("reversal", REVENUE, WALLET),
    ("adjustment", WALLET, REVENUE),
    ("adjustment", REVENUE, WALLET),
    ("adjustment", WALLET, PROMOTION),
    ("adjustment", WALLET, GOODWILL),
    ("adjustment", WALLET, external("partner")),
    ("expiry", WALLET, BREAKAGE),
    ("refund", WALLET, IN_TRANSIT),
    ("refund", IN_TRANSIT, PROMOTION),
    ("refund-reversal", IN_TRANSIT, WALLET),
    ("refund-reversal", PROMOTION, IN_TRANSIT),
    ("suspense-refund", SUSPENSE, IN_TRANSIT),
    ("suspense-refund", IN_TRANSIT, SUSPENSE),
    ("dispute", WALLET, PROMOTION),
    ("voucher", PROMOTION, WALLET),
    ("goodwill", GOODWILL, WALLET),
    ("external", external("partner"), WALLET),
    ("migration", MIGRATION, WALLET),
]
"""Every posting of the accounting page."""

TABLES = """
FROM prepaid_transfer t
JOIN prepaid_account d ON d.id = t.debit_id JOIN prepaid_account c ON c.id = t.credit_id
WHERE t.book_id = :book AND t.currency = :currency
"""

INTO, OUT_OF = "c.kind = '{0}'", "d.kind = '{0}'"
BOUGHT = "t.kind IN ('topup', 'refund', 'refund-reversal', 'dispute', 'dispute-reversal')"
RULES = {
    "funds_in": (
        "t.kind = 'topup' AND d.kind IN ('clearing', 'suspense') AND c.kind IN ('wallet', 'tax_payable')",
        "1 = 0",
    ),
    "credit_consumed": ("d.kind = 'wallet' AND c.kind = 'revenue'", "d.kind = 'revenue' AND c.kind = 'wallet'"),
    "tax_collected": ("c.kind = 'tax_payable'", "d.kind = 'tax_payable'"),
    "refunds_issued": (
        "t.kind IN ('refund', 'refund-reversal') AND c.kind = 'clearing'",
        "t.kind IN ('refund', 'refund-reversal') AND d.kind = 'clearing'",
    ),
    "bonus_granted": (
        "t.kind IN ('bonus', 'clawback') AND c.kind = 'wallet'",
        "t.kind IN ('bonus', 'clawback') AND d.kind = 'wallet'",
    ),
    "discount": (f"{BOUGHT} AND d.kind = 'promotion'", f"{BOUGHT} AND c.kind = 'promotion'"),
    "vouchers": ("t.kind = 'voucher'", "1 = 0"),
    "goodwill": ("t.kind = 'goodwill'", "1 = 0"),
    "breakage": ("c.kind = 'breakage'", "d.kind = 'breakage'"),
    "fees": ("d.kind = 'fees'", "c.kind = 'fees'"),
    "disputed": (
        "t.kind IN ('dispute', 'dispute-reversal') AND d.kind = 'disputes' AND c.kind = 'clearing'",
        "t.kind IN ('dispute', 'dispute-reversal') AND d.kind = 'clearing' AND c.kind = 'disputes'",
    ),
    "suspense_in": ("c.kind = 'suspense'", "1 = 0"),
    "suspense_out": ("d.kind = 'suspense'", "1 = 0"),
    "wallets": ("c.kind = 'wallet'", "d.kind = 'wallet'"),
}
"""What counts in each figure, and what counts against it; the page about accounting once more, in SQL."""

LINES = {
    "topups": "t.kind = 'topup'",
    "bonus": "t.kind = 'bonus'",
    "vouchers": "t.kind = 'voucher'",
    "goodwill": "t.kind = 'goodwill'",
    "external": "t.kind = 'external'",
    "migration": "t.kind = 'migration'",
    "refund_reversals": "t.kind = 'refund-reversal'",
    "consumed": "'revenue' IN (d.kind, c.kind)",
    "expired": "t.kind = 'expiry'",
    "voided": "t.kind = 'adjustment' AND 'revenue' NOT IN (d.kind, c.kind)",
    "refunds": "t.kind = 'refund'",
    "clawbacks": "t.kind = 'clawback'",
    "disputes": "t.kind IN ('dispute', 'dispute-reversal')",
}
"""The lines of the roll-forward, of what moves into wallets and out of them."""


def unproved(billing, place=None):
    """Give what the proof of the sums by day finds; the others would find that no grant stands behind movements."""
    return database(billing).read(lambda tx: list(rollups(tx, read_place(tx, place))))


def micros(instant):
    return (instant - EPOCH) // MICROSECOND


def asked(billing, columns, by, currency="EUR"):
    """Sum columns of SQL over the transfers of one currency, by others."""
    shown = ", ".join(f"SUM({case}) AS {name}" for name, case in columns.items())
    statement = text(f"SELECT {by}, {shown} {TABLES} GROUP BY {by}")
    parameters = {"book": database(billing).book_id, "currency": currency}
    return database(billing).read(lambda tx: tx.execute(statement, parameters).mappings().all())


def cases(rules):
    return {
        name: f"CASE WHEN {counts} THEN t.amount WHEN {against} THEN -t.amount ELSE 0 END"
        for name, (counts, against) in rules.items()
    }


class Facts:
    """What the transfers come to, asked of the database itself once."""

    def __init__(self, billing, currency="EUR"):
        lines = {
            f"line_{name}": (f"{which} AND c.kind = 'wallet'", f"{which} AND d.kind = 'wallet'")
            for name, which in LINES.items()
        }
        found = asked(billing, cases(RULES | lines), "t.posted_at", currency)
        self._rows = sorted(
            ((EPOCH + int(row["posted_at"]) * MICROSECOND, row) for row in found), key=lambda row: row[0]
        )

    def figures(self, since, until):
        """Sum every figure over ``[since, until)``."""
        return self._sum(RULES, since, until)

    def lines(self, since, until):
        """Sum every line of the roll-forward over ``[since, until)``."""
        found = self._sum([f"line_{name}" for name in LINES], since, until)
        return {name: found[f"line_{name}"] for name in LINES}

    def _sum(self, names, since, until):
        rows = [row for at, row in self._rows if since <= at < until]
        return {name: sum(int(row[name]) for row in rows) for name in names}

    def days(self, zone):
        """Sum every figure by the calendar day of a zone."""
        there = ZoneInfo(zone)
        days = groupby(self._rows, key=lambda row: row[0].astimezone(there).date())
        return {
            day: Counter({name: sum(int(row[name]) for row in rows) for name in RULES})
            for day, rows in ((day, [row for _, row in rows]) for day, rows in days)
        }


class Movements:
    """A writer of random movements into the book of a billing system."""

    def __init__(self, billing, zone, seed):
        self._database, self._chance, self._zone = database(billing), random.Random(seed), ZoneInfo(zone)
        self._accounts = {currency: self._open(currency) for currency in ("EUR", "JPY")}
        self._seq = defaultdict(int)
        self._balance = defaultdict(int)
        self._written = 0

    def _open(self, currency):
        refs = {ref for _, *pair in POSTINGS for ref in pair if ref != WALLET}
        for customer in CUSTOMERS:
            accounts.ensure_wallet(self._database, customer, currency, EPOCH)
        opened = accounts.system_accounts(self._database, refs, currency, EPOCH)
        wallets = self._database.read(
            lambda tx: [accounts.find_wallet(tx, customer, currency).id for customer in CUSTOMERS]
        )
        return opened, wallets

    def instant(self, since, until):
        """Draw an instant; one in four lies at the border of a day, or a moment beside it."""
        chance = self._chance
        drawn = since + (until - since) * chance.random()
        if chance.random() < 0.25:
            midnight = datetime.combine(drawn.astimezone(self._zone).date(), datetime.min.time(), self._zone)
            drawn = midnight.astimezone(UTC) + chance.choice((-1, 0, 1, 5_000_000)) * MICROSECOND
        return drawn if since <= drawn < until else since

    def write(self, count, since, until, *, in_order=True):
        """Write so many, posted in ``[since, until)``; as late ones if they are in no order."""
        times = [self.instant(since, until) for _ in range(count)]
        self.write_at(sorted(times) if in_order else times)

    def write_at(self, times, **fixed):
        """Write one posted at each of some instants."""
        rows = [self._row(time) | fixed for time in times]
        touched = {row["wallet_id"] for row in rows if row["wallet_id"] is not None}

        def work(tx):
            for start in range(0, len(rows), 500):
                tx.execute(insert(schema.transfer), rows[start : start + 500])
            for wallet in touched:
                values = {"balance": self._balance[wallet], "seq": self._seq[wallet]}
                tx.execute(update(schema.account).where(schema.account.c.id == wallet).values(values))

        self._database.write(work)

    def _row(self, posted_at):
        chance, number = self._chance, self._written
        self._written += 1
        currency = "JPY" if chance.random() < 0.1 else "EUR"
        kind, debit, credit = chance.choice(POSTINGS)
        opened, wallets = self._accounts[currency]
        wallet = chance.choice(wallets) if WALLET in (debit, credit) else None
        amount = chance.choice((1, chance.randint(1, 10**9), 744))
        place = dict.fromkeys(("wallet_id", "wallet_seq", "wallet_after"))
        if wallet is not None:
            self._seq[wallet] += 1
            self._balance[wallet] += amount if credit == WALLET else -amount
            place = {"wallet_id": wallet, "wallet_seq": self._seq[wallet], "wallet_after": self._balance[wallet]}
        return {
            "book_id": self._database.book_id,
            "transaction_id": f"txn_{number:026d}",
            "part": 0,
            "debit_id": wallet if debit == WALLET else opened[debit],
            "credit_id": wallet if credit == WALLET else opened[credit],
            "currency": currency,
            "amount": amount,
            **place,
            "kind": kind,
            "cause_type": "usage",
            "cause_id": f"use-{number}",
            "key_hash": f"{number:032d}",
            "fingerprint": "",
            "actor": "host",
            "effective_at": posted_at,
            "posted_at": posted_at,
        }


def day_of(instant, zone):
    return instant.astimezone(ZoneInfo(zone)).date()


def start_of(day: date, zone):
    """Give when a day of one of the tests' zones begins; none of them changes its clocks at midnight."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
