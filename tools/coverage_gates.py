"""Hold measured coverage to its gates: money modules whole, everything together nearly so.

Usage: python tools/coverage_gates.py COVERAGE_JSON

A short run of the tests (``PREPAID_TESTS=short``) cannot reach them: then it is said how far it came.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

OVERALL_PERCENT = 95
WHOLE = (
    "core/",
    "refund_desk/",
    "refunds.py",
    "repayment.py",
    "returning/",
    "settlement/",
    "store/ledger.py",
    "wallets/moving.py",
    "wallets/reversing.py",
)
"""Modules that move or compute money, below the package: every line and every branch."""


class Count(NamedTuple):
    """How many lines or branches there are, and how many ran."""

    ran: int
    all: int

    def reaches(self, percent: int) -> bool:
        """Tell whether at least ``percent`` of them ran, in whole numbers."""
        return self.ran * 100 >= percent * self.all

    def __str__(self) -> str:
        return f"{self.ran} of {self.all} ({100 * self.ran / max(self.all, 1):.2f} %)"


def failures(report: Mapping[str, Any]) -> list[str]:
    """List every gate that the report does not reach."""
    files = {_below_package(path): entry["summary"] for path, entry in report["files"].items()}
    found = [f"{part}: not measured" for part in WHOLE if not any(name.startswith(part) for name in files)]
    found += _short("everything", files.values(), OVERALL_PERCENT)
    for name, summary in sorted(files.items()):
        if name.startswith(WHOLE):
            found += _short(name, [summary], 100)
    return found


def _below_package(path: str) -> str:
    return path.replace("\\", "/").rpartition("prepaid/")[2]


def _short(name: str, summaries: Iterable[Mapping[str, int]], percent: int) -> list[str]:
    summaries = list(summaries)
    counts = {
        "lines": Count(_total(summaries, "covered_lines"), _total(summaries, "num_statements")),
        "branches": Count(_total(summaries, "covered_branches"), _total(summaries, "num_branches")),
    }
    return [
        f"{name}: {count} {kind} ran, of which {percent} % have to"
        for kind, count in counts.items()
        if not count.reaches(percent)
    ]


def _total(summaries: Iterable[Mapping[str, int]], figure: str) -> int:
    return sum(summary[figure] for summary in summaries)


def main(arguments: list[str]) -> int:
    """Print what falls short; the result is the exit status."""
    report = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    found = failures(report)
    if os.environ.get("PREPAID_TESTS") == "short":
        print(f"coverage: {len(found)} gates are not reached by a short run; PREPAID_TESTS=all holds them")
        return 0
    print("\n".join(found) if found else "coverage: every gate is reached")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
