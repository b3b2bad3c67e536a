"""Hashes that keys, fingerprints and frozen documents rest on.

A *key hash* scopes a caller's key to book, operation and customer, so that two
customers may use the same words. A *fingerprint* is what the key was first used
for: the same again is a replay, anything else a conflict.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from .money import Money

_SEPARATOR = "\x1f"  # cannot occur in a key: keys are printable


def key_hash(book_id: int, operation: str, customer: str, key: str) -> str:
    """Hash a caller's key within its scope to 32 hexadecimal digits."""
    scoped = f"{book_id}{_SEPARATOR}{operation}{_SEPARATOR}{customer}{_SEPARATOR}{key}"
    return hashlib.blake2b(scoped.encode(), digest_size=16).hexdigest()


def fingerprint(*parts: object) -> str:
    """Hash what a key stands for to 32 hexadecimal digits."""
    try:  # nearly always text alone, which needs no quotes; a batch makes thousands
        written = _SEPARATOR.join(parts)  # type: ignore[arg-type]
    except TypeError:
        return _hash_of_json(parts)
    if written.count(_SEPARATOR) != len(parts) - 1:
        return _hash_of_json(parts)
    return hashlib.blake2b(written.encode(), digest_size=16).hexdigest()


def _hash_of_json(parts: Sequence[object]) -> str:
    # By a hash function of its own, so that no text is taken for it.
    return hashlib.blake2b(canonical_json(list(parts)).encode(), digest_size=16, person=b"json").hexdigest()


def canonical_json(value: Mapping[str, Any] | list[Any]) -> str:
    """Write JSON in one way only: sorted names, no blanks, no escapes but the needed.

    Raises:
        TypeError: A value that is not written the same way in every process.
        ValueError: NaN or an infinity.
    """
    return _ENCODER.encode(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Money | Decimal | date):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no canonical form.")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain)


def sha256(content: bytes | str) -> str:
    """Hash a document to 64 hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
