"""Statements that were compiled once are kept from test to test, though each test has an engine of its own.

SQLAlchemy keeps what it compiled by engine, and by the object of its dialect. A system in use compiles each
statement once; a suite that opens a new one for every test would spend half of its time on that.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.util import LRUCache

from prepaid.store import engines

STATEMENTS: Final = 5_000
PLACES: Final = 6
"""How many statements are kept for each place, and for how many places."""

_kept: dict[str, tuple[Dialect, LRUCache[Any, Any]]] = {}
"""What was compiled, and for which dialect, by place."""


def keep_compiled() -> None:
    """Let the engines that the library makes share what they compile."""
    engines.create_engine = _create_engine  # type: ignore[attr-defined]


def _create_engine(*args: Any, **options: Any) -> Engine:
    engine = create_engine(*args, **options)
    # The dialect of a server knows the name of its database; SQLite's databases have the same.
    database = "" if engine.dialect.name == "sqlite" else engine.url.database
    place = f"{engine.url.drivername} {database} {options.get('isolation_level')}"
    event.listen(engine, "engine_connect", partial(_share, place), once=True)
    return engine


def _share(place: str, connection: Connection) -> None:
    # Not sooner: the first connection of an engine tells its dialect about the server.
    engine = connection.engine
    kept = _kept.pop(place, None) or (engine.dialect, LRUCache(STATEMENTS))
    _kept[place] = kept
    if len(_kept) > PLACES:
        _kept.pop(next(iter(_kept)), None)
    engine.dialect = kept[0]
    engine.update_execution_options(compiled_cache=kept[1])
