"""A promotion as plain values: what a row keeps of it, and a top-up of the rule as it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from .amounts import Amounts
from .instants import from_micros, to_micros
from .money import Money
from .promotions import Bonus, Discount, Effect, Fixed, Percent, Promotion, Tiers

_PLAIN: Final = ("code", "timezone", "uses_total", "uses_per_customer", "first_topup_only", "bonus_priority")
_AMOUNTS: Final = ("minimum", "maximum")
_NAMES: Final = ("currencies", "countries", "gateways", "customers", "groups")
_WINDOW: Final = ("valid_from", "valid_until")
_SPANS: Final = ("customer_age", "bonus_expires_after")
_SECOND: Final = timedelta(seconds=1)


def promotion_record(promotion: Promotion) -> dict[str, Any]:
    """Give a promotion as plain values."""
    record: dict[str, Any] = {name: getattr(promotion, name) for name in _PLAIN}
    record["effects"] = [_effect_record(effect) for effect in promotion.effects]
    record |= {name: _amounts_record(getattr(promotion, name)) for name in _AMOUNTS}
    record |= {name: list(getattr(promotion, name)) for name in _NAMES}
    record["budget"] = _amounts_record(() if promotion.budget is None else (promotion.budget,))
    for name in _WINDOW:
        record[name] = _edge_record(getattr(promotion, name))
    for name in _SPANS:
        span = getattr(promotion, name)
        record[name] = None if span is None else span // _SECOND
    return record


def promotion_from_record(record: Mapping[str, Any]) -> Promotion:
    """Undo `promotion_record`."""
    effects = [_effect_from(each) for each in record["effects"]]
    values: dict[str, Any] = {name: record[name] for name in (*_PLAIN, *_NAMES)}
    values |= {name: _amounts_from(record[name]) for name in _AMOUNTS}
    values["budget"] = next(iter(_amounts_from(record["budget"])), None)
    for name in _WINDOW:
        values[name] = _edge_from(record[name])
    for name in _SPANS:
        values[name] = None if record[name] is None else timedelta(seconds=record[name])
    effect: Effect | Any = effects[0] if len(effects) == 1 else tuple(effects)
    return Promotion(effect=effect, **values)


def _edge_record(edge: date | datetime | None) -> int | str | None:
    return to_micros(edge) if isinstance(edge, datetime) else None if edge is None else edge.isoformat()


def _edge_from(record: int | str | None) -> date | datetime | None:
    return from_micros(record) if isinstance(record, int) else None if record is None else date.fromisoformat(record)


def _amounts_record(amounts: Amounts) -> dict[str, str]:
    return {amount.currency: str(amount.units) for amount in amounts}


def _amounts_from(record: Mapping[str, str]) -> Amounts:
    return tuple(Money(int(units), currency) for currency, units in record.items())


def _effect_record(effect: Bonus | Discount) -> dict[str, Any]:
    kind = "bonus" if isinstance(effect, Bonus) else "discount"
    return {"kind": kind, "value": _value_record(effect.value), "cap": _amounts_record(effect.cap)}


def _value_record(value: Percent | Fixed | Tiers) -> dict[str, Any]:
    if isinstance(value, Tiers):
        return {"tiers": [[_amounts_record(start), _value_record(each)] for start, each in value.steps]}
    if isinstance(value, Percent):
        return {"percent": str(value.percent)}
    return {"fixed": _amounts_record(value.amounts)}


def _effect_from(record: Mapping[str, Any]) -> Bonus | Discount:
    kind = Bonus if record["kind"] == "bonus" else Discount
    return kind(_value_from(record["value"]), cap=_amounts_from(record["cap"]))


def _value_from(record: Mapping[str, Any]) -> Percent | Fixed | Tiers:
    if "tiers" in record:
        return Tiers(*((_amounts_from(start), _step_from(each)) for start, each in record["tiers"]))
    return _step_from(record)


def _step_from(record: Mapping[str, Any]) -> Percent | Fixed:
    return Percent(record["percent"]) if "percent" in record else Fixed(*_amounts_from(record["fixed"]))
