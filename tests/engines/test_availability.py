"""A missing engine is never passed over in silence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import engines

ROOT = Path(__file__).parents[2]
ENGINE_SUITE = "tests/engines/test_database_url.py"
LOOKS = (
    "tests.engines.postgres.find_programs",
    "tests.engines.mariadb.find_programs",
    "tests.engines.galera.find_provider",
    "tests.engines.chromium.find_browser",
    "shutil.which",
    "importlib.util.find_spec",
)


def run_suite(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # A PATH without the programs, and the system's folders out of sight, make a machine that has none.
    code = (
        "import sys, pathlib, pytest\n"
        "from tests.engines import galera, mariadb, postgres\n"
        f"postgres._DEBIAN = pathlib.Path({str(tmp_path)!r})\n"
        "mariadb._FOLDERS = galera._PROVIDERS = ()\n"
        f"sys.exit(pytest.main(['-p', 'no:cacheprovider', {ENGINE_SUITE!r}]))\n"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("PREPAID_", "PYTEST_"))}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env=bare | {"PATH": str(tmp_path)} | environment, capture_output=True, text=True, check=False
    )


def test_without_the_engine_its_tests_are_skipped_and_the_end_names_it(tmp_path):
    done = run_suite(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 2 skipped" in done.stdout
    for name in ("postgresql", "mariadb"):
        assert re.search(rf"engine not available: {name} \(no .*\); 1 tests skipped", done.stdout), name
    for name in ("galera", "chromium"):
        assert re.search(rf"engine not available: {name} \(.*\); 0 tests skipped", done.stdout), name


@pytest.mark.parametrize("name", ["postgresql", "mariadb", "galera", "chromium"])
def test_a_required_engine_that_is_missing_fails_the_run(tmp_path, name):
    done = run_suite(tmp_path, PREPAID_REQUIRE=f"sqlite, {name}")

    assert done.returncode != 0
    assert f"engines that are not here: {name} (" in done.stderr


@pytest.mark.parametrize(
    ("absent", "missing", "words"),
    [
        ("tests.engines.postgres.find_programs", {"postgresql"}, "initdb"),
        ("tests.engines.mariadb.find_programs", {"mariadb", "galera"}, "mariadbd"),
        ("tests.engines.galera.find_provider", {"galera"}, "libgalera_smm.so"),
        ("tests.engines.chromium.find_browser", {"chromium"}, "on PATH"),
        ("shutil.which", {"galera"}, "rsync"),
        ("importlib.util.find_spec", {"postgresql", "mariadb", "galera"}, "install prepaid"),
    ],
)
def test_what_is_missing_is_said_for_each_engine_that_needs_it(monkeypatch, absent, missing, words):
    for name in LOOKS:
        monkeypatch.setattr(name, lambda *_, there=name != absent: "there" if there else None)

    found = engines.missing_engines()

    assert set(found) == missing
    assert all(words in reason for reason in found.values())
    assert engines.available_engines() == set(engines.ENGINES) - missing


def test_requiring_an_engine_without_a_suite_is_an_error(monkeypatch):
    monkeypatch.setenv("PREPAID_REQUIRE", "sqlite, oracle")

    with pytest.raises(engines.UnknownEngine, match="oracle"):
        engines.required_engines()


def test_nothing_is_required_unless_it_is_named(monkeypatch):
    monkeypatch.setenv("PREPAID_REQUIRE", "")

    assert engines.required_engines() == frozenset()
    assert "sqlite" in engines.available_engines()
