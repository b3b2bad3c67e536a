"""Finding words in a column of text, the same on every engine; nothing in them is a wildcard."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_

_ESCAPED: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def containing(column: ColumnElement[Any], words: str) -> ColumnElement[bool]:
    """Tell whether a column contains words, whatever their case; SQLite knows only the case of A to Z."""
    as_written, lowered = (f"%{form.translate(_ESCAPED)}%" for form in (words, words.lower()))
    return or_(column.like(as_written, escape="\\"), func.lower(column).like(lowered, escape="\\"))
