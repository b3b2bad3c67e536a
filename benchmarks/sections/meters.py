"""One hour of many resources: what the hourly run takes."""

from __future__ import annotations

from contextlib import closing

from prepaid.system import SystemClock
from prepaid.testing.clock import MovableClock

from ..books import fill, fill_meters, open_billing
from ..engines import Engine
from ..figures import Figure
from ..rounds import seconds
from ..stage import Stage, timed


def meters(stage: Stage, engine: Engine) -> list[Figure]:
    """Bill one hour after the other of 100,000 resources.

    Raises:
        RuntimeError: An hour was not charged for every resource.
    """
    resources, customers = stage.size(100_000, 1_000), stage.size(20_000, 200)
    stage.note_engine(engine)
    url, clock = stage.engines.new_url(engine), MovableClock(SystemClock().now())
    fill(url, customers=customers, tell=stage.tell)
    stage.tell(f"copying {resources:,} meters")
    fill_meters(url, resources=resources, customers=customers, clock=clock)
    with closing(open_billing(url, clock=clock)) as billing:
        # The last minute before each hour ends is nobody's: what is due is one hour of each.
        clock.advance(minutes=1)

        def hour() -> float:
            clock.advance(hours=1)
            runs = []
            took = seconds(lambda: runs.append(billing.meters.bill(until=clock.now())))
            if runs[0].charges != resources + 1 or runs[0].refused:  # the model runs as well
                raise RuntimeError(f"{runs[0].charges} hours charged, {len(runs[0].refused)} refused")
            return took

        found = stage.in_turn({"hour, s": hour}, rounds=3, budget_s=30, warm_up=0)
    return [timed(f"{engine}-meters", found["hour, s"], note=_note(stage, resources))]


def _note(stage: Stage, resources: int) -> str:
    return f"of {resources:,} resources" if stage.quick else ""
