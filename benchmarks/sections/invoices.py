"""How many invoices of one page a process draws in a second."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from attrs import evolve

from prepaid import Money
from prepaid.core.documents import Invoice, InvoiceLine, Party
from prepaid.core.taxation import TaxDecision, TaxLine
from prepaid.invoicing.pdf import PdfRenderer

from ..books import CURRENCY
from ..figures import Figure
from ..rounds import rate
from ..stage import Stage, timed

_NET, _TAX, _GROSS = (Money.of(amount, CURRENCY) for amount in ("45.00", "9.00", "54.00"))

_MODEL = Invoice(
    id="inv_01m82v7m000000000000000000",
    number="TINV26-000001",
    issued_at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC),
    issued_on=date(2026, 11, 23),
    customer="user-42",
    buyer=Party(
        name="Ada SARL", address=("1 rue X", "75001 Paris", "FR"), tax_ids=("FR40303265045",), email="ada@example.com"
    ),
    seller=Party(
        name="Nimbus GmbH",
        address=("Invalidenstr. 1", "10115 Berlin", "DE"),
        tax_ids=("DE136695976",),
        email="billing@nimbus.example",
    ),
    lines=(InvoiceLine(description="Account credit", net=_NET),),
    tax=TaxDecision(
        treatment="standard",
        lines=(TaxLine(name="TVA", rate_percent=Decimal(20), base=_NET, amount=_TAX),),
        net=_NET,
        total=_TAX,
        gross=_GROSS,
        category="S",
        explanation="VAT of France applies.",
    ),
    net=_NET,
    total=_GROSS,
    currency=CURRENCY,
    mode="test",
    topup_id="top_01m82v7m000000000000000000",
    cause_id="top_01m82v7m000000000000000000",
    payment=("Card", "pay_1"),
)


def invoices(stage: Stage) -> list[Figure]:
    """Draw invoices that differ in number and buyer, as those of a day do.

    Raises:
        RuntimeError: One is not a document of one page.
    """
    renderer, count = PdfRenderer(), stage.size(50, 3)
    drawn = [evolve(_MODEL, number=f"TINV26-{number:06d}", customer=f"user-{number}") for number in range(count)]
    if renderer.render(drawn[0]).count(b"/Type /Page\n") != 1:
        raise RuntimeError("an invoice has more than one page")
    found = stage.in_turn({"invoices": lambda: rate(count, lambda: [*map(renderer.render, drawn)])}, rounds=5)
    return [timed("invoices", found["invoices"], unit="/s")]
