"""A string that is used but never shown.

A secret leaks through whatever prints, copies or stores the object that holds
it. `Secret` has no readable form, cannot be pickled, and gives its value only
to `Secret.reveal`, called where it is needed.

>>> Secret("sk_test_51")
Secret('***')
"""

from __future__ import annotations

import hmac
import re
from typing import NoReturn

from .errors import ConfigurationError

_PRINTABLE = re.compile(r"[!-~]{1,512}", re.ASCII)  # goes into an HTTP header: no blank, no line break


class Secret:
    """A string that is used but never shown."""

    __slots__ = ("_value",)

    def __init__(self, value: str, *, blanks: bool = False) -> None:
        """Hide ``value``, which may hold blanks if ``blanks`` says so.

        Raises:
            ConfigurationError: Not a string, empty, or with blanks or
                characters outside printable ASCII.
        """
        seen = value.replace(" ", "") if blanks and isinstance(value, str) else value
        if not isinstance(seen, str) or not _PRINTABLE.fullmatch(seen):
            raise ConfigurationError("A secret is a string of printable ASCII characters without blanks.")
        self._value = value

    def reveal(self) -> str:
        """Give the value, for the one call that needs it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret is not pickled or copied; build the object that holds it anew.")
