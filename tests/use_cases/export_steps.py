"""What stories about exports begin with: how each format is read, by readers that nobody here wrote."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime
from decimal import Decimal

import openpyxl
from beancount import loader
from beancount.core import data

from tests.use_cases.steps import operator

LONG_AGO, FAR_AHEAD = date(2026, 1, 1), date(2030, 1, 1)
EVERYTHING = {"since": LONG_AGO, "until": FAR_AHEAD}
NOVEMBER = {"since": date(2026, 11, 1), "until": date(2026, 12, 1)}
"""For revenue, which has rows for every day."""

TABLES = ("csv", "xlsx", "jsonl")
NUMBERS = frozenset(
    "amount balance_after net tax total base funds_in credit_consumed tax_collected refunds_issued bonus_granted "
    "discount vouchers goodwill breakage fees disputed suspense_in suspense_out".split()
)


def exported(billing, name, format="csv", **options):
    """Give the bytes of an export."""
    to = io.BytesIO()
    span = NOVEMBER if name == "revenue" else EVERYTHING
    done = operator(billing).reports.export(name, to=to, format=format, **{**span, **options})
    assert (done.name, done.format) == (name, format)
    return to.getvalue()


def read(billing, name, format="csv", **options):
    """Give an export's rows as texts by column, and amounts as decimals; None where nothing stands."""
    content = exported(billing, name, format, **options)
    return [{key: _value(name, key, cell) for key, cell in row.items()} for row in READERS[format](content)]


def _value(name, key, cell):
    if cell in ("", None):
        return None
    is_amount = key in NUMBERS and (name, key) != ("tax", "tax")  # there it is what the tax is called
    return Decimal(str(cell)) if is_amount else _text(cell)


def _text(cell):
    return cell.date().isoformat() if isinstance(cell, datetime) else str(cell)


def read_csv(content):
    lines = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
    header = next(lines)
    return [dict(zip(header, line, strict=True)) for line in lines]


def read_jsonl(content):
    return [json.loads(line) for line in content.decode("utf-8").split("\n")[:-1]]


def sheets(content):
    """Give every sheet of a workbook as rows of cells, header first."""
    workbook = openpyxl.load_workbook(io.BytesIO(content))
    return [list(sheet.iter_rows()) for sheet in workbook.worksheets]


def read_xlsx(content):
    return [
        {head.value: cell.value for head, cell in zip(header, line, strict=True)}
        for header, *lines in sheets(content)
        for line in lines
    ]


READERS = {"csv": read_csv, "jsonl": read_jsonl, "xlsx": read_xlsx}


def load(content):
    """Give a journal's entries as Beancount reads them, which has nothing to complain of."""
    entries, errors, _ = loader.load_string(content.decode("utf-8"))
    assert errors == []
    return entries


def balances(entries):
    """Sum the postings of each account and currency."""
    sums = {}
    for entry in data.filter_txns(entries):
        assert sum(posting.units.number for posting in entry.postings) == 0
        for posting in entry.postings:
            key = (posting.account, posting.units.currency)
            sums[key] = sums.get(key, Decimal(0)) + posting.units.number
    return sums
