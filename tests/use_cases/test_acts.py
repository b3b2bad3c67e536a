"""Every act of an operator leaves its row in the audit, in the transaction of the act, and a refused one leaves none.

The acts are found on the door itself, by the permission that each asks for: one
that is new is missing here until it is told of.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest

from prepaid import (
    Bonus,
    BurnOrder,
    IdentityPolicy,
    InvalidRequest,
    NotAllowed,
    Percent,
    Promotion,
    RequestRefused,
    TaxRule,
    Thresholds,
    permissions,
)
from prepaid.gateways import BankTransferGateway
from prepaid.store import audits
from tests.use_cases.providers import signed
from tests.use_cases.refund_steps import ask
from tests.use_cases.steps import (
    ADA,
    BOOK_TABLES,
    EVE,
    SQLITE,
    SQLITE_FIRST,
    checkout_of,
    eur,
    give,
    grant_ids,
    operator,
    rows,
    start,
)
from tests.use_cases.tax_steps import Scripted, be, business, buy, corrections, run_checks
from tests.use_cases.verifiers import Verifier, begin, hear, verify

ACTOR = "bob@nimbus.example"
REASON = "because the board said so"
NOBODYS = {kind: f"{kind}_01m82v7m000000000000000000" for kind in ("top", "grt", "vou", "tax", "cor", "req")}
FRANCE = TaxRule("FR", (("TVA", "20"),), valid_from=date(2014, 1, 1))
SAVE10 = Promotion("SAVE10", Bonus(Percent("10")))
SAVE20 = Promotion("SAVE10", Bonus(Percent("20")))
SUNDAY = date(2026, 11, 22)


class Shop(NamedTuple):
    """A billing system with everything that acts are done to."""

    billing: Any
    simulated: Any
    register: Any
    verifier: Any
    clock: Any


class Act(NamedTuple):
    """An act: what is made before by somebody else, the act on it, one that is refused, and the rows that it writes."""

    do: Callable[..., object]
    refused: Callable[..., object]
    writes: tuple[str, ...]
    made: Callable[[Shop], object] = lambda shop: None


def door(shop):
    """Give the door of somebody else, who prepares."""
    return operator(shop.billing, "preparer")


def a_gift(shop):
    give(shop.billing, "5")
    return grant_ids(shop.billing)[-1]


def a_review(shop):
    topup = start(shop.billing, "20.00", gateway="simulated")
    shop.simulated.pay(checkout_of(topup), amount=eur("19.00"))
    shop.billing.customer(ADA).topups.confirm(topup.id)
    return topup.id


def an_offered_correction(shop):
    reverse = {"customer": "business", "tax_id": "valid", "treatment": "reverse_charge"}
    for rule in (FRANCE, TaxRule("FR", valid_from=date(2014, 1, 1), **reverse)):
        door(shop).tax.add(rule)
    shop.register.down()
    be(shop.billing, business())
    buy(shop.billing, shop.simulated)
    shop.register.up()
    shop.clock.advance(days=1)
    run_checks(shop.billing)
    [offered] = corrections(shop.billing)
    return offered.id


def a_case(shop):
    return begin(shop.billing)


def a_business(shop):
    be(shop.billing, business())


def a_diff(shop):
    door(shop).tax.add(FRANCE)
    text = door(shop).tax.to_csv()
    return door(shop).tax.from_csv(text.replace("TVA 20", "TVA 19"))


def bought(shop, gateway="simulated"):
    """Give a top-up that is credited."""
    topup = start(shop.billing, gateway=gateway)
    if gateway == "simulated":
        shop.simulated.pay(checkout_of(topup))
        shop.billing.customer(ADA).topups.confirm(topup.id)
    else:
        door(shop).topups.confirm_bank_transfer(topup.id, received=eur("50"), reference="line 7")
    return topup


def a_request(shop):
    return ask(shop.billing, bought(shop), "5")


ACTS: dict[str, Act] = {
    "customers.grant": Act(
        lambda ops, made, **why: ops.customers.grant(ADA, eur("1"), kind="goodwill", key="k", **why),
        lambda ops, made, **why: ops.customers.grant("nobody", eur("1"), kind="goodwill", key="k", **why),
        ("grant",),
    ),
    "customers.void_grant": Act(
        lambda ops, made, **why: ops.customers.void_grant(made, **why),
        lambda ops, made, **why: ops.customers.void_grant(NOBODYS["grt"], **why),
        ("void-grant",),
        a_gift,
    ),
    "customers.freeze": Act(
        lambda ops, made, **why: ops.customers.freeze(ADA, **why),
        lambda ops, made, **why: ops.customers.freeze("nobody", **why),
        ("freeze",),
    ),
    "customers.unfreeze": Act(
        lambda ops, made, **why: ops.customers.unfreeze(ADA, **why),
        lambda ops, made, **why: ops.customers.unfreeze("nobody", **why),
        ("unfreeze",),
        lambda shop: door(shop).customers.freeze(ADA, reason="x"),
    ),
    "customers.overdraft": Act(
        lambda ops, made, **why: ops.customers.overdraft(ADA, eur("1"), **why),
        lambda ops, made, **why: ops.customers.overdraft(ADA, eur("-1"), **why),
        ("overdraft",),
    ),
    "customers.exempt": Act(
        lambda ops, made, **why: ops.customers.exempt(ADA, **why),
        lambda ops, made, **why: ops.customers.exempt(ADA, code="a code", **why),
        ("tax-exemption",),
    ),
    "customers.end_exemption": Act(
        lambda ops, made, **why: ops.customers.end_exemption(ADA, **why),
        lambda ops, made, **why: ops.customers.end_exemption(EVE, **why),
        ("tax-exemption-end",),
        lambda shop: door(shop).customers.exempt(ADA, reason="x"),
    ),
    "digest.settings": Act(
        lambda ops, made, **why: ops.digest.settings(email="cfo@nimbus.example", **why),
        lambda ops, made, **why: ops.digest.settings(email="cfo", **why),
        ("settings",),
    ),
    "digest.send": Act(
        lambda ops, made, **why: ops.digest.send(SUNDAY, **why),
        lambda ops, made, **why: ops.digest.send(date(2027, 1, 1), **why),
        ("digest-send",),
        lambda shop: door(shop).digest.settings(email="cfo@nimbus.example"),
    ),
    "gateways.enable": Act(
        lambda ops, made, **why: ops.gateways.enable("simulated", **why),
        lambda ops, made, **why: ops.gateways.enable("none", **why),
        ("settings",),
        lambda shop: door(shop).gateways.disable("simulated"),
    ),
    "gateways.disable": Act(
        lambda ops, made, **why: ops.gateways.disable("simulated", **why),
        lambda ops, made, **why: ops.gateways.disable("none", **why),
        ("settings",),
    ),
    "gateways.countries": Act(
        lambda ops, made, **why: ops.gateways.countries("simulated", ("DE",), **why),
        lambda ops, made, **why: ops.gateways.countries("simulated", ("XX",), **why),
        ("settings",),
    ),
    "identity.policy": Act(
        lambda ops, made, **why: ops.identity.policy(IdentityPolicy(before_first_topup=True), **why),
        lambda ops, made, **why: ops.identity.policy("always", **why),
        ("settings",),
    ),
    "identity.approve": Act(
        lambda ops, made, **why: ops.identity.approve(ADA, **why),
        lambda ops, made, **why: ops.identity.approve("nobody", **why),
        ("identity-verified",),
    ),
    "identity.reject": Act(
        lambda ops, made, **why: ops.identity.reject(ADA, **why),
        lambda ops, made, **why: ops.identity.reject(EVE, **why),
        ("identity-rejected",),
        a_case,
    ),
    "identity.revoke": Act(
        lambda ops, made, **why: ops.identity.revoke(ADA, **why),
        lambda ops, made, **why: ops.identity.revoke(EVE, **why),
        ("identity-revoked",),
        lambda shop: door(shop).identity.approve(ADA, reason="x"),
    ),
    "identity.recheck": Act(
        lambda ops, made, **why: ops.identity.recheck(ADA, **why),
        lambda ops, made, **why: ops.identity.recheck("nobody", **why),
        ("identity-recheck",),
        a_case,
    ),
    "promotions.create": Act(
        lambda ops, made, **why: ops.promotions.create(SAVE10, **why),
        lambda ops, made, **why: ops.promotions.create("SAVE10", **why),
        ("promotion-create",),
    ),
    "promotions.change": Act(
        lambda ops, made, **why: ops.promotions.change(SAVE20, **why),
        lambda ops, made, **why: ops.promotions.change(Promotion("OTHER", Bonus(Percent("1"))), **why),
        ("promotion-change",),
        lambda shop: door(shop).promotions.create(SAVE10),
    ),
    "promotions.end": Act(
        lambda ops, made, **why: ops.promotions.end("SAVE10", **why),
        lambda ops, made, **why: ops.promotions.end("OTHER", **why),
        ("promotion-end",),
        lambda shop: door(shop).promotions.create(SAVE10),
    ),
    "vouchers.create": Act(
        lambda ops, made, **why: ops.vouchers.create(eur("1"), count=3, **why),
        lambda ops, made, **why: ops.vouchers.create(eur("1"), count=0, **why),
        ("create-vouchers",),
    ),
    "vouchers.end": Act(
        lambda ops, made, **why: ops.vouchers.end(made, **why),
        lambda ops, made, **why: ops.vouchers.end(NOBODYS["vou"], **why),
        ("end-vouchers",),
        lambda shop: door(shop).vouchers.create(eur("1"), count=2)[0].batch,
    ),
    "refunds.approve": Act(
        lambda ops, made, **why: ops.refunds.approve(made.id, **why),
        lambda ops, made, **why: ops.refunds.approve(NOBODYS["req"], **why),
        ("refund-approve",),
        a_request,
    ),
    "refunds.reject": Act(
        lambda ops, made, **why: ops.refunds.reject(made.id, **why),
        lambda ops, made, **why: ops.refunds.reject(NOBODYS["req"], **why),
        ("refund-reject",),
        a_request,
    ),
    "refunds.record": Act(
        lambda ops, made, **why: ops.refunds.record(made.id, eur("5"), reference="line 8", **why),
        lambda ops, made, **why: ops.refunds.record(NOBODYS["top"], eur("5"), reference="line 8", **why),
        ("refund-record",),
        lambda shop: bought(shop, "bank-transfer"),
    ),
    "reports.rebuild": Act(
        lambda ops, made, **why: ops.reports.rebuild(**why),
        lambda ops, made, reason: ops.reports.rebuild(reason=""),
        ("rebuild-rollups",),
    ),
    "settings.account_map": Act(
        lambda ops, made, **why: ops.settings.account_map({"wallet": "Liabilities:Credit"}, **why),
        lambda ops, made, **why: ops.settings.account_map("wallet", **why),
        ("settings",),
    ),
    "settings.approvals": Act(
        lambda ops, made, **why: ops.settings.approvals(two_person_above=eur("500"), **why),
        lambda ops, made, **why: ops.settings.approvals(two_person_above="500", **why),
        ("settings",),
    ),
    "settings.refunds": Act(
        lambda ops, made, **why: ops.settings.refunds(topups_within=timedelta(days=14), **why),
        lambda ops, made, **why: ops.settings.refunds(topups_within=14, **why),
        ("settings",),
    ),
    "settings.disputes": Act(
        lambda ops, made, **why: ops.settings.disputes(freeze=False, **why),
        lambda ops, made, **why: ops.settings.disputes(freeze="no", **why),
        ("settings",),
    ),
    "settings.thresholds": Act(
        lambda ops, made, **why: ops.settings.thresholds(Thresholds(low=eur("5")), **why),
        lambda ops, made, **why: ops.settings.thresholds("low", **why),
        ("settings",),
    ),
    "settings.topup_limits": Act(
        lambda ops, made, **why: ops.settings.topup_limits(minimum=eur("5"), **why),
        lambda ops, made, **why: ops.settings.topup_limits(minimum=eur("5"), maximum=eur("1"), **why),
        ("settings",),
    ),
    "settings.burn_order": Act(
        lambda ops, made, **why: ops.settings.burn_order(BurnOrder(paid=5), **why),
        lambda ops, made, **why: ops.settings.burn_order("paid first", **why),
        ("settings",),
    ),
    "tax.add": Act(
        lambda ops, made, **why: ops.tax.add(FRANCE, **why),
        lambda ops, made, **why: ops.tax.add("France", **why),
        ("tax-rule-add",),
    ),
    "tax.end": Act(
        lambda ops, made, **why: ops.tax.end(made.id, date(2030, 1, 1), **why),
        lambda ops, made, **why: ops.tax.end(NOBODYS["tax"], date(2030, 1, 1), **why),
        ("tax-rule-retire", "tax-rule-add"),  # the rule gives way to itself with an end
        lambda shop: door(shop).tax.add(FRANCE),
    ),
    "tax.retire": Act(
        lambda ops, made, **why: ops.tax.retire(made.id, **why),
        lambda ops, made, **why: ops.tax.retire(NOBODYS["tax"], **why),
        ("tax-rule-retire",),
        lambda shop: door(shop).tax.add(FRANCE),
    ),
    "tax.apply": Act(
        lambda ops, made, **why: ops.tax.apply(made, **why),
        lambda ops, made, **why: ops.tax.apply("a diff", **why),
        ("tax-rule-retire", "tax-rule-add"),  # one for each rule that goes or comes
        a_diff,
    ),
    "tax.verify_id": Act(
        lambda ops, made, **why: ops.tax.verify_id(ADA, **why),
        lambda ops, made, **why: ops.tax.verify_id(EVE, **why),
        ("tax-tax-id",),
        a_business,
    ),
    "tax.unverify_id": Act(
        lambda ops, made, **why: ops.tax.unverify_id(ADA, **why),
        lambda ops, made, **why: ops.tax.unverify_id(EVE, **why),
        ("tax-tax-id-end",),
        lambda shop: (a_business(shop), door(shop).tax.verify_id(ADA, reason="x")),
    ),
    "tax.close_correction": Act(
        lambda ops, made, **why: ops.tax.close_correction(made, **why),
        lambda ops, made, **why: ops.tax.close_correction(NOBODYS["cor"], **why),
        ("tax-correction-close",),
        an_offered_correction,
    ),
    "topups.recheck": Act(
        lambda ops, made, **why: ops.topups.recheck(made, **why),
        lambda ops, made, **why: ops.topups.recheck(NOBODYS["top"], **why),
        ("recheck",),
        lambda shop: start(shop.billing, gateway="simulated").id,
    ),
    "topups.resolve": Act(
        lambda ops, made, **why: ops.topups.resolve(made, action="credit_received", key="k", **why),
        lambda ops, made, **why: ops.topups.resolve(NOBODYS["top"], action="credit_received", key="k", **why),
        ("resolve-credit_received",),
        a_review,
    ),
    "topups.confirm_bank_transfer": Act(
        lambda ops, made, **why: ops.topups.confirm_bank_transfer(made, received=eur("50"), reference="line 1", **why),
        lambda ops, made, **why: ops.topups.confirm_bank_transfer(made, received=eur("0"), reference="line 1", **why),
        ("confirm-transfer",),
        lambda shop: start(shop.billing, gateway="bank-transfer").id,
    ),
}
"""Acts by namespace and method of the operator's door."""

every_act = pytest.mark.parametrize("name", list(ACTS))


def changing_methods(ops):
    """Find the methods of an operator's door that ask for a permission to change something."""
    spaces = {name: space for name, space in vars(ops).items() if type(space).__name__.startswith("Operator")}
    return {
        f"{space}.{name}"
        for space, of_door in {**spaces, "": ops}.items()
        for name, method in inspect.getmembers(type(of_door), inspect.isfunction)
        if not name.startswith("_") and re.search(r"permissions\.\w+_WRITE", inspect.getsource(method))
    }


@pytest.fixture
def shop(open_billing, simulated, tmp_path, clock):
    register, verifier = Scripted(), Verifier(tmp_path / "verifier.json")
    bank = BankTransferGateway(account_holder="Nimbus GmbH", iban="DE89370400440532013000")
    billing = open_billing(gateways=[simulated, bank], identity=verifier, tax_id_registers=[register])
    for customer in (ADA, EVE):
        billing.customers.register(customer, currency="EUR")
    return Shop(billing, simulated, register, verifier, clock)


def written(shop):
    return operator(shop.billing).audit.list(actor=ACTOR).items


def everything(shop):
    """Give every row of the book; but not accounts and series that were opened for an act, which hold nothing."""
    found = {name: rows(shop.billing, f"SELECT * FROM prepaid_{name} WHERE book_id = :book") for name in BOOK_TABLES}
    found["account"] = [row for row in found["account"] if row.balance or row.held or row.floor or row.seq]
    found["invoice_series"] = [row for row in found["invoice_series"] if row.last]
    del found["currency"]
    return {name: sorted(map(repr, rows)) for name, rows in found.items()}


def test_every_act_of_the_door_is_told_of_here(shop):
    assert changing_methods(operator(shop.billing)) == set(ACTS)


@SQLITE_FIRST
@every_act
def test_an_act_writes_its_row_with_actor_reason_and_target(shop, name):
    act, made = ACTS[name], ACTS[name].made(shop)

    act.do(operator(shop.billing, ACTOR), made, reason=REASON)

    found = list(reversed(written(shop)))
    assert tuple(entry.action for entry in found) == act.writes
    assert {entry.reason for entry in found} == {REASON}
    assert all(entry.target for entry in found)
    assert all(entry.before or entry.after or entry.action in BARE for entry in found)
    assert shop.billing.check().findings == ()


BARE = ("freeze", "unfreeze", "recheck", "identity-recheck", "tax-exemption-end", "tax-tax-id-end")
BARE += ("tax-correction-close", "digest-send", "rebuild-rollups")
"""Acts that say everything by their names: what they change is either so, or not."""


@SQLITE_FIRST
@every_act
def test_the_row_is_written_in_the_transaction_of_the_act(shop, name, monkeypatch):
    act, made = ACTS[name], ACTS[name].made(shop)
    before, add, refused = everything(shop), audits.add, []

    def no_row_for_bob(tx, *, actor, **values):
        if actor == ACTOR:
            refused.append(values["action"])
            raise RuntimeError("the audit cannot be written")
        add(tx, actor=actor, **values)

    monkeypatch.setattr(audits, "add", no_row_for_bob)
    with pytest.raises(RuntimeError, match="the audit cannot be written"):
        act.do(operator(shop.billing, ACTOR), made, reason=REASON)

    assert refused == [act.writes[0]]
    assert everything(shop) == before


@SQLITE
@every_act
def test_a_refused_act_writes_no_row_and_changes_nothing(shop, name):
    act, made = ACTS[name], ACTS[name].made(shop)
    before = everything(shop)

    with pytest.raises(RequestRefused):
        act.refused(operator(shop.billing, ACTOR), made, reason=REASON)

    assert everything(shop) == before


@SQLITE
@every_act
def test_an_act_without_its_permission_writes_no_row_and_changes_nothing(shop, name):
    act, made = ACTS[name], ACTS[name].made(shop)
    readers = [permission for permission in permissions.ALL if permission.endswith(".read")]
    before = everything(shop)

    with pytest.raises(NotAllowed):
        act.do(operator(shop.billing, ACTOR, readers), made, reason=REASON)

    assert everything(shop) == before


@SQLITE
@every_act
def test_an_act_with_a_reason_that_cannot_be_kept_is_not_done(shop, name):
    act, made = ACTS[name], ACTS[name].made(shop)
    before = everything(shop)

    for reason in ("x" * 501, "a\nb", "a\x00b", None, 5):
        with pytest.raises(InvalidRequest) as refused:
            act.do(operator(shop.billing, ACTOR), made, reason=reason)
        assert refused.value.field == "reason"

    assert everything(shop) == before


# What no operator does


def a_forged_webhook(shop):
    headers, body = signed({"id": "evt_1"}, at=shop.clock.now(), secret="wrong")
    assert shop.billing.webhooks.receive("simulated", body=body, headers=headers).outcome == "rejected"


def a_wrong_amount(shop):
    a_review(shop)


def a_held_payment(shop):
    topup = start(shop.billing, "20.00", gateway="simulated")
    door(shop).identity.policy(IdentityPolicy(before_first_topup=True))
    shop.simulated.pay(checkout_of(topup))
    assert shop.billing.customer(ADA).topups.confirm(topup.id).failure == "identity-required"


def a_verified_customer(shop):
    a_held_payment(shop)
    verify(shop.billing, shop.verifier)


def a_customer_who_was_not(shop):
    case = begin(shop.billing)
    shop.verifier.set(case.reference, "rejected")
    hear(shop.billing, case.reference)


def paid(shop):
    topup = start(shop.billing, gateway="simulated")
    shop.simulated.pay(checkout_of(topup))
    shop.billing.customer(ADA).topups.confirm(topup.id)
    return topup


def a_refund_elsewhere(shop):
    topup = paid(shop)
    shop.simulated.refund_at_provider(checkout_of(topup), eur("5"))
    door(shop).topups.recheck(topup.id)


def a_lost_dispute(shop):
    topup = paid(shop)
    dispute = shop.simulated.dispute(checkout_of(topup))
    door(shop).topups.recheck(topup.id)
    shop.simulated.lose(dispute)
    door(shop).topups.recheck(topup.id)


def a_refund_that_fails(shop):
    shop.simulated.script_refund("failed")
    door(shop).topups.resolve(a_review(shop), action="refund", reason="x", key="k")


BY_ITSELF = {
    a_forged_webhook: {("gateway:simulated", "security")},
    a_wrong_amount: {("gateway:simulated", "security")},
    a_held_payment: {("gateway:simulated", "identity-held")},
    a_verified_customer: {
        ("gateway:simulated", "identity-held"),
        ("provider:verifier", "identity-verified"),
        ("system", "identity-met"),
    },
    a_customer_who_was_not: {("provider:verifier", "identity-rejected")},
    a_refund_elsewhere: {("gateway:simulated", "refund-at-gateway")},
    a_lost_dispute: {("gateway:simulated", "dispute-opened"), ("gateway:simulated", "dispute-closed")},
    a_refund_that_fails: {("gateway:simulated", "security"), ("gateway:simulated", "refund-failed")},
}
"""What gateways, identity providers and the library do on their own account, and the rows that tell of it."""


@SQLITE_FIRST
@pytest.mark.parametrize("story", list(BY_ITSELF), ids=lambda story: story.__name__)
def test_what_no_operator_does_is_in_the_audit_under_the_name_of_who_did_it(shop, story):
    story(shop)

    found = [entry for entry in operator(shop.billing).audit.list().items if entry.actor != "preparer"]
    assert {(entry.actor, entry.action) for entry in found} == BY_ITSELF[story]
    assert all(entry.customer == ADA for entry in found if entry.target)


# Names


@SQLITE
@pytest.mark.parametrize("name", ["system", "host", "gateway:simulated", "provider:verifier", "customer:user-42"])
def test_no_operator_can_act_under_the_name_of_a_machine_or_a_customer(billing, name):
    with pytest.raises(InvalidRequest) as refused:
        operator(billing, name)
    assert refused.value.field == "actor"
