"""A clock that a test moves; time stands still in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from ..core.instants import check_instant

START: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class MovableClock:
    """A clock for tests and demonstrations: `advance` it, or `set` it, also backwards."""

    def __init__(self, at: datetime = START) -> None:
        """Begin at an instant."""
        self._now = check_instant(at, field="at")

    def now(self) -> datetime:
        """Give the instant it was set to."""
        return self._now

    def advance(self, **parts: int) -> datetime:
        """Move on by ``hours=``, ``minutes=``, ``days=`` … and give the new instant."""
        self._now += timedelta(**parts)
        return self._now

    def set(self, at: datetime) -> None:
        """Move to an instant."""
        self._now = check_instant(at, field="at")
