"""What happens when workers die, clocks jump, answers are lost and operators meet."""

from __future__ import annotations

import pickle
import threading
import time
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import create_engine, make_url, text

import prepaid
from prepaid import (
    Address,
    ConfigurationError,
    Customer,
    GatewayError,
    InvalidRequest,
    Prepaid,
    Seller,
    SmtpMailer,
    TaxProfile,
    TaxRule,
    permissions,
)
from prepaid.store import upgrade_schema
from prepaid.system import RandomIds, UtcClock
from prepaid.testing.clock import MovableClock
from tests.engines import SERVERS
from tests.engines.server import free_ports
from tests.use_cases.steps import ADA, BACK, BILLING, change, checkout_of, deliver, eur, operator, rows, start, top_up

SQLITE = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
ON_SERVERS = pytest.mark.parametrize("database_url", SERVERS, indirect=True)
SELLER = Seller(name="Nimbus GmbH", address=Address(country="DE"))


# Engines


@ON_SERVERS
def test_an_engine_that_commits_each_statement_is_refused(database_url):
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    billing = Prepaid(database=engine, mode="test", seller=SELLER, load_plugins=False)

    with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
        billing.upgrade_database()
    upgrade_schema(database_url)
    with pytest.raises(ConfigurationError, match="AUTOCOMMIT"):
        billing.customers.register(ADA)
    engine.dispose()


def test_a_sqlite_engine_that_was_used_before_is_configured_whole(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path / 'billing.db'}")
    with engine.connect() as connection:
        connection.execute(text("select 1"))

    prepaid.configure_sqlite(engine)

    with engine.connect() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("foreign_keys", "journal_mode")}
    assert found == {"foreign_keys": 1, "journal_mode": "wal"}
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
def test_money_is_not_kept_in_memory(url):
    with pytest.raises(ConfigurationError, match="needs a file"):
        Prepaid(database=url, mode="test", seller=SELLER, load_plugins=False)


@ON_SERVERS
def test_a_server_that_is_away_is_one_typed_error_without_values(database_url):
    [nobodys] = free_ports(1)
    url = make_url(database_url).set(port=nobodys, password="hunter2")
    billing = Prepaid(database=url, mode="test", seller=SELLER, load_plugins=False)

    with pytest.raises(prepaid.TransactionAborted) as away:
        billing.customers.register(ADA)

    assert away.value.retry_whole
    assert "hunter2" not in str(away.value)
    billing.close()


@ON_SERVERS
def test_a_database_that_does_not_exist_is_refused_before_anything_is_done(database_url):
    url = make_url(database_url).set(database="nowhere")
    billing = Prepaid(database=url, mode="test", seller=SELLER, load_plugins=False)

    # PostgreSQL's driver gives no code here: the error looks like a server that is away.
    with pytest.raises((ConfigurationError, prepaid.TransactionAborted)):
        billing.customers.register(ADA)

    billing.close()


# Clocks and ids


@pytest.mark.parametrize("clock", [True, object, 5, "now"])
def test_a_clock_has_a_now(clock, tmp_path):
    with pytest.raises(ConfigurationError, match="clock"):
        Prepaid(database=f"sqlite:///{tmp_path / 'x.db'}", mode="test", seller=SELLER, clock=clock, load_plugins=False)


def test_a_clock_without_a_zone_is_refused_when_it_is_asked():
    class Naive:
        def now(self):
            return datetime(2026, 11, 23)  # noqa: DTZ001 - what is refused

    with pytest.raises(ConfigurationError, match="naive"):
        UtcClock(Naive()).now()


def test_ids_sort_in_the_order_in_which_they_were_made_also_when_time_stands_still_or_goes_back():
    clock = MovableClock()
    ids = RandomIds(clock)
    made = [ids.new("top") for _ in range(500)]
    clock.set(clock.now() - timedelta(hours=1))
    made += [ids.new("top") for _ in range(500)]
    clock.advance(hours=2)
    made += [ids.new("top") for _ in range(500)]

    assert made == sorted(made)
    assert len(set(made)) == 1500


def test_ids_of_threads_never_meet():
    ids, made = RandomIds(MovableClock()), []

    def make():
        made.extend([ids.new("top") for _ in range(2000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(made)) == 8000


def test_a_random_part_that_is_used_up_goes_on_in_the_next_millisecond(monkeypatch):
    ids = RandomIds(MovableClock())
    first = ids.new("top")
    monkeypatch.setattr(ids, "_entropy", 256**10 - 1)

    assert ids.new("top") > first


@SQLITE
def test_lists_are_newest_first_though_time_stands_still(billing, ada, simulated):
    made = [top_up(billing, simulated, key=f"form-{number}").id for number in range(6)]

    assert [topup.id for topup in ada.topups.list().items] == made[::-1]
    assert [invoice.topup_id for invoice in ada.invoices.list().items] == made[::-1]


# Jobs


@SQLITE
def test_a_lease_written_by_a_clock_that_ran_ahead_does_not_stop_the_job(billing):
    billing.run_due()
    ahead = (time.time_ns() + 30 * 86_400 * 10**9) // 1000
    change(billing, f"UPDATE prepaid_job_lease SET expires_at = {ahead}, holder = 'run_dead'")

    assert {run.status for run in billing.run_due()} == {"done"}


@SQLITE
def test_an_effect_that_takes_its_worker_down_each_time_is_parked_and_seen(billing, simulated, clock, mailer):
    top_up(billing, simulated)
    # What a worker leaves that dies in the middle: the attempt counted, its time over.
    change(billing, "UPDATE prepaid_outbox SET attempts = 11 WHERE topic = 'invoice-mail'")

    billing.run_due(only="outbox")

    assert mailer.sent == []
    assert (billing.health()["ok"], billing.health()["outbox_parked"]) == (False, 1)


@SQLITE
def test_a_budget_is_kept_between_two_looks(billing, simulated, clock):
    for number in range(5):
        start(billing, key=f"form-{number}")
    clock.advance(minutes=2)
    bound = billing._context.gateways["simulated"]
    asked = []
    fetch = type(bound).fetch_payment

    def slow(self, ref):
        asked.append(ref)
        clock.advance(seconds=20)
        return fetch(self, ref)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(bound), "fetch_payment", slow)
        billing.run_due(only="topups", budget_s=30)

    assert len(asked) == 2


# Top-ups


@SQLITE
def test_a_refused_top_up_opens_nothing_afterwards(billing, ada, simulated, monkeypatch):
    quote = ada.topups.quote(eur("50"))
    simulated.fault_next("create_checkout", "garbage")
    with pytest.raises(GatewayError):
        ada.topups.start(quote, return_url=BACK, cancel_url=BILLING, key="form-1")
    [refused] = ada.topups.list().items

    assert ada.topups.confirm(refused.id).state == "failed"
    assert billing.returns.receive({"topup": refused.id}).state == "failed"
    assert rows(billing, "SELECT checkout_id FROM prepaid_topup WHERE book_id = :book")[0][0] is None
    assert simulated.events() == ()


@SQLITE
def test_a_wallet_that_is_full_never_refuses_captured_money(billing, ada, simulated):
    topup = start(billing, "50.00")
    simulated.pay(checkout_of(topup))
    change(billing, f"UPDATE prepaid_account SET balance = {2**63 - 1 - 10_000_000} WHERE kind = 'wallet'")

    settled = ada.topups.confirm(topup.id)

    assert (settled.state, settled.failure) == ("review", "balance-full")
    assert deliver(billing, simulated.events()[-1]).outcome == "duplicate"
    [waiting] = operator(billing).topups.review().items
    assert waiting.id == topup.id


@SQLITE
def test_a_payment_that_is_not_ours_is_shown_to_the_operator(billing, ada, simulated):
    topup = start(billing, "50.00")
    simulated.pay(checkout_of(topup), topup_id="top_" + "0" * 26)

    assert ada.topups.confirm(topup.id).state == "pending"

    [odd] = operator(billing).topups.review().items
    assert (odd.id, odd.state, odd.failure) == (topup.id, "pending", "reference-differs")


# Operators


def test_rules_added_by_two_operators_at_once_never_overlap(billing):
    barrier, outcomes = threading.Barrier(4), []

    def add():
        barrier.wait()
        try:
            operator(billing).tax.add(TaxRule("DE", (("USt", "19"),), valid_from=date(2021, 1, 1)))
            outcomes.append("added")
        except InvalidRequest:
            outcomes.append("refused")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["added", "refused", "refused", "refused"]
    assert len(operator(billing).tax.list()) == 1


def test_thresholds_set_by_two_operators_for_the_first_time_are_both_taken(billing):
    barrier, failed = threading.Barrier(4), []

    def put():
        barrier.wait()
        try:
            operator(billing).settings.thresholds(prepaid.Thresholds(low=eur("5")))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []


@SQLITE
def test_what_a_registration_leaves_out_stays_as_it_was(billing):
    billing.customers.register("user-7", email="eve@example.com", name="Eve", locale="de", groups=("vip",))

    kept = billing.customers.register("user-7", name="Eva")

    assert (kept.email, kept.name, kept.locale, kept.groups) == ("eve@example.com", "Eva", "de", ("vip",))
    assert billing.customers.get("user-7") == kept


# What must not be seen


def test_personal_data_is_in_no_repr():
    address = Address("1 rue Secrète", "2e étage", "Trouville", postcode="14360", country="FR")
    values = [
        Customer(id="u", email="ada@secret.example", name="Ada Secret", currency="EUR"),
        TaxProfile(kind="business", company="Secret SARL", name="Ada Secret", tax_id="FR40303265045", address=address),
        address,
    ]
    for value in values:
        for secret in ("ecret", "Secrète", "Trouville", "14360", "FR4030"):
            assert secret not in repr(value)


def test_a_password_is_neither_copied_nor_shown():
    mailer = SmtpMailer("smtps://user:hunter%20two@mail.example", sender="billing@nimbus.example")

    assert "hunter" not in repr(mailer)
    with pytest.raises(TypeError):
        pickle.dumps(mailer)


@SQLITE
def test_operators_without_a_permission_see_no_review(billing):
    door = billing.operator("bob", permissions={permissions.AUDIT_READ})
    with pytest.raises(prepaid.NotAllowed):
        door.topups.review()


def test_a_file_that_cannot_be_opened_is_a_matter_of_set_up(tmp_path):
    billing = Prepaid(
        database=f"sqlite:///{tmp_path / 'no' / 'folder' / 'x.db'}", mode="test", seller=SELLER, load_plugins=False
    )
    for call in (billing.upgrade_database, lambda: billing.customers.register(ADA)):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            call()
