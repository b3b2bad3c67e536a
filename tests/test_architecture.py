"""Rules of the house that no single module can keep by itself: sizes, layers, floats, time, names."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "prepaid"
FILES = sorted(SOURCE.rglob("*.py"))

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
MEDIAN_FUNCTION_LINES = 8
NINE_OF_TEN_FUNCTION_LINES = 30
ENOUGH_FUNCTIONS = 50

FLOATS_ALLOWED: dict[str, str] = {}
"""Files that may call ``float``, each with its reason."""

NAIVE_ALLOWED: dict[str, str] = {}
"""Files that may make a naive datetime, each with its reason."""

ADAPTERS = re.compile(r"stripe|razorpay|paypal", re.IGNORECASE)
ADAPTERS_AT_HOME = ("gateways/", "identity_providers/", "testing/")

NAIVE_MAKERS = {"utcnow", "utcfromtimestamp", "today"}
ZONE_ARGUMENT = {"now": 0, "fromtimestamp": 1}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def functions(path: Path) -> Iterator[Function]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))


def length(function: Function) -> int:
    """Count the lines of a function without those of its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - (docstring.end_lineno - docstring.lineno + 1)


def is_naive(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in NAIVE_MAKERS:
        return True
    position = ZONE_ARGUMENT.get(call.func.attr)
    if position is None or not ast.unparse(call.func.value).endswith("datetime"):
        return False
    return len(call.args) <= position and not any(keyword.arg == "tz" for keyword in call.keywords)


def lines_where(wanted, path: Path) -> list[str]:
    return [f"{name_of(path)}:{call.lineno}" for call in calls(path) if wanted(call)]


def test_there_is_a_source_to_look_at():
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_and_no_function_is_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES
    assert [(f.name, length(f)) for f in functions(path) if length(f) > MAX_FUNCTION_LINES] == []


def test_most_functions_are_short():
    lengths = [length(function) for path in FILES for function in functions(path)]
    assert len(lengths) > ENOUGH_FUNCTIONS

    assert statistics.median(lengths) <= MEDIAN_FUNCTION_LINES
    assert statistics.quantiles(lengths, n=10)[-1] <= NINE_OF_TEN_FUNCTION_LINES


def test_nothing_is_turned_into_a_float():
    def makes_float(call: ast.Call) -> bool:
        return isinstance(call.func, ast.Name) and call.func.id == "float"

    found = [line for path in FILES if name_of(path) not in FLOATS_ALLOWED for line in lines_where(makes_float, path)]
    assert found == []


def test_no_datetime_is_naive():
    found = [line for path in FILES if name_of(path) not in NAIVE_ALLOWED for line in lines_where(is_naive, path)]
    assert found == []


@pytest.mark.parametrize(
    ("code", "naive"),
    [
        ("datetime.now()", True),
        ("datetime.datetime.now()", True),
        ("datetime.utcnow()", True),
        ("date.today()", True),
        ("datetime.fromtimestamp(5)", True),
        ("datetime.now(UTC)", False),
        ("datetime.fromtimestamp(5, UTC)", False),
        ("datetime.fromtimestamp(5, tz=UTC)", False),
        ("clock.now()", False),
    ],
)
def test_the_search_for_naive_datetimes_finds_them(code, naive):
    call = ast.parse(code, mode="eval").body
    assert is_naive(call) is naive


def test_exceptions_to_the_rules_name_files_that_exist():
    assert {*FLOATS_ALLOWED, *NAIVE_ALLOWED} <= {name_of(path) for path in FILES}


def test_nothing_outside_the_adapters_knows_one_provider():
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in FILES
        if not name_of(path).startswith(ADAPTERS_AT_HOME) and name_of(path) != "__init__.py"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if ADAPTERS.search(line)
    ]
    assert found == []


def test_imports_keep_to_the_layers():
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
