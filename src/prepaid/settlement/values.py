"""What settling a top-up comes to."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from ..core.topups import Topup

SettlementOutcome = Literal[
    "credited", "duplicate", "review", "pending", "failed", "expired", "canceled", "mismatch", "unreachable"
]

Close = Literal["lapse", "cancel"]
"""Make an unpaid checkout unpayable: because its time is over, or because the customer gave it up."""

UnpaidState = Literal["pending", "processing", "failed", "expired", "canceled"]


@frozen
class Settled:
    """A top-up after settlement, and what this call did."""

    topup: Topup
    outcome: SettlementOutcome
