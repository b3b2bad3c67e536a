"""Invoices to draw and to mail."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from prepaid.core.documents import Invoice, InvoiceLine, Party
from prepaid.core.money import Money
from prepaid.core.taxation import TaxDecision, TaxLine

SELLER = Party(
    name="Nimbus GmbH",
    address=("Invalidenstr. 1", "10115 Berlin", "DE"),
    tax_ids=("DE136695976",),
    email="billing@nimbus.example",
    phone="+49 30 1234567",
    website="https://nimbus.example",
)
BUYER = Party(
    name="Ada SARL",
    address=("Ada Lovelace", "1 rue X", "75001 Paris", "FR"),
    tax_ids=("FR40303265045",),
    email="ada@example.com",
)


def taxed(net: str, *taxes: tuple[str, str, str], currency: str = "EUR", **words: str) -> TaxDecision:
    """Decide a sale: net, then name, percent and amount of every tax."""
    base = Money.of(net, currency)
    lines = tuple(
        TaxLine(name=name, rate_percent=Decimal(percent), base=base, amount=Money.of(amount, currency))
        for name, percent, amount in taxes
    )
    total = sum((line.amount for line in lines), Money.zero(currency))
    treatment, category = ("standard", "S") if lines else ("not_collecting", "O")
    return TaxDecision(
        treatment=treatment, lines=lines, net=base, total=total, gross=base + total, category=category, **words
    )


def invoice(*, tax: TaxDecision | None = None, **changes: Any) -> Invoice:
    """Make an invoice; ``tax`` gives its amounts."""
    decision = tax if tax is not None else taxed("45.00", ("VAT", "20", "9.00"), explanation="VAT of France applies.")
    currency = decision.net.currency
    fields: dict[str, Any] = {
        "id": "inv_01m82v7m000000000000000000",
        "number": "INV26-000007",
        "issued_at": datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
        "issued_on": date(2026, 11, 23),
        "customer": "user-42",
        "buyer": BUYER,
        "seller": SELLER,
        "lines": (InvoiceLine(description="Account credit", net=decision.net),),
        "tax": decision,
        "net": decision.net,
        "total": decision.gross,
        "currency": currency,
        "mode": "live",
        "topup_id": "top_01m82v7m000000000000000000",
        "cause_id": "top_01m82v7m000000000000000000",
        "payment": ("stripe", "pi_3QHa7dLkdIwHu7ix1Zq8Yx0b"),
    }
    return Invoice(**{**fields, **changes})


def discounted() -> Invoice:
    """Make the invoice of a top-up with discount and bonus."""
    lines = (("Account credit 50.00 EUR", "50.00"), ("Promotion discount", "-5.00"), ("Bonus credit 5.00 EUR", "0.00"))
    return invoice(lines=tuple(InvoiceLine(description=text, net=Money.of(net, "EUR")) for text, net in lines))
