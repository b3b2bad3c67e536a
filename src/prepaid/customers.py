"""Customers: registration by the host, and tax profiles with their history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .config import Context
from .core.errors import InvalidRequest, NotFound
from .core.ids import check_key
from .core.instants import check_instant
from .core.parties import Customer, TaxProfile
from .store import Duplicate, Tx, accounts, customers


def register(
    context: Context,
    customer_id: str,
    *,
    email: str = "",
    name: str = "",
    currency: str | None = None,
    locale: str = "en",
    groups: Iterable[str] = (),
    since: datetime | None = None,
) -> Customer:
    """Register a customer or bring them up to date; the same call again changes nothing.

    Args:
        context: The billing system.
        customer_id: The host's own id, 1 to 191 printable characters.
        email: Where invoices go.
        name: Name for invoices.
        currency: Their currency; the book's default if None.
        locale: Language of documents and mail.
        groups: Names of groups.
        since: When the customer joined the host; now if None. Kept from the first call.

    Raises:
        InvalidRequest: An argument has the wrong form; ``field`` names it.
    """
    if isinstance(groups, str | bytes) or not isinstance(groups, Iterable):
        raise InvalidRequest("groups is a list of names.", field="groups")
    customer = Customer(
        id=customer_id,
        email=email,
        name=name,
        currency=context.currency_or_default(currency),
        locale=locale,
        groups=tuple(groups),
    )
    joined = context.now() if since is None else check_instant(since, field="since")
    _upsert(context, customer, joined)
    accounts.ensure_wallet(context.database, customer.id, customer.currency, context.now())
    return customer


def _upsert(context: Context, customer: Customer, since: datetime) -> None:
    database = context.database
    if database.write(lambda tx: customers.update_known(tx, customer)):
        return
    try:
        database.write(lambda tx: customers.add(tx, customer, since=since, now=context.now()))
    except Duplicate:  # registered by somebody else meanwhile
        database.write(lambda tx: customers.update_known(tx, customer))


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
    """Keep a new version of a customer's tax profile.

    Raises:
        InvalidRequest: Not a `TaxProfile`.
        NotFound: The customer is not registered.
    """
    if not isinstance(profile, TaxProfile):
        raise InvalidRequest("profile is a TaxProfile.", field="profile")

    def work(tx: Tx) -> TaxProfile:
        get(tx, customer_id)
        if customers.current_profile(tx, customer_id) != profile:
            customers.add_profile(tx, customer_id, profile, actor=actor, now=context.now())
        return profile

    try:
        return context.database.write(work)
    except Duplicate:  # another version was kept at the same moment; ours comes after it
        return context.database.write(work)


def profile(context: Context, customer_id: str) -> TaxProfile | None:
    """Read a customer's latest tax profile."""
    return context.database.read(lambda tx: customers.current_profile(tx, customer_id))
