"""What a long history costs: charges, a balance, a page and a full check at a million transfers.

Two books on one server differ only in how much was charged; their customers are
the same. Balances and pages are those of a customer with a hundredth of all charges.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from prepaid import Prepaid

from ..books import customer_name, fill, open_billing
from ..engines import Engine
from ..figures import Figure
from ..rounds import Side, seconds
from ..stage import Stage, compared, timed
from .charges import Draw, charge_each

CUSTOMERS = 1_000
READS = 50


def history(stage: Stage, engine: Engine) -> list[Figure]:
    """Measure everything that may grow with the history."""
    stage.note_engine(engine)
    few, some, many = (
        _filled(stage, engine, transfers)
        for transfers in (stage.size(10_000, 3_000), stage.size(100_000, 10_000), stage.size(1_000_000, 30_000))
    )
    with closing(open_billing(few)) as short, closing(open_billing(many)) as long:
        long.run_due()  # check proves the sums by day too
        figures = _growth(stage, engine, short, long)
    return figures + _checks(stage, engine, some, many)


def _filled(stage: Stage, engine: Engine, transfers: int) -> str:
    url = stage.engines.new_url(engine)
    fill(url, customers=CUSTOMERS, charges=transfers - CUSTOMERS, tell=stage.tell)
    return url


def _growth(stage: Stage, engine: Engine, short: Prepaid, long: Prepaid) -> list[Figure]:
    draw, calls = Draw(), stage.size(400, 100)
    charges = stage.in_turn(
        {
            "charge at few": lambda: charge_each(short, draw.any_of(CUSTOMERS, calls)),
            "charge at many": lambda: charge_each(long, draw.any_of(CUSTOMERS, calls)),
        },
        rounds=9,
    )
    reads = stage.in_turn(_reads(short, "few") | _reads(long, "many"), rounds=9)
    return [
        compared(f"{engine}-growth-charge", charges["charge at many"], charges["charge at few"]),
        compared(f"{engine}-growth-balance", reads["balance at many"], reads["balance at few"], unit="ms"),
        compared(f"{engine}-growth-page", reads["page at many"], reads["page at few"], unit="ms"),
    ]


def _reads(billing: Prepaid, size: str) -> dict[str, Side]:
    door = billing.customer(customer_name(1))
    return {f"balance at {size}": _each_ms(door.balance), f"page at {size}": _each_ms(door.transactions)}


def _each_ms(read: Callable[[], object]) -> Side:
    def work() -> None:
        for _ in range(READS):
            read()

    return lambda: 1000 * seconds(work) / READS


def _checks(stage: Stage, engine: Engine, some: str, many: str) -> list[Figure]:
    """Check both books, each time in a process of its own whose peak memory is its own."""
    stage.tell("checking")
    sides = {"some": some, "many": many}
    reports: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}

    def check(side: str) -> float:
        reports[side].append(_check(sides[side]))
        return float(reports[side][-1]["seconds"])

    found = stage.in_turn(
        {side: partial(check, side) for side in sides}, rounds=stage.size(3, 1), warm_up=0, budget_s=30
    )
    peaks = {side: [report["peak_mib"] for report in reports[side]] for side in sides}
    return [
        timed(f"{engine}-check", found["many"], note=f"{reports['many'][0]['counted']:,} rows were looked at"),
        compared(f"{engine}-check-memory", peaks["many"], peaks["some"], unit="MiB"),
    ]


def _check(url: str) -> dict[str, Any]:
    """Run `benchmarks.checking` on a book.

    Raises:
        RuntimeError: The book is not sound: it was filled wrongly, and nothing measured on it counts.
    """
    command = [sys.executable, "-m", "benchmarks.checking", url]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    found = dict(json.loads(done.stdout))
    if found["findings"]:
        raise RuntimeError(f"check finds {found['findings'][:3]}")
    return found
