"""What waits at the desk, and each request with its history."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from ..config import Context, object_id, page_limit
from ..core.errors import InvalidRequest
from ..core.pages import Page, make_cursor, read_cursor
from ..core.refund_requests import OPEN_REQUESTS, REQUEST_STEPS, RequestedRefund, RequestState
from ..core.refunds import Refund
from ..store import Tx, audits, refund_requests, refunds
from ..store.audits import AuditEntry
from .decisions import unknown

QUEUES: Final[dict[str, tuple[RequestState, ...]]] = {
    "open": OPEN_REQUESTS,
    "all": tuple(sorted(REQUEST_STEPS)),
    **{state: (state,) for state in REQUEST_STEPS},
}
"""What the queue shows, by its name: what waits, everything, or one state."""


@frozen(kw_only=True)
class RefundCase:
    """A request with what an operator wants to know of it.

    Attributes:
        request: As its customer made it, and what became of it.
        refund: The refund that answers it, or None.
        history: What was done about it, oldest first.
    """

    request: RequestedRefund
    refund: Refund | None
    history: tuple[AuditEntry, ...] = field(repr=False)


def queue(context: Context, *, state: object, cursor: str | None, limit: int) -> Page[RequestedRefund]:
    """List requests, oldest first.

    Raises:
        InvalidRequest: Not a state of the queue, a foreign cursor, or a limit out of range.
    """
    if not isinstance(state, str) or state not in QUEUES:
        raise InvalidRequest(f"state is one of {', '.join(QUEUES)}.", field="state")
    size, after = page_limit(limit), read_cursor("q", cursor)
    states = QUEUES[state]
    rows = context.database.read(lambda tx: refund_requests.of_states(tx, states, after=after, limit=size + 1))
    return Page(tuple(rows[:size]), make_cursor("q", rows[size - 1].id) if len(rows) > size else None)


def case_of(context: Context, request_id: object) -> RefundCase:
    """Read a request with its refund and its history.

    Raises:
        NotFound: There is none of that id.
    """
    wanted = object_id(request_id, field="refund")

    def read(tx: Tx) -> RefundCase:
        request = refund_requests.find(tx, wanted)
        if request is None:
            raise unknown()
        known = None if request.refund_id is None else refunds.find(tx, request.refund_id)
        targets = [wanted, *((request.refund_id,) if request.refund_id else ())]
        history = tuple(audits.of_targets(tx, targets))
        return RefundCase(request=request, refund=None if known is None else known.refund, history=history)

    return context.database.read(read)
