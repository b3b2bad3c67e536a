"""What every command begins with: its options, the host's `Prepaid`, errors in one line, progress on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import wraps
from typing import Any, TypeVar

import click

from ..app import Prepaid
from ..core.errors import PrepaidError
from . import application

F = TypeVar("F", bound=Callable[..., Any])

app_option = click.option("--app", "target", envvar="PREPAID_APP", help="The host's Prepaid as module:name.")
database_option = click.option("--database", envvar="PREPAID_DATABASE", help="SQLAlchemy URL of the database.")
json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON lines instead of text.")


def plain_errors(command: F) -> F:
    """Say what was refused in one line, and exit with 2."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except PrepaidError as error:
            click.echo(f"prepaid: {error}", err=True)
            sys.exit(2)

    return run  # type: ignore[return-value]


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal what is being worked on; on stderr, so that output can be piped."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status(title) as status:
        yield lambda step: status.update(f"{title}: {step}")


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many are done, and of how many; on stderr, so that output can be piped."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@contextmanager
def opened(target: str | None) -> Iterator[Prepaid]:
    """Give the host's `Prepaid`, and close it afterwards.

    Raises:
        click.UsageError: None is named, or it cannot be loaded.
    """
    if target is None:
        raise click.UsageError("Give --app module:name or set PREPAID_APP.")
    with closing(application.load(target)) as billing:
        yield billing
