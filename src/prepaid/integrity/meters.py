"""Proving meters: the hours of a resource add up to its price."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from ..core.meter_proof import contradictions
from ..store import Tx
from ..store.proofs import meters as stored
from ..store.proofs.reading import orphans
from .findings import Finding, contradiction


def meters(tx: Tx, *, timezone: str) -> Iterator[Finding]:
    """Prove the meters of each resource in the order of time; their months begin in the seller's zone."""
    for _, rows in groupby(stored.metered_hours(tx), key=attrgetter("resource")):
        for keys, expected, found in contradictions(rows, timezone):
            yield contradiction("B3", keys, expected, found)
    for meter_id in orphans(tx, "meter_segment", "meter_id"):
        yield contradiction("B3", ("meter", meter_id), "the meter of a segment", "none")
