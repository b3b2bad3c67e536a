"""Top-ups with a code whose customers have to be verified first: the code counts, and nothing is credited early."""

from __future__ import annotations

import pytest

from prepaid import Bonus, IdentityRequired, Percent
from tests.use_cases.promotion_steps import discounting, promote, quote, redemptions
from tests.use_cases.steps import BACK, BILLING, SQLITE_FIRST, eur, lines, operator, parts
from tests.use_cases.verifiers import FIRST, approve, ask, held, paid, settle

pytestmark = SQLITE_FIRST

EVERYTHING = discounting("100")


def resolve(billing, topup, action):
    return operator(billing).topups.resolve(topup.id, action=action, reason="agreed", key="act")


def test_a_held_topup_redeems_its_code_when_it_is_released(billing, simulated, ada):
    promote(billing, effect=(Bonus(Percent("10")), discounting("20")))
    waiting = held(billing, simulated, code="SAVE10")
    assert (ada.balance().settled, redemptions(billing)) == (eur("0"), ["reserved"])

    approve(billing)

    assert ada.topups.get(waiting.id).promotion == "redeemed"
    assert redemptions(billing) == ["redeemed"]
    assert parts(ada.balance()) == ("55.00", "50.00", "5.00")
    assert billing.check().ok


def held_late(billing, simulated, clock):
    """Hold a payment back that was told of after the reservation of its code had lapsed."""
    topup = paid(billing, simulated, code="SAVE10")
    clock.advance(hours=2)
    billing.run_due("promotions")
    ask(billing, FIRST)
    assert settle(billing, topup).state == "review"
    assert redemptions(billing) == ["released"]
    return topup


def test_one_that_was_paid_after_its_reservation_takes_it_again(billing, simulated, ada, clock):
    promote(billing, uses_total=1)
    held_late(billing, simulated, clock)

    approve(billing)

    assert redemptions(billing) == ["redeemed"]
    assert lines(ada) == [("topup", "50.00"), ("bonus", "5.00")]
    assert billing.check().ok


def test_one_whose_code_was_used_up_meanwhile_is_credited_net(billing, simulated, ada, clock):
    promote(billing, effect=discounting("10"), uses_total=1)
    waiting = held_late(billing, simulated, clock)
    ask(billing)
    eve = billing.customer("eve")
    eve.topups.start(quote(billing, customer="eve"), return_url=BACK, cancel_url=BILLING, key="eve")

    billing.run_due("identity")

    credited = ada.topups.get(waiting.id)
    assert (credited.state, credited.promotion, credited.credit) == ("credited", "lost", eur("45"))
    assert billing.check().ok


def test_one_that_is_refunded_gives_its_code_back(billing, simulated):
    promote(billing, uses_total=1)
    waiting = held(billing, simulated, code="SAVE10")

    assert resolve(billing, waiting, "refund").state == "refunded"

    assert redemptions(billing) == ["released"]
    assert billing.check().ok


def test_nothing_is_given_for_nothing_before_the_customer_is_verified(billing, ada):
    promote(billing, effect=EVERYTHING)
    ask(billing, FIRST)
    offered = quote(billing, "20.00")
    assert offered.identity.required

    with pytest.raises(IdentityRequired):
        ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="free")

    assert (ada.balance().settled, redemptions(billing)) == (eur("0"), [])
    approve(billing)
    assert ada.topups.start(offered, return_url=BACK, cancel_url=BILLING, key="free").state == "credited"
    assert billing.check().ok


@pytest.mark.parametrize("ends", ["verified", "given up", "expired"])
def test_one_of_nothing_that_was_interrupted_waits_itself_and_holds_no_money(billing, ada, monkeypatch, clock, ends):
    promote(billing, effect=EVERYTHING)
    with monkeypatch.context() as patched:
        patched.setattr("prepaid.settlement.free._credit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ada.topups.start(quote(billing, "20.00"), return_url=BACK, cancel_url=BILLING, key="free")
    [topup] = ada.topups.list().items
    ask(billing, FIRST)
    billing.run_due()
    assert ada.topups.confirm(topup.id).state == "starting"
    assert ada.balance().settled == eur("0")

    if ends == "verified":
        approve(billing)
        assert ada.topups.confirm(topup.id).state == "credited"
    elif ends == "given up":
        assert ada.topups.cancel(topup.id).state == "canceled"
    else:
        clock.advance(hours=2)
        billing.run_due()
        expired = ada.topups.get(topup.id)
        assert (expired.state, expired.failure) == ("expired", "identity-required")
        approve(billing)
        billing.run_due()
        assert ada.topups.get(topup.id).state == "expired"
    assert ada.balance().settled == (eur("20") if ends == "verified" else eur("0"))
    assert billing.check().ok
