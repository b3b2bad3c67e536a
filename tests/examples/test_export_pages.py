"""The example's exports: the file that is downloaded is the library's, and nothing half is ever sent."""

from __future__ import annotations

import html
import io
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from prepaid.reporting.exports import COLUMNS, FORMATS
from tests.examples.visiting import Visitor, error_at

DAY = timedelta(days=1)


@pytest.fixture
def operator(visitor: Visitor) -> Visitor:
    visitor.pay("50.00")
    return visitor.be("operator")


def download(visitor: Visitor, panel: Any, **fields: str) -> Any:
    today = panel.today()
    asked = {"name": "transactions", "format": "csv", "since": str(today - 9 * DAY), "until": str(today), **fields}
    answer = visitor.client.get("/operator/exports/file", query_string=asked)
    answer.get_data()
    answer.close()
    return answer


def exported(panel: Any, folder: Path, name: str, format: str) -> Path:
    """Export the same days by the library, to a file."""
    today, to = panel.today(), folder / f"{name}.{format}"
    panel.alice().reports.export(name, since=today - 9 * DAY, until=today + DAY, format=format, to=to)
    return to


@pytest.mark.parametrize(
    ("name", "format"), [*((name, form) for name in COLUMNS for form in ("csv", "jsonl")), ("journal", "beancount")]
)
def test_what_is_downloaded_is_what_the_library_writes(
    operator: Visitor, panel: Any, tmp_path: Path, name: str, format: str
) -> None:
    answer = download(operator, panel, name=name, format=format)
    expected = exported(panel, tmp_path, name, format).read_bytes()

    assert answer.status_code == 200
    assert answer.data == expected
    assert len(expected.splitlines()) > 1
    assert answer.content_length == len(expected)


def test_a_spreadsheet_has_the_cells_that_the_library_writes(operator: Visitor, panel: Any, tmp_path: Path) -> None:
    answer = download(operator, panel, format="xlsx")
    expected = exported(panel, tmp_path, "transactions", "xlsx")

    [downloaded, written] = (
        [list(row) for row in openpyxl.load_workbook(file).active.values]
        for file in (io.BytesIO(answer.data), expected)
    )
    assert downloaded == written
    assert len(written) > 10
    assert answer.content_length == len(answer.data)


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("csv", "text/csv"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("jsonl", "application/jsonl"),
        ("beancount", "text/plain"),
    ],
)
def test_a_download_is_a_file_with_a_name_that_nobody_keeps(
    operator: Visitor, panel: Any, format: str, kind: str
) -> None:
    today = panel.today()
    answer = download(operator, panel, name="journal", format=format)

    name = f"journal-{today - 9 * DAY}-{today}.{format}"
    assert answer.headers["Content-Disposition"] == f"attachment; filename={name}"
    assert answer.mimetype == kind
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_last_day_counts_and_nothing_outside(operator: Visitor, panel: Any) -> None:
    today = panel.today()
    on_the_day = download(operator, panel, since=str(today), until=str(today))
    later = download(operator, panel, since=str(today + DAY), until=str(today + DAY))

    assert b"topup" in on_the_day.data
    assert len(later.data.splitlines()) == 1


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"since": "2026-02-01", "until": "2026-01-31"}, "until", "The last day is not before the first."),
        ({"since": ""}, "since", "Give a day such as"),
        ({"until": "soon"}, "until", "Give a day such as"),
        ({"until": "9999-12-31"}, "until", "Give a day of this time."),
        ({"name": ""}, "name", "one of transactions, revenue, invoices, tax, journal"),
        ({"name": "<b>"}, "name", "one of transactions"),
        ({"format": ""}, "format", "one of csv, xlsx, jsonl."),
        ({"format": "beancount"}, "format", "Format of transactions is one of csv, xlsx, jsonl."),
        ({"format": "../x"}, "format", "one of csv"),
        ({"name": "revenue", "since": "1990-01-01"}, "since", "at most 3700 days"),
    ],
)
def test_what_cannot_be_exported_is_said_beside_its_field_and_nothing_is_sent(
    operator: Visitor, panel: Any, fields: dict[str, str], field: str, said: str
) -> None:
    answer = download(operator, panel, **fields)

    assert answer.status_code == 422
    assert said in html.unescape(error_at(answer.text, field))
    assert "Content-Disposition" not in answer.headers
    assert "<b>" not in answer.text


def test_a_format_whose_package_is_missing_is_refused_in_words(
    operator: Visitor, panel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)

    answer = download(operator, panel, format="xlsx")

    assert answer.status_code == 422
    assert "install prepaid with its extra xlsx" in error_at(answer.text, "format")
    assert "Content-Disposition" not in answer.headers


def test_an_export_that_fails_half_way_sends_nothing_of_it(
    operator: Visitor, panel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prepaid import ConfigurationError

    def write(format: Any, columns: Any, rows: Any, to: Any) -> None:
        to.write(b"half of it" * 100_000)
        raise ConfigurationError("This row cannot be written.")

    monkeypatch.setattr(type(FORMATS["csv"]), "write", write)

    answer = download(operator, panel)

    assert answer.status_code == 422
    assert error_at(answer.text, "format") == "This row cannot be written."
    assert "half of it" not in answer.text


def test_the_form_offers_every_export_and_format_and_keeps_what_was_chosen(operator: Visitor, panel: Any) -> None:
    fresh = operator.get("/operator/exports").text
    again = download(operator, panel, name="tax", format="jsonl", since="x").text

    for name in (*COLUMNS, *FORMATS):
        assert f'<option value="{name}"' in fresh
    assert '<option value="tax" selected>' in again
    assert '<option value="jsonl" selected>' in again


def test_the_customer_exports_nothing(visitor: Visitor, panel: Any) -> None:
    answer = download(visitor, panel)

    assert visitor.get("/operator/exports").status_code == 403
    assert answer.status_code == 403
    assert "Content-Disposition" not in answer.headers
