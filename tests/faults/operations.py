"""The operations of a host that faults are let loose on: settle, charge, start, bill."""

from __future__ import annotations

from datetime import timedelta

from prepaid import Charge, Rate, Thresholds

from .harness import Operation
from .world import Host, eur

CUSTOMER = "ada"
OTHER = "eve"


def _customer(host: Host) -> None:
    host.register(CUSTOMER)
    operator = host.operator()
    operator.settings.thresholds(Thresholds(low=eur("2.00")))


def _give(host: Host, amount: str, kind: str) -> None:
    operator = host.operator()
    operator.customers.grant(CUSTOMER, eur(amount), kind=kind, reason="welcome", key=kind)


def _prepare_settle(host: Host) -> None:
    _customer(host)
    host.paid_topup(CUSTOMER, eur("20.00"), key="order-1")


def _deliver(host: Host) -> object:
    return [result.status for result in host.deliver()]


def _settle(host: Host) -> object:
    host.deliver()
    return host.billing.run_due()


SETTLE = Operation(name="settle", prepare=_prepare_settle, run=_settle, again=_deliver)
"""A webhook tells of a paid top-up; the first credit, invoice and mail of a new book."""


def _prepare_charge(host: Host) -> None:
    _customer(host)
    _give(host, "3.00", "promotional")
    host.clock.advance(seconds=1)  # of two grants alike, the older one burns first
    _give(host, "5.00", "goodwill")


def _charge_again(host: Host) -> object:
    outcome = host.billing.usage.charge(CUSTOMER, eur("7.00"), key="charge-1")
    return str(outcome.balance_after)


def _charge(host: Host) -> object:
    _charge_again(host)
    return host.billing.run_due("outbox")


CHARGE = Operation(name="charge", prepare=_prepare_charge, run=_charge, again=_charge_again)
"""A charge that empties one grant and half of another, and crosses the low threshold."""


def _prepare_plain_charge(host: Host) -> None:
    _customer(host)
    _give(host, "9.00", "goodwill")


PLAIN_CHARGE = Operation(name="plain charge", prepare=_prepare_plain_charge, run=_charge, again=_charge_again)
"""A charge that one grant pays for and that crosses nothing: the engine's own fast path."""


def _charge_many_again(host: Host) -> object:
    charges = [
        Charge(customer, eur(amount), key)
        for customer, amount, key in (
            (CUSTOMER, "2.00", "charge-1"),
            (OTHER, "1.00", "charge-1"),
            (CUSTOMER, "9.00", "charge-2"),
            (CUSTOMER, "5.00", "charge-3"),
        )
    ]
    return [str(outcome.balance_after) for outcome in host.billing.usage.charge_many(charges)]


def _charge_many(host: Host) -> object:
    _charge_many_again(host)
    return host.billing.run_due("outbox")


def _prepare_charge_many(host: Host) -> None:
    _prepare_charge(host)
    host.register(OTHER)
    operator = host.operator()
    operator.customers.grant(OTHER, eur("2.50"), kind="goodwill", reason="welcome", key="welcome")


CHARGE_MANY = Operation(name="charge many", prepare=_prepare_charge_many, run=_charge_many, again=_charge_many_again)
"""A batch over two wallets: a grant emptied, an item refused, two levels crossed."""


def _start(host: Host) -> object:
    topup = host.start(CUSTOMER, eur("20.00"), key="order-1")
    return topup.state, topup.checkout.redirect_url is not None


START_TOPUP = Operation(name="start", prepare=_customer, run=_start, again=_start)
"""A top-up is started: the intent is kept, the gateway makes a checkout, its answer is kept."""


def _prepare_bill(host: Host) -> None:
    _customer(host)
    _give(host, "1.00", "goodwill")
    host.billing.meters.start(CUSTOMER, resource="vm-1", rate=Rate.hourly("0.40", "EUR"))
    host.clock.advance(seconds=1)  # so that it is known which of the two is billed first
    host.billing.meters.start(CUSTOMER, resource="vm-2", rate=Rate.hourly("0.30", "EUR"))


def _bill_again(host: Host) -> object:
    host.billing.meters.bill()
    return str(host.billing.customer(CUSTOMER).balance().settled)


def _bill(host: Host) -> object:
    _bill_again(host)
    return host.billing.run_due("outbox")


BILL = Operation(name="bill", prepare=_prepare_bill, run=_bill, again=_bill_again, after=timedelta(hours=2, minutes=1))
"""Two meters owe two hours each, the last of them below zero."""


def _metered(host: Host) -> object:
    return sorted(meter.resource for meter in host.billing.customer(CUSTOMER).meters())


def _start_meter(host: Host) -> object:
    return host.billing.meters.start(CUSTOMER, resource="vm-1", rate=Rate.hourly("0.40", "EUR"))


def _prepare_stop_meter(host: Host) -> None:
    _customer(host)
    _start_meter(host)


def _change_meter(host: Host) -> object:
    return host.billing.meters.change("vm-1", rate=Rate.hourly("0.80", "EUR"))


def _prepare_restart_meter(host: Host) -> None:
    _prepare_stop_meter(host)
    host.billing.meters.stop("vm-1")


def _restart_meter(host: Host) -> object:
    return host.billing.meters.start(CUSTOMER, resource="vm-1", rate=Rate.hourly("0.80", "EUR"))


def _stop_meter(host: Host) -> object:
    return host.billing.meters.stop("vm-1")


START_METER = Operation(name="meter start", prepare=_customer, run=_start_meter, again=_metered)
"""A resource begins to accrue; who hears an error will take the resource away again."""

CHANGE_METER = Operation(
    name="meter change", prepare=_prepare_stop_meter, run=_change_meter, again=_metered, after=timedelta(minutes=5)
)
"""A resource goes on at another rate."""

RESTART_METER = Operation(
    name="meter restart", prepare=_prepare_restart_meter, run=_restart_meter, again=_metered, after=timedelta(minutes=5)
)
"""A resource that stopped goes on, in the hour that it had begun, at another rate."""

STOP_METER = Operation(
    name="meter stop", prepare=_prepare_stop_meter, run=_stop_meter, again=_metered, after=timedelta(minutes=5)
)
"""A resource ends."""
