"""Rules in words: what a promotion gives and to whom, and when a policy asks for an identity."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from display import day, percent, plain_money
from prepaid import Bonus, Discount, Fixed, IdentityPolicy, Money, Percent, Promotion

DAY = timedelta(days=1)


def gives(rule: Promotion) -> str:
    """Say what a promotion gives."""
    return " and ".join(_effect(effect) for effect in rule.effects)


def _effect(effect: Bonus | Discount) -> str:
    kind = "bonus" if isinstance(effect, Bonus) else "off"
    value, most = effect.value, amounts(effect.cap)
    if isinstance(value, (Percent, Fixed)):
        words = f"{_value(value)} {kind}"
    else:
        steps = (f"{_value(each)} from {amounts(start)} on" for start, each in value.steps)
        words = f"{kind}: {', '.join(steps)}"
    return f"{words}, at most {most}" if most else words


def _value(value: Percent | Fixed) -> str:
    return f"{percent(value.percent)} %" if isinstance(value, Percent) else amounts(value.amounts)


def amounts(of: Iterable[Money]) -> str:
    """Write one amount per currency."""
    return " or ".join(plain_money(amount) for amount in of)


def limits(rule: Promotion) -> list[str]:
    """Say within which limits a promotion gives it, one after the other."""
    said = (
        _window(rule),
        rule.first_topup_only and "Only for the first top-up",
        rule.minimum and f"For top-ups of {amounts(rule.minimum)} and more",
        rule.maximum and f"For top-ups of {amounts(rule.maximum)} and less",
        rule.uses_total and f"{rule.uses_total:,} {_uses(rule.uses_total)} in all",
        rule.uses_per_customer and f"{rule.uses_per_customer:,} {_uses(rule.uses_per_customer)} per customer",
        rule.budget and f"A budget of {plain_money(rule.budget)}",
        rule.customer_age and f"For customers of less than {lasting(rule.customer_age)}",
        _named("In currencies", rule.currencies),
        _named("In countries", rule.countries),
        _named("Paid at", rule.gateways),
        rule.customers and f"For {len(rule.customers):,} named customers",
        _named("For groups", rule.groups),
        rule.bonus_expires_after and f"The bonus lasts {lasting(rule.bonus_expires_after)}",
    )
    return [words for words in said if words] or ["Without limits"]


def _uses(count: int) -> str:
    return "use" if count == 1 else "uses"


def _named(what: str, names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return listed and f"{what} {listed}"


def _window(rule: Promotion) -> str:
    since = "" if rule.valid_from is None else f"from {_moment(rule.valid_from, rule.timezone)}"
    until = "" if rule.valid_until is None else f"before {_moment(rule.valid_until, rule.timezone)}"
    words = " and ".join(part for part in (since, until) if part)
    return words and f"{words[0].upper()}{words[1:]} ({rule.timezone})"


def _moment(moment: date | datetime, timezone: str) -> str:
    if not isinstance(moment, datetime):
        return day(moment)
    return f"{moment.astimezone(ZoneInfo(timezone)):%-d %b %Y, %H:%M}"


def lasting(span: timedelta) -> str:
    """Write how long something lasts, in days if these are whole."""
    if span % DAY:
        return f"{span.total_seconds() / 3600:g} hours"
    return f"{span.days:,} day{'' if span.days == 1 else 's'}"


def asks(policy: IdentityPolicy) -> str:
    """Say when a policy asks a customer to be verified."""
    before = "before the first top-up" if policy.before_first_topup else ""
    counted = "used" if policy.basis == "usage" else "bought"
    within = f" within {lasting(policy.period)}" if policy.period else ""
    above = f"when more than {amounts(policy.above)} is {counted}{within}" if policy.above else ""
    where = f" in {', '.join(policy.countries)}" if policy.countries else ""
    again = f", again after {lasting(policy.valid_for)}" if policy.valid_for else ""
    when = " and ".join(part for part in (before, above) if part)
    return f"Customers{where} are asked {when}{again}; level {policy.level} is enough."


def register(app: Any) -> None:
    """Give the templates of an app these words."""
    app.jinja_env.filters.update(gives=gives, limits=limits, amounts=amounts, asks=asks)
