"""A browser without JavaScript, for tests of the example's pages."""

from __future__ import annotations

import html
import re
from decimal import Decimal
from typing import Any

TOPUPS = 2
"""Top-ups of Ada that the demo begins with: one was given back, one she uses."""


class Visitor:
    """A browser without JavaScript: reads forms, keeps cookies, follows redirects."""

    def __init__(self, app: Any) -> None:
        self.client = app.test_client()

    def get(self, url: str) -> Any:
        answer = self.client.get(url, follow_redirects=True)
        answer.get_data()
        answer.close()
        return answer

    def token(self) -> str:
        """Give the token of the session, which its first form brings."""
        if (known := self._known_token()) is None:
            self.client.get("/")
            known = self._known_token()
        return str(known)

    def _known_token(self) -> str | None:
        with self.client.session_transaction() as session:
            return session.get("csrf")

    def post(self, url: str, *, follow: bool = True, **fields: str) -> Any:
        return self.client.post(url, data={"csrf": self.token(), **fields}, follow_redirects=follow)

    def order(self, amount: str, *, gateway: str = "simulated") -> dict[str, str]:
        """Fill in the form and give what its Pay button would send."""
        page = self.post("/add-funds", amount=amount, gateway=gateway, act="update").text
        return {"amount": amount, "gateway": gateway, "code": "", "act": "pay", **hidden(page)}

    def begin(self, amount: str, *, gateway: str = "simulated") -> str:
        """Order a top-up and give the address of the page that says how to pay."""
        return str(self.post("/add-funds", follow=False, **self.order(amount, gateway=gateway)).location)

    def pay(self, amount: str, act: str = "pay") -> Any:
        return self.post(self.begin(amount), act=act)

    def be(self, role: str) -> Visitor:
        self.post("/role", follow=False, role=role)
        return self


def hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(key|quote)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def money_in(page: str, near: str) -> Decimal:
    match = re.search(near + r'.*?<data class="money" value="([^"]+)"', page, re.DOTALL)
    assert match is not None
    return Decimal(match.group(1))


def error_at(page: str, field: str) -> str:
    """Read the error of a field, which must be marked and connected with it."""
    marked = re.search(f'<(?:input|select) id="{field}"[^>]*>', page)
    assert marked is not None
    assert 'aria-invalid="true"' in marked.group()
    assert f'{field}-error"' in marked.group()
    said = re.search(f'<p class="error" id="{field}-error" ?>([^<]+)</p>', page)
    assert said is not None
    return html.unescape(said.group(1))
