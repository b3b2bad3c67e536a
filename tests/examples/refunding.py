"""Steps of stories about money that goes back, on the example's pages."""

from __future__ import annotations

import html
import re
from typing import Any

from prepaid import Money
from tests.examples.visiting import Visitor, hidden

UNKNOWN = ("top_01m82v7m000000000000000000", "txn_01m82v7m000000000000000000", "", "x" * 300, "<b>")
MARKUP = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def eur(amount: str) -> Money:
    return Money.of(amount, "EUR")


def text_of(page: str) -> str:
    """Give the words of a page's content."""
    return " ".join(html.unescape(re.sub("<[^>]+>", " ", page.partition("<main")[2])).split())


def ask(visitor: Visitor, subject_id: str, amount: str, *, reason: str = "not needed", **fields: str) -> Any:
    url = f"/refunds/ask?of={subject_id}"
    form = {"key": hidden(visitor.get(url).text).get("key", "form"), "amount": amount, "reason": reason, **fields}
    return visitor.post(url, **form)


def asked_for(panel: Any, subject_id: str, amount: str, *, customer: str = "ada", reason: str = "not needed") -> Any:
    door = panel.billing.customer(customer)
    return door.refunds.request(subject_id, eur(amount), reason=reason, key=f"{subject_id}-{amount}")


def decide(
    visitor: Visitor, request: Any, decision: str = "approve", *, person: str = "operator", **fields: str
) -> Any:
    form = {"amount": f"{request.amount.amount:f}", "reason": "fair", "note": "", **fields}
    return visitor.be(person).post(f"/operator/refunds/{request.id}/decide", decision=decision, **form)


def record(visitor: Visitor, place: str, **fields: str) -> Any:
    form = {"amount": "10.00", "reference": "SEPA 7", "reason": "sent by hand", **fields}
    return visitor.be("operator").post(f"/operator/{place}/record", **form)


def press(visitor: Visitor, topup: Any, act: str, about: str = "", **fields: str) -> Any:
    """Press a button of a payment on the provider's desk."""
    return visitor.be("operator").post("/simulated-desk", act=act, seen=seen(visitor, topup), about=about, **fields)


def seen(visitor: Visitor, topup: Any) -> str:
    page = visitor.be("operator").get("/simulated-desk").text
    card = page.partition(f'id="{topup.id}"')[2].partition("</section>")[0]
    found = re.search(r'name="seen" value="([^"]+)"', card)
    assert found is not None, "it has no button"
    return found.group(1)


def assert_is_text(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img" not in page.partition("<main")[2]
    assert "alert(1)" in page
