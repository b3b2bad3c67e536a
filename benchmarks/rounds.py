"""Rounds in which both sides run in turn, and what is said of them: medians, with their spread.

Two figures of different minutes say little about each other: the machine has
other things to do. Two of the same second do.

>>> Spread.of([3.0, 1.0, 2.0])
Spread(median=2.0, low=1.0, high=3.0)
>>> ratio([50.0, 60.0, 90.0], [100.0, 100.0, 100.0])
Spread(median=0.6, low=0.5, high=0.9)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

from attrs import frozen

Side = Callable[[], float]
"""Runs one block and gives its figure: calls a second, or seconds."""


@frozen
class Spread:
    """The median of several rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise at least one value."""
        return cls(median(values), min(values), max(values))


def ratio(ours: Sequence[float], other: Sequence[float]) -> Spread:
    """Compare round by round, so that what slowed a whole round down falls out."""
    return Spread.of([one / two for one, two in zip(ours, other, strict=True)])


def in_turn(
    sides: Mapping[str, Side],
    *,
    rounds: int,
    warm_up: int = 1,
    budget_s: float = float("inf"),
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, list[float]]:
    """Run all sides in every round, each round in the other order, and give their figures by name.

    Args:
        sides: What to run, by name.
        rounds: How many rounds count.
        warm_up: Rounds before them that do not.
        budget_s: No further round begins after these seconds, once one counts.
        tell: Hears how each round went.
    """
    for _ in range(warm_up):
        for side in sides.values():
            side()
    found: dict[str, list[float]] = {name: [] for name in sides}
    began = time.monotonic()
    for number in range(rounds):
        if number and time.monotonic() - began > budget_s:
            break
        for name in list(sides) if number % 2 == 0 else reversed(list(sides)):
            found[name].append(sides[name]())
        tell(f"round {number + 1} of {rounds}: " + ", ".join(f"{name} {found[name][-1]:,.4g}" for name in sides))
    return found


def rate(count: int, work: Callable[[], object]) -> float:
    """Run ``work``, which does ``count`` things, and give things per second."""
    return count / seconds(work)


def seconds(work: Callable[[], object]) -> float:
    """Run ``work`` and give the seconds it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
