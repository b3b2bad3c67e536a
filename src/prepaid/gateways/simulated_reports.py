"""What the simulated gateway says of payments, refunds and disputes: rows of its memory in, values of the port out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast

import attrs

from ..core.errors import GatewayError, NotFound
from ..core.instants import from_micros
from ..core.money import Money
from ..ports import DisputeSnapshot, DisputeState, PaymentSnapshot, PaymentState, RefundSnapshot, RefundState

if TYPE_CHECKING:
    from sqlite3 import Row

    from .simulated_state import StateSession


def found(state: StateSession, table: str, object_id: str | None) -> Row:
    """Give a row by its id, to the payer's side.

    Raises:
        NotFound: There is none.
    """
    row = state.find(table, object_id)
    if row is None:
        raise NotFound(f"There is no such {table}.", field=f"{table}_id")
    return row


def known(state: StateSession, table: str, object_id: str | None) -> Row:
    """Give a row by its id, to the host's side.

    Raises:
        GatewayError: There is none.
    """
    row = state.find(table, object_id)
    if row is None:
        raise GatewayError(f"The simulated gateway knows no such {table}.", code="not-found")
    return row


def state_at(row: Row, now: datetime) -> PaymentState:
    """Give the state of a checkout; an open one past its time has expired."""
    if row["state"] == "open" and from_micros(row["expires_at"]) <= now:
        return "expired"
    return cast(PaymentState, row["state"])


def checkout_snapshot(state: StateSession, row: Row, now: datetime) -> PaymentSnapshot:
    """Give what the gateway says of a checkout: its first payment, with any others behind it."""
    payments = [payment_snapshot(state, payment) for payment in state.payments(row["id"])]
    if payments:
        return attrs.evolve(payments[0], further=tuple(payments[1:]))
    progress = state_at(row, now)
    return PaymentSnapshot(
        checkout_id=row["id"],
        topup_id=row["told_topup"] or None,
        state=progress,
        mode=row["told_mode"] or None,
        account=row["told_account"] or None,
        failure="declined" if progress == "failed" else "",
        created_at=from_micros(row["created"]),
    )


def payment_snapshot(state: StateSession, row: Row) -> PaymentSnapshot:
    """Give what the gateway says of one payment, without others of its checkout."""
    amount = Money.from_minor(row["minor"], row["currency"])
    captured = row["state"] == "captured"
    refunded = state.refunded(row["id"])
    return PaymentSnapshot(
        checkout_id=row["checkout"],
        payment_id=row["id"],
        topup_id=row["topup"] or None,
        state=cast(PaymentState, row["state"]),
        authorised=None if captured else amount,
        captured=amount if captured else None,
        mode=row["mode"] or None,
        account=row["account"] or None,
        method="simulated",
        refunded=Money.from_minor(refunded, row["currency"]) if refunded else None,
        disputed=bool(state.of_payment("dispute", row["id"])),
        created_at=from_micros(row["created"]),
    )


def refund_snapshot(row: Row) -> RefundSnapshot:
    """Give what the gateway says of a refund."""
    return RefundSnapshot(
        gateway_refund_id=row["id"],
        payment_id=row["payment"],
        refund_id=row["reference"],
        amount=Money.from_minor(row["minor"], row["currency"]),
        state=cast(RefundState, row["state"]),
        failure="declined" if row["state"] == "failed" else "",
        mode=row["mode"] or None,
        created_at=from_micros(row["created"]),
    )


def dispute_snapshot(row: Row) -> DisputeSnapshot:
    """Give what the gateway says of a dispute."""
    return DisputeSnapshot(
        dispute_id=row["id"],
        payment_id=row["payment"],
        amount=Money.from_minor(row["minor"], row["currency"]),
        state=cast(DisputeState, row["state"]),
        reason=row["reason"],
        mode=row["mode"] or None,
        created_at=from_micros(row["created"]),
    )
