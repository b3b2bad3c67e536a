"""Plant a mistake in the library, and require that a machine sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from prepaid import IntegrityFault

from .machine import Life, live

ALARMS = (AssertionError, IntegrityFault, IntegrityError)
"""The model differs, or the library raises its own alarm, or a check of its schema does."""

Defect = Callable[[pytest.MonkeyPatch], None]


def params(defects: Collection[Defect], *, in_every_run: Collection[Defect]) -> list[Any]:
    """Make parameters of defects; those that are not in every run are behind ``-m full``."""
    return [
        pytest.param(defect, id=defect.__name__, marks=[] if defect in in_every_run else pytest.mark.full)
        for defect in defects
    ]


def require_seen(
    defect: Defect, engine: Engine, folder: Path, patch: pytest.MonkeyPatch, *, lives: int, kind: type[Life] = Life
) -> None:
    """Live until the machine sees what was planted."""
    defect(patch)

    with pytest.raises(ALARMS) as seen:
        live(engine, folder, lives=lives, acts=30, shrink=False, kind=kind)

    assert not isinstance(seen.value, IntegrityError) or "CHECK constraint" in str(seen.value.orig)
    print(f"{defect.__name__}: {type(seen.value).__name__}")
