"""What is done about digests, for faults to be let loose on: each day's exactly once."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from prepaid import permissions

from .harness import Operation
from .world import Host, eur

CUSTOMER: Final = "ada"
SUNDAY: Final = date(2026, 11, 22)
"""The day before a world begins."""


def _operator(host: Host) -> Any:
    return host.billing.operator("alice", permissions=permissions.ALL)


def _switch_on(host: Host) -> None:
    host.register(CUSTOMER)
    _operator(host).customers.grant(CUSTOMER, eur("5.00"), kind="goodwill", reason="welcome", key="welcome")
    host.billing.usage.charge(CUSTOMER, eur("2.00"), key="used")
    _operator(host).digest.settings(email="cfo@nimbus.example", hour=7)


def _digest(host: Host) -> object:
    host.billing.run_due("digest")
    return sorted(host.world.rows("SELECT day FROM prepaid_digest"))


def _and_mail(host: Host) -> object:
    return host.billing.run_due("digest"), host.billing.run_due("outbox")


DIGEST: Final = Operation(name="digest", prepare=_switch_on, run=_and_mail, again=_digest, after=timedelta(days=1))
"""Two days have ended: each is written, mailed and told."""


def _send(host: Host) -> object:
    _operator(host).digest.send(SUNDAY, reason="asked for")
    return len(_operator(host).audit.list(action="digest-send").items)


def _send_and_tell(host: Host) -> object:
    _send(host)
    return host.billing.run_due("outbox")


SEND: Final = Operation(name="send digest", prepare=_switch_on, run=_send_and_tell, again=_send)
"""An operator sends one day's, at once."""

OPERATIONS: Final = (DIGEST, SEND)
