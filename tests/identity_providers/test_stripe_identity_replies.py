"""Replies of Stripe Identity that are not what they should be: each is refused, none is guessed at."""

from __future__ import annotations

import attrs
import pytest

from prepaid.gateways.bounded import MAX_REPLY
from prepaid.testing.clock import MovableClock
from prepaid.testing.simulators.loopback import Fault
from prepaid.testing.simulators.stripe import StripeSimulator
from tests.identity_providers.identity_world import KEY, NOW, a_request, begun, bound, refused

NOT_STRINGS = [None, 7, True, "", "x" * 300, "a\nb", ["x"], {}]
NOT_BOOLS = [None, 0, 1, "true", "", [], {}]
NOT_OBJECTS = ["an id instead", 7, True, []]
NOT_IDS = [*NOT_STRINGS, "pi_1", "vs_", "vs_other", "vs_1_secret_x"]
NOT_PAGES = [*NOT_STRINGS[:4], "a\nb", ["x"], "http://panel.example", "javascript:alert(1)", "https://x/" + "y" * 5000]
TEXTS = [bad for bad in NOT_STRINGS if bad is not None]
WHEN_READ = [
    *[(("id",), bad) for bad in NOT_IDS],
    *[(("object",), bad) for bad in [*NOT_STRINGS, "checkout.session"]],
    *[(("status",), bad) for bad in [*NOT_STRINGS, "rejected", "Verified"]],
    *[(("livemode",), bad) for bad in NOT_BOOLS],
    *[(("metadata",), bad) for bad in NOT_OBJECTS],
    *[(("metadata", "case_id"), bad) for bad in TEXTS],
    *[(("metadata", "customer_id"), bad) for bad in TEXTS],
    *[(("client_reference_id",), bad) for bad in TEXTS],
    *[(("last_error",), bad) for bad in NOT_OBJECTS],
    *[(("last_error", "code"), bad) for bad in [*TEXTS, "Two words", "é", "x" * 65, "9x"]],
]
WHEN_BEGUN = [
    *[each for each in WHEN_READ if each[0][0] != "last_error" and each != (("id",), "vs_other")],
    (("livemode",), True),
    (("metadata",), None),
    (("metadata", "case_id"), None),
    (("metadata", "case_id"), "idc_other"),
    (("metadata", "customer_id"), "user-43"),
    (("client_reference_id",), None),
    (("client_reference_id",), "user-43"),
    *[(("url",), bad) for bad in NOT_PAGES],
]
ANY_BODY = [
    b"[]",
    b"7",
    b"null",
    b'"text"',
    b"",
    b"\xff\xfe",
    b'{"object": NaN}',
    b'{"id": ' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b'{"object": "identity.verification_session", "error": []}',
    b'{"object": "list", "data": 7}',
]


def put(content, path, value):
    *above, last = path
    for name in above:
        content = content[name]
    content[last] = value


@pytest.fixture(scope="module")
def waiting():
    """A provider with one session that waits for another try, only to be read."""
    clock = MovableClock(NOW)
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        provider = bound(simulator, clock)
        reference = begun(provider)
        simulator.require_input(reference)
        yield provider, simulator, reference


@pytest.fixture
def fresh():
    clock = MovableClock(NOW)
    with StripeSimulator(secret_key=KEY, clock=clock) as simulator:
        yield bound(simulator, clock), simulator


@pytest.mark.parametrize(("path", "bad"), WHEN_READ, ids=lambda part: repr(part)[:40])
def test_a_mistyped_field_is_an_unusable_reply(waiting, path, bad):
    provider, simulator, reference = waiting
    simulator.rewrite_next(lambda session: put(session, path, bad))
    error = refused(provider.fetch, reference)
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, False)


@pytest.mark.parametrize("path", [("id",), ("object",), ("status",), ("livemode",)])
def test_a_missing_field_is_never_guessed(waiting, path):
    provider, simulator, reference = waiting
    simulator.rewrite_next(lambda session: session.pop(path[0]))
    assert refused(provider.fetch, reference).code == "unusable-reply"


def test_what_is_spoilt_in_these_tests_is_read_when_it_is_not(waiting):
    provider, _, reference = waiting
    assert provider.fetch(reference).reason == "document_unverified_other"


@pytest.mark.parametrize(("path", "bad"), WHEN_BEGUN, ids=lambda part: repr(part)[:40])
def test_a_field_that_is_not_what_was_asked_for_leaves_the_beginning_in_doubt(fresh, path, bad):
    provider, simulator = fresh
    simulator.rewrite_next(lambda session: put(session, path, bad))
    error = refused(provider.begin, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, True)
    begun(provider)
    assert len(simulator.all_of("identity.verification_session")) == 1


@pytest.mark.parametrize("bad", NOT_PAGES, ids=lambda part: repr(part)[:40])
def test_a_page_that_is_none_is_not_given_to_a_customer(waiting, bad):
    provider, simulator, reference = waiting
    simulator.rewrite_next(lambda session: session.update(url=bad))
    error = refused(provider.resume, reference)
    assert (error.code, error.retryable, error.outcome_unknown) == ("unusable-reply", True, False)


def test_the_answer_about_another_session_is_not_taken(fresh):
    provider, simulator = fresh
    first, other = begun(provider), begun(provider, key="other")
    simulator.verify(other)
    for call in (provider.fetch, provider.resume):
        simulator.rewrite_next(lambda session: session.update(simulator.verification(other)))
        assert refused(call, first).code == "unusable-reply"
    simulator.rewrite_next(lambda session: session.update(simulator.verification(other)))
    error = refused(provider.cancel, first)
    assert (error.code, error.outcome_unknown) == ("unusable-reply", True)


@pytest.mark.parametrize("body", ANY_BODY, ids=lambda body: body[:20])
@pytest.mark.parametrize("status", [200, 400])
def test_any_body_at_all_ends_in_a_gateway_error(waiting, body, status):
    provider, simulator, reference = waiting
    for call in (provider.fetch, provider.resume):
        simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=body, status=status)))
        assert not refused(call, reference).outcome_unknown


def test_a_name_that_is_repeated_anywhere_in_a_reply_makes_it_unusable(waiting):
    provider, simulator, reference = waiting
    twice = b'"status": "verified", "status": "requires_input"'
    simulator.fault_next(
        Fault(spoil=lambda a: attrs.evolve(a, body=a.body.replace(b'"status": "requires_input"', twice)))
    )
    assert refused(provider.fetch, reference).code == "unusable-reply"


def test_a_reply_without_end_is_cut_off(waiting):
    provider, simulator, reference = waiting
    simulator.fault_next(Fault(spoil=lambda answer: attrs.evolve(answer, body=b" " * (MAX_REPLY + 1))))
    assert refused(provider.fetch, reference).code == "connection"
