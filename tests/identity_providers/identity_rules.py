"""What holds of every identity provider, whoever is behind it; run against each of ours."""

from __future__ import annotations

import pytest

from prepaid.core.errors import ConfigurationError, GatewayError, WebhookRejected
from prepaid.core.ids import make_id
from prepaid.identity_ports import DecidedByOperator, IdentityProvider, IdentitySession
from prepaid.testing.clock import START as NOW
from tests.identity_providers.identity_world import CASE, CUSTOMER, a_request

OTHER_CASE = make_id("idc", NOW, b"9876543210")
STRANGE = ("", "x", "vs_", "vs_1/cancel", "vs_a_secret_b", "../x", "é", "\ud800", "x" * 5000)
HOSTILE = (b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"id": "evt_1", "id": "evt_2"}', b" " * 1_100_000)


def check_provider(provider, clock, *, unknown):
    """Check a provider that is configured and not yet bound.

    Args:
        provider: What is checked.
        clock: Its clock.
        unknown: A well-formed reference that it knows nothing of, or None if
            whatever is well-formed is known.
    """
    check_what_it_is(provider)
    check_that_it_has_to_be_bound(provider)
    bound = provider.bind("test", clock)
    check_what_it_is(bound)
    check_beginning(bound)
    check_that_strangers_are_refused(bound, unknown)
    check_that_webhooks_of_nobody_are_rejected(bound)
    check_giving_up(bound)


def check_what_it_is(provider):
    assert isinstance(provider, IdentityProvider)
    assert provider.name == provider.name.strip().lower() != ""
    assert provider.label.isprintable()
    assert 1 <= provider.level <= 9


def check_that_it_has_to_be_bound(provider):
    calls = (
        lambda: provider.begin(a_request()),
        lambda: provider.resume(CASE),
        lambda: provider.fetch(CASE),
        lambda: provider.cancel(CASE),
    )
    for call in calls:
        with pytest.raises(ConfigurationError, match="bind"):
            call()
    with pytest.raises((ConfigurationError, WebhookRejected)):
        provider.parse_webhook({}, b"{}")


def check_beginning(provider):
    first, again = provider.begin(a_request()), provider.begin(a_request())
    assert isinstance(first, IdentitySession)
    assert 0 < len(first.reference) <= 191
    assert again.reference == first.reference, "one key gave two verifications"
    assert (again.redirect_url is None) == (first.redirect_url is None)
    other = provider.begin(a_request(case_id=OTHER_CASE, key="other"))
    assert other.reference != first.reference, "two keys gave one verification"
    assert provider.resume(first.reference).reference == first.reference
    result = provider.fetch(first.reference)
    assert (result.reference, result.state, result.reason, result.mode) == (first.reference, "pending", "", "test")
    assert (result.case_id, result.decided_at) == (CASE, None)
    if not isinstance(provider, DecidedByOperator):  # there is nobody who could echo them
        assert result.customer_id == CUSTOMER
    assert provider.fetch(other.reference).case_id == OTHER_CASE


def check_that_strangers_are_refused(provider, unknown):
    for reference in (*STRANGE, *filter(None, [unknown])):
        for call in (provider.fetch, provider.cancel, provider.resume):
            with pytest.raises(GatewayError) as caught:
                call(reference)
            assert not caught.value.retryable
            assert not caught.value.outcome_unknown


def check_that_webhooks_of_nobody_are_rejected(provider):
    for body in HOSTILE:
        for header in ({}, {"stripe-signature": "t=1,v1=" + "0" * 64}, {"simulated-signature": "t=1,v1=" + "0" * 64}):
            with pytest.raises(WebhookRejected):
                provider.parse_webhook(header, body)


def check_giving_up(provider):
    reference = provider.begin(a_request()).reference
    result = provider.cancel(reference)
    assert (result.reference, result.state, result.case_id) == (reference, "canceled", CASE)
    assert provider.cancel(reference) == result, "giving up twice is not giving up once"
    if not isinstance(provider, DecidedByOperator):
        assert provider.fetch(reference) == result
        assert provider.resume(reference).redirect_url is None
        assert provider.begin(a_request()).reference == reference
