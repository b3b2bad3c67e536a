"""Top-ups by gateways that misbehave at 30 % of all requests: what was captured is credited once, or waits, or is back.

The whole count (``-m full``) makes at least 1000 calls of each gateway.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import pytest

from tests.gateways.campaign import campaign
from tests.gateways.campaign_providers import PayPal, Razorpay, Simulated, Stripe, StripeForm
from tests.gateways.drivers import MEMORY
from tests.gateways.stripe_world import shorten_waits

PROVIDERS = {"stripe": Stripe, "stripe-form": StripeForm, "razorpay": Razorpay, "paypal": PayPal}
EACH = pytest.mark.parametrize("name", [*PROVIDERS, "simulated"])
SLICE, WHOLE = 80, 1000


@pytest.fixture
def folder(tmp_path):
    """Give a folder in memory: how soon a disk writes is no question here."""
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else tmp_path) as made:
        yield Path(made)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    shorten_waits(monkeypatch)


def made(name, folder):
    return partial(Simulated, folder=folder) if name == "simulated" else PROVIDERS[name]


@EACH
@pytest.mark.parametrize("seed", [1, 2])
def test_a_slice(name, seed, folder):
    figures = campaign(made(name, folder), folder, seed=seed, calls=SLICE)
    print(figures)
    assert figures.credited


@pytest.mark.full
@EACH
def test_the_whole_count(name, folder):
    figures = campaign(made(name, folder), folder, seed=20261129, calls=WHOLE)
    print(name, figures, figures.kinds)
    assert figures.calls >= WHOLE
