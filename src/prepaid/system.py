"""The real clock and source of ids; the one place where time and randomness come in."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from attrs import frozen

from .core.ids import ENTROPY_BYTES, make_id
from .ports import Clock


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the current instant in UTC."""
        return datetime.now(UTC)


@frozen
class RandomIds:
    """Ids that sort by the clock's time and cannot be guessed."""

    clock: Clock

    def new(self, kind: str) -> str:
        """Make a new id with the prefix ``kind``."""
        return make_id(kind, self.clock.now(), secrets.token_bytes(ENTROPY_BYTES))
