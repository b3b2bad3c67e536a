"""Proving numbers, accounts and transfers: what is stored, what is posted, and each wallet row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, get_args

from ..core.money import MINOR_DIGITS, scale_of
from ..core.transfers import AccountKind
from ..store import Tx
from ..store.proofs import chains as stored
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, unless_equal


def numbers(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove that money and instants are integers, and currencies kept at their scale."""
    for table, column, rows in stored.oddly_stored(tx, scope):
        yield contradiction("L7", (table, column), "values of the column's type", f"{rows} others")
    for row in stored.currencies(tx):
        known = row.code in MINOR_DIGITS
        expected = f"scale, minor digits {(scale_of(row.code), MINOR_DIGITS[row.code]) if known else 'of ISO 4217'}"
        found = f"scale, minor digits {(row.scale, row.minor_digits)}"
        yield from unless_equal("L7", ("currency", row.code), expected, found)


_CLAWED: Final = (("wallet", "promotion"), ("promotion", "wallet"))

_POSTED: Final = (
    ("topup", "topup", "clearing", "wallet"),
    ("topup", "topup", "promotion", "wallet"),
    ("topup", "topup", "clearing", "tax_payable"),
    ("topup", "topup", "clearing", "suspense"),
    ("topup", "topup", "suspense", "wallet"),
    ("topup", "topup", "suspense", "tax_payable"),
    ("goodwill", "topup", "goodwill", "wallet"),
    ("suspense-refund", "refund", "suspense", "refunds_in_transit"),
    ("suspense-refund", "refund", "refunds_in_transit", "clearing"),
    ("suspense-refund", "refund", "clearing", "refunds_in_transit"),
    ("suspense-refund", "refund", "refunds_in_transit", "suspense"),
    ("refund", "refund", "wallet", "refunds_in_transit"),
    ("refund", "refund", "refunds_in_transit", "clearing"),
    ("refund", "refund", "refunds_in_transit", "promotion"),
    ("refund", "refund", "promotion", "refunds_in_transit"),
    ("refund", "refund", "tax_payable", "clearing"),
    ("refund", "refund", "disputes", "clearing"),
    ("refund-reversal", "refund", "clearing", "refunds_in_transit"),
    ("refund-reversal", "refund", "promotion", "refunds_in_transit"),
    ("refund-reversal", "refund", "refunds_in_transit", "promotion"),
    ("refund-reversal", "refund", "clearing", "tax_payable"),
    ("refund-reversal", "refund", "clearing", "disputes"),
    ("refund-reversal", "refund", "refunds_in_transit", "wallet"),
    *(("clawback", cause, *pair) for cause in ("refund", "dispute") for pair in _CLAWED),
    ("dispute", "dispute", "disputes", "clearing"),
    *(("dispute", "dispute", "wallet", target) for target in ("disputes", "promotion")),
    *(("dispute", "dispute", source, "disputes") for source in ("tax_payable", "promotion")),
    ("dispute-reversal", "dispute", "clearing", "disputes"),
    *(("dispute-reversal", "dispute", source, "wallet") for source in ("disputes", "promotion")),
    *(("dispute-reversal", "dispute", "disputes", target) for target in ("tax_payable", "promotion")),
    ("fee", "payment", "fees", "clearing"),
    ("fee", "dispute", "fees", "clearing"),
    ("fee", "dispute", "clearing", "fees"),
    ("bonus", "topup", "promotion", "wallet"),
    ("bonus", "operator", "promotion", "wallet"),
    ("goodwill", "operator", "goodwill", "wallet"),
    ("external", "operator", "external", "wallet"),
    ("migration", "operator", "migration", "wallet"),
    ("voucher", "voucher", "promotion", "wallet"),
    ("charge", "usage", "wallet", "revenue"),
    ("charge", "meter", "wallet", "revenue"),
    ("charge", "hold", "wallet", "revenue"),
    ("adjustment", "usage", "wallet", "revenue"),
    ("reversal", "reversal", "revenue", "wallet"),
    ("expiry", "grant", "wallet", "breakage"),
    *(("adjustment", "grant", "wallet", source) for source in ("promotion", "goodwill", "external", "migration")),
)
"""Kind and cause of every transfer that may be posted, with the kinds of its debit and credit account."""


def transfers(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove that transfers join accounts that their kind posts between."""
    for row in stored.impossible_accounts(tx, get_args(AccountKind)):
        expected = "a known kind, no floor above zero; figures on wallets only"
        yield contradiction("L4", ("account", row.id), expected, tuple(row)[1:])
    for row in stored.impossible_transfers(tx, scope):
        expected = "an amount above zero, accounts of its book and currency, one wallet at most"
        yield contradiction("L1", ("transfer", row.id), expected, "not so")
    for row in stored.unlisted_postings(tx, scope, _POSTED):
        posted = f"{row.kind} by {row.cause_type}: {row.debit} -> {row.credit}"
        yield contradiction("L8", ("transfer", row.id), "accounts that its kind posts between", posted)


def chains(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every wallet row by row: its numbers and its balances."""
    for row in stored.broken_links(tx, scope):
        # On from what stands there, so that one wrong row is one finding.
        expected = ((row.seq_before or 0) + 1, (row.balance_before or 0) + int(row.moved))
        found = (row.wallet_seq, row.wallet_after)
        yield contradiction("L2", ("transfer", row.id), f"place and balance {expected}", f"place and balance {found}")
    for row in stored.broken_ends(tx, scope):
        yield contradiction("L2", ("account", row.id), _last(row), f"balance {row.balance} after {row.seq} transfers")


def _last(row: Any) -> str:
    after = "no transfer" if row.wallet_after is None and row.seq else f"balance {row.wallet_after or 0}"
    return f"{after} at place {row.seq}, and none beyond"
