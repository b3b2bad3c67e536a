"""Proving numbers, accounts and transfers: what is stored, what is posted, and each wallet row by row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, get_args

from ..core.money import MINOR_DIGITS, scale_of
from ..core.transfers import AccountKind
from ..store import Tx
from ..store.proofs import chains as stored
from .findings import Finding, contradiction, unless_equal


def numbers(tx: Tx) -> Iterator[Finding]:
    """Prove that money and instants are integers, and currencies kept at their scale."""
    for table, column, rows in stored.oddly_stored(tx):
        yield contradiction("L7", (table, column), "values of the column's type", f"{rows} others")
    for row in stored.currencies(tx):
        scale = scale_of(row.code) if row.code in MINOR_DIGITS else "of ISO 4217"
        yield from unless_equal("L7", ("currency", row.code), f"scale {scale}", f"scale {row.scale}")


_POSTED: Final = (
    ("topup", "topup", "clearing", "wallet"),
    ("topup", "topup", "promotion", "wallet"),
    ("topup", "topup", "clearing", "tax_payable"),
    ("topup", "topup", "clearing", "suspense"),
    ("bonus", "topup", "promotion", "wallet"),
    ("bonus", "operator", "promotion", "wallet"),
    ("goodwill", "operator", "goodwill", "wallet"),
    ("external", "operator", "external", "wallet"),
    ("migration", "operator", "migration", "wallet"),
    ("charge", "usage", "wallet", "revenue"),
    ("charge", "meter", "wallet", "revenue"),
    ("charge", "hold", "wallet", "revenue"),
    ("adjustment", "usage", "wallet", "revenue"),
    ("reversal", "reversal", "revenue", "wallet"),
    ("expiry", "grant", "wallet", "breakage"),
    *(("adjustment", "grant", "wallet", source) for source in ("promotion", "goodwill", "external", "migration")),
)
"""Kind and cause of every transfer that may be posted, with the kinds of its debit and credit account."""


def transfers(tx: Tx) -> Iterator[Finding]:
    """Prove that transfers join accounts that their kind posts between."""
    for row in stored.impossible_accounts(tx, get_args(AccountKind)):
        expected = "a known kind, no floor above zero; figures on wallets only"
        yield contradiction("L4", ("account", row.id), expected, tuple(row)[1:])
    for row in stored.impossible_transfers(tx):
        expected = "accounts of its book and currency, one wallet at most"
        yield contradiction("L1", ("transfer", row.id), expected, "not so")
    for row in stored.unlisted_postings(tx, _POSTED):
        posted = f"{row.kind} by {row.cause_type}: {row.debit} -> {row.credit}"
        yield contradiction("L8", ("transfer", row.id), "accounts that its kind posts between", posted)


def chains(tx: Tx) -> Iterator[Finding]:
    """Prove every wallet row by row: its numbers and its balances."""
    state: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in stored.wallet_rows(tx):
        seq, balance = state[row.wallet_id]
        after = balance + row.sign * row.amount
        expected, found = (seq + 1, after), (row.wallet_seq, row.wallet_after)
        yield from unless_equal("L2", ("transfer", row.id), expected, found)
        # On from what stands there, so that one wrong row is one finding.
        state[row.wallet_id] = expected if None in found else found
    for wallet_id, (balance, seq) in stored.wallets(tx).items():
        if state[wallet_id] != (seq, balance):
            yield contradiction("L2", ("account", wallet_id), f"seq and balance {state[wallet_id]}", (seq, balance))
