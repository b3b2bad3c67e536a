"""The process and the machine: the real clock and source of ids, threads, and Python's collector of cycles.

The one place where time and randomness come in.
"""

from __future__ import annotations

import contextvars
import gc
import logging
import os
import secrets
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Final, Generic, TypeVar

from .core.errors import ConfigurationError
from .core.ids import ENTROPY_BYTES, make_id, make_ids
from .ports import Clock

log = logging.getLogger("prepaid.system")

_LARGEST: Final = 256**ENTROPY_BYTES - 1
_STEP_BYTES: Final = 5
_MILLISECOND: Final = timedelta(milliseconds=1)

IN_TIME: Final = "prepaid-in-time"
"""Name of the threads of `in_time`."""

T = TypeVar("T")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the collector of cycles from running while a batch makes values that live until its end.

    It runs because there are so many new ones, and looks each time at all that
    the process has: for ten thousand charges it took a third of the time. Values
    without cycles are freed as ever. Of several threads the first that ends turns
    it on again, so that it rests no longer than one transaction takes.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the current instant in UTC."""
        return datetime.now(UTC)


class UtcClock:
    """A host's clock, held to its promise: aware instants, given in UTC."""

    def __init__(self, clock: Clock) -> None:
        """Wrap a clock.

        Raises:
            ConfigurationError: It has no ``now``.
        """
        if not callable(getattr(clock, "now", None)):
            raise ConfigurationError("clock is an object with now() -> datetime.")
        self._clock = clock

    def now(self) -> datetime:
        """Give the current instant in UTC.

        Raises:
            ConfigurationError: The clock gives something else than an aware datetime.
        """
        instant = self._clock.now()
        if not isinstance(instant, datetime) or instant.utcoffset() is None:
            raise ConfigurationError("clock.now() gives aware datetimes; a naive one names no instant.")
        return instant.astimezone(UTC)


class RandomIds:
    """Ids that cannot be guessed and, within a process, sort in the order in which they were made.

    Also within one millisecond, and when the clock is set back: lists and the
    burn of grants go by id.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin with a clock."""
        self._clock, self._lock = clock, threading.Lock()
        self._process, self._at, self._entropy = 0, datetime.min.replace(tzinfo=UTC), _LARGEST

    def new(self, kind: str) -> str:
        """Make a new id with the prefix ``kind``."""
        with self._lock:
            at, entropy = self._next()
        return make_id(kind, at, entropy.to_bytes(ENTROPY_BYTES, "big"))

    def several(self, kind: str, count: int) -> list[str]:
        """Make ``count`` new ids with the prefix ``kind``, in the order of their making."""
        if not count:
            return []
        with self._lock:
            at, entropy = self._next()
            if entropy > _LARGEST - count * 256**_STEP_BYTES:
                at = self._at = at + _MILLISECOND
                entropy = self._random()
            numbers = list(accumulate(_steps(count - 1), initial=entropy))
            self._entropy = numbers[-1]
        return make_ids(kind, at, numbers)

    def _next(self) -> tuple[datetime, int]:
        now = self._clock.now()
        if self._process != os.getpid():  # a forked child must not go on where its parent does too
            self._process, self._at, self._entropy = os.getpid(), now, self._random()
        elif now >= self._at + _MILLISECOND:
            self._at, self._entropy = now, self._random()
        else:
            self._entropy += _steps(1)[0]
            if self._entropy > _LARGEST:
                self._at, self._entropy = self._at + _MILLISECOND, self._random()
        return self._at, self._entropy

    @staticmethod
    def _random() -> int:
        # From the lower half, so that there is room to count up.
        return int.from_bytes(secrets.token_bytes(ENTROPY_BYTES), "big") >> 1


def _steps(count: int) -> list[int]:
    """Draw how far to count up, each time by 1 to 2^40: nobody can guess an id from the one before."""
    drawn = struct.unpack(f">{count}Q", secrets.token_bytes(8 * count))
    return [1 + (number >> 64 - 8 * _STEP_BYTES) for number in drawn]


def secret_numbers(count: int, *, below: int) -> list[int]:
    """Draw ``count`` numbers that nobody can guess, each from 0 to ``below`` - 1 and all equally likely."""
    return [secrets.randbelow(below) for _ in range(count)]


class _Work(Generic[T]):
    """One piece of work and what became of it."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self.result: T | None = None
        self.problem: BaseException | None = None
        self.is_left = False

    def run(self) -> None:
        try:
            self.result = self._function()
        except BaseException as problem:
            self.problem = problem
            if self.is_left:  # nobody is there any more to raise it to
                log.exception("work that was left to itself failed")


def in_time(function: Callable[[], T], budget_s: int) -> T | None:
    """Give what ``function`` gives, or None if it takes longer than ``budget_s`` seconds; it goes on then.

    The work runs in a thread of its own. What is not done in time is not waited
    for; it must be safe to be cut off by the end of the process.

    Raises:
        BaseException: Whatever ``function`` raised in time.
    """
    work = _Work(function)
    thread = threading.Thread(target=contextvars.copy_context().run, args=(work.run,), name=IN_TIME, daemon=True)
    thread.start()
    thread.join(budget_s)
    work.is_left = thread.is_alive()
    if work.problem is not None:
        raise work.problem
    return work.result


def threads_in_time() -> int:
    """Count the threads of `in_time` that are at work, waited for or left behind."""
    return sum(thread.name == IN_TIME for thread in threading.enumerate())
