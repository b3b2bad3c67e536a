"""References that people type: the line of a bank statement, the number of a cheque.

The same line is the same proof however it is typed, or it would prove two payments.

>>> same_line("SEPA  77 ") == same_line("sepa 77")
True

Sources: Unicode Standard Annex #15 (NFKC); Unicode Standard, section 5.18 (case folding).
"""

from __future__ import annotations

import unicodedata
from typing import Final

from .hashing import fingerprint

OUTSIDE: Final = "outside/"
"""What the id of a refund made outside any gateway begins with; its reference follows as it was typed."""


def same_line(written: str) -> str:
    """Give a reference without what typing adds to it: case, width and blanks."""
    return " ".join(unicodedata.normalize("NFKC", written).casefold().split())


def outside_hash(gateway_refund_id: str) -> str:
    """Hash the reference of a refund made outside any gateway: what it may be recorded under once in a book."""
    return fingerprint("refund-outside", same_line(gateway_refund_id.removeprefix(OUTSIDE)))
