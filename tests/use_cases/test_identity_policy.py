"""When a customer has to be verified: every policy at its boundary, at quote, start, settlement and use."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import IdentityPolicy, IdentityRequired, InvalidRequest, Money, hookimpl
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE_FIRST,
    assert_nothing_credited,
    charge,
    counts,
    eur,
    live_in,
    operator,
    reverse,
    start,
    told,
    top_up,
)
from tests.use_cases.verifiers import FIRST, UNTIL_100, Verifier, approve, ask, begin, held, paid, settle, verify

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


def refused(billing, amount="50.00", **options):
    with pytest.raises(IdentityRequired) as error:
        start(billing, amount, **options)
    assert error.value.status.required
    assert error.value.message == error.value.status.message != ""
    return error.value.status


def test_without_a_policy_nobody_is_asked(billing, simulated, ada):
    assert ada.topups.quote(eur("50")).identity is None
    top_up(billing, simulated, "5000.00")
    assert ada.identity.status().state == "unverified"
    assert not ada.identity.status().required


def test_before_the_first_topup_the_quote_warns_and_the_start_refuses(billing, ada):
    ask(billing, FIRST)
    before = counts(billing)

    warned = ada.topups.quote(eur("50")).identity
    status = refused(billing)

    assert warned == status
    assert (status.state, status.reason, status.required_level, status.provider) == (
        "unverified",
        "first-topup",
        1,
        "verifier",
    )
    assert counts(billing) == before
    assert_nothing_credited(billing)


def test_who_is_verified_goes_on(billing, verifier, simulated, ada):
    ask(billing, FIRST)
    verify(billing, verifier)

    status = ada.topups.quote(eur("50")).identity

    assert (status.state, status.level, status.required, status.message) == ("verified", 1, False, "")
    top_up(billing, simulated)
    assert told(billing, "identity-checked")[0]["state"] == "verified"


@pytest.mark.parametrize(("second", "asked"), [("40.00", False), ("40.01", True)])
def test_up_to_the_threshold_nobody_is_asked(billing, simulated, second, asked):
    ask(billing, UNTIL_100)
    top_up(billing, simulated, "60.00")

    if asked:
        status = refused(billing, second)
        assert status.reason == "above"
        assert "100.00 EUR" in status.message
    else:
        top_up(billing, simulated, second)


@pytest.mark.parametrize(("amount", "asked"), [("100.00", False), ("100.01", True)])
def test_the_first_topup_alone_may_reach_the_threshold(billing, simulated, amount, asked):
    ask(billing, UNTIL_100)
    if asked:
        refused(billing, amount)
    else:
        top_up(billing, simulated, amount)


def test_a_currency_that_is_not_named_counts_as_above(billing, simulated):
    ask(billing, UNTIL_100)

    assert refused(billing, "1.00", currency="USD").reason == "above"
    ask(billing, IdentityPolicy(above=(eur("100"), Money.of("5", "USD"))))
    top_up(billing, simulated, "5.00", currency="USD")
    top_up(billing, simulated, "100.00")


def test_topups_of_others_unpaid_ones_and_gifts_do_not_count(billing, simulated):
    ask(billing, UNTIL_100)
    top_up(billing, simulated, "100.00", customer=EVE)
    operator(billing).customers.grant(ADA, eur("500"), kind="goodwill", reason="sorry", key="k")
    start(billing, "60.00")

    top_up(billing, simulated, "100.00")


@pytest.mark.parametrize(("passed", "asked"), [(-1, True), (0, False), (1, False)])
def test_what_lies_further_back_than_the_period_does_not_count(billing, simulated, clock, passed, asked):
    day = timedelta(days=1)
    ask(billing, IdentityPolicy(above=eur("100"), period=day))
    top_up(billing, simulated, "100.00")
    clock.advance(seconds=int(day.total_seconds()) + passed)

    if asked:
        refused(billing, "0.01")
    else:
        top_up(billing, simulated, "100.00")


@pytest.mark.parametrize(("country", "asked"), [("FR", True), ("DE", False), (None, True)])
def test_a_policy_of_some_countries(billing, simulated, country, asked):
    ask(billing, IdentityPolicy(before_first_topup=True, countries=("FR", "IT")))
    if country:
        live_in(billing, country)

    if asked:
        refused(billing)
    else:
        top_up(billing, simulated)


@pytest.mark.parametrize(("level", "asked"), [(1, True), (2, False), (3, False)])
def test_a_level_that_is_too_low_is_not_enough(billing, simulated, level, asked):
    ask(billing, IdentityPolicy(before_first_topup=True, level=2))
    approve(billing, level=level)

    if asked:
        status = refused(billing)
        assert (status.state, status.level, status.required_level) == ("verified", 1, 2)
    else:
        top_up(billing, simulated)


@pytest.mark.parametrize(("passed", "asked"), [(-1, False), (0, True), (1, True)])
def test_a_verification_that_is_too_old_is_asked_for_again(billing, simulated, clock, passed, asked):
    year = timedelta(days=365)
    ask(billing, IdentityPolicy(before_first_topup=True, valid_for=year))
    approve(billing)
    verified_at = clock.now()
    clock.advance(seconds=int(year.total_seconds()) + passed)

    if asked:
        status = refused(billing)
        assert (status.state, status.level, status.expires_at) == ("expired", 0, verified_at + year)
        approve(billing)
    top_up(billing, simulated)


def test_a_verification_that_was_taken_back_counts_no_more(billing, simulated, ada):
    ask(billing, FIRST)
    approve(billing)
    top_up(billing, simulated)
    operator(billing).identity.revoke(ADA, reason="a forged passport")

    assert refused(billing).state == "revoked"
    assert ada.balance().settled == eur("50")
    assert [event["state"] for event in told(billing, "identity-checked")] == ["verified", "revoked"]
    approve(billing)
    top_up(billing, simulated)


def test_of_several_policies_each_asks_for_its_own_level(billing, simulated):
    ask(billing, FIRST, IdentityPolicy(above=eur("100"), level=2))
    approve(billing, level=1)
    top_up(billing, simulated, "100.00")

    status = refused(billing, "0.01")

    assert (status.level, status.required_level, status.reason) == (1, 2, "above")


# What was used


USED = IdentityPolicy(above=eur("10"), basis="usage")


@pytest.mark.parametrize(("used", "asked"), [("10.00", False), ("10.000001", True)])
def test_what_was_used_already_is_compared(billing, simulated, used, asked):
    top_up(billing, simulated, "50.00")
    ask(billing, USED)
    charge(billing, used)

    permission = billing.may_start(ADA)

    assert permission.allowed is not asked
    if asked:
        assert permission.code == "identity-required"
        assert "10.00 EUR" in permission.reason
        assert refused(billing).reason == "above"
        charge(billing, "1.00")  # what runs goes on
        approve(billing)
        assert billing.may_start(ADA).allowed
    else:
        start(billing)


def test_usage_that_was_given_back_does_not_count(billing, simulated):
    top_up(billing, simulated, "50.00")
    ask(billing, USED)
    reverse(billing, charge(billing, "12.00"), "2.00")

    assert billing.may_start(ADA).allowed
    charge(billing, "0.01")
    assert not billing.may_start(ADA).allowed


@pytest.mark.parametrize(("passed", "asked"), [(-1, True), (0, False), (1, False)])
def test_usage_further_back_than_the_period_does_not_count(billing, simulated, clock, passed, asked):
    top_up(billing, simulated, "50.00")
    ask(billing, IdentityPolicy(above=eur("10"), basis="usage", period=timedelta(hours=1)))
    charge(billing, "11.00")
    clock.advance(seconds=3600 + passed)

    assert billing.may_start(ADA).allowed is not asked


def test_a_policy_of_topups_keeps_nothing_from_running(billing, simulated):
    top_up(billing, simulated, "200.00")
    ask(billing, FIRST, UNTIL_100)

    assert billing.may_start(ADA).allowed


# Plugins


class Asks:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    @hookimpl
    def prepaid_identity_needed(self, request):
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", ["Risky, please verify.", RuntimeError("ada@example.com"), 7, "", "x" * 501])
def test_a_plugin_that_asks_or_fails_is_heeded_until_the_customer_is_verified(
    open_billing, simulated, verifier, caplog, answer
):
    plugin = Asks(answer)
    billing = open_billing(plugins=[plugin], identity=verifier)
    billing.customers.register(ADA, currency="EUR")

    status = refused(billing)

    assert status.reason == "plugin"
    assert (status.message == answer) is (answer == "Risky, please verify.")
    assert "ada@example.com" not in caplog.text
    verify(billing, verifier)
    topup = top_up(billing, simulated)
    assert [request.moment for request in plugin.asked][-1] == "settlement"
    assert (plugin.asked[-1].topup_id, plugin.asked[-1].currency, plugin.asked[-1].amount) == (
        topup.id,
        "EUR",
        eur("50"),
    )


def test_a_plugin_that_asks_only_at_settlement_holds_the_payment_whole(open_billing, simulated):
    plugin = Asks(None)
    billing = open_billing(plugins=[plugin])
    billing.customers.register(ADA, currency="EUR")
    topup = paid(billing, simulated)
    plugin.answer = "Risky."

    assert settle(billing, topup).state == "review"

    plugin.answer = None
    billing.run_due("identity")
    assert billing.customer(ADA).topups.get(topup.id).state == "credited"
    assert billing.check().ok


def test_plugins_are_asked_outside_any_transaction(open_billing, simulated, verifier):
    class Watches(Asks):
        @hookimpl
        def prepaid_identity_needed(self, request):
            self.asked.append((request.moment, billing._database.engine.pool.checkedout()))

    plugin = Watches(None)
    billing = open_billing(plugins=[plugin], identity=verifier)
    billing.customers.register(ADA, currency="EUR")
    waiting = held(billing, simulated)
    approve(billing)

    assert billing.customer(ADA).topups.get(waiting.id).state == "credited"
    assert {moment for moment, _ in plugin.asked} == {"quote", "start", "settlement"}
    assert {busy for _, busy in plugin.asked} <= {0}


# Setting them


@pytest.mark.parametrize(
    "policy",
    [
        lambda: "always",
        IdentityPolicy,
        lambda: IdentityPolicy(above=Money.of("1", "GBP")),
        lambda: IdentityPolicy(above=(eur("1"), eur("2"))),
        lambda: IdentityPolicy(above=eur("-1")),
        lambda: IdentityPolicy(above="100"),
        lambda: IdentityPolicy(above=("100",)),
        lambda: IdentityPolicy(before_first_topup=True, countries="FR"),
        lambda: IdentityPolicy(before_first_topup=True, countries=("XX",)),
        lambda: IdentityPolicy(before_first_topup=True, countries=()),
        lambda: IdentityPolicy(before_first_topup=True, level=0),
        lambda: IdentityPolicy(before_first_topup=True, level=True),
        lambda: IdentityPolicy(before_first_topup=True, basis="income"),
        lambda: IdentityPolicy(before_first_topup=True, period=timedelta(seconds=1)),
        lambda: IdentityPolicy(before_first_topup=True, valid_for=timedelta.max),
        lambda: IdentityPolicy(before_first_topup="yes"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(billing, policy):
    with pytest.raises(InvalidRequest):
        ask(billing, policy())


def test_policies_are_kept_and_end_without_any(billing):
    several = (
        FIRST,
        IdentityPolicy(
            above=(eur("100"), Money.of("120", "USD")),
            basis="usage",
            period=timedelta(days=30),
            countries=("DE", "FR"),
            level=3,
            valid_for=timedelta(days=365),
        ),
    )
    ask(billing, *several)
    assert operator(billing).identity.policies() == several
    with pytest.raises(InvalidRequest):
        ask(billing, *[FIRST] * 9)
    ask(billing)
    assert operator(billing).identity.policies() == ()
    assert [entry.target for entry in operator(billing).audit.list().items] == ["identity"] * 2


def test_a_preview_says_who_would_be_asked_and_writes_nothing(billing, simulated):
    top_up(billing, simulated, "100.00")
    top_up(billing, simulated, "99.99", customer=EVE)
    before = counts(billing)
    identity = operator(billing).identity

    shown = identity.preview(UNTIL_100)
    everybody = identity.preview(FIRST, limit=1)
    rest = identity.preview(FIRST, limit=1, cursor=everybody.next)

    assert (shown.looked_at, shown.asked, shown.next) == (2, 1, None)
    [asked] = shown.items
    assert (asked.customer, asked.reason, asked.level, asked.bought) == (ADA, "above", 1, eur("100"))
    assert (everybody.asked, rest.asked, rest.next) == (2, 2, None)
    assert [page.items[0].customer for page in (everybody, rest)] == [EVE, ADA]
    assert counts(billing) == before
    assert identity.policies() == ()
    approve(billing)
    assert identity.preview(UNTIL_100).asked == 0


def test_an_open_case_shows_as_pending(billing, ada):
    ask(billing, FIRST)
    case = begin(billing)

    status = refused(billing)

    assert (status.state, status.case_id) == ("pending", case.id)
