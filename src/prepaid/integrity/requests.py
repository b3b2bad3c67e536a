"""Proving requests for refunds: each is its customer's, and is where what answers it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..core import keys as formulas
from ..core.refund_requests import OPEN_REQUESTS, REQUEST_STEPS
from ..core.refunds import LOST_REFUNDS, OPEN_REFUNDS
from ..store import Tx
from ..store.proofs import requests as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, unless_equal, written

_ANSWERED: Final = {"approved": OPEN_REFUNDS, "refunded": ("succeeded",), "failed": LOST_REFUNDS}
"""The states of a request of a top-up that was approved, and those of its refund."""


def requests(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every request by its subject, its key and what answers it, if everything is proved."""
    if not scope.is_whole:
        return
    for row in stored.request_rows(tx):
        keys = ("request", row.id)
        yield from _asked(row, keys)
        yield from _decided(row, keys)
    for row in stored.unrequested(tx):
        yield contradiction("B7", ("refund", row.id), f"the request {row.request_id} that it answers", "none")
    for row in stored.untold(tx):
        yield contradiction("B9", ("request", row.id), f"the event {row.key}", "none")


def _asked(row: Any, keys: tuple[str, str]) -> Iterator[Finding]:
    owner = row.topup_customer if row.kind == "topup" else row.charge_owner
    yield from unless_equal("B7", keys, f"of {owner}", f"of {row.customer}")
    amount = written(row.amount, row.currency)
    of = {"customer": row.customer, "key": "", "subject_id": row.subject_id, "amount": amount}
    if formulas.refund_request(0, **of).fingerprint != row.fingerprint:
        yield contradiction("L5", keys, f"the fingerprint of {amount} of {row.subject_id}", "another")
    is_open = row.subject_id if row.state in OPEN_REQUESTS else None
    yield from unless_equal("B7", keys, f"open for {is_open}", f"open for {row.open_subject}")


def _decided(row: Any, keys: tuple[str, str]) -> Iterator[Finding]:
    if row.state not in REQUEST_STEPS:
        yield contradiction("B6", keys, "a state that steps lead to", row.state)
    elif row.approved is not None and not 0 < row.approved <= row.amount:
        yield contradiction("B7", keys, f"at most {row.amount} approved", row.approved)
    elif row.state in _ANSWERED:
        if row.decided_by in ("", row.customer) or row.decided_at is None:
            yield contradiction("B7", keys, "who approved it, who is not its customer", row.decided_by)
        yield from (_of_topup if row.kind == "topup" else _of_charge)(row, keys)
    elif row.refund_id is not None or row.transaction_id is not None:
        yield contradiction("B7", keys, f"no answer to one that is {row.state}", (row.refund_id, row.transaction_id))


def _of_topup(row: Any, keys: tuple[str, str]) -> Iterator[Finding]:
    answer = (row.refund_topup_id, row.refund_credit, row.refund_request_id, row.refund_actor)
    yield from unless_equal("B7", keys, (row.subject_id, row.approved, row.id, row.decided_by), answer)
    if row.refund_state not in _ANSWERED[row.state]:
        yield contradiction("B6", keys, f"a refund of one that is {row.state}", row.refund_state)


def _of_charge(row: Any, keys: tuple[str, str]) -> Iterator[Finding]:
    given = None if row.given is None else int(row.given)
    answer = (row.state, row.answer_kind, row.answer_reverses, row.answer_actor, given)
    yield from unless_equal("B7", keys, ("refunded", "reversal", row.subject_id, row.decided_by, row.approved), answer)
