"""Each of our identity providers does what all have to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

import prepaid.identity_providers
from prepaid.core.errors import ConfigurationError
from prepaid.gateways.discreet import CALLS
from prepaid.identity_ports import DecidedByOperator, IdentityProvider
from prepaid.identity_providers import ManualReview, SimulatedIdentity, StripeIdentity
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.identity_providers.identity_rules import check_provider
from tests.identity_providers.identity_world import KEY, configured

OURS = [ManualReview, SimulatedIdentity, StripeIdentity]


@pytest.fixture
def clock():
    return MovableClock()


def test_stripe_does_what_every_provider_has_to_do(clock):
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        check_provider(configured(api_base=simulator.url), clock, unknown="vs_1NobodyKnowsThisOne")


@pytest.mark.parametrize("page_url", [None, "/simulated-verification/{reference}"])
def test_the_simulated_provider_does_what_every_provider_has_to_do(clock, tmp_path, page_url):
    provider = SimulatedIdentity(state=tmp_path / "identity.db", page_url=page_url)
    check_provider(provider, clock, unknown="sim_0123456789abcdef0123456789abcdef")


def test_an_operator_does_what_every_provider_has_to_do(clock):
    check_provider(ManualReview(), clock, unknown=None)


def test_only_the_review_by_an_operator_is_decided_by_one(tmp_path):
    assert isinstance(ManualReview(), DecidedByOperator)
    assert not isinstance(SimulatedIdentity(state=tmp_path / "x.db"), DecidedByOperator)
    assert not isinstance(configured(), DecidedByOperator)


@pytest.mark.parametrize("provider", OURS)
def test_every_provider_of_ours_lets_its_errors_out_without_their_frames(provider):
    port = {name for name, member in vars(IdentityProvider).items() if callable(member) and not name.startswith("_")}
    assert port <= set(CALLS)
    bare = {name for name in CALLS if hasattr(getattr(provider, name, None), "__wrapped__")}
    assert bare == {"__init__", *port, "resume"}


@pytest.mark.parametrize("make", [ManualReview, SimulatedIdentity, configured])
@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "A"},
        {"name": "a/b"},
        {"name": "a_b"},
        {"name": "a" * 33},
        {"name": None},
        {"label": ""},
        {"label": "  "},
        {"label": "a\nb"},
        {"label": "x" * 65},
        {"label": None},
        {"level": 0},
        {"level": 10},
        {"level": True},
        {"level": "1"},
        {"level": 1.0},
    ],
)
def test_a_name_a_label_or_a_level_out_of_range_is_refused_by_its_field(make, changes):
    (field,) = changes
    with pytest.raises(ConfigurationError, match=f"^{field} of "):
        make(**changes)


def test_the_public_names_are_sorted_and_importing_them_imports_no_sdk():
    assert prepaid.identity_providers.__all__ == sorted(prepaid.identity_providers.__all__)
    program = (
        "import sys, prepaid.identity_providers; print({'stripe', 'razorpay', 'paypalrestsdk'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"
