"""The states of a top-up and the steps between them.

A state moves only along this table, by ``UPDATE … WHERE state = :from``. Money
that the gateway captured wins over what we believed: ``failed``, ``expired``
and ``canceled`` still lead to ``credited`` or ``review``.
"""

from __future__ import annotations

from typing import Final, Literal

TopupState = Literal[
    "starting", "pending", "processing", "credited", "failed", "expired", "canceled", "review", "refunded"
]

TOPUP_STEPS: Final[dict[TopupState, frozenset[TopupState]]] = {
    "starting": frozenset({"pending", "processing", "credited", "failed", "expired", "canceled", "review"}),
    "pending": frozenset({"processing", "credited", "failed", "expired", "canceled", "review"}),
    "processing": frozenset({"credited", "failed", "expired", "canceled", "review"}),
    "failed": frozenset({"credited", "review"}),
    "expired": frozenset({"credited", "review"}),
    "canceled": frozenset({"credited", "review"}),
    "review": frozenset({"credited", "refunded"}),
    "credited": frozenset(),
    "refunded": frozenset(),
}

OPEN_STATES: Final[tuple[TopupState, ...]] = ("starting", "pending", "processing")
"""A checkout may still be paid, as far as we know."""

PAID_STATES: Final[tuple[TopupState, ...]] = ("credited", "review", "refunded")
"""A payment row exists; it is never posted again."""


def sources_of(target: TopupState) -> tuple[TopupState, ...]:
    """Give the states from which ``target`` may be reached, sorted."""
    return tuple(sorted(source for source, targets in TOPUP_STEPS.items() if target in targets))
