"""Finding words in a column of text, the same on every engine; nothing in them is a wildcard."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, collate, func, or_

from .database import Tx

_ESCAPED: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def containing(tx: Tx, column: ColumnElement[Any], words: str) -> ColumnElement[bool]:
    """Tell whether a column contains words, whatever their case; SQLite knows only the case of A to Z."""
    as_written, lowered = (f"%{form.translate(_ESCAPED)}%" for form in (words, words.lower()))
    # Texts that compare by bytes have no case beyond A to Z on PostgreSQL: by the rules of the database here.
    spoken = collate(column, "default") if tx.dialect == "postgresql" else column
    return or_(column.like(as_written, escape="\\"), func.lower(spoken).like(lowered, escape="\\"))
