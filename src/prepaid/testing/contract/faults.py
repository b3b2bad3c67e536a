"""Rules of calls that go wrong: what a failed call says is true, and a second one repairs it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from ...core.errors import GatewayError
from ...ports import RefundRef
from .base import ContractBase, refused
from .rules import demand, rule

_GRACE_S: Final = 1


class Faults(ContractBase):
    """Rules of calls that go wrong: what a failed call says is true, and a second one repairs it."""

    @rule(53)
    def test_g53_unreachable(self) -> None:
        """A read that did not reach the provider is retryable, in no doubt, and works afterwards."""
        ref = self.paid()
        self.driver.break_next("unreachable", "fetch_payment")
        error = refused(lambda: self.bound.fetch_payment(ref), "a provider that cannot be reached is a GatewayError")
        demand(error.retryable, "retryable=True where the provider could not be asked")
        demand(not error.outcome_unknown, "a read changes nothing: outcome_unknown=False")
        demand(self.read(ref).state == "captured", "after a failed call the next one works")

    @rule(54)
    def test_g54_lost_checkout(self) -> None:
        """A checkout whose answer was lost is unknown and retryable, and any process re-sends it to the same one."""
        self.claimed("create_key_valid_s")
        request = self.request()
        self.driver.break_next("lost-answer", "create_checkout")
        error = refused(
            lambda: self.bound.create_checkout(request), "a creation whose answer did not arrive raises GatewayError"
        )
        self._in_doubt(error)
        first = self.bound.create_checkout(request)
        # A process that crashed remembers nothing; the provider does.
        again = self.gateway().bind(self.mode, self.clock).create_checkout(request)
        demand(first.checkout_id == again.checkout_id, "a re-send under the same key finds the checkout that was made")

    @rule(55)
    def test_g55_lost_refund(self) -> None:
        """A refund whose answer was lost is unknown and retryable, is found, and is not made twice."""
        self.claimed("refunds")
        ref = self.paid()
        request = self.refund_request(ref)
        self.driver.break_next("lost-answer", "refund")
        error = refused(lambda: self.bound.refund(request), "a refund whose answer did not arrive raises GatewayError")
        self._in_doubt(error)
        found = self.bound.fetch_refund(RefundRef(payment=ref, refund_id=request.refund_id))
        again = self.bound.refund(request)
        demand(found is None or found.gateway_refund_id == again.gateway_refund_id, "a re-send made a second refund")
        demand(len(self.bound.refunds_of(ref)) == 1, "a re-send under the same key finds the refund that was made")

    @rule(56)
    def test_g56_unreadable(self) -> None:
        """An answer that cannot be read is a retryable GatewayError; after a write the outcome is unknown."""
        ref = self.opened()
        self.driver.break_next("unreadable", "fetch_payment")
        error = refused(lambda: self.bound.fetch_payment(ref), "an answer that cannot be read is a GatewayError")
        demand(error.retryable and not error.outcome_unknown, "reading again is harmless: retryable, not unknown")
        self.driver.break_next("unreadable", "create_checkout")
        self._in_doubt(
            refused(
                lambda: self.bound.create_checkout(self.request()), "an answer that cannot be read is a GatewayError"
            )
        )

    @rule(57)
    def test_g57_foreign(self) -> None:
        """An answer about another object than the one asked for is a GatewayError."""
        ref = self.paid()
        self.driver.break_next("foreign", "fetch_payment")
        error = refused(
            lambda: self.bound.fetch_payment(ref),
            "compare the id in the answer with the one asked for before reading on",
        )
        demand(not error.outcome_unknown, "a read changes nothing: outcome_unknown=False")

    @rule(58)
    def test_g58_timeout(self) -> None:
        """A call ends within timeout_s and one second, whatever the provider does; a write is then unknown."""
        ref, request = self.opened(), self.request()
        calls: tuple[tuple[str, Callable[[], object], bool], ...] = (
            ("fetch_payment", lambda: self.bound.fetch_payment(ref), False),
            ("create_checkout", lambda: self.bound.create_checkout(request), True),
        )
        for operation, call, writes in calls:
            self.driver.break_next("stall", operation)
            limit_s = getattr(self.bound, "timeout_s", 0)
            demand(isinstance(limit_s, int) and limit_s > 0, "a gateway with a network has timeout_s, whole seconds")
            began = time.monotonic()
            error = refused(call, f"{operation} without an answer raises GatewayError")
            took_s = time.monotonic() - began
            demand(
                took_s < limit_s + _GRACE_S, f"{operation} took {took_s:.1f} s of {limit_s}: one budget for all retries"
            )
            demand(error.retryable, "a call without an answer is retryable")
            demand(error.outcome_unknown is writes, f"outcome_unknown of {operation} without an answer is {writes}")

    @rule(59)
    def test_g59_rate_limit(self) -> None:
        """A provider that asks to slow down was not obeyed for good: retryable, in no doubt."""
        ref = self.opened()
        self.driver.break_next("rate-limit", "fetch_payment")
        error = refused(lambda: self.bound.fetch_payment(ref), "an answer that asks to slow down is a GatewayError")
        demand(error.retryable and not error.outcome_unknown, "too many requests: retryable=True, nothing was done")
        wait_s = error.retry_after_s
        demand(wait_s is None or (type(wait_s) is int and wait_s >= 0), "retry_after_s is whole seconds, or None")

    def _in_doubt(self, error: GatewayError) -> None:
        demand(error.outcome_unknown, "it may have been carried out: outcome_unknown=True after a write")
        demand(error.retryable, "the same request with the same key finds out: retryable=True")
