"""What `check` reads of digests and of the effects that mail them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, select

from .. import schema
from ..database import Tx
from .reading import named, stream

_digest = schema.digest
_outbox = schema.outbox

_MAIL: Final = "digest-mail"


def digest_rows(tx: Tx) -> Iterator[Any]:
    """Give every digest with what was written for its mail."""
    wanted = select(*named(_digest, "id day facts"), _outbox.c.payload).select_from(_digest.outerjoin(_outbox, _its()))
    return stream(tx, wanted.where(_digest.c.book_id == tx.book_id))


def stray_mails(tx: Tx) -> Iterator[Any]:
    """Give effects that mail a digest that is not there."""
    wanted = select(_outbox.c.id).select_from(_outbox.outerjoin(_digest, _its()))
    return stream(tx, wanted.where(_outbox.c.book_id == tx.book_id, _outbox.c.topic == _MAIL, _digest.c.id.is_(None)))


def _its() -> ColumnElement[bool]:
    same_day = _outbox.c.dedupe_key == _digest.c.day
    return and_(_outbox.c.book_id == _digest.c.book_id, _outbox.c.topic == _MAIL, same_day)
