"""Our own gateways keep the contract; why a rule cannot be checked against one is pinned, so that none is lost."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import ClassVar

import pytest

from prepaid.testing.contract import RULES, check_contract
from tests.gateways.drivers import (
    BankTransferContract,
    PayPalContract,
    RazorpayContract,
    SimulatedContract,
    StripeContract,
    StripeFormContract,
)

ROOT = Path(__file__).parents[2]


class SimulatedThatWaits(SimulatedContract):
    options: ClassVar = {"capture": "manual"}
    exemptions: ClassVar = {**SimulatedContract.exemptions, "G58": "it stalls like the one that captures by itself"}


NO_OPERATOR = {"no operator confirms": ["G34"]}
NO_SIGNED_RETURN = {"returns are not signed": ["G52"]}

NOT_CHECKED = {
    SimulatedContract: {
        "it captures by itself": ["G31", "G32", "G33", "G61"],
        "it takes every currency": ["G15"],
        **NO_OPERATOR,
        **NO_SIGNED_RETURN,
    },
    SimulatedThatWaits: {"it takes every currency": ["G15"], **NO_OPERATOR, **NO_SIGNED_RETURN},
    StripeContract: {"a session is paid once": ["G30"], **NO_OPERATOR, **NO_SIGNED_RETURN},
    StripeFormContract: {"a PaymentIntent is paid once": ["G30"], **NO_OPERATOR, **NO_SIGNED_RETURN},
    RazorpayContract: {
        "neither a payment nor an event names mode or account": ["G28", "G50"],
        "signatures do not cover the time of sending": ["G49"],
        **NO_OPERATOR,
    },
    PayPalContract: {"an order is captured once": ["G30"], **NO_OPERATOR, **NO_SIGNED_RETURN},
    BankTransferContract: {
        "there are no secrets, and no network": ["G04", "G10", "G53", "G54", "G56", "G57", "G58", "G59"],
        "only the operator knows of money": ["G22", "G26", "G28", "G30", "G31", "G32", "G33", "G61"],
        "money goes back from account to account, by hand": ["G35", "G36", "G37", "G38", "G39", "G40", "G41", "G55"],
        "a transfer cannot be disputed": ["G42", "G60"],
        "the account is not read": ["G43", "G44", "G45"],
        "there are no webhooks": ["G46", "G48", "G49", "G50"],
        **NO_SIGNED_RETURN,
    },
}
"""Why a rule is not checked: it needs what the provider does not do. Exemptions come on top, with their own reasons."""

NAMES = {
    SimulatedContract: "`SimulatedGateway`",
    SimulatedThatWaits: '`SimulatedGateway(capture="manual")`',
    StripeContract: "`StripeGateway`",
    StripeFormContract: '`StripeGateway(flow="payment_intent")`',
    RazorpayContract: "`RazorpayGateway`",
    PayPalContract: "`PayPalGateway`",
    BankTransferContract: "`BankTransferGateway`",
}


def reasons(contract):
    """Give why each rule is not checked, by its number."""
    lacking = {number: reason for reason, numbers in NOT_CHECKED[contract].items() for number in numbers}
    assert not set(lacking) & set(contract.exemptions)
    return lacking | dict(contract.exemptions)


@pytest.mark.parametrize("contract", NOT_CHECKED, ids=lambda contract: contract.__name__)
@pytest.mark.parametrize("number", sorted(RULES))
def test_a_gateway_keeps_the_rule(contract, number):
    report = check_contract(contract, only=(number,))
    assert report.broken == {}, str(report)
    assert (number in report.skipped) is (number in reasons(contract)), str(report)


def row(contract):
    """Give a gateway's line in the reference: how many rules are checked, and which are not."""
    by_reason = defaultdict(list)
    for number, reason in sorted(reasons(contract).items()):
        by_reason[reason].append(number)
    left_out = "; ".join(f"{', '.join(numbers)}: {reason}" for reason, numbers in by_reason.items())
    return f"| {NAMES[contract]} | {len(RULES) - len(reasons(contract))} | {left_out} |"


def test_the_reference_page_says_which_of_our_gateways_keeps_which_rules():
    page = (ROOT / "docs/reference/gateway-contract.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == [row(contract) for contract in NOT_CHECKED]


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
