"""Timed HMAC headers and strict JSON: what is accepted, and that all else is refused in one way."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.errors import WebhookRejected
from prepaid.core.instants import EPOCH
from prepaid.gateways.signed import (
    MAX_BODY,
    MAX_DEPTH,
    MAX_HEADER,
    parse_signature_header,
    required_text,
    sign,
    strict_json_object,
    verify_signed,
)

AT = 1795320000
NOW = EPOCH + timedelta(seconds=AT)
BODY = b'{"id":"evt_1"}'
HEX = "a" * 64


def verify(header, body=BODY, *, secrets=("ours",), now=NOW):
    return verify_signed(header, body, secrets=secrets, now=now)


def test_signature_equals_a_vector_from_the_stripe_sdk():
    body = (
        b'{"id":"evt_test_1","object":"event","type":"checkout.session.completed",'
        b'"livemode":false,"created":1795320000}'
    )
    header = sign(body, "whsec_made_up_secret", at=AT)
    assert header == f"t={AT},v1=8d3d3ba1d3de316f5d1380ffb025d83cd99f21f6bbf3b57ccdf841ee977edb4d"


@given(st.text(max_size=50), st.integers(min_value=0, max_value=10**10))
def test_stripes_own_verifier_accepts_what_is_signed_here(text, at):
    header = sign(text.encode(), "whsec_x", at=at)
    assert stripe.WebhookSignature.verify_header(text, header, "whsec_x", tolerance=None)


def test_verified_header_gives_its_time():
    assert verify(sign(BODY, "ours", at=AT)) == AT


@pytest.mark.parametrize("seconds", [-300, -299, 0, 299, 300])
def test_time_within_the_tolerance_is_accepted_either_way(seconds):
    assert verify(sign(BODY, "ours", at=AT + seconds)) == AT + seconds


@pytest.mark.parametrize("seconds", [-(10**9), -301, 301, 10**9])
def test_time_beyond_the_tolerance_is_rejected_either_way(seconds):
    with pytest.raises(WebhookRejected, match="time"):
        verify(sign(BODY, "ours", at=AT + seconds))


@pytest.mark.parametrize("microseconds", [-1, 1])
def test_tolerance_is_exact_to_the_microsecond(microseconds):
    now = NOW + microseconds * timedelta(seconds=300) + timedelta(microseconds=microseconds)
    with pytest.raises(WebhookRejected, match="time"):
        verify(sign(BODY, "ours", at=AT), now=now)


def test_signature_is_judged_before_the_time():
    with pytest.raises(WebhookRejected, match="secrets"):
        verify(sign(BODY, "theirs", at=AT - 10**6))


@pytest.mark.parametrize("signer", ["old", "new"])
def test_either_of_two_secrets_is_accepted_during_a_rotation(signer):
    assert verify(sign(BODY, signer, at=AT), secrets=("new", "old")) == AT


def test_header_signed_with_two_secrets_is_accepted_by_a_holder_of_either():
    header = sign(BODY, "first", "second", at=AT)
    assert verify(header, secrets=("first",)) == verify(header, secrets=("second",)) == AT


@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), ("", "\t")])
def test_a_blank_secret_never_matches_even_a_signature_made_with_it(secrets):
    with pytest.raises(WebhookRejected):
        verify(sign(BODY, *secrets, at=AT) if secrets else sign(BODY, "", at=AT), secrets=secrets)


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], b"", b"\xff" + BODY])
def test_another_body_is_rejected(body):
    with pytest.raises(WebhookRejected, match="secrets"):
        verify(sign(BODY, "ours", at=AT), body)


def test_another_time_under_the_same_signature_is_rejected():
    with pytest.raises(WebhookRejected, match="secrets"):
        verify(sign(BODY, "ours", at=AT).replace(f"t={AT}", f"t={AT + 1}"))


def test_a_body_that_was_decoded_on_the_way_is_rejected():
    with pytest.raises(WebhookRejected, match="bytes"):
        verify(sign(BODY, "ours", at=AT), BODY.decode())


@pytest.mark.parametrize(
    "header",
    [
        None,
        7,
        b"t=1",
        "",
        ",",
        "garbage",
        f"v1={HEX}",
        f"t={AT}",
        f"t={AT},v0={HEX}",
        f"t={AT},t={AT},v1={HEX}",
        f"t=,v1={HEX}",
        f"t=-1,v1={HEX}",
        f"t=1.5,v1={HEX}",
        f"t=1_0,v1={HEX}",
        f"t=\u0661,v1={HEX}",
        f"t=9999999999999,v1={HEX}",
        f"t={AT},v1={HEX[1:]}",
        f"t={AT},v1={HEX}0",
        f"t={AT},v1={HEX.upper()}",
        f"t={AT},v1=",
        f"t={AT},v1={HEX},v1=short",
        f"t={AT}, v1={HEX}",
        f"t={AT},v1={HEX}\n",
        f"t={AT}" + f",v1={HEX}" * (MAX_HEADER // 60),
    ],
)
def test_malformed_header_is_rejected(header):
    with pytest.raises(WebhookRejected):
        parse_signature_header(header)


def test_other_schemes_in_the_header_are_passed_over():
    assert parse_signature_header(f"t=5,v0=x,v1={HEX},v2=y,z") == (5, (HEX,))


@given(st.text() | st.none() | st.binary() | st.from_regex(r"t=[0-9]{1,13}(,v[01]=[0-9a-f]{63,65}){0,3}"), st.binary())
def test_no_header_or_body_raises_anything_but_a_rejection(header, body):
    with pytest.raises(WebhookRejected):
        verify(header, body)


def test_json_object_is_read_with_exact_numbers():
    body = '{"a":[1,-2,0.10,1.5e2,true,null],"é":{"b":"😀"}}'.encode()
    assert strict_json_object(body) == {
        "a": [1, -2, Decimal("0.10"), Decimal("150"), True, None],
        "é": {"b": "😀"},
    }


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63 - 1)])
def test_integers_up_to_64_bits_are_read(number):
    assert strict_json_object(b'{"a":%d}' % number) == {"a": number}


def nested(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_nesting_up_to_the_limit_is_read():
    assert strict_json_object(nested(MAX_DEPTH - 1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b"{} {}",
        b'{"a":1,}',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":%d}' % 2**63,
        b'{"a":-%d}' % 2**63,
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' + b"9" * 500_000 + b"}",
        b'{"a":1e400}',
        b'{"a":1e99999999999999999999}',
        b'{"a":1e-100}',
        b'{"a":0.' + b"1" * 41 + b"}",
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":["\\ud800"]}',
        b'{"a":"\n"}',
        b'{"a":"\xff"}',
        "{}".encode("utf-16"),
        b"\xef\xbb\xbf{}",
        nested(MAX_DEPTH),
        nested(100_000),
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":"' + b"x" * MAX_BODY + b'"}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_unacceptable_json_is_rejected(body):
    with pytest.raises(WebhookRejected):
        strict_json_object(body)


def test_rejection_does_not_carry_the_body_into_a_traceback():
    with pytest.raises(WebhookRejected) as rejected:
        strict_json_object(b'{"card":"4242"')
    assert "4242" not in str(rejected.value)
    assert rejected.value.__suppress_context__


@given(st.binary())
def test_any_bytes_are_read_as_an_object_or_rejected(body):
    with suppress(WebhookRejected):
        assert isinstance(strict_json_object(body), dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_any_json_is_read_as_an_object_or_rejected(value):
    with suppress(WebhookRejected):
        assert isinstance(strict_json_object(json.dumps(value).encode()), dict)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")) | st.booleans()))
def test_every_plain_object_is_read_as_it_was_written(value):
    assert strict_json_object(json.dumps(value).encode()) == value
    assert strict_json_object(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("value", [None, "", 5, True, ["x"], {"x": 1}, "x" * 192, "a\nb", "\x00", "\u202e"])
def test_field_that_is_no_short_printable_text_is_rejected(value):
    with pytest.raises(WebhookRejected, match="body's id"):
        required_text({"id": value}, "id")


def test_missing_field_is_rejected():
    with pytest.raises(WebhookRejected, match="body's id"):
        required_text({}, "id")


def test_field_with_text_is_given():
    assert required_text({"id": "x" * 191}, "id") == "x" * 191
    with pytest.raises(WebhookRejected):
        required_text({"id": "xxx"}, "id", longest=2)
