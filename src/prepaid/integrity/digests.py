"""Proving digests: what was frozen of a day is what its mail was written for, and each has its mail."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.hashing import sha256
from ..store import Tx
from ..store.proofs import digests as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, record_of, unless_equal


def digests(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every digest by the effect that mails it, and every such effect by its digest, if everything is proved."""
    if not scope.is_whole:
        return
    for row in stored.digest_rows(tx):
        keys = ("digest", row.day)
        yield from unless_equal("B9", keys, row.day, record_of(row.facts).get("day"))
        expected = {"day": row.day, "digest": row.id, "sha256": sha256(row.facts)}
        if record_of(row.payload or "") != expected:
            yield contradiction("B9", keys, "one mail of these facts", "none")
    for row in stored.stray_mails(tx):
        yield contradiction("B9", ("outbox", row.id), "the digest that it mails", "none")
