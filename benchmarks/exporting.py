"""One export in a process of its own, so that the peak of its memory is the export's.

Usage: python -m benchmarks.exporting DATABASE_URL NAME FORMAT
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from prepaid.reporting.exports import Exported
from prepaid.system import SystemClock

from .books import HISTORY_DAYS, open_billing, operator
from .machine import peak_mib
from .rounds import seconds


def main(url: str, name: str, format: str) -> None:
    """Export everything to a file and print seconds, peak memory, rows and bytes as JSON."""
    today = SystemClock().now().date()
    span = {"since": today - timedelta(days=HISTORY_DAYS + 2), "until": today + timedelta(days=2)}
    done: list[Exported] = []
    with closing(open_billing(url)) as billing, TemporaryDirectory() as folder:
        path, reports = Path(folder) / "export", operator(billing).reports
        took = seconds(lambda: done.append(reports.export(name, to=path, format=format, **span)))
        size = path.stat().st_size
    print(json.dumps({"seconds": took, "peak_mib": peak_mib(), "rows": done[0].rows, "bytes": size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
