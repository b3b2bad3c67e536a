"""The example app as its own program, and a Chromium that tells of everything it is asked for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.engines import required_engines
from tests.engines.chromium import find_browser, wait_after_acts

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
TIMEOUT_MS = 15_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        if "chromium" in required_engines():
            raise
        pytest.skip("engine not available: chromium (no playwright to drive it)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def fresh_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the demo's data as it is after its first start, from which each test has a copy."""
    data = tmp_path_factory.mktemp("example") / "data"
    with _running(data):
        return data


@pytest.fixture
def site(fresh_data: Path, tmp_path: Path) -> Iterator[str]:
    """Start the example as its README says, on a free port, and give its address."""
    data = tmp_path / "data"
    shutil.copytree(fresh_data, data)
    with _running(data) as address:
        yield address


@contextmanager
def _running(data: Path) -> Iterator[str]:
    command = [sys.executable, "examples/flask_app/app.py", "--port", "0", "--data", str(data)]
    program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout is not None
    try:
        address = re.search(r"http://127\.0\.0\.1:\d+", program.stdout.readline())
        assert address is not None, program.communicate(timeout=10)
        yield address.group()
    finally:
        program.terminate()
        _, said = program.communicate(timeout=20)
    assert said == ""


@pytest.fixture
def visit(browser: Any, site: str) -> Iterator[Callable[..., Any]]:
    """Open a page of the site; afterwards nothing foreign was asked for and nothing was complained about."""
    contexts, foreign, complaints = [], [], []

    def open_page(path: str = "/", *, expect: tuple[int, ...] = (), **options: Any) -> Any:
        context = browser.new_context(base_url=site, **options)
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        page = context.new_page()
        wait_after_acts(page)
        page.on("request", lambda request: _note(foreign, request.url, not request.url.startswith(f"{site}/")))
        page.on("console", lambda message: _note(complaints, message.text, _is_complaint(message, expect)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert foreign == []
    assert complaints == []


def _note(found: list[str], what: str, matters: bool) -> None:
    if matters:
        found.append(what)


def _is_complaint(message: Any, expect: tuple[int, ...]) -> bool:
    expected = any(f"the server responded with a status of {status} " in message.text for status in expect)
    return message.type in ("error", "warning") and not expected


def money(text: str) -> Decimal:
    """Read an amount as a person does."""
    found = re.fullmatch(r"([−+]?)€([0-9,]+\.[0-9]+)", text.strip())
    assert found is not None, text
    return Decimal(found[2].replace(",", "")) * (-1 if found[1] == "−" else 1)


@pytest.fixture(name="money")
def money_reader() -> Callable[[str], Decimal]:
    return money
