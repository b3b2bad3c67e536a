"""Finds the Chromium of the system; browsers that a driver downloads are not used."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Give the path of a Chromium, for playwright's ``executable_path``, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
