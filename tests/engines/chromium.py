"""Finds the Chromium of the system, as browsers that a driver downloads are not used, and waits for its pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Give the path of a Chromium, for playwright's ``executable_path``, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def wait_after_acts(page: Any) -> None:
    """Let what a test does on a page end when the page it leads to is whole; Playwright waits for its first byte."""
    for name in ("click", "dblclick", "press"):
        setattr(page, name, _waiting(page, getattr(page, name)))


def _waiting(page: Any, act: Callable[..., None]) -> Callable[..., None]:
    def act_and_wait(*arguments: Any, **options: Any) -> None:
        act(*arguments, **options)
        page.wait_for_load_state()

    return act_and_wait
