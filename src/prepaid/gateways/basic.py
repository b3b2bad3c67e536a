"""What every gateway can leave out: a part of the port that is not claimed, and says so when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from ..core.errors import GatewayError
from ..core.money import Money
from ..ports import (
    DisputeSnapshot,
    Listing,
    PaymentRef,
    PaymentSnapshot,
    RefundRef,
    RefundRequest,
    RefundSnapshot,
    ReturnHint,
)


class BasicGateway:
    """Base of gateways: takes a payment and reads it again; a subclass adds what its provider can do beyond.

    Every method here goes with a claim of `prepaid.ports.Capabilities` that is
    off by default, and raises `GatewayError` of the code ``not-supported``. A
    subclass that turns the claim on overrides the method.
    """

    __slots__ = ()

    def parse_return(self, ref: PaymentRef, params: Mapping[str, str]) -> ReturnHint:
        """Say that there is nothing to verify."""
        return ReturnHint()

    def capture(self, ref: PaymentRef, amount: Money, *, key: str) -> PaymentSnapshot:
        """Refuse: the gateway takes the money by itself."""
        raise not_supported("captures")

    def refund(self, request: RefundRequest) -> RefundSnapshot:
        """Refuse."""
        raise not_supported("refunds")

    def fetch_refund(self, ref: RefundRef) -> RefundSnapshot | None:
        """Refuse."""
        raise not_supported("refunds")

    def refunds_of(self, ref: PaymentRef) -> Sequence[RefundSnapshot]:
        """Know of none."""
        return ()

    def disputes_of(self, ref: PaymentRef) -> Sequence[DisputeSnapshot]:
        """Know of none."""
        return ()

    def list_payments(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[PaymentSnapshot]:
        """Refuse."""
        raise not_supported("lists of payments")

    def list_refunds(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[RefundSnapshot]:
        """Refuse."""
        raise not_supported("lists of refunds")

    def list_disputes(self, since: datetime, until: datetime, *, cursor: str | None = None) -> Listing[DisputeSnapshot]:
        """Refuse."""
        raise not_supported("lists of disputes")


def not_supported(what: str) -> GatewayError:
    """Make the error for what a gateway does not claim."""
    return GatewayError(f"This gateway knows no {what}.", code="not-supported")
