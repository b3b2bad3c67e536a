"""Forked processes that run a function, die on command, and hand back what they returned."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from threading import BrokenBarrierError
from typing import Any, Final

from attrs import frozen

CHILD_LIMIT_S: Final = 300
"""After this a forked process is stuck, and the kernel ends it."""


class ChildFailed(AssertionError):
    """A forked process raised, or died of something that was not planned."""


@frozen
class Died:
    """A forked process killed itself, at the step that it names."""

    step: str


class Child:
    """A forked process that runs a function; `result` waits for what it returned."""

    def __init__(self, work: Callable[[], Any]) -> None:
        """Fork and begin."""
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of threads; the child uses nothing that a thread may have held.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if self._pid == 0:
            os.close(reader)
            _live(work, writer)
        os.close(writer)
        self._reader = reader

    def result(self) -> Any:
        """Wait, and give what the function returned, or `Died`.

        Raises:
            ChildFailed: It raised, or ended in another way.
        """
        with open(self._reader, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(self._pid, 0)
        kind, value = pickle.loads(said) if said else ("nothing", os.waitstatus_to_exitcode(status))
        if kind == "returned":
            return value
        if kind == "died" and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return Died(value)
        raise ChildFailed(f"a forked process {kind}: {value}")


def _live(work: Callable[[], Any], writer: int) -> None:
    global _last_words  # noqa: PLW0603 - one per process, set right after the fork
    _last_words = writer
    signal.alarm(CHILD_LIMIT_S)
    try:
        said = pickle.dumps(("returned", work()))
    except BaseException:
        said = pickle.dumps(("raised", traceback.format_exc()))
    with open(writer, "wb") as pipe:
        pipe.write(said)
    # Not by an exit: that would let the measuring of coverage write down all that the parent had run before the fork.
    os.kill(os.getpid(), signal.SIGKILL)


_last_words = -1


def die(step: str, connection: object = None) -> None:
    """End this forked process as ``kill -9`` does, leaving the name of the step to the parent."""
    os.write(_last_words, pickle.dumps(("died", step)))
    os.kill(os.getpid(), signal.SIGKILL)


def in_processes(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run functions in a forked process each, at the same time, and give what they returned."""
    return results_of([Child(work) for work in works])


def results_of(children: Sequence[Child]) -> list[Any]:
    """Wait for forked processes and give what they returned.

    Raises:
        ChildFailed: One raised, or ended in another way; of several one that did not just wait for the others.
    """
    returned, failures = [], []
    for child in children:
        try:
            returned.append(child.result())
        except ChildFailed as failure:
            failures.append(failure)
    if failures:
        raise min(failures, key=lambda failure: BrokenBarrierError.__name__ in str(failure))
    return returned


def barrier(parties: int) -> Any:
    """Give a barrier that forked processes (or threads) may wait at, round after round."""
    return get_context("fork").Barrier(parties, timeout=CHILD_LIMIT_S / 3)
