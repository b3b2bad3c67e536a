"""What may go wrong between the host and the simulated gateway, and what the host is then told.

A fault is what an honest adapter makes of a misbehaving provider: an answer
that cannot be relied on is a `GatewayError`, and what is well-formed but not
what was asked for is reported, for the core to judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal, TypeVar

import attrs

from ..core.errors import GatewayError
from ..core.money import Money
from ..ports import Mode, PaymentSnapshot

T = TypeVar("T")

Fault = Literal[
    "unavailable",
    "rate-limit",
    "garbage",
    "slow",
    "stall",
    "timeout-after-accept",
    "unreadable",
    "wrong-amount",
    "wrong-mode",
]
"""What goes wrong with a call.

``unavailable``: nothing is done. ``rate-limit``: nothing is done, and it asks to
wait. ``garbage``: it is refused for good, in words nobody understands. ``slow``:
it takes all the time allowed. ``stall``: it takes all the time allowed and
nothing is heard; nothing was done. ``timeout-after-accept``: it is done, but
nobody hears of it. ``unreadable``: it is done, but the answer cannot be relied
on. ``wrong-amount``, ``wrong-mode``: a payment is reported with one minor unit
more, or as of the other mode; any other answer is then unreadable.
"""

Operation = Literal[
    "check_credentials",
    "create_checkout",
    "fetch_payment",
    "capture",
    "cancel",
    "refund",
    "fetch_refund",
    "refunds_of",
    "disputes_of",
    "list_payments",
    "list_refunds",
    "list_disputes",
]

_WRITES: Final[frozenset[str]] = frozenset({"create_checkout", "capture", "cancel", "refund"})
_RETRY_AFTER_S: Final = 7

_REFUSALS: Final[dict[str | None, tuple[str, bool, int | None]]] = {
    "unavailable": ("The simulated gateway is not available.", True, None),
    "rate-limit": ("The simulated gateway asks to slow down.", True, _RETRY_AFTER_S),
    "garbage": ("The simulated gateway gave an unreadable answer.", False, None),
}


def carry_out(call: Callable[[], T], operation: Operation, fault: str | None, *, timeout_s: int) -> T:
    """Make a call of the host, with the fault that is due.

    Raises:
        GatewayError: The fault's, or the call's own.
    """
    if fault in _REFUSALS:
        message, retryable, wait_s = _REFUSALS[fault]
        raise GatewayError(message, retryable=retryable, code=fault, retry_after_s=wait_s)
    if fault in {"slow", "stall"}:
        time.sleep(timeout_s)
    if fault == "stall":
        raise _in_doubt(operation, "The simulated gateway did not answer in time.", "timeout")
    answer = call()
    if fault == "timeout-after-accept":
        raise _in_doubt(operation, "The simulated gateway did not answer in time.", "timeout")
    return answer if fault in {None, "slow"} else _spoiled(answer, operation, str(fault))


def _in_doubt(operation: Operation, message: str, code: str) -> GatewayError:
    return GatewayError(message, retryable=True, outcome_unknown=operation in _WRITES, code=code)


def _spoiled(answer: T, operation: Operation, fault: str) -> T:
    if not isinstance(answer, PaymentSnapshot) or fault == "unreadable":
        raise _in_doubt(operation, "The simulated gateway's answer cannot be relied on.", "unusable-reply")
    if fault == "wrong-mode":
        other: Mode = "live" if answer.mode == "test" else "test"
        return attrs.evolve(answer, mode=other)
    captured = answer.captured
    more = captured and captured + Money.from_minor(1, captured.currency)
    return attrs.evolve(answer, captured=more)
