"""Random lives of a book, lived through the public API: every act that posts, in any order, refused or not."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import timedelta

from prepaid import BurnOrder, Money, Rate, RequestRefused, Thresholds
from tests.store.shops import CODES, Shop
from tests.use_cases.refund_steps import checkout_id
from tests.use_cases.steps import ADA, EVE, charge, checkout_of, eur, operator, start

CUSTOMERS = (ADA, EVE)
RESOURCES = ("", "disk-1", "vm-1", "vm-2")


def any_money(chance):
    return eur(f"{chance.randint(0, 40)}.{chance.randint(1, 99):02d}")


def buy(shop, chance):
    customer = chance.choice(CUSTOMERS)
    code = chance.choice((None, None, *CODES))
    topup = start(shop.billing, f"{chance.randint(1, 90)}.00", customer=customer, code=code)
    if topup.state == "credited":  # nothing was to be paid
        return
    checkout = checkout_of(topup)
    match chance.randint(0, 9):
        case 0:
            shop.provider.pay(checkout, amount=eur("1.00"))
        case 1:
            shop.provider.pay(checkout, currency="USD")
        case 2:
            shop.provider.fail(checkout)
        case 3:
            shop.billing.customer(customer).topups.cancel(topup.id)
        case 4:
            return
        case _:
            shop.provider.pay(checkout)
    shop.billing.customer(customer).topups.confirm(topup.id)


def an_hour(shop, chance):
    began = shop.clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=chance.randint(-3, 3))
    return began, began + timedelta(hours=1)


def use(shop, chance):
    charge(
        shop.billing,
        str(any_money(chance).amount),
        key=f"use-{chance.randint(0, 400)}",
        customer=chance.choice(CUSTOMERS),
        resource=chance.choice(RESOURCES),
        period=chance.choice((None, an_hour(shop, chance))),
        allow_negative=chance.random() < 0.4,
    )


def adjust(shop, chance):
    shop.billing.usage.adjust(
        chance.choice(CUSTOMERS),
        any_money(chance),
        key=f"late-{chance.randint(0, 90)}",
        period=an_hour(shop, chance),
        resource=chance.choice(RESOURCES),
        project=chance.choice(("", "blue")),
    )


def transactions_of(shop, customer):
    listed = shop.billing.customer(customer).transactions().items
    return [each for each in listed if each.kind in ("charge", "adjustment")]


def reverse(shop, chance):
    charges = transactions_of(shop, chance.choice(CUSTOMERS))
    if not charges:
        return
    later = shop.clock.now() + timedelta(days=chance.randint(1, 30))
    shop.billing.usage.reverse(
        chance.choice(charges).id,
        chance.choice((None, any_money(chance), eur("0.10"))),
        key=f"back-{chance.randint(0, 400)}",
        reason="it did not work",
        expires_at=chance.choice((None, None, later)),
    )


def hold(shop, chance):
    shop.billing.usage.hold(
        chance.choice(CUSTOMERS),
        any_money(chance),
        key=f"hold-{chance.randint(0, 90)}",
        expires_in=timedelta(minutes=chance.choice((10, 600, 9000))),
        description=chance.choice(("", "a job")),
        resource=chance.choice(RESOURCES),
    )


def end_hold(shop, chance):
    held = shop.billing.customer(chance.choice(CUSTOMERS)).holds()
    if not held:
        return
    wanted = chance.choice(held)
    if chance.random() < 0.4:
        shop.billing.usage.release(wanted.id)
    else:
        share = chance.choice((1, 2, 3))
        shop.billing.usage.capture(wanted.id, Money(max(1, wanted.amount.units // share), "EUR"))


def give(shop, chance):
    kind = chance.choice(("goodwill", "promotional", "migrated", "external"))
    now, day = shop.clock.now(), timedelta(days=1)
    begins = chance.choice((None, None, now + day * chance.random()))
    operator(shop.billing).customers.grant(
        chance.choice(CUSTOMERS),
        any_money(chance),
        kind=kind,
        reason="because",
        key=f"gift-{chance.randint(0, 90)}",
        effective_at=begins,
        expires_at=chance.choice((None, (begins or now) + day * chance.uniform(0.1, 3))),
        priority=chance.choice((None, None, 5, 60)),
        **({"system": "partner"} if kind == "external" else {}),
    )


def void(shop, chance):
    given = operator(shop.billing).customers.grants(chance.choice(CUSTOMERS), all=True)
    if given:
        operator(shop.billing).customers.void_grant(chance.choice(given).id, reason="a mistake")


def make_vouchers(shop, chance):
    now, day = shop.clock.now(), timedelta(days=1)
    made = operator(shop.billing).vouchers.create(
        any_money(chance),
        count=chance.randint(1, 4),
        expires_at=chance.choice((None, now + day * chance.random())),
        credit_valid_for=chance.choice((None, timedelta(hours=chance.randint(1, 60)))),
    )
    for voucher in made:
        if chance.random() < 0.7:
            for _ in range(chance.choice((1, 1, 2))):
                shop.billing.customer(chance.choice(CUSTOMERS)).vouchers.redeem(voucher.code)


def end_vouchers(shop, chance):
    listed = operator(shop.billing).vouchers.list(state=chance.choice((None, "open"))).items
    if listed:
        wanted = chance.choice(listed)
        operator(shop.billing).vouchers.end(chance.choice((wanted.id, wanted.batch)), reason="a mistake")


def any_rate(chance):
    amount = chance.choice(("0.00744", "0.0000004", "1", "0.000000000001", "0.5", "0.0000015"))
    cap = chance.choice((None, "2.5", "0.01"))
    by_second = {"increment": "second", "minimum_s": chance.choice((0, 90))} if chance.random() < 0.5 else {}
    return Rate.hourly(amount, "EUR", monthly_cap=cap, **by_second)


def meter(shop, chance):
    resource, customer, meters = chance.choice(("vm-1", "vm-2")), chance.choice(CUSTOMERS), shop.billing.meters
    at = chance.choice((None, shop.clock.now() - timedelta(seconds=chance.randint(0, 12_000))))
    match chance.randint(0, 3):
        case 0 | 1:
            meters.start(customer, resource=resource, rate=any_rate(chance), at=at)
        case 2:
            meters.change(resource, rate=any_rate(chance), at=at)
        case 3:
            meters.stop(resource, at=at)


def pass_time(shop, chance):
    shop.clock.set(shop.clock.now() + timedelta(minutes=chance.randint(-40, 400)))
    if chance.random() < 0.5:
        shop.billing.meters.bill()


def run_jobs(shop, chance):
    shop.billing.run_due()


def operate(shop, chance):
    ops = operator(shop.billing)
    match chance.randint(0, 5):
        case 5:
            ops.settings.approvals(two_person_above=chance.choice((None, eur("10"))))
        case 0:
            ops.customers.overdraft(chance.choice(CUSTOMERS), any_money(chance), reason="trusted")
        case 1:
            ops.customers.freeze(chance.choice(CUSTOMERS), reason="odd")
        case 2:
            ops.customers.unfreeze(chance.choice(CUSTOMERS), reason="all is well")
        case 3:
            ops.settings.thresholds(any_levels(chance))
        case 4:
            ops.settings.burn_order(BurnOrder(paid=chance.choice((1, 50))))


def any_levels(chance):
    low = chance.choice((None, eur("20"), 24))
    grace = timedelta(hours=chance.choice((0, 5)))
    return Thresholds(low=low, negative=eur("-1"), suspend=chance.choice((None, eur("-5"))), grace=grace)


def bought(shop, chance):
    """Give a credited top-up, if there is one, that money was paid for."""
    listed = shop.billing.customer(chance.choice(CUSTOMERS)).topups.list().items
    paid = [each for each in listed if each.state == "credited" and each.gateway == "simulated"]
    return chance.choice(paid) if paid else None


def ask_back(shop, chance):
    customer = chance.choice(CUSTOMERS)
    door = shop.billing.customer(customer)
    found = [each for each in door.refunds.eligible().items if each.credit]
    if not found:
        return
    wanted = chance.choice(found)
    amount = wanted.credit if chance.random() < 0.4 else Money.from_minor(chance.randint(1, 900), "EUR")
    asked = door.refunds.request(wanted.id, amount, reason="unused", key=f"ask-{chance.randint(0, 90)}")
    if chance.random() < 0.1:
        door.refunds.withdraw(asked.id)


def decide(shop, chance):
    desk = operator(shop.billing, chance.choice(("alice", "bob"))).refunds
    waiting = desk.queue(state=chance.choice(("open", "open", "all"))).items
    if not waiting:
        return
    request = chance.choice(waiting)
    if chance.random() < 0.2:
        desk.reject(request.id, reason="no")
        return
    shop.provider.script_refund(chance.choice(("succeeded", "succeeded", "pending", "failed")))
    part = None if chance.random() < 0.7 else Money.from_minor(max(1, request.amount.floor_minor() // 2), "EUR")
    desk.approve(request.id, amount=part, reason="fair")


def give_back_elsewhere(shop, chance):
    topup = bought(shop, chance)
    if topup is None:
        return
    if chance.random() < 0.3:
        credit = Money.from_minor(chance.randint(1, 900), "EUR")
        desk = operator(shop.billing).refunds
        desk.record(topup.id, credit, reference=f"line {chance.randint(0, 40)}", reason="by bank")
        return
    checkout = checkout_id(shop.billing, topup)
    shop.provider.refund_at_provider(checkout, Money.from_minor(chance.randint(1, 2000), topup.total.currency))
    operator(shop.billing).topups.recheck(topup.id)


def end_refund(shop, chance):
    topup = bought(shop, chance)
    if topup is None:
        return
    for refund in operator(shop.billing).topups.facts(topup.id).refunds:
        if refund.gateway_refund_id and refund.state in ("pending", "succeeded") and refund.origin != "outside":
            shop.provider.finish_refund(refund.gateway_refund_id, succeed=chance.random() < 0.6)
    operator(shop.billing).topups.recheck(topup.id)


def dispute(shop, chance):
    topup = bought(shop, chance)
    if topup is None:
        return
    known = operator(shop.billing).topups.facts(topup.id).disputes
    open_ones = [each for each in known if each.state in ("open", "inquiry")]
    if open_ones:
        told = chance.choice(open_ones)
        ends = (shop.provider.escalate,) if told.state == "inquiry" else (shop.provider.win, shop.provider.lose)
        chance.choice(ends)(told.dispute_id)
    else:
        amount = chance.choice((None, Money.from_minor(chance.randint(1, 2000), topup.total.currency)))
        shop.provider.dispute(checkout_id(shop.billing, topup), amount=amount, inquiry=chance.random() < 0.2)
    operator(shop.billing).topups.recheck(topup.id)


ACTS = (
    buy,
    use,
    use,
    use,
    adjust,
    reverse,
    reverse,
    hold,
    hold,
    end_hold,
    end_hold,
    give,
    give,
    void,
    make_vouchers,
    end_vouchers,
    buy,
    ask_back,
    ask_back,
    decide,
    decide,
    give_back_elsewhere,
    end_refund,
    dispute,
    dispute,
)
TIMES = (meter, meter, pass_time, pass_time, run_jobs, operate)


def live(shop: Shop, chance: random.Random, *, steps: int) -> None:
    """Do so many random things; those that are refused are done all the same as far as a customer could."""
    for _ in range(steps):
        act = chance.choice((*ACTS, *TIMES))
        with suppress(RequestRefused):
            act(shop, chance)
