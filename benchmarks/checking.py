"""One full check in a process of its own, so that the peak of its memory is the check's.

Usage: python -m benchmarks.checking DATABASE_URL
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

from .books import open_billing
from .rounds import seconds


def main(url: str) -> None:
    """Check a book and print seconds, peak memory, rows and findings as JSON."""
    reports = []
    with closing(open_billing(url)) as billing:
        took = seconds(lambda: reports.append(billing.check()))
    [report] = reports
    found = {
        "seconds": took,
        "peak_mib": _peak_mib(),
        "counted": sum(report.counted.values()),
        "findings": [str(finding) for finding in report.findings],
    }
    print(json.dumps(found))


def _peak_mib() -> float:
    """Read the most memory this program had; getrusage would count what started it as well."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [peak] = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
