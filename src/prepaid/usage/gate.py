"""Before a resource starts: may it, and how long will the balance last."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, localcontext

from .. import customers, identity, wallets
from ..config import Context
from ..core.errors import InvalidRequest
from ..core.money import EXACT, MAX_UNITS, Money, scale_of
from ..core.rates import Rate
from ..core.thresholds import SETTING
from ..core.usage import Permission
from ..store import Tx, accounts, operations
from ..store import customers as customer_rows
from ..wallets import levels

MAX_HOURS = 100_000


def may_start(context: Context, customer_id: str, *, rate: Rate | None = None, hours: int = 1) -> Permission:
    """Say whether a customer may start something: not frozen or suspended, not in debt, and able to pay for a while.

    A policy that compares what was used may ask for a verification first.

    Args:
        context: The billing system.
        customer_id: Who would pay.
        rate: What it would cost; None asks about the balance alone.
        hours: How many hours the balance must last, with all that runs already.

    Raises:
        NotFound: The customer is not registered.
        InvalidRequest: ``rate`` is no `Rate` of a currency in use, or ``hours`` is out of range.
    """
    customer = customers.require(context, customer_id)
    if rate is not None and not isinstance(rate, Rate):
        raise InvalidRequest("rate is a Rate, or None.", field="rate")
    if type(hours) is not int or not 1 <= hours <= MAX_HOURS:
        raise InvalidRequest(f"hours is 1 to {MAX_HOURS}.", field="hours")
    currency = customer.currency if rate is None else context.currency_or_default(rate.currency)
    return context.database.read(
        lambda tx: _decide(tx, context, customer.id, currency=currency, rate=rate, hours=hours)
    )


def _decide(tx: Tx, context: Context, customer_id: str, *, currency: str, rate: Rate | None, hours: int) -> Permission:
    if customer_rows.frozen_at(tx, customer_id) is not None:
        return Permission(False, "customer-frozen", "The customer is frozen.")
    unmet = identity.unmet_by_usage(tx, context, customer_id, currency)
    if unmet is not None:
        return Permission(False, "identity-required", unmet.message)
    balance = wallets.balance(tx, customer_id, currency, now=context.now())
    wallet, settings = accounts.find_wallet(tx, customer_id, currency), operations.read_setting(tx, SETTING) or {}
    if wallet is not None and levels.is_suspended(tx, wallet, balance.settled.units):
        return Permission(False, "suspended", "The balance is below the level at which resources are suspended.")
    if balance.settled.units < 0 and not settings.get("start_when_negative", False):
        return Permission(False, "negative-balance", "The balance is below zero.")
    needed = _needed(levels.hourly_cost(tx, customer_id, currency), rate, hours=hours, currency=currency)
    if rate is not None and balance.available < needed:
        return Permission(False, "insufficient-credit", f"The balance does not last {hours} hours.")
    return Permission(True, "allowed", "")


def _needed(running: Decimal, rate: Rate | None, *, hours: int, currency: str) -> Money:
    per_hour = running if rate is None else EXACT.add(running, rate.amount)
    exact = EXACT.multiply(per_hour, hours).scaleb(scale_of(currency), EXACT)
    return Money(int(min(exact, Decimal(MAX_UNITS)).to_integral_value(ROUND_CEILING)), currency)


def runway(context: Context, customer_id: str, currency: str) -> int | None:
    """Give the whole hours that the balance lasts at the rates that run; None if nothing runs."""

    def facts(tx: Tx) -> tuple[int, Decimal]:
        available = wallets.balance(tx, customer_id, currency, now=context.now()).available
        return available.units, levels.hourly_cost(tx, customer_id, currency)

    available, per_hour = context.database.read(facts)
    if not per_hour:
        return None
    with localcontext(EXACT):
        return int(Money(max(0, available), currency).amount // per_hour)
