"""Which gateways a customer may pay at: those that are enabled, take the currency, the amount and the country."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from attrs import frozen

from .config import Context
from .core.errors import AmountOutOfRange, InvalidRequest
from .core.money import Money
from .core.parties import Customer
from .ports import CurrencyLimits, Gateway
from .store import Tx, operations
from .store import customers as customer_rows

GATEWAYS_SETTING: Final = "gateways"


@frozen(kw_only=True)
class GatewayOffer:
    """A gateway that can take an amount.

    Attributes:
        name: What `quote` takes.
        label: What the customer reads.
        minimum: Smallest total it takes in this currency.
        maximum: Largest total it takes in this currency.
    """

    name: str
    label: str
    minimum: Money
    maximum: Money


@frozen
class GatewayRules:
    """What an operator set: which gateways are off, and which are for some countries only."""

    disabled: tuple[str, ...]
    countries: Mapping[str, tuple[str, ...]]

    def allow(self, name: str, country: str | None) -> bool:
        """Tell whether a gateway is offered to a customer; one of unknown country is not shut out yet."""
        only = self.countries.get(name)
        return name not in self.disabled and (only is None or country is None or country in only)


def rules_from_record(record: Mapping[str, Any] | None) -> GatewayRules:
    """Read the setting; without one everything is offered to everybody."""
    known = record or {}
    countries = {name: tuple(codes) for name, codes in known.get("countries", {}).items()}
    return GatewayRules(tuple(known.get("disabled", ())), countries)


def rules(context: Context) -> GatewayRules:
    """Read the operator's rules."""
    return rules_from_record(context.database.read(lambda tx: operations.read_setting(tx, GATEWAYS_SETTING)))


def open_to(context: Context, customer: Customer) -> tuple[Gateway, ...]:
    """Give the gateways that a customer may use, in the operator's order."""

    def read(tx: Tx) -> tuple[GatewayRules, str | None]:
        known = customer_rows.current_profile(tx, customer.id)
        found = rules_from_record(operations.read_setting(tx, GATEWAYS_SETTING))
        return found, None if known is None else known[1].address.country

    found, country = context.database.read(read)
    return tuple(gateway for gateway in context.gateways.values() if found.allow(gateway.name, country))


def offers(context: Context, customer: Customer, total: Money) -> tuple[GatewayOffer, ...]:
    """Name the gateways that can take a total, in the operator's order."""
    found = []
    for gateway in open_to(context, customer):
        limits = gateway.capabilities().currencies.get(total.currency)
        if limits is not None and not _out_of_range(total, limits):
            found.append(
                GatewayOffer(name=gateway.name, label=gateway.label, minimum=limits.minimum, maximum=limits.maximum)
            )
    return tuple(found)


def choose(
    context: Context, customer: Customer, name: str | None, total: Money, *, among: Collection[str] = ()
) -> Gateway:
    """Give the gateway of a name, or the first, of those ``among`` if any are named, that can take a total.

    Raises:
        InvalidRequest: There is none of that name, it is not offered to this
            customer, or none takes the currency.
        AmountOutOfRange: The total does not fit what it takes.
    """
    if not context.gateways:
        raise InvalidRequest("No gateway is set up.", field="gateway")
    offered = [each for each in open_to(context, customer) if not among or each.name in among]
    candidates = offered if name is None else (context.gateway(name),)
    refusal: AmountOutOfRange | InvalidRequest = InvalidRequest("No gateway is offered to you.", field="gateway")
    for number, gateway in enumerate(candidates):
        problem = _refusal(gateway, total) if gateway in offered else _not_offered(gateway)
        if problem is None:
            return gateway
        # The first reason is the one to tell, but an amount can be changed.
        refusal = problem if number == 0 or isinstance(problem, AmountOutOfRange) else refusal
    raise refusal


def _not_offered(gateway: Gateway) -> InvalidRequest:
    return InvalidRequest(f"{gateway.label} is not offered to you.", field="gateway")


def _refusal(gateway: Gateway, total: Money) -> AmountOutOfRange | InvalidRequest | None:
    limits = gateway.capabilities().currencies.get(total.currency)
    if limits is None:
        return InvalidRequest(f"{gateway.label} does not take {total.currency}.", field="gateway")
    problem = _out_of_range(total, limits)
    if not problem:
        return None
    return AmountOutOfRange(problem, field="amount", minimum=str(limits.minimum), maximum=str(limits.maximum))


def _out_of_range(total: Money, limits: CurrencyLimits) -> str:
    if total < limits.minimum:
        return f"The total of {total} is below the minimum of {limits.minimum}."
    if total > limits.maximum:
        return f"The total of {total} is above the maximum of {limits.maximum}."
    if total.units % limits.step.units:
        return f"The total of {total} is not a multiple of {limits.step}."
    return ""
