"""Tampering: with triggers and constraints gone, one changed row contradicts another, and the check names it."""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import make_url

from prepaid import (
    Address,
    Bonus,
    Discount,
    IdentityPolicy,
    Percent,
    Prepaid,
    Promotion,
    Rate,
    TaxProfile,
    Thresholds,
)
from prepaid.core.hashing import canonical_json, sha256
from prepaid.store import upgrade_schema
from prepaid.store.schema import MONEY_COLUMNS
from tests.conftest import server_of
from tests.engines import SERVERS
from tests.faults.world import open_quickly
from tests.store.intruders import INTRUDERS, keep_copies, unlock
from tests.store.shops import shop_in
from tests.use_cases.refund_steps import checkout_id
from tests.use_cases.steps import (
    ADA,
    EVE,
    add_rule,
    charge,
    checkout_of,
    eur,
    give,
    live_in,
    operator,
    run,
    start,
    top_up,
)

SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
ON_SERVERS = pytest.mark.parametrize("engine", SERVERS, indirect=True)


@pytest.fixture(scope="module")
def engine(request, tmp_path_factory):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('tampering') / 'billing.db'}"
    else:
        url = server_of(request, request.param).new_database()
    upgrade_schema(url)
    engine = open_quickly(url)
    yield engine
    engine.dispose()


# One row changed by hand


class Books(NamedTuple):
    """Books, and a connection of somebody with the database's password, who can put them right again."""

    billing: Prepaid
    intruder: object

    @contextmanager
    def tampered(self, table, statement):
        assert self.intruder.execute(statement).rowcount == 1, statement
        self.intruder.commit()
        try:
            yield
        finally:
            self.intruder.execute(f"DELETE FROM prepaid_{table}")
            self.intruder.execute(f"INSERT INTO prepaid_{table} SELECT * FROM kept_{table}")
            self.intruder.commit()


def tell_a_story(shop):
    """Two customers, and a bit of everything that posts."""
    billing, provider, clock = shop
    top_up(billing, provider, "50.00")
    clock.advance(minutes=1)
    top_up(billing, provider, "20.00")
    give(billing, "5", kind="goodwill", key="sorry")
    give(billing, "3", key="welcome")
    charge(billing, "61.3", key="big", kind="instance")  # over several grants
    billing.usage.hold(ADA, eur("0.3"), key="kept", expires_in=timedelta(days=9))
    billing.usage.capture(billing.usage.hold(ADA, eur("2"), key="job", expires_in=timedelta(hours=1)).id, eur("1.5"))
    billing.usage.release(billing.usage.hold(ADA, eur("1"), key="off", expires_in=timedelta(hours=1)).id)
    charge(billing, "7", customer=EVE, key="debt", allow_negative=True)
    give(billing, "2", customer=EVE, key="part")
    top_up(billing, provider, "30.00", customer=EVE, key="eve")  # pays the rest of the debt
    top_up(billing, provider, "9.00", customer=EVE, currency="USD")
    began = clock.now()
    charge(billing, "0.5", key="disk", resource="disk-1", kind="volume", period=(began, began + timedelta(hours=1)))
    second_hour = (began + timedelta(hours=1), began + timedelta(hours=2))
    run(billing)
    run(billing, resource="vm-2", rate=Rate.hourly("0.0000004", "EUR"))
    run(billing, resource="vm-3", rate=Rate.hourly("0.00744", "EUR"))
    charge(billing, "0.2", key="own", resource="vm-3", period=second_hour)
    by_second = {"increment": "second", "monthly_cap": "1"}
    billing.meters.start(EVE, resource="vm-4", rate=Rate.hourly("0.36", "EUR", **by_second))
    brief = Rate.hourly("0.36", "EUR", increment="second", minimum_s=60)
    billing.meters.start(EVE, resource="vm-5", rate=brief)
    billing.meters.stop("vm-5", at=clock.advance(seconds=20))
    clock.advance(minutes=90)
    billing.meters.change("vm-4", rate=Rate.hourly("0.72", "EUR", **by_second))
    clock.advance(minutes=50)
    billing.meters.stop("vm-1")
    clock.advance(hours=3)
    billing.meters.bill()
    run(billing)  # a new count
    clock.advance(hours=4)
    parked = start(billing, "30.00")
    provider.pay(checkout_of(parked), amount=eur("1.00"))
    provider.dispute(checkout_of(parked))
    billing.customer(ADA).topups.confirm(parked.id)
    returned = start(billing, "32.00")
    provider.pay(checkout_of(returned), amount=eur("2.00"))
    billing.customer(ADA).topups.confirm(returned.id)
    operator(billing).topups.resolve(returned.id, action="refund", reason="not meant", key="back")
    tell_more(billing, provider, clock)


def tell_more(billing, provider, clock):
    fail(billing, provider)
    tell_of_credit(billing, clock)
    tell_of_taxes(billing, provider)
    tell_of_operators(billing, clock)
    tell_of_promotions(billing, provider, clock)
    tell_of_refunds(billing, provider, clock)
    start(billing, "40.00")
    billing.run_due()


def tell_of_refunds(billing, provider, clock):
    """Refunds in every state, made here and elsewhere, of top-ups and of a charge; disputes open, won and lost."""
    billing.customers.register("back", currency="EUR")
    live_in(billing, "FR", "back")
    bought = [top_up(billing, provider, "40.00", customer="back", code="SAVE10", key=f"back-{n}") for n in range(7)]
    used = billing.usage.charge("back", eur("3.3"), key="sorry", resource="vm-9")
    door, ops = billing.customer("back"), operator(billing)
    asked = {
        name: door.refunds.request(subject, eur(amount), reason="unused", key=name)
        for name, subject, amount in (
            ("done", bought[0].id, "10"),
            ("failed", bought[1].id, "11"),
            ("pending", bought[2].id, "12"),
            ("rejected", bought[3].id, "13"),
            ("charge", used.transaction_id, "1.1"),
        )
    }
    ops.refunds.reject(asked["rejected"].id, reason="no", note="Sorry.")
    provider.script_refund("succeeded", times=2)
    provider.script_refund("pending")
    for name in ("done", "failed", "pending", "charge"):
        ops.refunds.approve(asked[name].id, reason="fair")
    [came_back] = ops.topups.facts(bought[1].id).refunds
    provider.finish_refund(came_back.gateway_refund_id, succeed=False)
    provider.refund_at_provider(checkout_id(billing, bought[3]), eur("6"))
    ops.refunds.record(bought[3].id, eur("2"), reference="SEPA 1", reason="by bank")
    provider.fault_next("refund", "unavailable")
    ops.refunds.approve(door.refunds.request(bought[6].id, eur("14"), reason="unused", key="late").id, reason="fair")
    provider.refund_at_provider(checkout_id(billing, bought[6]))
    ops.topups.recheck(bought[6].id)
    clock.advance(minutes=1)
    billing.run_due(only="refunds")
    kept = provider.dispute(checkout_id(billing, bought[3]), amount=eur("5"))
    lost = provider.dispute(checkout_id(billing, bought[4]), amount=eur("30"))
    provider.dispute(checkout_id(billing, bought[5]))
    for topup in bought:
        ops.topups.recheck(topup.id)
    provider.win(kept)
    provider.lose(lost)
    for topup in bought:
        ops.topups.recheck(topup.id)
    door.refunds.request(bought[2].id, eur("1"), reason="more", key="waiting")


def tell_of_taxes(billing, provider):
    """A business whose tax id is not verified yet, so that its tax may have to be corrected."""
    billing.customers.register("firm", currency="EUR")
    add_rule(billing, "EU", (), customer="business", tax_id="valid", treatment="reverse_charge", priority=1)
    [register] = billing._context.registers
    register.down()
    address = Address(country="FR")
    billing.customer("firm").tax_profile.set(
        TaxProfile(kind="business", company="Firm", address=address, tax_id="FR40303265045")
    )
    top_up(billing, provider, "11.00", customer="firm")
    [waiting] = operator(billing).tax.corrections(state="waiting").items
    assert waiting.kind == "tax-to-return"


def tell_of_operators(billing, clock):
    """What operators decided: settings, rules, an exemption that was replaced and one that ended, digests."""
    ops = operator(billing, "carol")
    ops.settings.topup_limits(minimum=eur("1"), reason="too small")
    ops.settings.topup_limits(minimum=eur("2"), reason="still too small")
    ops.gateways.countries("simulated", ("DE", "FR", "US"))
    ops.tax.retire(add_rule(billing, "ES").id, reason="not sold there")
    ops.customers.exempt(EVE, reason="a charity", code="VATEX-EU-O")
    ops.customers.exempt(EVE, reason="an embassy")
    ops.customers.exempt("firm", reason="a mistake")
    ops.customers.end_exemption("firm", reason="it was")
    ops.digest.settings(email="cfo@nimbus.example")
    clock.advance(days=1)
    billing.run_due()


def tell_of_identity(billing, provider):
    """A payment that waited for a verification, one that waits, one that was taken back, one refused, one open."""
    held = {customer: start(billing, "33.00", customer=customer) for customer in (ADA, EVE)}
    identity = operator(billing).identity
    identity.policy(IdentityPolicy(before_first_topup=True))
    for customer, topup in held.items():
        provider.pay(checkout_of(topup))
        assert billing.customer(customer).topups.confirm(topup.id).failure == "identity-required"
    identity.approve(ADA, reason="seen", level=2)
    for customer in ("firm", EVE):
        billing.customer(customer).identity.start(return_url="https://panel.example/verified")
    identity.reject(EVE, reason="not them")
    billing.customer(EVE).identity.start(return_url="https://panel.example/verified")
    identity.approve("firm", reason="seen")
    identity.revoke("firm", reason="forged")


def fail(billing, provider):
    failed = start(billing, "31.00")
    provider.fail(checkout_of(failed))
    billing.customer(ADA).topups.confirm(failed.id)


def tell_of_promotions(billing, provider, clock):
    """One is redeemed, one is paid too late for it, one is reserved, and one pays for all of its top-up."""
    top_up(billing, provider, "20.00", customer=EVE, code="SAVE10", key="saved")
    operator(billing).promotions.create(Promotion("ONCE", (Bonus(Percent("5")), Discount(Percent("10"))), uses_total=1))
    late = start(billing, "33.00", customer=EVE, code="ONCE", key="late")
    provider.pay(checkout_of(late))
    clock.advance(minutes=60)
    start(billing, "12.00", code="ONCE", key="reserved")
    billing.customer(EVE).topups.confirm(late.id)
    start(billing, "11.00", customer=EVE, code="FREE", key="free")


def tell_of_vouchers(billing, clock):
    """Two vouchers of one batch were redeemed, one is open; of another batch one was ended and one is open."""
    create, month = operator(billing).vouchers.create, timedelta(days=30)
    first = create(eur("6.4"), count=3, expires_at=clock.now() + month, credit_valid_for=3 * month)
    second = create(eur("7"), count=2, prefix="SECOND")
    clock.advance(hours=1)
    billing.customer(ADA).vouchers.redeem(first[0].code)
    billing.customer(EVE).vouchers.redeem(first[1].code)
    operator(billing).vouchers.end(second[0].id, reason="lost")
    clock.advance(hours=1)


def tell_of_credit(billing, clock):
    """Credit that expired, begins later, began, was taken back; usage that was given back; levels that were told."""
    day, gift = timedelta(days=1), operator(billing).customers.grant
    terms = {"kind": "goodwill", "reason": "patience"}
    gift(ADA, eur("1.5"), key="short", expires_at=clock.now() + day, **terms)
    gift(ADA, eur("2"), key="later", effective_at=clock.now() + 300 * day, **terms)
    gift(ADA, eur("2.5"), key="begun", effective_at=clock.now() + day, priority=5, **terms)
    gift(ADA, eur("4"), key="partner", kind="external", system="acme", reason="a deal")
    gift(ADA, eur("3.5"), key="taken", **terms)
    gift(ADA, eur("3.7"), key="never", effective_at=clock.now() + 9 * day, **terms)
    for size in (eur("3.5"), eur("3.7")):
        [wanted] = [each for each in operator(billing).customers.grants(ADA, all=True) if each.size == size]
        operator(billing).customers.void_grant(wanted.id, reason="a mistake")
    hour = (clock.now(), clock.now() + timedelta(hours=1))
    wrong = charge(billing, "0.9", key="wrong", resource="disk-7", kind="volume", project="blue", period=hour)
    billing.usage.reverse(wrong.transaction_id, eur("0.4"), key="outage", reason="Outage")
    billing.usage.adjust(ADA, eur("0.1"), key="missed", period=hour, resource="disk-7")
    operator(billing).customers.overdraft(EVE, eur("3"), reason="trusted")
    operator(billing).settings.thresholds(Thresholds(low=eur("500")))
    charge(billing, "0.01", key="tells")
    tell_of_vouchers(billing, clock)
    clock.advance(days=2)
    billing.run_due()


@pytest.fixture(scope="module")
def books(engine, tmp_path_factory):
    shop = shop_in(engine, tmp_path_factory.mktemp("story"), "story")
    tell_a_story(shop)
    tell_of_identity(shop.billing, shop.provider)
    assert shop.billing.check().findings == ()
    dialect, url = engine.dialect.name, make_url(engine.url)
    with closing(INTRUDERS[dialect](url)) as intruder:
        unlock(intruder, dialect)
        keep_copies(intruder)
        yield Books(shop.billing, intruder)


BOOK = "(SELECT id FROM prepaid_book WHERE name = 'story')"


def one(table, where, *, pick="min(id)"):
    return f"(SELECT {pick} FROM prepaid_{table} WHERE book_id = {BOOK} AND {where})"


def account(kind, owner="", currency="EUR"):
    return one("account", f"kind = '{kind}' AND owner = '{owner}' AND currency = '{currency}'")


def change(table, values, key, *, column="id"):
    return table, f"UPDATE prepaid_{table} SET {values} WHERE {column} = {key} AND book_id = {BOOK}"


def remove(table, key, *, column="id"):
    return table, f"DELETE FROM prepaid_{table} WHERE {column} = {key} AND book_id = {BOOK}"


WALLET, EVES = account("wallet", ADA), account("wallet", EVE)
CREDITED = one("topup", f"state = 'credited' AND customer = '{ADA}'")
EVES_TOPUP = one("topup", f"state = 'credited' AND customer = '{EVE}' AND currency = 'EUR'")
PARKED, OPEN, FAILED = (one("topup", f"state = '{state}'") for state in ("review", "pending", "failed"))
RETURNED = one("topup", "state = 'refunded'")
PAID = one("grant", f"source_topup = {CREDITED}")
GIFT = one("grant", f"kind = 'goodwill' AND wallet_id = {WALLET}")
LEFT, SPENT = (one("grant", f"wallet_id = {WALLET} AND open = {flag}") for flag in (1, 0))
INDEBTED = one("grant", "kind = 'paid' AND debt_paid > 0")
NET, TAX = (
    one("transfer", f"cause_id = {CREDITED} AND {which}")
    for which in ("wallet_id IS NOT NULL", f"credit_id = {account('tax_payable')}")
)
PARKING = one("transfer", f"cause_id = {PARKED}")
CHARGE, LAST_PART = (one("transfer", "cause_id = 'big'", pick=f"{which}(id)") for which in ("min", "max"))
DEBT, DISK, OWN, SORRY, WELCOME = (
    one("transfer", f"cause_id = '{cause}'") for cause in ("debt", "disk", "own", "sorry", "welcome")
)
AN_HOUR = 3_600_000_000
HOUR = one("transfer", "cause_type = 'meter' AND cause_id = 'vm-1'")
STOPPED, RUNNING = (one("meter", f"resource = 'vm-1' AND {which}") for which in ("running IS NULL", "running = 'vm-1'"))
CHEAP, SHARED, CAPPED, BRIEF = (one("meter", f"resource = 'vm-{number}'") for number in (2, 3, 4, 5))
CHANGE_OF_RATE = one("meter_segment", f"meter_id = {CAPPED}", pick="max(starts_at)")
GIFTS = {
    name: one("grant", f"wallet_id = {WALLET} AND size = {units}")
    for name, units in {
        "short": 1_500_000,
        "later": 2_000_000,
        "begun": 2_500_000,
        "partner": 4_000_000,
        "taken": 3_500_000,
        "never": 3_700_000,
    }.items()
}
EXPIRY, VOID, REVERSAL, CAPTURE = (
    one("transfer", which)
    for which in (
        "kind = 'expiry'",
        "cause_type = 'grant' AND kind = 'adjustment'",
        "kind = 'reversal'",
        "cause_type = 'hold'",
    )
)
ADAS_VOUCHER, EVES_VOUCHER = (one("voucher", f"redeemed_by = '{customer}'") for customer in (ADA, EVE))
OPEN_VOUCHER = one("voucher", "amount = 6400000 AND redeemed_by IS NULL")
ENDED_VOUCHER = one("voucher", "ended_at IS NOT NULL")
VOUCHED, EVES_VOUCHED = (one("transfer", f"kind = 'voucher' AND wallet_id = {wallet}") for wallet in (WALLET, EVES))
VOUCHER_GRANT = one("grant", f"size = 6400000 AND wallet_id = {WALLET}")
KEPT, CAPTURED = (one("hold", f"state = '{state}'") for state in ("open", "captured"))
INVOICE = one("invoice", f"topup_id = {CREDITED}")
LAST_INVOICE = one("invoice", "kind = 'invoice'", pick="max(id)")
SEEN, OPENED, REFUSED, FORGED = (
    one("identity_case", f"customer = '{customer}' AND state = '{state}'")
    for customer, state in ((ADA, "verified"), (EVE, "pending"), (EVE, "rejected"), ("firm", "verified"))
)
RELEASED = one("topup", "resolved LIKE '%identity_met%'")
MET = one("audit", "action = 'identity-met'")
CORRECTION = one("tax_correction", "state = 'waiting'")
SAVE10, ONCE = (one("promotion", f"code = '{code}'") for code in ("save10", "once"))
REDEEMED, RESERVED, LOST = (
    one("redemption", f"state = '{state}' AND code {which}")
    for state, which in (("redeemed", "= 'SAVE10'"), ("reserved", "= 'ONCE'"), ("lost", "= 'ONCE'"))
)
DONE, CAME_BACK, ON_ITS_WAY = (
    one("refund", f"origin = 'request' AND state = {which}")
    for which in ("'succeeded'", "'failed' AND settled_at IS NOT NULL", "'pending'")
)
AT_GATEWAY, OUTSIDE = (one("refund", f"origin = '{origin}' AND turn = 0") for origin in ("gateway", "outside"))
TAKEN_AGAIN = one("refund", "turn = 1")
ASKED, REJECTED, REFUNDED_CHARGE, WAITING_REQUEST = (
    one("refund_request", which)
    for which in (f"refund_id = {DONE}", "state = 'rejected'", "kind = 'charge'", "state = 'requested'")
)
LOST_DISPUTE, OPEN_DISPUTE, WON_DISPUTE = (
    one("dispute", f"booked = '{booked}'") for booked in ("lost", "withdrawn", "won")
)
FIRST_TAKEN = one(
    "transfer", f"cause_id = {TAKEN_AGAIN} AND kind = 'refund-reversal' AND debit_id = {account('refunds_in_transit')}"
)
FIRST_AGAIN = one("invoice", f"kind = 'invoice' AND cause_id = {TAKEN_AGAIN}")
DISPUTED = one("hold", "dispute_id IS NOT NULL AND state = 'open'")
NOTE = one("invoice", f"kind = 'credit-note' AND cause_id = {DONE}")
AGAIN = one("invoice", f"kind = 'invoice' AND cause_id = {CAME_BACK}")
TAKEN, SETTLED_NET, CLAWED = (
    one("transfer", f"cause_id = {DONE} AND {which}")
    for which in (
        "kind = 'refund' AND wallet_id IS NOT NULL",
        f"kind = 'refund' AND debit_id = {account('refunds_in_transit')}",
        "kind = 'clawback'",
    )
)
LOST_NET = one("transfer", f"cause_id = {LOST_DISPUTE} AND kind = 'dispute' AND wallet_id IS NOT NULL")
OF_ADA = one("promotion_customer", f"customer = '{ADA}'", pick="min(promotion_id)")
SORT = "day || currency || debit_kind || debit_owner || credit_kind || credit_owner || kind"
CHARGED, BOUGHT = (one("rollup_day", f"kind = '{kind}'", pick=f"min({SORT})") for kind in ("charge", "topup"))
RETIRED, ADDED = (
    one("tax_rule", f"retired_at IS {which} NULL AND country = '{country}'")
    for which, country in (("NOT", "ES"), ("", "FR"))
)
RULED, GONE = (one("audit", f"action = 'tax-rule-{act}' AND target = {RETIRED}") for act in ("add", "retire"))
EMBASSY, CHARITY = (one("tax_approval", f"reason = '{reason}'") for reason in ("an embassy", "a charity"))
EXEMPTED, ENDED = (one("audit", f"{which}") for which in ("reason = 'an embassy'", "action = 'tax-exemption-end'"))
FIRST_LIMIT, LAST_LIMIT = (one("audit", "target = 'topup-limits'", pick=f"{which}(id)") for which in ("min", "max"))
GATEWAYS = one("audit", "target = 'gateways'")
RESOLVING = one("audit", "action = 'resolve-refund'")
DIGESTED = one("digest", "day > '2026'", pick="max(id)")
DIGEST_DAY = one("digest", f"id = {DIGESTED}", pick="day")
BIG = 2**63 - 1


def _key(prefix, about):
    """Give the key of an event about a row."""
    return f"('{prefix}' || {about})"


TAMPERED = {
    # Wallets and system accounts
    "balance raised": ("L2", change("account", "balance = balance + 1", WALLET)),
    "balance of an unknown size": ("L2", change("account", f"balance = {BIG}", WALLET)),
    "sequence set back": ("L2", change("account", "seq = seq - 1", WALLET)),
    "credit held without a hold": ("L4", change("account", "held = 1", WALLET)),
    "credit of a system account": ("L4", change("account", "balance = 5", account("revenue"))),
    "floor above zero": ("L4", change("account", "floor = 1", WALLET)),
    "wallet handed to nobody": ("L5", change("account", "owner = 'nobody'", WALLET)),
    "wallet made a system account": ("L1", change("account", "kind = 'rounding'", WALLET)),
    "system account of no kind": ("L4", change("account", "kind = 'slush'", account("revenue"))),
    "system account made another": ("L8", change("account", "kind = 'disputes'", account("revenue"))),
    "clearing of another gateway": ("L8", change("account", "owner = 'other'", account("clearing", "simulated"))),
    "wallet that vanished": ("L1", remove("account", EVES)),
    # Transfers
    "amount lowered": ("L2", change("transfer", "amount = amount - 1", CHARGE)),
    "amount below zero": ("L1", change("transfer", "amount = -amount", CHARGE)),
    "amount too large to add": ("L2", change("transfer", f"amount = {BIG}", CHARGE)),
    "amount of a gift too large to add": ("L3", change("transfer", f"amount = {BIG}", SORRY)),
    "amount of tax raised": ("B1", change("transfer", "amount = amount + 1", TAX)),
    "amount parked raised": ("B1", change("transfer", "amount = amount + 1", PARKING)),
    "charge that vanished": ("L2", remove("transfer", CHARGE)),
    "tax that vanished": ("B1", remove("transfer", TAX)),
    "parking that vanished": ("B1", remove("transfer", PARKING)),
    "charge turned round": ("L8", change("transfer", "debit_id = credit_id, credit_id = debit_id", CHARGE)),
    "charge paid to promotion": ("L8", change("transfer", f"credit_id = {account('promotion')}", CHARGE)),
    "tax paid to revenue": ("L8", change("transfer", f"credit_id = {account('revenue')}", TAX)),
    "tax paid to suspense": ("L8", change("transfer", f"credit_id = {account('suspense')}", TAX)),
    "credit out of suspense": ("L8", change("transfer", f"debit_id = {account('suspense')}", NET)),
    "credit out of promotion": ("B1", change("transfer", f"debit_id = {account('promotion')}", NET)),
    "goodwill out of promotion": ("L8", change("transfer", f"debit_id = {account('promotion')}", SORRY)),
    "promotion out of goodwill": ("L8", change("transfer", f"debit_id = {account('goodwill')}", WELCOME)),
    "parked money made tax": ("L8", change("transfer", f"credit_id = {account('tax_payable')}", PARKING)),
    "credit given to another wallet": ("L1", change("transfer", f"credit_id = {EVES}", NET)),
    "charge of another wallet": (
        "L2",
        change("transfer", f"debit_id = {EVES}, wallet_id = {EVES}, wallet_seq = 900", CHARGE),
    ),
    "charge of another currency": ("L1", change("transfer", "currency = 'USD'", CHARGE)),
    "charge out of its chain": ("L1", change("transfer", "wallet_after = NULL", CHARGE)),
    "charge without a wallet": (
        "L1",
        change("transfer", "wallet_id = NULL, wallet_seq = NULL, wallet_after = NULL", CHARGE),
    ),
    "balance after it raised": ("L2", change("transfer", "wallet_after = wallet_after + 1", CHARGE)),
    "place in the chain changed": ("L2", change("transfer", "wallet_seq = 900", CHARGE)),
    "charge called a topup": ("L8", change("transfer", "kind = 'topup'", DEBT)),
    "charge called an adjustment": ("L5", change("transfer", "kind = 'adjustment'", DEBT)),
    "gift called a bonus": ("L8", change("transfer", "kind = 'bonus'", SORRY)),
    "tax called a bonus": ("L8", change("transfer", "kind = 'bonus'", TAX)),
    "charge said to be metered": ("L5", change("transfer", "cause_type = 'meter'", DISK)),
    "hour said to be charged by the host": ("L5", change("transfer", "cause_type = 'usage'", HOUR)),
    "charge of another cause": ("L5", change("transfer", "cause_id = 'else'", DEBT)),
    "tax of another top-up": ("L8", change("transfer", f"cause_id = {EVES_TOPUP}", TAX)),
    "tax of no top-up": ("L8", change("transfer", "cause_id = 'top_none'", TAX)),
    "parked money of another top-up": ("L8", change("transfer", f"cause_id = {OPEN}", PARKING)),
    "top-up by another actor": ("L8", change("transfer", "actor = 'gateway:other'", PARKING)),
    "part by another actor": ("L5", change("transfer", "actor = 'nobody'", LAST_PART)),
    "part posted at another time": ("L5", change("transfer", "posted_at = posted_at + 1", LAST_PART)),
    "part with a label": ("L5", change("transfer", "resource = 'disk-1'", LAST_PART)),
    "part of another transaction": ("L5", change("transfer", "transaction_id = 'txn_x'", LAST_PART)),
    "transaction of two keys": (
        "L5",
        change("transfer", f"transaction_id = {one('transfer', f'id = {DISK}', pick='transaction_id')}", DEBT),
    ),
    "first part missing": ("L5", change("transfer", "part = 1", DEBT)),
    "part far away": ("L5", change("transfer", "part = 7", LAST_PART)),
    "key of somebody else": ("L5", change("transfer", f"key_hash = '{'a' * 32}'", DEBT)),
    "fingerprint changed": ("L5", change("transfer", f"fingerprint = '{'a' * 32}'", DEBT)),
    "fingerprint of parked money changed": ("L5", change("transfer", f"fingerprint = '{'a' * 32}'", PARKING)),
    "resource changed": ("B3", change("transfer", "resource = 'disk-2'", DISK)),
    "kind of resource changed": ("L5", change("transfer", "resource_kind = 'gold'", DISK)),
    "period moved": ("B3", change("transfer", "period_start = period_start - 3600000000", DISK)),
    "period made longer": ("B3", change("transfer", "period_end = period_end + 1", DISK)),
    "period open to a second charge": ("B3", change("transfer", "charge_period_key = NULL", DISK)),
    "period of another charge": ("B3", change("transfer", f"charge_period_key = '{'a' * 32}'", DEBT)),
    "period without a start": ("B3", change("transfer", "period_start = NULL", OWN)),
    "effect dated back": ("B3", change("transfer", "effective_at = effective_at - 3600000000", HOUR)),
    # Grants
    "grant burned instead of another": ("L3", change("transfer", f"grant_id = {PAID}", CHARGE)),
    "grant of another wallet burned": ("L3", change("transfer", f"grant_id = {INDEBTED}", CHARGE)),
    "charge without its grant": ("L3", change("transfer", "grant_id = NULL", CHARGE)),
    "debt said to be granted": ("L3", change("transfer", f"grant_id = {INDEBTED}", DEBT)),
    "grant of no credit": ("L3", change("transfer", "grant_id = 'grt_none'", CHARGE)),
    "grant of no wallet": ("L3", change("grant", f"wallet_id = {account('revenue')}", GIFT)),
    "grant moved to another wallet": ("L3", change("grant", f"wallet_id = {EVES}", GIFT)),
    "grant made larger": ("L3", change("grant", "size = size + 1, remaining = remaining + 1, open = 1", PAID)),
    "grant with more left": ("L3", change("grant", "remaining = remaining + 1", PAID)),
    "grant closed": ("L3", change("grant", "open = 0", LEFT)),
    "grant emptied": ("L3", change("grant", "remaining = 0, open = 0", LEFT)),
    "grant opened again": ("L3", change("grant", "open = 1", SPENT)),
    "grant too large to add": ("L3", change("grant", f"size = {BIG}", PAID)),
    "grant that vanished": ("L3", remove("grant", PAID)),
    "debt forgotten": ("L3", change("grant", "debt_paid = 0", INDEBTED)),
    "debt made credit": ("L3", change("grant", "debt_paid = 0, remaining = remaining + debt_paid", INDEBTED)),
    "debt of a gift": ("L3", change("grant", "debt_paid = 1", GIFT)),
    "gift made refundable": ("L3", change("grant", "kind = 'paid'", GIFT)),
    "paid credit made a gift": ("L3", change("grant", "kind = 'goodwill'", PAID)),
    "gift of a top-up": ("L3", change("grant", f"source_topup = {CREDITED}", GIFT)),
    "paid credit of another top-up": ("L3", change("grant", f"source_topup = {EVES_TOPUP}", PAID)),
    "paid credit of no top-up": ("L3", change("grant", "source_topup = NULL", PAID)),
    "price of a grant raised": ("L3", change("grant", "cost_net_minor = cost_net_minor + 1", PAID)),
    "tax of a grant raised": ("L3", change("grant", "cost_tax_minor = cost_tax_minor + 1", PAID)),
    "gift with a price": ("L3", change("grant", "cost_net_minor = 500", GIFT)),
    # Top-ups and payments
    "order with more credit": ("B1", change("topup", "credit = credit + 10000", CREDITED)),
    "order with more net": ("B1", change("topup", "net = net + 10000, total = total + 10000", CREDITED)),
    "order with net for tax": ("B1", change("topup", "net = net + 10000, tax = tax - 10000", CREDITED)),
    "order with a bonus": ("L8", change("topup", "bonus = 10000", CREDITED)),
    "order with a discount": ("B1", change("topup", "discount = 10000", CREDITED)),
    "order below zero": ("B1", change("topup", "net = -net", CREDITED)),
    "open order with a smaller price": (
        "B1",
        change("topup", "net = net - 10000, total = total - 10000, credit = credit - 10000", OPEN),
    ),
    "open order at another gateway": ("L5", change("topup", "gateway = 'other'", OPEN)),
    "order of another fingerprint": ("L5", change("topup", f"fingerprint = '{'a' * 32}'", OPEN)),
    "order in another currency": ("B1", change("topup", "currency = 'USD'", CREDITED)),
    "order in no currency": ("B1", change("topup", "currency = 'XXX'", CREDITED)),
    "order of another customer": ("L8", change("topup", f"customer = '{EVE}'", CREDITED)),
    "order at another gateway": ("B1", change("topup", "gateway = 'other'", CREDITED)),
    "order without a decision": ("B1", change("topup", "decision = '{}'", CREDITED)),
    "order with a damaged decision": ("B1", change("topup", "decision = '{\"net\": ['", CREDITED)),
    "order decided otherwise": ("B5", change("topup", "decision = replace(decision, 'TVA', 'VAT')", CREDITED)),
    "order that vanished": ("B1", remove("topup", CREDITED)),
    "order of another invoice": ("B5", change("topup", f"invoice_id = {LAST_INVOICE}", CREDITED)),
    "order without its invoice": ("B5", change("topup", "invoice_id = NULL", CREDITED)),
    "order never settled": ("B6", change("topup", "settled_at = NULL", CREDITED)),
    "open order credited": ("B1", change("topup", "state = 'credited'", OPEN)),
    "failed order credited": ("B1", change("topup", "state = 'credited'", FAILED)),
    "parked order credited": ("B1", change("topup", "state = 'credited'", PARKED)),
    "parked order refunded": ("B1", change("topup", "state = 'refunded'", PARKED)),
    "credited order parked": ("B1", change("topup", "state = 'review'", CREDITED)),
    "credited order failed": ("B1", change("topup", "state = 'failed'", CREDITED)),
    "failed order expired": ("B9", change("topup", "state = 'expired'", FAILED)),
    "order in no state": ("B6", change("topup", "state = 'paid'", OPEN)),
    "payment that vanished": ("B1", remove("payment", CREDITED, column="topup_id")),
    "refunded order parked": ("B6", change("topup", "state = 'review'", RETURNED)),
    "refund of another payment": ("B2", change("refund", "payment_id = 'pay_x'", RETURNED, column="topup_id")),
    "refund that waits again": ("B7", change("refund", "state = 'pending'", RETURNED, column="topup_id")),
    "refund without an end": ("B7", change("refund", "settled_at = NULL", RETURNED, column="topup_id")),
    "refund that vanished": ("L8", remove("refund", RETURNED, column="topup_id")),
    "dispute of another payment": ("B2", change("dispute", "payment_id = 'pay_x'", PARKED, column="topup_id")),
    "parked payment that vanished": ("B1", remove("payment", PARKED, column="topup_id")),
    "payment lowered": ("B1", change("payment", "captured = captured - 1", CREDITED, column="topup_id")),
    "parked payment lowered": ("B1", change("payment", "captured = captured - 1", PARKED, column="topup_id")),
    "payment in another currency": ("B1", change("payment", "currency = 'USD'", CREDITED, column="topup_id")),
    "parked payment in another currency": ("L8", change("payment", "currency = 'USD'", PARKED, column="topup_id")),
    "payment at another gateway": ("B1", change("payment", "gateway = 'other'", CREDITED, column="topup_id")),
    "parked payment at another gateway": ("B1", change("payment", "gateway = 'other'", PARKED, column="topup_id")),
    "payment of another id": ("B5", change("payment", "payment_id = 'pay_x'", CREDITED, column="topup_id")),
    "payment said to be parked": ("B1", change("payment", "posted_as = 'suspense'", CREDITED, column="topup_id")),
    "parked payment said to be credited": (
        "B1",
        change("payment", "posted_as = 'credited'", PARKED, column="topup_id"),
    ),
    "payment of another order": ("B1", change("payment", f"topup_id = {OPEN}", CREDITED, column="topup_id")),
    # Outbox
    "credit not told": ("B9", remove("outbox", f"'topup-credited/' || {CREDITED}", column="dedupe_key")),
    "review not told": ("B9", remove("outbox", f"'topup-review/' || {PARKED}", column="dedupe_key")),
    "failure not told": ("B9", remove("outbox", f"'topup-failed/' || {FAILED} || '/failed'", column="dedupe_key")),
    "invoice not told": ("B9", remove("outbox", f"'invoice-issued/' || {INVOICE}", column="dedupe_key")),
    "credit told as something else": (
        "B9",
        change("outbox", "topic = 'mail'", f"'topup-credited/' || {CREDITED}", column="dedupe_key"),
    ),
    # Meters
    "hours forgotten": ("B3", change("meter", f"billed_until = billed_until - {AN_HOUR}", STOPPED)),
    "hours added": ("B3", change("meter", f"billed_until = billed_until + {AN_HOUR}", STOPPED)),
    "hours of a running meter forgotten": ("B3", change("meter", f"billed_until = billed_until - {AN_HOUR}", RUNNING)),
    "hours of a running meter added": ("B3", change("meter", f"billed_until = billed_until + {AN_HOUR}", RUNNING)),
    "free hours added": ("B3", change("meter", f"billed_until = billed_until + {AN_HOUR}", CHEAP)),
    "hours shared with the host forgotten": (
        "B3",
        change("meter", f"billed_until = billed_until - {AN_HOUR}", SHARED),
    ),
    "hours free by the cap added": ("B3", change("meter", f"billed_until = billed_until + {AN_HOUR}", CAPPED)),
    "part of an hour counted": ("B3", change("meter", "billed_until = billed_until + 1", CHEAP)),
    "hours below zero": ("B3", change("meter", f"billed_until = started_at - {AN_HOUR}", STOPPED)),
    "hours of a thousand years": ("B3", change("meter", f"billed_until = started_at + {AN_HOUR} * 8766000", STOPPED)),
    "hours without end": ("B3", change("meter", f"billed_until = {BIG}", STOPPED)),
    "hours before time": ("B3", change("meter", f"started_at = {-BIG}, billed_until = {-BIG} + {AN_HOUR}", CHEAP)),
    "part of a unit forgotten": ("B3", change("meter", "residue = residue - 1", CHEAP)),
    "cost of the month forgotten": ("B3", change("meter", "month_cost = '0'", CAPPED)),
    "cost of the month made unreadable": ("B3", change("meter", "month_cost = 'much'", CAPPED)),
    "cost of another month": ("B3", change("meter", "month = '2026-10'", CAPPED)),
    "meter that never falls due": ("B3", change("meter", "due_at = NULL", RUNNING)),
    "meter that is not looked for": ("B3", change("meter", "open = 0", RUNNING)),
    "meter that falls due later": ("B3", change("meter", "due_at = due_at + 3600000000", RUNNING)),
    "meter stopped without a stop": ("B3", change("meter", "running = NULL", RUNNING)),
    "meter that never stopped": ("B3", change("meter", "stopped_at = NULL", STOPPED)),
    "meter begun earlier": ("B3", change("meter", "started_at = started_at - 3600000000", STOPPED)),
    "meter begun in the last one's hours": (
        "B3",
        change("meter", f"started_at = {one('meter', f'id = {STOPPED}', pick='started_at + 3600000000')}", RUNNING),
    ),
    "meter of another customer": ("B3", change("meter", f"customer = '{EVE}'", STOPPED)),
    "meter of another resource": ("B3", change("meter", "resource = 'vm-9'", STOPPED)),
    "meter in another currency": ("B3", change("meter", "currency = 'USD'", STOPPED)),
    "meter that vanished": ("B3", remove("meter", STOPPED)),
    "cheaper rate": ("B3", change("meter_segment", "rate = '0.009'", STOPPED, column="meter_id")),
    "rate that is none": ("B3", change("meter_segment", "rate = 'much'", STOPPED, column="meter_id")),
    "rate of another time": ("B3", change("meter_segment", "starts_at = starts_at + 1", STOPPED, column="meter_id")),
    "rate that vanished": ("B3", remove("meter_segment", STOPPED, column="meter_id")),
    "rate raised later": ("B3", change("meter_segment", "rate = '0.73'", CHANGE_OF_RATE, column="starts_at")),
    "change of rate moved": (
        "B3",
        change("meter_segment", "starts_at = starts_at + 1000000", CHANGE_OF_RATE, column="starts_at"),
    ),
    "change of rate ended": (
        "B3",
        change("meter_segment", "ends_at = starts_at + 1", CHANGE_OF_RATE, column="starts_at"),
    ),
    "change of rate that vanished": ("B3", remove("meter_segment", CHANGE_OF_RATE, column="starts_at")),
    "rate before it, not ended": (
        "B3",
        change("meter_segment", "ends_at = NULL", CHANGE_OF_RATE, column="ends_at"),
    ),
    "cap raised": ("B3", change("meter_segment", "monthly_cap = '2'", CHANGE_OF_RATE, column="starts_at")),
    "cap that is none": ("B3", change("meter_segment", "monthly_cap = '-2'", CHANGE_OF_RATE, column="starts_at")),
    "cap removed": ("B3", change("meter_segment", "monthly_cap = NULL", CHANGE_OF_RATE, column="starts_at")),
    "seconds made hours": ("B3", change("meter_segment", "increment = 'hour'", BRIEF, column="meter_id")),
    "seconds made minutes": ("B3", change("meter_segment", "increment = 'minute'", BRIEF, column="meter_id")),
    "increment changed on the way": (
        "B3",
        change("meter_segment", "increment = 'hour'", CHANGE_OF_RATE, column="starts_at"),
    ),
    "minimum lowered": ("B3", change("meter_segment", "minimum_s = 59", BRIEF, column="meter_id")),
    "stop moved": ("B3", change("meter", "stopped_at = stopped_at - 1", BRIEF)),
    "end moved": ("B3", change("meter_segment", "ends_at = ends_at + 1", BRIEF, column="meter_id")),
    "segment of another meter": (
        "B3",
        change("meter_segment", f"meter_id = {RUNNING}", CHANGE_OF_RATE, column="starts_at"),
    ),
    "hour charged before it ended": ("B3", change("transfer", "posted_at = effective_at - 1", HOUR)),
    "hour charged dearer": ("B3", change("transfer", "amount = amount + 1", HOUR)),
    "hour not charged": ("B3", remove("transfer", HOUR)),
    "hour the host did not charge": ("B3", remove("transfer", OWN)),
    # Grants by their terms
    "gift larger than given": ("L5", change("grant", "size = size + 1", GIFTS["later"])),
    "waiting gift of another key": ("L5", change("grant", f"key_hash = '{'a' * 32}'", GIFTS["later"])),
    "waiting gift made larger": (
        "L5",
        change("grant", "size = size * 2, remaining = remaining * 2", GIFTS["later"]),
    ),
    "waiting gift begun early": ("L3", change("grant", "effective_at = effective_at - 1", GIFTS["begun"])),
    "waiting gift with other words": (
        "L5",
        change("grant", "posting = replace(posting, 'goodwill', 'external')", GIFTS["later"]),
    ),
    "posting of a begun gift rewritten": (
        "L3",
        change("grant", "posting = replace(posting, 'patience', 'pity')", GIFTS["begun"]),
    ),
    "posting that is none": ("L5", change("grant", "posting = 'x'", GIFTS["begun"])),
    "waiting gift opened by hand": ("L3", change("grant", "open = 1", GIFTS["later"])),
    "waiting gift ended by hand": ("L3", change("grant", "open = 0, remaining = 0", GIFTS["later"])),
    "waiting gift that vanished": ("L5", remove("grant", GIFTS["later"])),
    "waiting gift partly spent": ("L3", change("grant", "remaining = remaining - 1", GIFTS["later"])),
    "priority other than given": ("L3", change("grant", "priority = 7", GIFTS["begun"])),
    "gift that was never taxed": ("L3", change("grant", "tax_state = 'untaxed'", GIFTS["begun"])),
    "notice at another time": ("L3", change("grant", "notice_at = 5", GIFTS["short"])),
    "grant that expires before it begins": ("L3", change("grant", "expires_at = effective_at", GIFTS["begun"])),
    "grant that lapses unseen": ("L4", change("grant", "expires_at = effective_at + 1", GIFTS["partner"])),
    "gift with a source": ("L3", change("grant", f"source_topup = {CREDITED}", GIFTS["begun"])),
    "gift without a key": ("L3", change("grant", "key_hash = NULL", GIFTS["begun"])),
    # Expiries, voids, reversals, captures
    "expiry of another grant": ("L3", change("transfer", f"cause_id = {GIFTS['begun']}", EXPIRY)),
    "expiry by an operator": ("L5", change("transfer", "actor = 'alice'", EXPIRY)),
    "expiry at another time": ("B3", change("transfer", "effective_at = effective_at - 1", EXPIRY)),
    "expiry of less": ("L2", change("transfer", "amount = amount - 1", EXPIRY)),
    "expiry that vanished": ("L2", remove("transfer", EXPIRY)),
    "void back to promotion": ("L8", change("transfer", f"credit_id = {account('promotion')}", VOID)),
    "void of another grant": ("L3", change("transfer", f"grant_id = {GIFTS['begun']}", VOID)),
    "void by nobody": ("L5", change("transfer", "actor = ''", VOID)),
    "more given back than taken": ("L3", change("transfer", "amount = amount * 3", REVERSAL)),
    "given back to another grant": ("L3", change("transfer", f"grant_id = {GIFTS['partner']}", REVERSAL)),
    "reversal of another charge": (
        "L5",
        change("transfer", f"reverses = {one('transfer', f'id = {DEBT}', pick='transaction_id')}", REVERSAL),
    ),
    "reversal of nothing": ("L5", change("transfer", "reverses = NULL", REVERSAL)),
    "charge that gives something back": ("L5", change("transfer", "reverses = 'txn_x'", DEBT)),
    "reversal in another project": ("L5", change("transfer", "project = 'red'", REVERSAL)),
    "reversal in another period": ("L5", change("transfer", "effective_at = effective_at + 1", REVERSAL)),
    "capture of another hold": ("L5", change("transfer", f"cause_id = {KEPT}", CAPTURE)),
    "capture with another label": ("L4", change("transfer", "resource = 'vm-1'", CAPTURE)),
    "capture by another actor": ("L5", change("transfer", "actor = 'alice'", CAPTURE)),
    "hold that was larger": ("L5", change("hold", "amount = amount + 1", CAPTURED)),
    "hold captured for less": ("L4", change("hold", "captured = captured - 1", CAPTURED)),
    "hold that forgot its capture": ("L4", change("hold", "transaction_id = NULL", CAPTURED)),
    "hold opened again": ("L4", change("hold", "state = 'open', closed_at = NULL", CAPTURED)),
    "hold in a state of no list": ("L4", change("hold", "state = 'lost'", KEPT)),
    "hold closed by hand": ("L4", change("hold", "state = 'released'", KEPT)),
    "hold of another wallet": ("L4", change("hold", f"wallet_id = {EVES}", KEPT)),
    "hold that lapses unseen": ("L4", change("hold", "expires_at = created_at + 1", KEPT)),
    "hold for something else": (
        "L5",
        change("hold", 'label = replace(label, \'"resource":"\', \'"resource":"x\')', KEPT),
    ),
    "hold that vanished": ("L4", remove("hold", KEPT)),
    "captured hold that vanished": ("L4", remove("hold", CAPTURED)),
    # Vouchers and what they posted
    "redeemed voucher of more": ("B4", change("voucher", "amount = amount + 1", ADAS_VOUCHER)),
    "redeemed voucher of another currency": ("B4", change("voucher", "currency = 'USD'", ADAS_VOUCHER)),
    "voucher redeemed by somebody else": ("B4", change("voucher", f"redeemed_by = '{EVE}'", ADAS_VOUCHER)),
    "voucher redeemed at another time": ("B4", change("voucher", "redeemed_at = redeemed_at - 1", ADAS_VOUCHER)),
    "voucher redeemed too late": ("B4", change("voucher", "expires_at = redeemed_at", ADAS_VOUCHER)),
    "voucher of another transaction": (
        "B4",
        change(
            "voucher",
            f"transaction_id = {one('transfer', f'id = {EVES_VOUCHED}', pick='transaction_id')}",
            ADAS_VOUCHER,
        ),
    ),
    "voucher of no transaction": ("B4", change("voucher", "transaction_id = 'txn_none'", ADAS_VOUCHER)),
    "voucher that forgot its transaction": ("B4", change("voucher", "transaction_id = NULL", ADAS_VOUCHER)),
    "voucher that forgot when": ("B4", change("voucher", "redeemed_at = NULL", ADAS_VOUCHER)),
    "voucher that forgot whose": ("B4", change("voucher", "redeemed_by = NULL", ADAS_VOUCHER)),
    "voucher put back": (
        "B4",
        change("voucher", "redeemed_by = NULL, redeemed_at = NULL, transaction_id = NULL", ADAS_VOUCHER),
    ),
    "redeemed voucher ended": ("B4", change("voucher", "ended_at = redeemed_at", ADAS_VOUCHER)),
    "redeemed voucher of longer credit": ("L5", change("voucher", "credit_valid_s = credit_valid_s + 1", ADAS_VOUCHER)),
    "redeemed voucher of credit for ever": ("L3", change("voucher", "credit_valid_s = NULL", ADAS_VOUCHER)),
    "redeemed voucher that vanished": ("B4", remove("voucher", ADAS_VOUCHER)),
    "open voucher of more": ("B4", change("voucher", "amount = amount * 100", OPEN_VOUCHER)),
    "open voucher of another currency": ("B4", change("voucher", "currency = 'JPY'", OPEN_VOUCHER)),
    "open voucher that lasts longer": ("B4", change("voucher", "expires_at = expires_at + 1", OPEN_VOUCHER)),
    "open voucher without an end": ("B4", change("voucher", "expires_at = NULL", OPEN_VOUCHER)),
    "open voucher of longer credit": ("B4", change("voucher", "credit_valid_s = NULL", OPEN_VOUCHER)),
    "open voucher by another operator": ("B4", change("voucher", "actor = 'mallory'", OPEN_VOUCHER)),
    "open voucher made before": ("B4", change("voucher", "created_at = created_at - 1", OPEN_VOUCHER)),
    "open voucher of another batch": (
        "B4",
        change("voucher", f"batch = {one('voucher', f'id = {ENDED_VOUCHER}', pick='batch')}", OPEN_VOUCHER),
    ),
    "open voucher of a batch of its own": ("B4", change("voucher", "batch = 'bat_forged'", OPEN_VOUCHER)),
    "open voucher ended by nobody": ("B4", change("voucher", "ended_at = created_at + 1", OPEN_VOUCHER)),
    "open voucher said to be redeemed": (
        "B4",
        change("voucher", f"redeemed_by = '{ADA}', redeemed_at = created_at, transaction_id = 'txn_x'", OPEN_VOUCHER),
    ),
    "open voucher that vanished": ("B4", remove("voucher", OPEN_VOUCHER)),
    "ended voucher opened again": ("B4", change("voucher", "ended_at = NULL", ENDED_VOUCHER)),
    "voucher of another id": ("B4", change("voucher", "id = 'vou_x'", ADAS_VOUCHER)),
    "credit of a voucher out of goodwill": ("L8", change("transfer", f"debit_id = {account('goodwill')}", VOUCHED)),
    "credit of a voucher called goodwill": ("L8", change("transfer", "kind = 'goodwill'", VOUCHED)),
    "credit of a voucher called an operator's": ("B4", change("transfer", "cause_type = 'operator'", VOUCHED)),
    "credit of another voucher": ("B4", change("transfer", f"cause_id = {EVES_VOUCHER}", VOUCHED)),
    "credit of an open voucher": ("B4", change("transfer", f"cause_id = {OPEN_VOUCHER}", VOUCHED)),
    "credit of no voucher": ("B4", change("transfer", "cause_id = 'vou_none'", VOUCHED)),
    "credit of a voucher by another actor": ("B4", change("transfer", "actor = 'customer:eve'", VOUCHED)),
    "credit of a voucher under another key": ("L5", change("transfer", f"key_hash = '{'f' * 32}'", VOUCHED)),
    "credit of a voucher for something else": ("L5", change("transfer", f"fingerprint = '{'f' * 32}'", VOUCHED)),
    "credit of a voucher at another time": ("B4", change("transfer", "posted_at = posted_at + 1", VOUCHED)),
    "credit of a voucher from another time": ("B4", change("transfer", "effective_at = effective_at - 1", VOUCHED)),
    "credit of a voucher in another transaction": ("B4", change("transfer", "transaction_id = 'txn_x'", VOUCHED)),
    "credit of a voucher as a second part": ("B4", change("transfer", "part = 1", VOUCHED)),
    "credit of a voucher raised": ("B4", change("transfer", "amount = amount + 1", VOUCHED)),
    "credit of a voucher that vanished": ("B4", remove("transfer", VOUCHED)),
    "gift said to be of a voucher": ("B4", change("transfer", "cause_type = 'voucher'", WELCOME)),
    "charge said to be of a voucher": ("B4", change("transfer", "kind = 'voucher'", DEBT)),
    "grant of a voucher that lasts longer": (
        "L5",
        change("grant", 'posting = replace(posting, \'"expires_at":"1\', \'"expires_at":"2\')', VOUCHER_GRANT),
    ),
    "grant of another voucher": ("L3", change("grant", "posting = replace(posting, 'vou_', 'vox_')", VOUCHER_GRANT)),
    "grant of a voucher said to be a gift": (
        "L5",
        change("grant", "posting = replace(posting, 'voucher', 'veucher')", VOUCHER_GRANT),
    ),
    "grant of a voucher made goodwill": ("L3", change("grant", "kind = 'goodwill'", VOUCHER_GRANT)),
    "grant of a voucher that was larger": ("L3", change("grant", "size = size + 1", VOUCHER_GRANT)),
    "grant of a voucher that vanished": ("L3", remove("grant", VOUCHER_GRANT)),
    # Levels, acts of operators
    "level told that was not reached": ("B9", change("account", "told = told + 4", WALLET)),
    "level not told": ("B9", change("account", "told = 0", WALLET)),
    "level of no list": ("B9", change("account", "told = 77", WALLET)),
    "next level put off": ("B9", change("account", "alert_at = alert_at - 5", WALLET)),
    "suspension without a level": ("B9", change("account", "suspend_at = 5", WALLET)),
    "wallet never looked at again": ("L4", change("account", "next_due_at = 253402214400000000", WALLET)),
    "overdraft nobody allowed": ("L4", change("account", "floor = floor - 1", WALLET)),
    "overdraft taken away": ("L4", change("account", "floor = 0", EVES)),
    "customer frozen by hand": ("L5", change("customer", "frozen_at = 5", f"'{ADA}'")),
    "minor digits changed": ("L7", change("currency", "minor_digits = 0", "'EUR'", column="code")),
    # Documents
    "invoice of another customer": ("B5", change("invoice", f"customer = '{EVE}'", INVOICE)),
    "invoice with another number": ("B5", change("invoice", "number = 'TINV26-000099'", INVOICE)),
    "invoice with another place": ("B5", change("invoice", "sequence = 99", INVOICE)),
    "invoice of another series": ("B5", change("invoice", "year = 2019", INVOICE)),
    "invoice of another kind": ("B5", change("invoice", "kind = 'letter'", INVOICE)),
    "invoice with more net": ("B5", change("invoice", "net = net + 1", INVOICE)),
    "invoice with more tax": ("B5", change("invoice", "tax = tax + 1", INVOICE)),
    "invoice with more total": ("B5", change("invoice", "total = total + 1", INVOICE)),
    "invoice in another currency": ("B5", change("invoice", "currency = 'USD'", INVOICE)),
    "invoice in no currency": ("B5", change("invoice", "currency = 'XXX'", INVOICE)),
    "invoice of another top-up": ("B5", change("invoice", f"topup_id = {EVES_TOPUP}", INVOICE)),
    "invoice of no top-up": ("B5", change("invoice", "topup_id = 'top_none'", INVOICE)),
    "invoice dated back": ("B5", change("invoice", "issued_on = '2026-01-01'", INVOICE)),
    "invoice issued later": ("B5", change("invoice", "issued_at = issued_at + 1", INVOICE)),
    "invoice rewritten": ("B5", change("invoice", "snapshot = replace(snapshot, 'Ada', 'Eve')", INVOICE)),
    "invoice with another hash": ("B5", change("invoice", f"sha256 = '{'0' * 64}'", INVOICE)),
    "invoice that vanished": ("B5", remove("invoice", INVOICE)),
    "file replaced": ("B5", change("document_file", "renderer = 'x', sha256 = 'x'", INVOICE, column="invoice_id")),
    "tax of another amount": ("B5", change("tax_entry", "amount = amount + 1", INVOICE, column="invoice_id")),
    "tax on another base": ("B5", change("tax_entry", "base = base + 1", INVOICE, column="invoice_id")),
    "tax of another rate": ("B5", change("tax_entry", "percent = '19'", INVOICE, column="invoice_id")),
    "tax of another place": ("B5", change("tax_entry", "jurisdiction = 'DE'", INVOICE, column="invoice_id")),
    "tax treated otherwise": ("B5", change("tax_entry", "treatment = 'zero'", INVOICE, column="invoice_id")),
    "tax of another category": ("B5", change("tax_entry", "category = 'Z'", INVOICE, column="invoice_id")),
    "tax under another name": ("B5", change("tax_entry", "name = 'VAT'", INVOICE, column="invoice_id")),
    "tax in another currency": ("B5", change("tax_entry", "currency = 'USD'", INVOICE, column="invoice_id")),
    "tax of another day": ("B5", change("tax_entry", "issued_on = '2026-01-01'", INVOICE, column="invoice_id")),
    "row of tax that vanished": ("B5", remove("tax_entry", INVOICE, column="invoice_id")),
    "tax of no invoice": ("B5", change("tax_entry", "invoice_id = 'inv_none'", INVOICE, column="invoice_id")),
    "correction that vanished": ("B9", remove("tax_correction", CORRECTION)),
    "correction the other way round": ("B9", change("tax_correction", "kind = 'tax-missing'", CORRECTION)),
    "correction for another number": ("B9", change("tax_correction", "number = 'FR1'", CORRECTION)),
    "correction of another invoice": ("B9", change("tax_correction", f"invoice_id = {INVOICE}", CORRECTION)),
    "correction of no invoice": ("B5", change("tax_correction", "invoice_id = 'inv_none'", CORRECTION)),
    "use of a promotion forgotten": ("B4", change("promotion", "uses = uses - 1", SAVE10)),
    "use of a promotion invented": ("B4", change("promotion", "uses = uses + 1", SAVE10)),
    "budget of which less is spent": ("B4", change("promotion", "spent = spent - 1", SAVE10)),
    "budget raised": ("B4", change("promotion", "budget = budget + 1", SAVE10)),
    "limit raised": ("B4", change("promotion", "uses_total = 2", ONCE)),
    "promotion under another code": ("B4", change("promotion", "code = 'twice'", ONCE)),
    "promotion of another rule": ("B4", change("promotion", "content = replace(content, '10', '90')", SAVE10)),
    "promotion ended by nobody": ("B4", change("promotion", "ended_at = 1", SAVE10)),
    "reservation that lapses later": ("B4", change("redemption", "lapses_at = lapses_at + 1", RESERVED)),
    "redemption by a better rule": ("B4", change("redemption", "terms = replace(terms, '10', '90')", REDEEMED)),
    "promotion that vanished": ("B4", remove("promotion", ONCE)),
    "customer's use forgotten": (
        "B4",
        change("promotion_customer", "uses = 0", f"{OF_ADA} AND customer = '{ADA}'", column="promotion_id"),
    ),
    "customer's uses that vanished": (
        "B4",
        remove("promotion_customer", f"{OF_ADA} AND customer = '{ADA}'", column="promotion_id"),
    ),
    "redemption of a larger bonus": ("B4", change("redemption", "bonus = bonus + 10000", REDEEMED)),
    "redemption of another discount": ("B4", change("redemption", "discount = discount + 10000", REDEEMED)),
    "redemption that vanished": ("B4", remove("redemption", REDEEMED)),
    "redemption released": ("B4", change("redemption", "state = 'released'", REDEEMED)),
    "redemption of somebody else": ("B4", change("redemption", f"customer = '{ADA}'", REDEEMED)),
    "redemption in another currency": ("B4", change("redemption", "currency = 'USD'", REDEEMED)),
    "redemption of another code": ("B4", change("redemption", "code = 'FREE'", REDEEMED)),
    "redemption not for first top-ups": ("B4", change("redemption", "first_only = 1", REDEEMED)),
    "redemption by another rule": ("B4", change("redemption", "terms = '{}'", REDEEMED)),
    "redemption never closed": ("B4", change("redemption", "closed_at = NULL", REDEEMED)),
    "reservation redeemed": ("B4", change("redemption", "state = 'redeemed'", RESERVED)),
    "reservation closed": ("B4", change("redemption", "closed_at = 1", RESERVED)),
    "reservation of a larger bonus": ("B4", change("redemption", "bonus = bonus + 10000", RESERVED)),
    "promotion that was not lost": ("B4", change("redemption", "state = 'redeemed'", LOST)),
    "lost discount that was another": ("L5", change("redemption", "discount = discount + 10000", LOST)),
    "amount typed with a code": ("L5", change("redemption", "terms = replace(terms, 'typed', 'told')", LOST)),
    "file of no invoice": ("B5", change("document_file", "invoice_id = 'inv_none'", INVOICE, column="invoice_id")),
    "series set back": ("B5", change("invoice_series", "last = last - 1", "'invoice'", column="kind")),
    "series that forgets its date": (
        "B5",
        change("invoice_series", "last_on = '2026-01-01'", "'invoice'", column="kind"),
    ),
    "series that vanished": ("B5", remove("invoice_series", "'invoice'", column="kind")),
    # Refunds, requests and disputes
    "refund of more credit": ("L8", change("refund", "credit = credit + 10000", DONE)),
    "refund of less bonus": ("L8", change("refund", "clawback = clawback - 1", DONE)),
    "refund of more net": ("L8", change("refund", "net = net + 10000, amount = amount + 10000", DONE)),
    "refund of another tax": ("L8", change("refund", "tax = tax - 10000", DONE)),
    "refund of another amount": ("L8", change("refund", "amount = amount + 10000", DONE)),
    "refund that is of no credit": ("L8", change("refund", "is_of_credit = 0", DONE)),
    "refund of another origin": ("L8", change("refund", "origin = 'outside'", DONE)),
    "refund made outside after all": ("L8", change("refund", "origin = 'gateway'", OUTSIDE)),
    "refund made outside that may be recorded again": ("B7", change("refund", "reference_hash = NULL", OUTSIDE)),
    "refund made outside by another proof": ("B7", change("refund", f"reference_hash = '{'a' * 32}'", OUTSIDE)),
    "refund made outside under another name": ("B7", change("refund", "gateway_refund_id = 'outside/SEPA 2'", OUTSIDE)),
    "refund made outside under no name": ("B7", change("refund", "gateway_refund_id = NULL", OUTSIDE)),
    "refund of ours with a proof": ("B7", change("refund", f"reference_hash = '{'a' * 32}'", DONE)),
    "refund that failed and did not": ("L8", change("refund", "state = 'succeeded'", CAME_BACK)),
    "refund that is said to be lost": ("L8", change("refund", "state = 'failed'", ON_ITS_WAY)),
    "refund approved by somebody else": ("L8", change("refund", "actor = 'mallory'", DONE)),
    "refund of another top-up": ("B2", change("refund", f"topup_id = {CREDITED}", DONE)),
    "refund for no request": ("B7", change("refund", "request_id = NULL", DONE)),
    "refund for another request": ("B7", change("refund", f"request_id = {REJECTED}", DONE)),
    "refund that was never posted anew": ("L8", change("refund", "turn = 0", TAKEN_AGAIN)),
    "refund posted anew once more": ("L8", change("refund", "turn = 2", TAKEN_AGAIN)),
    "refund of ours that was posted anew": ("B7", change("refund", "turn = 1", DONE)),
    "refund whose first turn took more": ("L8", change("transfer", "amount = amount + 1", FIRST_TAKEN)),
    "refund whose first turn was undone by another": ("L8", change("transfer", "actor = 'mallory'", FIRST_TAKEN)),
    "invoice over the first turn of a refund that vanished": ("B5", remove("invoice", FIRST_AGAIN)),
    "credit note of no turn": (
        "B5",
        change("invoice", "turn = 7", one("invoice", f"cause_id = {TAKEN_AGAIN} AND turn = 1")),
    ),
    "refund at the gateway that vanished": ("L8", remove("refund", AT_GATEWAY)),
    "request for more": ("L5", change("refund_request", "amount = amount + 10000", ASKED)),
    "request of which more was approved": ("B7", change("refund_request", "approved = amount + 1", ASKED)),
    "request of which less was approved": ("B7", change("refund_request", "approved = approved - 1", ASKED)),
    "request of another customer": ("B7", change("refund_request", f"customer = '{ADA}'", ASKED)),
    "request for another top-up": ("L5", change("refund_request", f"subject_id = {CREDITED}", ASKED)),
    "request decided by its customer": ("B7", change("refund_request", "decided_by = customer", ASKED)),
    "request decided by nobody": ("B7", change("refund_request", "decided_by = ''", ASKED)),
    "request decided at no time": ("B7", change("refund_request", "decided_at = NULL", ASKED)),
    "request of no state": ("B6", change("refund_request", "state = 'granted'", ASKED)),
    "request that failed and did not": ("B6", change("refund_request", "state = 'failed'", ASKED)),
    "request that is open again": ("B7", change("refund_request", "open_subject = subject_id", ASKED)),
    "request that nobody sees": ("B7", change("refund_request", "open_subject = NULL", WAITING_REQUEST)),
    "rejected request that is answered": ("B7", change("refund_request", f"refund_id = {DONE}", REJECTED)),
    "request answered by another refund": ("B7", change("refund_request", f"refund_id = {CAME_BACK}", ASKED)),
    "rejection made an approval": ("B7", change("refund_request", "state = 'refunded'", REJECTED)),
    "charge given back by another reversal": (
        "B7",
        change("refund_request", "transaction_id = 'txn_none'", REFUNDED_CHARGE),
    ),
    "charge of which more was given back": ("B7", change("refund_request", "approved = 900000", REFUNDED_CHARGE)),
    "request that vanished": ("B7", remove("refund_request", ASKED)),
    "dispute lost for more": ("L8", change("dispute", "net = net + 1", LOST_DISPUTE)),
    "dispute lost for less credit": ("L8", change("dispute", "credit = credit - 1, net = net - 1", LOST_DISPUTE)),
    "dispute lost for no bonus": ("L8", change("dispute", "clawback = clawback + 1", LOST_DISPUTE)),
    "dispute that was won after all": ("B2", change("dispute", "state = 'won'", LOST_DISPUTE)),
    "dispute booked as won": ("L8", change("dispute", "booked = 'won'", LOST_DISPUTE)),
    "dispute of which more was withdrawn": ("L8", change("dispute", "withdrawn = withdrawn + 1", OPEN_DISPUTE)),
    "dispute that is booked though it is not open": ("B2", change("dispute", "state = 'lost'", OPEN_DISPUTE)),
    "dispute about more": ("B2", change("dispute", "amount = amount + 10000", OPEN_DISPUTE)),
    "dispute with a fee": ("L8", change("dispute", "fee = 5, fee_currency = 'EUR'", WON_DISPUTE)),
    "dispute whose fee is posted": ("L8", change("dispute", "booked_fee = 5, fee_currency = 'EUR'", WON_DISPUTE)),
    "dispute whose turns are forgotten": ("L5", change("dispute", "turn = 0", LOST_DISPUTE)),
    "dispute that holds nothing": ("L4", change("dispute", "hold_id = NULL", OPEN_DISPUTE)),
    "dispute that holds another's": ("L4", change("dispute", f"hold_id = {KEPT}", OPEN_DISPUTE)),
    "dispute that vanished": ("L8", remove("dispute", LOST_DISPUTE)),
    "hold of a dispute made a customer's": ("L5", change("hold", "dispute_id = NULL", DISPUTED)),
    "hold of another dispute": ("L4", change("hold", f"dispute_id = {LOST_DISPUTE}", DISPUTED)),
    "hold of a dispute let go": ("L4", change("hold", "state = 'released', closed_at = created_at", DISPUTED)),
    "credit taken for a refund from another grant": ("L3", change("transfer", f"grant_id = {PAID}", TAKEN)),
    "money that went back to suspense": ("L8", change("transfer", f"credit_id = {account('suspense')}", SETTLED_NET)),
    "claw-back called a refund": ("L8", change("transfer", "kind = 'refund'", CLAWED)),
    "refund by another actor": ("L8", change("transfer", "actor = 'mallory'", TAKEN)),
    "refund of another key": ("L8", change("transfer", f"key_hash = '{'a' * 32}'", TAKEN)),
    "lost credit paid to promotion": ("L8", change("transfer", f"credit_id = {account('promotion')}", LOST_NET)),
    "lost credit of another key": ("L5", change("transfer", f"key_hash = '{'a' * 32}'", LOST_NET)),
    "credit note over more": ("B5", change("invoice", "net = net + 10000, total = total + 10000", NOTE)),
    "credit note about another refund": ("B5", change("invoice", f"cause_id = {ON_ITS_WAY}", NOTE)),
    "credit note that vanished": ("B5", remove("invoice", NOTE)),
    "credit note of another turn": ("B5", change("invoice", "turn = 7", NOTE)),
    "invoice over what came back, of nothing": ("B5", change("invoice", f"cause_id = {DONE}", AGAIN)),
    "invoice over what came back that vanished": ("B5", remove("invoice", AGAIN)),
    "tax of a credit note made a debt": ("B5", change("tax_entry", "amount = -amount", NOTE, column="invoice_id")),
    "credit that is not gone": (
        "L3",
        change("grant", "gone = 0", one("grant", "gone > 0")),
    ),
    "request never told of": (
        "B9",
        remove("outbox", one("outbox", f"dedupe_key = {_key('refund-requested/', ASKED)}")),
    ),
    "decision never told of": (
        "B9",
        remove("outbox", one("outbox", f"dedupe_key = {_key('refund-decided/', ASKED)}")),
    ),
    "refund never told of": ("B9", remove("outbox", one("outbox", f"dedupe_key = {_key('refund-settled/', DONE)}"))),
    # Identity
    "case in no state": ("B6", change("identity_case", "state = 'sure'", REFUSED)),
    "case that is open for nobody": ("B6", change("identity_case", "open_for = NULL", OPENED)),
    "case that was decided and is open": ("B6", change("identity_case", f"open_for = '{ADA}'", SEEN)),
    "case decided by hand": ("B6", change("identity_case", "state = 'verified'", OPENED)),
    "open case with a day of decision": ("B6", change("identity_case", "decided_at = 5", OPENED)),
    "open case submitted by hand": ("B6", change("identity_case", "state = 'submitted'", OPENED)),
    "case decided at no time": ("B6", change("identity_case", "decided_at = NULL", REFUSED)),
    "refused case made a success": ("B8", change("identity_case", "state = 'verified'", REFUSED)),
    "success made a refusal": ("B8", change("identity_case", "state = 'rejected'", SEEN)),
    "case of another customer": ("B8", change("identity_case", f"customer = '{EVE}'", SEEN)),
    "case of a higher level": ("B8", change("identity_case", "level = 9", SEEN)),
    "case decided by somebody else": ("B8", change("identity_case", "actor = 'mallory'", SEEN)),
    "case that vanished": ("B8", remove("identity_case", SEEN)),
    "verification of a higher level": ("B8", change("identity", "level = 9", f"'{ADA}'", column="customer")),
    "verification of another day": (
        "B8",
        change("identity", "verified_at = verified_at + 1", f"'{ADA}'", column="customer"),
    ),
    "verification of another customer": (
        "B8",
        change("identity", f"customer = '{EVE}'", f"'{ADA}'", column="customer"),
    ),
    "verification by a case that was refused": (
        "B8",
        change("identity", f"case_id = {REFUSED}", f"'{ADA}'", column="customer"),
    ),
    "verification by no case": ("B8", change("identity", "case_id = 'idc_none'", f"'{ADA}'", column="customer")),
    "revoked verification that counts again": (
        "B8",
        change("identity", "revoked_at = NULL", "'firm'", column="customer"),
    ),
    "verification revoked by hand": ("B8", change("identity", "revoked_at = 5", f"'{ADA}'", column="customer")),
    "held payment credited by nobody": ("B8", remove("audit", MET)),
    "held payment credited by another's case": (
        "B8",
        change("audit", f"state_after = replace(state_after, {SEEN}, {FORGED})", MET),
    ),
    "held payment said to be met": ("B8", change("audit", f"target = {PARKED}", MET)),
    "held payment resolved otherwise": (
        "B8",
        change("topup", "resolved = replace(resolved, 'identity_met', 'credit_quoted')", RELEASED),
    ),
    # Sums by day
    "sum of a day raised": ("B11", change("rollup_day", "amount = amount + 1", CHARGED, column=SORT)),
    "sum of a day below zero": ("B11", change("rollup_day", "amount = -amount", BOUGHT, column=SORT)),
    "sum of a day too large to add": ("B11", change("rollup_day", f"amount = {BIG}", BOUGHT, column=SORT)),
    "transfers of a day miscounted": ("B11", change("rollup_day", "transfers = transfers + 1", CHARGED, column=SORT)),
    "sum of another kind": ("B11", change("rollup_day", "kind = 'gift'", CHARGED, column=SORT)),
    "sum of another account": ("B11", change("rollup_day", "credit_kind = 'breakage'", CHARGED, column=SORT)),
    "sum of another gateway": ("B11", change("rollup_day", "debit_owner = 'other'", BOUGHT, column=SORT)),
    "sum in another currency": ("B11", change("rollup_day", "currency = 'JPY'", CHARGED, column=SORT)),
    "sum of another day": ("B11", change("rollup_day", "day = '2026-01-01'", CHARGED, column=SORT)),
    "sum of no day": ("B11", change("rollup_day", "day = '2026-13-45'", CHARGED, column=SORT)),
    "sum of the last day of all": ("B11", change("rollup_day", "day = '9999-12-31'", CHARGED, column=SORT)),
    "sum that vanished": ("B11", remove("rollup_day", CHARGED, column=SORT)),
    "sums of another zone": ("B11", change("rollup", "zone = 'Pacific/Kiritimati'", BOOK, column="book_id")),
    "sums of no zone": ("B11", change("rollup", "zone = 'Europe/Atlantis'", BOOK, column="book_id")),
    "sums that reach less far": ("B11", change("rollup", "through = through - 3", BOOK, column="book_id")),
    "sums that reach nowhere": ("B11", change("rollup", "through = -1", BOOK, column="book_id")),
    "sums to reach further than all": ("B11", change("rollup", "mark = mark + 1000000", BOOK, column="book_id")),
    "sums whose reach vanished": ("B11", remove("rollup", BOOK, column="book_id")),
    # Acts, and what they left
    "setting changed by hand": (
        "L6",
        change("setting", "value = replace(value, '2000000', '3000000')", "'topup-limits'", column="name"),
    ),
    "gateway offered again by hand": ("L6", change("setting", "value = '{}'", "'gateways'", column="name")),
    "digest sent to somebody else": (
        "L6",
        change("setting", "value = replace(value, 'cfo', 'eve')", "'digest'", column="name"),
    ),
    "setting that vanished": ("L6", remove("setting", "'topup-limits'", column="name")),
    "setting that nobody set": ("L6", remove("audit", GATEWAYS)),
    "first change of a setting that vanished": ("L6", remove("audit", FIRST_LIMIT)),
    "last change of a setting that vanished": ("L6", remove("audit", LAST_LIMIT)),
    "change of a setting rewritten": (
        "L6",
        change("audit", "state_after = replace(state_after, '1000000', '1500000')", FIRST_LIMIT),
    ),
    "change of a setting made a read": ("L6", change("audit", "action = 'look'", FIRST_LIMIT)),
    "change of another setting": ("L6", change("audit", "target = 'burn-order'", LAST_LIMIT)),
    "tax rule of another rate": ("L6", change("tax_rule", "content = replace(content, '20', '19')", ADDED)),
    "tax rule of another country": ("L6", change("tax_rule", "country = 'IT'", ADDED)),
    "tax rule that vanished": ("L6", remove("tax_rule", RETIRED)),
    "tax rule retired by hand": ("L6", change("tax_rule", "retired_at = 5", ADDED)),
    "retired tax rule in use again": ("L6", change("tax_rule", "retired_at = NULL", RETIRED)),
    "tax rule that nobody added": ("L6", remove("audit", RULED)),
    "tax rule that nobody retired": ("L6", remove("audit", GONE)),
    "tax rule retired as another": ("L6", change("audit", "state_before = replace(state_before, 'ES', 'IT')", GONE)),
    "exemption for another reason": ("L6", change("tax_approval", "reason = 'friends'", EMBASSY)),
    "exemption by somebody else": ("L6", change("tax_approval", "actor = 'mallory'", EMBASSY)),
    "exemption of another customer": ("L6", change("tax_approval", f"customer = '{ADA}'", EMBASSY)),
    "exemption with an end": ("L6", change("tax_approval", "valid_to = '2030-01-01'", EMBASSY)),
    "exemption of another kind": ("L6", change("tax_approval", "kind = 'tax-id'", EMBASSY)),
    "exemption ended by hand": ("L6", change("tax_approval", "ended_at = 5", EMBASSY)),
    "replaced exemption that holds again": ("L6", change("tax_approval", "ended_at = NULL", CHARITY)),
    "exemption that vanished": ("L6", remove("tax_approval", CHARITY)),
    "exemption that nobody gave": ("L6", remove("audit", EXEMPTED)),
    "exemption that nobody ended": ("L6", remove("audit", ENDED)),
    "review ended by nobody": ("L6", remove("audit", RESOLVING)),
    "review ended by somebody else": (
        "L6",
        change("audit", "state_after = replace(state_after, 'alice', 'mallory')", RESOLVING),
    ),
    "review of another top-up": ("L6", change("audit", f"target = {PARKED}", RESOLVING)),
    "resolution rewritten": ("L6", change("topup", "resolved = replace(resolved, 'alice', 'mallory')", RETURNED)),
    "receipt that nobody confirmed": ("L6", change("topup", 'confirmation = \'{"actor":"alice","units":"1"}\'', OPEN)),
    # Digests
    "digest with another figure": ("B9", change("digest", "facts = replace(facts, 'Nimbus', 'Cirrus')", DIGESTED)),
    "digest of another day": ("B9", change("digest", "day = '2025-01-01'", DIGESTED)),
    "digest that cannot be read": ("B9", change("digest", "facts = '{'", DIGESTED)),
    "digest that vanished": ("B9", remove("digest", DIGESTED)),
    "digest that was never mailed": ("B9", remove("outbox", DIGEST_DAY, column="dedupe_key")),
    # Numbers
    "another scale": ("L7", change("currency", "scale = 2", "'EUR'", column="code")),
    "a currency of no list": ("L7", change("currency", "code = 'XXX'", "'USD'", column="code")),
}


def assert_found(books, invariant, tampering):
    with books.tampered(*tampering):
        report = books.billing.check()
    assert not report.ok
    assert invariant in {finding.invariant for finding in report.findings}, report.findings
    for finding in report.findings:
        assert finding.keys
        assert finding.expected != finding.found


@SQLITE
@pytest.mark.parametrize("name", list(TAMPERED))
def test_one_row_changed_by_hand_is_found(books, name):
    invariant, tampering = TAMPERED[name]
    assert_found(books, invariant, tampering)


@SQLITE
def test_books_put_right_again_are_clean(books):
    with books.tampered(*change("account", "balance = balance + 1", WALLET)):
        assert not books.billing.check().ok

    assert books.billing.check().findings == ()


@SQLITE
def test_another_book_of_the_same_database_raises_no_alarm(books, engine, tmp_path):
    bystander = shop_in(engine, tmp_path, "bystander")
    give(bystander.billing, "5")

    with books.tampered(*change("account", "balance = balance + 1", WALLET)):
        assert not books.billing.check().ok
        assert bystander.billing.check().findings == ()


# A snapshot rewritten together with its hash, as by somebody who read the code

REWRITTEN = {
    "customer": ("customer", EVE),
    "number": ("number", "TINV26-000099"),
    "net": ("net", 1),
    "net in words": ("net", "much"),
    "total": ("total", 1),
    "currency": ("currency", "USD"),
    "day": ("issued_on", "2026-01-01"),
    "instant": ("issued_at", 0),
    "order": ("topup_id", "top_none"),
    "payment": ("payment", ["Card", "pay_x"]),
    "no payment": ("payment", None),
    "tax": ("tax", {}),
    "no tax": ("tax", None),
}


@SQLITE
@pytest.mark.parametrize("name", list(REWRITTEN))
def test_a_snapshot_rewritten_with_its_hash_is_found(books, name):
    field, new = REWRITTEN[name]
    record = json.loads(snapshot_of(books))
    assert record[field] != new

    assert_found(books, "B5", rewrite(canonical_json(record | {field: new})))


@SQLITE
@pytest.mark.parametrize("snapshot", ["", "[]", "7", '{"net": [', "[" * 5000])
def test_a_snapshot_that_cannot_be_read_is_found(books, snapshot):
    assert_found(books, "B5", rewrite(snapshot))


def snapshot_of(books):
    return books.intruder.execute(f"SELECT snapshot FROM prepaid_invoice WHERE id = {INVOICE}").fetchone()[0]


def rewrite(snapshot):
    escaped = snapshot.replace("'", "''")
    return change("invoice", f"snapshot = '{escaped}', sha256 = '{sha256(snapshot)}'", INVOICE)


# What SQLite stores in a column for numbers

NUMBERS = [(table, column) for table, columns in MONEY_COLUMNS.items() for column in columns] + [
    ("transfer", "wallet_after"),
    ("transfer", "effective_at"),
    ("grant", "cost_net_minor"),
    ("grant", "cost_tax_minor"),
    ("payment", "fee"),
    ("meter", "billed_until"),
    ("invoice", "issued_at"),
    ("invoice_series", "last"),
]


@SQLITE
@pytest.mark.parametrize("value", ["'much'", "0.5", "x'00'"])
@pytest.mark.parametrize(("table", "column"), NUMBERS)
def test_what_is_no_number_is_found(books, table, column, value):
    row = f"(SELECT min(rowid) FROM prepaid_{table} WHERE book_id = {BOOK})"

    assert_found(books, "L7", change(table, f"{column} = {value}", row, column="rowid"))


# The same on servers, which are slower to change and put right: every fourth of each


@ON_SERVERS
@pytest.mark.parametrize("name", list(TAMPERED)[::8])
def test_one_row_changed_by_hand_is_found_on_a_server(books, name):
    test_one_row_changed_by_hand_is_found(books, name)


@ON_SERVERS
@pytest.mark.parametrize("name", list(REWRITTEN)[::4])
def test_a_snapshot_rewritten_with_its_hash_is_found_on_a_server(books, name):
    test_a_snapshot_rewritten_with_its_hash_is_found(books, name)


@ON_SERVERS
def test_books_put_right_again_are_clean_on_a_server(books):
    test_books_put_right_again_are_clean(books)
