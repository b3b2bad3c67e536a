"""The operator's door: nothing without its permission, nothing without a trace."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from io import BytesIO

import pytest

from prepaid import (
    Bonus,
    IdentityPolicy,
    InvalidRequest,
    NotAllowed,
    NotFound,
    Percent,
    Promotion,
    TaxRule,
    Thresholds,
    permissions,
)
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    add_rule,
    checkout_of,
    counts,
    eur,
    operator,
    start,
    told,
    top_up,
    walk,
)

RULE = TaxRule(country="FR", components=(("TVA", "20"),), valid_from=date(2014, 1, 1))
DAY = (date(2026, 11, 23), date(2026, 11, 24))
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOBODYS = "top_01m82v7m000000000000000000"

SAVE10 = Promotion("SAVE10", Bonus(Percent("10")))
ACTS = [
    ("audit.read", lambda ops: ops.audit.list()),
    ("customers.read", lambda ops: ops.customers.search("ada")),
    ("customers.read", lambda ops: ops.customers.get(ADA)),
    ("customers.write", lambda ops: ops.customers.grant(ADA, eur("1"), kind="goodwill", reason="x", key="k")),
    ("customers.write", lambda ops: ops.customers.overdraft(ADA, eur("1"), reason="x")),
    ("digest.read", lambda ops: ops.digest.read()),
    ("digest.read", lambda ops: ops.digest.preview(date(2026, 11, 22))),
    ("digest.write", lambda ops: ops.digest.settings(email="cfo@example.com")),
    ("gateways.read", lambda ops: ops.gateways.status()),
    ("gateways.read", lambda ops: ops.reconcile("simulated", NOON, NOON + timedelta(days=1))),
    ("gateways.read", lambda ops: ops.reconciliations()),
    ("gateways.write", lambda ops: ops.gateways.disable("simulated")),
    ("gateways.write", lambda ops: ops.gateways.enable("simulated")),
    ("gateways.write", lambda ops: ops.gateways.countries("simulated", ("DE",))),
    ("identity.read", lambda ops: ops.identity.cases()),
    ("identity.read", lambda ops: ops.identity.preview(IdentityPolicy(before_first_topup=True))),
    ("identity.write", lambda ops: ops.identity.policy(IdentityPolicy(before_first_topup=True))),
    ("identity.write", lambda ops: ops.identity.approve(ADA, reason="x")),
    ("plugins.read", lambda ops: ops.plugins()),
    ("promotions.read", lambda ops: ops.promotions.list()),
    ("promotions.read", lambda ops: ops.promotions.get("SAVE10")),
    ("promotions.read", lambda ops: ops.promotions.redemptions("SAVE10")),
    ("promotions.read", lambda ops: ops.vouchers.list()),
    ("promotions.write", lambda ops: ops.promotions.create(SAVE10)),
    ("promotions.write", lambda ops: ops.promotions.change(SAVE10)),
    ("promotions.write", lambda ops: ops.promotions.end("SAVE10")),
    ("promotions.write", lambda ops: ops.vouchers.create(eur("1"))),
    ("promotions.write", lambda ops: ops.vouchers.end("vou_01m82v7m000000000000000000", reason="x")),
    ("refunds.read", lambda ops: ops.refunds.queue()),
    ("refunds.read", lambda ops: ops.refunds.get("req_01m82v7m000000000000000000")),
    ("refunds.read", lambda ops: ops.disputes.list()),
    ("refunds.write", lambda ops: ops.refunds.approve("req_01m82v7m000000000000000000", reason="x")),
    ("refunds.write", lambda ops: ops.refunds.reject("req_01m82v7m000000000000000000", reason="x")),
    ("refunds.write", lambda ops: ops.refunds.record(NOBODYS, eur("1"), reference="x", reason="x")),
    ("reports.export", lambda ops: ops.reports.export("tax", since=DAY[0], until=DAY[1], to=BytesIO())),
    ("reports.export", lambda ops: ops.reports.export_formats()),
    ("reports.read", lambda ops: ops.reports.summary(*DAY)),
    ("reports.read", lambda ops: ops.reports.daily(*DAY)),
    ("reports.read", lambda ops: ops.reports.by_gateway(*DAY)),
    ("reports.read", lambda ops: ops.reports.roll_forward(*DAY)),
    ("settings.write", lambda ops: ops.reports.rebuild(reason="x")),
    ("settings.write", lambda ops: ops.settings.thresholds(Thresholds(low=eur("5")))),
    ("settings.write", lambda ops: ops.settings.topup_limits(minimum=eur("5"))),
    ("settings.write", lambda ops: ops.settings.account_map({})),
    ("tax.read", lambda ops: ops.tax.list()),
    ("tax.read", lambda ops: ops.tax.explain(None, eur("50"))),
    ("tax.write", lambda ops: ops.tax.add(RULE)),
    ("tax.write", lambda ops: ops.tax.retire("tax_01m82v7m000000000000000000")),
    ("topups.read", lambda ops: ops.topups.review()),
    ("topups.read", lambda ops: ops.topups.facts("top_01m82v7m000000000000000000")),
    ("topups.write", lambda ops: ops.topups.recheck("top_01m82v7m000000000000000000")),
    ("topups.write", lambda ops: ops.topups.confirm_bank_transfer(NOBODYS, received=eur("1"), reference="x")),
    ("topups.write", lambda ops: ops.topups.resolve(NOBODYS, action="refund", reason="x", key="k")),
]


def test_nobody_verifies_themself(billing):
    alice = billing.operator("alice", permissions=permissions.ALL, customer_id=ADA)
    with pytest.raises(NotAllowed) as refused:
        alice.identity.approve(ADA, reason="I know me")
    assert refused.value.field == "customer"
    assert alice.identity.approve(EVE, reason="passport seen").state == "verified"
    assert operator(billing).identity.approve(ADA, reason="passport seen").state == "verified"
    with pytest.raises(InvalidRequest):
        billing.operator("alice", permissions=permissions.ALL, customer_id="")


def audit(billing):
    return operator(billing).audit.list().items


# Permissions


@SQLITE
def test_every_permission_guards_some_act(billing):
    assert {permission for permission, _ in ACTS} == permissions.ALL


@SQLITE
@pytest.mark.parametrize("number", range(len(ACTS)))
def test_an_act_is_refused_with_every_permission_but_its_own(billing, number):
    permission, act = ACTS[number]
    before = counts(billing)

    with pytest.raises(NotAllowed) as refused:
        act(operator(billing, granted=permissions.ALL - {permission}))

    assert (refused.value.code, refused.value.params["permission"]) == ("not-allowed", permission)
    assert counts(billing) == before


@SQLITE
@pytest.mark.parametrize("number", range(len(ACTS)))
def test_an_act_needs_no_permission_but_its_own(billing, number):
    permission, act = ACTS[number]

    with suppress(NotFound):  # the object of the act is missing, not the right to it
        act(operator(billing, granted=[permission]))


@SQLITE
@pytest.mark.parametrize(
    "granted", ["customers.read", ["no.such"], ["customers.read", "*"], [""], [None], [5], None, 5]
)
def test_a_permission_that_does_not_exist_opens_no_door(billing, granted):
    with pytest.raises(InvalidRequest) as refused:
        billing.operator("alice", permissions=granted)
    assert refused.value.field == "permissions"


@SQLITE
@pytest.mark.parametrize("actor", ["", " alice", "a\nb", "a" * 192, None, 5, b"alice"])
def test_an_operator_has_a_name(billing, actor):
    with pytest.raises(InvalidRequest) as refused:
        billing.operator(actor, permissions=permissions.ALL)
    assert refused.value.field == "actor"


# Traces


def test_credit_given_by_hand_is_traced_with_actor_reason_and_transaction(billing, ada, clock):
    ops = operator(billing, "alice@nimbus.example")

    transaction = ops.customers.grant(ADA, eur("10"), kind="goodwill", reason="outage of May", key="case-7")
    ops.customers.grant(ADA, eur("10"), kind="goodwill", reason="outage of May", key="case-7")

    [entry] = audit(billing)
    assert (entry.actor, entry.action, entry.target) == ("alice@nimbus.example", "grant", ADA)
    assert (entry.reason, entry.at) == ("outage of May", clock.now())
    assert entry.after == {"amount": "10.00 EUR", "kind": "goodwill", "transaction": transaction}
    [line] = ada.transactions().items
    assert (line.id, line.kind, line.amount, line.description) == (transaction, "goodwill", eur("10"), "outage of May")


def test_an_overdraft_is_traced_with_what_it_was_before(billing):
    ops = operator(billing, "bob")
    ops.customers.overdraft(ADA, eur("20"), reason="good customer")
    ops.customers.overdraft(ADA, eur("0"), reason="late payer")

    newest, oldest = audit(billing)
    assert (oldest.actor, oldest.action, oldest.target, oldest.reason) == ("bob", "overdraft", ADA, "good customer")
    assert (oldest.before, oldest.after) == ({"overdraft": "0.00 EUR"}, {"overdraft": "20.00 EUR"})
    assert (newest.before, newest.after) == ({"overdraft": "20.00 EUR"}, {"overdraft": "0.00 EUR"})


def test_tax_rules_and_settings_are_traced(billing):
    rule = add_rule(billing)
    operator(billing).tax.retire(rule.id)
    operator(billing).settings.thresholds(Thresholds(low=eur("5")))
    operator(billing).settings.thresholds(Thresholds(low=eur("6")))

    second, first, retired, added = audit(billing)
    assert (added.action, added.target, added.after["country"]) == ("tax-rule-add", rule.id, "FR")
    assert (retired.action, retired.target) == ("tax-rule-retire", rule.id)
    kept = Thresholds(low=eur("5")).record()
    assert kept["low"] == {"EUR": 5_000_000}
    assert (first.action, first.before, first.after) == ("settings", {}, kept)
    assert (second.before, second.after) == (kept, Thresholds(low=eur("6")).record())


def test_a_recheck_is_traced_and_settles(billing, ada, simulated):
    topup = start(billing)
    simulated.pay(checkout_of(topup))

    assert operator(billing, "carol").topups.recheck(topup.id).state == "credited"

    [entry] = audit(billing)
    assert (entry.actor, entry.action, entry.target) == ("carol", "recheck", topup.id)
    assert ada.balance().settled == eur("50")


def test_looking_leaves_no_trace(billing):
    for permission, act in ACTS:
        if permission.endswith(".read"):
            with suppress(NotFound):
                act(operator(billing))
    assert [entry.action for entry in audit(billing)] == ["reconcile"]  # what a comparison found is kept


def test_the_trace_is_newest_first_and_the_same_at_every_page_size(billing):
    for number in range(1, 6):
        operator(billing).customers.overdraft(ADA, eur(str(number)), reason=f"step {number}")

    whole = list(audit(billing))

    assert [entry.reason for entry in whole] == [f"step {number}" for number in (5, 4, 3, 2, 1)]
    for size in range(1, 7):
        assert walk(operator(billing).audit.list, limit=size) == whole


@SQLITE
@pytest.mark.parametrize("cursor", ["h.1", "a.x", "a.", 5, b"a.1", "a." + "1" * 19])
def test_a_cursor_of_another_list_is_refused(billing, cursor):
    with pytest.raises(InvalidRequest) as refused:
        operator(billing).audit.list(cursor=cursor)
    assert refused.value.field == "cursor"


@SQLITE
@pytest.mark.parametrize("reason", ["", "   ", None, 5, b"because", "a" * 501, "a\x00b", "a\nb"])
def test_what_an_operator_gives_needs_a_reason(billing, reason):
    ops = operator(billing)
    before = counts(billing)
    for act in (
        lambda: ops.customers.grant(ADA, eur("1"), kind="goodwill", reason=reason, key="k"),
        lambda: ops.customers.overdraft(ADA, eur("1"), reason=reason),
    ):
        with pytest.raises(InvalidRequest) as refused:
            act()
        assert refused.value.field == "reason"
    assert counts(billing) == before


# Customers


def test_a_search_finds_by_id_name_and_address_whatever_the_case(billing):
    ops = operator(billing)

    def found(words, **options):
        return [customer.id for customer in ops.customers.search(words, **options)]

    assert found("USER-4") == [ADA]
    assert found("eve@EXAMPLE") == [EVE]
    assert found("Ada") == [ADA]
    assert found("example.com") == [EVE, ADA]
    assert found("example.com", limit=1) == [EVE]
    assert found("nobody") == []
    assert ops.customers.get(ADA).email == "ada@example.com"


@SQLITE
@pytest.mark.parametrize("words", ["", "  ", "a" * 101, "a\x00", None, 5, b"ada"])
def test_a_search_for_nothing_is_refused(billing, words):
    with pytest.raises(InvalidRequest) as refused:
        operator(billing).customers.search(words)
    assert refused.value.field == "words"


def test_registering_again_brings_a_customer_up_to_date(billing):
    billing.customers.register(ADA, email="new@example.com", name="Ada B.", currency="USD", groups=("vip",))

    customer = billing.customers.get(ADA)

    assert (customer.email, customer.name, customer.currency) == ("new@example.com", "Ada B.", "USD")
    assert customer.groups == ("vip",)
    assert billing.customer(ADA).balance().currency == "USD"
    assert counts(billing)["customer"] == 2


# Gateways and top-ups


def test_a_gateway_shows_whether_it_answers_and_what_waits(billing, simulated, clock):
    ops = operator(billing)
    [fresh] = ops.gateways.status()
    assert (fresh.name, fresh.label, fresh.health.ok) == ("simulated", "Simulated payment", True)
    assert (fresh.last_webhook_at, fresh.open_topups) == (None, 0)

    topup = start(billing)
    start(billing)
    simulated.pay(checkout_of(topup))
    headers, body = simulated.events()[-1].request()
    billing.webhooks.receive("simulated", body=body, headers=headers)
    simulated.fault_next("check_credentials", "unavailable")

    [later] = ops.gateways.status()
    assert (later.health.ok, later.last_webhook_at, later.open_topups) == (False, clock.now(), 1)


@SQLITE
def test_a_gateway_that_cannot_even_be_asked_is_shown_as_such(shop, gateway):
    gateway.asked.append("credentials")

    status = {found.name: found.health for found in operator(shop).gateways.status()}

    assert (status["simulated"].ok, status["simulated"].detail) == (False, "The credentials were withdrawn.")
    assert status["other"].ok


def test_top_ups_in_review_are_listed_oldest_first(billing, simulated, clock):
    parked = []
    for _ in range(3):
        topup = start(billing)
        simulated.pay(checkout_of(topup), amount=eur("1"))
        billing.customer(ADA).topups.confirm(topup.id)
        parked.append(topup.id)
        clock.advance(minutes=1)
    top_up(billing, simulated)
    review = operator(billing).topups.review

    assert [topup.id for topup in review().items] == parked
    first = review(limit=2)
    assert [topup.id for topup in first.items] == parked[:2]
    assert [topup.id for topup in review(cursor=first.next, limit=2).items] == parked[2:]
    assert len(told(billing, "topup-review")) == 3


@SQLITE
def test_health_says_what_waits(billing, simulated):
    assert billing.health() == {
        "ok": True,
        "mode": "test",
        "outbox_pending": 0,
        "outbox_parked": 0,
        "gateways": ("simulated",),
    }
    top_up(billing, simulated)
    assert billing.health()["outbox_pending"] == 3
