"""Listens to whatever could give a secret away: logs of every level, words, tracebacks with variables, pickles."""

from __future__ import annotations

import logging
import pickle
import traceback
from contextlib import contextmanager
from pathlib import Path

import attrs

TESTS = str(Path(__file__).parents[1])
LOGGERS = "urllib3 requests stripe razorpay paypalrestsdk paypalrestsdk.api prepaid prepaid.webhooks asyncio".split()


class Ears(logging.Handler):
    """Keeps what was heard, each with the place where it was; `leaks` looks for what should not be in it."""

    def __init__(self):
        super().__init__(logging.NOTSET)
        self.heard = []

    def hear(self, where, what):
        self.heard.append((where, what))

    def emit(self, record):
        self.hear(f"log of {record.name}", f"{record.getMessage()} {record.args!r} {record.msg!r}")
        if record.exc_info:
            self.error(f"logged by {record.name}", record.exc_info[1])

    def error(self, where, error):
        """Look at an exception as a log, a tracker with local variables, and another process would."""
        self.hear(f"{where}: words", f"{error} {error!r} {vars(error)!r} {error.args!r}")
        self.hear(f"{where}: traceback", "".join(traceback.format_exception(error)))
        for shown in _chain(error):
            for frame, _ in traceback.walk_tb(shown.__traceback__):
                self._variables(where, frame)
        again = pickle.dumps(error)
        self.hear(f"{where}: pickle", again.decode("latin-1"))
        self.hear(f"{where}: unpickled", repr(vars(pickle.loads(again))))

    def _variables(self, where, frame):
        file = frame.f_code.co_filename
        if file.startswith(TESTS):  # what stands in a test's own variables was put there by the test
            return
        for name, value in frame.f_locals.items():
            self.hear(f"{where}: {name} in {Path(file).name}:{frame.f_code.co_name}", _shown(value))

    def value(self, where, value):
        """Look at a value as a log would print it."""
        self.hear(f"{where}: words", f"{value} {value!r} {[value]!r} {(value,)!r}")

    def config(self, where, value):
        """Look at what holds credentials in every form that it can be given."""
        self.value(where, value)
        self.record(where, value)
        try:
            self.hear(f"{where}: pickle", pickle.dumps(value).decode("latin-1"))
        except Exception as refusal:  # anything: what refuses to be pickled gives nothing away but its refusal
            self.hear(f"{where}: refusal of a pickle", f"{refusal!r}")

    def record(self, where, value):
        """Look at a value that was taken apart."""
        self.hear(f"{where}: asdict", repr(attrs.asdict(value)))
        self.hear(f"{where}: astuple", repr(attrs.astuple(value)))

    def leaks(self, secrets):
        """Name each secret that was heard, and where."""
        return sorted(
            {(name, where) for where, what in self.heard for name, secret in secrets.items() if secret in what}
        )


def _chain(error):
    """Give an exception and those that are shown with it."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _shown(value):
    try:
        return repr(value)
    except AttributeError as unfinished:  # an object whose making failed
        return repr(unfinished)


@contextmanager
def listening():
    """Hear all loggers at every level, those too that keep still unless they are asked."""
    ears, root = Ears(), logging.getLogger()
    loggers = [root, *map(logging.getLogger, LOGGERS)]
    before = [(logger, logger.level) for logger in loggers]
    root.addHandler(ears)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        yield ears
    finally:
        root.removeHandler(ears)
        for logger, level in before:
            logger.setLevel(level)
