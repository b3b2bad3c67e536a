"""What a top-up will cost and give, before anything is started."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from attrs import frozen

from .errors import InvalidAmount, InvalidRequest
from .hashing import canonical_json
from .identity import IdentityStatus
from .ids import MAX_KEY, check_text
from .instants import from_micros, to_micros
from .money import Money
from .taxation import TaxDecision

_SHOWN = ("credit", "bonus", "discount", "tax", "total")
_LONGEST_TOKEN = 2000
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)


@frozen(kw_only=True)
class Quote:
    """The order summary of a top-up; a value, never stored.

    Attributes:
        amount: What the customer typed.
        gateway: Name of the gateway chosen.
        code: Promotion code, or None.
        credit: Credit bought.
        bonus: Promotional credit on top.
        discount: What a promotion takes off the price, before tax.
        net: Price after discount, without tax.
        tax: The tax decision, with its lines and explanation.
        total: What will be paid.
        balance_after: Balance once the top-up is credited.
        expires_at: Instant after which `start` refuses the quote.
        identity: Whether the customer has to be verified before they start it,
            and why; None where nobody asks for that. Not a part of the token.
    """

    amount: Money
    gateway: str
    code: str | None = None
    credit: Money
    bonus: Money
    discount: Money
    net: Money
    tax: TaxDecision
    total: Money
    balance_after: Money
    expires_at: datetime
    identity: IdentityStatus | None = None

    @property
    def token(self) -> str:
        """The quote as JSON a form can carry; unsigned, because `start` prices it anew."""
        record: dict[str, Any] = {name: str(getattr(self, name).units) for name in _SHOWN if name != "tax"}
        record |= {
            "amount": str(self.amount.units),
            "currency": self.amount.currency,
            "gateway": self.gateway,
            "code": self.code,
            "tax": str(self.tax.total.units),
            "expires": to_micros(self.expires_at),
        }
        return canonical_json(record)

    def shown(self) -> dict[str, int]:
        """Give the figures the customer saw, in ledger units."""
        return {name: (self.tax.total if name == "tax" else getattr(self, name)).units for name in _SHOWN}


@frozen(kw_only=True)
class QuoteClaim:
    """What a token says the customer saw; compared with a fresh quote, never believed."""

    amount: Money
    gateway: str
    code: str | None
    shown: dict[str, int]
    expires_at: datetime


def read_token(token: object) -> QuoteClaim:
    """Read a quote's token back.

    Raises:
        InvalidRequest: The token was not made by `Quote.token`.
    """
    if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
        raise InvalidRequest("The quote is a Quote or its token.", field="quote")
    try:
        return _claim(json.loads(token))
    except (InvalidAmount, InvalidRequest, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise InvalidRequest("The quote's token is damaged; ask for a new quote.", field="quote") from None


def _claim(record: dict[str, Any]) -> QuoteClaim:
    code, expires = record["code"], record["expires"]
    if type(expires) is not int:
        raise TypeError
    return QuoteClaim(
        amount=Money(_units(record["amount"]), record["currency"]),
        gateway=check_text(record["gateway"], field="gateway", longest=MAX_KEY, empty=False),
        code=None if code is None else check_text(code, field="code", longest=MAX_KEY),
        shown={name: _units(record[name]) for name in _SHOWN},
        expires_at=from_micros(expires),
    )


def _units(value: str) -> int:
    if not _INTEGER.fullmatch(value):
        raise ValueError
    return int(value)


def claim_of(quote: Quote | str) -> QuoteClaim:
    """Give what a quote or its token claims.

    Raises:
        InvalidRequest: Neither a quote nor a readable token.
    """
    if isinstance(quote, Quote):
        return QuoteClaim(
            amount=quote.amount,
            gateway=quote.gateway,
            code=quote.code,
            shown=quote.shown(),
            expires_at=quote.expires_at,
        )
    return read_token(quote)
