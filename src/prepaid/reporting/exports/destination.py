"""Where an export goes: a file that is there whole or not at all, or a binary file that somebody has opened."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from ...core.errors import InvalidRequest, TransactionAborted

BUFFER_BYTES: Final = 64 * 1024


class _Output(io.RawIOBase):
    """Passes bytes on to somebody's file, which closing this does not close."""

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self.has_passed, self.is_live = False, True

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        left = bytes(data)
        while left and self.is_live:
            self.has_passed = True
            left = left[self._taken(left) :]
        return len(data)

    def _taken(self, data: bytes) -> int:
        """Let the file take what it will; a raw one may take less than it is given."""
        taken = self._sink.write(data)
        if taken is None and not isinstance(self._sink, io.RawIOBase):
            return len(data)  # it says nothing, and has taken all
        if not taken:
            raise BlockingIOError("The file takes nothing now.")
        return int(taken)


class Destination:
    """What an export writes to: begun anew whenever the transaction that it reads in is run anew."""

    def __init__(self, sink: Any, rewind: Callable[[], object] | None) -> None:
        """Write to ``sink``; ``rewind`` takes back what was written, None if nobody can."""
        self._sink, self._rewind = sink, rewind
        self._output: _Output | None = None

    @contextmanager
    def begun(self) -> Iterator[IO[bytes]]:
        """Give a file to write to, from the beginning; what was written is passed on when the block ends.

        Raises:
            TransactionAborted: Something was passed on already that cannot be taken back.
        """
        if self._rewind is not None:
            self._rewind()
        elif self._output is not None and self._output.has_passed:
            raise TransactionAborted(
                "The database was lost while the export was written: run it again, from its start."
            )
        self._output = output = _Output(self._sink)
        buffer = io.BufferedWriter(output, BUFFER_BYTES)
        try:
            yield buffer
            if not buffer.closed:
                buffer.flush()
        finally:
            # Whoever still holds the buffer, and lets it go later, passes nothing on any more.
            output.is_live = False


@contextmanager
def opened(to: object, *, overwrite: object) -> Iterator[Destination]:
    """Open what an export is to be written to; if all goes well, it is there when the block ends.

    A path gets a file beside it, which takes its place in the end.

    Raises:
        InvalidRequest: Neither a path nor a binary file, or a file that is there and may not be overwritten.
    """
    if not isinstance(overwrite, bool):
        raise InvalidRequest("overwrite is True or False.", field="overwrite")
    if isinstance(to, str | os.PathLike):
        with _beside(_path(to, overwrite=overwrite), overwrite=overwrite) as destination:
            yield destination
        return
    yield Destination(_checked_file(to), None)


def _checked_file(to: Any) -> Any:
    try:
        to.write(b"")  # a file of text, one that is closed and one that is only read do not take it
    except (AttributeError, TypeError, ValueError, OSError):
        raise InvalidRequest("to is a path, or a binary file that can be written to.", field="to") from None
    return to


def _path(to: str | os.PathLike[str], *, overwrite: bool) -> Path:
    try:
        path = Path(os.path.realpath(os.fspath(to)))  # a link stays one, and what it leads to is replaced
        is_there, is_file, has_folder = os.path.lexists(path), path.is_file(), path.parent.is_dir()
    except (OSError, TypeError, ValueError):
        raise InvalidRequest("to is no path of a file.", field="to") from None
    if not to or not has_folder:
        raise InvalidRequest("to lies in no folder that there is.", field="to")
    if is_there and not is_file:
        raise InvalidRequest("to is a folder, or something else that is no file.", field="to")
    if is_there and not overwrite:
        raise InvalidRequest("There is a file of that name; overwrite=True replaces it.", field="to")
    return path


@contextmanager
def _beside(path: Path, *, overwrite: bool) -> Iterator[Destination]:
    try:
        handle, name = tempfile.mkstemp(prefix=".export-", suffix=".part", dir=path.parent)
    except OSError as error:
        raise InvalidRequest(f"No file can be written there: {error.strerror}.", field="to") from None
    try:
        with open(handle, "r+b", buffering=0) as file:
            yield Destination(file, lambda: (file.seek(0), file.truncate()))
            os.fsync(file.fileno())
        _put(name, path, overwrite=overwrite)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _put(name: str, path: Path, *, overwrite: bool) -> None:
    """Give a file its name, and make sure that it keeps it."""
    if overwrite:
        os.replace(name, path)
    else:
        _put_new(name, path)
    with suppress(OSError):  # not every system lets a folder be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _put_new(name: str, path: Path) -> None:
    try:
        os.link(name, path)  # fails if there is one, in one step
    except FileExistsError:
        raise InvalidRequest("A file of that name has appeared meanwhile.", field="to") from None
    except OSError:  # not every disk knows links
        os.replace(name, path)
