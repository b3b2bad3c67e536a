"""When something that is not final yet is looked at again: soon at first, then hourly, then daily.

>>> [next_look(polls).total_seconds() for polls in (0, 1, 2, 3, 4, 28)]
[60.0, 300.0, 900.0, 3600.0, 3600.0, 86400.0]
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

LOOKS: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
HOURLY_LOOKS: Final = 24


def next_look(polls: int) -> timedelta:
    """Give the wait after ``polls`` looks: 1, 5, 15 and 60 minutes, hourly for a day, daily then."""
    if polls < len(LOOKS):
        return LOOKS[polls]
    return timedelta(hours=1) if polls < len(LOOKS) + HOURLY_LOOKS else timedelta(days=1)
