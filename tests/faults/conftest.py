"""A migrated world on each engine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from prepaid import Prepaid, permissions
from prepaid.store import upgrade_schema
from tests import engines
from tests.conftest import server_of
from tests.use_cases.panel import Panel

from .world import SELLER, Host, World, eur, open_quickly

_books = itertools.count(1)


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """Give a world with an empty book, on each engine."""
    made = World(open_quickly(database_url), tmp_path)
    Host(made).billing.upgrade_database()
    yield made
    made.close()


@pytest.fixture(scope="session")
def upgraded(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Give a function from a server's engine to its one upgraded database; each test has a book of its own in it."""
    urls: dict[str, str] = {}

    def of(engine: str) -> str:
        if engine not in urls:
            urls[engine] = server_of(request, engine).new_database()
            upgrade_schema(urls[engine])
        return urls[engine]

    return of


@pytest.fixture(params=engines.DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path, upgraded: Callable[[str], str]) -> str:
    """Give an upgraded database, on each engine."""
    if request.param != "sqlite":
        return upgraded(request.param)
    made = f"sqlite:///{tmp_path / 'billing.db'}"
    upgrade_schema(made)
    return made


@pytest.fixture
def book() -> str:
    """Name a book that no other test uses."""
    return f"book-{next(_books)}"


@pytest.fixture
def panel(url: str) -> Iterator[Panel]:
    """Give a host with a table of its own beside the books."""
    with closing(Panel(url)) as panel:
        yield panel


@pytest.fixture
def billing(url: str, book: str) -> Iterator[Prepaid]:
    """Give a billing system with two customers, who have ten euros each."""
    billing = Prepaid(database=url, book=book, mode="test", seller=SELLER, load_plugins=False)
    operator = billing.operator("alice", permissions=permissions.ALL)
    for customer in ("ada", "eve"):
        billing.customers.register(customer)
        operator.customers.grant(customer, eur("10"), kind="goodwill", reason="welcome", key="welcome")
    yield billing
    billing.close()
