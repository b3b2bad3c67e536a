"""Identity cases: begun once, found again, looked up, given up; and callbacks that are none of ours."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from prepaid import ConfigurationError, GatewayError, InvalidRequest, NotAllowed, NotFound, WrongState, hookimpl
from prepaid.gateways import SimulatedGateway
from prepaid.identity_ports import IdentitySession
from tests.use_cases.steps import ADA, EVE, SQLITE_FIRST, alarms, counts, eur, operator, rows, told
from tests.use_cases.verifiers import (
    FIRST,
    RETURN,
    SECRET,
    Manual,
    Verifier,
    approve,
    ask,
    begin,
    hear,
    held,
    verify,
    webhook,
)

pytestmark = SQLITE_FIRST

DOWN = GatewayError("No answer.", retryable=True, outcome_unknown=True)
NO = GatewayError("No.", code="no")


@pytest.fixture
def verifier(tmp_path):
    return Verifier(tmp_path / "verifier.json")


@pytest.fixture
def billing(open_billing, verifier):
    billing = open_billing(identity=verifier)
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR", email=f"{customer}@example.com")
    return billing


def cases(billing):
    return rows(billing, "SELECT state, reason FROM prepaid_identity_case WHERE book_id = :book ORDER BY id")


# Beginning


def test_a_case_begins_once_and_is_gone_on_with(billing, verifier, ada):
    first, again = begin(billing), ada.identity.start(return_url="https://panel.example/other")

    assert first == again
    assert (first.state, first.provider, first.level, first.customer) == ("pending", "verifier", 1, ADA)
    assert first.redirect_url == f"https://verify/{first.reference}"
    assert len(verifier.references()) == 1
    assert "https://verify" not in repr(first)
    assert ada.identity.status().state == "pending"
    assert billing.check().ok


def test_a_provider_that_is_down_can_be_asked_again(billing, verifier):
    verifier.down["begin"] = DOWN
    with pytest.raises(GatewayError) as error:
        begin(billing)
    assert error.value.retryable
    assert cases(billing) == [("starting", "")]

    verifier.down.clear()

    assert begin(billing).state == "pending"
    assert len(cases(billing)) == 1


def test_an_answer_that_was_lost_is_found_by_the_customer(billing, verifier):
    verifier.lost.add("begin")
    with pytest.raises(GatewayError):
        begin(billing)

    case = begin(billing)

    assert verifier.references() == [case.reference]
    assert len(cases(billing)) == 1


def test_an_answer_that_was_lost_is_found_by_the_job(billing, verifier, clock, simulated):
    waiting = held(billing, simulated)
    verifier.lost.add("begin")
    with pytest.raises(GatewayError):
        begin(billing)
    [reference] = verifier.references()
    verifier.set(reference, "verified")
    assert hear(billing, reference).outcome == "ignored"  # we do not know it yet
    clock.advance(minutes=2)

    billing.run_due("identity")

    assert billing.customer(ADA).topups.get(waiting.id).state == "credited"
    assert billing.check().ok


def test_a_refusal_for_good_ends_the_case_and_the_next_begins_anew(billing, verifier):
    verifier.down["begin"] = NO
    with pytest.raises(GatewayError):
        begin(billing)
    assert cases(billing) == [("canceled", "refused")]
    verifier.down.clear()

    assert begin(billing).state == "pending"
    assert billing.check().ok


@pytest.mark.parametrize(
    "session",
    [None, "vs_1", IdentitySession(reference=""), IdentitySession(reference="vs_1", redirect_url=7)],
)
def test_what_a_provider_gives_that_cannot_be_kept_is_refused(billing, verifier, monkeypatch, session):
    monkeypatch.setattr(verifier, "begin", lambda request: session)

    with pytest.raises(GatewayError):
        begin(billing)
    assert billing.check().ok


def test_two_cases_never_share_a_reference(billing, verifier, monkeypatch):
    first = begin(billing)
    monkeypatch.setattr(verifier, "begin", lambda request: verifier.resume(first.reference))

    with pytest.raises(GatewayError):
        begin(billing, EVE)
    assert billing.check().ok


def test_a_provider_that_gives_another_session_changes_nothing(billing, verifier, monkeypatch):
    case = begin(billing)
    session = attrs.evolve(verifier.resume(case.reference), reference="vs_other")
    monkeypatch.setattr(verifier, "resume", lambda reference: session)

    with pytest.raises(GatewayError):
        begin(billing)
    assert cases(billing) == [("pending", "")]


def test_a_case_older_than_the_providers_memory_of_keys_is_gone_on_with(billing, verifier, clock):
    old = begin(billing)
    clock.advance(days=3)

    assert begin(billing) == old
    assert verifier.asked.count("begin") == 1


def test_an_old_case_that_turns_out_verified_is_kept(billing, verifier, clock):
    case = begin(billing)
    verifier.set(case.reference, "verified")

    assert begin(billing).state == "verified"

    assert billing.customer(ADA).identity.status().state == "verified"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x",
        "/back",
        5,
        None,
        "https://u:p@x/",
        "https://" + "x" * 2000,
        "http://[x",
        "http://x/a b",
        "http://x:0/",
    ],
)
def test_the_page_to_come_back_to_is_a_page(ada, url):
    with pytest.raises(InvalidRequest) as error:
        ada.identity.start(return_url=url)
    assert error.value.field == "return_url"


def test_without_a_provider_nobody_can_begin_but_an_operator_may_approve(open_billing):
    billing = open_billing()
    billing.customers.register(ADA, currency="EUR")
    with pytest.raises(InvalidRequest):
        begin(billing)

    assert approve(billing).state == "verified"
    assert billing.check().ok


def test_of_several_providers_the_first_that_is_thorough_enough_is_asked(open_billing, tmp_path):
    from prepaid import IdentityPolicy

    plain, thorough = (Verifier(tmp_path / f"{n}.json", name=f"level-{n}", level=n) for n in (1, 3))
    billing = open_billing(identity=[plain, thorough])
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR")

    assert begin(billing, EVE).provider == "level-1"
    ask(billing, FIRST, IdentityPolicy(above=eur("100"), level=2))
    assert billing.customer(ADA).topups.quote(eur("200")).identity.provider == "level-3"
    assert begin(billing).provider == "level-1"
    assert billing.customer(ADA).identity.start(return_url=RETURN, level=2).provider == "level-3"
    assert begin(billing).provider == "level-3"
    assert cases(billing) == [("pending", ""), ("canceled", ""), ("pending", "")]
    for level in (0, 10, "2", True):
        with pytest.raises(InvalidRequest):
            billing.customer(ADA).identity.start(return_url=RETURN, level=level)


def test_a_case_of_a_provider_that_is_gone_gives_way(billing, open_billing, tmp_path, clock):
    begin(billing)
    other = open_billing(identity=Verifier(tmp_path / "other.json", name="other"))
    clock.advance(minutes=2)
    other.run_due("identity")

    assert begin(other).provider == "other"
    assert cases(billing)[0] == ("canceled", "provider-gone")


# Looking


def test_the_job_finds_what_no_webhook_told(billing, verifier, clock):
    case = begin(billing)
    verifier.set(case.reference, "processing")
    clock.advance(minutes=2)
    billing.run_due("identity")
    assert cases(billing) == [("submitted", "")]
    verifier.set(case.reference, "verified")
    clock.advance(minutes=6)

    billing.run_due("identity")

    status = billing.customer(ADA).identity.status()
    assert (status.state, status.level, status.verified_at) == ("verified", 1, clock.now())
    assert billing.check().ok


def test_a_case_whose_customer_does_not_go_on_is_given_up_after_a_week(billing, verifier, clock):
    case = begin(billing)
    clock.advance(days=7, minutes=1)

    billing.run_due("identity")

    assert [state for state, _ in cases(billing)] == ["canceled"]
    assert verifier._sessions()[case.reference]["state"] == "canceled"
    assert billing.customer(ADA).identity.status().state == "unverified"
    billing.run_due("identity")


def test_a_case_that_never_began_is_given_up_when_its_key_is_forgotten(billing, verifier, clock):
    verifier.down["begin"] = DOWN
    with pytest.raises(GatewayError):
        begin(billing)
    clock.advance(hours=21)

    billing.run_due("identity")

    assert cases(billing) == [("canceled", "given-up")]


def test_a_provider_that_is_down_leaves_the_case_as_it_is(billing, verifier, clock, simulated):
    held(billing, simulated)
    case = begin(billing)
    verifier.set(case.reference, "verified")
    verifier.down["fetch"] = DOWN

    assert hear(billing, case.reference).outcome == "recorded"
    with pytest.raises(GatewayError):
        operator(billing).identity.recheck(ADA)
    clock.advance(minutes=2)
    billing.run_due("identity")
    assert cases(billing) == [("pending", "")]
    verifier.down.clear()

    assert operator(billing).identity.recheck(ADA).state == "verified"
    assert billing.customer(ADA).balance().settled == eur("50")


def test_a_webhook_that_takes_too_long_is_answered_and_a_job_goes_on(open_billing, verifier, clock):
    import threading

    billing = open_billing(identity=verifier, webhook_budget_s=1)
    billing.customers.register(ADA, currency="EUR")
    case, gate = begin(billing), threading.Event()
    verifier.set(case.reference, "verified")
    verifier.meanwhile.append(lambda: gate.wait(10))

    result = hear(billing, case.reference)
    assert (result.status, result.outcome, result.event_id) == (200, "recorded", "evt_1")
    gate.set()
    clock.advance(minutes=2)
    billing.run_due("identity")

    assert billing.customer(ADA).identity.status().state == "verified"


@pytest.mark.parametrize("state", ["rejected", "canceled"])
def test_a_case_that_turns_out_ended_gives_way_to_another(billing, verifier, state):
    first = begin(billing)
    verifier.set(first.reference, state)

    second = begin(billing)

    assert (second.state, second.id != first.id) == ("pending", True)
    assert [found for found, _ in cases(billing)] == [state, "pending"]


def test_a_rejection_is_told_with_its_word(billing, verifier):
    case = begin(billing)
    verifier.set(case.reference, "rejected", "document-expired\n" + "x" * 99)
    hear(billing, case.reference)

    [rejected] = operator(billing).identity.cases("rejected").items
    assert rejected.reason.startswith("document-expiredx")
    assert len(rejected.reason) <= 64
    assert (rejected.actor, billing.customer(ADA).identity.status().state) == ("provider:verifier", "rejected")
    assert told(billing, "identity-checked") == [{"case": case.id, "state": "rejected", "provider": "verifier"}]
    assert begin(billing).id != case.id


def test_a_higher_verification_is_not_lowered_by_a_lower_one(billing, verifier):
    approve(billing, level=2)
    verify(billing, verifier)

    assert billing.customer(ADA).identity.status().level == 2
    assert billing.check().ok


def test_a_verification_decided_before_it_was_taken_back_does_not_restore_it(billing, verifier, clock):
    approve(billing)
    case = begin(billing)
    verifier.lies["decided_at"] = clock.now()
    clock.advance(minutes=1)
    operator(billing).identity.revoke(ADA, reason="forged")
    verifier.set(case.reference, "verified")

    hear(billing, case.reference)

    assert billing.customer(ADA).identity.status().state == "revoked"
    assert billing.check().ok


# Callbacks that are none of ours


def nothing_changed(billing, before):
    after = {table: count for table, count in counts(billing).items() if table not in ("audit", "outbox")}
    return after == {table: count for table, count in before.items() if table in after} and not told(
        billing, "identity-checked"
    )


@pytest.mark.parametrize(
    ("lies", "alarm"),
    [
        ({"reference": "vs_other"}, "identity-reference"),
        ({"mode": "live"}, "identity-mode"),
        ({"case_id": "idc_" + "0" * 26}, "identity-case"),
        ({"case_id": None}, "identity-case"),
        ({"customer_id": EVE}, "identity-customer"),
        ({"customer_id": None}, "identity-customer"),
    ],
)
def test_a_result_that_is_not_of_this_case_changes_nothing(billing, verifier, simulated, lies, alarm):
    waiting = held(billing, simulated)
    case = begin(billing)
    verifier.set(case.reference, "verified")
    verifier.lies |= lies
    before = counts(billing)

    for _ in range(2):
        assert hear(billing, case.reference).status == 200

    assert nothing_changed(billing, before)
    assert cases(billing) == [("pending", "")]
    assert alarms(billing) == [alarm]
    assert billing.customer(ADA).topups.get(waiting.id).state == "review"
    assert not billing.customer(ADA).identity.status().level
    assert billing.check().ok


def test_a_forged_webhook_changes_nothing(billing, verifier):
    case = begin(billing)
    verifier.set(case.reference, "verified")
    headers, body = webhook(case.reference, secret="guessed")

    assert hear(billing, case.reference, secret="guessed").status == 400
    assert billing.webhooks.receive("verifier", body=body, headers={}).status == 400
    assert billing.webhooks.receive("verifier", body=b"", headers=headers).status == 400
    assert billing.webhooks.receive("verifier", body=body.decode(), headers=headers).status == 400
    assert billing.webhooks.receive("verifier", body=b"x" * 300_000, headers=headers).status == 413
    assert billing.webhooks.receive("nobody", body=body, headers=headers).status == 404
    assert hear(billing, case.reference, mode="live").status == 404
    assert hear(billing, case.reference, to="simulated").status == 400

    assert "fetch" not in verifier.asked
    assert cases(billing) == [("pending", "")]
    assert SECRET not in str(rows(billing, "SELECT * FROM prepaid_audit WHERE book_id = :book"))


def test_a_replayed_webhook_changes_nothing(billing, verifier, simulated):
    held(billing, simulated)
    case = verify(billing, verifier)
    operator(billing).identity.revoke(ADA, reason="forged")
    before, asked = counts(billing), len(verifier.asked)

    for number in range(5):
        assert hear(billing, case.reference, id=f"evt_{number}").outcome == "ignored"

    assert counts(billing) == before
    assert len(verifier.asked) == asked
    assert billing.customer(ADA).identity.status().state == "revoked"
    assert billing.customer(ADA).balance().settled == eur("50")


@pytest.mark.parametrize("reference", ["vs_unknown", None, "", "x" * 200, 7, "a\nb"])
def test_a_webhook_about_something_else_is_ignored(billing, verifier, reference):
    begin(billing)
    before = counts(billing)

    assert hear(billing, reference).outcome == "ignored"

    assert counts(billing) == before
    assert "fetch" not in verifier.asked


def test_a_webhook_about_another_customers_case_verifies_nobody_else(billing, verifier, simulated):
    mine = held(billing, simulated)
    begin(billing)
    theirs = verify(billing, verifier, EVE)

    assert hear(billing, theirs.reference).outcome == "ignored"
    assert billing.customer(EVE).identity.status().level == 1
    assert billing.customer(ADA).identity.status().level == 0
    assert billing.customer(ADA).topups.get(mine.id).state == "review"


def test_a_case_of_another_book_is_none_of_ours(billing, open_billing, verifier):
    other = open_billing(book="another", identity=verifier)
    other.customers.register(ADA, currency="EUR")
    case = begin(other)
    verifier.set(case.reference, "verified")

    assert hear(billing, case.reference).outcome == "ignored"
    assert billing.customer(ADA).identity.status().state == "unverified"


@pytest.mark.parametrize("result", [None, "verified", 5])
def test_a_result_that_is_none_is_recorded(billing, verifier, monkeypatch, result):
    case = begin(billing)
    monkeypatch.setattr(verifier, "_result", lambda reference: result)

    assert hear(billing, case.reference).outcome == "recorded"
    assert cases(billing) == [("pending", "")]


# Operators


def test_approving_again_is_one_approval(billing, simulated):
    held(billing, simulated)
    for _ in range(3):
        assert approve(billing).state == "verified"

    assert len(cases(billing)) == 1
    assert [event["state"] for event in told(billing, "identity-checked")] == ["verified"]
    operator(billing).identity.revoke(ADA, reason="x")
    operator(billing).identity.revoke(ADA, reason="x")
    assert len(told(billing, "identity-checked")) == 2


def test_an_operators_word_ends_the_open_case(billing, verifier):
    case = begin(billing)
    approve(billing)
    verifier.set(case.reference, "rejected")

    assert hear(billing, case.reference).outcome == "ignored"
    [decided] = operator(billing).identity.cases("verified").items
    assert (decided.id, decided.actor, decided.reason) == (case.id, "alice@nimbus.example", "seen in person")
    assert billing.customer(ADA).identity.status().level == 1


def test_what_cannot_be_decided_is_refused(billing):
    identity = operator(billing).identity
    for act in (identity.reject, identity.revoke):
        with pytest.raises(WrongState):
            act(ADA, reason="x")
    for act in (identity.approve, identity.reject, identity.revoke):
        with pytest.raises(InvalidRequest):
            act(ADA, reason=" ")
        with pytest.raises(NotFound):
            act("nobody", reason="x")
    for level in (0, 10, True, "2"):
        with pytest.raises(InvalidRequest):
            identity.approve(ADA, reason="x", level=level)
    for state in ("open", 5):
        with pytest.raises(InvalidRequest):
            identity.cases(state)
    with pytest.raises(InvalidRequest):
        identity.preview("always")
    begin(billing)
    identity.reject(ADA, reason="x")
    assert identity.reject(ADA, reason="x").state == "rejected"
    assert identity.status(ADA).state == "rejected"


def test_cases_come_in_pages(billing):
    for customer in (ADA, EVE):
        begin(billing, customer)
    identity = operator(billing).identity

    first = identity.cases(limit=1)
    second = identity.cases(limit=1, cursor=first.next)

    assert [page.items[0].customer for page in (first, second)] == [ADA, EVE]
    assert second.next is None


def test_without_the_permission_nothing_is_shown_or_done(billing):
    identity = operator(billing, granted={"customers.read"}).identity
    acts = [
        lambda: identity.policy(FIRST),
        identity.policies,
        lambda: identity.preview(FIRST),
        identity.cases,
        lambda: identity.status(ADA),
        lambda: identity.approve(ADA, reason="x"),
        lambda: identity.reject(ADA, reason="x"),
        lambda: identity.revoke(ADA, reason="x"),
        lambda: identity.recheck(ADA),
    ]
    for act in acts:
        with pytest.raises(NotAllowed):
            act()


def test_an_unregistered_customer_has_no_identity(billing):
    door = billing.customer("nobody").identity
    for act in (door.status, lambda: door.start(return_url=RETURN), lambda: door.submit("x")):
        with pytest.raises(NotFound):
            act()


def test_only_what_an_operator_decides_takes_submissions(billing, open_billing, tmp_path):
    begin(billing)
    with pytest.raises(WrongState):
        billing.customer(ADA).identity.submit("upload/1")
    manual = open_billing(identity=Manual(tmp_path / "manual.json", name="manual"))
    with pytest.raises(WrongState):
        manual.customer(EVE).identity.submit("upload/1")
    begin(manual, EVE)
    for reference in ("", "x" * 192, 5, "a\nb", None):
        with pytest.raises(InvalidRequest):
            manual.customer(EVE).identity.submit(reference)
    manual.customer(EVE).identity.submit("upload/1")
    assert begin(manual, EVE).state == "submitted"


# Wiring


@pytest.mark.parametrize(
    "providers",
    [
        lambda folder: "stripe",
        lambda folder: 5,
        lambda folder: [Verifier(folder / "x", name="Bad Name")],
        lambda folder: [Verifier(folder / "x", name="simulated")],
        lambda folder: [Verifier(folder / "x", name="operator")],
        lambda folder: [Verifier(folder / "x"), Verifier(folder / "y")],
        lambda folder: [Verifier(folder / "x", level=0)],
        lambda folder: [Verifier(folder / "x", level="2")],
    ],
)
def test_providers_that_cannot_be_are_refused_at_once(open_billing, tmp_path, providers):
    with pytest.raises(ConfigurationError):
        open_billing(identity=providers(tmp_path))


def test_plugins_contribute_providers(open_billing, tmp_path):
    class Brings:
        def __init__(self, found):
            self.found = found

        @hookimpl
        def prepaid_identity_providers(self, setup):
            assert setup.mode == "test"
            return self.found

    billing = open_billing(plugins=[Brings([Verifier(tmp_path / "x", name="mine")])])
    billing.customers.register(ADA, currency="EUR")
    assert begin(billing).provider == "mine"
    for wrong in (["x"], 5, [SimulatedGateway(state=tmp_path / "y")]):
        with pytest.raises(ConfigurationError, match="Brings"):
            open_billing(plugins=[Brings(wrong)])


def test_the_provider_gets_what_it_needs_and_no_more(billing, verifier):
    case = begin(billing)
    request = verifier._sessions()[case.reference]["request"]

    assert request == {
        "case_id": case.id,
        "customer_id": ADA,
        "email": f"{ADA}@example.com",
        "locale": "en",
        "return_url": RETURN,
        "key": f"prepaid:test:{case.id}:identity",
    }
    assert timedelta(0) == case.created_at - billing._context.now()


def test_no_provider_is_called_inside_a_transaction(billing, verifier, clock, simulated, monkeypatch):
    pool, busy = billing._database.engine.pool, []
    call = verifier._call
    monkeypatch.setattr(verifier, "_call", lambda method: (busy.append((method, pool.checkedout())), call(method)))
    held(billing, simulated)
    begin(billing, EVE)
    begin(billing, EVE)
    clock.advance(days=8)
    billing.run_due("identity")
    case = begin(billing)
    verifier.set(case.reference, "verified")
    hear(billing, case.reference)
    operator(billing).identity.recheck(ADA)

    assert {method for method, _ in busy} == {"begin", "resume", "fetch", "cancel"}
    assert {in_use for _, in_use in busy} == {0}
    assert billing.customer(ADA).balance().settled == eur("50")
