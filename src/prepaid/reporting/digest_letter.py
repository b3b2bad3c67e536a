"""A digest as a mail: text and simple HTML that say the same, made of frozen facts and nothing else.

Readable at a glance on a telephone: what came in first, then the figures that
moved, then what waits. Names go into templates as values only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from attrs import field, frozen

from ..core.digest import CurrencyFacts, DigestFacts, Figures, LateEntry
from ..core.figures import FIGURES
from ..core.money import Money
from ..lettering import LONGEST_SUBJECT, one_line, templates, written
from .digest_words import WORDS, DigestWords

HEADLINE: Final = "funds_in"

_TEMPLATES: Final = Path(__file__).parent / "templates"
_LONGEST_NAME: Final = 60
_MAIN_BOOK: Final = "main"


@frozen
class DigestLetter:
    """A digest as it is mailed.

    Attributes:
        subject: One line.
        text: Plain text.
        html: The same as HTML, which asks for nothing from outside.
    """

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


def letter_of(facts: DigestFacts, *, written_at: datetime, book: str, mode: str) -> DigestLetter:
    """Write the mail that tells some facts; the same facts, the same mail."""
    said = _Telling(facts, written_at).all(book=one_line(book), is_test=mode == "test")
    text, html = (templates(_TEMPLATES).get_template(f"digest.{form}").render(said) for form in ("txt", "html"))
    return DigestLetter(said["subject"], text, html)


class _Telling:
    """How some facts are told: in words of a language, with amounts and dates of a locale."""

    def __init__(self, facts: DigestFacts, written_at: datetime) -> None:
        from babel import Locale

        self._facts, self._written_at = facts, written_at.astimezone(ZoneInfo(facts.timezone))
        self._locale = Locale.parse(facts.locale.replace("-", "_"))
        self._language = self._locale.language if self._locale.language in WORDS else "en"
        self._words: DigestWords = WORDS[self._language]
        self._shown = [each for each in facts.currencies if _is_shown(each)] or list(facts.currencies[:1])

    def all(self, *, book: str, is_test: bool) -> dict[str, Any]:
        """Give everything that the templates show."""
        facts, words = self._facts, self._words
        unmoved = [each.currency for each in facts.currencies if each not in self._shown]
        waiting = [name for name in _in_order(facts.work, words.works) if facts.work[name]]
        written_on = self._day(self._written_at.date(), "long")
        return {
            "words": words,
            "language": self._language,
            "test": is_test,
            "subject": self._subject(book, is_test=is_test),
            "seller": one_line(facts.seller),
            "book": words.book.format(book=book),
            "day": self._day(facts.day, "full"),
            "currencies": [self._currency(each) for each in self._shown],
            "unmoved": words.unmoved.format(currencies=", ".join(unmoved)) if unmoved else "",
            "work": [(words.waiting(name), facts.work[name]) for name in waiting],
            "late": [self._late(late) for late in facts.late],
            "written": words.written.format(day=written_on, time=self._time(), zone=facts.timezone),
            "days": words.days.format(zone=facts.seller_zone),
        }

    def _subject(self, book: str, *, is_test: bool) -> str:
        funds = [each for each in self._shown if each.figures.get(HEADLINE)] or self._shown[:1]
        subject = self._words.subject.format(
            seller=_named(one_line(self._facts.seller), book),
            day=self._skeleton("yMMMEd", self._facts.day),
            funds=" + ".join(self._money(each.figures.get(HEADLINE, 0), each.currency) for each in funds),
        )
        return one_line(f"{self._words.test_subject} {subject}" if is_test else subject)[:LONGEST_SUBJECT]

    def _currency(self, facts: CurrencyFacts) -> dict[str, Any]:
        names = _in_order(facts.figures, FIGURES)
        moved = [name for name in names if name == HEADLINE or _moved(facts, name)]
        quiet = [self._words.figure(name) for name in names if name not in moved]
        return {
            "code": facts.currency,
            "rows": [self._row(facts, name) for name in moved],
            "balances": self._balances(facts),
            "quiet": f"{self._words.quiet}: {', '.join(quiet)}." if quiet else "",
        }

    def _row(self, facts: CurrencyFacts, name: str) -> dict[str, str]:
        value, before, week = (self._money(span.get(name, 0), facts.currency) for span in _spans(facts))
        compared = self._words.compared.format(day_before=before, week_before=week)
        return {"label": self._words.figure(name), "value": value, "compared": compared}

    def _balances(self, facts: CurrencyFacts) -> list[tuple[str, str]]:
        when = {"day": self._skeleton("MMMd", self._written_at.date()), "time": self._time()}
        found = [(self._words.liability, facts.liability)]
        if facts.debts:
            found.append((self._words.debts, facts.debts))
        return [(label.format(**when), self._money(units, facts.currency)) for label, units in found]

    def _late(self, late: LateEntry) -> dict[str, str]:
        amount = self._money(late.amount, late.currency)
        return {
            "day": self._day(late.day, "medium"),
            "label": self._words.figure(late.figure),
            "amount": f"+{amount}" if late.amount > 0 else amount,
        }

    def _money(self, units: int, currency: str) -> str:
        return written(Money(units, currency), str(self._locale))

    def _day(self, day: date, width: str) -> str:
        from babel.dates import format_date

        return format_date(day, width, locale=self._locale)

    def _skeleton(self, parts: str, day: date) -> str:
        from babel.dates import format_skeleton

        noon = datetime.combine(day, time(12), ZoneInfo("UTC"))
        return format_skeleton(parts, noon, locale=self._locale)

    def _time(self) -> str:
        from babel.dates import format_time

        at = self._written_at
        return format_time(at.timetz(), "short", tzinfo=at.tzinfo, locale=self._locale)


def _named(seller: str, book: str) -> str:
    """Name whose digest it is; room is left for the day and what came in."""
    name = seller if book == _MAIN_BOOK else f"{seller[: _LONGEST_NAME - 20]} ({book})"
    return name[:_LONGEST_NAME]


def _in_order(names: Iterable[str], order: Iterable[str]) -> list[str]:
    """Give names in an order, and after them those that it does not know."""
    known = list(order)
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def _moved(facts: CurrencyFacts, name: str) -> bool:
    return any(span.get(name) for span in _spans(facts))


def _spans(facts: CurrencyFacts) -> tuple[Figures, Figures, Figures]:
    return facts.figures, facts.day_before, facts.week_before


def _is_shown(facts: CurrencyFacts) -> bool:
    return bool(facts.liability or facts.debts) or any(_moved(facts, name) for name in facts.figures)
