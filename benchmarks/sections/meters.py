"""One hour of many resources: what the hourly run takes."""

from __future__ import annotations

from contextlib import closing

from prepaid.system import SystemClock
from prepaid.testing.clock import MovableClock

from ..books import fill, fill_meters, open_billing
from ..engines import Engine, NotAvailable
from ..figures import TARGETS, Figure
from ..rounds import seconds
from ..stage import Stage, timed

RESOURCES = 100_000

TRIAL = 1_000
"""Resources of a trial, which tells whether the whole can be waited for."""

PATIENCE = 5
"""How many times the seconds that are allowed may be waited for."""


def meters(stage: Stage, engine: Engine) -> list[Figure]:
    """Bill one hour after the other of 100,000 resources.

    Raises:
        NotAvailable: It would take much longer than it may.
        RuntimeError: An hour was not charged for every resource.
    """
    name = f"{engine}-meters"
    stage.note_engine(engine)
    trial = _hours(stage, engine, TRIAL)
    if stage.quick:
        return [timed(name, trial, note=f"of {TRIAL:,} resources")]
    needed, may_take = min(trial) * RESOURCES / TRIAL, PATIENCE * (TARGETS[name].at_least or 1)
    if needed > may_take:
        raise NotAvailable(f"an hour of {TRIAL:,} resources took {min(trial):.1f} s; {RESOURCES:,} were not tried")
    return [timed(name, _hours(stage, engine, RESOURCES))]


def _hours(stage: Stage, engine: Engine, resources: int) -> list[float]:
    """Let resources run, a fifth as many customers pay, and give the seconds that each hour took."""
    url, clock, customers = stage.engines.new_url(engine), MovableClock(SystemClock().now()), resources // 5
    fill(url, customers=customers, tell=stage.tell)
    stage.tell(f"copying {resources:,} meters")
    fill_meters(url, resources=resources, customers=customers, clock=clock)
    with closing(open_billing(url, clock=clock)) as billing:
        clock.advance(minutes=1)  # what is due is one hour of each, ended a minute ago

        def hour() -> float:
            clock.advance(hours=1)
            runs = []
            took = seconds(lambda: runs.append(billing.meters.bill(until=clock.now())))
            if runs[0].charges != resources + 1 or runs[0].refused:  # the model runs as well
                raise RuntimeError(f"{runs[0].charges} hours charged, {len(runs[0].refused)} refused")
            return took

        return stage.in_turn({"hour, s": hour}, rounds=3, budget_s=30, warm_up=0)["hour, s"]
