"""What of a book is proved: all of it, or what is new since a place and what that touches.

A place is a row of transfers and an instant. It lies a while before the newest
row: on a server, a row with a lower number may be committed after one with a
higher number, and must not be passed over.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import frozen
from sqlalchemy import ColumnElement, FromClause, or_, select, union

from ...core.errors import InvalidRequest
from ...core.ids import ENTROPY_BYTES, make_id
from ...core.instants import from_micros, to_micros
from .. import schema
from ..database import Tx

_transfer = schema.transfer

OVERLAP: Final = timedelta(hours=1)
"""Longer than any transaction lasts: what was posted later than this before a check is proved again by the next."""

SKEW: Final = timedelta(minutes=10)
"""How far clocks of hosts may lie apart: an object counts as new only if its transfers are surely new."""

_PLACE: Final = re.compile(r"(\d{1,10})\.(\d{1,18})\.(\d{1,18})", re.ASCII)

Conditions = tuple[ColumnElement[bool], ...]


@frozen
class Scope:
    """What is proved.

    Attributes:
        after: Transfers with a higher row number are new.
        since: Objects made at this instant or later are new; None if everything is proved.
    """

    after: int = 0
    since: datetime | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether everything is proved."""
        return self.since is None

    def is_new(self, object_id: str) -> bool:
        """Tell whether an object with an id of ours was made since the place."""
        return self.since is None or object_id >= _first_id(object_id[:3], self.since)


WHOLE: Final = Scope()


def read_place(tx: Tx, place: str | None) -> Scope:
    """Read a place that a check of this book gave; None is its beginning.

    Raises:
        InvalidRequest: It is none, or another book's.
    """
    if place is None:
        return WHOLE
    found = _PLACE.fullmatch(place) if isinstance(place, str) else None
    if found is None or int(found[1]) != tx.book_id:
        raise InvalidRequest("since is the place that a check of this book gave.", field="since")
    try:
        return Scope(int(found[2]), from_micros(int(found[3])))
    except OverflowError:
        raise InvalidRequest("since is the place that a check of this book gave.", field="since") from None


def place_of(tx: Tx, now: datetime) -> str:
    """Give the place from which the next check may go on: what was posted last before the overlap.

    Not what comes before the first row of the overlap: another row that is still on its way may have that number.
    """
    cutoff = now - OVERLAP
    settled = select(_transfer.c.id).where(_transfer.c.book_id == tx.book_id, _transfer.c.posted_at < cutoff)
    last = tx.execute(settled.order_by(_transfer.c.posted_at.desc(), _transfer.c.id.desc()).limit(1)).scalar()
    return f"{tx.book_id}.{last or 0}.{to_micros(cutoff + SKEW)}"


def new_transfers(tx: Tx, scope: Scope, transfers: FromClause = _transfer) -> Conditions:
    """Limit transfers to those of the book that are proved."""
    of_book = transfers.c.book_id == tx.book_id
    return (of_book,) if scope.is_whole else (of_book, transfers.c.id > scope.after)


def new_objects(scope: Scope, column: ColumnElement[Any], kind: str) -> Conditions:
    """Limit objects to those made since the place, by their ids of one kind."""
    return () if scope.since is None else (column >= _first_id(kind, scope.since),)


def _first_id(kind: str, since: datetime) -> str:
    return make_id(kind, since, bytes(ENTROPY_BYTES))


def touched_wallets(tx: Tx, scope: Scope, column: ColumnElement[Any]) -> Conditions:
    """Limit wallets to those that something new touches."""
    if scope.is_whole:
        return ()
    touching = union(
        select(_transfer.c.wallet_id).where(*new_transfers(tx, scope), _transfer.c.wallet_id.is_not(None)),
        *(
            select(table.c.wallet_id).where(table.c.book_id == tx.book_id, *new_objects(scope, table.c.id, kind))
            for table, kind in ((schema.grant, "grt"), (schema.hold, "hld"))
        ),
    ).subquery()
    # From a table of its own: MariaDB runs a union inside IN once for every row.
    return (column.in_(select(touching.c.wallet_id)),)


def new_or_caused(tx: Tx, scope: Scope, column: ColumnElement[Any], *, kind: str, cause: str) -> Conditions:
    """Limit objects to those made since the place, and those that a new transfer names as its cause."""
    if scope.is_whole:
        return ()
    causes = select(_transfer.c.cause_id).where(*new_transfers(tx, scope), _transfer.c.cause_type == cause)
    return (or_(*new_objects(scope, column, kind), column.in_(causes)),)


def all_of_caused(tx: Tx, scope: Scope, cause: str) -> Conditions:
    """Limit transfers to those of a sort of cause: all of what something new belongs to, for they are summed.

    What was posted last may be the end of something that began long before the place.
    """
    of_sort = (_transfer.c.book_id == tx.book_id, _transfer.c.cause_type == cause)
    if scope.is_whole:
        return of_sort
    new = select(_transfer.c.cause_id).where(*new_transfers(tx, scope), _transfer.c.cause_type == cause)
    return (*of_sort, _transfer.c.cause_id.in_(new))
