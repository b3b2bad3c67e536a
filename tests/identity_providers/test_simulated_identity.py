"""The simulated identity provider: its acts, its lies, its faults, its webhooks, its memory."""

from __future__ import annotations

import json
import multiprocessing
import threading
from datetime import timedelta

import pytest

from prepaid.core.errors import ConfigurationError, InvalidRequest, NotFound, WebhookRejected, WrongState
from prepaid.core.instants import to_micros
from prepaid.gateways import SimulatedGateway
from prepaid.gateways.signed import MAX_BODY, sign
from prepaid.identity_providers import SimulatedIdentity
from prepaid.identity_providers.simulated import SIGNATURE_HEADER
from prepaid.testing.clock import MovableClock
from tests.identity_providers.identity_world import BACK, CASE, CUSTOMER, EMAIL, NOW, a_request, begun, refused

PAGE = "https://panel.example/simulated-verification/{reference}"
SECRET = "simulated-secret"


@pytest.fixture
def clock():
    return MovableClock(NOW)


@pytest.fixture
def state(tmp_path):
    return tmp_path / "identity.db"


@pytest.fixture
def provider(state, clock):
    return SimulatedIdentity(state=state, page_url=PAGE).bind("test", clock)


def states(provider, reference):
    result = provider.fetch(reference)
    return result.state, result.reason


# Acts


def test_a_customer_is_verified(provider, clock):
    session = provider.begin(a_request())
    assert session.redirect_url == PAGE.replace("{reference}", session.reference)
    provider.processing(session.reference)
    assert states(provider, session.reference) == ("processing", "")
    assert provider.fetch(session.reference).decided_at is None
    clock.advance(minutes=5)
    provider.verify(session.reference)
    result = provider.fetch(session.reference)
    assert (result.state, result.case_id, result.customer_id, result.mode) == ("verified", CASE, CUSTOMER, "test")
    assert result.decided_at == NOW + timedelta(minutes=5)


def test_a_customer_is_rejected_for_a_reason(provider):
    reference = begun(provider)
    provider.reject(reference, "face-differs")
    assert states(provider, reference) == ("rejected", "face-differs")
    assert provider.fetch(reference).decided_at == NOW


def test_a_customer_is_asked_again_and_the_reason_goes_with_the_next_try(provider):
    reference = begun(provider)
    provider.processing(reference)
    provider.ask_again(reference)
    assert states(provider, reference) == ("pending", "document-unreadable")
    assert provider.resume(reference).redirect_url
    provider.processing(reference)
    assert states(provider, reference) == ("processing", "")


def test_there_is_a_page_only_while_the_customer_has_something_to_do(provider, state, clock):
    reference = begun(provider)
    provider.processing(reference)
    assert provider.resume(reference).redirect_url is None
    assert provider.begin(a_request()).redirect_url is None
    bare = SimulatedIdentity(state=state, name="bare").bind("test", clock)
    assert bare.begin(a_request()).redirect_url is None


def test_the_page_shows_how_far_it_is_and_where_it_leads_back_to(provider):
    reference = begun(provider)
    provider.ask_again(reference, "too-dark")
    page = provider.page(reference)
    assert (page.reference, page.return_url, page.state, page.reason) == (reference, BACK, "pending", "too-dark")


@pytest.mark.parametrize("act", ["verify", "reject", "cancel"])
def test_what_is_decided_or_given_up_stays_so(provider, act):
    reference = begun(provider)
    getattr(provider, act)(reference)
    before = provider.fetch(reference)
    getattr(provider, act)(reference)
    for other in {"verify", "reject", "processing", "ask_again"} - {act}:
        with pytest.raises(WrongState, match=before.state):
            getattr(provider, other)(reference)
    assert provider.cancel(reference) == provider.fetch(reference) == before


def test_what_is_being_checked_can_be_given_up(provider):
    reference = begun(provider)
    provider.processing(reference)
    assert provider.cancel(reference).state == "canceled"


@pytest.mark.parametrize("reason", ["", "Two words", "é", "x" * 65, None, 7, "9x"])
def test_a_reason_that_is_no_word_is_refused(provider, reason):
    reference = begun(provider)
    for act in (provider.reject, provider.ask_again):
        with pytest.raises(InvalidRequest, match="reason"):
            act(reference, reason)
    assert states(provider, reference) == ("pending", "")


def test_an_act_on_nothing_is_a_mistake_of_the_test(provider):
    acts = (provider.page, provider.verify, provider.reject, provider.processing, provider.ask_again, provider.webhook)
    for act in (*acts, lambda reference: provider.lie(reference, mode="live")):
        for reference in ("", "sim_1", "\ud800", None):
            with pytest.raises(NotFound):
                act(reference)


# Keys


def test_another_request_under_the_same_key_is_refused(provider):
    begun(provider)
    for changes in ({"case_id": "other"}, {"customer_id": "user-43"}, {"return_url": "https://x"}, {"email": ""}):
        error = refused(provider.begin, a_request(**changes))
        assert (error.code, error.retryable, error.outcome_unknown) == ("idempotency-conflict", False, False)


def test_the_same_request_tells_nothing_new(provider):
    told = provider.webhook(begun(provider))
    assert provider.webhook(begun(provider)) == told


def test_two_providers_on_one_file_know_nothing_of_each_other(provider, state, clock):
    other = SimulatedIdentity(state=state, name="other").bind("test", clock)
    reference, theirs = begun(provider), begun(other)
    assert reference != theirs
    assert refused(other.fetch, reference).code == "not-found"
    with pytest.raises(NotFound):
        other.verify(reference)


# Lies and faults


def test_a_lie_is_told_until_another_one(provider):
    reference = begun(provider)
    provider.lie(reference, case_id="idc_other", customer_id="user-43", mode="live")
    result = provider.fetch(reference)
    assert (result.case_id, result.customer_id, result.mode) == ("idc_other", "user-43", "live")
    provider.lie(reference, case_id="", customer_id="", mode="")
    result = provider.fetch(reference)
    assert (result.case_id, result.customer_id, result.mode) == (None, None, None)
    assert provider.begin(a_request()).reference == reference


def test_a_call_that_fails_does_nothing_and_can_be_made_again(provider):
    provider.fail_next(2)
    for _ in range(2):
        error = refused(provider.begin, a_request())
        assert (error.code, error.retryable, error.outcome_unknown) == ("unavailable", True, False)
    reference = begun(provider)
    for call in (provider.fetch, provider.cancel, provider.resume):
        provider.fail_next()
        assert refused(call, reference).retryable
    assert states(provider, reference) == ("pending", "")


def test_an_answer_that_is_lost_was_carried_out(provider):
    provider.fail_next(unheard=True)
    error = refused(provider.begin, a_request())
    assert (error.code, error.retryable, error.outcome_unknown) == ("timeout", True, True)
    reference = begun(provider)
    provider.fail_next(unheard=True)
    assert not refused(provider.fetch, reference).outcome_unknown
    provider.fail_next(unheard=True)
    assert refused(provider.cancel, reference).outcome_unknown
    assert states(provider, reference) == ("canceled", "")


# Webhooks


def test_a_webhook_names_what_changed_and_the_same_one_comes_any_number_of_times(provider):
    reference = begun(provider)
    first = provider.webhook(reference)
    assert provider.webhook(reference) == first
    (event,) = provider.parse_webhook(*first)
    assert (event.reference, provider.parse_webhook(*first)) == (reference, (event,))
    provider.verify(reference)
    (later,) = provider.parse_webhook(*provider.webhook(reference))
    assert (later.reference, later.event_id == event.event_id) == (reference, False)
    provider.verify(reference)
    assert provider.parse_webhook(*provider.webhook(reference)) == (later,)
    assert json.loads(provider.webhook(reference)[1])["type"] == "verification.verified"


@pytest.mark.parametrize(("late_s", "accepted"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_a_signature_counts_for_five_minutes_either_way(provider, clock, late_s, accepted):
    webhook = provider.webhook(begun(provider), at=clock.now() - timedelta(seconds=late_s))
    if accepted:
        assert provider.parse_webhook(*webhook)
    else:
        with pytest.raises(WebhookRejected):
            provider.parse_webhook(*webhook)


def test_another_secret_is_refused_unless_one_replaces_the_other(provider, state, clock):
    reference = begun(provider)
    webhook = provider.webhook(reference, secret="another")
    with pytest.raises(WebhookRejected, match="not signed"):
        provider.parse_webhook(*webhook)
    both = SimulatedIdentity(state=state, webhook_secrets=("new", "another")).bind("test", clock)
    assert both.parse_webhook(*webhook)
    assert both.parse_webhook(*both.webhook(reference))


def signed(content):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {SIGNATURE_HEADER: sign(body, SECRET, at=to_micros(NOW) // 1_000_000)}, body


def test_an_event_about_something_else_names_nothing(provider):
    (event,) = provider.parse_webhook(*signed({"id": "evt_1", "mode": "test", "type": "weather.changed"}))
    assert (event.event_id, event.reference) == ("evt_1", None)


def test_an_event_of_the_other_mode_is_told_apart(provider):
    with pytest.raises(WebhookRejected) as caught:
        provider.parse_webhook(*signed({"id": "evt_1", "mode": "live", "type": "verification.verified"}))
    assert caught.value.reason == "wrong-mode"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        {},
        {"mode": "test"},
        {"mode": "test", "type": "x"},
        {"mode": "test", "type": "verification.verified", "id": "evt_1"},
        {"mode": "test", "type": "verification.verified", "id": "evt_1", "reference": 7},
        {"mode": "test", "type": "verification.verified", "reference": "sim_1"},
        {"mode": ["test"], "type": "x", "id": "evt_1"},
        b" " * (MAX_BODY + 1),
    ],
    ids=lambda content: repr(content)[:40],
)
def test_a_signed_body_that_is_no_event_is_refused(provider, content):
    with pytest.raises(WebhookRejected):
        provider.parse_webhook(*signed(content))


# Memory and settings


def test_it_is_refused_in_live_mode(state, clock):
    with pytest.raises(ConfigurationError, match="refused in live mode"):
        SimulatedIdentity(state=state).bind("live", clock)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", ""),
        ("state", ":memory:"),
        ("page_url", "/verify"),
        ("page_url", ""),
        ("page_url", 7),
        ("webhook_secrets", ()),
        ("webhook_secrets", "secret"),
        ("timeout_s", 0),
    ],
)
def test_a_setting_out_of_range_is_refused(field, value):
    with pytest.raises(ConfigurationError):
        SimulatedIdentity(**{field: value})


def test_no_form_of_it_shows_a_secret(state):
    assert "hush" not in repr(SimulatedIdentity(state=state, webhook_secrets=("hush",)))


def test_it_remembers_outside_the_process_and_acts_may_be_called_on_any_instance(provider, state, clock):
    reference = begun(provider)
    unbound = SimulatedIdentity(state=state, clock=clock)
    unbound.verify(reference)
    assert states(SimulatedIdentity(state=state).bind("test", clock), reference) == ("verified", "")
    assert provider.parse_webhook(*unbound.webhook(reference))


def begin_in_another_process(state, number, found):
    provider = SimulatedIdentity(state=state).bind("test", MovableClock(NOW))
    found.put((begun(provider), begun(provider, key=f"key-{number}", case_id=f"case-{number}")))


def test_several_processes_share_one_provider_from_its_first_use_on(state):
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    processes = [context.Process(target=begin_in_another_process, args=(state, number, found)) for number in range(3)]
    for process in processes:
        process.start()
    pairs = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert len({shared for shared, _ in pairs}) == 1
    assert len({own for _, own in pairs}) == 3


def test_threads_that_begin_the_same_verification_begin_it_once(provider):
    found = []
    threads = [threading.Thread(target=lambda: found.append(begun(provider))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_nothing_personal_is_kept(provider, state):
    begun(provider)
    assert all(EMAIL.encode() not in file.read_bytes() for file in state.parent.iterdir())


def test_a_state_file_of_another_kind_is_not_touched(tmp_path, clock):
    shared = tmp_path / "shared.db"
    assert SimulatedGateway(state=shared).bind("test", clock).check_credentials().ok
    with pytest.raises(ConfigurationError, match="identity provider's state file is of version"):
        SimulatedIdentity(state=shared).bind("test", clock).begin(a_request())


def test_a_state_file_that_cannot_be_used_is_an_outage(tmp_path, clock):
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is no database" * 100)
    error = refused(SimulatedIdentity(state=broken).bind("test", clock).fetch, "sim_1")
    assert (error.code, error.retryable) == ("unavailable", True)
