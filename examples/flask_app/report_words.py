"""Reports in words: what figures and the lines of the roll-forward are called, and what can be exported as what."""

from __future__ import annotations

from datetime import date
from typing import Any

from display import day

# In the order in which the reports list them.
FIGURES = {
    "funds_in": "Funds in",
    "credit_consumed": "Credit consumed",
    "tax_collected": "Tax collected",
    "refunds_issued": "Refunds issued",
    "bonus_granted": "Bonus granted",
    "discount": "Discounts",
    "vouchers": "Vouchers redeemed",
    "goodwill": "Goodwill",
    "breakage": "Expired credit",
    "fees": "Gateway fees",
    "disputed": "Disputed",
    "suspense_in": "Into review",
    "suspense_out": "Out of review",
}

# What came to balances first, then what left them.
LINES = {
    "topups": "Top-ups",
    "bonus": "Bonus of top-ups",
    "vouchers": "Vouchers redeemed",
    "goodwill": "Goodwill",
    "external": "Credit from elsewhere",
    "migration": "Balances brought along",
    "refund_reversals": "Refunds that failed",
    "consumed": "Usage",
    "expired": "Expired credit",
    "voided": "Credit taken back",
    "refunds": "Refunds",
    "clawbacks": "Bonus taken back",
    "disputes": "Disputes lost",
    "adjustments": "Anything else",
}

EXPORTS = {
    "transactions": "Transactions",
    "revenue": "Revenue",
    "invoices": "Invoices",
    "tax": "Tax",
    "journal": "Journal",
}

# What each has a row for.
ROWS = {
    "transactions": "Every movement of a customer's balance",
    "revenue": "Every day, with the figures of the reports, in all and by gateway",
    "invoices": "Every invoice and credit note",
    "tax": "Every tax, rate and month, with the sum of its documents",
    "journal": "Every movement as double entry: a debited and a credited account",
}

# Those of plugins are called by their own names.
FORMATS = {
    "csv": "CSV",
    "xlsx": "XLSX, for spreadsheets",
    "jsonl": "JSON lines, for programs",
    "beancount": "Beancount, the journal alone",
}


def span(days: int) -> str:
    """Name a span of days."""
    return "day" if days == 1 else f"{days:,} days"


def days(since: date, until: date) -> str:
    """Say on which days something was, the last one included."""
    return f"on {day(since)}" if since == until else f"from {day(since)} to {day(until)}"


def register(app: Any) -> None:
    """Give the templates of an app these words."""
    app.jinja_env.filters.update(span=span, days=days)
    app.jinja_env.globals.update(FIGURES=FIGURES, LINES=LINES, EXPORTS=EXPORTS, ROWS=ROWS)
