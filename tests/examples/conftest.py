"""The example app, in this process: seeded once, copied for every test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples.visiting import Visitor

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flask_app"


@pytest.fixture(scope="session")
def seeded_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sys.path.insert(0, str(EXAMPLE))
    from seed import seeded

    data: Path = tmp_path_factory.mktemp("example")
    seeded(data)
    return data


@pytest.fixture
def data(seeded_data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seeded_data, tmp_path / "data"))


@pytest.fixture
def app(data: Path) -> Iterator[Any]:
    from app import create_app

    app = create_app(data)
    yield app
    app.extensions["panel"].billing.close()


@pytest.fixture
def panel(app: Any) -> Any:
    return app.extensions["panel"]


@pytest.fixture
def visitor(app: Any) -> Visitor:
    return Visitor(app)
