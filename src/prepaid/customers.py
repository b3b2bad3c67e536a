"""Customers: registration by the host, and tax profiles with their history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from attrs import evolve

from .config import Context, page_limit
from .core.errors import InvalidRequest, NotFound
from .core.ids import check_key, check_text
from .core.instants import check_instant
from .core.parties import Customer, Evidence, TaxProfile
from .core.tax_ids import TaxId
from .store import Duplicate, Tx, accounts, customers, tax_facts
from .tax import registers


def register(
    context: Context,
    customer_id: str,
    *,
    email: str | None = None,
    name: str | None = None,
    currency: str | None = None,
    locale: str | None = None,
    groups: Iterable[str] | None = None,
    since: datetime | None = None,
) -> Customer:
    """Register a customer or bring them up to date; what is None stays as it was.

    Args:
        context: The billing system.
        customer_id: The host's own id, 1 to 191 printable characters.
        email: Where invoices go; nowhere if it was never given.
        name: Name for invoices.
        currency: Their currency; the book's default if it was never given.
        locale: Language of documents and mail; ``"en"`` if it was never given.
        groups: Names of groups.
        since: When the customer joined the host; now if None. Kept from the first call.

    Raises:
        InvalidRequest: An argument has the wrong form; ``field`` names it.
    """
    if groups is not None and (isinstance(groups, str | bytes) or not isinstance(groups, Iterable)):
        raise InvalidRequest("groups is a list of names.", field="groups")
    joined = context.now() if since is None else check_instant(since, field="since")
    told = {
        "email": email,
        "name": name,
        "currency": None if currency is None else context.currency_or_default(currency),
        "locale": locale,
        "groups": None if groups is None else tuple(groups),
    }
    customer = _upsert(context, check_key(customer_id, field="customer"), told, joined)
    accounts.ensure_wallet(context.database, customer.id, customer.currency, context.now())
    return customer


def _upsert(context: Context, customer_id: str, told: dict[str, Any], since: datetime) -> Customer:
    fresh = Customer(id=customer_id, currency=context.currencies[0])

    def work(tx: Tx) -> Customer:
        known = customers.find(tx, customer_id)
        customer = evolve(known or fresh, **{name: value for name, value in told.items() if value is not None})
        if known is None:
            customers.add(tx, customer, since=since, now=context.now())
        elif customer != known:
            customers.update_known(tx, customer)
        return customer

    try:
        return context.database.write(work)
    except Duplicate:  # registered by somebody else meanwhile
        return context.database.write(work)


def get(tx: Tx, customer_id: str) -> Customer:
    """Read a registered customer.

    Raises:
        NotFound: Not registered.
    """
    found = customers.find(tx, customer_id)
    if found is None:
        raise NotFound("There is no such customer.", field="customer")
    return found


def require(context: Context, customer_id: object) -> Customer:
    """Read a registered customer by what a caller gave.

    Raises:
        InvalidRequest: Not a customer id.
        NotFound: Not registered.
    """
    checked = check_key(customer_id, field="customer")
    return context.database.read(lambda tx: get(tx, checked))


def set_profile(context: Context, customer_id: str, profile: Any, *, actor: str) -> TaxProfile:
    """Keep a new version of a customer's tax profile, and ask about its tax id if that is not known.

    A register is waited for a few seconds; a job asks again if it does not answer.

    Raises:
        InvalidRequest: Not a `TaxProfile`.
        NotFound: The customer is not registered.
    """
    if not isinstance(profile, TaxProfile):
        raise InvalidRequest("profile is a TaxProfile.", field="profile")

    def work(tx: Tx) -> TaxId | None:
        get(tx, customer_id)
        known = customers.current_profile(tx, customer_id)
        if known is None or known[1] != profile:
            customers.add_profile(tx, customer_id, profile, actor=actor, now=context.now())
        return registers.note(tx, context, customer_id, profile)

    try:
        tax_id = context.database.write(work)
    except Duplicate:  # another version was kept at the same moment; ours comes after it
        tax_id = context.database.write(work)
    registers.ask_now(context, tax_id)
    return profile


def add_evidence(context: Context, customer_id: object, evidence: object) -> None:
    """Keep something that tells where a customer is.

    Raises:
        InvalidRequest: Not an `Evidence`, or not a customer id.
        NotFound: The customer is not registered.
    """
    if not isinstance(evidence, Evidence):
        raise InvalidRequest("evidence is an Evidence.", field="evidence")
    checked = check_key(customer_id, field="customer")

    def work(tx: Tx) -> None:
        get(tx, checked)
        tax_facts.add_evidence(tx, checked, evidence, context.now())

    context.database.write(work)


def profile(context: Context, customer_id: str) -> TaxProfile | None:
    """Read a customer's latest tax profile."""
    known = context.database.read(lambda tx: customers.current_profile(tx, customer_id))
    return None if known is None else known[1]


def search(context: Context, words: str, *, limit: int) -> tuple[Customer, ...]:
    """Find customers by part of their id, name or mail address, whatever the case of A to Z.

    Raises:
        InvalidRequest: Nothing to search for, or a limit out of range.
    """
    wanted, size = check_text(words, field="words", longest=100, empty=False), page_limit(limit)
    return tuple(context.database.read(lambda tx: customers.search(tx, wanted, limit=size)))
