"""The mail of a digest: the same facts the same mail, in every locale, whatever the names are."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import pytest
from attrs import evolve
from babel.localedata import locale_identifiers
from hypothesis import given
from hypothesis import strategies as st

from prepaid.core.digest import CurrencyFacts, DigestFacts, LateEntry
from prepaid.core.figures import FIGURES
from prepaid.reporting.digest_letter import letter_of
from prepaid.reporting.digest_words import WORDS
from prepaid.store import work

DAY = date(2026, 11, 23)
WRITTEN = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def figures(**moved):
    return {name: moved.get(name, 0) for name in FIGURES}


EUROS = CurrencyFacts(
    currency="EUR",
    figures=figures(funds_in=1_234_567_890_000, credit_consumed=12_345_678_901, bonus_granted=-5_000_000),
    day_before=figures(funds_in=1_100_000_000, fees=12_000_000),
    week_before=figures(funds_in=980_000_000),
    liability=123_456_780_000,
    debts=-7_500_000,
)
QUIET = CurrencyFacts(
    currency="USD", figures=figures(), day_before=figures(), week_before=figures(), liability=0, debts=0
)
FACTS = DigestFacts(
    day=DAY,
    seller="Nimbus GmbH",
    locale="en",
    timezone="Europe/Berlin",
    seller_zone="Europe/Berlin",
    currencies=(EUROS, QUIET),
    work={"reviews": 2, "parked_effects": 0},
    late=(LateEntry(date(2026, 11, 20), "EUR", "funds_in", 54_000_000), LateEntry(DAY, "EUR", "fees", -1)),
)


def letter(mode="live", book="main", **changes):
    return letter_of(evolve(FACTS, **changes), written_at=WRITTEN, book=book, mode=mode)


def words_of(html):
    """Give what a reader sees of HTML."""
    seen = []

    class Reader(HTMLParser):
        hidden = 0

        def handle_starttag(self, tag, attrs):
            self.hidden += tag in ("style", "title")

        def handle_endtag(self, tag):
            self.hidden -= tag in ("style", "title")

        def handle_data(self, data):
            if not self.hidden:
                seen.append(data)

    Reader().feed(html)
    return " ".join(" ".join(seen).split())


def test_it_reads_at_a_glance():
    assert letter().text == (
        "Nimbus GmbH\n"
        "Book main\n"
        "Monday, November 23, 2026\n"
        "\n"
        "EUR\n"
        "Funds in: €1,234,567.89\n"
        "  day before €1,100.00 · week before €980.00\n"
        "Credit consumed: €12,345.678901\n"
        "  day before €0.00 · week before €0.00\n"
        "Bonus granted: -€5.00\n"
        "  day before €0.00 · week before €0.00\n"
        "Gateway fees: €0.00\n"
        "  day before €12.00 · week before €0.00\n"
        "Unspent credit, Nov 24, 7:00\u202fAM: €123,456.78\n"
        "Debts, Nov 24, 7:00\u202fAM: -€7.50\n"
        "Nothing in: Tax collected, Refunds issued, Discounts, Vouchers redeemed, Goodwill, Expired credit, Disputed,"
        " Into review, Out of review.\n"
        "\n"
        "Nothing moved in USD.\n"
        "\n"
        "Late entries\n"
        "Posted for a day after its digest had been written.\n"
        "Nov 20, 2026, Funds in: +€54.00\n"
        "Nov 23, 2026, Gateway fees: -€0.000001\n"
        "\n"
        "Waits for an operator\n"
        "Top-ups to look at: 2\n"
        "\n"
        "Written on November 24, 2026 at 7:00\u202fAM (Europe/Berlin).\n"
        "Days are those of Europe/Berlin; a fact counts on the day it was posted.\n"
    )


@pytest.mark.parametrize("locale", ["en", "de_DE", "fr", "ar", "hi"])
def test_html_and_text_say_the_same(locale):
    found = letter(mode="test", locale=locale)

    shown = set(words_of(found.html).split())
    said = {word.strip("*:,") for word in found.text.split()} - {""}
    assert {word for word in said if any(char.isdigit() for char in word)} <= {word.strip(":,") for word in shown}
    for line in found.text.splitlines():
        for part in line.strip("* ").split(": "):
            assert " ".join(part.split()).split(", ")[0] in words_of(found.html), part


def test_every_locale_that_babel_knows_can_be_written():
    for locale in locale_identifiers():
        found = letter(locale=locale)
        assert found.subject.isprintable(), locale
        assert len(found.subject) <= 200
        assert "EUR" in found.text


def test_languages_with_words_of_their_own_speak_them_and_others_english_with_their_figures():
    assert "Einzahlungen: 1.234.567,89\u00a0€" in letter(locale="de").text
    assert "Funds in: 1\u202f234\u202f567,89\u00a0€" in letter(locale="fr").text


@pytest.mark.parametrize("code", list(WORDS))
def test_every_figure_and_every_sort_of_work_has_words(code, monkeypatch):
    assert set(WORDS[code].figures) == set(FIGURES)
    monkeypatch.setattr(work, "_count", lambda *_: 0)
    monkeypatch.setattr(work.topups, "count_for_review", lambda tx: 0)
    assert set(WORDS[code].works) == set(work.counts(None))


def test_a_figure_or_work_that_came_later_is_shown_by_its_name_after_the_known_ones():
    currency = evolve(EUROS, figures={**EUROS.figures, "aaa_new": 5_000_000})

    text = letter(currencies=(currency,), work={"new_work": 3, "reviews": 1}).text

    assert text.index("Gateway fees") < text.index("Aaa new: €5.00")
    assert "Top-ups to look at: 1\nNew work: 3\n" in text


def test_the_order_of_figures_does_not_depend_on_how_they_were_kept():
    backwards = evolve(EUROS, figures=dict(sorted(EUROS.figures.items())))
    assert letter(currencies=(backwards, QUIET)) == letter()


def test_the_subject_names_seller_day_and_what_came_in():
    assert letter().subject == "Nimbus GmbH: Mon, Nov 23, 2026, funds in €1,234,567.89"
    assert letter(mode="test").subject == "[TEST] Nimbus GmbH: Mon, Nov 23, 2026, funds in €1,234,567.89"
    assert letter(book="eu-2").subject == "Nimbus GmbH (eu-2): Mon, Nov 23, 2026, funds in €1,234,567.89"
    assert letter(currencies=(QUIET,)).subject == "Nimbus GmbH: Mon, Nov 23, 2026, funds in $0.00"


@pytest.mark.parametrize(("seller", "book"), [("x" * 120, "main"), ("x" * 120, "y" * 191), ("N", "y" * 191)])
def test_a_long_name_leaves_room_for_the_day_and_what_came_in(seller, book):
    assert letter(seller=seller, book=book).subject.endswith(": Mon, Nov 23, 2026, funds in €1,234,567.89")


def test_a_book_without_anything_is_still_told_of():
    found = letter(currencies=(QUIET,), work={"reviews": 0}, late=())

    assert "Funds in: $0.00" in found.text
    assert "Nothing waits for an operator." in found.text
    assert "Late entries" not in found.text + found.html


def test_a_mark_says_that_it_is_a_test():
    assert "TEST – no real money" in letter(mode="test").text
    assert "TEST – no real money" in letter(mode="test").html
    assert "TEST" not in letter().text + letter().html


@given(seller=st.text(min_size=1, max_size=120), book=st.text(min_size=1, max_size=60))
def test_no_name_becomes_markup_or_a_second_line_of_the_subject(seller, book):
    found = letter(seller=seller, book=book)

    assert found.subject.isprintable()
    tags = re.findall(r"<[^>]*>", found.html)
    assert tags == re.findall(r"<[^>]*>", letter().html)


def test_nothing_is_asked_for_from_outside_and_dark_mode_is_thought_of():
    html = letter(mode="test").html

    for asking in ("http", "src=", "url(", "@import", "<img", "<link", "<script", "<form"):
        assert asking not in html
    assert '<meta name="color-scheme" content="light dark">' in html
    assert "@media (prefers-color-scheme: dark)" in html
