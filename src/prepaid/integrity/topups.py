"""Proving top-ups: order, payment, and what was posted for it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from ..core import keys as formulas
from ..core.states import PAID_STATES, TOPUP_STEPS
from ..core.topups import NO_GATEWAY
from ..store import Tx
from ..store.proofs import topups as stored
from ..store.proofs.reading import orphans
from ..store.proofs.scope import Scope
from .findings import Finding, contradiction, decided, identity_of, record_of, units_of, unless_equal, written

_IN_SUSPENSE: Final = ("review", "refunded")


def topups(tx: Tx, scope: Scope) -> Iterator[Finding]:
    """Prove every top-up by its figures, its payment and its postings."""
    for row in stored.topup_rows(tx, scope):
        yield from _order(row)
        yield from _payment(row)
    for topup_id, rows in groupby(stored.topup_postings(tx, scope), key=attrgetter("topup")):
        yield from _posted(tx.book_id, topup_id, list(rows))
    for row in stored.unknown_states(tx, TOPUP_STEPS):
        yield contradiction("B6", ("topup", row.id), "a state that steps lead to", row.state)
    for row in stored.untold_topups(tx, scope):
        yield contradiction("B9", ("topup", row.id), f"the event {row.key}", "none")
    for row in stored.stray_fees(tx, scope):
        yield contradiction("L8", ("transfer", row.id), f"the payment of {row.cause_id}", "none")
    if scope.is_whole:
        for row in stored.fees(tx):
            yield from _fee(tx.book_id, row)
    for topup_id in orphans(tx, "payment", "topup_id"):
        yield contradiction("B1", ("payment", topup_id), "a top-up", "none")


def _fee(book: int, row: Any) -> Iterator[Finding]:
    """Prove what a gateway kept of a payment by the transfer that posted it."""
    identity = formulas.fee(book, row.topup_id)
    due = ("fee", row.fee, row.fee_currency, row.gateway, f"gateway:{row.gateway}", *identity)
    names = ("kind", "amount", "currency")
    found = tuple(getattr(row, f"posted_{name}") for name in names)
    posted = (*found, row.credit_owner, row.posted_actor, row.posted_key_hash, row.posted_fingerprint)
    yield from unless_equal("L8", ("payment", row.topup_id), due, posted)


def _order(row: Any) -> Iterator[Finding]:
    """Prove the figures of a top-up by each other, by its tax decision and by what its key stands for."""
    keys = ("topup", row.id)
    sums = (row.net + row.discount, row.net + row.tax)
    yield from unless_equal("B1", keys, f"credit and total {sums}", f"credit and total {(row.credit, row.total)}")
    found = (row.net, row.tax, row.total, row.currency)
    yield from unless_equal("B1", keys, decided(record_of(row.decision), row.currency), found)
    if row.fingerprint not in _known_prints(row):
        yield contradiction("L5", keys, f"the fingerprint of its order at {row.gateway}", "another")


def _known_prints(row: Any) -> set[str]:
    """Give what the key of a top-up may stand for: its order, or the second payment of another one's checkout."""
    if row.further_of is not None:
        payment_id = row.payment_payment_id or ""
        return {formulas.further(0, gateway=row.gateway, payment_id=payment_id, first=row.further_of).fingerprint}
    ordered, code = _ordered(row), row.redemption_code
    shown = sorted(ordered.items())
    if code is not None:
        typed = {written(_typed(row.redemption_terms), row.currency)}
    else:
        typed = {written(ordered[name], row.currency) for name in ("credit", "total")}  # prices without tax, or with it
    return {formulas.order(amount, row.gateway, identity_of(code), shown=shown) for amount in typed}


def _ordered(row: Any) -> dict[str, int]:
    """Give the figures that were ordered, which those that were sold may differ from.

    After a review, and if it was paid too late for its promotion.
    """
    kept = record_of(row.resolved or "").get("ordered")
    known = kept if isinstance(kept, dict) else {}
    if not known and row.redemption_state == "lost":
        known = {
            "credit": row.credit + row.redemption_discount,
            "bonus": row.redemption_bonus,
            "discount": row.redemption_discount,
        }
    figures = {name: known.get(name, getattr(row, name)) for name in ("credit", "bonus", "discount", "tax", "total")}
    return {name: amount if type(amount) is int else 0 for name, amount in figures.items()}


def _typed(terms: str) -> int:
    """Give the amount that a customer typed with a code."""
    typed = record_of(terms).get("typed")
    return int(typed) if isinstance(typed, str) and typed.isdecimal() else 0


def _resolved(row: Any, name: str) -> int:
    """Give an amount of how the review of a credited top-up ended."""
    amount = record_of(row.resolved or "").get(name) if row.state == "credited" else 0
    return amount if type(amount) is int else 0


def _payment(row: Any) -> Iterator[Finding]:
    keys, credited, paid = ("topup", row.id), row.state == "credited", row.payment_captured is not None
    if not _agrees(row):
        yield contradiction("B1", keys, "a payment exactly when credited, in review or refunded", row.state)
    elif (paid or (credited and row.gateway == NO_GATEWAY)) != (row.settled_at is not None):
        yield contradiction("B6", keys, "settled exactly when it is paid", row.settled_at)
    if paid:
        captured = (row.payment_captured, row.payment_currency)
        due = (row.total + _resolved(row, "refund"), row.currency)
        expected = (row.gateway, _posted_as(row), *(due if credited else captured))
        yield from unless_equal("B1", keys, expected, (row.payment_gateway, row.payment_posted_as, *captured))
    invoices = (int(row.invoices), row.invoice_id is not None)
    yield from unless_equal("B5", keys, f"invoices, named {(int(credited), credited)}", f"invoices, named {invoices}")


def _posted_as(row: Any) -> str:
    return "suspense" if row.state in _IN_SUSPENSE or row.resolved is not None else "credited"


def _agrees(row: Any) -> bool:
    """Tell whether state and payment say the same; where they do not, nothing follows from the state."""
    if row.gateway == NO_GATEWAY:
        return bool(row.payment_captured is None and row.total == 0 and row.state not in ("review", "refunded"))
    return bool((row.payment_captured is not None) == (row.state in PAID_STATES))


def _posted(book: int, topup_id: str, rows: list[Any]) -> Iterator[Finding]:
    """Prove that a top-up posted what its state says, line by line, and opened the grants it bought."""
    topup, *transfers = rows
    if topup.what != stored.TOPUP:
        yield contradiction("L8", ("transfer", topup.transfer_id), f"the top-up {topup_id}", "none")
        return
    keys, due = ("topup", topup.id), topup.payment_captured or 0
    for row in transfers:
        yield from _identity(book, topup, row)
    cleared = sum(row.amount for row in transfers if row.debit_kind == "clearing")
    yield from unless_equal("B1", keys, f"{due} out of clearing", f"{cleared} out of clearing")
    if _agrees(topup):
        yield from unless_equal("L8", keys, _due_lines(topup), sorted(_line(row) for row in transfers))
    if topup.state == "credited":
        yield from _bought(topup, transfers)


def _identity(book: int, topup: Any, row: Any) -> Iterator[Finding]:
    """Prove key, fingerprint and time of a transfer by the top-up that caused it."""
    operation = row.kind if row.wallet_id is not None or row.credit_kind != "suspense" else formulas.suspended(row.kind)
    identity = formulas.settlement(book, operation, customer=topup.customer, topup_id=topup.id)
    expected = (identity.key_hash, identity.fingerprint, row.posted_at)
    if (row.key_hash, row.fingerprint, row.effective_at) != expected:
        whose = f"key and fingerprint of {operation} of {topup.id}, effective at once"
        yield contradiction("L5", ("transfer", row.transfer_id), whose, "not so")


def _line(row: Any) -> tuple[Any, ...]:
    debit, credit = f"{row.debit_kind}:{row.debit_owner}", f"{row.credit_kind}:{row.credit_owner}"
    return row.kind, debit, credit, row.amount, row.posted_currency, row.actor


def _due_lines(topup: Any) -> list[tuple[Any, ...]]:
    """Give what a top-up posts: kind, accounts, amount, currency and actor of each line above zero."""
    clearing, gateway = f"clearing:{topup.gateway}", f"gateway:{topup.gateway}"
    lines: list[tuple[Any, ...]] = []
    if _posted_as(topup) == "suspense" and topup.payment_captured:
        lines = [("topup", clearing, "suspense:", topup.payment_captured, topup.payment_currency, gateway)]
    if topup.state == "credited":
        lines += _sold_lines(topup, clearing if topup.resolved is None else "suspense:")
    return sorted(lines)


def _sold_lines(topup: Any, source: str) -> list[tuple[Any, ...]]:
    wallet, actor = f"wallet:{topup.customer}", f"gateway:{topup.gateway}"
    if topup.gateway == NO_GATEWAY:
        actor = "system"
    if topup.resolved is not None:
        actor = str(record_of(topup.resolved).get("actor"))
    lines = [
        ("topup", source, wallet, topup.net),
        ("topup", "promotion:", wallet, topup.discount),
        ("topup", source, "tax_payable:", topup.tax),
        ("goodwill", "goodwill:", wallet, _resolved(topup, "goodwill")),
        ("bonus", "promotion:", wallet, topup.bonus),
    ]
    return [(*line, topup.payment_currency or topup.currency, actor) for line in lines if line[3]]


def _bought(topup: Any, transfers: list[Any]) -> Iterator[Finding]:
    """Prove size and cost of the grants that a top-up opened."""
    unit = units_of(1, topup.currency) or 0
    bought = ("topup", topup.credit, topup.net, topup.tax)
    given = (("bonus", topup.bonus, 0, 0), ("goodwill", _resolved(topup, "goodwill"), 0, 0))
    for kind, *figures in (bought, *given):
        grants = {row.grant_id: row for row in transfers if row.kind == kind and row.size is not None}
        found = [[row.size, row.cost_net_minor * unit, row.cost_tax_minor * unit] for row in grants.values()]
        yield from unless_equal("L3", ("topup", topup.id, kind), [figures] if figures[0] else [], found)
