"""Attacks that happened to real systems, by the numbers of the published list, each against the public API."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from datetime import timedelta

import attrs
import pytest

from prepaid import ConfigurationError, InsufficientCredit, Money, NotFound, RequestRefused
from prepaid.gateways import StripeGateway
from prepaid.ports import PaymentRef
from tests.use_cases.providers import SECRET, event, receive, signed
from tests.use_cases.steps import (
    ADA,
    EVE,
    SQLITE,
    alarms,
    assert_nothing_credited,
    checkout_of,
    counts,
    deliver,
    eur,
    give,
    operator,
    start,
    top_up,
)

# A03, A04, A36: a genuine payment of another amount or currency


@pytest.mark.parametrize(
    "lie", [{"amount": eur("1.00")}, {"amount": eur("2000.01")}, {"currency": "JPY", "amount": Money.of("100", "JPY")}]
)
def test_a03_a04_a36_a_genuine_payment_of_another_amount_is_kept_but_not_credited(shop, gateway, lie):
    topup = start(shop, "2000.00")
    gateway.pay(checkout_of(topup), **lie)

    result = deliver(shop, gateway.events()[-1])

    assert result.outcome == "review"
    assert_nothing_credited(shop)
    reports = operator(shop).reports
    summary = reports.summary(topup.created_at, topup.created_at + timedelta(1), currency=lie["amount"].currency)
    assert summary.in_review == lie["amount"]


# A05: paid to somebody else's merchant account


def test_a05_a_payment_to_another_merchant_account_credits_nothing(shop, gateway):
    topup = start(shop)
    gateway.pay(checkout_of(topup), account="acct_of_eve")

    result = deliver(shop, gateway.events()[-1])

    assert (result.status, result.outcome) == (200, "mismatch")
    assert shop.customer(ADA).topups.get(topup.id).state == "pending"
    assert_nothing_credited(shop)
    assert alarms(shop) == ["account-differs"]


# A06: one succeeded payment shown for a second order


def test_a06_a_payment_settles_only_the_top_up_it_was_made_for(shop, gateway, paid):
    door = shop.customer(ADA)
    assert door.topups.confirm(paid.id).state == "credited"
    second = start(shop)
    gateway.pay(checkout_of(second))
    payment_id = gateway.fetch_payment(PaymentRef(topup_id=paid.id, checkout_id=checkout_of(paid))).payment_id
    gateway.lies.update(payment_id=payment_id)

    assert door.topups.confirm(second.id).state == "pending"
    assert deliver(shop, gateway.events()[-1]).outcome == "mismatch"

    assert door.balance().settled == eur("50")
    assert counts(shop)["payment"] == counts(shop)["invoice"] == 1
    assert alarms(shop) == ["payment-of-another-topup"]
    assert shop.check().ok


def test_a06_a_payment_of_another_top_up_that_differs_is_not_parked_twice_either(shop, gateway, paid):
    door = shop.customer(ADA)
    door.topups.confirm(paid.id)
    second = start(shop, "70.00")
    gateway.pay(checkout_of(second))
    payment_id = gateway.fetch_payment(PaymentRef(topup_id=paid.id, checkout_id=checkout_of(paid))).payment_id
    gateway.lies.update(payment_id=payment_id, captured=eur("50"))

    assert door.topups.confirm(second.id).state == "pending"

    assert counts(shop)["payment"] == 1
    assert alarms(shop) == ["payment-of-another-topup"]
    assert shop.check().ok


def test_a06_the_reference_in_the_webhook_does_not_decide_which_top_up_is_credited(shop, gateway, paid, clock):
    eves = start(shop, customer=EVE)
    headers, body = signed(event(paid, topup_id=eves.id), at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body)

    assert (result.outcome, result.topup_id) == ("credited", paid.id)
    assert shop.customer(EVE).balance().settled == eur("0")
    assert shop.customer(ADA).balance().settled == eur("50")


# A07: at-least-once delivery


def test_a07_fifty_deliveries_in_a_row_and_eight_at_once_credit_once(shop, gateway, paid):
    [notice] = gateway.events()
    barrier, results = threading.Barrier(8), []

    def send():
        barrier.wait()
        results.append(deliver(shop, notice))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results += [deliver(shop, notice) for _ in range(50)]

    assert {result.status for result in results} == {200}
    assert [result.outcome for result in results].count("credited") == 1
    assert shop.customer(ADA).balance().settled == eur("50")
    after = counts(shop)
    assert (after["payment"], after["invoice"], after["webhook_event"]) == (1, 1, 1)
    assert shop.check().ok


# A09: late news does not overwrite newer


@pytest.mark.parametrize("type_", ["payment.failed", "checkout.expired", "checkout.canceled", "payment.processing"])
@SQLITE
def test_a09_late_news_never_takes_a_credited_top_up_back(shop, gateway, paid, clock, type_):
    shop.customer(ADA).topups.confirm(paid.id)
    headers, body = signed(event(paid, type=type_, id="evt_late"), at=clock.now(), secret=SECRET)

    assert receive(shop, headers, body).outcome == "duplicate"
    assert shop.customer(ADA).topups.get(paid.id).state == "credited"


# A10: test money in a live book


def test_a10_a_payment_of_the_other_mode_credits_nothing(shop, gateway):
    topup = start(shop)
    gateway.pay(checkout_of(topup), mode="live")

    shop.customer(ADA).topups.confirm(topup.id)

    assert_nothing_credited(shop)
    assert alarms(shop) == ["mode-differs"]


@SQLITE
def test_a10_a_gateway_or_key_of_the_other_mode_cannot_be_wired(open_billing, gateway):
    with pytest.raises(ConfigurationError):
        open_billing(mode="live", gateways=[gateway])
    with pytest.raises(ConfigurationError):
        open_billing(mode="live", gateways=[StripeGateway(secret_key="sk_test_x", webhook_secrets=("whsec_x",))])


# A11: a negative payment raises the balance


@pytest.mark.parametrize("amount", ["-50", "0", "-0.000001"])
def test_a11_nothing_that_is_not_above_zero_moves_money(shop, amount):
    money = eur(amount)
    before = counts(shop)
    for act in (
        lambda: shop.customer(ADA).topups.quote(money),
        lambda: shop.usage.charge(ADA, money, key="k"),
        lambda: shop.usage.charge(ADA, money, key="k", allow_negative=True),
        lambda: operator(shop).customers.grant(ADA, money, kind="goodwill", reason="x", key="k"),
    ):
        with pytest.raises(RequestRefused) as refused:
            act()
        assert refused.value.field == "amount"
    assert counts(shop) == before


# A21, A22, A23: somebody else's documents and orders


def shape(refused):
    error = refused.value
    return (type(error), error.code, error.field, error.message, dict(error.params))


def test_a21_a22_a_foreign_object_and_a_missing_one_look_the_same(billing, simulated):
    topup = top_up(billing, simulated)
    [invoice] = billing.customer(ADA).invoices.list().items
    eve = billing.customer(EVE)
    before = counts(billing)
    asks = {
        "topup": (eve.topups.get, eve.topups.confirm, eve.topups.cancel),
        "invoice": (eve.invoices.get, eve.invoices.pdf),
    }
    names = {
        "topup": (topup.id, "top_01m82v7m000000000000000000", "", "top_", None, 5, b"top_", topup.id.upper()),
        "invoice": (invoice.id, invoice.number, "inv_01m82v7m000000000000000000", "", "9" * 500, None, 5, b"x"),
    }
    shapes = {"topup": set(), "invoice": set()}
    for kind, methods in asks.items():
        for method in methods:
            for name in names[kind]:
                with pytest.raises(NotFound) as refused:
                    method(name)
                assert str(name) not in str(refused.value) or not name
                shapes[kind].add(repr(shape(refused)))

    assert len(shapes["topup"]) == len(shapes["invoice"]) == 1
    assert counts(billing) == before


def test_a21_a_foreign_checkout_cannot_be_paid_for_by_confirming_it(billing, simulated):
    topup = start(billing)
    simulated.pay(checkout_of(topup))

    with pytest.raises(NotFound):
        billing.customer(EVE).topups.confirm(topup.id)

    assert billing.customer(ADA).topups.get(topup.id).state == "pending"
    assert billing.customer(EVE).balance().settled == eur("0")


def test_a23_no_list_of_a_customer_shows_anything_of_another(billing, simulated):
    top_up(billing, simulated)
    give(billing, "5")
    page = billing.customer(ADA).transactions(limit=1)
    eve = billing.customer(EVE)

    assert eve.transactions().items == eve.topups.list().items == eve.invoices.list().items == ()
    assert eve.transactions(cursor=page.next).items == ()  # a foreign cursor opens nothing
    assert eve.balance().settled == eur("0")
    assert [wallet.settled for wallet in eve.wallets()] == [eur("0")]


# A27: names that want to be paths, A42: texts that want to be SQL


HOSTILE = ["../../etc/passwd", "/etc/passwd", "..\\..\\x", "a%00b", "x'; DROP TABLE prepaid_transfer; --", "%", "_%_"]


def test_a27_a42_hostile_ids_are_ids_like_any_other(billing, tmp_path, simulated):
    before = sorted(path.name for path in tmp_path.iterdir())
    for name in HOSTILE:
        billing.customers.register(name, name=name)
        topup = top_up(billing, simulated, "1.00", customer=name)
        door = billing.customer(name)
        [invoice] = door.invoices.list().items
        assert door.invoices.pdf(invoice.id) == door.invoices.pdf(invoice.number)
        assert billing.usage.charge(name, eur("0.5"), key=name, resource=name, project=name).status == "posted"
        assert door.balance().settled == eur("0.5")
        assert topup.customer == name
        assert name in [customer.id for customer in operator(billing).customers.search(name)]

    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))) == [
        name for name in before if not name.endswith(("-wal", "-shm"))
    ] + [name for name in ("simulated.db",) if name not in before]
    assert billing.check().ok


def test_a_search_knows_the_case_of_every_script_on_servers(billing, place):
    billing.customers.register("u1", name="MÜLLER ЖУК", currency="EUR")
    found = [customer.id for words in ("müller", "жук") for customer in operator(billing).customers.search(words)]
    assert found == ([] if place.url.startswith("sqlite") else ["u1", "u1"])


def test_a42_a_search_takes_percent_and_underscore_as_they_are(billing):
    found = operator(billing).customers

    assert found.search("%") == ()
    assert found.search("_") == ()
    assert found.search("' OR '1'='1") == ()
    assert [customer.id for customer in found.search("ADA@")] == [ADA]


@pytest.mark.parametrize("name", ["inv\x00", "inv\ud800", "a" * 64, "TINV26-000001' OR '1'='1"])
def test_a42_a_number_no_engine_takes_is_not_found_not_an_error(billing, simulated, name):
    top_up(billing, simulated)

    with pytest.raises(NotFound):
        billing.customer(ADA).invoices.get(name)


# A28: secrets that show


@SQLITE
def test_a28_no_secret_shows_in_anything_that_prints_copies_or_stores(shop, gateway, caplog):
    stripe = StripeGateway(secret_key="sk_test_shown", webhook_secrets=("whsec_shown",))
    for thing in (shop, gateway, stripe, shop.operator("alice", permissions=()), shop.customer(ADA)):
        shown = [repr(thing), str(thing), f"{thing}", json.dumps(thing, default=repr)]
        if attrs.has(type(thing)):
            shown.append(repr(attrs.asdict(thing)))
        assert not any(secret in text for text in shown for secret in (SECRET, "sk_test_shown", "whsec_shown"))
    for thing in (gateway, stripe):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
        with pytest.raises(TypeError):
            copy.deepcopy(thing)
    receive(shop, {"Simulated-Signature": "t=1,v1=" + "0" * 64}, b'{"secret": "body"}')
    assert SECRET not in caplog.text
    assert "secret" not in caplog.text.replace("webhook secrets", "")


@SQLITE
def test_a28_no_mail_address_shows_in_logs(billing, simulated, mailer, caplog):
    top_up(billing, simulated)
    mailer.failures.append(RuntimeError("550 ada@example.com rejected, password hunter2"))

    billing.run_due()

    assert "failed" in caplog.text
    assert "ada@example.com" not in caplog.text
    assert "hunter2" not in caplog.text


# A37: fully paid, with nothing captured


@pytest.mark.parametrize("lies", [{"captured": eur("0")}, {"captured": None}, {"state": "authorised"}])
def test_a37_success_without_captured_money_credits_nothing(shop, gateway, paid, lies):
    gateway.lies.update(lies)

    result = deliver(shop, gateway.events()[-1])

    assert result.outcome in ("mismatch", "pending")
    assert shop.customer(ADA).topups.get(paid.id).state in ("pending", "processing")
    assert_nothing_credited(shop)


# And nothing of this is ever owed to a race


def test_two_charges_never_see_the_same_balance(billing):
    give(billing, "10")
    barrier, outcomes = threading.Barrier(6), []

    def spend(number):
        barrier.wait()
        try:
            outcomes.append(billing.usage.charge(ADA, eur("3"), key=f"k{number}").status)
        except InsufficientCredit as refused:
            outcomes.append(str(refused.available))

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["1.00 EUR"] * 3 + ["posted"] * 3
    assert billing.check().ok
