"""One full check in a process of its own, so that the peak of its memory is the check's.

Usage: python -m benchmarks.checking DATABASE_URL
"""

from __future__ import annotations

import json
import sys
from contextlib import closing

from .books import open_billing
from .machine import peak_mib
from .rounds import seconds


def main(url: str) -> None:
    """Check a book and print seconds, peak memory, rows and findings as JSON."""
    reports = []
    with closing(open_billing(url)) as billing:
        took = seconds(lambda: reports.append(billing.check()))
    [report] = reports
    found = {
        "seconds": took,
        "peak_mib": peak_mib(),
        "counted": sum(report.counted.values()),
        "findings": [str(finding) for finding in report.findings],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
