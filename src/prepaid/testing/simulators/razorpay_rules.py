"""What Razorpay refuses, and how it pages: the rules of `RazorpaySimulator`.

Sources: https://razorpay.com/docs/api/orders/create/ (amounts, receipt, notes),
https://razorpay.com/docs/api/understand/ (paging).
"""

from __future__ import annotations

import re
from typing import Any, Final

from .loopback import Answer
from .razorpay_objects import Object, collection, problem

MAX_COUNT: Final = 100

_STEPS: Final = dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "OMR", "TND"), 10)
_LEAST: Final = {"INR": 100}


class Refused(Exception):
    """A request that Razorpay refuses, with the answer it gives."""

    def __init__(self, description: str, *, status: int = 400, field: str = "") -> None:
        super().__init__(status)
        self.answer = Answer.of_json(problem(description, field=field), status=status)


def page(found: list[Object], params: Object) -> Object:
    """Give the part of a list that the parameters of a request ask for, the newest first."""
    check_known(params, {"from", "to", "count", "skip"})
    count, skip = int(params.get("count", 10)), int(params.get("skip", 0))
    if not 1 <= count <= MAX_COUNT:
        raise Refused(f"The count must be between 1 and {MAX_COUNT}.", field="count")
    since, until = int(params.get("from", 0)), int(params.get("to", 2**40))
    newest_first = [one for one in reversed(found) if since <= one["created_at"] <= until]
    return collection(newest_first[skip : skip + count])


def check_known(params: Object, known: set[str]) -> None:
    """Refuse parameters that are not of this request."""
    for name in params:
        if name not in known:
            raise Refused(f"{name} is/are not required and should not be sent")


def check_number(amount: Any, currency: Any) -> None:
    """Refuse an amount that cannot be charged."""
    if not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
        raise Refused("Currency is not supported", field="currency")
    if type(amount) is not int:
        raise Refused("The amount must be an integer.", field="amount")
    if amount < _LEAST.get(currency, 1):
        raise Refused("The amount must be at least INR 1.00", field="amount")
    if amount % _STEPS.get(currency, 1):
        raise Refused("The last digit of the amount must be 0.", field="amount")


def check_notes(notes: Any) -> None:
    """Refuse notes that are no short pairs."""
    if not isinstance(notes, dict) or len(notes) > 15 or any(len(str(note)) > 256 for note in notes.values()):
        raise Refused("The notes may hold 15 pairs of at most 256 characters.", field="notes")
