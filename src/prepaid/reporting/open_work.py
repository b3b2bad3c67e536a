"""What waits for an operator: what is to be decided, and what was tried too often."""

from __future__ import annotations

from ..config import Context
from ..store import work


def open_work(context: Context) -> dict[str, int]:
    """Count what waits for an operator, by what it is; see `prepaid.store.work.counts`."""
    return context.database.read(work.counts)
