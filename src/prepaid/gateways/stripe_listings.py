"""Lists of Stripe, page by page: payments, refunds and disputes of a period or of one payment.

Payments come from two lists. Those of our Checkout Sessions are listed with
their session, which is the checkout we stored; every other payment of the
account is listed by itself, and so is one whose mark was edited away: each is
listed once, and none is lost. Only captured payments are listed.

A payment of another application on the same account may be of a kind that we
cannot read. It is left out with its refunds, but only where it says of itself
that it is not ours.

Sources: https://docs.stripe.com/api/pagination (newest first, ``has_more``,
``starting_after``); the *List all* pages of Checkout Sessions, PaymentIntents,
refunds and disputes (filters by ``created`` and ``payment_intent``);
https://docs.stripe.com/expand (four levels at most).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import frozen

from ..core.errors import GatewayError
from ..core.instants import to_micros
from ..ports import DisputeSnapshot, Listing, PaymentSnapshot, RefundSnapshot
from .replies import Reply, demand, optional_object, require_bool, require_object, require_str, unusable
from .stripe_intents import read_intent
from .stripe_payments import intent_id_of, moment_of, read_payment
from .stripe_refunds import read_dispute, read_refund
from .stripe_requests import BY_CHECKOUT

if TYPE_CHECKING:
    from .stripe_client import StripeApi

T = TypeVar("T")

PAGE: Final = 50
"""Objects of one page; with all that is expanded they stay far below what is read of a reply."""
DISPUTES_PAGE: Final = 10
"""Disputes carry their evidence, up to 150 000 characters each."""

_CURSOR = re.compile(r"(sessions|intents|refunds|disputes)/([a-z]{2,4}_[A-Za-z0-9_]{1,200})?", re.ASCII)


@frozen
class Period:
    """Whole seconds, as Stripe counts them, from ``since`` up to but not including ``until``."""

    since: int
    until: int

    @classmethod
    def between(cls, since: datetime, until: datetime) -> Period:
        """Make the period of the seconds that begin in ``[since, until)``."""
        return cls(_first_second(since), _first_second(until))

    def filter(self) -> dict[str, int]:
        """Write the period as Stripe's filter."""
        return {"gte": self.since, "lt": self.until}


@frozen
class _Page:
    """What one reply lists.

    Attributes:
        items: Its objects, newest first.
        after: Id of the last one, if there are more behind it.
    """

    items: list[dict[str, Any]]
    after: str | None


def payments_page(api: StripeApi, period: Period, cursor: str | None) -> Listing[PaymentSnapshot]:
    """Read a page of captured payments: all those of our sessions first, then all others.

    Raises:
        GatewayError: Stripe cannot be asked, or its reply cannot be relied on.
    """
    place, after = _placed(cursor, {"sessions", "intents"}, first="sessions")
    if place == "sessions":
        page = _read_page(api.list_sessions(_asked(after, PAGE, created=period.filter())), period)
        sessions = [_session_payment(session) for session in page.items if _is_by_checkout(_intent_in(session))]
        return Listing(items=_captured(sessions), next=f"sessions/{page.after}" if page.after else "intents/")
    page = _read_page(api.list_intents(_asked(after, PAGE, created=period.filter())), period)
    others = [_intent_payment(intent) for intent in page.items if not _is_by_checkout(intent)]
    return Listing(items=_captured(others), next=_cursor("intents", page))


def refunds_page(api: StripeApi, period: Period, cursor: str | None) -> Listing[RefundSnapshot]:
    """Read a page of refunds; those of charges without a PaymentIntent, which are never ours, are left out.

    Raises:
        GatewayError: As `payments_page`.
    """
    _, after = _placed(cursor, {"refunds"}, first="refunds")
    page = _read_page(api.list_refunds(_asked(after, PAGE, created=period.filter())), period)
    found = [_refund(refund) for refund in page.items if refund.get("payment_intent") is not None]
    return Listing(items=[refund for refund in found if refund], next=_cursor("refunds", page))


def disputes_page(api: StripeApi, period: Period, cursor: str | None) -> Listing[DisputeSnapshot]:
    """Read a page of disputes; those of charges without a PaymentIntent, which are never ours, are left out.

    Raises:
        GatewayError: As `payments_page`.
    """
    _, after = _placed(cursor, {"disputes"}, first="disputes")
    page = _read_page(api.list_disputes(_asked(after, DISPUTES_PAGE, created=period.filter())), period)
    found = [read_dispute(dispute) for dispute in page.items if dispute.get("payment_intent") is not None]
    return Listing(items=found, next=_cursor("disputes", page))


def refunds_of(api: StripeApi, payment_id: str) -> list[RefundSnapshot]:
    """Read all refunds of one payment, the newest first.

    Raises:
        GatewayError: As `payments_page`.
    """
    pages = _pages(lambda after: api.list_refunds(_asked(after, PAGE, payment_intent=payment_id)))
    refunds = [read_refund(refund) for refund in pages]
    demand(all(refund.payment_id == payment_id for refund in refunds), "a refund is of another payment")
    return refunds


def disputes_of(api: StripeApi, payment_id: str) -> list[DisputeSnapshot]:
    """Read all disputes of one payment, the newest first.

    Raises:
        GatewayError: As `payments_page`.
    """
    pages = _pages(lambda after: api.list_disputes(_asked(after, DISPUTES_PAGE, payment_intent=payment_id)))
    disputes = [read_dispute(dispute) for dispute in pages]
    demand(all(dispute.payment_id == payment_id for dispute in disputes), "a dispute is of another payment")
    return disputes


def _pages(ask: Callable[[str | None], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    after, seen = None, set[str]()
    while True:
        page = _read_page(ask(after))
        ids = {require_str(item, "id") for item in page.items}
        demand(not ids & seen, "a page repeats an earlier one")
        yield from page.items
        if page.after is None:
            return
        after, seen = page.after, seen | ids


def _read_page(reply: Reply, period: Period | None = None) -> _Page:
    demand(reply.get("object") == "list", "it is no list")
    items = reply.get("data")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise unusable("data is no list of objects")
    if period is not None:
        outside = [item for item in items if not period.since <= _second_of(item) < period.until]
        demand(not outside, "an object is not of the period asked for")
    more = require_bool(reply, "has_more")
    demand(bool(items) or not more, "an empty page has a next one")
    return _Page(items, require_str(items[-1], "id") if more else None)


def _second_of(item: Reply) -> int:
    return to_micros(moment_of(item)) // 1_000_000


def _asked(after: str | None, limit: int, **filters: Any) -> Any:
    return filters | {"limit": limit} | ({} if after is None else {"starting_after": after})


def _first_second(instant: datetime) -> int:
    return -(-to_micros(instant) // 1_000_000)


def _placed(cursor: str | None, places: set[str], *, first: str) -> tuple[str, str | None]:
    written = _CURSOR.fullmatch(f"{first}/" if cursor is None else cursor)
    if written is None or written[1] not in places:
        raise GatewayError("This is no cursor of this list.", code="unknown-cursor")
    return written[1], written[2]


def _cursor(place: str, page: _Page) -> str | None:
    return f"{place}/{page.after}" if page.after else None


def _intent_in(session: Reply) -> Reply:
    return optional_object(session, "payment_intent") or {}


def _is_by_checkout(intent: Reply) -> bool:
    metadata = optional_object(intent, "metadata") or {}
    return "topup_id" in metadata and metadata.items() >= BY_CHECKOUT.items()


def _session_payment(session: Reply) -> PaymentSnapshot:
    return read_payment(session, session_id=require_str(session, "id"))


def _intent_payment(intent: Reply) -> PaymentSnapshot | None:
    return _unless_foreign(lambda: read_intent(intent, intent_id=intent_id_of(intent)), intent)


def _refund(refund: Reply) -> RefundSnapshot | None:
    return _unless_foreign(lambda: read_refund(refund), require_object(refund, "payment_intent"))


def _unless_foreign(read: Callable[[], T], intent: Reply) -> T | None:
    """Read something strictly, unless its payment says that it is not ours."""
    try:
        return read()
    except GatewayError:
        if "topup_id" in require_object(intent, "metadata"):
            raise
        return None


def _captured(payments: Iterable[PaymentSnapshot | None]) -> list[PaymentSnapshot]:
    return [payment for payment in payments if payment is not None and payment.state == "captured"]
