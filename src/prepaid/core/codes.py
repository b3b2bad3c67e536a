r"""The one identity of a code that people type: of a promotion, or of a voucher.

Upper and lower case, outer blanks and compatibility forms (full-width letters)
are ways to write the same code. What is left must be ASCII letters, digits and
``-``, ``_`` or ``.``: then no invisible or look-alike character makes two codes
of one, on any engine.

Sources: Unicode Standard Annex #15 (NFKC); Unicode Standard, section 5.18 (case folding).

>>> code_identity(" Save10 "), code_identity("\N{FULLWIDTH LATIN CAPITAL LETTER S}ave10")
('save10', 'save10')
>>> code_identity("GIFT-7K2Q").replace("-", "")
'gift7k2q'
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from .errors import InvalidRequest

MAX_CODE: Final = 64
"""Characters of a code, at most."""

_WRITTEN: Final = 4 * MAX_CODE
"""What somebody may paste, outer blanks and all, before it is looked at."""

_CODE: Final = re.compile(rf"[a-z0-9._-]{{1,{MAX_CODE}}}", re.ASCII)


def code_identity(code: object, *, field: str = "code") -> str:
    """Give the identity of a code: two codes are the same exactly if this is.

    Raises:
        InvalidRequest: Not a string, empty, longer than 64 characters, or with
            anything but letters, digits, ``-``, ``_`` and ``.`` in it.
    """
    if not isinstance(code, str):
        raise InvalidRequest(f"{field} is a string, not {type(code).__name__}.", field=field)
    if len(code) <= _WRITTEN:
        # Twice: a letter may fold to what has another compatibility form.
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", code.strip()).casefold())
        if _CODE.fullmatch(folded):
            return folded
    raise InvalidRequest(
        f"{field} has 1 to {MAX_CODE} characters: letters from A to Z, digits, '-', '_' and '.'.", field=field
    )


def is_no_code(code: object) -> bool:
    """Tell whether a field for a code was left empty; 0 and False are no strings, and not empty."""
    return code is None or (isinstance(code, str) and not code.strip())
