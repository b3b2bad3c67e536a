"""Invoices as PDF: what stands on the page, and what must never be in the file."""

from __future__ import annotations

import hashlib
import html
import io
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject

from prepaid.core.documents import InvoiceLine, Party
from prepaid.core.money import MINOR_DIGITS, Money
from prepaid.invoicing.pdf import REPLACEMENT, PdfRenderer, missing_characters
from prepaid.ports import InvoiceRenderer
from tests.invoicing.samples import BUYER, SELLER, discounted, invoice, taxed

ROOT = Path(__file__).parents[2]
PDFTOTEXT = shutil.which("pdftotext")
needs_poppler = pytest.mark.skipif(PDFTOTEXT is None, reason="pdftotext (poppler-utils) is not installed")

HOSTILE = [
    "{{7*7}} ${7*7} {0.__class__} %(x)s {nb}",
    "<img src=file:///etc/passwd> <b>bold</b> &amp;",
    "../../etc/passwd **bold** __under__ [link](http://127.0.0.1)",
    "(unbalanced \\( ) endstream endobj /OpenAction /JS",
]


def render(document):
    return PdfRenderer().render(document)


def pages(file):
    return [page.extract_text() for page in PdfReader(io.BytesIO(file)).pages]


def text_of(document):
    return "\n".join(pages(render(document)))


def text_with_blanks(document):
    """Give the text with one plain blank for every break and every special blank."""
    return re.sub(r"\s+", " ", text_of(document))


def squeezed(text):
    return re.sub(r"\s", "", text)


def pdftotext(file, *options):
    return subprocess.run([PDFTOTEXT, *options, "-", "-"], input=file, capture_output=True, check=True).stdout.decode()


def long_everything():
    """Every text longer than its place."""
    party = Party(
        name="Very long company " * 12,
        address=(
            "Donaudampfschifffahrtsgesellschaft" * 5,
            "Second line " * 20,
            "99999 " + "Llanfair" * 14,
            "US-TX",
            "US",
        ),
        tax_ids=("X" * 60, "DE1", "DE2"),
    )
    return invoice(
        mode="test",
        seller=evolve(party, email="a" * 60 + "@b.example", phone="1" * 40, website="https://" + "w" * 110),
        buyer=party,
        corrects="INV26-000003",
        payment=("g" * 60, "p" * 300),
        lines=(InvoiceLine(description="word " * 400, quantity=10**15, net=Money.of("9000000000000", "EUR")),),
        tax=taxed(
            "9000000000000",
            *((f"{number}" * 40, "12.3456", "1000000000.00") for number in range(8)),
            note="note " * 400,
            explanation="e" * 2000,
        ),
    )


def many_lines(count=70):
    price = Money.of("1.00", "EUR")
    lines = (InvoiceLine(description=f"Server number-{i:03} " + "w " * i, quantity=i, net=price) for i in range(count))
    return invoice(mode="test", lines=tuple(lines))


def test_renderer_keeps_the_contract_and_names_what_made_the_bytes():
    renderer = PdfRenderer()
    assert isinstance(renderer, InvoiceRenderer)
    assert renderer.media_type == "application/pdf"
    assert re.fullmatch(r"layout-\d+/fpdf2-[\d.]+/babel-[\d.]+", renderer.version)


def test_one_page_says_everything_an_invoice_must():
    document = discounted()
    assert pages(render(document)) == [
        "Nimbus GmbH\nInvalidenstr. 1\n10115 Berlin\nGermany\nTax ID: DE136695976\n"
        "Invoice\nINV26-000007\n"
        "Billed to\nAda SARL\nAda Lovelace\n1 rue X\n75001 Paris\nFrance\nTax ID: FR40303265045\n"
        "Invoice date\nNovember 23, 2026\nPayment\nPaid by stripe, payment\npi_3QHa7dLkdIwHu7ix1Zq8Yx0b\n"
        "Description Quantity Net (EUR)\n"
        "Account credit 50.00 EUR 1 €50.00\nPromotion discount 1 -€5.00\nBonus credit 5.00 EUR 1 €0.00\n"
        "Nimbus GmbH billing@nimbus.example\n+49 30 1234567\nhttps://nimbus.example\nTax ID: DE136695976\n"
        "Page 1 of 1\n"
        "Net €45.00\nVAT 20% on €45.00 €9.00\nTotal (EUR) €54.00\n"
        "VAT of France applies."
    ]


@needs_poppler
def test_page_reads_in_its_columns():
    lines = [re.sub(r" {2,}", " | ", line.strip()) for line in pdftotext(render(discounted()), "-layout").splitlines()]
    assert [line for line in lines if line] == [
        "Nimbus GmbH | Invoice",
        "Invalidenstr. 1",
        "10115 Berlin",
        "INV26-000007",
        "Germany",
        "Tax ID: DE136695976",
        "Billed to | Invoice date",
        "Ada SARL | November 23, 2026",
        "Ada Lovelace",
        "Payment",
        "1 rue X",
        "Paid by stripe, payment",
        "75001 Paris",
        "pi_3QHa7dLkdIwHu7ix1Zq8Yx0b",
        "France",
        "Tax ID: FR40303265045",
        "Description | Quantity | Net (EUR)",
        "Account credit 50.00 EUR | 1 | €50.00",
        "Promotion discount | 1 | -€5.00",
        "Bonus credit 5.00 EUR | 1 | €0.00",
        "Net | €45.00",
        "VAT 20% on €45.00 | €9.00",
        "Total (EUR) | €54.00",
        "VAT of France applies.",
        "Nimbus GmbH | billing@nimbus.example | Tax ID: DE136695976",
        "+49 30 1234567",
        "https://nimbus.example",
        "Page 1 of 1",
    ]


def test_german_customer_reads_german():
    text = text_with_blanks(invoice(locale="de_DE", tax=taxed("45.00", ("USt", "19", "8.55"), note="Ein Hinweis.")))
    for words in ("Rechnung", "23. November 2026", "Frankreich", "Gesamtbetrag (EUR) 53,55 €", "Ein Hinweis."):
        assert words in text
    assert "USt 19 % auf 45,00 €" in text


@pytest.mark.parametrize(
    ("locale", "amount", "currency", "written"),
    [
        ("de", "1234.50", "EUR", "1.234,50 €"), ("en", "1234.50", "EUR", "€1,234.50"),
        ("hi", "1234.50", "EUR", "€1,234.50"), ("de", "123456", "JPY", "123.456 ¥"),
        ("en", "123456", "JPY", "¥123,456"), ("hi", "123456", "JPY", "JP¥1,23,456"),
        ("de", "1234.567", "KWD", "1.234,567 KWD"), ("en", "1234.567", "KWD", "KWD 1,234.567"),
        ("hi", "1234.567", "KWD", "KWD 1,234.567"), ("de", "150000.50", "INR", "150.000,50 ₹"),
        ("en", "150000.50", "INR", "₹150,000.50"), ("hi", "150000.50", "INR", "₹1,50,000.50"),
        ("fr", "1234.50", "EUR", "1 234,50 €"), ("de_CH", "1234.50", "EUR", "EUR 1'234.50"),
        ("zz", "1234.50", "EUR", "€1,234.50"),
    ],
)  # fmt: skip
def test_amounts_are_written_as_their_reader_writes_them(locale, amount, currency, written):
    # Babel's data has Swiss thousands with the one apostrophe or the other, by its version.
    text = text_with_blanks(invoice(locale=locale, tax=taxed(amount, currency=currency))).replace("’", "'")
    assert re.search(rf"(Total|Gesamtbetrag) \({currency}\) {re.escape(written)}( |$)", text)
    assert REPLACEMENT not in text


@pytest.mark.parametrize("locale", ["ar", "ja", "hi", "fa", "he", "th", "zh_TW"])
def test_figures_in_a_script_the_fonts_lack_are_written_in_english(locale):
    document = invoice(locale=locale, tax=taxed("1234.567", ("VAT", "5", "61.728"), currency="KWD"))
    text = text_of(document)
    assert "November 23, 2026" in text
    assert REPLACEMENT not in text
    assert "1,296.295" in text


def test_no_currency_sign_is_lost_in_english():
    lines = (InvoiceLine(description=code, net=Money.of("1", code)) for code in MINOR_DIGITS)
    text = text_of(invoice(lines=tuple(lines)))
    assert text.count("1.000") == sum(digits == 3 for digits in MINOR_DIGITS.values())
    assert REPLACEMENT not in text


def test_non_latin_and_accented_names_come_back_as_they_were():
    name = "Ångström Żółć Ελληνικά Кириллица Ğüneş Đặng ₹₺₽ №"
    document = invoice(buyer=evolve(BUYER, name=name))
    assert squeezed(name) in squeezed(text_of(document))
    assert missing_characters(document) == ()


def test_decomposed_accents_are_set_as_one_letter():
    assert "Müller" in text_of(invoice(buyer=evolve(BUYER, name="Mu\u0308ller")))


def test_characters_the_fonts_lack_are_replaced_visibly_and_reported(caplog):
    document = invoice(
        buyer=evolve(BUYER, name="日本 GmbH 👩", address=("שלום", "IL")),
        lines=(InvoiceLine(description="مرحبا", net=Money.of("45.00", "EUR")),),
    )
    text = text_of(document)
    assert f"{REPLACEMENT * 2} GmbH {REPLACEMENT}" in text
    assert "Israel" in text
    assert missing_characters(document) == tuple(sorted("日本👩שלוםمرحبا"))
    assert not caplog.records


def test_marks_that_only_steer_a_display_are_dropped_and_breaks_become_blanks():
    name = "Ada\u202eLRAS\u2066 \u200fx\u00adyz\r\nBcc: a\u2028b\u0085c\x00d"
    document = invoice(buyer=evolve(BUYER, name=name))
    assert "AdaLRAS xyz  Bcc: a b c d" in text_of(document)
    assert missing_characters(document) == ()


def test_half_a_character_does_not_stop_an_invoice():
    assert f"Ada {REPLACEMENT}" in text_of(invoice(buyer=evolve(BUYER, name="Ada \ud800")))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_customer_text_appears_literally_wherever_it_stands(hostile):
    party = Party(name=hostile, address=(hostile, hostile), tax_ids=(hostile,), email=hostile)
    document = invoice(
        buyer=party,
        seller=party,
        number=hostile,
        payment=("stripe", hostile),
        lines=(InvoiceLine(description=hostile, net=Money.of("45.00", "EUR")),),
        tax=taxed("45.00", (hostile, "20", "9.00"), note=hostile, explanation=hostile),
    )
    text = squeezed(text_of(document))
    assert text.count(squeezed(hostile)) >= 9
    assert "49" not in text.replace(squeezed(hostile), "")


def test_markup_in_names_opens_no_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.png"
        text = text_of(invoice(buyer=evolve(BUYER, name=f"<img src={url}>", tax_ids=(f"![]({url})",))))
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert f"<imgsrc={url}>" in squeezed(text)


def names_in(value, seen):
    """Give every dictionary key below a PDF object."""
    value = value.get_object()
    if id(value) in seen or not isinstance(value, DictionaryObject | ArrayObject):
        return
    seen.add(id(value))
    if isinstance(value, DictionaryObject):
        yield from value
    for item in value.values() if isinstance(value, DictionaryObject) else value:
        yield from names_in(item, seen)


@pytest.mark.parametrize("document", [discounted(), long_everything(), invoice(buyer=evolve(BUYER, name=HOSTILE[3]))])
def test_file_has_no_form_script_action_link_or_attachment(document):
    names = set(names_in(PdfReader(io.BytesIO(render(document))).trailer, set()))
    assert {"/Root", "/Pages", "/Font", "/FontFile2", "/ToUnicode"} <= names
    forbidden = {"/AcroForm", "/JavaScript", "/JS", "/OpenAction", "/AA", "/EmbeddedFile", "/EmbeddedFiles", "/AF"}
    assert not names & (forbidden | {"/URI", "/A", "/Annots", "/Encrypt", "/XFA", "/Launch"})


def test_every_font_is_embedded_and_none_is_a_core_font():
    [page] = PdfReader(io.BytesIO(render(discounted()))).pages
    fonts = [font.get_object() for font in page["/Resources"]["/Font"].values()]
    assert len(fonts) == 2
    for font in fonts:
        [descendant] = font["/DescendantFonts"]
        assert re.fullmatch(r"/([A-Z]{6}\+)?DejaVuSans(Book|-?Bold)", str(font["/BaseFont"])), font["/BaseFont"]
        assert descendant.get_object()["/FontDescriptor"]["/FontFile2"].get_data()


def test_document_information_holds_title_seller_language_and_date_of_issue():
    reader = PdfReader(io.BytesIO(render(invoice(locale="de"))))
    assert reader.metadata.title == "Rechnung INV26-000007"
    assert reader.metadata.author == "Nimbus GmbH"
    assert reader.metadata.creation_date == invoice().issued_at
    assert reader.trailer["/Root"]["/Lang"] == "de"


@pytest.mark.parametrize("mode", ["test", "live"])
def test_only_test_documents_say_so_and_they_do_on_every_page(mode):
    for page in pages(render(evolve(many_lines(), mode=mode))):
        assert ("TEST – not a valid invoice" in page) == (mode == "test")


def test_many_lines_go_on_with_heads_and_page_numbers_and_the_total_comes_once():
    found = pages(render(many_lines()))
    assert len(found) > 2
    for number, page in enumerate(found, 1):
        assert "Description Quantity Net (EUR)" in page
        assert f"Page {number} of {len(found)}" in page
        assert "INV26-000007" in page
        assert "Tax ID: DE136695976" in page
        assert ("Total (EUR)" in page) == (number == len(found))
    assert re.findall(r"number-(\d+)", "\n".join(found)) == [f"{i:03}" for i in range(70)]
    assert "number-069" in found[-1]


def test_credit_without_payment_says_that_nothing_was_due():
    assert "Nothing to pay" in text_of(invoice(payment=("promotion", "")))


def test_document_that_corrects_another_names_it():
    assert "Corrects\nINV26-000003" in text_of(invoice(corrects="INV26-000003"))


def test_bare_parties_leave_no_empty_headings():
    text = text_of(invoice(buyer=Party(name="user-42"), seller=Party(name="Nimbus"), tax=taxed("45.00"), lines=()))
    assert "Tax ID" not in text
    assert "Description" not in text
    assert "Total (EUR) €45.00" in text


def test_long_texts_are_cut_visibly_and_amounts_never():
    text = text_of(long_everything())
    assert "Very long company…" in text.replace("company …", "company…")
    assert text.count("…") >= 10
    assert "€9,008,000,000,000.00" in text
    assert "1,000,000,000,000,000" in text


def boxes(file):
    """Give the boxes of the words of every page, as pdftotext sees them."""
    for page in re.split(r"<page ", pdftotext(file, "-bbox"))[1:]:
        found = re.findall(r'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)</word>', page)
        yield [(*map(float, corners), html.unescape(word)) for *corners, word in found]


def collide(one, other):
    slack = 0.5
    apart = one[2] <= other[0] + slack or other[2] <= one[0] + slack
    return not (apart or one[3] <= other[1] + slack or other[3] <= one[1] + slack)


@needs_poppler
@pytest.mark.parametrize("document", [discounted(), long_everything(), many_lines(30)], ids=["plain", "long", "many"])
def test_nothing_overlaps_and_nothing_leaves_the_page(document):
    for words in boxes(render(document)):
        assert len(words) > 20
        for left, top, right, bottom, word in words:
            assert left > 55, word
            assert top > 20, word
            assert right < 541, word
            assert bottom < 822, word
        assert [(a, b) for i, a in enumerate(words) for b in words[i + 1 :] if collide(a, b)] == []


@settings(max_examples=15)
@given(st.text(max_size=200), st.text(max_size=16), st.text(max_size=300))
def test_no_text_at_all_stops_an_invoice(name, locale, description):
    document = invoice(
        buyer=Party(name=name, address=(name,), tax_ids=(name,)),
        locale=locale,
        lines=(InvoiceLine(description=description, net=Money.of("45.00", "EUR")),),
    )
    assert render(document).startswith(b"%PDF-")


def fresh_process(code, *, hash_seed="0", zone="UTC"):
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": zone}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_same_invoice_gives_the_same_bytes_in_other_processes():
    code = (
        "import hashlib; from prepaid.invoicing.pdf import PdfRenderer; from tests.invoicing.samples import discounted;"
        "print(hashlib.sha256(PdfRenderer().render(discounted())).hexdigest())"
    )
    here = hashlib.sha256(render(discounted())).hexdigest()
    assert fresh_process(code, hash_seed="1") == here
    assert fresh_process(code, hash_seed="4711", zone="Asia/Tokyo") == here
    assert hashlib.sha256(render(evolve(discounted(), number="INV26-000008"))).hexdigest() != here


def test_drawing_library_is_loaded_only_to_draw():
    code = (
        "import sys, prepaid, prepaid.invoicing.pdf as pdf, prepaid.invoicing.letters; pdf.PdfRenderer();"
        "print([name for name in ('fpdf', 'fontTools', 'PIL', 'jinja2') if name in sys.modules])"
    )
    assert fresh_process(code) == "[]"
    assert SELLER.name in pages(render(invoice()))[0]
