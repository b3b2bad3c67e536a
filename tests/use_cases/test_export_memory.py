"""The memory of an export does not grow with its rows."""

from __future__ import annotations

import tracemalloc

import pytest
from sqlalchemy import text

from prepaid.store import exports
from tests.use_cases.export_steps import EVERYTHING
from tests.use_cases.steps import SQLITE, charge, database, give, operator

FEW, MANY = 1_000, 4_000
WRITTEN = (("transactions", "csv"), ("transactions", "jsonl"), ("transactions", "xlsx"), ("journal", "beancount"))

COPY = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)
INSERT INTO prepaid_transfer (book_id, transaction_id, part, debit_id, credit_id, currency, amount,
  wallet_id, wallet_seq, wallet_after, kind, grant_id, cause_type, cause_id,
  key_hash, fingerprint, actor, effective_at, posted_at, description)
SELECT book_id, 'txn_' || n, 0, debit_id, credit_id, currency, amount,
  wallet_id, 1000 + :after + n, wallet_after, kind, grant_id, cause_type, cause_id || n,
  key_hash || (:after + n), fingerprint, actor, effective_at, posted_at + 1000 * (:after + n), 'charge number ' || n
FROM prepaid_transfer, numbers WHERE kind = 'charge' AND wallet_seq = 2
"""


class Nowhere:
    """A file that keeps nothing."""

    def write(self, data):
        pass


def copy(billing, count, *, after):
    """Copy the one charge that there is, each time a millisecond later."""
    database(billing).write(lambda tx: tx.execute(text(COPY), {"count": count, "after": after}))


def peak(billing, name, format):
    """Give the most memory that one export took, and how many rows it wrote."""
    tracemalloc.start()
    done = operator(billing).reports.export(name, to=Nowhere(), format=format, **EVERYTHING)
    [_, most] = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most, done.rows


@SQLITE
@pytest.mark.parametrize(("name", "format"), WRITTEN)
def test_four_times_as_many_rows_take_no_more_memory(billing, monkeypatch, name, format):
    monkeypatch.setattr(exports, "AT_ONCE", 200)
    give(billing, "50")
    charge(billing, "0.01")
    peak(billing, name, format)  # what is loaded and compiled once
    copy(billing, FEW, after=0)
    few, rows_of_few = peak(billing, name, format)
    copy(billing, MANY - FEW, after=FEW)

    many, rows_of_many = peak(billing, name, format)

    assert (rows_of_few, rows_of_many) == (FEW + 2, MANY + 2)
    assert many < 1.15 * few, f"{few:,} and {many:,} bytes"
