"""The mail that brings an invoice: words, escaping, and what the file is called."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from prepaid.invoicing.letters import LONGEST_SUBJECT, file_name, invoice_mail
from tests.invoicing.samples import BUYER, SELLER, invoice, taxed

HOSTILE = [
    "{{7*7}}{% for x in y %}",
    "${7*7} {0.__class__} %(x)s",
    '<img src="http://127.0.0.1/x" onerror=alert(1)>',
    "</td></table><script>alert(1)</script>",
    "../../etc/passwd",
    "&lt;b&gt; &amp;",
]


class Shown(HTMLParser):
    """Collects what a reader of the HTML sees, and the elements it is made of."""

    def __init__(self, source):
        super().__init__()
        self.text, self.tags, self.links = "", set(), []
        self.feed(source)

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "action", "background"}]


def mail(**changes):
    return invoice_mail(invoice(**changes), b"%PDF-", to="ada@example.com")


def test_mail_carries_the_file_under_its_number_and_a_stable_key():
    message = mail()
    [attachment] = message.attachments
    assert message.to == "ada@example.com"
    assert message.message_key == "invoice/inv_01m82v7m000000000000000000"
    assert (attachment.filename, attachment.content, attachment.media_type) == (
        "INV26-000007.pdf", b"%PDF-", "application/pdf",
    )  # fmt: skip


def test_english_mail_says_what_was_paid():
    message = mail()
    assert message.subject == "Invoice INV26-000007 from Nimbus GmbH"
    assert message.text == (
        "Thank you for topping up your account. Your invoice is attached as a PDF file.\n"
        "\n"
        "Invoice: INV26-000007\n"
        "Invoice date: November 23, 2026\n"
        "Billed to: Ada SARL\n"
        "Total: €54.00\n"
        "Payment: Paid by stripe, payment pi_3QHa7dLkdIwHu7ix1Zq8Yx0b\n"
        "\n"
        "Questions? Write to billing@nimbus.example.\n"
        "\n"
        "Nimbus GmbH\n"
    )


def test_html_says_the_same_as_the_text_and_loads_nothing():
    message = mail()
    shown = Shown(message.html)
    for line in message.text.splitlines():
        for part in line.split(": ", 1):
            assert part in shown.text
    assert shown.links == []
    assert not shown.tags & {"script", "img", "link", "style", "iframe", "form"}


def test_german_mail_is_german():
    message = mail(locale="de_AT")
    assert message.subject == "Rechnung INV26-000007 von Nimbus GmbH"
    assert "Gesamtbetrag: € 54,00" in message.text.replace("\xa0", " ")
    assert '<html lang="de">' in message.html
    assert "Fragen? Schreiben Sie an billing@nimbus.example." in message.text


def test_other_languages_get_english_words_with_their_own_figures():
    message = mail(locale="fr")
    assert "Total: 54,00 €" in message.text.replace("\xa0", " ")
    assert '<html lang="en">' in message.html


def test_test_mode_is_marked_in_subject_text_and_html():
    message = mail(mode="test", number="TINV26-000007")
    assert message.subject == "[TEST] Invoice TINV26-000007 from Nimbus GmbH"
    assert message.text.startswith("*** TEST – not a valid invoice ***\n\nThank you")
    assert "TEST – not a valid invoice" in Shown(message.html).text
    assert "TEST" not in mail().subject + mail().text + mail().html


def test_what_is_not_known_is_not_mentioned():
    message = mail(seller=evolve(SELLER, email=""), payment=("promotion", ""), tax=taxed("0.00"))
    assert "Questions" not in message.text + message.html
    assert "Payment: Nothing to pay\n\nNimbus GmbH" in message.text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_appear_literally_and_are_never_markup_or_template(hostile):
    message = mail(buyer=evolve(BUYER, name=hostile), seller=evolve(SELLER, name=hostile), payment=("x", hostile))
    plain, shown = Shown(mail().html), Shown(message.html)
    assert message.subject == f"Invoice INV26-000007 from {hostile}"
    assert message.text.count(hostile) == 3
    assert shown.text.count(hostile) == 4  # with the title
    assert shown.tags == plain.tags


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\u2028", "\u2029", "\x85", "\x0b", "\x00", "\u202e"])
def test_names_stay_on_their_line(break_):
    name = f"Evil{break_}Bcc: victim@example.com"
    message = mail(seller=evolve(SELLER, name=name), buyer=evolve(BUYER, name=name))
    assert message.subject == "Invoice INV26-000007 from Evil Bcc: victim@example.com"
    assert "Billed to: Evil Bcc: victim@example.com\n" in message.text


def test_subject_has_a_length():
    assert len(mail(seller=evolve(SELLER, name="x" * 5000)).subject) == LONGEST_SUBJECT


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("INV26-000007", "INV26-000007.pdf"),
        ("inv/2026/7", "INV-2026-7.pdf"),
        ("../../etc/passwd\x00", "ETC-PASSWD.pdf"),
        ("C:\\x", "C-X.pdf"),
        ("№", "INVOICE.pdf"),
        ("", "INVOICE.pdf"),
    ],
)
def test_file_name_comes_from_safe_characters_of_the_number(number, name):
    assert file_name(number) == name


@given(st.text())
def test_file_name_is_always_safe(number):
    assert re.fullmatch(r"[A-Z0-9-]{1,40}\.pdf", file_name(number))
