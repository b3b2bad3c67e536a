"""Formats that plugins bring: used like those of the library, and named when something is wrong with them."""

from __future__ import annotations

import io
from datetime import date

import pytest

import prepaid
from prepaid import ConfigurationError, ExportFormat, Money
from prepaid.export_ports import Column
from tests.use_cases.export_steps import EVERYTHING, exported
from tests.use_cases.steps import ADA, SQLITE, give, operator

pytestmark = SQLITE


class Markdown:
    """A format of somebody else: a table as people write it."""

    name = "markdown"
    extension = "md"
    exports = ("transactions", "tax")

    def __init__(self, **changes):
        self.seen = []
        for attribute, value in changes.items():
            setattr(self, attribute, value)

    def write(self, columns, rows, to):
        self.seen.append(columns)
        to.write(f"| {' | '.join(column.name for column in columns)} |\n".encode())
        for row in rows:
            self.seen.append(row)
            to.write(f"| {' | '.join(map(str, row))} |\n".encode())


class Bringing:
    """A plugin with some exporters."""

    def __init__(self, *exporters):
        self.exporters = exporters

    @prepaid.hookimpl
    def prepaid_exporters(self, setup):
        return self.exporters


@pytest.fixture
def with_format(open_billing, billing):
    give(billing, "1")
    give(billing, "2")
    return lambda exporter: open_billing(plugins=[Bringing(exporter)])


def test_a_format_of_a_plugin_writes_the_exports_that_it_names(with_format, tmp_path):
    markdown = Markdown()
    billing = with_format(markdown)

    done = operator(billing).reports.export("transactions", to=tmp_path / "a.md", format="markdown", **EVERYTHING)

    assert (done.format, done.rows) == ("markdown", 2)
    columns, first, _ = markdown.seen
    assert all(isinstance(column, Column) for column in columns)
    cells = dict(zip((column.name for column in columns), first, strict=True))
    assert (cells["customer"], cells["amount"], cells["day"]) == (ADA, Money.of("1", "EUR"), date(2026, 11, 23))
    assert cells["posted_at"].tzinfo is not None
    assert len((tmp_path / "a.md").read_text().splitlines()) == 3
    assert exported(billing, "tax", "markdown").startswith(b"| period ")
    with pytest.raises(prepaid.InvalidRequest) as refused:
        exported(billing, "journal", "markdown")
    assert refused.value.field == "format"


def test_formats_are_listed_with_what_they_can_write(with_format, billing):
    own = operator(billing).reports.export_formats()
    assert [each.name for each in own] == ["csv", "xlsx", "jsonl", "beancount"]
    assert own[3] == ExportFormat("beancount", "beancount", ("journal",))

    listed = operator(with_format(Markdown())).reports.export_formats()
    assert listed == (*own, ExportFormat("markdown", "md", ("transactions", "tax")))


def test_what_a_format_of_a_plugin_raises_passes_and_leaves_no_file(with_format, tmp_path):
    class Broken(Markdown):
        def write(self, columns, rows, to):
            super().write(columns, rows, to)
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        operator(with_format(Broken())).reports.export("tax", to=tmp_path / "a", format="markdown", **EVERYTHING)
    assert not (tmp_path / "a").exists()


def test_a_format_that_leaves_rows_out_is_named_and_leaves_no_file(with_format, tmp_path):
    class Lazy(Markdown):
        def write(self, columns, rows, to):
            to.write(str(next(rows)).encode())

    reports = operator(with_format(Lazy())).reports
    with pytest.raises(ConfigurationError, match="'markdown' left rows"):
        reports.export("transactions", to=tmp_path / "a", format="markdown", **EVERYTHING)
    assert not (tmp_path / "a").exists()


def test_a_format_may_close_what_it_writes_to(with_format, tmp_path):
    class Closing(Markdown):
        def write(self, columns, rows, to):
            with io.TextIOWrapper(to, encoding="utf-8") as text:
                for row in rows:
                    text.write(f"{row[0]}\n")

    reports, stream = operator(with_format(Closing())).reports, io.BytesIO()
    for to in (tmp_path / "a", stream):
        assert reports.export("transactions", to=to, format="markdown", **EVERYTHING).rows == 2
    assert stream.getvalue() == (tmp_path / "a").read_bytes() == b"1\n2\n"


class NotAList(Bringing):
    @prepaid.hookimpl
    def prepaid_exporters(self, setup):
        return 5


class Raising(Bringing):
    @prepaid.hookimpl
    def prepaid_exporters(self, setup):
        raise RuntimeError("no licence")


class Later(Markdown):
    async def write(self, columns, rows, to):
        pass


class Half:
    name, extension = "half", "half"


WRONG = [
    *(NotAList(), Raising(), Bringing("csv"), Bringing(None), Bringing(Half()), Bringing(Markdown)),
    *(Bringing(Markdown(name=name)) for name in ("", "Mark Down", "../x", 5, None, "x" * 33)),
    *(Bringing(Markdown(extension=extension)) for extension in ("", ".md", "a/b", "MD", 5, None, "x" * 17)),
    *(Bringing(Markdown(exports=names)) for names in ((), ("ledger",), ["tax"], "tax", None, ("tax", 5), (["tax"],))),
    *(Bringing(Markdown(write=write)) for write in (None, "write")),
    *(Bringing(Later()), Bringing(Markdown(name="csv")), Bringing(Markdown(), Markdown())),
]


@pytest.mark.parametrize("plugin", WRONG)
def test_a_format_that_cannot_work_is_refused_with_the_plugins_name(open_billing, plugin):
    with pytest.raises(ConfigurationError, match=type(plugin).__name__):
        open_billing(plugins=[plugin])


def test_two_formats_of_one_name_are_refused_with_both_givers(open_billing):
    with pytest.raises(ConfigurationError, match="'csv', from the library and Bringing"):
        open_billing(plugins=[Bringing(Markdown(name="csv"))])
