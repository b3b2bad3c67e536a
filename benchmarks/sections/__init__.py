"""The sections by name, each of which can be run alone, and the figures that each owes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

from ..engines import ENGINES, Engine
from ..figures import TARGETS, Figure
from ..stage import Stage
from . import charges, connections, dashboards, exports, history, hordak, imports, invoices, meters, taxes, topups


@frozen
class Section:
    """A part of the program that runs by itself.

    Attributes:
        run: Measures, and gives what was found.
        owes: Names of the figures that it has to find.
    """

    run: Callable[[Stage], list[Figure]]
    owes: tuple[str, ...]


@frozen
class _OnEngine:
    """A part that runs on several engines, each a section."""

    run: Callable[[Stage, Engine], list[Figure]]
    engines: Iterable[Engine]
    owes: tuple[str, ...]

    def sections(self, name: str) -> dict[str, Section]:
        return {f"{engine}-{name}": self._on(engine) for engine in self.engines}

    def _on(self, engine: Engine) -> Section:
        owes = (f"{engine}-{name}" for name in self.owes)
        return Section(lambda stage: self.run(stage, engine), tuple(name for name in owes if name in TARGETS))


_SINGLES = ("single", "single-procedure")
_BATCHES = tuple(f"batch-{shape}{way}" for shape in ("wide", "deep") for way in ("", "-copy", "-text"))
_GROWTH = ("growth-charge", "growth-balance", "growth-page", "check", "check-memory")
_CROWD = ("pg-connections", "pg-connections-limit", "pg-connections-of-limit")

SECTIONS: Mapping[str, Section] = {
    "import": Section(imports.imports, ("import",)),
    "tax": Section(taxes.taxes, ("tax-decision",)),
    "invoices": Section(invoices.invoices, ("invoices",)),
    **_OnEngine(charges.single, ENGINES, _SINGLES).sections("single"),
    **_OnEngine(charges.batch, ENGINES, _BATCHES).sections("batch"),
    **_OnEngine(meters.meters, ENGINES, ("meters",)).sections("meters"),
    **_OnEngine(topups.topups, ("pg", "sqlite"), ("quote", "settle")).sections("topups"),
    "pg-connections": Section(connections.connections, _CROWD),
    "hordak": Section(hordak.hordak, ("hordak-single", "hordak-batch")),
    **_OnEngine(dashboards.dashboard, ("pg", "sqlite"), ("dashboard",)).sections("dashboard"),
    **_OnEngine(exports.exports, ("pg", "sqlite"), ("export", "export-memory")).sections("exports"),
    **_OnEngine(history.history, ("pg", "sqlite"), _GROWTH).sections("history"),
}
"""What can be run, in the order in which it is: the longest last."""
