"""Draws an invoice as PDF: one calm A4 page, more of them if there are many lines.

Everything a customer or seller wrote is set as plain text: no markup, no links,
no forms, no scripts. A character the fonts lack is set as a replacement sign,
never an error: an invoice that says ``���`` can be sent, a missing one cannot.
The same invoice gives the same bytes for the same `PdfRenderer.version`.

The page is laid out before it is drawn, in millimetres from the top left; text
that is too long for its place is wrapped, then cut with an ellipsis, and an
amount, which may not be cut, is set smaller.

Sources: ISO 32000-1 (text, document information); fpdf2's manual.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import evolve, frozen

from ..core.documents import Invoice, InvoiceLine, Party
from ..core.money import Money
from ..core.taxation import TaxLine
from .layout import paginate, wrap
from .words import ENGLISH, Language, language_of

if TYPE_CHECKING:
    from fpdf import FPDF
    from fpdf.fonts import TTFFont

LAYOUT: Final = "1"
"""Raised with every change of the page, its words or its fonts."""
REPLACEMENT: Final = "\ufffd"

_FONTS: Final = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}
_FAMILY: Final = "dejavu"
_POINTS_PER_MM: Final = 72 / 25.4

_LEFT: Final = 20.0
_RIGHT: Final = 190.0
_WIDTH: Final = _RIGHT - _LEFT
_TOP: Final = 20.0
_BOTTOM: Final = 258.0
_FOOTER: Final = 266.0
_CONTINUED: Final = 32.0  # where the table begins on further pages

_INK: Final = (28, 36, 48)
_MUTED: Final = (95, 107, 122)
_HAIR: Final = (214, 220, 227)
_ACCENT: Final = (31, 84, 140)
_WARNING: Final = (158, 42, 20)
_WARNING_TINT: Final = (253, 238, 232)


@frozen
class _Style:
    """How a piece of text looks: size in points, height of a line in millimetres."""

    size: float
    leading: float
    style: str = ""
    ink: tuple[int, int, int] = _INK


_TITLE: Final = _Style(22, 9.5, "B")
_NAME: Final = _Style(12, 5.6, "B")
_TOTAL: Final = _Style(12, 6, "B")
_BODY: Final = _Style(9, 4.6)
_STRONG: Final = _Style(9, 4.6, "B")
_QUIET: Final = _Style(8.5, 4.4, ink=_MUTED)
_LABEL: Final = _Style(7.5, 4.2, ink=_MUTED)
_SMALL: Final = _Style(7, 3.6, ink=_MUTED)
_NUMBER: Final = _Style(10, 5, ink=_MUTED)
_MARK: Final = _Style(10, 8, "B", _WARNING)


class PdfRenderer:
    """Renders invoices as PDF.

    Attributes:
        media_type: ``application/pdf``.
        version: Layout, and the libraries whose output shows in the file.
    """

    media_type: str = "application/pdf"

    def __init__(self) -> None:
        libraries = (f"{name}-{version(name)}" for name in ("fpdf2", "babel"))
        self.version: str = "/".join((f"layout-{LAYOUT}", *libraries))

    def render(self, invoice: Invoice) -> bytes:
        """Draw the invoice and give the file."""
        drawing = _Drawing(invoice)
        drawing.draw()
        return drawing.sheet.output()


def missing_characters(invoice: Invoice) -> tuple[str, ...]:
    """Give the characters of an invoice that the fonts lack and the page replaces, sorted."""
    wanted = {character for text in _texts(invoice) for character in _cleaned(text)}
    return tuple(sorted(character for character in wanted if ord(character) not in _drawable()))


def _texts(invoice: Invoice) -> Iterable[str]:
    for party in (invoice.seller, invoice.buyer):
        yield from (party.name, *party.address, *party.tax_ids)
    yield from _contact(invoice.seller)
    yield from (line.description for line in invoice.lines)
    yield from (line.name for line in invoice.tax.lines)
    yield from (invoice.tax.note, invoice.tax.explanation, invoice.number, invoice.corrects or "", *invoice.payment)


def _contact(party: Party) -> tuple[str, ...]:
    return tuple(text for text in (party.email, party.phone, party.website) if text)


def _cleaned(text: str) -> str:
    """Compose accents, turn line breaks and controls into blanks, drop marks that only steer a display."""
    composed = unicodedata.normalize("NFC", text)
    kinds = ((character, unicodedata.category(character)) for character in composed)
    return "".join(" " if kind in ("Cc", "Zl", "Zp") else character for character, kind in kinds if kind != "Cf")


def _plain(text: str) -> str:
    """Give text as it can be drawn, with a replacement sign for what cannot."""
    drawable = _drawable()
    return "".join(character if ord(character) in drawable else REPLACEMENT for character in _cleaned(text))


@cache
def _drawable() -> frozenset[int]:
    """Give the code points that the regular and the bold font both have."""
    from fpdf import FPDF

    pdf = FPDF()
    _load_fonts(pdf)
    fonts = [_font(pdf, style) for style in _FONTS]
    for font in fonts:
        font.close()
    return frozenset.intersection(*(frozenset(font.cmap) for font in fonts))


def _load_fonts(pdf: FPDF) -> None:
    for style, name in _FONTS.items():
        pdf.add_font(_FAMILY, style, Path(__file__).parent / "fonts" / name)


def _font(pdf: FPDF, style: str) -> TTFFont:
    return cast("TTFFont", pdf.fonts[_FAMILY + style])


class _Sheet:
    """Text, rules and boxes on A4 pages; the only code that speaks to fpdf2."""

    def __init__(self) -> None:
        from fpdf import FPDF

        pdf = FPDF(unit="mm", format="A4")
        pdf.set_auto_page_break(False)
        pdf.set_margin(0)
        pdf.c_margin = 0
        pdf.str_alias_nb_pages = ""  # else a customer's "{nb}" would turn into the number of pages
        _load_fonts(pdf)
        self._pdf = pdf

    def describe(self, invoice: Invoice, *, title: str, language: str) -> None:
        """Set the document information; the only date in the file is that of issue."""
        self._pdf.set_creation_date(invoice.issued_at)
        self._pdf.set_title(title)
        self._pdf.set_author(_plain(invoice.seller.name))
        self._pdf.set_creator("prepaid")
        self._pdf.set_lang(language)

    def new_page(self) -> None:
        """Begin a page."""
        self._pdf.add_page()

    def measure(self, style: _Style) -> Callable[[str], float]:
        """Give a function that tells how wide text of a style is, in millimetres."""
        widths = _font(self._pdf, style.style).cw
        scale = style.size / 1000 / _POINTS_PER_MM
        return lambda text: sum(widths[ord(character)] for character in text) * scale

    def lines(self, text: str, style: _Style, width: float, *, most: int = 1) -> list[str]:
        """Break text into lines of a width."""
        return wrap(_plain(text), width, self.measure(style), most=most)

    def text(self, text: str, style: _Style, *, x: float, y: float, width: float, align: str = "L") -> None:
        """Draw one line."""
        self._pdf.set_font(_FAMILY, style.style, style.size)
        self._pdf.set_text_color(*style.ink)
        self._pdf.set_xy(x, y)
        self._pdf.cell(width, style.leading, text, align=align)

    def figure(self, text: str, style: _Style, *, x: float, y: float, width: float) -> None:
        """Draw an amount, flush right; smaller if it is too wide, never cut."""
        wide = self.measure(style)(text)
        fitting = style if wide <= width else evolve(style, size=style.size * width / wide)
        self.text(text, fitting, x=x, y=y, width=width, align="R")

    def block(
        self, lines: Sequence[str], style: _Style, *, x: float, y: float, width: float, align: str = "L"
    ) -> float:
        """Draw lines below each other and give where the next would stand."""
        for number, line in enumerate(lines):
            self.text(line, style, x=x, y=y + number * style.leading, width=width, align=align)
        return y + len(lines) * style.leading

    def rule(self, y: float, *, x: float = _LEFT, ink: tuple[int, int, int] = _HAIR, thick: float = 0.2) -> None:
        """Draw a line across the page, from ``x`` to the right margin."""
        self.box(y - thick / 2, thick, ink, x=x)

    def box(self, y: float, height: float, ink: tuple[int, int, int], *, x: float = _LEFT) -> None:
        """Fill a box that reaches to the right margin."""
        self._pdf.set_fill_color(*ink)
        self._pdf.rect(x, y, _RIGHT - x, height, style="F")

    def output(self) -> bytes:
        """Give the finished file."""
        from fpdf.output import OutputProducer, PDFCatalog

        class NothingOnOpening(OutputProducer):
            def _finalize_catalog(self, catalog_obj: PDFCatalog, *objects: Any, **named: Any) -> None:
                super()._finalize_catalog(catalog_obj, *objects, **named)
                catalog_obj.open_action = None  # fpdf2 always sets one, and has no switch for it

        return bytes(self._pdf.output(output_producer_class=NothingOnOpening))


_ROW_PAD: Final = 2.0
_HEAD: Final = 7.0
_DESCRIPTION_WIDTH: Final = 98.0
_QUANTITY_X: Final = 122.0
_QUANTITY_WIDTH: Final = 22.0
_NET_X: Final = 148.0
_NET_WIDTH: Final = _RIGHT - _NET_X
_PARTY_WIDTH: Final = 92.0
_SIDE_X: Final = 120.0
_SIDE_WIDTH: Final = _RIGHT - _SIDE_X
_SUM_X: Final = 96.0
_SUM_LABEL_WIDTH: Final = 50.0
_SUM_GAP: Final = 1.4
_NOTE_GAP: Final = 8.0


@frozen
class _Row:
    """A line of the invoice, laid out."""

    description: list[str]
    quantity: str
    net: str

    @property
    def height(self) -> float:
        return len(self.description) * _BODY.leading + 2 * _ROW_PAD


@frozen
class _Sum:
    """A figure below the table, with its label laid out."""

    label: list[str]
    amount: str
    style: _Style = _BODY

    @property
    def height(self) -> float:
        return len(self.label) * self.style.leading + _SUM_GAP


class _Drawing:
    """One invoice on its way to paper."""

    def __init__(self, invoice: Invoice) -> None:
        self.invoice = invoice
        self.language = language_of(invoice.locale)
        self.words = self.language.words
        self.sheet = _Sheet()
        self.kind = self.words.kinds[invoice.kind]
        self.title = f"{self.kind.title} {_plain(invoice.number)}"

    def draw(self) -> None:
        """Draw all pages."""
        self.sheet.describe(self.invoice, title=self.title, language=self.language.code)
        rows = [self._row(line) for line in self.invoice.lines]
        sums, notes = self._sums(), self._notes()
        closing = _SUM_GAP + sum(item.height for item in sums) + _NOTE_GAP + len(notes) * _QUIET.leading
        y = self._first_page()
        room = _BOTTOM - _HEAD
        heights = [row.height for row in rows]
        pages = paginate(heights, first=room - y, later=room - _CONTINUED, closing=closing)
        for number, page in enumerate(pages, 1):
            if number > 1:
                y = self._next_page()
            y = self._table(rows[page.start : page.stop], y)
            self._footer(number, len(pages))
        self._closing(sums, notes, y)

    def _figure(self, write: Callable[[Language], str]) -> str:
        """Write a number or date; in English where the fonts lack its script."""
        own = _cleaned(write(self.language))
        return own if all(ord(character) in _drawable() for character in own) else _plain(write(ENGLISH))

    def _row(self, line: InvoiceLine) -> _Row:
        return _Row(
            self.sheet.lines(line.description, _BODY, _DESCRIPTION_WIDTH, most=6),
            self._figure(lambda language: language.count(line.quantity)),
            self._figure(lambda language: language.money(line.net)),
        )

    def _sums(self) -> list[_Sum]:
        """Lay out net, taxes and total."""
        invoice, words = self.invoice, self.words
        labels = [
            (words.net, invoice.net, _BODY),
            *((self._tax_label(line), line.amount, _BODY) for line in invoice.tax.lines),
            (f"{words.total} ({invoice.currency})", invoice.total, _TOTAL),
        ]
        return [
            _Sum(self.sheet.lines(label, style, _SUM_LABEL_WIDTH, most=3), self._money(amount), style)
            for label, amount, style in labels
        ]

    def _money(self, amount: Money) -> str:
        return self._figure(lambda language: language.money(amount))

    def _tax_label(self, line: TaxLine) -> str:
        rate = self._figure(lambda language: language.percent(line.rate_percent))
        return self.words.tax.format(name=line.name, rate=rate, base=self._money(line.base))

    def _notes(self) -> list[str]:
        """Lay out what must be said about the tax."""
        texts = (self.invoice.tax.note, self.invoice.tax.explanation)
        return [line for text in texts if text for line in self.sheet.lines(text, _QUIET, _WIDTH, most=4)]

    def _first_page(self) -> float:
        """Draw seller, title, buyer and payment, and give where the table begins."""
        self._new_page()
        y = max(self._seller(), self._heading()) + 7
        self.sheet.rule(y, ink=_ACCENT, thick=0.5)
        return max(self._buyer(y + 6), self._facts(y + 6)) + 9

    def _next_page(self) -> float:
        """Draw the head of a further page and give where its table begins."""
        self._new_page()
        self.sheet.text(self.title, _STRONG, x=_LEFT, y=_TOP, width=_SIDE_X - _LEFT)
        [seller] = self.sheet.lines(self.invoice.seller.name, _QUIET, _SIDE_WIDTH)
        self.sheet.text(seller, _QUIET, x=_SIDE_X, y=_TOP, width=_SIDE_WIDTH, align="R")
        return _CONTINUED

    def _new_page(self) -> None:
        self.sheet.new_page()
        if self.invoice.mode == "test":
            self.sheet.box(8, 8, _WARNING_TINT)
            self.sheet.text(self.kind.test_mark, _MARK, x=_LEFT, y=8, width=_WIDTH, align="C")

    def _seller(self) -> float:
        party = self.invoice.seller
        name = self.sheet.lines(party.name, _NAME, _PARTY_WIDTH, most=3)
        y = self.sheet.block(name, _NAME, x=_LEFT, y=_TOP + 1.5, width=_PARTY_WIDTH)
        return self._address(party, _QUIET, y + 1)

    def _heading(self) -> float:
        """Draw the title with the number."""
        self.sheet.text(self.kind.title, _TITLE, x=_SIDE_X, y=_TOP, width=_SIDE_WIDTH, align="R")
        y = _TOP + _TITLE.leading + 1
        self.sheet.figure(_plain(self.invoice.number), _NUMBER, x=_SIDE_X, y=y, width=_SIDE_WIDTH)
        return y + _NUMBER.leading

    def _address(self, party: Party, style: _Style, y: float) -> float:
        *lines, last = party.address or ("",)
        country = self._figure(lambda language: language.country(last))
        texts = [*lines, country, *(f"{self.words.tax_id}: {number}" for number in party.tax_ids)]
        laid_out = [line for text in texts if text for line in self.sheet.lines(text, style, _PARTY_WIDTH, most=2)]
        return self.sheet.block(laid_out, style, x=_LEFT, y=y, width=_PARTY_WIDTH)

    def _buyer(self, y: float) -> float:
        party = self.invoice.buyer
        self.sheet.text(self.words.billed_to, _LABEL, x=_LEFT, y=y, width=_PARTY_WIDTH)
        name = self.sheet.lines(party.name, _STRONG, _PARTY_WIDTH, most=3)
        y = self.sheet.block(name, _STRONG, x=_LEFT, y=y + _LABEL.leading + 0.6, width=_PARTY_WIDTH)
        return self._address(party, _BODY, y)

    def _facts(self, y: float) -> float:
        """Draw date, payment and what the document corrects."""
        invoice, words, kind = self.invoice, self.words, self.kind
        gateway, payment = invoice.payment
        paid = kind.paid_by.format(gateway=gateway, payment=payment) if payment else words.unpaid
        facts = [
            (kind.issued_on, self._figure(lambda language: language.day(invoice.issued_on))),
            (kind.payment, paid),
        ]
        if invoice.corrects:
            facts.append((words.corrects, invoice.corrects))
        for label, value in facts:
            self.sheet.text(label, _LABEL, x=_SIDE_X, y=y, width=_SIDE_WIDTH)
            lines = self.sheet.lines(value, _BODY, _SIDE_WIDTH, most=5)
            y = self.sheet.block(lines, _BODY, x=_SIDE_X, y=y + _LABEL.leading + 0.6, width=_SIDE_WIDTH) + 2.6
        return y - 2.6

    def _table(self, rows: Sequence[_Row], y: float) -> float:
        """Draw the heads of the columns and some rows, and give where they end."""
        if not rows:
            return y
        net = f"{self.words.net} ({self.invoice.currency})"
        self.sheet.text(self.words.description, _LABEL, x=_LEFT, y=y, width=_DESCRIPTION_WIDTH)
        self.sheet.text(self.words.quantity, _LABEL, x=_QUANTITY_X, y=y, width=_QUANTITY_WIDTH, align="R")
        self.sheet.text(net, _LABEL, x=_NET_X, y=y, width=_NET_WIDTH, align="R")
        y += _HEAD - 1
        self.sheet.rule(y, ink=_INK, thick=0.3)
        for row in rows:
            y = self._draw_row(row, y)
        return y

    def _draw_row(self, row: _Row, y: float) -> float:
        top = y + _ROW_PAD
        self.sheet.block(row.description, _BODY, x=_LEFT, y=top, width=_DESCRIPTION_WIDTH)
        self.sheet.figure(row.quantity, _BODY, x=_QUANTITY_X, y=top, width=_QUANTITY_WIDTH)
        self.sheet.figure(row.net, _BODY, x=_NET_X, y=top, width=_NET_WIDTH)
        self.sheet.rule(y + row.height)
        return y + row.height

    def _closing(self, sums: Sequence[_Sum], notes: Sequence[str], y: float) -> None:
        """Draw sums and notes below the last row."""
        y += _SUM_GAP + 1
        for item in sums:
            if item is sums[-1]:
                self.sheet.rule(y, x=_SUM_X, ink=_INK, thick=0.3)
                y += _SUM_GAP
            self.sheet.block(item.label, item.style, x=_SUM_X, y=y, width=_SUM_LABEL_WIDTH)
            self.sheet.figure(item.amount, item.style, x=_NET_X, y=y, width=_NET_WIDTH)
            y += item.height
        self.sheet.block(notes, _QUIET, x=_LEFT, y=y + _NOTE_GAP, width=_WIDTH)

    def _footer(self, page: int, pages: int) -> None:
        """Draw who the seller is, how to reach them, and the number of the page."""
        seller = self.invoice.seller
        self.sheet.rule(_FOOTER)
        tax_ids = f"{self.words.tax_id}: {', '.join(seller.tax_ids)}" if seller.tax_ids else ""
        columns = ((_LEFT, 60.0, [seller.name]), (84.0, 50.0, list(_contact(seller))), (138.0, 52.0, [tax_ids]))
        for x, width, texts in columns:
            most = 3 if len(texts) == 1 else 1
            lines = [line for text in texts for line in self.sheet.lines(text, _SMALL, width, most=most)]
            self.sheet.block(lines, _SMALL, x=x, y=_FOOTER + 2.5, width=width)
        counted = self.words.page.format(page=page, pages=pages)
        self.sheet.text(counted, _SMALL, x=_LEFT, y=_FOOTER + 15, width=_WIDTH, align="R")
