"""The identity providers that come with the library, from the customer's first click to the credit."""

from __future__ import annotations

import pytest

from prepaid import GatewayError
from prepaid.identity_providers import ManualReview, SimulatedIdentity
from tests.use_cases.steps import ADA, EVE, SQLITE_FIRST, alarms, eur, operator
from tests.use_cases.verifiers import RETURN, approve, held

pytestmark = SQLITE_FIRST

NAME = "simulated-identity"


@pytest.fixture
def provider(tmp_path, clock):
    return SimulatedIdentity(state=tmp_path / "identity.db", clock=clock, page_url="https://verify.example/{reference}")


@pytest.fixture
def billing(open_billing, provider):
    billing = open_billing(identity=[provider, ManualReview(level=2)])
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR", email=f"{customer}@example.com")
    return billing


def deliver(billing, provider, reference, **how):
    headers, body = provider.webhook(reference, **how)
    return billing.webhooks.receive(NAME, body=body, headers=headers)


def begin(billing, customer=ADA, **options):
    return billing.customer(customer).identity.start(return_url=RETURN, **options)


def test_the_whole_way_with_every_answer_lost_once(billing, provider, simulated, clock):
    waiting = held(billing, simulated)
    provider.fail_next(unheard=True)
    with pytest.raises(GatewayError):
        begin(billing)
    case = begin(billing)
    assert case.redirect_url == f"https://verify.example/{case.reference}"
    assert provider.page(case.reference).return_url == RETURN
    provider.processing(case.reference)
    assert deliver(billing, provider, case.reference).outcome == "identity"
    assert begin(billing).state == "submitted"
    for reason in ("document-unreadable", "selfie-unreadable"):
        provider.ask_again(case.reference, reason)
        deliver(billing, provider, case.reference)
        [listed] = operator(billing).identity.cases("pending").items
        assert listed.reason == reason
    assert begin(billing).redirect_url == case.redirect_url
    provider.verify(case.reference)
    provider.fail_next()
    assert deliver(billing, provider, case.reference).outcome == "recorded"
    clock.advance(minutes=2)

    billing.run_due("identity")

    assert billing.customer(ADA).topups.get(waiting.id).state == "credited"
    assert billing.customer(ADA).balance().settled == eur("50")
    assert deliver(billing, provider, case.reference).outcome == "ignored"
    assert billing.check().ok


@pytest.mark.parametrize("lie", [{"case_id": "idc_x"}, {"customer_id": EVE}, {"mode": "live"}, {"case_id": ""}])
def test_a_provider_that_lies_changes_nothing(billing, provider, simulated, lie):
    waiting = held(billing, simulated)
    case = begin(billing)
    provider.verify(case.reference)
    provider.lie(case.reference, **lie)

    deliver(billing, provider, case.reference)
    with_guessed_secret = deliver(billing, provider, case.reference, secret="guessed")

    assert with_guessed_secret.status == 400
    assert billing.customer(ADA).topups.get(waiting.id).state == "review"
    assert billing.customer(ADA).identity.status().level == 0
    assert len(alarms(billing)) == 2
    assert billing.check().ok


def test_a_review_by_hand_where_a_higher_level_is_needed(billing, simulated):
    held(billing, simulated)
    case = begin(billing, level=2)
    assert (case.provider, case.redirect_url) == ("manual-review", None)
    assert begin(billing, level=2) == case
    billing.customer(ADA).identity.submit("upload/4711")
    billing.run_due()
    [listed] = operator(billing).identity.cases("submitted").items
    assert listed.submission == "upload/4711"

    assert approve(billing).level == 2

    assert billing.customer(ADA).balance().settled == eur("50")
    assert billing.webhooks.receive("manual-review", body=b"{}", headers={}).status == 400
    assert billing.check().ok
