"""The columns of every export: their headings, what their cells are, and what they hold.

The headings are fixed: a program that reads an export may rely on them. New ones
come at the end.
"""

from __future__ import annotations

from typing import Final

from ...core.figures import FIGURES
from ...export_ports import Column

ALL_GATEWAYS: Final = "*"
"""Stands for a gateway in the rows of all that moved; no gateway can have that name."""

_TRANSACTIONS: Final = (
    Column("id", "number", "number of the transfer, unique in its database"),
    Column("transaction", "text", "the transaction it is a part of, as the customer sees it"),
    Column("posted_at", "instant", "when it was posted"),
    Column("day", "day", "the day of that"),
    Column("customer", "text", "the customer's id"),
    Column("kind", "text", "kind of the transaction, such as `topup` or `charge`"),
    Column("amount", "amount", "what the wallet got, or gave if it is below zero"),
    Column("currency", "text", "currency of the amounts"),
    Column("balance_after", "amount", "the wallet's balance right after it"),
    Column("credit", "text", "`paid` or `promotional`, as in the customer's balance"),
    Column("grant_kind", "text", "kind of the grant it went to or came from; empty for a debt"),
    Column("description", "text", "what the customer reads"),
    Column("resource", "text", "the host's id of what was used"),
    Column("resource_kind", "text", "its kind"),
    Column("project", "text", "its project"),
    Column("period_start", "instant", "first instant of the usage"),
    Column("period_end", "instant", "first instant after it"),
    Column("topup", "text", "the top-up it belongs to"),
    Column("gateway", "text", "the gateway of that top-up; empty if nothing was to be paid"),
    Column("cause_type", "text", "what led to it, such as `usage`, `meter` or `refund`"),
    Column("cause", "text", "the id of that, or the caller's key"),
    Column("reverses", "text", "the transaction that it gives back"),
    Column("actor", "text", "who did it: an operator, `gateway:` and its name, or `system`"),
)

_FIGURES: Final = {
    "funds_in": "paid for top-ups that were credited, tax included",
    "credit_consumed": "usage charged, less what was given back",
    "tax_collected": "tax of top-ups, less that of refunds and lost disputes",
    "refunds_issued": "given back for credited top-ups, tax included",
    "bonus_granted": "bonus credit, less what was taken back",
    "discount": "credit that discounts gave, less what was taken back",
    "vouchers": "credit of vouchers that were redeemed",
    "goodwill": "credit that operators gave away",
    "breakage": "credit that expired",
    "fees": "what gateways kept",
    "disputed": "taken back by gateways for disputes, less what they returned",
    "suspense_in": "payments that began to wait for an operator",
    "suspense_out": "payments that waited no longer",
}

_REVENUE: Final = (
    Column("day", "day", "the day"),
    Column("currency", "text", "currency of the amounts"),
    Column("gateway", "text", f"a gateway, or `{ALL_GATEWAYS}` for all that moved on that day"),
    *(Column(name, "amount", _FIGURES[name]) for name in FIGURES),
)

_INVOICES: Final = (
    Column("number", "text", "number of the document"),
    Column("kind", "text", "`invoice` or `credit-note`"),
    Column("date", "day", "the date it bears"),
    Column("issued_at", "instant", "when it was issued"),
    Column("customer", "text", "the customer's id"),
    Column("buyer", "text", "the buyer's name, as printed"),
    Column("country", "text", "the buyer's country, as printed; where they were taken to be if no address is"),
    Column("jurisdiction", "text", "whose tax it bears"),
    Column("treatment", "text", "how the sale was taxed, such as `standard` or `reverse_charge`"),
    Column("tax_ids", "text", "the buyer's tax ids, as printed, with semicolons between them"),
    Column("net", "amount", "sum without tax; below zero on a credit note"),
    Column("tax", "amount", "the tax; below zero on a credit note"),
    Column("total", "amount", "sum with tax; below zero on a credit note"),
    Column("currency", "text", "currency of the amounts"),
    Column("corrects", "text", "number of the invoice that a credit note corrects"),
    Column("topup", "text", "the top-up it documents"),
    Column("gateway", "text", "the gateway of that top-up; empty if nothing was to be paid"),
    Column("payment", "text", "the gateway's id of the payment"),
    Column("id", "text", "id of the document"),
    Column("sha256", "text", "hash of its frozen record"),
)

_TAX: Final = (
    Column("period", "text", "calendar month, by the dates of the documents, such as `2026-11`"),
    Column("jurisdiction", "text", "whose tax it is"),
    Column("treatment", "text", "how the sales were taxed, such as `standard` or `reverse_charge`"),
    Column("category", "text", "EN 16931 category code"),
    Column("tax", "text", "name of the tax; empty if none was charged"),
    Column("rate", "number", "its rate in percent"),
    Column("currency", "text", "currency of the amounts"),
    Column("documents", "number", "how many documents bear it, credit notes with the invoices"),
    Column("base", "amount", "what it was applied to, less that of credit notes"),
    Column("amount", "amount", "the tax, less that of credit notes"),
)

_JOURNAL: Final = (
    Column("id", "number", "number of the transfer, unique in its database"),
    Column("transaction", "text", "the transaction it is a part of"),
    Column("posted_at", "instant", "when it was posted"),
    Column("day", "day", "the day of that"),
    Column("description", "text", "what the customer reads; empty if there is nothing to read"),
    Column("kind", "text", "kind of the transaction, such as `topup` or `charge`"),
    Column("customer", "text", "whose wallet takes part, if one does"),
    Column("debit", "text", "the ledger's account that is debited, such as `clearing:` and a gateway"),
    Column("credit", "text", "the ledger's account that is credited"),
    Column("debit_account", "text", "the name of the debited account in your books"),
    Column("credit_account", "text", "the name of the credited account in your books"),
    Column("amount", "amount", "what is debited and credited, above zero"),
    Column("currency", "text", "currency of the amount"),
)

COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "transactions": _TRANSACTIONS,
    "revenue": _REVENUE,
    "invoices": _INVOICES,
    "tax": _TAX,
    "journal": _JOURNAL,
}
"""The columns of every export by its name."""
