"""Plugins: what they contribute is used, what they do wrong is named, and one never stops another."""

from __future__ import annotations

import pytest

import prepaid
from prepaid import ConfigurationError, InvalidRequest, Money
from prepaid.gateways import SimulatedGateway
from tests.use_cases.steps import (
    ADA,
    SQLITE,
    eur,
    operator,
    rows,
    top_up,
)

pytestmark = SQLITE


class Bank:
    """A plugin that brings a gateway."""

    def __init__(self, state, *, name="bank"):
        self.state, self.name, self.setups = state, name, []

    @prepaid.hookimpl
    def prepaid_gateways(self, setup):
        self.setups.append(setup)
        return [SimulatedGateway(state=self.state, name=self.name, label="Bank")]


class Ear:
    """A plugin that hears events, and fails as often as it is told to."""

    def __init__(self, failures=0):
        self.heard, self.failures = [], failures

    @prepaid.hookimpl
    def prepaid_event(self, event):
        if self.failures:
            self.failures -= 1
            raise RuntimeError("deaf")
        self.heard.append(event)


class OtherEar(Ear):
    pass


# Gateways


def test_a_gateway_of_a_plugin_object_is_offered_after_the_hosts_own(open_billing, billing, tmp_path):
    bank = Bank(tmp_path / "bank.db")
    with_bank = open_billing(plugins=[bank])

    topups = with_bank.customer(ADA).topups
    assert [offer.name for offer in topups.gateways(eur("50"))] == ["simulated", "bank"]
    assert topups.quote(eur("50"), gateway="bank").gateway == "bank"
    [setup] = bank.setups
    assert (setup.book, setup.mode, setup.currencies) == ("main", "test", ("EUR", "USD", "JPY"))


def test_a_plugins_gateway_takes_payments_like_any_other(open_billing, billing, tmp_path, clock):
    with_bank = open_billing(gateways=[], plugins=[Bank(tmp_path / "bank.db")])

    topup = top_up(with_bank, SimulatedGateway(state=tmp_path / "bank.db", name="bank", clock=clock))

    assert topup.gateway == "bank"
    assert with_bank.check().ok


def test_a_module_can_be_a_plugin_and_a_hook_may_take_no_argument(open_billing, tmp_path):
    import types

    module = types.ModuleType("prepaid_bank")
    module.prepaid_gateways = prepaid.hookimpl(lambda: (SimulatedGateway(state=tmp_path / "x.db", name="plain"),))

    billing = open_billing(plugins=[module])

    assert billing.health()["gateways"] == ("simulated", "plain")
    [info] = operator(billing).plugins()
    assert (info.name, info.hooks) == ("prepaid_bank", ("prepaid_gateways",))


# Published plugins


DISTRIBUTION = {
    "prepaid_published.py": """
import prepaid
from prepaid.gateways import SimulatedGateway

@prepaid.hookimpl
def prepaid_gateways(setup):
    return [SimulatedGateway(state={state!r}, name="published", label="Published")]
""",
    "prepaid_published-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: prepaid-published\nVersion: 1.0\n",
    "prepaid_published-1.0.dist-info/entry_points.txt": "[prepaid]\npublished = prepaid_published\n",
    "prepaid_published-1.0.dist-info/RECORD": "prepaid_published.py,,\n",
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Give a function that installs a distribution where this process looks for them."""

    def install(**changes):
        files = {**DISTRIBUTION, **{name.replace("__", "/"): content for name, content in changes.items()}}
        site = tmp_path / "site"
        for name, content in files.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(content.replace("{state!r}", repr(str(tmp_path / "published.db"))))
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(__import__("sys").modules, "prepaid_published", raising=False)
        return site

    yield install
    __import__("sys").modules.pop("prepaid_published", None)


def test_an_installed_distribution_brings_its_gateway(open_billing, billing, installed):
    installed()

    found = open_billing(load_plugins=True)

    assert [offer.name for offer in found.customer(ADA).topups.gateways(eur("50"))] == ["simulated", "published"]
    assert [info.name for info in operator(found).plugins()] == ["published"]


def test_only_the_plugins_named_are_even_imported(open_billing, installed):
    installed(**{"prepaid_published.py": "raise SystemError('imported')\n"})

    assert open_billing(load_plugins=True, plugin_names=()).health()["gateways"] == ("simulated",)
    assert open_billing(load_plugins=False).health()["gateways"] == ("simulated",)
    with pytest.raises(ConfigurationError, match="'published' cannot be imported"):
        open_billing(load_plugins=True, plugin_names=("published",))


def test_a_plugin_that_is_asked_for_and_not_installed_is_named(open_billing):
    with pytest.raises(ConfigurationError, match="absent"):
        open_billing(load_plugins=True, plugin_names=("absent",))


# What is wrong is named


class Misspelt:
    @prepaid.hookimpl
    def prepaid_gatways(self, setup):
        return []


class WrongArgument:
    @prepaid.hookimpl
    def prepaid_event(self, happening):
        pass


class Asynchronous:
    @prepaid.hookimpl
    async def prepaid_event(self, event):
        pass


class AsynchronousGateways:
    @prepaid.hookimpl
    async def prepaid_gateways(self, setup):
        return []


class NotAList:
    @prepaid.hookimpl
    def prepaid_gateways(self, setup):
        return 5


class NotAGateway:
    @prepaid.hookimpl
    def prepaid_gateways(self, setup):
        return ["a gateway"]


class Raising:
    @prepaid.hookimpl
    def prepaid_gateways(self, setup):
        raise RuntimeError("no licence")


class BadName:
    @prepaid.hookimpl
    def prepaid_gateways(self, setup):
        gateway = SimulatedGateway(state="/nowhere/x.db")
        object.__setattr__(gateway, "name", "Bad Name")
        return [gateway]


@pytest.mark.parametrize(
    "plugin",
    [Misspelt, WrongArgument, Asynchronous, AsynchronousGateways, NotAList, NotAGateway, Raising, BadName],
)
def test_a_plugin_that_cannot_work_is_named_when_it_is_wired(open_billing, plugin):
    with pytest.raises(ConfigurationError, match=plugin.__name__):
        open_billing(plugins=[plugin()])


def test_two_gateways_of_one_name_are_refused_with_both_givers(open_billing, tmp_path):
    with pytest.raises(ConfigurationError, match="'simulated', from the host and Bank"):
        open_billing(plugins=[Bank(tmp_path / "x.db", name="simulated")])


def test_two_plugins_of_one_name_are_refused(open_billing):
    with pytest.raises(ConfigurationError, match="Ear"):
        open_billing(plugins=[Ear(), Ear()])


def test_something_that_is_no_gateway_is_refused(open_billing):
    for wrong in ("stripe", None, 5, SimulatedGateway):
        with pytest.raises(ConfigurationError, match="gateway"):
            open_billing(gateways=[wrong])


# Events


def names(events):
    return [event.name for event in events]


def test_every_listener_hears_every_event_once_after_commit(open_billing, billing, simulated):
    ear, other = Ear(), OtherEar()
    listening = open_billing(plugins=[ear, other])
    topup = top_up(listening, simulated)
    assert ear.heard == []

    listening.run_due()
    listening.run_due()

    assert sorted(names(ear.heard)) == sorted(names(other.heard)) == ["invoice-issued", "topup-credited"]
    [event] = [event for event in ear.heard if event.name == "topup-credited"]
    assert (event.book, event.mode, event.customer, event.amount) == ("main", "test", ADA, eur("50"))
    assert event.details == {"topup": topup.id, "gateway": "simulated", "balance_after": "50.00 EUR"}
    assert event.id.startswith("evt_")
    with pytest.raises(TypeError):
        event.details["topup"] = "another"


def test_a_listener_that_raises_is_told_again_alone(open_billing, billing, simulated, clock, caplog):
    deaf, other = Ear(failures=2), OtherEar()
    listening = open_billing(plugins=[deaf, other])
    top_up(listening, simulated)

    listening.run_due()
    assert (len(deaf.heard), len(other.heard)) == (0, 2)
    assert "Ear failed on event" in caplog.text
    clock.advance(seconds=5)
    listening.run_due()
    listening.run_due()

    assert sorted(names(deaf.heard)) == ["invoice-issued", "topup-credited"]
    assert len(other.heard) == 2
    assert {event.id for event in deaf.heard} == {event.id for event in other.heard}
    assert listening.health()["outbox_pending"] == 0


def test_a_listener_that_never_recovers_undoes_nothing(open_billing, billing, simulated, clock):
    listening = open_billing(plugins=[Ear(failures=10_000)], mailer=None)
    top_up(listening, simulated)
    for _ in range(12):
        listening.run_due()
        clock.advance(days=1)

    assert listening.customer(ADA).balance().settled == eur("50")
    assert listening.health()["outbox_parked"] == 2
    errors = rows(listening, "SELECT DISTINCT last_error FROM prepaid_outbox WHERE book_id = :book")
    assert [tuple(row) for row in errors] == [("failed: Ear",)]
    assert listening.check().ok


def test_one_function_hears_one_event(billing, simulated, clock):
    heard = []
    billing.on("topup-credited", heard.append)
    top_up(billing, simulated)

    billing.run_due()

    assert names(heard) == ["topup-credited"]


def test_a_function_that_raises_is_told_again(billing, simulated, clock):
    heard = []

    def picky(event):
        heard.append(event.id)
        if len(heard) == 1:
            raise RuntimeError("busy")

    billing.on("topup-credited", picky)
    top_up(billing, simulated)
    billing.run_due()
    clock.advance(seconds=5)
    billing.run_due()

    assert len(heard) == 2
    assert len(set(heard)) == 1


def test_a_function_that_could_not_be_told_properly_is_refused(billing):
    async def later(event):
        pass

    def once(event):
        pass

    billing.on("security", once)
    for field, event, function in (
        ("event", "topup-paid", once),
        ("function", "security", later),
        ("function", "security", once),  # twice
    ):
        with pytest.raises(InvalidRequest) as refused:
            billing.on(event, function)
        assert refused.value.field == field
    billing.on("topup-failed", once)


def test_a_listener_that_looks_back_finds_what_it_is_told(billing, simulated):
    seen = []
    billing.on("topup-credited", lambda event: seen.append(billing.customer(event.customer).balance().settled))

    top_up(billing, simulated)
    billing.run_due()

    assert seen == [Money.of("50.00", "EUR")]
