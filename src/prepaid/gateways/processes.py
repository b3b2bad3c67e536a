"""One client per process: made when it is first needed, shared by threads, never by a forked child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds what a process makes once; a forked child must not write into its parent's sockets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: T | None = None
        self._pid = 0

    def get(self, make: Callable[[], T]) -> T:
        """Give what this process made, or make it."""
        with self._lock:
            if self._made is None or self._pid != os.getpid():
                self._made = make()
                self._pid = os.getpid()
            return self._made
