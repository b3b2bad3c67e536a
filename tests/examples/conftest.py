"""The example app, in this process: seeded once, copied for every test."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jinja2 import FileSystemBytecodeCache

from prepaid import Money
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


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Keep what templates compile to from test to test, though each has an app of its own."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(data: Path, compiled_templates: FileSystemBytecodeCache) -> Iterator[Any]:
    from app import create_app

    app = create_app(data)
    app.jinja_env.bytecode_cache = compiled_templates
    yield app
    app.extensions["panel"].billing.close()


@pytest.fixture
def panel(app: Any) -> Any:
    return app.extensions["panel"]


@pytest.fixture
def visitor(app: Any) -> Visitor:
    return Visitor(app)


@pytest.fixture
def bought(visitor: Visitor, panel: Any) -> Any:
    """A top-up of 50.00, paid 59.50 with tax."""
    visitor.pay("50.00")
    return panel.ada().topups.list().items[0]


@pytest.fixture
def transferred(panel: Any) -> Any:
    """A top-up of 50.00 by bank transfer, which no gateway gives back."""
    door = panel.ada()
    quote = door.topups.quote(Money.of("50.00", "EUR"), gateway="bank-transfer")
    topup = door.topups.start(quote, return_url="http://localhost/", cancel_url="http://localhost/", key="bank")
    return panel.alice().topups.confirm_bank_transfer(topup.id, received=topup.total, reference="line 1")
