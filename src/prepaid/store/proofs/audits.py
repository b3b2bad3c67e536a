"""What `check` reads of the audit: acts that left a mark elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import and_, func, literal, or_, select

from .. import schema
from ..database import Tx
from .reading import named, stream

_audit = schema.audit
_account = schema.account
_customer = schema.customer
_grant = schema.grant
_transfer = schema.transfer
_setting = schema.setting
_rule = schema.tax_rule
_approval = schema.tax_approval
_correction = schema.tax_correction
_topup = schema.topup


def acts(tx: Tx, actions: Iterable[str]) -> Iterator[Any]:
    """Give the audit's rows of some actions in the order in which they were written."""
    wanted = select(*named(_audit, "id action target actor reason state_before state_after")).where(
        _audit.c.book_id == tx.book_id, _audit.c.action.in_(list(actions))
    )
    return stream(tx, wanted.order_by(_audit.c.id))


def floors(tx: Tx) -> Iterator[Any]:
    """Give every wallet's floor."""
    wanted = select(*named(_account, "id owner currency floor"))
    return stream(tx, wanted.where(_account.c.book_id == tx.book_id, _account.c.kind == "wallet"))


def customers(tx: Tx) -> Iterator[Any]:
    """Give every customer with whether they are frozen."""
    wanted = select(*named(_customer, "id frozen_at"))
    return stream(tx, wanted.where(_customer.c.book_id == tx.book_id))


def count_gifts(tx: Tx) -> tuple[int, int]:
    """Count the acts that gave credit, and the grants that operators gave by a key; those of vouchers are not acts."""
    acted = select(func.count()).where(_audit.c.book_id == tx.book_id, _audit.c.action == "grant")
    by_voucher = select(literal(1)).where(
        _transfer.c.book_id == tx.book_id,
        _transfer.c.key_hash == _grant.c.key_hash,
        _transfer.c.part == 0,
        _transfer.c.cause_type == "voucher",
    )
    by_key = (_grant.c.book_id == tx.book_id, _grant.c.key_hash.is_not(None))
    given = select(func.count()).select_from(_grant).where(*by_key, ~by_voucher.exists())
    return int(tx.execute(acted).scalar_one()), int(tx.execute(given).scalar_one())


def ended_by_nobody(tx: Tx) -> Iterator[Any]:
    """Give grants that were never posted and wait no more, although nobody took them back."""
    opening = and_(_transfer.c.book_id == _grant.c.book_id, _transfer.c.key_hash == _grant.c.key_hash)
    voided = select(literal(1)).where(
        _audit.c.book_id == tx.book_id, _audit.c.action == "void-grant", _audit.c.target == _grant.c.id
    )
    wanted = select(_grant.c.id).select_from(_grant.outerjoin(_transfer, opening))
    of_book = (_grant.c.book_id == tx.book_id, _grant.c.open == 0, _grant.c.key_hash.is_not(None))
    return stream(tx, wanted.where(*of_book, _transfer.c.id.is_(None), ~voided.exists()))


def settings(tx: Tx) -> Iterator[Any]:
    """Give every setting of the book."""
    return stream(tx, select(*named(_setting, "name value")).where(_setting.c.book_id == tx.book_id))


def tax_rules(tx: Tx) -> Iterator[Any]:
    """Give every tax rule that there was, with when it was taken out of use."""
    wanted = select(*named(_rule, "id country content retired_at"))
    return stream(tx, wanted.where(_rule.c.book_id == tx.book_id))


def approvals(tx: Tx) -> Iterator[Any]:
    """Give everything that was approved for a customer's tax, with when it was taken back."""
    wanted = select(*named(_approval, "customer kind reason code actor valid_to ended_at"))
    return stream(tx, wanted.where(_approval.c.book_id == tx.book_id))


def closed_corrections(tx: Tx, *, but_by: str) -> Iterator[Any]:
    """Give the corrections that were closed, but for those that one actor closed."""
    wanted = select(*named(_correction, "id actor reason"))
    closed = (_correction.c.book_id == tx.book_id, _correction.c.state == "closed", _correction.c.actor != but_by)
    return stream(tx, wanted.where(*closed))


def decided_topups(tx: Tx) -> Iterator[Any]:
    """Give the top-ups whose review was ended, or whose payment an operator confirmed."""
    wanted = select(*named(_topup, "id resolved confirmation"))
    decided = or_(_topup.c.resolved.is_not(None), _topup.c.confirmation.is_not(None))
    return stream(tx, wanted.where(_topup.c.book_id == tx.book_id, decided))
