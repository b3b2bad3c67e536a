"""``prepaid export``: transactions, revenue, invoices, tax or the journal to a file or the standard output."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime
from typing import Any

import click

from ..permissions import REPORTS_EXPORT
from ..reporting.exports import COLUMNS
from .options import app_option, json_option, opened, plain_errors, progress_bar


@click.command()
@app_option
@click.argument("name", type=click.Choice(tuple(COLUMNS)))
@click.option("--format", default="csv", show_default=True, metavar="FORMAT", help="Of the library or a plugin.")
@click.option("--since", required=True, metavar="DAY", help="First day in the seller's zone, or an instant.")
@click.option("--until", required=True, metavar="DAY", help="First day after, or an instant.")
@click.option("--to", "file", type=click.Path(dir_okay=False), help="Write to this file; to the output without it.")
@click.option("--currency", metavar="XXX", help="Only this currency.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@json_option
@plain_errors
def export(
    target: str | None, *, name: str, since: str, until: str, file: str | None, as_json: bool, **how: Any
) -> None:
    """Write an export of the days from --since to before --until; exits 1 if it could not be written."""
    how |= {"since": _bound(since, "--since"), "until": _bound(until, "--until")}
    if file is None and how["format"] == "xlsx" and sys.stdout.isatty():
        raise click.UsageError("Give --to FILE: xlsx is nothing to read on a terminal.")
    with opened(target) as billing, progress_bar(f"exporting {name}") as show:
        reports = billing.operator("cli", permissions=[REPORTS_EXPORT]).reports
        to = sys.stdout.buffer if file is None else file
        try:
            done = reports.export(name, to=to, on_progress=show, **how)
        except OSError as error:
            raise click.ClickException(f"The export could not be written: {error.strerror or error}.") from error
    record = {"export": done.name, "format": done.format, "rows": done.rows, "to": file}
    said = json.dumps(record) if as_json else f"{done.rows} rows of {done.name} as {done.format}"
    click.echo(said, err=file is None)


def _bound(written: str, option: str) -> date:
    try:
        return date.fromisoformat(written) if len(written) == len("2026-11-22") else datetime.fromisoformat(written)
    except ValueError:
        raise click.UsageError(
            f"{option} {written} is no day such as 2026-11-22, and no instant such as 2026-11-22T05:00Z."
        ) from None
