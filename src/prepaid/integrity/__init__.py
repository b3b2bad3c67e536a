"""Proving the books: every invariant, on one snapshot, without writing anything.

A finding names the invariant, the rows, what was expected and what was found;
nothing is ever mended silently.

A row is proved by the rows that repeat what it says. What nothing repeats can be
changed or removed unseen as long as rows are not sealed: when an act was, a gateway's
fee, whose an unpaid order is, when a grant expires, which code a voucher has.
"""

from .findings import Finding, IntegrityReport
from .proving import check, health

__all__ = ["Finding", "IntegrityReport", "check", "health"]
