"""Proving transactions: each by the key, fingerprint and period that its content gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, Final

from attrs import frozen

from ..core import keys as formulas
from ..core.keys import Identity
from ..core.metering import HOUR
from ..store import Tx
from ..store.proofs import chains as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, written

_ACTORS: Final = {"usage": "host", "hold": "host", "reversal": "host", "meter": "system"}
"""Who posts, by the cause; an expiry is the system's, a void an operator's."""


def transactions(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every transaction by its own content; those of top-ups and gifts are proved with these."""
    book = tx.book_id
    for row in stored.heads(tx, scope, ("usage", "meter", "hold", "reversal", "grant")):
        for rule in _RULES:
            if not rule.holds(book, row):
                yield contradiction(rule.invariant, ("transfer", row.id), rule.expected, rule.found(row))
    for row in stored.impossible_parts(tx, scope):
        expected = "the part before it, transaction, cause and fingerprint of part 0, and no label"
        yield contradiction("L5", ("key", row.key_hash, row.part), expected, "not so")
    for row in stored.shared_transactions(tx, scope):
        yield contradiction("L5", ("transaction", row.transaction_id), "one key", "several")


def _is_identified(book: int, head: Any) -> bool:
    return Identity(head.key_hash, head.fingerprint) in _identities(book, head, head.owner or "")


def _identities(book: int, head: Any, owner: str) -> tuple[Identity, ...]:
    """Give what a transaction's own content makes of it."""
    cause, units = head.cause_id, head.amount + int(head.further or 0)
    amount = written(units, head.currency)
    match head.cause_type, head.kind:
        case "usage", kind:
            return (_usage(book, head, kind, amount=amount),)
        case "meter", _:
            start = _text(head.period_start)
            return (formulas.metered_hour(book, customer=owner, resource=cause, start=start, amount=amount),)
        case "hold", _:
            return (formulas.capture(book, customer=owner, hold_id=cause, amount=amount),)
        case "reversal", _:
            of = {"customer": owner, "key": cause, "transaction_id": head.reverses or ""}
            return tuple(formulas.reversal(book, **of, amount=asked) for asked in (amount, ""))
        case _, "expiry":
            place = head.wallet_seq or 0
            return (formulas.expiry(book, customer=owner, grant_id=cause, seq=place, units=units),)
        case _:
            return formulas.void(book, cause), formulas.void(book, cause, seq=head.wallet_seq)


def _usage(book: int, head: Any, operation: str, *, amount: str) -> Identity:
    return formulas.usage(
        book,
        operation,
        customer=head.owner or "",
        key=head.cause_id,
        amount=amount,
        resource=head.resource or "",
        kind=head.resource_kind or "",
        period=(_text(head.period_start), _text(head.period_end)),
    )


def _text(at: int | None) -> str:
    return "" if at is None else str(at)


def _has_actor(book: int, head: Any) -> bool:
    actor = head.actor
    if head.cause_type == "reversal" and head.cause_id.startswith("refund-request/"):
        return bool(actor)  # the operator who approved it; proved with the request
    return bool(actor and actor == _ACTORS.get(head.cause_type, "system" if head.kind == "expiry" else actor))


def _names_its_charge(book: int, head: Any) -> bool:
    return bool((head.cause_type == "reversal") == (head.reverses is not None))


def _is_filed(book: int, head: Any) -> bool:
    """Tell whether what was charged for a period is found under that period, and nothing else."""
    resource, start = head.resource, head.period_start
    dated = resource is not None and start is not None and head.kind == "charge"
    return bool(head.charge_period_key == (formulas.period_key(book, resource, str(start)) if dated else None))


def _counts(book: int, head: Any) -> bool:
    """Tell whether a transaction counts when its period ended or, without one, when it was posted."""
    end = head.period_end
    if (head.period_start is None) != (end is None):
        return False
    if head.cause_type == "reversal":
        return True  # in the period of its charge
    if end is not None:
        return bool(head.effective_at == end)
    # The void of a grant is posted a moment after it was asked for.
    return bool(head.effective_at == head.posted_at or (head.cause_type, head.kind) == ("grant", "adjustment"))


def _is_an_hour(book: int, head: Any) -> bool:
    if head.cause_type != "meter":
        return True
    start, end = head.period_start, head.period_end
    ended = start is not None and end == start + HOUR and head.posted_at >= end
    return bool(ended and head.resource == head.cause_id)


@frozen
class _Rule:
    """What is true of every transaction, by its first transfer."""

    invariant: str
    holds: Callable[[int, Any], bool]
    expected: str
    found: Callable[[Any], object]


_RULES: Final = (
    _Rule(
        "L5",
        _is_identified,
        "the key of its owner and cause, the fingerprint of its content",
        attrgetter("owner", "cause_type", "cause_id", "amount", "further", "key_hash", "fingerprint"),
    ),
    _Rule("L5", _has_actor, "the actor of its cause", attrgetter("cause_type", "actor")),
    _Rule("L5", _names_its_charge, "what it gives back, if it is a reversal", attrgetter("cause_type", "reverses")),
    _Rule(
        "B3",
        _is_filed,
        "a charge under the period of its resource, nothing else under any",
        attrgetter("resource", "period_start", "charge_period_key"),
    ),
    _Rule(
        "B3",
        _counts,
        "effective at its period's end, or when it was posted",
        attrgetter("period_start", "period_end", "effective_at", "posted_at"),
    ),
    _Rule(
        "B3",
        _is_an_hour,
        "an hour of its resource that had ended",
        attrgetter("cause_id", "resource", "period_start", "period_end", "posted_at"),
    ),
)
