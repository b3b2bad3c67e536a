"""Which engines the suites can run on here, and what is missing for the others."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable

import pytest

from . import chromium, galera, mariadb, postgres

ENGINES = ("sqlite", "postgresql", "mariadb", "galera", "chromium")
"""Every engine that has a suite; the names that `PREPAID_REQUIRE` may hold."""


SERVERS = tuple(pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("postgresql", "mariadb"))
"""Database servers that the suites run on, as parameters of tests and fixtures."""

CLUSTER = pytest.param("galera", marks=(pytest.mark.galera, pytest.mark.full))
"""One node of a cluster, which other than a server by itself may refuse a commit; slower, so not in every run."""

DATABASES = ("sqlite", *SERVERS, CLUSTER)
"""All that a library of SQL is shown to be right on."""


class UnknownEngine(ValueError):
    """`PREPAID_REQUIRE` names something that has no suite."""


def available_engines() -> frozenset[str]:
    """Give the engines that can be started on this machine."""
    return frozenset(ENGINES) - frozenset(missing_engines())


def missing_engines() -> dict[str, str]:
    """Give what is missing, by engine that cannot be started here."""
    return {name: missing for name, look in _LOOKS.items() if (missing := look()) is not None}


def _missing_for_postgresql() -> str | None:
    if postgres.find_programs() is None:
        return "no initdb and postgres, on PATH or below /usr/lib/postgresql"
    return _missing_driver("psycopg", extra="postgres")


def _missing_for_mariadb() -> str | None:
    if mariadb.find_programs() is None:
        return "no mariadbd and mariadb-install-db, on PATH or in /usr/sbin and /usr/bin"
    return _missing_driver("pymysql", extra="mariadb")


def _missing_for_galera() -> str | None:
    if galera.find_provider() is None:
        return "no libgalera_smm.so below /usr/lib/galera"
    return _missing_for_mariadb() or (None if shutil.which("rsync") else "no rsync on PATH")


def _missing_for_chromium() -> str | None:
    return None if chromium.find_browser() else f"none of {', '.join(chromium.NAMES)} on PATH"


def _missing_driver(module: str, *, extra: str) -> str | None:
    return None if importlib.util.find_spec(module) else f"no {module}; install prepaid[{extra}]"


_LOOKS: dict[str, Callable[[], str | None]] = {
    "postgresql": _missing_for_postgresql,
    "mariadb": _missing_for_mariadb,
    "galera": _missing_for_galera,
    "chromium": _missing_for_chromium,
}


def required_engines() -> frozenset[str]:
    """Read the names in `PREPAID_REQUIRE`, separated by commas.

    Raises:
        UnknownEngine: A name has no suite, so requiring it would require nothing.
    """
    names = frozenset(name.strip() for name in os.environ.get("PREPAID_REQUIRE", "").split(",") if name.strip())
    if unknown := names - frozenset(ENGINES):
        raise UnknownEngine(f"PREPAID_REQUIRE names {', '.join(sorted(unknown))}; it takes {', '.join(ENGINES)}.")
    return names
