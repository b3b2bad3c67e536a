"""Pages of lists: items and an opaque cursor to what follows."""

from __future__ import annotations

import re
from typing import Generic, TypeVar

from attrs import frozen

from .errors import InvalidRequest

T = TypeVar("T")

_CURSOR = re.compile(r"[a-z]\.[0-9a-z_]{1,64}", re.ASCII)


@frozen
class Page(Generic[T]):
    """Part of a list.

    Attributes:
        items: What stands on the page.
        next: Cursor of the next page, or None on the last.
    """

    items: tuple[T, ...]
    next: str | None = None


def make_cursor(kind: str, place: str | int) -> str:
    """Make the cursor of a place in a list of one kind (a lower-case letter)."""
    return f"{kind}.{place}"


def read_cursor(kind: str, cursor: object) -> str | None:
    """Give the place of a cursor of a list of this kind; None for no cursor.

    Raises:
        InvalidRequest: The cursor was made by another list, or by nobody.
    """
    if cursor is None:
        return None
    if not isinstance(cursor, str) or not _CURSOR.fullmatch(cursor) or not cursor.startswith(f"{kind}."):
        raise InvalidRequest("The cursor does not belong to this list.", field="cursor")
    return cursor[2:]


def read_number_cursor(kind: str, cursor: object) -> int | None:
    """Give the place of a cursor that counts rows.

    Raises:
        InvalidRequest: As `read_cursor`.
    """
    place = read_cursor(kind, cursor)
    if place is None:
        return None
    if not place.isdigit() or len(place) > 18:
        raise InvalidRequest("The cursor does not belong to this list.", field="cursor")
    return int(place)
