"""Errors leave a gateway with their words and without the frames they came through."""

from __future__ import annotations

import inspect
import traceback

import pytest

from prepaid.core.errors import ConfigurationError, GatewayError, WebhookRejected
from prepaid.gateways import (
    BankTransferGateway,
    BasicGateway,
    PayPalGateway,
    RazorpayGateway,
    SimulatedGateway,
    StripeGateway,
)
from prepaid.gateways.discreet import CALLS, discreet
from prepaid.gateways.paypal_wire import Refusal
from prepaid.ports import Gateway

OURS = [BankTransferGateway, PayPalGateway, RazorpayGateway, SimulatedGateway, StripeGateway]


@discreet
class Talkative:
    """A gateway that goes wrong as it is told."""

    def __init__(self, key):
        if key == "wrong":
            raise ConfigurationError("not a key")
        self.key = key

    def fetch_payment(self, error, *, behind=None):
        """Say what is asked for."""
        key = self.key
        try:
            raise KeyError(key)
        except KeyError as cause:
            raise error from behind or cause

    def page(self, error):
        raise error


def variables(error):
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return "".join(repr(frame.f_locals) for frame in frames if frame.f_code.co_filename != __file__), frames


@pytest.mark.parametrize(
    "error",
    [
        GatewayError("no", retryable=True, outcome_unknown=True, code="x", retry_after_s=7),
        Refusal("no", status=404, name="GONE", code="y"),
        WebhookRejected("no", reason="wrong-mode"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_keeps_what_it_says_and_loses_the_way_it_came(error):
    facts = dict(vars(error))
    with pytest.raises(type(error)) as caught:
        Talkative("a-key").fetch_payment(error, behind=ValueError("a-key"))
    assert caught.value is error
    assert (vars(error), str(error)) == (facts, "no")
    assert error.__cause__ is error.__context__ is None
    seen, frames = variables(error)
    assert "a-key" not in seen
    assert [frame.f_code.co_name for frame in frames[1:]] == ["bare"]


def test_an_error_of_the_making_shows_no_argument():
    with pytest.raises(ConfigurationError) as caught:
        Talkative(key="wrong")
    assert "wrong" not in variables(caught.value)[0]


def test_a_mistake_of_ours_is_shown_with_the_way_it_came():
    with pytest.raises(ZeroDivisionError) as caught:
        Talkative("a-key").fetch_payment(ZeroDivisionError())
    assert isinstance(caught.value.__cause__, KeyError)
    assert len(traceback.extract_tb(caught.value.__traceback__)) == 3


def test_what_is_no_part_of_the_port_is_left_alone():
    assert not hasattr(Talkative.page, "__wrapped__")
    assert Talkative.fetch_payment.__doc__ == "Say what is asked for."
    assert list(inspect.signature(Talkative.fetch_payment).parameters) == ["self", "error", "behind"]


def test_every_call_of_the_port_that_can_fail_is_named():
    port = {name for name, member in vars(Gateway).items() if inspect.isfunction(member) and not name.startswith("_")}
    assert port - set(CALLS) == {"capabilities"}


@pytest.mark.parametrize("gateway", OURS)
def test_every_gateway_of_ours_is_discreet(gateway):
    bare = {name for name in CALLS if hasattr(getattr(gateway, name, None), "__wrapped__")}
    assert {"__init__", "bind", "create_checkout", "fetch_payment", "parse_webhook"} <= bare
    left = {name for name in set(CALLS) - bare if hasattr(gateway, name)}
    assert all(getattr(gateway, name) is getattr(BasicGateway, name) for name in left)


def test_what_a_gateway_has_from_a_class_of_its_own_is_bare_too():
    @discreet
    class Acme(Talkative, BasicGateway):
        pass

    with pytest.raises(ConfigurationError) as caught:
        Acme("wrong")
    assert "wrong" not in variables(caught.value)[0]
    assert Acme.capture is BasicGateway.capture
