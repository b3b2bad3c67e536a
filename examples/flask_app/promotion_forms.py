"""What operators type about promotions and vouchers, read into values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from attrs import evolve

from forms import read_day, read_money, sentence, typed
from prepaid import Bonus, Discount, Fixed, InvalidRequest, Money, Percent, Promotion, RequestRefused
from wiring import CURRENCY

# In the order in which they stand in the form; what the library says of a field names it so.
PROMOTION_FIELDS = {
    "code": "the code",
    "gives": "what it gives",
    "percent": "percent",
    "cap": "at most",
    "fixed": "the fixed amount",
    "minimum": "the smallest top-up",
    "uses_total": "uses in all",
    "uses_per_customer": "uses per customer",
    "first_topup_only": "first top-up only",
    "budget": "the budget",
    "valid_from": "the first day",
    "valid_until": "the first day without it",
    "timezone": "time zone",
    "bonus_expires_after": "how long the bonus lasts",
    "reason": "the reason",
}
_EFFECT = ("gives", "percent", "cap", "fixed")
VOUCHER_FIELDS = {
    "amount": "the amount",
    "count": "how many",
    "prefix": "the prefix",
    "expires_at": "the first day without them",
    "credit_valid_for": "how long the credit lasts",
    "reason": "the reason",
}
MOST_DAYS = 36_500
_WHOLE = re.compile("[0-9]{1,9}", re.ASCII)
Value = TypeVar("Value")
_ELSEWHERE = {"effect": "gives", "promotion": "code", "country": "countries", "customer": "action"}


def error_of(refused: RequestRefused, fields: Mapping[str, str]) -> dict[str, str]:
    """Give the place of a refusal in a form, and what it says there in the form's own words."""
    name = _ELSEWHERE.get(refused.field or "", refused.field or "")
    words = sentence(refused)
    for field, label in fields.items():
        if "_" in field:
            words = re.sub(rf"\b{field}\b", label, words, flags=re.IGNORECASE)
    return {name if name in fields else next(iter(fields)): words[:1].upper() + words[1:]}


def optional(field: str, read: Callable[[str], Value], sent: Mapping[str, str]) -> Value | None:
    """Read a field that may be empty; what is wrong with it is said of this field."""
    if not sent[field]:
        return None
    try:
        return read(sent[field])
    except RequestRefused as refused:
        raise InvalidRequest(refused.message, field=field) from None


def whole(written: str) -> int:
    """Read a whole number.

    Raises:
        InvalidRequest: It is none.
    """
    if not _WHOLE.fullmatch(written) or not int(written):
        raise InvalidRequest("Give a whole number above zero.")
    return int(written)


def days(written: str) -> timedelta:
    """Read a number of days.

    Raises:
        InvalidRequest: It is none, or more than a hundred years.
    """
    count = whole(written)
    if count > MOST_DAYS:
        raise InvalidRequest(f"Give at most {MOST_DAYS:,} days.")
    return timedelta(days=count)


def first_instant(written: str, zone: ZoneInfo) -> datetime:
    """Read a day as the instant when it begins.

    Raises:
        InvalidRequest: It is none.
    """
    day = read_day(written, field="")
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def can_show_effect(rule: Promotion) -> bool:
    """Tell whether the form has room for what a promotion gives."""
    [effect, *more] = rule.effects
    if more or not isinstance(effect.value, (Percent, Fixed)):
        return False
    named = [*effect.cap, *(effect.value.amounts if isinstance(effect.value, Fixed) else ())]
    return all(amount.currency == CURRENCY for amount in named) and len(effect.cap) < 2


def promotion_values(rule: Promotion) -> dict[str, str]:
    """Give a promotion as the form shows it."""
    shown = dict.fromkeys(PROMOTION_FIELDS, "") | {
        "code": rule.code,
        "minimum": _one(rule.minimum),
        "uses_total": str(rule.uses_total or ""),
        "uses_per_customer": str(rule.uses_per_customer or ""),
        "first_topup_only": "yes" if rule.first_topup_only else "",
        "budget": "" if rule.budget is None else _one((rule.budget,)),
        "valid_from": _shown_day(rule.valid_from, rule.timezone),
        "valid_until": _shown_day(rule.valid_until, rule.timezone),
        "timezone": rule.timezone,
        "bonus_expires_after": "" if rule.bonus_expires_after is None else str(rule.bonus_expires_after.days or ""),
    }
    return shown | (_effect_values(rule.effects[0]) if can_show_effect(rule) else {})


def _effect_values(effect: Bonus | Discount) -> dict[str, str]:
    value = effect.value
    return {
        "gives": "bonus" if isinstance(effect, Bonus) else "discount",
        "percent": f"{value.percent.normalize():f}" if isinstance(value, Percent) else "",
        "cap": _one(effect.cap),
        "fixed": _one(value.amounts) if isinstance(value, Fixed) else "",
    }


def _one(amounts: tuple[Money, ...]) -> str:
    return next((f"{amount.amount:.2f}" for amount in amounts if amount.currency == CURRENCY), "")


def _shown_day(moment: date | datetime | None, timezone: str) -> str:
    if isinstance(moment, datetime):
        return str(moment.astimezone(ZoneInfo(timezone)).date())
    return "" if moment is None else str(moment)


def read_promotion(values: Mapping[str, str], *, known: Promotion | None = None) -> Promotion:
    """Read the form of a promotion; of a known one, what the form has no room for stays as it is.

    Raises:
        RequestRefused: Something is wrong; ``field`` says what.
    """
    sent = typed(values, tuple(PROMOTION_FIELDS))
    if known is None and not sent["code"]:
        raise InvalidRequest("Give the code that customers type.", field="code")
    effect = known.effect if known is not None and not can_show_effect(known) else _read_effect(sent)
    read: dict[str, Any] = {
        "minimum": optional("minimum", read_money, sent),
        "uses_total": optional("uses_total", whole, sent),
        "uses_per_customer": optional("uses_per_customer", whole, sent),
        "first_topup_only": bool(sent["first_topup_only"]),
        "budget": optional("budget", read_money, sent),
        "valid_from": optional("valid_from", _day, sent),
        "valid_until": optional("valid_until", _day, sent),
        "timezone": sent["timezone"],
        "bonus_expires_after": optional("bonus_expires_after", days, sent),
    }
    if known is None:
        return Promotion(sent["code"], effect, **read)
    # What was left as it is keeps what a day or a number of days cannot say.
    shown = promotion_values(known)
    changed = {name: value for name, value in read.items() if sent[name] != shown[name]}
    return evolve(known, effect=effect, **changed)


def _day(written: str) -> date:
    return read_day(written, field="")


def _read_effect(sent: Mapping[str, str]) -> Bonus | Discount:
    kind = {"bonus": Bonus, "discount": Discount}.get(sent["gives"])
    if kind is None:
        raise InvalidRequest("Choose what it gives.", field="gives")
    if bool(sent["percent"]) == bool(sent["fixed"]):
        raise InvalidRequest("Give either percent or a fixed amount.", field="percent")
    if sent["fixed"]:
        if sent["cap"]:
            raise InvalidRequest("It limits a percentage; a fixed amount is as high as it is.", field="cap")
        return kind(optional("fixed", lambda written: Fixed(read_money(written)), sent))
    return kind(optional("percent", Percent, sent), cap=optional("cap", read_money, sent))


def read_vouchers(values: Mapping[str, str], zone: ZoneInfo) -> dict[str, Any]:
    """Read the form of new vouchers into what the library asks for.

    Raises:
        RequestRefused: Something is wrong; ``field`` says what.
    """
    sent = typed(values, tuple(VOUCHER_FIELDS))
    return {
        "amount": _needed("amount", read_money, sent),
        "count": _needed("count", whole, sent),
        "prefix": sent["prefix"],
        "expires_at": optional("expires_at", lambda written: first_instant(written, zone), sent),
        "credit_valid_for": optional("credit_valid_for", days, sent),
        "reason": sent["reason"],
    }


def _needed(field: str, read: Callable[[str], Value], sent: Mapping[str, str]) -> Value:
    value = optional(field, read, sent)
    if value is None:
        raise InvalidRequest(f"Give {VOUCHER_FIELDS[field]}.", field=field)
    return value
