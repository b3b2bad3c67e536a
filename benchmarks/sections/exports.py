"""How fast transactions are exported as CSV at a million transfers, and that the memory for it does not grow.

Each export runs in a process of its own, whose peak memory is its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from ..books import fill
from ..engines import Engine
from ..figures import Figure
from ..stage import Stage, compared, timed

CUSTOMERS = 1_000


def exports(stage: Stage, engine: Engine) -> list[Figure]:
    """Export a long history and one of a tenth of it, to a file."""
    stage.note_engine(engine)
    sizes = {"some": stage.size(100_000, 5_000), "many": stage.size(1_000_000, 20_000)}
    urls = {side: _filled(stage, engine, transfers) for side, transfers in sizes.items()}
    reports: dict[str, list[dict[str, Any]]] = {side: [] for side in sizes}

    def export(side: str) -> float:
        found = _export(urls[side], expected=sizes[side])
        reports[side].append(found)
        return float(found["rows"] / found["seconds"])

    sides = {side: partial(export, side) for side in sizes}
    rates = stage.in_turn(sides, rounds=stage.size(3, 1), warm_up=0, budget_s=120)
    peaks = {side: [report["peak_mib"] for report in reports[side]] for side in sizes}
    written = reports["many"][0]
    note = f"{written['rows']:,} rows, {written['bytes'] / 2**20:.0f} MiB, in {written['seconds']:.0f} s"
    return [
        timed(f"{engine}-export", rates["many"], unit="/s", note=note),
        compared(f"{engine}-export-memory", peaks["many"], peaks["some"], unit="MiB"),
    ]


def _filled(stage: Stage, engine: Engine, transfers: int) -> str:
    url = stage.engines.new_url(engine)
    fill(url, customers=CUSTOMERS, charges=transfers - CUSTOMERS, tell=stage.tell)
    return url


def _export(url: str, *, expected: int) -> dict[str, Any]:
    """Run `benchmarks.exporting` on a book.

    Raises:
        RuntimeError: It exported other rows than there are.
    """
    command = [sys.executable, "-m", "benchmarks.exporting", url, "transactions", "csv"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    found = dict(json.loads(done.stdout))
    # The copies, and the grant and the charge that they are copies of.
    if found["rows"] != expected + 2:
        raise RuntimeError(f"{found['rows']} rows were exported, of {expected + 2}")
    return found
