"""The commands; each loads what it needs and says in one line what it did."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import click

from ..integrity import Finding
from ..jobs import JOBS
from ..permissions import GATEWAYS_READ
from ..reconciliation import ReconciliationItem
from ..store import schema_status, upgrade_schema
from .options import app_option, database_option, json_option, opened, plain_errors, progress


@click.group()
@click.version_option(package_name="prepaid")
def main() -> None:
    """Prepaid credit billing: database, jobs, billing, reconciliation, proofs."""


@main.group()
def db() -> None:
    """The database schema."""


@db.command()
@database_option
@plain_errors
def upgrade(database: str | None) -> None:
    """Bring the schema to the version of this library; safe to run twice or at once."""
    if database is None:
        raise click.UsageError("Give --database URL or set PREPAID_DATABASE.")
    before, after = upgrade_schema(database)
    click.echo(f"schema {after}" + (" already" if before == after else f", was {before or 'missing'}"))


@db.command()
@database_option
@plain_errors
def status(database: str | None) -> None:
    """Say which schema the database has and which this library needs; exits 1 if they differ."""
    if database is None:
        raise click.UsageError("Give --database URL or set PREPAID_DATABASE.")
    found, needed = schema_status(database)
    click.echo(f"database {found or 'has no schema'}, library {needed}")
    sys.exit(0 if found == needed else 1)


@main.command("run-jobs")
@app_option
@click.option("--only", type=click.Choice(tuple(JOBS)), help="Run just this job.")
@click.option("--budget", "budget_s", type=click.IntRange(min=1), help="Begin nothing new after so many seconds.")
@json_option
@plain_errors
def run_jobs(target: str | None, only: str | None, budget_s: int | None, as_json: bool) -> None:
    """Run the jobs that are due, from meters to the outbox. Call it from cron every minute."""
    failed = False
    with opened(target) as billing, progress("running jobs") as show:
        for name in [only] if only else JOBS:
            show(name)
            for run in billing.run_due(name, budget_s=budget_s):
                failed = failed or run.status == "failed"
                record = {"job": run.name, "status": run.status, "count": run.count}
                click.echo(json.dumps(record) if as_json else f"{run.name}: {run.status}, {run.count}")
    sys.exit(1 if failed else 0)


@main.command()
@app_option
@click.option("--until", metavar="INSTANT", help="Leave hours that end later, such as 2026-11-22T05:00Z.")
@json_option
@plain_errors
def bill(target: str | None, until: str | None, as_json: bool) -> None:
    """Charge the hours of meters that have ended; exits 1 if some could not be charged. Safe to repeat."""
    limit = None if until is None else _instant(until)
    with opened(target) as billing, progress("billing") as show:
        run = billing.meters.bill(until=limit, on_progress=lambda done, due: show(f"{done} of {due} hours"))
    for resource, reason in run.refused:
        click.echo(json.dumps({"resource": resource, "refused": reason}) if as_json else f"{resource}: {reason}")
    total = [str(amount) for amount in run.total]
    if as_json:
        click.echo(json.dumps({"charges": run.charges, "customers": run.customers, "total": total}))
    else:
        click.echo(f"{run.charges} charges of {run.customers} customers: {', '.join(total) or 'nothing'}")
    sys.exit(1 if run.refused else 0)


def _instant(written: str, option: str = "--until") -> datetime:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        raise click.UsageError(f"{option} {written} is no instant such as 2026-11-22T05:00Z.") from None


@main.command()
@app_option
@click.argument("gateway")
@click.option("--since", required=True, metavar="INSTANT", help="First instant, such as 2026-11-22T00:00Z.")
@click.option("--until", required=True, metavar="INSTANT", help="First instant after the period.")
@json_option
@plain_errors
def reconcile(target: str | None, *, gateway: str, since: str, until: str, as_json: bool) -> None:
    """Compare a gateway's list of a period with ours; changes nothing, exits 1 if anything differs."""
    period = (_instant(since, "--since"), _instant(until))
    with opened(target) as billing, progress("reconciling") as show:
        ops = billing.operator("cli", permissions=[GATEWAYS_READ])
        report = ops.reconcile(gateway, *period, on_progress=lambda name, done: show(f"{name}, {done}"))
    for name in ("missing_here", "missing_there", "different"):
        for item in getattr(report, name):
            click.echo(_item_line(name, item, as_json))
    if as_json:
        figures = {name: getattr(report, name) for name in ("ok", "matched", "foreign", "listed")}
        click.echo(json.dumps(figures))
    else:
        listed = "" if report.listed else "; the gateway has no list, what we know of was looked up"
        click.echo(f"{report.matched} matched, {report.foreign} of others{listed}")
    sys.exit(0 if report.ok else 1)


def _item_line(name: str, item: ReconciliationItem, as_json: bool) -> str:
    amounts = {side: str(amount) for side in ("here", "there") if (amount := getattr(item, side)) is not None}
    if as_json:
        record = {"found": name, "kind": item.kind, "id": item.id, "topup": item.topup_id, "detail": item.detail}
        return json.dumps(record | amounts)
    shown = ", ".join(f"{side} {amount}" for side, amount in amounts.items())
    return f"{name.replace('_', ' ')}: {item.kind} {item.id} of {item.topup_id or 'nobody'}: {item.detail} ({shown})"


@main.command()
@app_option
@click.option("--since", help="The place that an earlier check gave: prove what is new since then.")
@json_option
@plain_errors
def check(target: str | None, since: str | None, as_json: bool) -> None:
    """Prove the books on one snapshot; exits 1 if anything contradicts itself."""
    with opened(target) as billing, progress("checking") as show:
        report = billing.check(since=since, on_progress=lambda name, done, of: show(f"{name}, {done + 1} of {of}"))
    for finding in report.findings:
        click.echo(_line(finding, as_json))
    if as_json:
        record = {name: getattr(report, name) for name in ("ok", "is_complete", "counted", "place")}
        click.echo(json.dumps(record))
    else:
        counted = ", ".join(f"{count} {name}s" for name, count in report.counted.items())
        click.echo(f"{'clean' if report.ok else f'{len(report.findings)} findings'}: {counted}")
        click.echo("stopped before the end" if not report.is_complete else f"next --since {report.place}")
    sys.exit(0 if report.ok else 1)


def _line(finding: Finding, as_json: bool) -> str:
    if as_json:
        record = {name: getattr(finding, name) for name in ("invariant", "keys", "expected", "found")}
        return json.dumps(record)
    return f"{finding.invariant} {' '.join(finding.keys)}: expected {finding.expected}, found {finding.found}"
