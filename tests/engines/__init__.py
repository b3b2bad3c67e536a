"""Which engines the suites can run on here, and what is missing for the others."""

from __future__ import annotations

import importlib.util
import os

from . import chromium, postgres

ENGINES = ("sqlite", "postgresql", "chromium")
"""Every engine that has a suite; the names that `PREPAID_REQUIRE` may hold."""


class UnknownEngine(ValueError):
    """`PREPAID_REQUIRE` names something that has no suite."""


def available_engines() -> frozenset[str]:
    """Give the engines that can be started on this machine."""
    return frozenset(ENGINES) - frozenset(missing_engines())


def missing_engines() -> dict[str, str]:
    """Give what is missing, by engine that cannot be started here."""
    missing = {}
    if postgres.find_programs() is None:
        missing["postgresql"] = "no initdb and postgres, on PATH or below /usr/lib/postgresql"
    elif importlib.util.find_spec("psycopg") is None:
        missing["postgresql"] = "no psycopg; install prepaid[postgres]"
    if chromium.find_browser() is None:
        missing["chromium"] = f"none of {', '.join(chromium.NAMES)} on PATH"
    return missing


def required_engines() -> frozenset[str]:
    """Read the names in `PREPAID_REQUIRE`, separated by commas.

    Raises:
        UnknownEngine: A name has no suite, so requiring it would require nothing.
    """
    names = frozenset(name.strip() for name in os.environ.get("PREPAID_REQUIRE", "").split(",") if name.strip())
    if unknown := names - frozenset(ENGINES):
        raise UnknownEngine(f"PREPAID_REQUIRE names {', '.join(sorted(unknown))}; it takes {', '.join(ENGINES)}.")
    return names
