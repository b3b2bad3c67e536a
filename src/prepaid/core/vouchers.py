"""Vouchers: codes that are credit, as they are made, read and shown.

A code has sixteen symbols in groups of four, and the operator's prefix if there
is one. The alphabet leaves out what people take for each other (0 and O, 1, I
and L, U and V), and thirty symbols make 78 bits: nobody guesses one. Only a hash
of what is left of a code without its dashes is kept, with the book in it, so that
who reads the database can redeem nothing, and a code means nothing in another book.

>>> make_code((0, 29, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), prefix="GIFT")
'GIFT-2Z56-789A-BCDE-FGHJ'
>>> voucher_identity("gift-2z56-789a-bcde-fghj") == voucher_identity("GIFT2Z56789ABCDEFGHJ")
True
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from attrs import field, frozen

from .codes import code_identity, is_no_code
from .errors import InvalidRequest
from .hashing import sha256
from .money import Money

ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Symbols of codes, without look-alikes."""

ENDING: Final = 2
"""Symbols of a code that are kept, to recognise it by."""

SYMBOLS: Final = 16
"""Symbols of a code, its prefix apart: 30 to the 16th is more than 2 to the 78th."""

MOST_VOUCHERS: Final = 10_000
"""Vouchers made at a time, at most."""

MAX_PREFIX: Final = 16
"""Characters of an operator's prefix, at most."""

SHORTEST_CREDIT: Final = timedelta(minutes=1)
LONGEST_CREDIT: Final = timedelta(days=36_525)

_GROUP: Final = 4
_SECOND: Final = timedelta(seconds=1)

VoucherState = Literal["open", "redeemed", "expired", "ended"]

VOUCHER_STATES: Final[tuple[str, ...]] = get_args(VoucherState)


@frozen(kw_only=True)
class NewVoucher:
    """A voucher as it is made: the only time that its code is told.

    Attributes:
        id: ``vou_…``.
        code: What its bearer types; kept nowhere.
        amount: The credit it is.
        expires_at: From when it cannot be redeemed any more, or None.
        batch: ``bat_…``, which it was made with.
    """

    id: str
    code: str = field(repr=False)
    amount: Money
    expires_at: datetime | None
    batch: str


@frozen(kw_only=True)
class Voucher:
    """A voucher as an operator sees it.

    Attributes:
        id: ``vou_…``.
        batch: ``bat_…``, which it was made with.
        ending: The last two symbols of its code.
        amount: The credit it is.
        state: ``"open"``, ``"redeemed"``, ``"expired"`` or ``"ended"``.
        expires_at: From when it cannot be redeemed any more, or None.
        created_at: When it was made.
        actor: Who made it.
        redeemed_by: The customer who has its credit, or None.
        redeemed_at: Since when, or None.
        transaction_id: The transaction of its credit, or None.
    """

    id: str
    batch: str
    ending: str
    amount: Money
    state: VoucherState
    expires_at: datetime | None
    created_at: datetime
    actor: str
    redeemed_by: str | None
    redeemed_at: datetime | None
    transaction_id: str | None


@frozen
class RedeemedVoucher:
    """What a customer got for a code.

    Attributes:
        transaction_id: The transaction of the credit.
        amount: How much.
        expires_at: When what is left of it lapses, or None.
    """

    transaction_id: str
    amount: Money
    expires_at: datetime | None


def make_code(numbers: Sequence[int], *, prefix: str = "") -> str:
    """Write sixteen random numbers below thirty as a code, after a prefix."""
    symbols = "".join(ALPHABET[number] for number in numbers)
    groups = [symbols[at : at + _GROUP] for at in range(0, SYMBOLS, _GROUP)]
    return "-".join([prefix, *groups] if prefix else groups)


def ending_of(code: str) -> str:
    """Give the symbols by which a code is recognised; fourteen that make 68 bits are not told."""
    return code[-ENDING:]


def voucher_identity(code: object) -> str:
    """Give what is left of a code however it is typed, with dashes or without.

    Raises:
        InvalidRequest: It can be no code.
    """
    return code_identity(code).replace("-", "")


def voucher_hash(book_id: int, identity: str) -> str:
    """Hash the identity of a code within its book, to 64 hexadecimal digits."""
    return sha256(f"voucher\x1f{book_id}\x1f{identity}")


def check_prefix(prefix: object) -> str:
    """Return an operator's prefix as codes show it; empty for none.

    Raises:
        InvalidRequest: No code could begin with it, or it is longer than 16 characters.
    """
    if is_no_code(prefix):
        return ""
    shown = code_identity(prefix, field="prefix").strip("-").upper()
    if not 0 < len(shown) <= MAX_PREFIX:
        raise InvalidRequest(f"prefix has at most {MAX_PREFIX} characters, and not dashes alone.", field="prefix")
    return shown


def check_count(count: object) -> int:
    """Return how many vouchers to make.

    Raises:
        InvalidRequest: Not a whole number from 1 to 10 000.
    """
    if type(count) is not int or not 1 <= count <= MOST_VOUCHERS:
        raise InvalidRequest(f"count is a whole number from 1 to {MOST_VOUCHERS}.", field="count")
    return count


def check_validity(duration: object) -> int | None:
    """Return how many seconds credit lasts once it is redeemed; None for ever.

    Raises:
        InvalidRequest: Not a timedelta of whole seconds, from a minute to a hundred years.
    """
    if duration is None:
        return None
    if not isinstance(duration, timedelta) or not SHORTEST_CREDIT <= duration <= LONGEST_CREDIT or duration % _SECOND:
        raise InvalidRequest(
            "credit_valid_for is a timedelta of whole seconds, from a minute to a hundred years.",
            field="credit_valid_for",
        )
    return duration // _SECOND
