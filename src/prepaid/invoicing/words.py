r"""What documents say in each language, and numbers and dates as its readers write them.

Words exist in a few languages, numbers and dates in all that Babel knows: a
French customer reads English words with French figures. An unknown locale is
no reason to send no invoice; it becomes the nearest known one, in the end English.

>>> german = language_of("de-DE")
>>> german.words.total, german.percent(Decimal("8.10"))
('Gesamtbetrag', '8,1\xa0%')
>>> language_of("xx_YY").locale
'en'

Sources: Unicode CLDR, through Babel (formats); UTS 35 part 3, ``currencySpacing``;
UStG § 14 Abs. 2 (what *Gutschrift* means).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from attrs import frozen

from ..core.documents import DocumentKind
from ..core.money import Money
from ..lettering import written


@frozen(kw_only=True)
class KindWords:
    """What a document of one kind says, in one language.

    Attributes:
        title: Title.
        issued_on: Heading of the date.
        payment: What its payment is to it: how it was paid, or where the money goes back to.
        paid_by: ``{gateway}`` and ``{payment}``.
        subject: Subject of the mail; ``{number}`` and ``{seller}``.
        greeting: What the mail begins with.
        attached: What the mail says about the file.
        test_mark: What a document of test mode says about itself.
    """

    title: str
    issued_on: str
    payment: str
    paid_by: str
    subject: str
    greeting: str
    attached: str
    test_mark: str


@frozen(kw_only=True)
class Words:
    """Everything a document or its mail says, in one language.

    Attributes:
        kinds: What only documents of one kind say, by the kind.
        billed_to: Heading of the buyer.
        unpaid: What stands there when nothing had to be paid.
        corrects: Heading of the number of the document corrected.
        description: Heading of what was sold.
        quantity: Heading of how many.
        net: Heading of amounts without tax.
        tax: One tax; ``{name}``, ``{rate}`` and ``{base}``.
        total: Heading of the sum with tax.
        tax_id: Heading of a tax identification number.
        page: ``{page}`` of ``{pages}``.
        test_subject: Put before the subject in test mode.
        questions: Where to write to; ``{email}``.
    """

    kinds: Mapping[DocumentKind, KindWords]
    billed_to: str
    unpaid: str
    corrects: str
    description: str
    quantity: str
    net: str
    tax: str
    total: str
    tax_id: str
    page: str
    test_subject: str
    questions: str


WORDS: Final[dict[str, Words]] = {
    "en": Words(
        kinds={
            "invoice": KindWords(
                title="Invoice",
                issued_on="Invoice date",
                payment="Payment",
                paid_by="Paid by {gateway}, payment {payment}",
                subject="Invoice {number} from {seller}",
                greeting="Thank you for topping up your account.",
                attached="Your invoice is attached as a PDF file.",
                test_mark="TEST – not a valid invoice",
            ),
            "credit-note": KindWords(
                title="Credit note",
                issued_on="Date of issue",
                payment="Original payment",
                paid_by="{gateway}, payment {payment}",
                subject="Credit note {number} from {seller}",
                greeting="A part of a top-up was returned.",
                attached="The credit note is attached as a PDF file.",
                test_mark="TEST – not a valid credit note",
            ),
        },
        billed_to="Billed to",
        unpaid="Nothing to pay",
        corrects="Corrects",
        description="Description",
        quantity="Quantity",
        net="Net",
        tax="{name} {rate} on {base}",
        total="Total",
        tax_id="Tax ID",
        page="Page {page} of {pages}",
        test_subject="[TEST]",
        questions="Questions? Write to {email}.",
    ),
    "de": Words(
        kinds={
            "invoice": KindWords(
                title="Rechnung",
                issued_on="Rechnungsdatum",
                payment="Zahlung",
                paid_by="Bezahlt mit {gateway}, Zahlung {payment}",
                subject="Rechnung {number} von {seller}",
                greeting="Vielen Dank, dass Sie Ihr Guthaben aufgeladen haben.",
                attached="Ihre Rechnung finden Sie als PDF-Datei im Anhang.",
                test_mark="TEST – keine gültige Rechnung",
            ),
            # Not "Gutschrift": in German tax law that is an invoice which the buyer writes.
            "credit-note": KindWords(
                title="Rechnungskorrektur",
                issued_on="Ausstellungsdatum",
                payment="Ursprüngliche Zahlung",
                paid_by="{gateway}, Zahlung {payment}",
                subject="Rechnungskorrektur {number} von {seller}",
                greeting="Ein Teil einer Aufladung wurde zurückgegeben.",
                attached="Die Rechnungskorrektur finden Sie als PDF-Datei im Anhang.",
                test_mark="TEST – keine gültige Rechnungskorrektur",
            ),
        },
        billed_to="Rechnung an",
        unpaid="Nichts zu zahlen",
        corrects="Berichtigt",
        description="Beschreibung",
        quantity="Menge",
        net="Netto",
        tax="{name} {rate} auf {base}",
        total="Gesamtbetrag",
        tax_id="USt-IdNr./Steuernr.",
        page="Seite {page} von {pages}",
        test_subject="[TEST]",
        questions="Fragen? Schreiben Sie an {email}.",
    ),
}


@frozen
class Language:
    """How one document speaks.

    Attributes:
        locale: A locale that Babel knows.
        words: The words, in its language or in English.
    """

    locale: str
    words: Words

    @property
    def code(self) -> str:
        """The language of the words, by ISO 639-1."""
        return next(code for code, words in WORDS.items() if words is self.words)

    def money(self, amount: Money) -> str:
        """Write an amount with all the digits of its currency."""
        return written(amount, self.locale)

    def day(self, day: date) -> str:
        """Write a date in full."""
        from babel.dates import format_date

        return format_date(day, "long", locale=self.locale)

    def percent(self, rate: Decimal) -> str:
        """Write a rate given in percent, with the digits it needs."""
        from babel.numbers import format_percent

        return format_percent((rate / 100).normalize(), locale=self.locale, decimal_quantization=False)

    def count(self, quantity: int) -> str:
        """Write a whole number."""
        from babel.numbers import format_decimal

        return format_decimal(quantity, locale=self.locale)

    def country(self, code: str) -> str:
        """Give the name of a country by ISO 3166-1; anything else as it is."""
        from babel import Locale

        return str(Locale.parse(self.locale).territories.get(code, code)) if len(code) == 2 else code


def language_of(locale: str) -> Language:
    """Give the language of documents for a locale; the nearest one if it is unknown."""
    from babel import Locale, UnknownLocaleError

    wanted = locale.replace("-", "_")
    for candidate in (wanted, wanted.partition("_")[0]):
        try:
            known = Locale.parse(candidate)
        except (ValueError, UnknownLocaleError):
            continue
        return Language(str(known), WORDS.get(known.language, WORDS["en"]))
    return ENGLISH


ENGLISH: Final = Language("en", WORDS["en"])
