"""Customers and their tax profiles, whose every version is kept."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from attrs import frozen
from sqlalchemy import func, insert, or_, select, update

from ..core.hashing import canonical_json
from ..core.parties import Address, Customer, TaxProfile, address_record
from . import schema
from .database import Tx
from .matching import containing

_customer = schema.customer
_profile = schema.tax_profile


def find(tx: Tx, customer_id: str) -> Customer | None:
    """Read a registered customer."""
    row = tx.execute(select(_customer).where(_customer.c.book_id == tx.book_id, _customer.c.id == customer_id)).first()
    return None if row is None else _from_row(row)


def _from_row(row: Any) -> Customer:
    return Customer(
        id=row.id,
        email=row.email,
        name=row.name,
        currency=row.currency,
        locale=row.locale,
        groups=tuple(json.loads(row.group_names)),
    )


def _values(customer: Customer) -> dict[str, Any]:
    return {
        "email": customer.email,
        "name": customer.name,
        "currency": customer.currency,
        "locale": customer.locale,
        "group_names": canonical_json(list(customer.groups)),
    }


def update_known(tx: Tx, customer: Customer) -> bool:
    """Bring a registered customer up to date; False if it is not registered."""
    statement = update(_customer).where(_customer.c.book_id == tx.book_id, _customer.c.id == customer.id)
    return bool(tx.execute(statement.values(_values(customer))).rowcount)


def add(tx: Tx, customer: Customer, *, since: datetime, now: datetime) -> None:
    """Register a new customer."""
    row = {"book_id": tx.book_id, "id": customer.id, "turn": 0, "since": since, "created_at": now, **_values(customer)}
    tx.execute(insert(_customer).values(row))


def set_tax_number(tx: Tx, customer_id: str, number: str | None) -> None:
    """Connect a customer with the tax id of their profile, or with none."""
    statement = update(_customer).where(_customer.c.book_id == tx.book_id, _customer.c.id == customer_id)
    tx.execute(statement.values(tax_number=number))


def joined_at(tx: Tx, customer_id: str) -> datetime:
    """Give since when the host has a registered customer."""
    wanted = select(_customer.c.since).where(_customer.c.book_id == tx.book_id, _customer.c.id == customer_id)
    joined: datetime = tx.execute(wanted).scalar_one()
    return joined


def hold(tx: Tx, customer_id: str) -> None:
    """Take a customer's turn: who begins or settles a top-up of theirs comes after whoever is doing so now.

    Before any wallet is held. The row is changed and not only locked: on a
    Galera cluster two nodes lock the same row, and only a change is noticed.
    """
    statement = update(_customer).where(_customer.c.book_id == tx.book_id, _customer.c.id == customer_id)
    tx.execute(statement.values(turn=_customer.c.turn + 1))


def frozen_at(tx: Tx, customer_id: str) -> datetime | None:
    """Give since when a customer is frozen; None if they are not."""
    wanted = select(_customer.c.frozen_at).where(_customer.c.book_id == tx.book_id, _customer.c.id == customer_id)
    found: datetime | None = tx.execute(tx.current(wanted)).scalar()
    return found


def set_frozen(tx: Tx, customer_id: str, at: datetime | None) -> bool:
    """Freeze a customer, or end it with None; False if nothing changed."""
    statement = update(_customer).where(
        _customer.c.book_id == tx.book_id,
        _customer.c.id == customer_id,
        _customer.c.frozen_at.is_not(None) if at is None else _customer.c.frozen_at.is_(None),
    )
    return bool(tx.execute(statement.values(frozen_at=at)).rowcount)


def search(tx: Tx, words: str, *, limit: int) -> list[Customer]:
    """Find customers whose id, name or mail address contains ``words``, whatever their case."""
    found = or_(*(containing(tx, column, words) for column in (_customer.c.id, _customer.c.name, _customer.c.email)))
    wanted = select(_customer).where(_customer.c.book_id == tx.book_id, found)
    return [_from_row(row) for row in tx.execute(wanted.order_by(_customer.c.id).limit(limit))]


def current_profile(tx: Tx, customer_id: str) -> tuple[int, TaxProfile] | None:
    """Read the latest tax profile with its version."""
    row = tx.execute(
        select(_profile.c.version, _profile.c.content)
        .where(_profile.c.book_id == tx.book_id, _profile.c.customer == customer_id)
        .order_by(_profile.c.version.desc())
        .limit(1)
    ).first()
    return None if row is None else (int(row.version), _profile_from(json.loads(row.content)))


def profile_version(tx: Tx, customer_id: str, version: int | None) -> TaxProfile | None:
    """Read one version of a tax profile; None for none."""
    row = tx.execute(
        select(_profile.c.content).where(
            _profile.c.book_id == tx.book_id, _profile.c.customer == customer_id, _profile.c.version == version
        )
    ).first()
    return None if row is None else _profile_from(json.loads(row.content))


@frozen(kw_only=True)
class ProfileVersion:
    """A tax profile as it was.

    Attributes:
        version: Counted from 1.
        profile: What it said.
        actor: Who kept it.
        at: When.
    """

    version: int
    profile: TaxProfile
    actor: str
    at: datetime


def profile_history(tx: Tx, customer_id: str) -> tuple[ProfileVersion, ...]:
    """Read every version of a tax profile, the first one first."""
    wanted = select(_profile).where(_profile.c.book_id == tx.book_id, _profile.c.customer == customer_id)
    return tuple(
        ProfileVersion(
            version=row.version, profile=_profile_from(json.loads(row.content)), actor=row.actor, at=row.created_at
        )
        for row in tx.execute(wanted.order_by(_profile.c.version))
    )


def _profile_from(record: dict[str, Any]) -> TaxProfile:
    values = {**record, "address": Address(**record["address"]), "further_tax_ids": tuple(record["further_tax_ids"])}
    return TaxProfile(**values)


def add_profile(tx: Tx, customer_id: str, profile: TaxProfile, *, actor: str, now: datetime) -> None:
    """Keep a further version of the tax profile."""
    scope = (_profile.c.book_id == tx.book_id, _profile.c.customer == customer_id)
    last = tx.execute(select(func.max(_profile.c.version)).where(*scope)).scalar() or 0
    record = {name: getattr(profile, name) for name in ("kind", "name", "company", "tax_id")}
    record |= {"address": address_record(profile.address), "further_tax_ids": list(profile.further_tax_ids)}
    row = {
        "book_id": tx.book_id,
        "customer": customer_id,
        "version": last + 1,
        "content": canonical_json(record),
        "actor": actor,
        "created_at": now,
    }
    tx.execute(insert(_profile).values(row))
