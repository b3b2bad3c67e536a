"""The daily digest: who gets it and when, which days are due, and what was posted for a day after its digest.

A digest is of a day of the seller's, as every figure is. The hour and the zone
of its settings only say when it is sent: at the first such hour after the day.

>>> due_at(date(2026, 11, 23), 7, zone="America/New_York", seller_zone="Europe/Berlin").isoformat()
'2026-11-24T12:00:00+00:00'
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from attrs import evolve, field, frozen

from .errors import InvalidRequest
from .instants import check_timezone, day_start, instant_of, local_day
from .parties import check_email

DIGEST_SETTING: Final = "digest"

MOST_ADDRESSES: Final = 20
CATCH_UP_DAYS: Final = 31
"""How many days back a digest that was missed is still sent."""

LATE_FOR: Final = timedelta(days=8)
"""How long after it was written the figures of a digest are compared with those that the day has since."""

_DAY: Final = timedelta(days=1)
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,3}", re.ASCII)
# No dot at either end of a name or beside another: servers read such addresses differently.
_PLAIN: Final = re.compile(r"[^.@]+(\.[^.@]+)*@[^.@-]([^.@]*[^.@-])?(\.[^.@-]([^.@]*[^.@-])?)*")

Figures = dict[str, int]
"""Figures of one day and currency by their names, in ledger units."""


def _addresses(value: object) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)):
        raise InvalidRequest("email is a mail address, or a list of several.", field="email")
    if len(given) > MOST_ADDRESSES:
        raise InvalidRequest(f"A digest goes to at most {MOST_ADDRESSES} addresses.", field="email")
    for address in given:
        if not _PLAIN.fullmatch(check_email(address)):
            raise InvalidRequest("email is one mail address such as cfo@example.com.", field="email")
    if len({address.casefold() for address in given}) < len(given):
        raise InvalidRequest("email names an address twice.", field="email")
    return tuple(given)


def _zone(value: object) -> str | None:
    return None if value is None else check_timezone(value)


@frozen(kw_only=True)
class DigestSettings:
    """Whether a digest of each day is sent, to whom and when.

    Attributes:
        enabled: Whether it is sent.
        email: Addresses that it goes to, one mail each.
        hour: Hour of the day at which it is sent, from 0 to 23.
        timezone: IANA zone of that hour; the seller's if None.
        locale: How amounts and dates are written, and in which language, such as ``"en"`` or ``"de_DE"``.
        first_day: First day that has a digest: the day before it was switched on; None while it is off.
    """

    enabled: bool = False
    email: tuple[str, ...] = field(default=(), converter=_addresses, repr=False)
    hour: int = 7
    timezone: str | None = field(default=None, converter=_zone)
    locale: str = "en"
    first_day: date | None = None

    def __attrs_post_init__(self) -> None:
        if type(self.enabled) is not bool:
            raise InvalidRequest("enabled is True or False.", field="enabled")
        if self.enabled and not self.email:
            raise InvalidRequest("A digest goes to one address at least.", field="email")
        if type(self.hour) is not int or not 0 <= self.hour <= 23:
            raise InvalidRequest("hour is a whole number from 0 to 23.", field="hour")
        if not isinstance(self.locale, str) or not _LOCALE.fullmatch(self.locale):
            raise InvalidRequest("locale is a locale such as 'en' or 'de_DE'.", field="locale")

    def after(self, before: DigestSettings, *, yesterday: date) -> DigestSettings:
        """Give the settings as they follow others: what is switched on begins with yesterday, what was on goes on."""
        first = before.first_day if before.enabled else yesterday
        return evolve(self, first_day=first if self.enabled else None)

    def zone(self, seller_zone: str) -> str:
        """Give the zone of the hour."""
        return seller_zone if self.timezone is None else self.timezone

    def record(self) -> dict[str, Any]:
        """Give the settings as plain values."""
        return {
            "enabled": self.enabled,
            "email": list(self.email),
            "hour": self.hour,
            "timezone": self.timezone,
            "locale": self.locale,
            "first_day": None if self.first_day is None else self.first_day.isoformat(),
        }


def settings_from_record(record: Mapping[str, Any] | None) -> DigestSettings:
    """Undo `DigestSettings.record`; without a record nothing is sent."""
    if not record:
        return DigestSettings()
    first = record["first_day"]
    return DigestSettings(**{**record, "first_day": None if first is None else date.fromisoformat(first)})


# Days


def due_at(day: date, hour: int, *, zone: str, seller_zone: str) -> datetime:
    """Give when the digest of a day of the seller's is sent: at the first ``hour`` of ``zone`` after the day."""
    ended = day_start(day + _DAY, seller_zone)
    local = local_day(ended, zone)
    at = instant_of(local, hour, zone)
    return at if at >= ended else instant_of(local + _DAY, hour, zone)


def missing_days(
    settings: DigestSettings, *, now: datetime, seller_zone: str, written: Collection[date]
) -> tuple[date, ...]:
    """Give the days whose digest is due and was not written, the oldest first.

    Not by the last one that was written: a clock that ran ahead wrote of days
    to come, and the days before these are due all the same.
    """
    if settings.first_day is None:
        return ()
    today, zone = local_day(now, seller_zone), settings.zone(seller_zone)
    first = max(settings.first_day, today - CATCH_UP_DAYS * _DAY)
    days = (first + count * _DAY for count in range((today - first).days))
    return tuple(
        day
        for day in days
        if day not in written and due_at(day, settings.hour, zone=zone, seller_zone=seller_zone) <= now
    )


# Facts


@frozen(kw_only=True)
class CurrencyFacts:
    """What a digest says of one currency; amounts in ledger units.

    Attributes:
        currency: ISO 4217 code.
        figures: Figures of the day.
        day_before: Figures of the day before it.
        week_before: Figures of the same weekday a week before.
        liability: Balances above zero when the digest was written.
        debts: Balances below zero then.
    """

    currency: str
    figures: Figures
    day_before: Figures
    week_before: Figures
    liability: int
    debts: int


@frozen
class LateEntry:
    """What a figure of a day changed by after the digest of the day was written.

    Attributes:
        day: The day.
        currency: ISO 4217 code.
        figure: Name of the figure.
        amount: The difference in ledger units.
    """

    day: date
    currency: str
    figure: str
    amount: int


@frozen(kw_only=True)
class DigestFacts:
    """All that a digest says, as it was when it was written.

    Attributes:
        day: Which day it is of, in the seller's zone.
        seller: Name of the seller.
        locale: How it is written.
        timezone: Zone in which it tells when it was written.
        seller_zone: The seller's zone then.
        currencies: What it says of each currency in use.
        work: How many things wait for an operator, by what they are.
        late: What was posted for earlier days after their digests, and told by none before.
    """

    day: date
    seller: str
    locale: str
    timezone: str
    seller_zone: str
    currencies: tuple[CurrencyFacts, ...]
    work: dict[str, int]
    late: tuple[LateEntry, ...]

    def record(self) -> dict[str, Any]:
        """Give the facts as plain values; amounts as text."""
        return {
            "day": self.day.isoformat(),
            "seller": self.seller,
            "locale": self.locale,
            "timezone": self.timezone,
            "seller_zone": self.seller_zone,
            "currencies": [
                {
                    "currency": each.currency,
                    **{name: _written(getattr(each, name)) for name in _SPANS},
                    "liability": str(each.liability),
                    "debts": str(each.debts),
                }
                for each in self.currencies
            ],
            "work": self.work,
            "late": [[late.day.isoformat(), late.currency, late.figure, str(late.amount)] for late in self.late],
        }


_SPANS: Final = ("figures", "day_before", "week_before")


def _written(figures: Figures) -> dict[str, str]:
    return {name: str(units) for name, units in figures.items()}


def facts_from_record(record: Mapping[str, Any]) -> DigestFacts:
    """Undo `DigestFacts.record`."""
    return DigestFacts(
        day=date.fromisoformat(record["day"]),
        seller=record["seller"],
        locale=record["locale"],
        timezone=record["timezone"],
        seller_zone=record["seller_zone"],
        currencies=tuple(_currency_from(each) for each in record["currencies"]),
        work=dict(record["work"]),
        late=tuple(
            LateEntry(date.fromisoformat(day), currency, figure, int(amount))
            for day, currency, figure, amount in record["late"]
        ),
    )


def _currency_from(record: Mapping[str, Any]) -> CurrencyFacts:
    spans = {span: {name: int(units) for name, units in record[span].items()} for span in _SPANS}
    liability, debts = int(record["liability"]), int(record["debts"])
    return CurrencyFacts(currency=record["currency"], **spans, liability=liability, debts=debts)


# Late entries


def told_figures(digests: Iterable[DigestFacts]) -> dict[tuple[date, str], Figures]:
    """Give what was told of days, by day and currency: their own digests, and the late entries of later ones."""
    kept = list(digests)
    told = {(digest.day, each.currency): dict(each.figures) for digest in kept for each in digest.currencies}
    for late in (late for digest in kept for late in digest.late):
        figures = told.get((late.day, late.currency), {})
        if late.figure in figures:
            figures[late.figure] += late.amount
    return told


def late_entries(
    told: Mapping[tuple[date, str], Figures], found: Mapping[tuple[date, str], Figures]
) -> tuple[LateEntry, ...]:
    """Give by how much figures differ from what was told of them; one that was not told of is no difference."""
    return tuple(
        LateEntry(day, currency, name, units - figures[name])
        for (day, currency), figures in sorted(told.items())
        for name, units in found.get((day, currency), {}).items()
        if name in figures and units != figures[name]
    )
