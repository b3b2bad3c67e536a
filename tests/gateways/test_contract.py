"""Our own gateways keep the contract; which rules cannot be checked against which is pinned, so that none is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from prepaid.testing.contract import RULES, check_contract
from tests.gateways.drivers import BankTransferContract, SimulatedContract, StripeContract

ROOT = Path(__file__).parents[2]


class SimulatedThatWaits(SimulatedContract):
    options: ClassVar = {"capture": "manual"}
    exemptions: ClassVar = {**SimulatedContract.exemptions, "G58": "it stalls like the one that captures by itself"}


CONFIRMED = {"G34"}
SIGNED_RETURN = {"G52"}
CAPTURES = {"G31", "G32", "G33"}
REFUNDS = {"G35", "G36", "G37", "G38", "G39", "G40", "G41", "G55"}
LISTS = {"G43", "G44", "G45"}
WEBHOOKS = {"G46", "G48", "G49", "G50"}
NETWORK = {"G11", "G53", "G54", "G56", "G57", "G58", "G59"}
SECRETS = {"G04", "G10"}

NOT_CHECKED = {
    SimulatedContract: CONFIRMED | SIGNED_RETURN | CAPTURES | {"G06", "G15"},
    SimulatedThatWaits: CONFIRMED | SIGNED_RETURN | {"G06", "G15", "G58"},
    BankTransferContract: (
        SIGNED_RETURN
        | CAPTURES
        | REFUNDS
        | LISTS
        | WEBHOOKS
        | NETWORK
        | SECRETS
        # No key, nothing to call back, no state of its own, no mode, no disputes.
        | {"G14", "G21", "G22", "G26", "G28", "G30", "G42"}
    ),
    StripeContract: CONFIRMED | SIGNED_RETURN | CAPTURES | REFUNDS | LISTS | {"G30", "G42"},
}
"""Rules that need what a provider cannot do, is not claimed, or its driver does not offer yet."""


@pytest.mark.parametrize("contract", NOT_CHECKED, ids=lambda contract: contract.__name__)
@pytest.mark.parametrize("number", sorted(RULES))
def test_a_gateway_keeps_the_rule(contract, number):
    report = check_contract(contract, only=(number,))
    assert report.broken == {}, str(report)
    assert (number in report.skipped) is (number in NOT_CHECKED[contract]), str(report)


MODULE = """
from tests.gateways.drivers import SimulatedContract, SimulatedGateway

class Nameless(SimulatedGateway):
    def bind(self, mode, clock):
        object.__setattr__(self, "label", "")
        return super().bind(mode, clock)

class TestNameless(SimulatedContract):
    kind = Nameless
"""


def test_a_subclass_in_a_test_module_is_run_by_pytest(tmp_path):
    (tmp_path / "test_nameless.py").write_text(MODULE)
    options = ["-rsf", "-p", "no:cacheprovider", "-k", "g01 or g02 or g31 or g06", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path / "test_nameless.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed, 2 skipped" in done.stdout
    assert f"G01 is broken: {RULES['G01']}" in done.stdout
    assert "To fix: label is what a customer reads, not empty" in done.stdout
    assert "G31 not checked: the gateway does not claim needs_capture" in done.stdout
    assert "G06 exempt: before it is bound it goes by the machine's clock" in done.stdout
