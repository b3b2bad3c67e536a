"""Statements that were compiled once are kept from test to test, though each test has an engine of its own.

SQLAlchemy keeps what it compiled by engine, and by the object of its dialect. A system in use compiles each
statement once; a suite that opens a new one for every test would spend a third of its time on that.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.util import LRUCache

from prepaid.store import engines

_Kept = tuple[Dialect, LRUCache[Any, Any]]

_kept: dict[str, _Kept] = {}
"""What was compiled, and for whom, by the driver and how it is set up."""


def keep_compiled() -> None:
    """Let the engines that the library makes share what they compile."""
    engines.create_engine = _create_engine  # type: ignore[attr-defined]


def _create_engine(*args: Any, **options: Any) -> Engine:
    engine = create_engine(*args, **options)
    kind = f"{engine.url.drivername} {options.get('isolation_level')}"
    event.listen(engine, "engine_connect", partial(_share, kind), once=True)
    return engine


def _share(kind: str, connection: Connection) -> None:
    # Not sooner: the first connection of an engine tells its dialect about the server.
    engine = connection.engine
    engine.dialect, compiled = _kept.setdefault(kind, (engine.dialect, LRUCache(10_000)))
    engine.update_execution_options(compiled_cache=compiled)
