"""The mail that brings a document to its buyer, as text and as simple HTML.

Names of customers and sellers go into templates as values only: the text is
plain, the HTML escapes all of them, and neither is ever read as a template.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from ..core.documents import Invoice
from ..lettering import LONGEST_SUBJECT, one_line, templates
from ..ports import Attachment, MailMessage
from .words import language_of

_TEMPLATES: Final = Path(__file__).parent / "templates"
_NOT_IN_FILE_NAMES: Final = re.compile(r"[^A-Z0-9-]+")
_LONGEST_FILE_NAME: Final = 40


def invoice_mail(invoice: Invoice, pdf: bytes, *, to: str) -> MailMessage:
    """Write the mail that carries ``pdf`` to one address, in the invoice's language."""
    words = _mail_words(invoice)
    return MailMessage(
        to=to,
        subject=words["subject"],
        text=templates(_TEMPLATES).get_template("invoice.txt").render(words),
        html=templates(_TEMPLATES).get_template("invoice.html").render(words),
        attachments=(Attachment(filename=file_name(invoice.number), content=pdf),),
        message_key=f"invoice/{invoice.id}",
    )


def file_name(number: str) -> str:
    """Make a file name of capital letters, digits and hyphens from an invoice number.

    >>> file_name("INV26-000007"), file_name("../../etc/7")
    ('INV26-000007.pdf', 'ETC-7.pdf')
    """
    safe = _NOT_IN_FILE_NAMES.sub("-", number.upper()).strip("-")[:_LONGEST_FILE_NAME]
    return f"{safe or 'INVOICE'}.pdf"


def _mail_words(invoice: Invoice) -> dict[str, Any]:
    """Give everything the templates say, in words of the invoice's language."""
    language = language_of(invoice.locale)
    words, seller = language.words, one_line(invoice.seller.name)
    kind = words.kinds[invoice.kind]
    number, (gateway, payment) = one_line(invoice.number), invoice.payment
    paid = kind.paid_by.format(gateway=gateway, payment=payment) if payment else words.unpaid
    test = invoice.mode == "test"
    subject = kind.subject.format(number=number, seller=seller)
    return {
        "words": kind,
        "language": language.code,
        "test": test,
        "subject": (f"{words.test_subject} {subject}" if test else subject)[:LONGEST_SUBJECT],
        "number": number,
        "seller": seller,
        "facts": (
            (kind.title, number),
            *(((words.corrects, invoice.corrects),) if invoice.corrects else ()),
            (kind.issued_on, language.day(invoice.issued_on)),
            (words.billed_to, one_line(invoice.buyer.name)),
            (words.total, language.money(invoice.total)),
            (kind.payment, one_line(paid)),
        ),
        "questions": words.questions.format(email=invoice.seller.email) if invoice.seller.email else "",
    }
