"""Billing systems to tell stories about: one book per test, on each engine."""

from __future__ import annotations

import itertools
import shutil
from contextlib import closing

import pytest

from prepaid import Prepaid
from prepaid.gateways import SimulatedGateway
from prepaid.store import upgrade_schema
from prepaid.system import threads_in_time
from prepaid.testing.clock import MovableClock
from prepaid.testing.mail import RecordingMailer
from tests.conftest import server_of
from tests.engines import DATABASES
from tests.use_cases.panel import Panel
from tests.use_cases.providers import SECRET, LyingGateway
from tests.use_cases.steps import ADA, EVE, Place, PlainRenderer, checkout_of, seller, start
from tests.use_cases.tax_steps import Scripted, eventually, sell_in_europe

_books = itertools.count(1)


@pytest.fixture(scope="session")
def upgraded_file(tmp_path_factory):
    """Give a SQLite file that was upgraded once, to be copied."""
    path = tmp_path_factory.mktemp("upgraded") / "billing.db"
    upgrade_schema(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def upgraded_databases(request):
    """Give a function from a server's engine to its one upgraded database; each test has a book of its own in it."""
    urls = {}

    def upgraded(engine):
        if engine not in urls:
            urls[engine] = server_of(request, engine).new_database()
            upgrade_schema(urls[engine])
        return urls[engine]

    return upgraded


@pytest.fixture(params=DATABASES)
def place(request, tmp_path, upgraded_databases):
    if request.param != "sqlite":
        return Place(upgraded_databases(request.param), f"book-{next(_books)}")
    path = tmp_path / "billing.db"
    shutil.copy(request.getfixturevalue("upgraded_file"), path)
    return Place(f"sqlite:///{path}", "main")


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def mailer():
    return RecordingMailer()


@pytest.fixture
def renderer():
    return PlainRenderer()


@pytest.fixture
def simulated(tmp_path, clock):
    return SimulatedGateway(state=tmp_path / "simulated.db", clock=clock, timeout_s=1)


@pytest.fixture
def open_billing(place, clock, mailer, renderer, simulated):
    """Give a function that wires a `Prepaid` like `billing`, but for what it is told to change."""
    opened = []

    def open_one(**changes):
        options = {
            "database": place.url,
            "book": place.book,
            "mode": "test",
            "seller": seller(),
            "currencies": ("EUR", "USD", "JPY"),
            "gateways": [simulated],
            "mailer": mailer,
            "renderer": renderer,
            "clock": clock,
            "load_plugins": False,
            "tax_id_registers": (),
            "webhook_budget_s": 60,  # a busy machine is no slow gateway
        }
        opened.append(Prepaid(**{**options, **changes}))
        return opened[-1]

    yield open_one
    for billing in opened:
        billing.close()


@pytest.fixture
def billing(open_billing):
    """Give a billing system with two customers; one of them only looks on."""
    billing = open_billing()
    billing.customers.register(ADA, email="ada@example.com", name="Ada", currency="EUR", locale="en")
    billing.customers.register(EVE, email="eve@example.com", name="Eve")
    return billing


@pytest.fixture
def panel(place):
    """Give a host with a table of its own beside the books."""
    with closing(Panel(place.url)) as panel:
        yield panel


@pytest.fixture
def ada(billing):
    return billing.customer(ADA)


@pytest.fixture
def gateway(tmp_path, clock):
    """Give a provider that can be made to lie, with a secret worth stealing."""
    return LyingGateway(state=tmp_path / "attacked.db", clock=clock, webhook_secrets=(SECRET,))


@pytest.fixture
def shop(open_billing, gateway, tmp_path, clock):
    """Two gateways with secrets of their own, and two customers."""
    other = SimulatedGateway(state=tmp_path / "attacked.db", clock=clock, name="other", webhook_secrets=("other-one",))
    billing = open_billing(gateways=[gateway, other])
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR")
    return billing


@pytest.fixture
def paid(shop, gateway):
    """Give a top-up that is paid at the gateway and not yet credited."""
    topup = start(shop)
    gateway.pay(checkout_of(topup))
    return topup


@pytest.fixture
def register():
    """Give a register of tax ids that does as it is told."""
    return Scripted()


@pytest.fixture
def wired(open_billing, register):
    """Give a function that wires a seller in Berlin with a register, rules of three countries and two customers."""

    def wire(policy="charge", *, registers=None, plugins=(), rules=True, **about_seller):
        billing = open_billing(
            tax_id_registers=[register] if registers is None else registers,
            plugins=plugins,
            seller=seller(outage_policy=policy, **about_seller),
        )
        for customer in (ADA, EVE):
            billing.customers.register(customer, currency="EUR")
        if rules:
            sell_in_europe(billing)
        return billing

    yield wire
    register.gate.set()
    eventually(lambda: threads_in_time() == 0)
