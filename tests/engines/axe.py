"""Asks axe what is wrong with a page, and the browser whether it fits its window.

Sources: WCAG 2.2, levels A and AA.
"""

from __future__ import annotations

from typing import Any

EVERYTHING = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""Rules that depend on the colour scheme."""


def faults_of(page: Any, *, scheme: str, rules: Any = EVERYTHING) -> dict[str, str]:
    """Look at a page in light or dark, and give what is wrong by kind."""
    from axe_playwright_python.sync_playwright import Axe

    page.wait_for_load_state()
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    # What is in order would be described at length, too.
    found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
    faults = {scheme: found.generate_report()} if found.violations_count else {}
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        faults["width"] = "wider than the window"
    return faults
