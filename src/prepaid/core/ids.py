"""Identifiers: a kind, a time and randomness, sortable by time of making.

``top_01jd…`` says at a glance what it names. The 26 characters after the
prefix are 48 bits of milliseconds and 80 random bits in Crockford's base 32
(lower case), the layout of UUIDv7 in a form that is safe in URLs, file names
and the 40-character receipt field of gateways.

>>> from datetime import UTC, datetime
>>> make_id("top", datetime(2026, 11, 23, tzinfo=UTC), bytes(10))
'top_01m82v7m000000000000000000'
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final

from .errors import InvalidRequest
from .instants import to_micros

ENTROPY_BYTES: Final = 10
MAX_KEY: Final = 191
"""Longest caller-made key and customer id: what every engine can index."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# Two characters, ten bits at a time: a batch makes thousands of ids.
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_TIME_SHIFTS = (40, 30, 20, 10, 0)
# Blanks of every width, and the joiner and non-joiner.
_UNSEEN = " \u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\u200c\u200d"
_WITHOUT_UNSEEN = dict.fromkeys(map(ord, _UNSEEN))
_ID = re.compile(r"[a-z]{2,4}_[0-9a-z]{26}", re.ASCII)


def make_id(kind: str, at: datetime, entropy: bytes) -> str:
    """Build an id of ``kind`` from an instant and ten random bytes."""
    return make_ids(kind, at, (int.from_bytes(entropy[:ENTROPY_BYTES], "big"),))[0]


def make_ids(kind: str, at: datetime, entropies: Iterable[int]) -> list[str]:
    """Build ids of ``kind`` from one instant and numbers of 80 bits, one for each."""
    pairs, millis = _PAIRS, to_micros(at) // 1000

    @lru_cache(maxsize=1)  # numbers that follow each other begin alike
    def start(upper: int) -> str:
        shifts = [(millis, shift) for shift in _TIME_SHIFTS] + [(upper, shift) for shift in (20, 10, 0)]
        return f"{kind}_" + "".join([pairs[(number >> shift) & 1023] for number, shift in shifts])

    return [
        f"{start(n >> 50)}{pairs[n >> 40 & 1023]}{pairs[n >> 30 & 1023]}{pairs[n >> 20 & 1023]}"
        f"{pairs[n >> 10 & 1023]}{pairs[n & 1023]}"
        for n in entropies
    ]


def looks_like_id(value: object) -> bool:
    """Tell whether ``value`` has the form of an id made here."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def check_key(value: object, *, field: str = "key") -> str:
    """Return a caller-made key or customer id that every engine stores unchanged.

    Raises:
        InvalidRequest: Not a string, empty, longer than 191 characters, with
            outer blanks, or with characters that cannot be printed.
    """
    if not isinstance(value, str):
        raise InvalidRequest(f"{field} is a string, not {type(value).__name__}.", field=field)
    if not value or len(value) > MAX_KEY:
        raise InvalidRequest(f"{field} has 1 to {MAX_KEY} characters.", field=field)
    if value != value.strip() or not value.isprintable():
        raise InvalidRequest(f"{field} has no outer blanks and only printable characters.", field=field)
    return value


def check_text(value: object, *, field: str, longest: int, empty: bool = True) -> str:
    """Return free text of bounded length without control characters.

    Blanks of every width are text (Japanese and French write them), and so are
    the joiners that Persian and Indian scripts need; other characters without
    a shape, lone surrogates among them, are not.

    Raises:
        InvalidRequest: Not a string, too long, empty where it must not be, or
            with control or invisible characters.
    """
    if not isinstance(value, str):
        raise InvalidRequest(f"{field} is a string, not {type(value).__name__}.", field=field)
    if len(value) > longest:
        raise InvalidRequest(f"{field} has at most {longest} characters.", field=field)
    if not empty and not value.strip(_UNSEEN):
        raise InvalidRequest(f"{field} must not be empty.", field=field)
    if not (value.isprintable() or value.translate(_WITHOUT_UNSEEN).isprintable()):
        raise InvalidRequest(f"{field} must not contain control or invisible characters.", field=field)
    return value
