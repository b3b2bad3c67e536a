"""Review by an operator: nobody is asked, and nothing comes in."""

from __future__ import annotations

import pytest

from prepaid.core.errors import WebhookRejected
from prepaid.identity_providers import ManualReview
from prepaid.testing.clock import MovableClock
from tests.identity_providers.identity_world import CASE, a_request, refused


@pytest.fixture(params=["test", "live"])
def mode(request):
    return request.param


@pytest.fixture
def provider(mode):
    return ManualReview().bind(mode, MovableClock())


def test_a_case_is_its_own_reference_and_leads_to_no_page(provider):
    for session in (provider.begin(a_request()), provider.resume(CASE)):
        assert (session.reference, session.redirect_url) == (CASE, None)


def test_it_says_of_every_case_that_nothing_is_decided_here(provider, mode):
    result = provider.fetch(CASE)
    assert (result.reference, result.case_id, result.customer_id, result.mode) == (CASE, CASE, None, mode)
    assert (result.state, result.reason, result.decided_at) == ("pending", "", None)
    assert provider.cancel(CASE).state == "canceled"


def test_what_is_no_id_of_a_case_is_refused(provider):
    for wrong in ("", "x", "idc_1", "vs_1", None, 7, CASE.upper(), f"{CASE}\n"):
        for call in (provider.fetch, provider.cancel, provider.resume):
            assert refused(call, wrong).code == "unknown-verification"
    assert refused(provider.begin, a_request(case_id="x")).code == "unknown-verification"


def test_no_webhook_is_ever_taken(provider):
    for body in (b"", b"{}", b'{"id": "evt_1"}'):
        with pytest.raises(WebhookRejected):
            provider.parse_webhook({"stripe-signature": "t=1,v1=2"}, body)


def test_what_it_is_called_and_what_it_leads_to_is_for_the_host_to_say():
    provider = ManualReview()
    assert (provider.name, provider.label, provider.level) == ("manual-review", "Review by an operator", 1)
    other = ManualReview(name="video-call", label="Call with us", level=3).bind("live", MovableClock())
    assert (other.name, other.label, other.level, other.decided_by_operator) == ("video-call", "Call with us", 3, True)
