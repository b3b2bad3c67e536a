"""Sessions at providers: begun under the key of their case, found again when the answer was lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import urlsplit

from attrs import evolve

from ..config import Context
from ..core.errors import GatewayError, InvalidRequest
from ..core.identity import IdentityCase
from ..core.ids import check_key
from ..core.parties import Customer
from ..identity_ports import DecidedByOperator, IdentityProvider, IdentityRequest, IdentitySession
from ..store import Duplicate, Tx, customers, identities
from ..store.identities import StoredCase

log = logging.getLogger("prepaid.identity")

T = TypeVar("T")

RESUMED_FOR: Final = timedelta(hours=20)
"""How long a case whose reference is not known is begun again under its key; providers remember keys for a day."""

MAX_PAGE_URL: Final = 4096


def ask(provider: IdentityProvider, question: Callable[[], T]) -> T:
    """Ask a provider.

    Raises:
        GatewayError: It refused or did not answer; or it failed in a way of its
            own, which must not keep others waiting.
    """
    try:
        return question()
    except GatewayError:
        raise
    except Exception as error:
        # Without its words, which may hold what stands in a document, or a key.
        log.error("the identity provider %s failed: %s", provider.name, type(error).__name__)
        raise GatewayError(
            "The identity provider failed.", retryable=True, outcome_unknown=True, code="provider-failed"
        ) from None


def is_decided_here(provider: IdentityProvider) -> bool:
    """Tell whether an operator decides a provider's cases, so that there is nobody to ask."""
    return isinstance(provider, DecidedByOperator) and provider.decided_by_operator is True


def is_reference(value: object) -> bool:
    """Tell whether something can be what a provider calls a case."""
    try:
        check_key(value, field="reference")
    except InvalidRequest:
        return False
    return True


def is_forgotten(context: Context, case: IdentityCase) -> bool:
    """Tell whether a provider may take the key of a case for a new request."""
    return context.now() - case.created_at > RESUMED_FOR


def open_session(context: Context, provider: IdentityProvider, stored: StoredCase, customer: Customer) -> IdentityCase:
    """Begin a case at its provider, or find what was begun, and keep what it is called there.

    By its reference once that is known, by its key before.

    Raises:
        GatewayError: Refused, failed, or no answer. A refusal for good ends a
            case of which nothing is known there.
    """
    try:
        known = stored.case.reference
        request = _request(context, stored, customer)
        begun = ask(provider, lambda: provider.begin(request) if known is None else provider.resume(known))
        session = _checked(begun, stored)
    except GatewayError as error:
        log.warning("identity case %s cannot be begun now: %s", stored.case.id, type(error).__name__)
        if not (error.retryable or error.outcome_unknown):
            _end_refused(context, stored)
        raise

    def work(tx: Tx) -> StoredCase | None:
        identities.keep_reference(tx, stored.case.id, session.reference)
        return identities.find(tx, stored.case.id)

    try:
        kept = context.database.write(work)
    except Duplicate:
        raise GatewayError("The provider gave the reference of another case.", code="reference-not-ours") from None
    if kept is None or kept.case.reference != session.reference:
        raise _another()
    return evolve(kept.case, redirect_url=session.redirect_url)


def _request(context: Context, stored: StoredCase, customer: Customer) -> IdentityRequest:
    return IdentityRequest(
        case_id=stored.case.id,
        customer_id=customer.id,
        email=customer.email,
        locale=customer.locale,
        return_url=stored.return_url,
        key=f"prepaid:{context.mode}:{stored.case.id}:identity",
    )


def _checked(session: object, stored: StoredCase) -> IdentitySession:
    """Return what a provider gave if it can be kept, and is the session that was begun before."""
    if not isinstance(session, IdentitySession) or not is_reference(session.reference):
        raise GatewayError("The provider gave nothing that can be kept.", code="unusable")
    if session.redirect_url is not None and not _is_page(session.redirect_url):
        raise GatewayError("The provider gave no page that can be opened.", code="unusable")
    if stored.case.reference not in (None, session.reference):
        raise _another()
    return session


def _is_page(url: object) -> bool:
    """Tell whether a browser may be sent somewhere: to a page of the web, or to one of the host's own."""
    if not isinstance(url, str) or len(url) > MAX_PAGE_URL or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https"):
            return bool(parts.hostname)
    except ValueError:
        return False
    return url.startswith("/") and not url.startswith(("//", "/\\"))


def _another() -> GatewayError:
    return GatewayError("The provider began a second case for one key.", code="session-differs")


def _end_refused(context: Context, stored: StoredCase) -> None:
    """End a case that its provider will not have, unless another worker began it there."""

    def work(tx: Tx) -> None:
        # In its customer's turn: an operator who decides it now must not decide in vain.
        customers.hold(tx, stored.case.customer)
        found = identities.find(tx, stored.case.id)
        if found is not None and found.case.reference is None:
            identities.step(tx, stored.case.id, "canceled", reason="refused", decided_at=context.now())

    context.database.write(work)
