"""What goes back of a top-up, in the ledger: for refunds and for disputes, and back again if they fail or are won."""

from .again import hold_freed, hold_freed_now, rebalance
from .disputes import book_dispute
from .eligibility import (
    charge_eligible,
    charge_givable,
    charges_eligible,
    not_credited,
    require_givable,
    topup_eligible,
    topup_givable,
    topups_eligible,
)
from .refunds import follow, give_back_refund, settle_refund, take_for_refund
from .steps import Held, Prepared, hold_sold, hold_topup, prepare

__all__ = [
    "Held",
    "Prepared",
    "book_dispute",
    "charge_eligible",
    "charge_givable",
    "charges_eligible",
    "follow",
    "give_back_refund",
    "hold_freed",
    "hold_freed_now",
    "hold_sold",
    "hold_topup",
    "not_credited",
    "prepare",
    "rebalance",
    "require_givable",
    "settle_refund",
    "take_for_refund",
    "topup_eligible",
    "topup_givable",
    "topups_eligible",
]
