"""Attacks that happened to real systems, by the numbers of the published list, each against the public API."""

from __future__ import annotations

import copy
import json
import pickle
import threading
import tracemalloc
from datetime import timedelta

import attrs
import pytest

from prepaid import ConfigurationError, InsufficientCredit, Money, NotFound, RequestRefused
from prepaid.config import MAX_WEBHOOK_BYTES
from prepaid.gateways import SimulatedGateway, StripeGateway
from prepaid.ports import PaymentRef
from tests.use_cases.providers import LyingGateway, event, signed
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

SECRET = "whsec_never_to_be_shown"


@pytest.fixture
def gateway(tmp_path, clock):
    return LyingGateway(state=tmp_path / "attacked.db", clock=clock, webhook_secrets=(SECRET,))


@pytest.fixture
def shop(open_billing, gateway, tmp_path, clock):
    """Two gateways with secrets of their own, and a customer who has paid, but was not yet credited."""
    other = SimulatedGateway(state=tmp_path / "attacked.db", clock=clock, name="other", webhook_secrets=("other-one",))
    billing = open_billing(gateways=[gateway, other])
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR")
    return billing


@pytest.fixture
def paid(shop, gateway):
    topup = start(shop)
    gateway.pay(checkout_of(topup))
    return topup


def receive(billing, headers, body, to="simulated"):
    return billing.webhooks.receive(to, body=body, headers=headers)


def assert_refused(shop, gateway, result, status, reason):
    assert (result.status, result.outcome) == (status, "rejected")
    assert (result.event_id, result.topup_id) == (None, None)
    assert gateway.asked == []  # nobody was called because of it
    assert counts(shop)["webhook_event"] == 0
    assert_nothing_credited(shop)
    assert alarms(shop) == [reason]


# A01: a callback that is not authenticated


def forged_header(kind, headers):
    [(name, good)] = headers.items()
    at, v1 = good.split(",")
    return {
        "none": {},
        "empty": {name: ""},
        "unsigned": {name: at},
        "truncated": {name: good[:-1]},
        "one digit": {name: good[:-1] + ("0" if good[-1] != "0" else "1")},
        "no time": {name: v1},
        "two times": {name: f"t=1,{good}"},
        "other scheme": {name: good.replace("v1=", "v0=")},
        "long": {name: good + "," + "v1=" + "0" * 5000},
    }[kind]


@SQLITE
@pytest.mark.parametrize(
    "kind",
    ["none", "empty", "unsigned", "truncated", "one digit", "no time", "two times", "other scheme", "long"],
)
def test_a01_a_webhook_with_a_forged_signature_credits_nothing(shop, gateway, paid, clock, kind):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)

    result = receive(shop, forged_header(kind, headers), body)

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@pytest.mark.parametrize("secret", ["a-guess", "other-one", "simulated-secret"])
def test_a01_a_webhook_signed_with_another_secret_credits_nothing(shop, gateway, paid, clock, secret):
    headers, body = signed(event(paid), at=clock.now(), secret=secret)

    result = receive(shop, headers, body)

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
def test_a01_a_genuine_webhook_at_the_other_gateways_address_credits_nothing(shop, gateway, paid, clock):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body, to="other")

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
def test_a01_the_other_gateways_own_signature_wakes_no_top_up_of_this_one(shop, gateway, paid, clock):
    headers, body = signed(event(paid), at=clock.now(), secret="other-one")

    result = receive(shop, headers, body, to="other")

    assert (result.status, result.outcome, result.topup_id) == (200, "ignored", None)
    assert gateway.asked == []
    assert_nothing_credited(shop)


@SQLITE
def test_a01_a_signature_over_another_body_credits_nothing(shop, gateway, paid, clock):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body.replace(b"evt_1", b"evt_2"))

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
@pytest.mark.parametrize("seconds", [-301, 301, -86_400 * 365])
def test_a01_a_stale_or_future_signature_credits_nothing(shop, gateway, paid, clock, seconds):
    headers, body = signed(event(paid), at=clock.now() + timedelta(seconds=seconds), secret=SECRET)

    result = receive(shop, headers, body)

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe{}",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"id": "evt_1"}',
        b'{"id": "evt_1", "id": "evt_2"}',
        b'{"id": NaN}',
        b"[" * 100_000,
        b'{"id": "\\ud800"}',
        b'{"id": {"a": 1}, "mode": "test"}',
        b'{"id": 5, "type": "payment.captured", "mode": "test", "checkout_id": "x"}',
        b'{"id": "' + b"a" * 300 + b'", "type": "payment.captured", "mode": "test", "checkout_id": "x"}',
    ],
)
def test_a01_a_signed_body_that_is_no_event_is_refused(shop, gateway, paid, clock, body):
    headers, body = signed(body, at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body)

    assert_refused(shop, gateway, result, 400, "webhook-not-genuine")


@SQLITE
@pytest.mark.parametrize("body", [b"", "", "text", None, {}, 5, bytearray(b"{}"), memoryview(b"{}")])
def test_a01_a_body_that_is_not_the_bytes_received_is_refused(shop, gateway, paid, body):
    assert_refused(shop, gateway, receive(shop, {}, body), 400, "webhook-no-body")


@SQLITE
@pytest.mark.parametrize("headers", [None, 5, "text", b"bytes", ["ab"], [("a", "b", "c")], {None: None}, {5: b"x"}, []])
def test_a01_headers_of_any_shape_are_refused_without_an_exception(shop, gateway, paid, clock, headers):
    _, body = signed(event(paid), at=clock.now(), secret=SECRET)

    assert_refused(shop, gateway, receive(shop, headers, body), 400, "webhook-not-genuine")


@SQLITE
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_headers_are_taken_in_any_case_and_as_pairs_too(shop, gateway, paid, clock, case):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)
    pairs = [(case(name), value) for name, value in headers.items()]

    assert receive(shop, pairs, body).outcome == "credited"


@SQLITE
@pytest.mark.parametrize("name", ["paypal", "", "SIMULATED", None, 5, "simulated\x00", "a" * 1000, b"simulated", []])
def test_a_webhook_for_a_gateway_that_does_not_exist_is_404(shop, gateway, paid, clock, name):
    headers, body = signed(event(paid), at=clock.now(), secret=SECRET)

    result = receive(shop, headers, body, to=name)

    assert (result.status, result.outcome) == (404, "rejected")
    assert gateway.asked == []
    assert_nothing_credited(shop)


def test_a_flood_of_forgeries_raises_one_alarm_an_hour(shop, paid, clock):
    for _ in range(3):
        receive(shop, {}, b"{}")
    assert alarms(shop) == ["webhook-not-genuine"]

    clock.advance(hours=1)
    receive(shop, {}, b"{}")

    assert alarms(shop) == ["webhook-not-genuine"] * 2


# A02: no secret, so nothing is checked


@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), (None,), None, ("good", ""), "good"])
def test_a02_a_gateway_without_a_usable_secret_cannot_be_made(tmp_path, secrets):
    with pytest.raises(ConfigurationError):
        SimulatedGateway(state=tmp_path / "x.db", webhook_secrets=secrets)


@SQLITE
@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), None])
def test_a02_nor_can_one_of_a_real_provider(open_billing, secrets):
    with pytest.raises(ConfigurationError):
        open_billing(gateways=[StripeGateway(secret_key="sk_test_x", webhook_secrets=secrets)])


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


@SQLITE
def test_a10_an_event_of_the_other_mode_is_refused(shop, gateway, paid, clock):
    headers, body = signed(event(paid, mode="live"), at=clock.now(), secret=SECRET)

    assert_refused(shop, gateway, receive(shop, headers, body), 400, "webhook-not-genuine")


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


# A29: a body too large to be looked at


@SQLITE
@pytest.mark.parametrize("extra", [1, 1000])
def test_a29_a_body_above_the_limit_is_refused_before_it_is_read(shop, gateway, paid, clock, extra):
    headers, body = signed(b" " * (MAX_WEBHOOK_BYTES + extra), at=clock.now(), secret=SECRET)

    assert_refused(shop, gateway, receive(shop, headers, body), 413, "webhook-too-large")


@SQLITE
def test_a29_a_body_of_exactly_the_limit_is_read(shop, paid, clock):
    _, body = signed(event(paid), at=clock.now(), secret=SECRET)
    headers, body = signed(body + b" " * (MAX_WEBHOOK_BYTES - len(body)), at=clock.now(), secret=SECRET)

    assert receive(shop, headers, body).outcome == "credited"


@SQLITE
def test_a29_fifty_megabytes_cost_no_memory(shop, gateway, paid):
    body = bytes(50 * 1024 * 1024)
    receive(shop, {}, body)  # loads what the first call loads

    tracemalloc.start()
    result = receive(shop, {"Simulated-Signature": "t=1,v1=" + "0" * 64}, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert_refused(shop, gateway, result, 413, "webhook-too-large")
    assert peak < 2 * MAX_WEBHOOK_BYTES


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
