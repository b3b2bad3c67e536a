"""The proofs in their order, on one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from ..config import Context
from ..core.errors import InvalidRequest
from ..store import Tx, outbox
from ..store.proofs.reading import count
from .chains import chains, numbers, transfers
from .documents import documents
from .findings import Finding, IntegrityReport
from .grants import grants
from .holds import holds
from .keys import transactions
from .meters import meters
from .topups import topups


def check(context: Context, on_step: Callable[[str], None] | None = None) -> IntegrityReport:
    """Prove a book on one snapshot.

    Args:
        context: The billing system.
        on_step: Told what is being proved, for a progress display.

    Raises:
        InvalidRequest: ``on_step`` cannot be called.
    """
    if on_step is not None and not callable(on_step):
        raise InvalidRequest("on_step is a function of one word.", field="on_step")

    def work(tx: Tx) -> IntegrityReport:
        findings: list[Finding] = []
        proofs = PROOFS | {"meters": partial(meters, timezone=context.seller.timezone)}
        for name, proof in proofs.items():
            if on_step is not None:
                on_step(name)
            findings.extend(proof(tx))
            if name == "numbers" and findings:
                break  # nothing can be summed over what is no number
        counted = {name: count(tx, name) for name in ("transfer", "grant", "topup", "payment", "invoice")}
        return IntegrityReport(ok=not findings, findings=tuple(findings), counted=counted)

    return context.database.read(work)


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


PROOFS: Final[dict[str, Callable[[Tx], Iterator[Finding]]]] = {
    "numbers": numbers,
    "transfers": transfers,
    "wallet chains": chains,
    "grants": grants,
    "holds": holds,
    "keys": transactions,
    "top-ups": topups,
    "documents": documents,
}
