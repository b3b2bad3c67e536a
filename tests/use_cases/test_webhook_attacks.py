"""Attacks on the webhook endpoint that happened to real systems, by the numbers of the published list."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta

import pytest

from prepaid import ConfigurationError
from prepaid.config import MAX_WEBHOOK_BYTES
from prepaid.gateways import SimulatedGateway, StripeGateway
from tests.use_cases.providers import SECRET, event, receive, signed
from tests.use_cases.steps import (
    SQLITE,
    alarms,
    assert_nothing_credited,
    counts,
)


def assert_refused(shop, gateway, result, status, reason):
    assert (result.status, result.outcome) == (status, "rejected")
    assert (result.event_id, result.topup_id) == (None, None)
    assert gateway.asked == []  # nobody was called because of it
    assert counts(shop)["webhook_event"] == 0
    assert_nothing_credited(shop)
    assert alarms(shop) == [reason]


# A01: a callback that is not authenticated


def forged_header(kind, headers):
    [(name, good)] = headers.items()
    at, v1 = good.split(",")
    return {
        "none": {},
        "empty": {name: ""},
        "unsigned": {name: at},
        "truncated": {name: good[:-1]},
        "one digit": {name: good[:-1] + ("0" if good[-1] != "0" else "1")},
        "no time": {name: v1},
        "two times": {name: f"t=1,{good}"},
        "other scheme": {name: good.replace("v1=", "v0=")},
        "long": {name: good + "," + "v1=" + "0" * 5000},
    }[kind]


@SQLITE
@pytest.mark.parametrize(
    "kind",
    ["none", "empty", "unsigned", "truncated", "one digit", "no time", "two times", "other scheme", "long"],
)
def test_a01_a_webhook_with_a_forged_signature_credits_nothing(shop, gateway, paid, clock, kind):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)

    result = receive(shop, forged_header(kind, headers), body)

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@pytest.mark.parametrize("secret", ["a-guess", "other-one", "simulated-secret"])
def test_a01_a_webhook_signed_with_another_secret_credits_nothing(shop, gateway, paid, clock, secret):
    headers, body = signed(event(paid), at=clock.now(), secret=secret)

    result = receive(shop, headers, body)

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
def test_a01_a_genuine_webhook_at_the_other_gateways_address_credits_nothing(shop, gateway, paid, clock):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body, to="other")

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
def test_a01_the_other_gateways_own_signature_wakes_no_top_up_of_this_one(shop, gateway, paid, clock):
    headers, body = signed(event(paid), at=clock.now(), secret="other-one")

    result = receive(shop, headers, body, to="other")

    assert (result.status, result.outcome, result.topup_id) == (200, "ignored", None)
    assert gateway.asked == []
    assert_nothing_credited(shop)


@SQLITE
def test_a01_a_signature_over_another_body_credits_nothing(shop, gateway, paid, clock):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body.replace(b"evt_1", b"evt_2"))

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
@pytest.mark.parametrize("seconds", [-301, 301, -86_400 * 365])
def test_a01_a_stale_or_future_signature_credits_nothing(shop, gateway, paid, clock, seconds):
    headers, body = signed(event(paid), at=clock.now() + timedelta(seconds=seconds), secret=SECRET)

    result = receive(shop, headers, body)

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{}",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"id": "evt_1"}',
        b'{"id": "evt_1", "id": "evt_2"}',
        b'{"id": NaN}',
        b"[" * 100_000,
        b'{"id": "\\ud800"}',
        b'{"id": {"a": 1}, "mode": "test"}',
        b'{"id": 5, "type": "payment.captured", "mode": "test", "checkout_id": "x"}',
        b'{"id": "' + b"a" * 300 + b'", "type": "payment.captured", "mode": "test", "checkout_id": "x"}',
    ],
)
def test_a01_a_signed_body_that_is_no_event_is_refused(shop, gateway, paid, clock, body):
    headers, body = signed(body, at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body)

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
@pytest.mark.parametrize("body", [b"", "", "text", None, {}, 5, bytearray(b"{}"), memoryview(b"{}")])
def test_a01_a_body_that_is_not_the_bytes_received_is_refused(shop, gateway, paid, body):
    assert_refused(shop, gateway, receive(shop, {}, body), 400, "webhook-no-body")


@SQLITE
@pytest.mark.parametrize("headers", [None, 5, "text", b"bytes", ["ab"], [("a", "b", "c")], {None: None}, {5: b"x"}, []])
def test_a01_headers_of_any_shape_are_refused_without_an_exception(shop, gateway, paid, clock, headers):
    _, body = signed(event(paid), at=clock.now(), secret=SECRET)

    assert_refused(shop, gateway, receive(shop, headers, body), 400, "webhook-not-genuine")


@SQLITE
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_headers_are_taken_in_any_case_and_as_pairs_too(shop, gateway, paid, clock, case):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)
    pairs = [(case(name), value) for name, value in headers.items()]

    assert receive(shop, pairs, body).outcome == "credited"


@SQLITE
@pytest.mark.parametrize("name", ["paypal", "", "SIMULATED", None, 5, "simulated\x00", "a" * 1000, b"simulated", []])
def test_a_webhook_for_a_gateway_that_does_not_exist_is_404(shop, gateway, paid, clock, name):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body, to=name)

    assert (result.status, result.outcome) == (404, "rejected")
    assert gateway.asked == []
    assert_nothing_credited(shop)


def test_a_flood_of_forgeries_raises_one_alarm_an_hour(shop, paid, clock):
    for _ in range(3):
        receive(shop, {}, b"{}")
    assert alarms(shop) == ["webhook-not-genuine"]

    clock.advance(hours=1)
    receive(shop, {}, b"{}")

    assert alarms(shop) == ["webhook-not-genuine"] * 2


# A02: no secret, so nothing is checked


@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), (None,), None, ("good", ""), "good"])
def test_a02_a_gateway_without_a_usable_secret_cannot_be_made(tmp_path, secrets):
    with pytest.raises(ConfigurationError):
        SimulatedGateway(state=tmp_path / "x.db", webhook_secrets=secrets)


@SQLITE
@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), None])
def test_a02_nor_can_one_of_a_real_provider(open_billing, secrets):
    with pytest.raises(ConfigurationError):
        open_billing(gateways=[StripeGateway(secret_key="sk_test_x", webhook_secrets=secrets)])


# A10: an event of the other mode


@SQLITE
def test_a10_an_event_of_the_other_mode_is_refused(shop, gateway, paid, clock):
    headers, body = signed(event(paid, mode="live"), at=clock.now(), secret=SECRET)

    assert_refused(shop, gateway, receive(shop, headers, body), 404, "webhook-wrong-mode")


# A29: a body too large to be looked at


@SQLITE
@pytest.mark.parametrize("extra", [1, 1000])
def test_a29_a_body_above_the_limit_is_refused_before_it_is_read(shop, gateway, paid, clock, extra):
    headers, body = signed(b" " * (MAX_WEBHOOK_BYTES + extra), at=clock.now(), secret=SECRET)

    assert_refused(shop, gateway, receive(shop, headers, body), 413, "webhook-too-large")


@SQLITE
def test_a29_a_body_of_exactly_the_limit_is_read(shop, paid, clock):
    _, body = signed(event(paid), at=clock.now(), secret=SECRET)
    headers, body = signed(body + b" " * (MAX_WEBHOOK_BYTES - len(body)), at=clock.now(), secret=SECRET)

    assert receive(shop, headers, body).outcome == "credited"


@SQLITE
def test_a29_fifty_megabytes_cost_no_memory(shop, gateway, paid):
    body = bytes(50 * 1024 * 1024)
    receive(shop, {}, body)  # loads what the first call loads

    tracemalloc.start()
    result = receive(shop, {"Simulated-Signature": "t=1,v1=" + "0" * 64}, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert_refused(shop, gateway, result, 413, "webhook-too-large")
    assert peak < 2 * MAX_WEBHOOK_BYTES
