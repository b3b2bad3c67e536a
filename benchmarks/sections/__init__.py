"""The sections by name: each can be run alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..engines import ENGINES, Engine
from ..figures import Figure
from ..stage import Stage
from . import charges, connections, history, hordak, imports, meters, topups

Section = Callable[[Stage], list[Figure]]
OnEngine = Callable[[Stage, Engine], list[Figure]]

_EVERYWHERE: dict[str, OnEngine] = {
    "single": charges.single,
    "batch": charges.batch,
    "meters": meters.meters,
}
_WITHOUT_MARIADB: dict[str, OnEngine] = {
    "history": history.history,
    "topups": topups.topups,
}


def _on(engines: Iterable[Engine], sections: dict[str, OnEngine]) -> dict[str, Section]:
    return {f"{engine}-{name}": _bound(run, engine) for name, run in sections.items() for engine in engines}


def _bound(run: OnEngine, engine: Engine) -> Section:
    return lambda stage: run(stage, engine)


SECTIONS: dict[str, Section] = {
    "import": imports.imports,
    **_on(ENGINES, _EVERYWHERE),
    **_on(("pg", "sqlite"), _WITHOUT_MARIADB),
    "pg-connections": connections.connections,
    "hordak": hordak.hordak,
}
"""What can be run, in the order in which it is."""
