"""One connection to a provider per process, made when it is first needed.

A forked child must not write into its parent's sockets, and an SDK is loaded
only by those who send a request.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds what was made in this process, and makes it anew in another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[int, T] | None = None

    def get(self, make: Callable[[], T]) -> T:
        """Give the one thing of this process; ``make`` is called if there is none yet."""
        with self._lock:
            pid = os.getpid()
            if self._held is None or self._held[0] != pid:
                self._held = pid, make()
            return self._held[1]
