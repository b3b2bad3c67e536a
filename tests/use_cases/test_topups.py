"""Top-ups from the customer's side: what is offered and priced, started, resumed and given up."""

from __future__ import annotations

import json
import threading
from datetime import date, timedelta

import pytest

from prepaid import (
    GatewayError,
    GatewayUnavailable,
    KeyConflict,
    NotFound,
    QuoteChanged,
    QuoteExpired,
    WrongState,
)
from prepaid.gateways import SimulatedGateway
from prepaid.ports import PaymentRef
from tests.use_cases.providers import NarrowGateway
from tests.use_cases.steps import (
    ADA,
    BACK,
    BILLING,
    SQLITE,
    add_rule,
    checkout_of,
    counts,
    deliver,
    eur,
    give,
    live_in,
    operator,
    start,
    told,
    top_up,
    walk,
)

URLS = {"return_url": BACK, "cancel_url": BILLING}


def requests_of(simulated, topup):
    return simulated.page(checkout_of(topup))


# What is started


def test_a_quote_and_its_token_start_the_same_top_up(billing, ada, simulated):
    add_rule(billing)
    live_in(billing, "FR")
    quote = ada.topups.quote(eur("50.00"))

    by_token = ada.topups.start(quote.token, **URLS, key="form-1")
    by_quote = ada.topups.start(quote, **URLS, key="form-1")

    assert by_quote == by_token
    assert (by_token.state, by_token.customer, by_token.gateway) == ("pending", ADA, "simulated")
    assert (by_token.credit, by_token.net, by_token.total) == (quote.credit, quote.net, quote.total)
    assert by_token.tax == quote.tax
    page = requests_of(simulated, by_token)
    assert page.amount == quote.total == eur("60.00")
    assert counts(billing)["topup"] == 1


def test_a_token_is_plain_json_that_a_form_can_carry(ada):
    quote = ada.topups.quote(eur("50.00"))

    assert json.loads(quote.token)["total"] == "50000000"
    assert "\n" not in quote.token


def test_a_changed_rule_refuses_the_old_quote_and_carries_the_new_one(billing, ada):
    rule = add_rule(billing)
    live_in(billing, "FR")
    quote = ada.topups.quote(eur("50.00"))
    operator(billing).tax.retire(rule.id)
    add_rule(billing, components=(("TVA", "25"),))
    before = counts(billing)

    with pytest.raises(QuoteChanged) as changed:
        ada.topups.start(quote, **URLS, key="form-1")

    assert changed.value.quote.total == eur("62.50")
    assert counts(billing) == before
    started = ada.topups.start(changed.value.quote, **URLS, key="form-1")
    assert started.total == eur("62.50")


@pytest.mark.parametrize("figure", ["credit", "bonus", "discount", "tax", "total"])
@SQLITE
def test_a_token_with_any_other_figure_is_a_changed_quote(billing, ada, figure):
    claimed = json.loads(ada.topups.quote(eur("50.00")).token)
    claimed[figure] = str(int(claimed[figure]) + 1)

    with pytest.raises(QuoteChanged) as changed:
        ada.topups.start(json.dumps(claimed), **URLS, key="form-1")

    assert changed.value.quote == ada.topups.quote(eur("50.00"))
    assert counts(billing)["topup"] == 0


def test_a_quote_past_its_time_is_refused(billing, ada, clock):
    quote = ada.topups.quote(eur("50.00"))
    clock.set(quote.expires_at + timedelta(microseconds=1))

    with pytest.raises(QuoteExpired) as refused:
        ada.topups.start(quote, **URLS, key="form-1")

    assert refused.value.field == "quote"
    assert counts(billing)["topup"] == 0


def test_a_quote_may_be_started_up_to_its_last_instant(ada, clock):
    quote = ada.topups.quote(eur("50.00"))
    clock.set(quote.expires_at)

    assert ada.topups.start(quote, **URLS, key="form-1").state == "pending"


def test_the_same_key_resumes_even_when_the_quote_has_expired(billing, ada, clock):
    quote = ada.topups.quote(eur("50.00"))
    first = ada.topups.start(quote, **URLS, key="form-1")
    clock.advance(minutes=45)

    assert ada.topups.start(quote, **URLS, key="form-1") == first
    assert counts(billing)["topup"] == 1


def test_the_same_key_for_another_order_is_a_conflict(billing, ada):
    ada.topups.start(ada.topups.quote(eur("50.00")), **URLS, key="form-1")

    with pytest.raises(KeyConflict) as refused:
        ada.topups.start(ada.topups.quote(eur("51.00")), **URLS, key="form-1")

    assert refused.value.field == "key"
    assert counts(billing)["topup"] == 1


def test_keys_of_two_customers_have_nothing_to_do_with_each_other(billing, ada):
    first = start(billing, key="form-1")
    second = start(billing, key="form-1", customer="eve")

    assert first.id != second.id


def test_the_same_form_sent_four_times_at_once_starts_one_top_up(billing, ada):
    quote = ada.topups.quote(eur("50.00"))
    barrier, started = threading.Barrier(4), []

    def send():
        barrier.wait()
        started.append(ada.topups.start(quote, **URLS, key="form-1"))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({topup.id for topup in started}) == 1
    assert len({topup.checkout.redirect_url for topup in started}) == 1
    assert counts(billing)["topup"] == 1


# When the gateway does not play along


def test_a_gateway_that_is_down_leaves_a_top_up_that_the_key_resumes(billing, ada, simulated):
    quote = ada.topups.quote(eur("50.00"))
    simulated.fault_next("create_checkout", "unavailable")

    with pytest.raises(GatewayUnavailable) as down:
        ada.topups.start(quote, **URLS, key="form-1")

    assert (down.value.retryable, down.value.outcome_unknown) == (True, False)
    assert ada.topups.get(down.value.topup_id).state == "starting"
    resumed = ada.topups.start(quote, **URLS, key="form-1")
    assert (resumed.id, resumed.state) == (down.value.topup_id, "pending")


def test_an_answer_that_was_lost_is_found_again_not_made_again(billing, ada, simulated):
    quote = ada.topups.quote(eur("50.00"))
    simulated.fault_next("create_checkout", "timeout-after-accept")

    with pytest.raises(GatewayUnavailable) as lost:
        ada.topups.start(quote, **URLS, key="form-1")

    assert lost.value.outcome_unknown
    resumed = ada.topups.start(quote, **URLS, key="form-1")
    simulated.pay(checkout_of(resumed))
    assert ada.topups.confirm(resumed.id).state == "credited"
    assert ada.balance().settled == eur("50")


def test_a_start_that_was_lost_is_finished_by_confirm_alone(billing, ada, simulated):
    simulated.fault_next("create_checkout", "unavailable")
    with pytest.raises(GatewayUnavailable) as down:
        start(billing)

    assert ada.topups.confirm(down.value.topup_id).state == "pending"
    assert ada.topups.get(down.value.topup_id).checkout.redirect_url


def test_a_gateway_that_refuses_for_good_ends_the_top_up(billing, ada, simulated):
    quote = ada.topups.quote(eur("50.00"))
    simulated.fault_next("create_checkout", "garbage")

    with pytest.raises(GatewayError) as refused:
        ada.topups.start(quote, **URLS, key="form-1")

    assert not isinstance(refused.value, GatewayUnavailable)
    [topup] = ada.topups.list().items
    assert (topup.state, topup.failure) == ("failed", "refused-by-gateway")
    assert told(billing, "topup-failed") == [{"topup": topup.id, "reason": "refused-by-gateway"}]
    assert ada.topups.start(quote, **URLS, key="form-1") == topup  # the key remembers that
    for look in (ada.topups.confirm, ada.topups.cancel):
        assert look(topup.id) == topup  # and nobody opens a checkout that nobody would see


@SQLITE
def test_past_the_time_of_the_gateways_memory_no_second_checkout_is_made(tmp_path, clock, open_billing):
    takes = {"EUR": ("1", "1000", "0.01")}
    gateway = NarrowGateway(state=tmp_path / "narrow.db", clock=clock, takes=takes, keys_valid_s=3600, name="narrow")
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA)
    gateway.fault_next("create_checkout", "timeout-after-accept")
    with pytest.raises(GatewayUnavailable) as lost:
        start(billing)
    clock.advance(hours=2)

    topup = billing.customer(ADA).topups.confirm(lost.value.topup_id)

    # Nobody can know: it is given up with its time, and a payment that shows up all the same is still credited.
    assert (topup.state, topup.failure) == ("expired", "never-opened")
    assert topup.checkout.redirect_url is None


@SQLITE
@pytest.mark.parametrize(("age_s", "found"), [(1740, True), (1741, False), (1800, False)])
def test_a_key_is_not_sent_so_late_that_it_may_be_forgotten_on_the_way(tmp_path, clock, open_billing, age_s, found):
    takes = {"EUR": ("1", "1000", "0.01")}
    gateway = NarrowGateway(state=tmp_path / "narrow.db", clock=clock, takes=takes, keys_valid_s=1800, name="narrow")
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA)
    gateway.fault_next("create_checkout", "timeout-after-accept")
    with pytest.raises(GatewayUnavailable) as lost:
        start(billing)
    clock.advance(seconds=age_s)

    topup = billing.customer(ADA).topups.confirm(lost.value.topup_id)

    assert topup.state == ("pending" if found else "starting")


@SQLITE
def test_a_gateway_without_keys_is_asked_once_and_never_again(tmp_path, clock, open_billing):
    takes = {"EUR": ("1", "1000", "0.01")}
    gateway = NarrowGateway(state=tmp_path / "narrow.db", clock=clock, takes=takes, keys_valid_s=0, name="narrow")
    billing = open_billing(gateways=[gateway])
    billing.customers.register(ADA)
    gateway.fault_next("create_checkout", "timeout-after-accept")
    with pytest.raises(GatewayUnavailable) as lost:
        start(billing, key="form-1")
    clock.advance(minutes=2)

    with pytest.raises(GatewayUnavailable) as again:
        start(billing, key="form-1")

    assert again.value.topup_id == lost.value.topup_id
    assert again.value.outcome_unknown
    assert billing.customer(ADA).topups.confirm(lost.value.topup_id).state == "starting"


# What becomes of it


def test_confirm_can_be_repeated_and_credits_once(billing, ada, simulated):
    topup = top_up(billing, simulated)

    again = ada.topups.confirm(topup.id)

    assert again == topup
    assert (again.state, again.failure) == ("credited", "")
    assert again.invoice_number == "TINV26-000001"
    assert again.checkout.redirect_url is None  # nothing is left to pay
    assert ada.balance().settled == eur("50")
    assert counts(billing)["payment"] == 1


def test_confirm_of_an_unpaid_or_processing_top_up_says_how_far_it_is(billing, ada, simulated):
    topup = start(billing)

    assert ada.topups.confirm(topup.id).state == "pending"
    simulated.pay(checkout_of(topup), later=True)
    assert ada.topups.confirm(topup.id).state == "processing"
    simulated.finish(checkout_of(topup))
    assert ada.topups.confirm(topup.id).state == "credited"


@pytest.mark.parametrize("fault", ["unavailable", "timeout-after-accept", "garbage"])
@SQLITE
def test_confirm_never_raises_for_a_gateway_that_is_down(billing, ada, simulated, fault):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    simulated.fault_next("fetch_payment", fault)

    assert ada.topups.confirm(topup.id) == topup
    assert ada.topups.confirm(topup.id).state == "credited"


def test_a_declined_payment_fails_and_is_told_once(billing, ada, simulated):
    topup = start(billing)
    simulated.fail(checkout_of(topup))

    for _ in range(2):
        failed = ada.topups.confirm(topup.id)
        assert (failed.state, failed.failure) == ("failed", "declined")
    assert told(billing, "topup-failed") == [{"topup": topup.id, "reason": "declined"}]


def test_cancelling_makes_the_checkout_unpayable(billing, ada, simulated):
    topup = start(billing)

    assert ada.topups.cancel(topup.id).state == "canceled"
    assert requests_of(simulated, topup).state == "canceled"
    assert ada.topups.cancel(topup.id).state == "canceled"
    assert ada.balance().settled == eur("0")


def test_cancelling_what_was_paid_meanwhile_credits_it(billing, ada, simulated):
    topup = start(billing)
    simulated.pay(checkout_of(topup))

    assert ada.topups.cancel(topup.id).state == "credited"
    assert ada.balance().settled == eur("50")


def test_cancelling_a_credited_top_up_is_refused(billing, ada, simulated):
    topup = top_up(billing, simulated)

    with pytest.raises(WrongState) as refused:
        ada.topups.cancel(topup.id)

    assert refused.value.field == "topup"
    assert ada.balance().settled == eur("50")


@SQLITE
def test_cancelling_while_the_gateway_is_down_changes_nothing(billing, ada, simulated):
    topup = start(billing)
    simulated.fault_next("fetch_payment", "unavailable")

    with pytest.raises(GatewayError):
        ada.topups.cancel(topup.id)

    assert ada.topups.get(topup.id) == topup


@pytest.mark.parametrize("end", ["fail", "expire", "cancel"])
def test_money_that_comes_late_wins_over_what_we_believed(billing, ada, simulated, end):
    topup = start(billing)
    if end == "cancel":
        ada.topups.cancel(topup.id)
    else:
        getattr(simulated, end)(checkout_of(topup))
    ended = ada.topups.confirm(topup.id).state
    assert ended in ("failed", "expired", "canceled")

    simulated.pay(checkout_of(topup), late=True)
    deliver(billing, simulated.events()[-1])

    credited = ada.topups.get(topup.id)
    assert (credited.state, credited.failure) == ("credited", "")
    assert ada.balance().settled == eur("50")
    assert billing.check().ok


def test_the_list_is_newest_first_and_the_same_at_every_page_size(billing, ada, clock):
    made = []
    for _ in range(5):
        made.insert(0, start(billing))
        clock.advance(minutes=1)
    start(billing, customer="eve")

    for size in range(1, 7):
        assert walk(ada.topups.list, limit=size) == made


def test_a_page_stays_put_while_new_top_ups_come(billing, ada, clock):
    made = []
    for _ in range(4):
        made.insert(0, start(billing))
        clock.advance(minutes=1)
    first = ada.topups.list(limit=2)

    start(billing)

    assert list(ada.topups.list(limit=2, cursor=first.next).items) == made[2:]


# The page after paying, without a login


def test_the_return_page_settles_and_reveals_only_the_state(billing, ada, simulated):
    topup = start(billing)
    simulated.pay(checkout_of(topup))

    result = billing.returns.receive({"topup": topup.id, "state": "credited", "amount": "5000"})

    assert (result.topup_id, result.state) == (topup.id, "credited")
    assert ada.balance().settled == eur("50")


@SQLITE
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"topup": ""},
        {"topup": "top_"},
        {"topup": "top_01m82v7m000000000000000000"},
        {"topup": "top_01m82v7m000000000000000000' OR 1=1"},
        {"topup": "top_01m82v7m00000000000000000\x00"},
        {"topup": None},
        {"topup": ["top_01m82v7m000000000000000000"]},
        {"Topup": "x"},
    ],
)
def test_a_return_that_names_no_top_up_says_nothing(billing, params):
    result = billing.returns.receive(params)

    assert (result.topup_id, result.state) == (None, None)


@SQLITE
def test_a_return_while_the_gateway_is_down_shows_the_state_as_it_is(billing, ada, simulated):
    topup = start(billing)
    simulated.fail(checkout_of(topup))
    ada.topups.confirm(topup.id)
    simulated.fault_next("fetch_payment", "unavailable")

    assert billing.returns.receive({"topup": topup.id}).state == "failed"


@SQLITE
def test_a_top_up_of_a_gateway_that_is_gone_waits_as_it_is(billing, ada, simulated, open_billing):
    topup = start(billing)
    simulated.pay(checkout_of(topup))
    without = open_billing(gateways=[])

    assert without.customer(ADA).topups.confirm(topup.id).state == "pending"
    assert without.returns.receive({"topup": topup.id}).state == "pending"
    assert ada.topups.confirm(topup.id).state == "credited"


@SQLITE
def test_two_accounts_of_one_provider_stand_side_by_side(tmp_path, clock, open_billing):
    gateways = [SimulatedGateway(state=tmp_path / "two.db", clock=clock, name=name) for name in ("eu-bank", "us-bank")]
    billing = open_billing(gateways=gateways)
    billing.customers.register(ADA)

    topup = start(billing, gateway="us-bank")

    assert topup.gateway == "us-bank"
    ref = PaymentRef(topup_id=topup.id, checkout_id=checkout_of(topup))
    assert gateways[1].fetch_payment(ref).state == "open"
    with pytest.raises(GatewayError):
        gateways[0].fetch_payment(ref)


def test_an_unregistered_customer_is_not_found_at_every_method(billing):
    nobody = billing.customer("nobody")
    for ask in (
        nobody.profile,
        nobody.balance,
        nobody.wallets,
        nobody.transactions,
        nobody.runway,
        nobody.meters,
        nobody.topups.list,
        nobody.invoices.list,
        nobody.tax_profile.get,
        lambda: nobody.topups.quote(eur("50")),
        lambda: nobody.topups.gateways(eur("50")),
        lambda: nobody.topups.get("top_01m82v7m000000000000000000"),
    ):
        with pytest.raises(NotFound) as refused:
            ask()
        assert refused.value.field == "customer"


@SQLITE
def test_rules_of_a_later_day_price_from_that_day_in_the_sellers_zone(billing, ada, clock):
    add_rule(billing, valid_to=date(2026, 12, 1))
    add_rule(billing, components=(("TVA", "21"),), since=date(2026, 12, 1))
    live_in(billing, "FR")
    clock.set(clock.now().replace(month=11, day=30, hour=22, minute=59))

    assert ada.topups.quote(eur("100.00")).total == eur("120")
    clock.advance(minutes=1)  # midnight in Berlin
    assert ada.topups.quote(eur("100.00")).total == eur("121")


def test_promotional_credit_does_not_change_what_a_top_up_costs(billing, ada):
    give(billing, "10")

    quote = ada.topups.quote(eur("50.00"))

    assert (quote.total, quote.balance_after) == (eur("50"), eur("60"))
