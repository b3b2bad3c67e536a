"""A missing engine is never passed over in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import engines

ROOT = Path(__file__).parents[2]
ENGINE_SUITE = "tests/engines/test_database_url.py"


def run_suite(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # A PATH without the programs, and Debian's folder out of sight, make a machine that has none.
    code = (
        "import sys, pathlib, pytest, tests.engines.postgres as postgres\n"
        f"postgres._DEBIAN = pathlib.Path({str(tmp_path)!r})\n"
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
    assert "1 passed, 1 skipped" in done.stdout
    assert "engine not available: postgresql" in done.stdout
    assert "; 1 tests skipped" in done.stdout
    assert "engine not available: chromium" in done.stdout


def test_a_required_engine_that_is_missing_fails_the_run(tmp_path):
    done = run_suite(tmp_path, PREPAID_REQUIRE="postgresql")

    assert done.returncode != 0
    assert "postgresql" in done.stderr


def test_requiring_an_engine_without_a_suite_is_an_error(monkeypatch):
    monkeypatch.setenv("PREPAID_REQUIRE", "sqlite, oracle")

    with pytest.raises(engines.UnknownEngine, match="oracle"):
        engines.required_engines()


def test_nothing_is_required_unless_it_is_named(monkeypatch):
    monkeypatch.setenv("PREPAID_REQUIRE", "")

    assert engines.required_engines() == frozenset()
    assert "sqlite" in engines.available_engines()
