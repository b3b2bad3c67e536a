"""A migrated world on each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .world import Host, World, open_quickly


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """Give a world with an empty book, on each engine."""
    made = World(open_quickly(database_url), tmp_path)
    Host(made).billing.upgrade_database()
    yield made
    made.close()
