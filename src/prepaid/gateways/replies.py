"""Reading a gateway's replies strictly: a field is there with its type, or the reply is unusable.

A reply is a plain dict made from JSON. Nothing is guessed, converted or
defaulted: a missing, mistyped or contradicting field is a `GatewayError`, which
credits nothing and is asked again later. Messages name the field, never its
value, which may be personal.

>>> require_int({"amount": 500}, "amount")
500
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ..core.errors import GatewayError
from ..core.money import Money

MAX_TEXT: Final = 191
MAX_URL: Final = 4096
MAX_INT: Final = 10**12 - 1
"""Largest amount a gateway takes in its smallest units: twelve digits."""

Reply = Mapping[str, Any]


def unusable(problem: str) -> GatewayError:
    """Make the error for a reply that cannot be relied on; asking again is harmless."""
    return GatewayError(f"The gateway's reply is unusable: {problem}.", retryable=True, code="unusable-reply")


def demand(holds: bool, problem: str) -> None:
    """Go on only if the parts of a reply agree.

    Raises:
        GatewayError: They do not; ``problem`` says what.
    """
    if not holds:
        raise unusable(problem)


@contextmanager
def in_doubt() -> Iterator[None]:
    """Read the answer to a request that was carried out: if it is unusable, only a look-up tells what was done."""
    try:
        yield
    except GatewayError as problem:
        raise GatewayError(str(problem), retryable=True, outcome_unknown=True, code=problem.code) from None


def require_str(reply: Reply, name: str, *, longest: int = MAX_TEXT) -> str:
    """Return the non-empty printable string called ``name``.

    Raises:
        GatewayError: Missing, of another type, empty, too long or unprintable.
    """
    value = reply.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
        raise unusable(f"{name} is not a string of 1 to {longest} printable characters")
    return value


def optional_str(reply: Reply, name: str, *, longest: int = MAX_TEXT) -> str | None:
    """Return the string called ``name``, or None if the reply has none.

    Raises:
        GatewayError: There, but not as `require_str` wants it.
    """
    return None if reply.get(name) is None else require_str(reply, name, longest=longest)


def require_word(reply: Reply, name: str, words: Collection[str]) -> str:
    """Return the string called ``name`` if we know what it means.

    Raises:
        GatewayError: Missing, of another type, or a word we do not know.
    """
    value = require_str(reply, name)
    demand(value in words, f"{name} has a value that is not known")
    return value


def require_int(reply: Reply, name: str, *, largest: int = MAX_INT) -> int:
    """Return the whole number from 0 to ``largest`` called ``name``.

    Raises:
        GatewayError: Missing, a bool, float or string, negative or too large.
    """
    value = reply.get(name)
    # type() because True is an int too.
    if type(value) is not int or not 0 <= value <= largest:
        raise unusable(f"{name} is not a whole number in range")
    return value


def require_bool(reply: Reply, name: str) -> bool:
    """Return the bool called ``name``.

    Raises:
        GatewayError: Missing or of another type.
    """
    value = reply.get(name)
    if not isinstance(value, bool):
        raise unusable(f"{name} is not true or false")
    return value


def require_object(reply: Reply, name: str) -> dict[str, Any]:
    """Return the object called ``name``.

    Raises:
        GatewayError: Missing or of another type, such as an id in its place.
    """
    value = reply.get(name)
    if not isinstance(value, dict):
        raise unusable(f"{name} is not an object")
    return value


def optional_object(reply: Reply, name: str) -> dict[str, Any] | None:
    """Return the object called ``name``, or None if the reply has none.

    Raises:
        GatewayError: There, but not an object.
    """
    return None if reply.get(name) is None else require_object(reply, name)


def one_sum(amounts: Sequence[Money]) -> Money | None:
    """Sum amounts of one currency; None if there are none, or of several currencies: then no one amount tells it."""
    currencies = {amount.currency for amount in amounts}
    return sum(amounts, Money.zero(currencies.pop())) if len(currencies) == 1 else None
