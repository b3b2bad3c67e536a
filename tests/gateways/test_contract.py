"""Our own gateways keep the contract."""

from __future__ import annotations

from typing import ClassVar

from tests.gateways.drivers import BankTransferContract, SimulatedContract, StripeContract


class TestSimulated(SimulatedContract):
    pass


class TestSimulatedThatWaitsForCapture(SimulatedContract):
    options: ClassVar = {"capture": "manual"}


class TestBankTransfer(BankTransferContract):
    pass


class TestStripe(StripeContract):
    pass
