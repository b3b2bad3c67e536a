"""Finding the host's `Prepaid`: ``package.module:name``, an object or a function that makes it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from ..app import Prepaid


def load(target: str) -> Prepaid:
    """Import ``module:name`` and give the `Prepaid` it names.

    Raises:
        click.UsageError: The name cannot be imported or is something else.
    """
    module_name, _, name = target.partition(":")
    if not module_name or not name:
        raise click.UsageError("--app is written module:name, such as panel.billing:billing.")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise click.UsageError(f"--app {target} cannot be loaded: {error}") from error
    if callable(found) and not isinstance(found, Prepaid):
        found = found()
    if not isinstance(found, Prepaid):
        raise click.UsageError(f"--app {target} is {type(found).__name__}, not a Prepaid.")
    return found
