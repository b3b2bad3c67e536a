"""What `check` reads of grants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import and_, case, func, literal, or_, select, tuple_

from .. import schema
from ..database import Tx
from .reading import belongs, named, stream

_account = schema.account
_transfer = schema.transfer
_grant = schema.grant


def grant_rows(tx: Tx) -> Iterator[Any]:
    """Give every grant with what its transfers put in and took out, each in two halves of 32 bits.

    One amount changed by hand may be so large that SQLite refuses to sum it.
    """
    amount, is_put = _transfer.c.amount, _transfer.c.credit_id == _transfer.c.wallet_id
    halves = {"high": amount.bitwise_rshift(literal(32)), "low": amount.bitwise_and(literal(0xFFFFFFFF))}
    sums = (
        select(
            _transfer.c.grant_id,
            *(func.sum(case((is_put, half), else_=0)).label(f"put_{name}") for name, half in halves.items()),
            *(func.sum(case((is_put, 0), else_=half)).label(f"took_{name}") for name, half in halves.items()),
        )
        .where(_transfer.c.book_id == tx.book_id, _transfer.c.grant_id.is_not(None))
        .group_by(_transfer.c.grant_id)
        .subquery()
    )
    joined = _grant.outerjoin(sums, sums.c.grant_id == _grant.c.id).outerjoin(
        _account, belongs(_grant, _account, "wallet_id")
    )
    wanted = select(
        *named(_grant, "id wallet_id size remaining debt_paid open"),
        _account.c.kind.label("wallet_kind"),
        *(func.coalesce(total, 0).label(name) for name, total in sums.c.items() if name != "grant_id"),
    ).select_from(joined)
    return stream(tx, wanted.where(_grant.c.book_id == tx.book_id))


def misplaced_grants(tx: Tx, listed: Iterable[tuple[str, str]]) -> Iterator[Any]:
    """Give wallet transfers whose grant is none of their wallet's, or not of the kind and source they give."""
    is_credit = _transfer.c.credit_id == _transfer.c.wallet_id
    source = case((_transfer.c.cause_type == "topup", _transfer.c.cause_id), else_="")
    wrong = or_(
        _grant.c.id.is_(None),
        func.coalesce(_transfer.c.wallet_id, -1) != _grant.c.wallet_id,
        and_(is_credit, tuple_(_transfer.c.kind, _grant.c.kind).not_in(list(listed))),
        and_(is_credit, _transfer.c.kind != "reversal", func.coalesce(_grant.c.source_topup, "") != source),
    )
    joined = _transfer.outerjoin(_grant, belongs(_transfer, _grant, "grant_id"))
    wanted = select(_transfer.c.id, _transfer.c.grant_id).select_from(joined)
    return stream(tx, wanted.where(_transfer.c.book_id == tx.book_id, _transfer.c.grant_id.is_not(None), wrong))


def costly_gifts(tx: Tx) -> Iterator[Any]:
    """Give grants that nobody paid for, with a price."""
    priced = or_(_grant.c.cost_net_minor != 0, _grant.c.cost_tax_minor != 0)
    wanted = select(_grant.c.id, _grant.c.cost_net_minor, _grant.c.cost_tax_minor)
    return stream(tx, wanted.where(_grant.c.book_id == tx.book_id, _grant.c.kind != "paid", priced))
