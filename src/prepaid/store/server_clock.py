"""The database's own clock: one for all workers, however wrong the clocks of their machines are.

What a worker may keep others from, and until when, goes by this clock alone;
business goes by the host's. On SQLite both are the clock of the one machine.

Sources: PostgreSQL manual, 9.9.5 (``clock_timestamp``, which moves within a
transaction); MariaDB documentation, ``UTC_TIMESTAMP``, ``TIMESTAMPDIFF``;
SQLite documentation, date and time functions (``'now'`` is UTC).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, or_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

_MICROSECOND: Final = timedelta(microseconds=1)


class _Now(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True


@compiles(_Now, "postgresql")
def _on_postgresql(_element: _Now, _compiler: Any, **_options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"


@compiles(_Now, "mysql", "mariadb")
def _on_mariadb(_element: _Now, _compiler: Any, **_options: Any) -> str:
    # Not UNIX_TIMESTAMP: that goes by the session's zone, where an hour may come twice.
    return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"


@compiles(_Now, "sqlite")
def _on_sqlite(_element: _Now, _compiler: Any, **_options: Any) -> str:
    return "CAST(strftime('%s', 'now') AS INTEGER) * 1000000"


def in_(span: timedelta) -> ColumnElement[int]:
    """Give the instant at which a span from now on ends, to be stored in a column or compared with one."""
    return _Now() + span // _MICROSECOND


def is_over(column: ColumnElement[Any], lasts: timedelta) -> ColumnElement[bool]:
    """Tell whether what is held until the instant in a column is free.

    An instant that lies further ahead than twice the time that it is taken for was
    written by a server whose clock ran ahead; otherwise nobody could take it until then.
    """
    return or_(column <= _Now(), column > in_(2 * lasts))
