"""Exports and pages while others write: nothing in part, nothing lost, nothing twice."""

from __future__ import annotations

import random
import threading
from contextlib import closing, contextmanager
from itertools import count

import pytest

from prepaid.store import exports
from tests.use_cases.export_steps import exported, read
from tests.use_cases.steps import ADA, EVE, SQLITE, charge, give, rows, top_up

FORMATS = (("transactions", "csv"), ("transactions", "xlsx"), ("journal", "jsonl"), ("journal", "beancount"))


@pytest.fixture
def few_at_once(monkeypatch):
    """Let every page of an export have three rows, so that there are many."""
    monkeypatch.setattr(exports, "AT_ONCE", 3)


@pytest.mark.parametrize(("name", "format"), FORMATS)
def test_what_others_write_while_an_export_runs_is_not_in_it(
    billing, simulated, few_at_once, monkeypatch, name, format, clock
):
    monkeypatch.setattr("prepaid.reporting.exports.exporting.TOLD_EVERY", 2)
    give(billing, "20")
    for _ in range(9):
        clock.advance(minutes=1)
        charge(billing, "1.5")
    before = exported(billing, name, format)
    wrote = []

    def write(done, of):
        """Charge before, at and after the place that the export is at."""
        wrote.append(charge(billing, "0.1"))
        give(billing, "0.5", customer=EVE)

    during = exported(billing, name, format, on_progress=write)

    assert len(wrote) > 4
    assert comparable(format, during) == comparable(format, before)
    after = read(billing, name)
    assert len(after) == len(read_back(before, name, format)) + 2 * len(wrote)


def comparable(format, content):
    if format != "xlsx":
        return content
    return read_back(content, "transactions", "xlsx")  # the file says when it was made


def read_back(content, name, format):
    from tests.use_cases.export_steps import READERS, balances, load

    if format == "beancount":
        entries = load(content)
        assert balances(entries)
        return [posting for entry in entries for posting in getattr(entry, "postings", ())][::2]
    return READERS[format](content)


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 1000])
def test_pages_of_any_size_make_the_same_export(billing, simulated, clock, monkeypatch, at_once):
    """Many at one instant and many at others, so that pages end within and between them."""
    top_up(billing, simulated, "20.00")
    give(billing, "3")
    for number in range(12):
        if number % 4 == 0:
            clock.advance(seconds=1)
        charge(billing, "1.7")
    whole = {name: exported(billing, name) for name in ("transactions", "journal", "invoices")}

    monkeypatch.setattr(exports, "AT_ONCE", at_once)

    assert {name: exported(billing, name) for name in whole} == whole
    stored = rows(billing, "SELECT id FROM prepaid_transfer WHERE book_id = :book ORDER BY posted_at, id")
    assert [row["id"] for row in read(billing, "journal")] == [str(row.id) for row in stored]


# A transaction whose transfers do not stand side by side


@SQLITE
def test_transfers_of_one_transaction_are_put_together_though_others_stand_between(billing, simulated):
    from beancount.core import data

    from tests.use_cases.export_steps import load
    from tests.use_cases.steps import change

    give(billing, "1", key="first")
    give(billing, "1", kind="goodwill", key="second")
    charge(billing, "2", key="two-grants")
    charge(billing, "1", key="other", allow_negative=True)
    # As a server with several writers may number them: the second part of one comes after the whole of the other.
    change(billing, "DROP TRIGGER prepaid_transfer_keep_update")
    change(billing, "UPDATE prepaid_transfer SET id = id + 100 WHERE part = 1")

    found = list(data.filter_txns(load(exported(billing, "journal", "beancount"))))

    assert len(found) == len({entry.meta["transaction"] for entry in found}) == 4


# Pages of a customer's history


@contextmanager
def somebody_charging(billing, customer):
    """Let another thread charge a customer until the block ends, and give what it posted."""
    stop, posted = threading.Event(), []

    def charge_on():
        for number in count():
            if stop.is_set():
                return
            outcome = charge(billing, "0.01", customer=customer, key=f"meanwhile-{number}", allow_negative=True)
            posted.append(outcome.transaction_id)

    writer = threading.Thread(target=charge_on)
    writer.start()
    try:
        yield posted
    finally:
        stop.set()
        writer.join()


def test_pages_of_1_to_100_lose_nothing_and_double_nothing_while_others_write(open_billing, billing):
    give(billing, "50")
    known = [charge(billing, "0.1").transaction_id for _ in range(100)]
    with closing(open_billing()) as writing, somebody_charging(writing, ADA) as posted:
        for limit in (1, 2, 7, 33, 100):
            seen = pages(billing.customer(ADA), limit)
            assert len(seen) == len(set(seen))
            missing = set(known) - set(seen)
            assert missing == set()
            # Newest first, and what was there when the first page was read is there to the end.
            assert [each for each in seen if each in set(known)] == known[::-1]
    assert posted
    last = pages(billing.customer(ADA), random.Random(7).randint(1, 100))
    assert len(last) == 1 + len(known) + len(posted)
    assert set(known) | set(posted) < set(last)


def pages(door, limit):
    seen, page = [], door.transactions(limit=limit)
    seen += page.items
    while page.next is not None:
        assert len(page.items) == limit
        page = door.transactions(limit=limit, cursor=page.next)
        seen += page.items
    return [transaction.id for transaction in seen]
