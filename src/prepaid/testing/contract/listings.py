"""Rules of lists: what was made in a period, all of it and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from ...ports import DisputeSnapshot, Listing, PaymentSnapshot, RefundSnapshot
from .base import ContractBase
from .rules import broken, demand, rule

S = TypeVar("S", PaymentSnapshot, RefundSnapshot, DisputeSnapshot)

_SECOND: Final = timedelta(seconds=1)
_HOUR: Final = timedelta(hours=1)
_MADE: Final = 3
_MOST_PAGES: Final = 100


class Listings(ContractBase):
    """Rules of lists: what was made in a period, all of it and nothing else."""

    @rule(43)
    def test_g43_payments(self) -> None:
        """The list of payments gives the captured payments of a period, each once, page by page."""
        self.claimed("lists_payments")
        ids = [self.paid().payment_id or "" for _ in range(_MADE)]
        payments = self._in_its_time(self.bound.list_payments, lambda payment: payment.payment_id or "", ids)
        demand(all(payment.topup_id for payment in payments), "a payment in a list names its topup_id like any other")

    @rule(44)
    def test_g44_refunds(self) -> None:
        """The list of refunds gives those of a period, each once, page by page."""
        self.claimed("lists_refunds")
        ids = [self.bound.refund(self.refund_request(self.paid())).gateway_refund_id for _ in range(_MADE)]
        self._in_its_time(self.bound.list_refunds, lambda refund: refund.gateway_refund_id, ids)

    @rule(45)
    def test_g45_disputes(self) -> None:
        """The list of disputes gives those of a period, each once, page by page."""
        self.claimed("lists_disputes")
        ids = []
        for _ in range(_MADE):
            ref = self.paid()
            self.driver.dispute(ref.checkout_id)
            ids.append(self.bound.disputes_of(ref)[0].dispute_id)
        self._in_its_time(self.bound.list_disputes, lambda dispute: dispute.dispute_id, ids)

    def _in_its_time(
        self, list_page: Callable[..., Listing[S]], id_of: Callable[[S], str], wanted: Sequence[str]
    ) -> Sequence[S]:
        """Demand that things made just now are in the list of their time and in no other; give them."""
        now = self.clock.now()
        self.clock.advance(seconds=self.can.list_delay_s)
        items = _all_of(list_page, now - _HOUR, now + _HOUR)
        ids = [id_of(item) for item in items]
        demand(set(wanted) <= set(ids), "the list lacks things of its period: follow the provider's pages to the end")
        demand(len(ids) == len(set(ids)), "the list names something twice: the cursor is that of the next page")
        made = [instant for item in items if (instant := item.created_at) is not None and id_of(item) in wanted]
        demand(len(made) == len(wanted), "what is listed tells created_at, which says the period it belongs to")
        before = _all_of(list_page, min(made) - _HOUR, min(made))
        after = _all_of(list_page, max(made) + _SECOND, max(made) + _HOUR)
        demand(not {id_of(item) for item in before} & set(wanted), "until is the first instant that is not listed")
        demand(not {id_of(item) for item in after} & set(wanted), "since is the first instant that is listed")
        return [item for item in items if id_of(item) in wanted]


def _all_of(list_page: Callable[..., Listing[Any]], since: datetime, until: datetime) -> list[Any]:
    page = list_page(since, until, cursor=None)
    items = [*page.items]
    for _ in range(_MOST_PAGES):
        if page.next is None:
            return items
        page = list_page(since, until, cursor=page.next)
        items += page.items
    broken("the last page has next=None")
