"""Handing invoices out: rendered once, kept with their hash, mailed, listed."""

from __future__ import annotations

from ..config import Context, page_limit
from ..core.documents import Invoice
from ..core.errors import ConfigurationError, IntegrityFault, NotFound
from ..core.hashing import sha256
from ..core.pages import Page, make_cursor, read_cursor
from ..store import Duplicate, documents
from ..store.outbox import Effect
from .letters import invoice_mail


def get(context: Context, number_or_id: object, *, customer: str | None = None) -> Invoice:
    """Read an invoice by number or id, of one customer if one is given.

    Raises:
        NotFound: Unknown, or another customer's.
    """
    # What no engine can be asked for, such as a NUL, is nobody's number either.
    askable = isinstance(number_or_id, str) and len(number_or_id) <= 64 and number_or_id.isprintable()
    wanted = str(number_or_id) if askable else ""
    found = context.database.read(lambda tx: documents.find(tx, wanted, customer=customer))
    if found is None:
        raise NotFound("There is no such invoice.", field="invoice")
    return found


def list_of(context: Context, customer: str, *, cursor: str | None, limit: int) -> Page[Invoice]:
    """List a customer's invoices, newest first.

    Raises:
        InvalidRequest: A cursor of another list, or a limit out of range.
    """
    size, before = page_limit(limit), read_cursor("i", cursor)
    rows = context.database.read(lambda tx: documents.of_customer(tx, customer, before=before, limit=size + 1))
    return Page(tuple(rows[:size]), make_cursor("i", rows[size - 1].id) if len(rows) > size else None)


def file_of(context: Context, invoice: Invoice) -> bytes:
    """Give the invoice's file: rendered and kept the first time, the same bytes ever after.

    Raises:
        IntegrityFault: The file that was kept does not match its hash.
    """
    renderer = context.renderer
    kept = _kept(context, invoice.id)
    if kept is not None:
        return kept
    content = renderer.render(invoice)
    try:
        context.database.write(
            lambda tx: documents.add_file(
                tx, invoice.id, renderer.media_type, content, renderer=renderer.version, now=context.now()
            )
        )
    except Duplicate:  # rendered by somebody else at the same moment: theirs counts
        return _kept(context, invoice.id) or content
    return content


def _kept(context: Context, invoice_id: str) -> bytes | None:
    kept = context.database.read(lambda tx: documents.find_file(tx, invoice_id, context.renderer.media_type))
    if kept is None:
        return None
    content, digest = kept
    if sha256(content) != digest:
        raise IntegrityFault("A stored invoice file does not match its hash.")
    return content


def mail(context: Context, effect: Effect) -> None:
    """Send the invoice that an outbox row names.

    Raises:
        ConfigurationError: There is no mailer.
    """
    if context.mailer is None:
        raise ConfigurationError("An invoice is to be mailed and no mailer is configured.")
    invoice = get(context, effect.payload["invoice"])
    message = invoice_mail(invoice, file_of(context, invoice), to=effect.payload["to"])
    context.mailer.send(message)
