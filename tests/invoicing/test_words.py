"""Languages of documents: words, figures, and what becomes of unknown locales."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from string import Formatter

import pytest
from attrs import asdict

from prepaid.core.money import Money
from prepaid.invoicing.words import ENGLISH, WORDS, language_of


@pytest.mark.parametrize(
    ("locale", "known"),
    [("de_DE", "de_DE"), ("de-AT", "de_AT"), ("de_XX", "de"), ("fr", "fr"), ("xx_YY", "en"), ("", "en"), ("_", "en"),
     ("../../etc", "en"), ("\x00", "en"), ("x" * 16, "en")],
)  # fmt: skip
def test_an_unknown_locale_becomes_the_nearest_known_one(locale, known):
    assert language_of(locale).locale == known


def test_words_of_a_language_without_words_are_english():
    french = language_of("fr_FR")
    assert french.words is ENGLISH.words
    assert french.code == "en"
    assert french.money(Money.of("1234.50", "EUR")) == "1\u202f234,50\xa0€"


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_language_fills_in_the_same_blanks(language):
    def blanks(text):
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    def flat(words):
        kinds = words.pop("kinds")
        return words | {f"{kind} {name}": text for kind, found in kinds.items() for name, text in found.items()}

    english, words = flat(asdict(WORDS["en"])), flat(asdict(WORDS[language]))
    assert {name: blanks(text) for name, text in words.items()} == {n: blanks(t) for n, t in english.items()}
    assert all(words.values())


@pytest.mark.parametrize(
    ("locale", "amount", "currency", "written"),
    [
        ("en", "1234.50", "EUR", "€1,234.50"),
        ("en", "1.234", "KWD", "KWD\xa01.234"),
        ("en", "-5.00", "EUR", "-€5.00"),
        ("en", "1.55", "RSD", "RSD\xa01.55"),
        ("de", "1000", "JPY", "1.000\xa0¥"),
        ("hi", "150000", "INR", "₹1,50,000.00"),
    ],
)
def test_amounts_have_all_their_digits(locale, amount, currency, written):
    assert language_of(locale).money(Money.of(amount, currency)) == written


def test_rates_have_the_digits_they_need():
    assert [ENGLISH.percent(Decimal(rate)) for rate in ("20.00", "8.1", "12.3456", "0", "100")] == [
        "20%", "8.1%", "12.3456%", "0%", "100%",
    ]  # fmt: skip


def test_dates_counts_and_countries_follow_the_locale():
    german = language_of("de")
    assert german.day(date(2026, 11, 23)) == "23. November 2026"
    assert german.count(12345) == "12.345"
    assert [german.country(code) for code in ("FR", "ZQ", "Berlin")] == ["Frankreich", "ZQ", "Berlin"]
