"""``prepaid tax-rules``: what an import of tax rules would change, the import itself, and the rules in use as CSV.

A diff is shown first. With ``--apply`` exactly that diff is done, or nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen

from ..core.errors import InvalidRequest
from ..core.tax_rules import TaxRule, rule_record
from ..doors.operator_tax import OperatorTax
from ..permissions import TAX_READ, TAX_WRITE
from ..tax.importing import RuleDiff
from ..tax.rule_csv import MOST_BYTES
from .options import app_option, json_option, opened, plain_errors, progress

F = TypeVar("F", bound=Callable[..., Any])


@frozen
class _Act:
    """What is to be done with a diff: shown, or applied by somebody for a reason."""

    apply: bool
    reason: str | None
    actor: str | None

    def __attrs_post_init__(self) -> None:
        if self.apply and not (self.reason and self.actor):
            raise click.UsageError("--apply is audited: give --reason TEXT and --actor NAME with it.")


def _act_options(command: F) -> F:
    for option in (
        click.option("--actor", metavar="NAME", help="Who applies it, for the audit."),
        click.option("--reason", metavar="TEXT", help="Why, for the audit."),
        click.option("--apply", is_flag=True, help="Do what is shown; without it nothing is changed."),
    ):
        command = option(command)
    return command


@click.group("tax-rules")
def tax_rules() -> None:
    """Tax rules: import from CSV or a package of rates, export."""


@tax_rules.command("import")
@app_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_act_options
@json_option
@plain_errors
def import_(target: str | None, *, file: Path, as_json: bool, **act: Any) -> None:
    """Compare the rules of a CSV file with those in use; exits 1 if they differ and are not applied."""
    _run(target, _Act(**act), lambda tax: tax.from_csv(_read(file)), as_json=as_json)


@tax_rules.command("vat-rates")
@app_option
@click.option("--from", "valid_from", required=True, metavar="DATE", help="First day on which the rates count.")
@click.option("--country", "countries", multiple=True, metavar="XX", help="Only this member state; may be repeated.")
@_act_options
@json_option
@plain_errors
def vat_rates(target: str | None, *, valid_from: str, countries: tuple[str, ...], as_json: bool, **act: Any) -> None:
    """Compare the standard rates of the EU with the rules in use; exits 1 if they differ and are not applied."""
    day = _day(valid_from)
    _run(target, _Act(**act), lambda tax: tax.from_vat_rates(day, countries or None), as_json=as_json)


@tax_rules.command()
@app_option
@click.option("--to", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@plain_errors
def export(target: str | None, file: Path | None) -> None:
    """Write the rules in use as CSV, to be kept, compared or imported elsewhere."""
    with opened(target) as billing, progress("reading tax rules"):
        text = billing.operator("cli", permissions=[TAX_READ]).tax.to_csv()
    if file is None:
        click.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8", newline="")


def _day(written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise click.UsageError(f"--from {written} is no day such as 2026-11-23.") from None


def _read(file: Path) -> str:
    with file.open("rb") as opened_file:
        content = opened_file.read(MOST_BYTES + 1)  # one more than is allowed, and no more
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidRequest(f"Line {line}: the file is not UTF-8.", field="csv", line=line) from None


def _run(target: str | None, act: _Act, find: Callable[[OperatorTax], RuleDiff], *, as_json: bool) -> None:
    with opened(target) as billing, progress("tax rules") as show:
        tax = billing.operator(act.actor or "cli", permissions=[TAX_READ, TAX_WRITE] if act.apply else [TAX_READ]).tax
        show("comparing")
        diff = find(tax)
        for line in _json_lines(diff, act) if as_json else diff.lines():
            click.echo(line)
        if act.apply:
            show("applying")
            tax.apply(diff, reason=act.reason or "")
    if act.apply and not as_json:
        click.echo("nothing to apply" if diff.is_empty else "applied")
    sys.exit(0 if act.apply or diff.is_empty else 1)


def _json_lines(diff: RuleDiff, act: _Act) -> Iterator[str]:
    for rule, day in diff.ended:
        yield json.dumps({"change": "end", "rule": _record(rule), "valid_to": day.isoformat()})
    for old, new in diff.replaced:
        yield json.dumps({"change": "replace", "rule": _record(old), "by": _record(new)})
    for rule in diff.added:
        yield json.dumps({"change": "add", "rule": _record(rule)})
    yield json.dumps({"unchanged": len(diff.unchanged), "is_empty": diff.is_empty, "apply": act.apply})


def _record(rule: TaxRule) -> dict[str, Any]:
    return {"id": rule.id or None, "country": rule.country, **rule_record(rule)}
