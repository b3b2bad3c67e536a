"""What a section needs to run: engines, how much to do, and somebody to tell."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from statistics import median

from .engines import LIMITS, Engine, Engines
from .figures import Figure, Unit
from .limits import Limit
from .rounds import Side, Spread, in_turn, ratio

QUICK_ROUNDS = 3


class Stage:
    """One section's run.

    Attributes:
        engines: Where databases come from.
        quick: Do little; the figures then say little.
        conditions: What the section was run on, in words.
        missing: Figures that it could not measure, each with the reason.
    """

    def __init__(self, engines: Engines, section: str, *, quick: bool) -> None:
        """Begin a section."""
        self.engines, self.quick = engines, quick
        self.conditions, self.missing = list[str](), dict[str, str]()
        self._section = section

    def tell(self, text: str) -> None:
        """Say how far it is."""
        print(f"  {self._section}: {text}", file=sys.stderr, flush=True)

    def leave_out(self, name: str, reason: str) -> None:
        """Note that a figure is not measured, and why."""
        self.tell(f"{name} is left out: {reason}")
        self.missing[name] = reason

    def size(self, full: int, quick: int) -> int:
        """Choose how much to do."""
        return quick if self.quick else full

    def new_limit(self, engine: Engine, url: str, *, wallets: int) -> Limit:
        """Make what the engine can do at all, and note engine and durability as it tells them."""
        limit = LIMITS[engine](url)
        limit.prepare(wallets)
        self.conditions.append(limit.engine())
        return limit

    def note_engine(self, engine: Engine) -> None:
        """Note engine and durability where nothing is compared with the limit."""
        self.new_limit(engine, self.engines.new_url(engine), wallets=1).close()

    def in_turn(
        self, sides: Mapping[str, Side], *, rounds: int, warm_up: int = 1, budget_s: float = 300
    ) -> dict[str, list[float]]:
        """Run all sides in turn; a short run has fewer rounds."""
        rounds = min(rounds, self.size(rounds, QUICK_ROUNDS))
        return in_turn(sides, rounds=rounds, warm_up=warm_up, budget_s=budget_s, tell=self.tell)


def compared(name: str, ours: Sequence[float], other: Sequence[float], *, unit: Unit = "/s", note: str = "") -> Figure:
    """Make a figure of what we did against what somebody else did in the same rounds."""
    return Figure(
        name=name,
        ours=median(ours),
        other=median(other),
        unit=unit,
        judged=ratio(ours, other),
        rounds=len(ours),
        note=note,
    )


def timed(name: str, found: Sequence[float], *, unit: Unit = "s", note: str = "") -> Figure:
    """Make a figure of times that are judged by themselves."""
    judged = Spread.of(found)
    return Figure(name=name, ours=judged.median, unit=unit, judged=judged, rounds=len(found), note=note)
