"""What a host, an operator and the calendar do with credit, for faults to be let loose on: each exactly once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from prepaid import Thresholds
from prepaid.testing.clock import START

from .harness import Operation, and_tell
from .world import Host, eur

CUSTOMER: Final = "ada"
MINUTE: Final = timedelta(minutes=1)


def _customer(host: Host) -> None:
    host.register(CUSTOMER)
    host.operator().settings.thresholds(Thresholds(low=eur("2.00")))


def _give(host: Host, amount: str, key: str, **options: Any) -> object:
    wanted = {"kind": "goodwill", "reason": "welcome", "key": key, **options}
    given = host.operator().customers.grant(CUSTOMER, eur(amount), **wanted)
    host.clock.advance(seconds=1)  # of two grants alike, the older one burns first
    return given


def _balance(host: Host) -> str:
    balance = host.billing.customer(CUSTOMER).balance()
    return f"{balance.settled}, {balance.held} held"


def _two_lots(host: Host) -> None:
    _customer(host)
    _give(host, "3.00", "first", kind="promotional")
    _give(host, "5.00", "second")


# Holds


def _hold(host: Host) -> Any:
    return host.billing.usage.hold(CUSTOMER, eur("7.00"), key="build-7", expires_in=timedelta(hours=9))


def _held(host: Host) -> object:
    held = _hold(host)
    return held.state, str(held.captured), _balance(host)


HOLD = Operation(name="hold", prepare=_two_lots, run=and_tell(_held), again=_held)
"""Credit is reserved."""


def _prepare_hold(host: Host) -> None:
    _two_lots(host)
    _hold(host)


def _capture(host: Host) -> object:
    outcome = host.billing.usage.capture(_hold(host).id, eur("6.50"))
    return str(outcome.balance_after), _balance(host)


CAPTURE = Operation(name="capture", prepare=_prepare_hold, run=and_tell(_capture), again=_capture)
"""A hold is charged in part, from two lots, and the balance falls below a level."""


def _prepare_release(host: Host) -> None:
    _customer(host)
    _give(host, "8.00", "lapses", kind="promotional", expires_at=START + MINUTE)
    _hold(host)


def _release(host: Host) -> object:
    return host.billing.usage.release(_hold(host).id).state, _balance(host)


RELEASE = Operation(name="release", prepare=_prepare_release, run=and_tell(_release), again=_release, after=5 * MINUTE)
"""A hold is given back, and the credit that it alone kept lapses with it."""


# What the calendar does


def _prepare_dates(host: Host) -> None:
    _customer(host)
    _give(host, "4.00", "lapses", kind="promotional", expires_at=START + 2 * MINUTE)
    _give(host, "1.00", "begins", effective_at=START + 3 * MINUTE)
    _give(host, "0.50", "begins and lapses", effective_at=START + MINUTE, expires_at=START + 2 * MINUTE)
    host.billing.usage.hold(CUSTOMER, eur("3.00"), key="lapses", expires_in=4 * MINUTE)


def _dates(host: Host) -> object:
    host.billing.run_due(only="credit")
    return _balance(host)


SWEEP = Operation(name="sweep", prepare=_prepare_dates, run=and_tell(_dates), again=_dates, after=5 * MINUTE)
"""A hold and two lots lapse and two lots begin, one of both, and the balance falls below a level."""


def _give_later(host: Host) -> object:
    later = START + timedelta(hours=1)
    _give(host, "5.00", "later", effective_at=later, expires_at=later + timedelta(hours=1))
    return _balance(host), len(host.billing.customer(CUSTOMER).grants())


GIVE_LATER = Operation(name="give later", prepare=_customer, run=and_tell(_give_later), again=_give_later)
"""Credit is given that begins later."""


def _give_now(host: Host) -> object:
    _give(host, "5.00", "now", expires_at=START + timedelta(days=30))
    return _balance(host)


def _in_debt(host: Host) -> None:
    _customer(host)
    host.billing.usage.charge(CUSTOMER, eur("2.00"), key="debt", allow_negative=True)


GIVE = Operation(name="give", prepare=_in_debt, run=and_tell(_give_now), again=_give_now)
"""Credit is given to a wallet in debt, and raises it above a level."""


# What is taken and given back


def _prepare_void(host: Host) -> None:
    _two_lots(host)
    host.billing.usage.charge(CUSTOMER, eur("1.00"), key="used")


def _void(host: Host) -> object:
    [gift] = [grant for grant in host.operator().customers.grants(CUSTOMER, all=True) if grant.kind == "goodwill"]
    host.operator().customers.void_grant(gift.id, reason="given twice")
    return _balance(host)


VOID = Operation(name="void", prepare=_prepare_void, run=and_tell(_void), again=_void)
"""An operator takes back what is left of credit."""


def _prepare_reverse(host: Host) -> None:
    _customer(host)
    _give(host, "3.00", "lapses", kind="promotional", expires_at=START + MINUTE)
    _give(host, "5.00", "stays")
    host.billing.usage.charge(CUSTOMER, eur("10.00"), key="used", allow_negative=True)
    _give(host, "1.00", "pays the debt")


def _reverse(host: Host) -> object:
    [used] = host.billing.customer(CUSTOMER).transactions(kind="charge").items
    outcome = host.billing.usage.reverse(used.id, key="ticket-9", reason="outage")
    return str(outcome.balance_after), _balance(host)


REVERSE = Operation(name="reverse", prepare=_prepare_reverse, run=and_tell(_reverse), again=_reverse, after=5 * MINUTE)
"""A charge goes back: to a debt and what paid it, to a lot, and to one that has lapsed and lapses anew."""

# Codes


def _make_code(host: Host) -> Any:
    operator = host.operator()
    [voucher] = operator.vouchers.create(eur("5.00"), credit_valid_for=timedelta(days=30))
    (host.world.folder / "code").write_text(voucher.code)
    return voucher


def _prepare_redeem(host: Host) -> None:
    _in_debt(host)
    _make_code(host)


def _redeem(host: Host) -> object:
    redeemed = host.billing.customer(CUSTOMER).vouchers.redeem((host.world.folder / "code").read_text())
    [voucher] = host.operator().vouchers.list().items
    assert voucher.transaction_id == redeemed.transaction_id
    return str(redeemed.amount), voucher.state, voucher.redeemed_by, _balance(host)


REDEEM = Operation(name="redeem", prepare=_prepare_redeem, run=and_tell(_redeem), again=_redeem)
"""A voucher is redeemed into a wallet in debt, and raises it above a level."""


def _prepare_end(host: Host) -> None:
    _prepare_redeem(host)
    _redeem(host)
    host.operator().vouchers.create(eur("1.00"), count=3, expires_at=START + timedelta(days=1))


def _end(host: Host) -> object:
    batch = host.operator().vouchers.list().items[0].batch
    host.operator().vouchers.end(batch, reason="the fair is over")
    return [voucher.state for voucher in host.operator().vouchers.list().items], len(_ends(host))


def _ends(host: Host) -> list[Any]:
    return [act for act in host.operator().audit.list().items if act.action == "end-vouchers"]


END = Operation(name="end vouchers", prepare=_prepare_end, run=and_tell(_end), again=_end)
"""An operator ends a batch of vouchers, and there is one act of it."""

OPERATIONS: Final = (HOLD, CAPTURE, RELEASE, SWEEP, GIVE, GIVE_LATER, VOID, REVERSE, REDEEM, END)
