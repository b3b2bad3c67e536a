"""Ways around a verification, and ways in which money that waits for one would wait for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from prepaid import AmountOutOfRange, ConfigurationError, GatewayError, IdentityPolicy, RequestRefused
from prepaid.identity_ports import IdentitySession
from prepaid.settlement import releasing
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE_FIRST,
    checkout_of,
    deliver,
    eur,
    live_in,
    operator,
    top_up,
)
from tests.use_cases.verifiers import (
    FIRST,
    Manual,
    Verifier,
    approve,
    ask,
    begin,
    hear,
    held,
    paid,
    settle,
    verify,
)

pytestmark = SQLITE_FIRST


@pytest.fixture
def verifier(tmp_path):
    return Verifier(tmp_path / "verifier.json")


@pytest.fixture
def billing(open_billing, verifier):
    billing = open_billing(identity=verifier)
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR", email=f"{customer}@example.com")
    return billing


def revoke(billing):
    operator(billing).identity.revoke(ADA, reason="forged")


# Credited though it should not be


@pytest.mark.parametrize(("end", "credited"), [(None, False), ("lose", False), ("win", True)])
def test_a_held_payment_that_is_disputed_is_not_credited_by_itself(billing, simulated, ada, end, credited):
    topup = paid(billing, simulated)
    ask(billing, FIRST)
    settle(billing, topup)
    dispute = simulated.dispute(checkout_of(topup))
    if end:
        getattr(simulated, end)(dispute)
    operator(billing).topups.recheck(topup.id)

    approve(billing)
    billing.run_due("identity")

    assert ada.topups.get(topup.id).state == ("credited" if credited else "review")
    assert ada.balance().settled == eur("50" if credited else "0")
    assert billing.check().ok


def test_a_dispute_that_is_won_later_lets_the_job_credit_what_waited(billing, simulated, ada):
    topup = paid(billing, simulated)
    ask(billing, FIRST)
    settle(billing, topup)
    dispute = simulated.dispute(checkout_of(topup))
    operator(billing).topups.recheck(topup.id)
    approve(billing)
    simulated.win(dispute)
    for event in simulated.events():
        deliver(billing, event)

    billing.run_due("identity")

    assert ada.topups.get(topup.id).state == "credited"


def test_what_waited_is_not_credited_all_at_once_when_the_period_has_passed(billing, simulated, ada, clock):
    month = IdentityPolicy(above=eur("100"), period=timedelta(days=30))
    ask(billing, month)
    waiting = [paid(billing, simulated, "60.00") for _ in range(4)]
    for topup in waiting:
        settle(billing, topup)
    credited = []
    for _ in range(4):
        credited.append(ada.balance().settled)
        clock.advance(days=31)
        billing.run_due("identity")

    # Nobody has more than 100 within any 30 days without being verified.
    assert credited == [eur("60"), eur("120"), eur("180"), eur("240")]
    assert billing.check().ok


def test_a_review_that_was_ended_by_an_operator_counts_from_when_it_was_credited(billing, simulated, clock):
    topup = paid(billing, simulated, "60.00")
    ask(billing, FIRST)
    settle(billing, topup)
    clock.advance(days=31)
    ask(billing, IdentityPolicy(above=eur("100"), period=timedelta(days=30)))
    operator(billing).topups.resolve(topup.id, action="credit_received", reason="agreed", key="act")

    assert billing.customer(ADA).topups.quote(eur("60")).identity.required


def test_another_country_in_the_profile_is_no_way_out_once_it_is_paid(billing, simulated, ada):
    live_in(billing, "FR")
    ask(billing, IdentityPolicy(above=eur("100"), countries=("FR",)))
    first, second = (paid(billing, simulated, "60.00") for _ in range(2))
    for topup in (first, second):
        settle(billing, topup)
    live_in(billing, "DE")

    billing.run_due("identity")

    assert ada.balance().settled == eur("60")
    assert ada.identity.status().required
    approve(billing)
    assert ada.balance().settled == eur("120")
    assert billing.check().ok


def test_a_country_that_was_not_known_when_it_was_paid_may_be_told_later(billing, simulated, ada):
    topup = paid(billing, simulated, "60.00")
    ask(billing, IdentityPolicy(before_first_topup=True, countries=("FR",)))
    assert settle(billing, topup).state == "review"
    live_in(billing, "DE")

    billing.run_due("identity")

    assert ada.topups.get(topup.id).state == "credited"


# Verified though it was taken back


def test_a_session_begun_before_a_verification_was_taken_back_does_not_restore_it(billing, verifier, clock, simulated):
    approve(billing)
    case = begin(billing)
    verifier.set(case.reference, "verified")  # its provider does not say when
    clock.advance(minutes=1)
    revoke(billing)
    waiting = held(billing, simulated)

    hear(billing, case.reference)
    clock.advance(minutes=2)
    billing.run_due("identity")

    assert billing.customer(ADA).identity.status().state == "revoked"
    assert billing.customer(ADA).topups.get(waiting.id).state == "review"
    assert billing.check().ok


def test_who_begins_after_a_verification_was_taken_back_gets_a_case_that_counts(billing, verifier, clock):
    approve(billing)
    old = begin(billing)
    clock.advance(minutes=1)
    revoke(billing)
    clock.advance(minutes=1)

    case = verify(billing, verifier)

    assert case.id != old.id
    assert verifier._sessions()[old.reference]["state"] == "canceled"
    assert billing.customer(ADA).identity.status().state == "verified"
    assert billing.check().ok


def test_an_operators_approval_of_a_case_begun_before_counts(billing, clock):
    approve(billing)
    begin(billing)
    clock.advance(minutes=1)
    revoke(billing)
    clock.advance(minutes=1)

    assert approve(billing).state == "verified"


# Money that would wait for ever


def test_an_approval_counts_although_the_last_one_still_does_for_another_policy(billing, simulated, ada, clock):
    plain = IdentityPolicy(before_first_topup=True)
    fresh = IdentityPolicy(above=eur("100"), valid_for=timedelta(days=30))
    ask(billing, plain, fresh)
    approve(billing)
    top_up(billing, simulated, "90.00")
    topup = paid(billing, simulated, "60.00")
    clock.advance(days=60)
    assert settle(billing, topup).failure == "identity-required"

    approve(billing)

    assert ada.topups.get(topup.id).state == "credited"
    assert billing.check().ok


def test_a_provider_that_fails_oddly_keeps_nobody_elses_money(billing, verifier, simulated, clock, caplog):
    waiting = held(billing, simulated)
    for customer in (ADA, EVE):
        begin(billing, customer)
    ask(billing)
    verifier.down["fetch"] = KeyError("ada@example.com")
    clock.advance(minutes=2)

    [run] = billing.run_due("identity")

    assert run.status == "done"
    assert billing.customer(ADA).topups.get(waiting.id).state == "credited"
    assert hear(billing, verifier.references()[0]).status == 200
    assert "ada@example.com" not in caplog.text


@pytest.mark.parametrize("method", ["begin", "fetch", "resume", "cancel"])
def test_a_provider_that_fails_oddly_is_a_provider_that_cannot_be_asked(billing, verifier, method, clock):
    if method != "begin":
        begin(billing)
    if method == "cancel":
        approve(billing, customer=EVE)  # nothing of theirs is touched
        clock.advance(days=8)
    verifier.down[method] = ValueError("sk_live_secret")
    if method == "cancel":
        [run] = billing.run_due("identity")
        assert run.status == "done"
        return

    with pytest.raises(GatewayError) as error:
        begin(billing)

    assert "sk_live_secret" not in str(error.value)
    assert error.value.retryable


def test_one_that_fails_oddly_keeps_no_other_from_being_credited(billing, simulated, ada, monkeypatch):
    first, second = paid(billing, simulated), paid(billing, simulated, "20.00")
    ask(billing, FIRST)
    for topup in (first, second):
        settle(billing, topup)
    prepare = releasing.selling.prepare

    def failing(context, topup, *parts, **named):
        if topup.id == first.id:
            raise ZeroDivisionError
        return prepare(context, topup, *parts, **named)

    monkeypatch.setattr(releasing.selling, "prepare", failing)
    assert approve(billing).state == "verified"

    assert ada.balance().settled == eur("20")


def test_a_provider_that_was_away_for_a_while_is_asked_again(billing, open_billing, verifier, simulated, clock):
    waiting = held(billing, simulated)
    case = begin(billing)
    verifier.set(case.reference, "verified")
    without = open_billing()
    for _ in range(3):
        clock.advance(minutes=10)
        without.run_due("identity")  # its webhook came in vain too
    clock.advance(hours=2)

    billing.run_due("identity")

    assert billing.customer(ADA).topups.get(waiting.id).state == "credited"


def test_a_case_whose_provider_stays_away_is_given_up_after_a_week(billing, open_billing, clock):
    begin(billing)
    without = open_billing()
    for _ in range(3):
        clock.advance(days=4)
        without.run_due("identity")

    [case] = operator(without).identity.cases("canceled").items
    assert case.reason == "provider-gone"
    assert billing.check().ok


@pytest.mark.parametrize("wrong", ["gone", "another"])
def test_a_case_that_its_provider_knows_no_more_is_given_up_after_a_week(billing, verifier, clock, wrong):
    case = begin(billing)
    if wrong == "gone":
        verifier.down |= dict.fromkeys(("fetch", "cancel", "resume"), GatewayError("There is none.", code="not-found"))
    else:
        verifier.lies["case_id"] = "idc_" + "0" * 26
    for _ in range(3):
        clock.advance(days=4)
        billing.run_due("identity")
    verifier.down.clear()

    assert begin(billing).id != case.id
    verifier.lies.clear()
    verifier.set(case.reference, "verified")
    assert hear(billing, case.reference).outcome == "ignored"
    assert billing.check().ok


def test_a_case_whose_provider_is_down_for_more_than_a_week_waits_on(billing, verifier, clock):
    case = begin(billing)
    verifier.down["fetch"] = GatewayError("Down.", retryable=True)
    for _ in range(3):
        clock.advance(days=4)
        billing.run_due("identity")
    verifier.down.clear()
    verifier.set(case.reference, "verified")
    clock.advance(days=2)

    billing.run_due("identity")

    assert billing.customer(ADA).identity.status().state == "verified"


def test_whose_payment_waits_is_told_that_they_have_to_be_verified(billing, simulated, ada):
    ask(billing, IdentityPolicy(above=eur("100"), level=2), IdentityPolicy(above=eur("1000"), level=3))
    first, second = (paid(billing, simulated, "60.00") for _ in range(2))
    for topup in (first, second):
        settle(billing, topup)

    status = ada.identity.status()

    assert (status.required, status.reason, status.required_level) == (True, "above", 2)
    assert approve(billing, level=2).required is False
    assert not ada.identity.status().required


def test_who_has_to_be_verified_at_all_is_told_the_level_that_their_payment_waits_for(billing, simulated, ada):
    ask(billing, IdentityPolicy(above=eur("100"), level=2))
    for topup in [paid(billing, simulated, "60.00") for _ in range(2)]:
        settle(billing, topup)
    ask(billing, FIRST, IdentityPolicy(above=eur("100"), level=2))

    assert ada.identity.status().required_level == 2


# What a provider says that nobody can use


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", "", "https://", "https://x/" + "a" * 5000, "a\nb"],
)
def test_a_page_that_nobody_should_be_sent_to_is_refused(billing, verifier, monkeypatch, url):
    monkeypatch.setattr(verifier, "begin", lambda request: IdentitySession(reference="vs_1", redirect_url=url))

    with pytest.raises(GatewayError) as error:
        begin(billing)

    assert error.value.code == "unusable"
    assert billing.check().ok


@pytest.mark.parametrize(
    "told",
    [
        datetime.min.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime(1970, 1, 1, tzinfo=UTC),
        "now",
        5,
    ],
)
def test_a_time_that_cannot_be_is_not_kept(billing, verifier, clock, told):
    case = begin(billing)
    clock.advance(minutes=5)
    verifier.lies["decided_at"] = told
    verifier.set(case.reference, "verified")

    hear(billing, case.reference)

    status = billing.customer(ADA).identity.status()
    assert status.state == "verified"
    assert case.created_at <= status.verified_at <= clock.now()
    assert billing.check().ok


@pytest.mark.parametrize("changed", [None, {"name": "another"}, {"level": 0}])
def test_a_provider_that_is_none_once_it_is_bound_is_refused_at_once(open_billing, tmp_path, changed):
    class Odd(Verifier):
        def bind(self, mode, clock):
            if changed is None:
                return None
            self._name, self._level = changed.get("name", self._name), changed.get("level", self._level)
            return self

    with pytest.raises(ConfigurationError, match="verifier"):
        open_billing(identity=Odd(tmp_path / "odd.json"))


def test_what_was_handed_in_while_the_case_was_begun_stays_handed_in(open_billing, tmp_path):
    class Slow(Manual):
        def begin(self, request):
            session = super().begin(request)
            billing.customer(ADA).identity.submit("upload/1")
            return session

    billing = open_billing(identity=Slow(tmp_path / "slow.json", name="manual"))
    billing.customers.register(ADA, currency="EUR")

    begin(billing)

    [case] = operator(billing).identity.cases().items
    assert (case.state, case.submission) == ("submitted", "upload/1")


# A gateway that was put out of use


def test_what_was_paid_at_a_gateway_that_is_gone_is_credited_all_the_same(billing, open_billing, simulated, verifier):
    waiting = held(billing, simulated)
    without = open_billing(gateways=[], identity=verifier)

    operator(without).identity.approve(ADA, reason="seen")

    assert without.customer(ADA).topups.get(waiting.id).state == "credited"
    assert without.customer(ADA).balance().settled == eur("50")
    [invoice] = without.customer(ADA).invoices.list().items
    assert invoice.number
    assert without.check().ok


@pytest.mark.parametrize("action", ["credit_received", "credit_quoted"])
def test_a_review_of_a_gateway_that_is_gone_can_be_ended_with_credit(billing, open_billing, simulated, action):
    waiting = held(billing, simulated)
    without = open_billing(gateways=[])
    ask(without)

    resolved = operator(without).topups.resolve(waiting.id, action=action, reason="agreed", key="act")

    assert resolved.state == "credited"
    assert without.check().ok


def test_what_is_to_go_back_needs_the_gateway_that_it_came_from(billing, open_billing, simulated):
    waiting = held(billing, simulated)

    with pytest.raises(GatewayError):
        operator(open_billing(gateways=[])).topups.resolve(waiting.id, action="refund", reason="agreed", key="act")

    assert billing.customer(ADA).topups.get(waiting.id).failure == "identity-required"


# Bad input


@pytest.mark.parametrize("events", [None, 5, ["x"], [None], {"a": 1}])
def test_a_webhook_that_its_provider_reads_oddly_changes_nothing(billing, verifier, monkeypatch, events):
    case = begin(billing)
    monkeypatch.setattr(verifier, "parse_webhook", lambda headers, body: events)

    result = hear(billing, case.reference)

    assert result.status in (200, 400, 500)
    assert operator(billing).identity.cases().items[0].state == "pending"


def test_policies_that_a_book_cannot_have_are_not_previewed_either(billing):
    identity = operator(billing).identity
    for act in (identity.preview, identity.policy):
        with pytest.raises(RequestRefused) as error:
            act(*[FIRST] * 9)
        assert error.value.field == "policies"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//x",
        "https:///x",
        "https://\ud800",
        "https://x y",
        "https://x:99999/",
        "https:x",
        b"https://x",
    ],
)
def test_a_page_that_no_provider_can_come_back_to_is_refused(billing, verifier, url):
    with pytest.raises(RequestRefused) as error:
        billing.customer(ADA).identity.start(return_url=url)

    assert error.value.field == "return_url"
    assert verifier.asked == []


def test_what_goes_back_while_it_is_found_not_to_fit_stays_marked_as_going_back(billing, simulated, monkeypatch):
    waiting = held(billing, simulated)
    ask(billing)
    simulated.script_refund("pending")

    def full(*parts, **named):
        raise AmountOutOfRange("full")

    def refund(*parts):
        operator(billing).topups.resolve(waiting.id, action="refund", reason="agreed", key="act")

    monkeypatch.setattr(releasing.selling, "post", full)
    monkeypatch.setattr(releasing.log, "error", refund)

    assert releasing.release_held(billing._context, waiting.id) is False

    assert billing.customer(ADA).topups.get(waiting.id).failure == "refund-pending"
