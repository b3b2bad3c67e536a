"""What waits at the desk, each request with its history, what can be given back, and the rules of it."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from .. import returning
from ..config import Context, object_id, page_limit
from ..core.errors import InvalidRequest, NotFound, WrongState
from ..core.money import Money
from ..core.pages import Page, make_cursor, read_cursor
from ..core.refund_requests import (
    DISPUTES_SETTING,
    OPEN_REQUESTS,
    REFUNDS_SETTING,
    REQUEST_STEPS,
    EligibleRefund,
    RefundRules,
    RequestedRefund,
    RequestState,
    refund_policy,
)
from ..core.refunds import Refund
from ..store import Tx, audits, ledger, operations, refund_requests, refunds, topups
from ..store.audits import AuditEntry
from ..wallets import reversing
from .decisions import given_back, rule, unknown

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
        given_back: Credit that operators gave back of the same top-up or charge so far.
        history: What was done about it, oldest first.
    """

    request: RequestedRefund
    refund: Refund | None
    given_back: Money
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
        return RefundCase(
            request=request,
            refund=None if known is None else known.refund,
            given_back=given_back(tx, request.kind, request.subject_id, request.amount.currency),
            history=tuple(audits.of_targets(tx, targets)),
        )

    return context.database.read(read)


def eligible_of(context: Context, subject_id: object, *, by_hand: bool) -> EligibleRefund:
    """Say how much of a top-up or a charge an operator can give back now, whenever it was and whoever asked for it.

    Args:
        context: The billing system.
        subject_id: The top-up, or the charge's transaction.
        by_hand: By other means than the gateway, which then refuses nothing.

    Raises:
        RefundRefused: It is a top-up that is not credited, with the reason.
        NotFound: There is none of that id.
    """
    wanted = object_id(subject_id, field="refund")

    def read(tx: Tx) -> EligibleRefund:
        if wanted.startswith("top_"):
            return _topup_eligible(tx, context, wanted, by_hand=by_hand)
        try:
            charge = reversing.reversible(ledger.find_charge(tx, wanted), None)
        except (NotFound, WrongState):
            raise _nothing() from None
        return returning.charge_givable(tx, context, charge)

    return context.database.read(read)


def _topup_eligible(tx: Tx, context: Context, topup_id: str, *, by_hand: bool) -> EligibleRefund:
    stored = topups.find(tx, topup_id)
    if stored is None:
        raise _nothing()
    found = returning.topup_givable(tx, context, topup_id, by_hand=by_hand)
    if found is None:
        raise returning.not_credited(stored.topup)
    return found


def _nothing() -> NotFound:
    return NotFound("There is no such top-up or charge.", field="refund")


def rules(context: Context) -> RefundRules:
    """Read what the book has set about refunds and disputes."""

    def read(tx: Tx) -> RefundRules:
        policy = refund_policy(operations.read_setting(tx, REFUNDS_SETTING))
        disputes = operations.read_setting(tx, DISPUTES_SETTING) or {}
        return RefundRules(
            two_person_above=rule(tx).two_person_above,
            topups_within=policy.topups_within,
            charges_within=policy.charges_within,
            freezes=bool(disputes.get("freeze")),
        )

    return context.database.read(read)
