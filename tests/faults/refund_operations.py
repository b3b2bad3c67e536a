"""What is done about money that goes back, for faults to be let loose on: each exactly once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

from prepaid import Address, Bonus, Percent, Promotion, RequestedRefund, TaxProfile, TaxRule, Topup

from .harness import Operation, and_tell
from .world import Host, checkout_of, eur

CUSTOMER: Final = "ada"
MINUTE: Final = timedelta(minutes=1)
TWENTY: Final = eur("20.00")


# What everything begins with


def _sold(host: Host) -> Topup:
    """Sell 50 with 19 % tax and a bonus of 10, of which 6 are used, and tell all of it."""
    host.register(CUSTOMER)
    operator, door = host.operator(), host.billing.customer(CUSTOMER)
    operator.tax.add(TaxRule(country="DE", components=(("USt", "19"),), valid_from=date(2014, 1, 1)))
    door.tax_profile.set(TaxProfile(address=Address(country="DE")))
    operator.promotions.create(Promotion("PLUS", Bonus(Percent("20"))))
    topup = host.start(CUSTOMER, eur("50.00"), key="order-1", code="PLUS")
    host.pay(topup)
    host.deliver()
    host.billing.usage.charge(CUSTOMER, eur("6.00"), key="used")
    host.billing.run_due()
    return topup


def _topup(host: Host) -> Topup:
    [topup] = host.billing.customer(CUSTOMER).topups.list().items
    return topup


def _ask(host: Host) -> RequestedRefund:
    return host.billing.customer(CUSTOMER).refunds.request(_topup(host).id, TWENTY, reason="unused", key="ask-1")


def _asked(host: Host) -> Topup:
    topup = _sold(host)
    _ask(host)
    host.billing.run_due()
    return topup


def _request(host: Host) -> RequestedRefund:
    [request] = host.billing.customer(CUSTOMER).refunds.list().items
    return request


def _stand(host: Host) -> object:
    """Say where the request and the balance are."""
    balance = host.billing.customer(CUSTOMER).balance()
    requests = host.billing.customer(CUSTOMER).refunds.list().items
    return [request.state for request in requests], f"{balance.settled}, {balance.held} held"


def _tell_last(host: Host) -> object:
    """Deliver the last webhook there is."""
    delivery = host.provider.events()[-1]
    headers, body = delivery.request(at=host.clock.now())
    return host.billing.webhooks.receive("simulated", body=body, headers=headers).status


def _told(prepare: Callable[[Host], object]) -> dict[str, Any]:
    """Make an operation of it that a webhook tells of what ``prepare`` left at the gateway."""

    def again(host: Host) -> object:
        return _tell_last(host), _stand(host)

    return {"prepare": prepare, "run": and_tell(_tell_last), "again": again}


# At the desk


def _request_and_stand(host: Host) -> object:
    _ask(host)
    return _stand(host)


REQUEST = Operation(name="request", prepare=_sold, run=and_tell(_ask), again=_request_and_stand)
"""A customer asks for a part of a top-up back."""


def _withdraw(host: Host) -> object:
    host.billing.customer(CUSTOMER).refunds.withdraw(_request(host).id)
    return _stand(host)


WITHDRAW = Operation(name="withdraw", prepare=_asked, run=and_tell(_withdraw), again=_withdraw)
"""The customer takes that back."""


def _approve(host: Host) -> object:
    return host.operator().refunds.approve(_request(host).id, reason="fair", note="You will have it soon.")


def _approve_and_pursue(host: Host) -> object:
    _approve(host)
    host.billing.run_due("refunds")
    return _stand(host)


APPROVE = Operation(name="approve", prepare=_asked, run=and_tell(_approve), again=_approve_and_pursue)
"""An operator approves: credit, bonus, a call of the gateway, its answer, the credit note."""


def _asked_of_charge(host: Host) -> None:
    _sold(host)
    door = host.billing.customer(CUSTOMER)
    [used] = door.transactions(kind="charge").items
    door.refunds.request(used.id, eur("5.00"), reason="an outage", key="ask-1")
    host.billing.run_due()


APPROVE_CHARGE = Operation(
    name="approve charge", prepare=_asked_of_charge, run=and_tell(_approve), again=_approve_and_pursue
)
"""An operator approves that a part of a charge goes back."""


def _asked_above_limit(host: Host) -> None:
    host.operator().settings.approvals(two_person_above=eur("10.00"))
    _asked(host)


CONFIRM = Operation(name="confirm", prepare=_asked_above_limit, run=and_tell(_approve), again=_approve_and_pursue)
"""The first of two operators approves: no money moves."""


def _confirmed(host: Host) -> None:
    _asked_above_limit(host)
    host.operator("bob").refunds.approve(_request(host).id, reason="fair")


APPROVE_SECOND = Operation(name="approve second", prepare=_confirmed, run=and_tell(_approve), again=_approve_and_pursue)
"""The second of two operators approves."""


def _reject(host: Host) -> object:
    host.operator().refunds.reject(_request(host).id, reason="used up", note="Please write to us.")
    return _stand(host)


REJECT = Operation(name="reject", prepare=_asked, run=and_tell(_reject), again=_reject)
"""An operator rejects."""


def _record(host: Host) -> object:
    made = {"reference": "SEPA 77", "reason": "by transfer", "refund_id": _request(host).id}
    host.operator().refunds.record(_topup(host).id, TWENTY, **made)
    return _stand(host)


RECORD = Operation(name="record", prepare=_asked, run=and_tell(_record), again=_record)
"""An operator records what was given back by bank transfer, in answer to the request."""


# Refunds, told by webhook


def _on_its_way(host: Host) -> str:
    """Approve a refund that the gateway takes its time for, and give the gateway's id of it."""
    _asked(host)
    host.provider.script_refund("pending")
    return _given(host)


def _given(host: Host) -> str:
    _approve(host)
    host.billing.run_due()
    [refund] = host.operator().topups.facts(_topup(host).id).refunds
    return str(refund.gateway_refund_id)


def _arrived(host: Host) -> None:
    host.provider.finish_refund(_on_its_way(host))


def _not_arrived(host: Host) -> None:
    host.provider.finish_refund(_on_its_way(host), succeed=False)


def _came_back(host: Host) -> None:
    _asked(host)
    host.provider.finish_refund(_given(host), succeed=False)


def _made_there(host: Host) -> None:
    topup = _sold(host)
    host.provider.refund_at_provider(checkout_of(topup), eur("23.80"))


SETTLE_REFUND = Operation(name="settle refund", **_told(_arrived), after=MINUTE)
"""A gateway tells that a refund arrived."""

FAIL_REFUND = Operation(name="fail refund", **_told(_not_arrived), after=MINUTE)
"""A gateway tells that a refund did not arrive."""

RETURN_REFUND = Operation(name="return refund", **_told(_came_back), after=MINUTE)
"""A gateway tells that a refund came back that had arrived."""

REFUND_THERE = Operation(name="refund there", **_told(_made_there), after=MINUTE)
"""Somebody gave money back in the gateway's dashboard."""


def _all_given_there(host: Host) -> None:
    """Approve a refund that the gateway does not hear of, and let all of the money be given back in its dashboard."""
    topup = _asked(host)
    host.provider.fault_next("refund", "unavailable")
    _approve(host)
    host.provider.refund_at_provider(checkout_of(topup))
    _tell_last(host)
    host.billing.run_due()


def _pursue(host: Host) -> object:
    host.billing.run_due("refunds")
    return _stand(host)


TAKE_AGAIN = Operation(name="take again", prepare=_all_given_there, run=and_tell(_pursue), again=_pursue, after=MINUTE)
"""A refund of ours fails, and one in the dashboard, which had found too little, takes what comes back."""


# Disputes, told by webhook


def _disputed(host: Host) -> str:
    return host.provider.dispute(checkout_of(_sold(host)))


def _heard(host: Host) -> str:
    """Dispute the payment, let the host hear of it, and give the gateway's id."""
    dispute_id = _disputed(host)
    _tell_last(host)
    host.billing.run_due()
    return dispute_id


def _won(host: Host) -> None:
    host.provider.win(_heard(host))


def _lost(host: Host) -> None:
    host.provider.lose(_heard(host))


def _appealed(host: Host) -> None:
    dispute_id = _heard(host)
    for act in (host.provider.lose, host.provider.appeal):
        act(dispute_id)
        _tell_last(host)
    host.billing.run_due()
    host.provider.win(dispute_id)


WITHDRAWN = Operation(name="dispute withdrawn", **_told(_disputed), after=MINUTE)
"""A bank takes the money back, and what is left of the credit is held."""

WON = Operation(name="dispute won", **_told(_won), after=MINUTE)
"""The money is back, and the credit is free."""

LOST = Operation(name="dispute lost", **_told(_lost), after=MINUTE)
"""The money is gone: the credit, the bonus and the tax go too, and what was used is a debt."""

RESTORED = Operation(name="dispute restored", **_told(_appealed), after=MINUTE)
"""An appeal is won, and all that the loss had taken comes back."""


def _reverse(host: Host) -> object:
    [used] = host.billing.customer(CUSTOMER).transactions(kind="charge").items
    host.billing.usage.reverse(used.id, key="ticket-9", reason="outage")
    host.billing.run_due("outbox")
    return _stand(host)


FREED = Operation(name="disputed charge back", prepare=_heard, run=and_tell(_reverse), again=_reverse, after=MINUTE)
"""A charge goes back to a payment that is disputed, and what comes back is held with the rest."""

OPERATIONS: Final = (
    REQUEST,
    WITHDRAW,
    APPROVE,
    APPROVE_CHARGE,
    CONFIRM,
    APPROVE_SECOND,
    REJECT,
    RECORD,
    SETTLE_REFUND,
    FAIL_REFUND,
    RETURN_REFUND,
    REFUND_THERE,
    TAKE_AGAIN,
    WITHDRAWN,
    WON,
    LOST,
    RESTORED,
    FREED,
)
