"""What is done about a customer's identity, for faults to be let loose on: each exactly once."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from prepaid import IdentityPolicy, settlement

from .harness import Operation, and_tell
from .world import Host, eur

CUSTOMER: Final = "ada"
MINUTE: Final = timedelta(minutes=1)
FIRST: Final = IdentityPolicy(before_first_topup=True)


def _hold(host: Host, *amounts: str) -> None:
    host.register(CUSTOMER)
    for number, amount in enumerate(amounts):
        host.paid_topup(CUSTOMER, eur(amount), key=f"order-{number}")
        host.clock.advance(seconds=1)  # so that it is known which of two is credited first
    host.operator().identity.policy(FIRST)
    host.deliver()
    host.billing.run_due("outbox")


def _balance(host: Host) -> str:
    return str(host.billing.customer(CUSTOMER).balance().settled)


def _prepare_hold_back(host: Host) -> None:
    host.register(CUSTOMER)
    host.paid_topup(CUSTOMER, eur("20.00"), key="order-1")
    host.operator().identity.policy(FIRST)


def _deliver(host: Host) -> object:
    return [result.status for result in host.deliver()]


HOLD_BACK = Operation(name="hold back", prepare=_prepare_hold_back, run=and_tell(_deliver), again=_deliver)
"""A payment comes in whose customer has to be verified first."""


def _prepare_release(host: Host) -> None:
    _hold(host, "20.00")
    host.operator().identity.policy()


def _release(host: Host) -> object:
    for (topup_id,) in host.world.rows("SELECT id FROM prepaid_topup ORDER BY 1"):
        settlement.release_held(host.billing._context, topup_id)
    return _balance(host)


RELEASE = Operation(name="release held", prepare=_prepare_release, run=and_tell(_release), again=_release, after=MINUTE)
"""A held payment is credited because nothing asks for a verification any more."""


def _prepare_approve(host: Host) -> None:
    _hold(host, "20.00", "30.00")


def _approve(host: Host) -> object:
    status = host.operator().identity.approve(CUSTOMER, reason="seen")
    return status.state, status.level, _balance(host)


APPROVE = Operation(name="approve", prepare=_prepare_approve, run=and_tell(_approve), again=_approve, after=MINUTE)
"""An operator approves a customer, for whom two payments wait."""


def _start(host: Host) -> object:
    case = host.billing.customer(CUSTOMER).identity.start(return_url="https://panel.example/verified")
    return case.state, case.redirect_url


def _start_and_look(host: Host) -> object:
    _start(host)
    host.clock.advance(minutes=2)
    return host.billing.run_due()


def _verified(host: Host) -> object:
    host.clock.advance(minutes=2)  # the jobs of the process that died began later than the others of this harness
    if not host.billing.customer(CUSTOMER).identity.status().level:
        _start_and_look(host)
    status = host.billing.customer(CUSTOMER).identity.status()
    return status.state, status.level


START_CASE = Operation(
    name="start case", prepare=lambda host: host.register(CUSTOMER), run=_start_and_look, again=_verified
)
"""A customer begins to be verified, and a job finds that they are: intent, call, answer, look, result."""


def _prepare_look(host: Host) -> None:
    _hold(host, "20.00")
    _start(host)


def _look(host: Host) -> object:
    return host.operator().identity.recheck(CUSTOMER).state, _balance(host)


LOOK = Operation(name="look at case", prepare=_prepare_look, run=and_tell(_look), again=_look, after=MINUTE)
"""A provider says that a customer is verified, for whom a payment waits."""

OPERATIONS: Final = (HOLD_BACK, RELEASE, APPROVE, START_CASE, LOOK)
