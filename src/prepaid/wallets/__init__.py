"""Wallets: posting, what is due on them, levels that are told, balances."""

from ..core.batches import Taken
from .balances import balance, balance_at, balances, grants_of
from .batches import MOST, NotPosted, Wanted, debits_of, optimistic, post_debits
from .dates import run_due
from .due import hold_swept, sweep
from .posting import (
    credit_accounts,
    post_credits,
    post_debit,
    post_later,
    post_system,
    replay,
    revenue_accounts,
    spend,
)
from .values import Accounts, Conflict, Credit, Debit, Done, GrantSpec, Replayed, Short

__all__ = [
    "MOST",
    "Accounts",
    "Conflict",
    "Credit",
    "Debit",
    "Done",
    "GrantSpec",
    "NotPosted",
    "Replayed",
    "Short",
    "Taken",
    "Wanted",
    "balance",
    "balance_at",
    "balances",
    "credit_accounts",
    "debits_of",
    "grants_of",
    "hold_swept",
    "optimistic",
    "post_credits",
    "post_debit",
    "post_debits",
    "post_later",
    "post_system",
    "replay",
    "revenue_accounts",
    "run_due",
    "spend",
    "sweep",
]
