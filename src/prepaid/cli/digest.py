"""``prepaid digest``: the daily digest of one day, to be looked at or sent."""

from __future__ import annotations

import json
import sys
from datetime import date

import click

from ..permissions import DIGEST_READ, DIGEST_WRITE
from .options import app_option, json_option, opened, plain_errors


@click.command()
@app_option
@click.option("--day", "written_day", required=True, metavar="DATE", help="A day that has ended, such as 2026-11-22.")
@click.option("--preview", "act", flag_value="preview", help="Show the mail; nothing is sent or written.")
@click.option("--send", "act", flag_value="send", help="Send it now if it was not sent.")
@json_option
@plain_errors
def digest(target: str | None, *, written_day: str, act: str | None, as_json: bool) -> None:
    """Show the digest of a day, or send it; exits 1 if it could not be delivered yet."""
    if act is None:
        raise click.UsageError("Give --preview or --send.")
    day = _day(written_day)
    if act == "preview":
        _preview(target, day, as_json=as_json)
    else:
        _send(target, day, as_json=as_json)


def _day(written: str) -> date:
    try:
        return date.fromisoformat(written)
    except ValueError:
        raise click.UsageError(f"--day {written} is no day such as 2026-11-22.") from None


def _preview(target: str | None, day: date, *, as_json: bool) -> None:
    with opened(target) as billing:
        letter = billing.operator("cli", permissions=[DIGEST_READ]).digest.preview(day)
    if as_json:
        click.echo(json.dumps({"subject": letter.subject, "text": letter.text, "html": letter.html}))
    else:
        click.echo(f"{letter.subject}\n\n{letter.text}", nl=False)


def _send(target: str | None, day: date, *, as_json: bool) -> None:
    with opened(target) as billing:
        state = billing.operator("cli", permissions=[DIGEST_WRITE]).digest.send(day)
    said = {"sent": "sent", "waiting": "not delivered yet, the job outbox tries again"}[state]
    click.echo(json.dumps({"day": day.isoformat(), "state": state}) if as_json else f"{day}: {said}")
    sys.exit(0 if state == "sent" else 1)
