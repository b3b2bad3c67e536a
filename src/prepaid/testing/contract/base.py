"""What all sections of the contract share: the gateway under test, and the steps that lead to a rule."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final
from unittest import SkipTest, mock

import attrs

from ...core.errors import GatewayError
from ...core.money import Money, minor_unit
from ...ports import (
    Capabilities,
    CheckoutRequest,
    ConfirmedByOperator,
    Gateway,
    Mode,
    PaymentRef,
    PaymentSnapshot,
    RefundRequest,
)
from ...system import RandomIds
from ..clock import MovableClock
from .driver import ProviderDriver
from .rules import broken, demand

SAMPLE: Final = ("EUR", "USD", "INR", "JPY", "KWD", "ISK", "HUF", "UGX")
"""Currencies that differ in how gateways count them; the first that is taken is used where any will do."""

MINORS: Final = 1234


class ContractBase:
    """What an author says of a gateway, and the world that each rule is checked in.

    Attributes:
        mode: The mode in which everything is checked.
        modes: The modes that the configuration is good for.
        secrets: Strings of the configuration that must never be seen.
        exemptions: Reasons by number of rule, for those that cannot apply.
        folder_in: Where `folder` is made; the system's place for such by default.
        clock: The clock that the gateway is bound with.
        folder: Empty at the beginning of each rule, removed at its end.
        driver: What `provider` gave.
        bound: What `gateway` gave, bound.
    """

    mode: Mode = "test"
    modes: tuple[Mode, ...] = ("test",)
    secrets: ClassVar[tuple[str, ...]] = ()
    exemptions: Mapping[str, str] = {}
    folder_in: str | None = None

    clock: MovableClock
    folder: Path
    driver: ProviderDriver
    bound: Gateway

    def provider(self) -> ProviderDriver:
        """Start the provider; called first, for each rule anew."""
        raise NotImplementedError("A contract gives a provider().")

    def gateway(self) -> Gateway:
        """Give the gateway as configured, not bound; `driver` and `folder` are there."""
        raise NotImplementedError("A contract gives a gateway().")

    def without_webhook_secret(self) -> Gateway:
        """Give the gateway with its webhook secret left out, or raise as it does."""
        raise SkipTest("the contract gives no without_webhook_secret()")

    def setup_method(self) -> None:
        """Prepare the world of one rule."""
        self.clock = MovableClock()
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-contract-", dir=self.folder_in))
        self._ids = RandomIds(self.clock)
        self.driver = self.provider()
        self.bound = self.gateway().bind(self.mode, self.clock)

    def teardown_method(self) -> None:
        """Clear the world of one rule away."""
        self.driver.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Steps.

    @property
    def can(self) -> Capabilities:
        """What the gateway claims."""
        return self.bound.capabilities()

    def claimed(self, claim: str) -> None:
        """Skip the rule unless the gateway claims this."""
        if not getattr(self.can, claim):
            raise SkipTest(f"the gateway does not claim {claim}")

    def currencies(self) -> list[str]:
        """Give a few currencies that the gateway takes, of as many kinds as there are."""
        taken = self.can.currencies
        return [code for code in SAMPLE if code in taken] or sorted(taken)[:3]

    def amount(self, currency: str | None = None) -> Money:
        """Give an ordinary amount that the gateway takes."""
        limits = self.can.currencies[currency or self.currencies()[0]]
        step = limits.step.units
        wanted = max(limits.minimum.units, minor_unit(limits.step.currency) * MINORS)
        return min(Money(-(-wanted // step) * step, limits.step.currency), limits.maximum)

    def request(self, **changes: Any) -> CheckoutRequest:
        """Give a request of a new top-up."""
        topup_id = self._ids.new("top")
        amount = changes.pop("amount", None)
        request = CheckoutRequest(
            topup_id=topup_id,
            amount=self.amount() if amount is None else amount,
            description="Credit",
            return_url=f"https://panel.example/back?topup={topup_id}",
            cancel_url=f"https://panel.example/billing?topup={topup_id}",
            customer_id="user-42",
            customer_email="ada@example.com",
            expires_at=self.clock.now() + timedelta(hours=1),
            key=f"prepaid:{topup_id}:checkout",
        )
        return attrs.evolve(request, **changes)

    def opened(self, amount: Money | None = None) -> PaymentRef:
        """Create a checkout."""
        request = self.request(amount=amount)
        return PaymentRef(topup_id=request.topup_id, checkout_id=self.bound.create_checkout(request).checkout_id)

    def read(self, ref: PaymentRef) -> PaymentSnapshot:
        """Read a payment as settlement does: from the gateway, or from an operator's confirmation."""
        confirmation = self.driver.confirmation(ref.checkout_id)
        if confirmation is not None and isinstance(self.bound, ConfirmedByOperator):
            return self.bound.confirmed(ref, **confirmation)
        return self.bound.fetch_payment(ref)

    def paid(self, amount: Money | None = None) -> PaymentRef:
        """Create a checkout and let it be paid and captured; the reference names the payment."""
        ref = self.opened(amount)
        self.driver.pay(ref.checkout_id)
        if self.can.needs_capture:
            self.bound.capture(ref, amount or self.amount(), key=f"{ref.topup_id}:capture")
        payment = self.read(ref)
        demand(payment.state == "captured", f"a paid checkout is captured, not {payment.state}")
        return attrs.evolve(ref, payment_id=payment.payment_id)

    def refund_request(self, ref: PaymentRef, amount: Money | None = None, **changes: Any) -> RefundRequest:
        """Give a request to give back all of a payment, or less."""
        refund_id = self._ids.new("ref")
        request = RefundRequest(
            refund_id=refund_id, payment=ref, amount=amount or self.amount(), key=f"prepaid:{refund_id}:refund"
        )
        return attrs.evolve(request, **changes)


def refused(call: Callable[[], object], fix: str) -> GatewayError:
    """Give the `GatewayError` that a call must end in; else the rule is broken."""
    try:
        call()
    except GatewayError as error:
        return error
    broken(fix)


@contextmanager
def no_network(fix: str) -> Iterator[None]:
    """Break the rule if anything inside opens a connection or asks for a name."""
    touched: list[str] = []

    def stop(name: str) -> Callable[..., Any]:
        def stopped(*args: object, **options: object) -> Any:
            touched.append(name)
            raise OSError("The contract lets no network be used here.")

        return stopped

    with (
        mock.patch("socket.socket.connect", stop("connect")),
        mock.patch("socket.socket.connect_ex", stop("connect_ex")),
        mock.patch("socket.getaddrinfo", stop("getaddrinfo")),
    ):
        try:
            yield
        finally:
            demand(not touched, fix)


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Make calls in threads of their own that start together; give answers, or exceptions, in order."""
    answers: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def act(place: int) -> None:
        barrier.wait()
        try:
            answers[place] = calls[place]()
        except Exception as problem:  # judged by the rule
            answers[place] = problem

    threads = [threading.Thread(target=act, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
