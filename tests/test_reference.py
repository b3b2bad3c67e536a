"""The reference pages name what there is: hooks, events, commands, states, tables, permissions."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from prepaid import hookspecs
from prepaid.cli import main
from prepaid.core.account_map import DEFAULT_NAMES, OWNED
from prepaid.core.events import EVENT_NAMES
from prepaid.core.refund_requests import REQUEST_STEPS
from prepaid.core.refunds import REFUND_STEPS
from prepaid.core.states import TOPUP_STEPS
from prepaid.jobs import JOBS
from prepaid.reporting.exports import COLUMNS, FORMATS
from prepaid.store import schema

DOCS = Path(__file__).parents[1] / "docs"


def words_in_code(page: str) -> set[str]:
    return set(re.findall(r"`([a-z_-]+)`", (DOCS / page).read_text()))


def test_every_hook_is_documented_and_no_other():
    real = {name for name in vars(hookspecs) if name.startswith("prepaid_")}
    listed = re.search(r":members: PluginSetup, (.*)", (DOCS / "reference/hooks.md").read_text())

    assert listed is not None
    assert set(listed[1].split(", ")) == real


def test_every_event_is_documented_and_no_other():
    first_column = re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "reference/events.md").read_text(), re.MULTILINE)

    assert sorted(first_column) == sorted(EVENT_NAMES)


@pytest.mark.parametrize(
    ("title", "steps"),
    [
        ("States of a top-up", TOPUP_STEPS),
        ("States of a refund request", REQUEST_STEPS),
        ("States of a refund", REFUND_STEPS),
    ],
)
def test_every_state_is_documented_with_where_it_may_go(title, steps):
    page = (DOCS / "reference/states.md").read_text()
    [section] = [part for part in re.split(r"^# ", page, flags=re.MULTILINE) if part.startswith(f"{title}\n")]
    rows = re.findall(r"^\| (`.*?) \| .*? \|(.*)\|$", section, re.MULTILINE)
    documented = {}
    for names, targets in rows:
        for name in re.findall(r"`([a-z]+)`", names):
            documented[name] = frozenset(word for word in re.findall(r"[a-z]+", targets.split(":")[0]) if word in steps)

    assert documented == steps


def commands(group: click.Group, prefix: str) -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found |= commands(command, f"{prefix} {name}")
        else:
            found[f"{prefix} {name}"] = command
    return found


def test_every_command_is_documented_with_its_options():
    page = (DOCS / "reference/cli.md").read_text()

    for name, command in commands(main, "prepaid").items():
        line = re.search(rf"^\| `{name} (.*?)` \|", page, re.MULTILINE)
        assert line is not None, name
        for parameter in command.params:
            option = parameter.opts[0]
            written = option.upper() if isinstance(parameter, click.Argument) else option
            assert written in line[1], (name, written)


def test_every_job_is_documented():
    assert words_in_code("how-to/jobs.md") >= set(JOBS)


def test_every_action_of_the_audit_is_documented():
    table = re.findall(r"^\| (`.*?) \| ", (DOCS / "how-to/audit.md").read_text(), re.MULTILINE)
    documented = {name for cell in table for name in re.findall(r"`([a-z_-]+)`", cell)}
    written = {
        name
        for path in (DOCS.parent / "src" / "prepaid").rglob("*.py")
        for name in re.findall(r'\baction ?= ?f?"([a-z_{}.-]+)"', path.read_text())
    }

    assert len(written) > 20
    for name in written:
        form = re.compile(re.sub(r"\\{.*?\\}", "[a-z_-]+", re.escape(name)))
        assert any(form.fullmatch(known) for known in documented), name


def test_every_table_is_documented_and_those_that_never_change_are_said_to():
    page = (DOCS / "reference/schema.md").read_text()
    rows = re.findall(r"^\| (`.*?) \| .*? \| (.*?) ?\|$", page, re.MULTILINE)
    tables = {name for names, _ in rows for name in re.findall(r"`([a-z_]+)`", names)}
    kept = {name for _, last in rows for name in re.findall(r"[a-z_]+", last)}

    assert {f"prepaid_{name}" for name in tables} == set(schema.metadata.tables)
    assert {f"prepaid_{name}" for name in kept} == set(schema.APPEND_ONLY)


def exports_page(heading: str) -> str:
    """Give what stands below a heading, up to the next one."""
    page = (DOCS / "how-to/exports.md").read_text()
    return re.split(rf"^#+ {heading}$", page, flags=re.MULTILINE)[1].split("\n#")[0]


def test_every_column_of_every_export_is_documented_in_its_place_as_the_code_has_it():
    page = (DOCS / "how-to/exports.md").read_text()

    for name, columns in COLUMNS.items():
        rows = re.findall(r"^\| `([a-z0-9_]+)` \| ([a-z]+) \| (.*) \|$", exports_page(name), re.MULTILINE)
        assert rows == [(column.name, column.kind, column.about) for column in columns]
        assert re.search(rf"^\| `{name}` \| .* \|$", page, re.MULTILINE)


def test_every_format_of_exports_is_documented():
    assert set(re.findall(r"^\| `([a-z]+)` \|", exports_page("Formats"), re.MULTILINE)) == set(FORMATS)


def test_every_account_of_the_journal_is_documented_with_its_name():
    rows = re.findall(
        r"^\| `([a-z_]+)` \| `(.*?)` \| .+ \|$", exports_page("The accounts of the journal"), re.MULTILINE
    )

    assert dict(rows) == {kind: name + (":…" if kind in OWNED else "") for kind, name in DEFAULT_NAMES.items()}
    assert len(rows) == len(DEFAULT_NAMES)
