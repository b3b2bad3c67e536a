"""The proofs in their order, on one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Final

from ..config import Context
from ..core.errors import InvalidRequest
from ..store import Tx, outbox
from ..store.proofs.reading import count
from ..store.proofs.scope import Scope, place_of, read_place
from .audits import audits
from .chains import chains, numbers, transfers
from .digests import digests
from .disputes import disputes
from .documents import documents
from .findings import Finding, IntegrityReport
from .grants import grants
from .holds import holds
from .identities import identities
from .keys import transactions
from .levels import levels
from .meters import meters
from .promotions import promotions
from .refunds import refunds
from .requests import requests
from .reversals import reversals
from .rollups import rollups
from .taxes import taxes
from .topups import topups
from .vouchers import vouchers

MOST_FINDINGS: Final = 1000
"""A check that found so many stops: books that are wrong everywhere are not listed row by row."""

Proof = Callable[[Tx, Scope], Iterator[Finding]]
OnProgress = Callable[[str, int, int], object]


def check(context: Context, *, since: str | None = None, on_progress: OnProgress | None = None) -> IntegrityReport:
    """Prove a book on one snapshot.

    Args:
        context: The billing system.
        since: The place that an earlier report gave: what is new since then, and what
            that touches, is proved. Everything if None.
        on_progress: Told what is proved next, how many proofs are done, and of how many.

    Raises:
        InvalidRequest: ``since`` is no place of this book, or ``on_progress`` cannot be called.
    """
    if on_progress is not None and not callable(on_progress):
        raise InvalidRequest("on_progress is a function of a word and two numbers.", field="on_progress")
    tell, now = on_progress or (lambda name, done, of: None), context.now()
    hours = {"meters": partial(_hours, timezone=context.seller.timezone)}
    return context.database.read(lambda tx: _check(tx, now, proofs=PROOFS | hours, since=since, tell=tell))


def _hours(tx: Tx, scope: Scope, *, timezone: str) -> Iterator[Finding]:
    """Prove the meters, if everything is proved: hours are counted from a meter's start."""
    return meters(tx, timezone=timezone) if scope.is_whole else iter(())


def _check(
    tx: Tx, now: datetime, *, proofs: Mapping[str, Proof], since: str | None, tell: OnProgress
) -> IntegrityReport:
    scope = read_place(tx, since)
    findings: list[Finding] = []
    complete = True
    for done, (name, proof) in enumerate(proofs.items()):
        tell(name, done, len(proofs))
        findings.extend(islice(proof(tx, scope), MOST_FINDINGS - len(findings)))
        # Nothing can be summed over what is no number.
        complete = len(findings) < MOST_FINDINGS and not (name == "numbers" and findings)
        if not complete:
            break
    counted = {name: count(tx, name) for name in ("transfer", "grant", "topup", "payment", "invoice")}
    place = since if findings else place_of(tx, now)
    return IntegrityReport(
        ok=not findings, findings=tuple(findings), counted=counted, place=place, is_complete=complete
    )


def health(context: Context) -> dict[str, Any]:
    """Say whether the database answers and how many effects wait or are parked."""
    waiting = context.database.read(outbox.counts)
    return {
        "ok": not waiting.get("dead", 0),
        "mode": context.mode,
        "outbox_pending": waiting.get("pending", 0),
        "outbox_parked": waiting.get("dead", 0),
        "gateways": tuple(context.gateways),
    }


PROOFS: Final[dict[str, Proof]] = {
    "numbers": numbers,
    "transfers": transfers,
    "wallet chains": chains,
    "grants": grants,
    "holds": holds,
    "reversals": reversals,
    "keys": transactions,
    "levels": levels,
    "top-ups": topups,
    "promotions": promotions,
    "refunds": refunds,
    "refund requests": requests,
    "disputes": disputes,
    "vouchers": vouchers,
    "documents": documents,
    "taxes": taxes,
    "identity": identities,
    "digests": digests,
    "acts": audits,
    "rollups": rollups,
}
