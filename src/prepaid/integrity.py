"""Proving the books: every invariant, on one snapshot, without writing anything.

A finding names the invariant, the rows, what was expected and what was found;
nothing is ever mended silently.

A row is proved by the rows that repeat what it says. What nothing repeats can be
changed or removed unseen as long as rows are not sealed: the audit, a gateway's
fee, whose an unpaid order is, when a grant expires.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, get_args

from attrs import field, frozen

from .config import Context
from .core.errors import InvalidRequest, PrepaidError
from .core.hashing import fingerprint, key_hash, sha256
from .core.money import MAX_UNITS, MINOR_DIGITS, Money, minor_unit, scale_of
from .core.rates import Rate
from .core.states import PAID_STATES, TOPUP_STEPS
from .core.transfers import AccountKind
from .store import Tx, outbox, proofs

HOUR: Final = 3_600_000_000
"""Microseconds, as instants are stored."""


@frozen(kw_only=True)
class Finding:
    """One contradiction.

    Attributes:
        invariant: Which invariant is broken, such as ``"L2"``.
        keys: The rows it is about.
        expected: What should stand there.
        found: What stands there.
    """

    invariant: str
    keys: tuple[str, ...]
    expected: str
    found: str


@frozen(kw_only=True)
class IntegrityReport:
    """The result of a check.

    Attributes:
        ok: Nothing contradicts itself.
        findings: What does.
        counted: Rows looked at, by table.
    """

    ok: bool
    findings: tuple[Finding, ...]
    counted: dict[str, int] = field(factory=dict)


def check(context: Context, on_step: Callable[[str], None] | None = None) -> IntegrityReport:
    """Prove a book on one snapshot.

    Args:
        context: The billing system.
        on_step: Told what is being proved, for a progress display.

    Raises:
        InvalidRequest: ``on_step`` cannot be called.
    """
    if on_step is not None and not callable(on_step):
        raise InvalidRequest("on_step is a function of one word.", field="on_step")

    def work(tx: Tx) -> IntegrityReport:
        findings: list[Finding] = []
        for name, proof in PROOFS.items():
            if on_step is not None:
                on_step(name)
            findings.extend(proof(tx))
            if name == "numbers" and findings:
                break  # nothing can be summed over what is no number
        counted = {name: proofs.count(tx, name) for name in ("transfer", "grant", "topup", "payment", "invoice")}
        return IntegrityReport(ok=not findings, findings=tuple(findings), counted=counted)

    return context.database.read(work)


def health(context: Context) -> dict[str, Any]:
    """Say whether the database answers and how many effects wait or are parked."""
    waiting = context.database.read(outbox.counts)
    return {
        "ok": not waiting.get("dead", 0),
        "mode": context.mode,
        "outbox_pending": waiting.get("pending", 0),
        "outbox_parked": waiting.get("dead", 0),
        "gateways": tuple(context.gateways),
    }


def _finding(invariant: str, keys: tuple[object, ...], expected: object, found: object) -> Finding:
    return Finding(invariant=invariant, keys=tuple(str(key) for key in keys), expected=str(expected), found=str(found))


def _unless_equal(invariant: str, keys: tuple[object, ...], expected: object, found: object) -> Iterator[Finding]:
    if expected != found:
        yield _finding(invariant, keys, expected, found)


def _record(text: str) -> dict[str, Any]:
    """Read a stored record; one that was damaged is empty and agrees with nothing."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


# Numbers, accounts and transfers


def _numbers(tx: Tx) -> Iterator[Finding]:
    for table, column, rows in proofs.oddly_stored(tx):
        yield _finding("L7", (table, column), "values of the column's type", f"{rows} others")
    for row in proofs.currencies(tx):
        scale = scale_of(row.code) if row.code in MINOR_DIGITS else "of ISO 4217"
        yield from _unless_equal("L7", ("currency", row.code), f"scale {scale}", f"scale {row.scale}")


_POSTED: Final = (
    ("topup", "topup", "clearing", "wallet"),
    ("topup", "topup", "promotion", "wallet"),
    ("topup", "topup", "clearing", "tax_payable"),
    ("topup", "topup", "clearing", "suspense"),
    ("bonus", "topup", "promotion", "wallet"),
    ("bonus", "operator", "promotion", "wallet"),
    ("goodwill", "operator", "goodwill", "wallet"),
    ("external", "operator", "external", "wallet"),
    ("migration", "operator", "migration", "wallet"),
    ("charge", "usage", "wallet", "revenue"),
    ("charge", "meter", "wallet", "revenue"),
    ("charge", "hold", "wallet", "revenue"),
    ("adjustment", "usage", "wallet", "revenue"),
    ("reversal", "reversal", "revenue", "wallet"),
    ("expiry", "grant", "wallet", "breakage"),
    *(("adjustment", "grant", "wallet", source) for source in ("promotion", "goodwill", "external", "migration")),
)
"""Kind and cause of every transfer that may be posted, with the kinds of its debit and credit account."""


def _transfers(tx: Tx) -> Iterator[Finding]:
    for row in proofs.impossible_accounts(tx, get_args(AccountKind)):
        expected = "a known kind, no floor above zero; figures on wallets only"
        yield _finding("L4", ("account", row.id), expected, tuple(row)[1:])
    for row in proofs.impossible_transfers(tx):
        yield _finding("L1", ("transfer", row.id), "accounts of its book and currency, one wallet at most", "not so")
    for row in proofs.unlisted_postings(tx, _POSTED):
        posted = f"{row.kind} by {row.cause_type}: {row.debit} -> {row.credit}"
        yield _finding("L8", ("transfer", row.id), "accounts that its kind posts between", posted)


def _chains(tx: Tx) -> Iterator[Finding]:
    state: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in proofs.wallet_rows(tx):
        seq, balance = state[row.wallet_id]
        after = balance + row.sign * row.amount
        expected, found = (seq + 1, after), (row.wallet_seq, row.wallet_after)
        yield from _unless_equal("L2", ("transfer", row.id), expected, found)
        # On from what stands there, so that one wrong row is one finding.
        state[row.wallet_id] = expected if None in found else found
    for wallet_id, (balance, seq) in proofs.wallets(tx).items():
        if state[wallet_id] != (seq, balance):
            yield _finding("L2", ("account", wallet_id), f"seq and balance {state[wallet_id]}", (seq, balance))


# Grants

_GRANTED: Final = (
    ("topup", "paid"),
    ("bonus", "promotional"),
    ("goodwill", "goodwill"),
    ("external", "external"),
    ("migration", "migrated"),
    *(("reversal", kind) for kind in ("paid", "promotional", "goodwill", "external", "migrated")),
)
"""Kind of a transfer that gives credit, and of the grant it opens."""


def _grants(tx: Tx) -> Iterator[Finding]:
    remaining: dict[int, int] = defaultdict(int)
    for row in proofs.grant_rows(tx):
        if row.open == 2:
            continue
        remaining[row.wallet_id] += row.remaining if row.open else 0
        yield from _grant(row)
    for wallet_id, (balance, _) in proofs.wallets(tx).items():
        if remaining[wallet_id] != max(0, balance):
            yield _finding("L3", ("account", wallet_id), f"open grants {max(0, balance)}", remaining[wallet_id])
    for row in proofs.misplaced_grants(tx, _GRANTED):
        yield _finding("L3", ("transfer", row.id), "a grant of its wallet, kind and source", row.grant_id)
    for row in proofs.costly_gifts(tx):
        yield from _unless_equal("L3", ("grant", row.id), (0, 0), (row.cost_net_minor, row.cost_tax_minor))


def _grant(row: Any) -> Iterator[Finding]:
    keys = ("grant", row.id)
    put, took = int(row.put_high) * 2**32 + int(row.put_low), int(row.took_high) * 2**32 + int(row.took_low)
    left = put - row.debt_paid - took
    expected, found = (left, int(left != 0)), (row.remaining, row.open)
    yield from _unless_equal("L3", keys, f"remaining, open {expected}", f"remaining, open {found}")
    yield from _unless_equal("L3", keys, "a grant of a wallet", f"a grant of a {row.wallet_kind}")


# Keys, periods and meters

_SHARED: Final = attrgetter(
    "transaction_id", "fingerprint", "kind", "cause_type", "cause_id", "currency", "actor", "effective_at", "posted_at"
)
_LABEL: Final = attrgetter("resource", "period_start", "period_end", "charge_period_key", "resource_kind")


def _keys(tx: Tx) -> Iterator[Finding]:
    for key, rows in groupby(proofs.rows_by_key(tx), key=attrgetter("key_hash")):
        yield from _key(tx.book_id, ("key", key), list(rows))
    for row in proofs.shared_transactions(tx):
        yield _finding("L5", ("transaction", row.transaction_id), "one key", "several")
    for _, rows in groupby(proofs.metered_hours(tx), key=attrgetter("resource")):
        yield from _resource(rows)


def _key(book: int, keys: tuple[str, str], rows: list[Any]) -> Iterator[Finding]:
    head = rows[0]
    if head.part or (len(rows) > 1 and not _are_parts(rows)):
        yield _finding("L5", keys, "one transaction, cause and fingerprint, parts from 0, a label on part 0", "not so")
        return
    owner = next((row.owner for row in rows if row.owner is not None), None)
    if (head.kind, head.cause_type) in _UNREAD:
        return
    operation, own_key, content = _meaning(head, owner, _written(sum(row.amount for row in rows), head.currency))
    if owner is not None and key_hash(book, operation, owner, own_key) != keys[1]:
        yield _finding("L5", keys, "the key of its wallet's owner and cause", (owner, head.cause_id))
    if fingerprint(*content) != head.fingerprint:
        yield _finding("L5", keys, f"the fingerprint of {content}", "another")
    yield from _period(book, keys, head)


_UNREAD: Final = {
    *((kind, "operator") for kind in ("bonus", "goodwill", "external", "migration")),
    ("charge", "hold"),
    ("adjustment", "usage"),
    ("reversal", "reversal"),
    ("expiry", "grant"),
    ("adjustment", "grant"),
}


def _meaning(head: Any, owner: str | None, amount: str) -> tuple[str, str, tuple[str, ...]]:
    """Give operation and key of a transaction as its caller named them, and what its fingerprint is made of."""
    cause, resource = head.cause_id, head.resource or ""
    start, end = ("" if at is None else str(at) for at in (head.period_start, head.period_end))
    match head.cause_type:
        case "usage":
            return "charge", cause, ("charge", amount, resource, head.resource_kind or "", start, end)
        case "meter":
            return "meter", f"{cause}/{start}", ("meter", cause, start, amount)
        case _:
            operation = head.kind if owner is not None else f"{head.kind}-suspense"
            return operation, cause, (operation, cause)


def _written(units: int, currency: str) -> str:
    return str(Money(units, currency)) if currency in MINOR_DIGITS and abs(units) <= MAX_UNITS else "no amount"


def _are_parts(rows: list[Any]) -> bool:
    first, unlabelled = _SHARED(rows[0]), (None,) * 5
    return all(
        row.part == part and _SHARED(row) == first and (part == 0 or _LABEL(row) == unlabelled)
        for part, row in enumerate(rows)
    )


def _period(book: int, keys: tuple[str, str], head: Any) -> Iterator[Finding]:
    """Prove that what was charged for a period is found under that period, and nothing else."""
    resource, start, end, charged, _ = _LABEL(head)
    dated = head.kind == "charge" and resource is not None and start is not None
    if charged != (key_hash(book, "period", resource, str(start)) if dated else None):
        yield _finding("B3", keys, "the period of its resource", (resource, start, charged))
    if end is not None and (head.effective_at != end or start is None):
        yield _finding("B3", keys, f"effective at its period's end {end}", (start, head.effective_at))
    if head.cause_type == "meter" and (resource != head.cause_id or start is None or end != start + HOUR):
        yield _finding("B3", keys, f"an hour of {head.cause_id}", (resource, start, end))


def _resource(rows: Iterator[Any]) -> Iterator[Finding]:
    """Walk through the hours of one resource: each belongs to one meter, and they add up to its price."""
    meter: Any = None
    charged = 0
    for row in rows:
        if row.what == proofs.METER:
            if meter is not None:
                yield from _meter(meter, charged, following=row)
            meter, charged = row, 0
            continue
        number = None if meter is None else _hour_of(meter, row)
        if row.what == proofs.CHARGED:
            charged += row.number
            whose = "an hour that no meter counted" if number is None else (meter.customer, meter.currency)
            yield from _unless_equal("B3", ("transaction", row.id), whose, (row.customer, row.currency))
        elif number is not None:
            charged += _price(meter, number + 1) - _price(meter, number)
    if meter is not None:
        yield from _meter(meter, charged, following=None)


def _hour_of(meter: Any, row: Any) -> int | None:
    """Give which hour of a meter a row is about, from 0; None for a time that the meter did not count."""
    began = row.at - HOUR if row.what == proofs.CHARGED else row.at
    number, rest = divmod(began - meter.at, HOUR)
    return number if rest == 0 and 0 <= number < meter.number else None


def _meter(meter: Any, charged: int, *, following: Any) -> Iterator[Finding]:
    keys = ("meter", meter.id)
    price = f"{meter.number} hours for {_price(meter, meter.number)}"
    yield from _unless_equal("B3", keys, price, f"{meter.number} hours for {charged}")
    running = meter.resource if meter.stopped_at is None else None
    expected = f"a rate from {meter.at}, running {running}, due at {_due_at(meter)}"
    found = f"a rate from {meter.rated_from}, running {meter.running}, due at {meter.due_at}"
    yield from _unless_equal("B3", keys, expected, found)
    end = meter.at + HOUR * max(_begun(meter), meter.number)
    if following is not None and (meter.stopped_at is None or following.at < end):
        yield _finding("B3", ("meter", following.id), f"a start after {meter.id} stopped, from {end}", following.at)


def _price(meter: Any, hours: int) -> int:
    """Give what hours of a meter cost in ledger units; -1 where its row names no price."""
    try:
        return Rate(Decimal(meter.rate), meter.currency).cost_of(hours=hours).units
    except (PrepaidError, ArithmeticError, TypeError, ValueError):
        return -1


def _due_at(meter: Any) -> int | None:
    ended = meter.stopped_at is not None and meter.number >= _begun(meter)
    return None if ended else int(meter.at + HOUR * (meter.number + 1))


def _begun(meter: Any) -> int:
    return 0 if meter.stopped_at is None else max(1, -((meter.at - meter.stopped_at) // HOUR))


# Top-ups and documents

_POSTED_AS: Final = {"credited": "credited", "review": "suspense"}


def _topups(tx: Tx) -> Iterator[Finding]:
    for row in proofs.topup_rows(tx):
        yield from _order(row)
        yield from _payment(row)
    for _, rows in groupby(proofs.topup_postings(tx), key=attrgetter("id")):
        yield from _posted(list(rows))
    # No step to *refunded* is posted yet.
    for row in proofs.unknown_states(tx, TOPUP_STEPS.keys() - {"refunded"}):
        yield _finding("B6", ("topup", row.id), "a state that steps lead to", row.state)
    for row in proofs.untold_topups(tx):
        yield _finding("B9", ("topup", row.id), f"the event {row.key}", "none")
    for row in proofs.causeless_transfers(tx):
        yield _finding("L8", ("transfer", row.id), f"the top-up {row.cause_id}", "none")
    for topup_id in proofs.orphans(tx, "payment", "topup_id"):
        yield _finding("B1", ("payment", topup_id), "a top-up", "none")


def _order(row: Any) -> Iterator[Finding]:
    """Prove the figures of a top-up by each other, by its frozen tax decision and by what its key stands for."""
    keys = ("topup", row.id)
    sums = (row.net + row.discount, row.net + row.tax)
    yield from _unless_equal("B1", keys, f"credit and total {sums}", f"credit and total {(row.credit, row.total)}")
    found = (row.net, row.tax, row.total, row.currency)
    yield from _unless_equal("B1", keys, _decided(_record(row.decision), row.currency), found)
    shown = sorted((name, getattr(row, name)) for name in ("credit", "bonus", "discount", "tax", "total"))
    typed = {_written(amount, row.currency) for amount in (row.credit, row.total)}  # prices without tax, or with it
    known = {fingerprint("topup", amount, row.gateway, "", shown) for amount in typed}
    if not (row.bonus or row.discount or row.fingerprint in known):  # a promotion's code is not kept
        yield _finding("L5", keys, f"the fingerprint of {shown} at {row.gateway}", "another")


def _decided(decision: dict[str, Any], currency: str) -> tuple[object, ...]:
    """Give net, tax, gross and currency of a decision, in ledger units."""
    return (*(_units(decision.get(name), currency) for name in ("net", "total", "gross")), decision.get("currency"))


def _units(minor: object, currency: str) -> int | None:
    return minor * minor_unit(currency) if type(minor) is int and currency in MINOR_DIGITS else None


def _payment(row: Any) -> Iterator[Finding]:
    keys, credited, paid = ("topup", row.id), row.state == "credited", row.payment_captured is not None
    if not _agrees(row):
        yield _finding("B1", keys, "a payment exactly when credited, in review or refunded", row.state)
    elif paid != (row.settled_at is not None):
        yield _finding("B6", keys, "settled exactly when it is paid", row.settled_at)
    if paid:
        captured = (row.payment_captured, row.payment_currency)
        expected = (row.gateway, _POSTED_AS.get(row.state), *((row.total, row.currency) if credited else captured))
        yield from _unless_equal("B1", keys, expected, (row.payment_gateway, row.payment_posted_as, *captured))
    invoices = (int(row.invoices), row.invoice_id is not None)
    yield from _unless_equal("B5", keys, f"invoices, named {(int(credited), credited)}", f"invoices, named {invoices}")


def _agrees(row: Any) -> bool:
    """Tell whether state and payment say the same; where they do not, nothing follows from the state."""
    return bool((row.payment_captured is not None) == (row.state in PAID_STATES))


def _posted(rows: list[Any]) -> Iterator[Finding]:
    """Prove that a top-up posted what its state says, line by line, and opened the grants it bought."""
    topup, transfers = rows[0], [row for row in rows if row.transfer_id is not None]
    keys, due = ("topup", topup.id), topup.payment_captured or 0
    cleared = sum(row.amount for row in transfers if row.debit_kind == "clearing")
    yield from _unless_equal("B1", keys, f"{due} out of clearing", f"{cleared} out of clearing")
    if _agrees(topup):
        yield from _unless_equal("L8", keys, _due_lines(topup), sorted(_line(row) for row in transfers))
    if topup.state == "credited":
        yield from _bought(topup, transfers)


def _line(row: Any) -> tuple[Any, ...]:
    debit, credit = f"{row.debit_kind}:{row.debit_owner}", f"{row.credit_kind}:{row.credit_owner}"
    return row.kind, debit, credit, row.amount, row.posted_currency, row.actor


def _due_lines(topup: Any) -> list[tuple[Any, ...]]:
    """Give what a top-up posts: kind, accounts, amount, currency and actor of each line above zero."""
    clearing, wallet = f"clearing:{topup.gateway}", f"wallet:{topup.customer}"
    lines = [("topup", clearing, "suspense:", topup.payment_captured or 0)] if topup.state == "review" else []
    if topup.state == "credited":
        lines = [
            ("topup", clearing, wallet, topup.net),
            ("topup", "promotion:", wallet, topup.discount),
            ("topup", clearing, "tax_payable:", topup.tax),
            ("bonus", "promotion:", wallet, topup.bonus),
        ]
    return sorted((*line, topup.payment_currency, f"gateway:{topup.gateway}") for line in lines if line[3])


def _bought(topup: Any, transfers: list[Any]) -> Iterator[Finding]:
    """Prove size and cost of the grants that a top-up opened."""
    unit = _units(1, topup.currency) or 0
    for kind, *figures in (("topup", topup.credit, topup.net, topup.tax), ("bonus", topup.bonus, 0, 0)):
        grants = {row.grant_id: row for row in transfers if row.kind == kind and row.size is not None}
        found = [[row.size, row.cost_net_minor * unit, row.cost_tax_minor * unit] for row in grants.values()]
        yield from _unless_equal("L3", ("topup", topup.id, kind), [figures] if figures[0] else [], found)


def _documents(tx: Tx) -> Iterator[Finding]:
    last: dict[tuple[str, int], tuple[int, str]] = {}
    for row in proofs.invoice_rows(tx):
        keys, series = ("invoice", row.number), (row.kind, row.year)
        number, day = last.get(series, (0, row.issued_on))
        yield from _unless_equal("B5", keys, f"sequence {number + 1}", f"sequence {row.sequence}")
        yield from _unless_equal("B5", keys, max(day, row.issued_on), row.issued_on)
        yield from _invoice(keys, row)
        last[series] = (row.sequence, row.issued_on)
    for row in proofs.series_rows(tx):
        number, day = last.pop((row.kind, row.year), (0, row.last_on))
        yield from _unless_equal("B5", ("series", row.kind, row.year), (number, day), (row.last, row.last_on))
    for series in last:
        yield _finding("B5", ("series", *series), "a counter", "none")
    yield from _files(tx)


def _files(tx: Tx) -> Iterator[Finding]:
    for row in proofs.file_rows(tx):
        yield from _unless_equal("B5", ("file", row.invoice_id), row.sha256, sha256(bytes(row.content)))
    for table, column in (("invoice", "topup_id"), ("document_file", "invoice_id")):
        for named in proofs.orphans(tx, table, column):
            yield _finding("B5", (table, named), f"the row of its {column}", "none")
    for row in proofs.untold_invoices(tx):
        yield _finding("B9", ("invoice", row.number), f"the event {row.key}", "none")


def _invoice(keys: tuple[str, str], row: Any) -> Iterator[Finding]:
    """Prove a document by its hash, its row by what was frozen, and that by the top-up and its payment."""
    if sha256(row.snapshot) != row.sha256:
        yield _finding("B5", keys, "the hash it was issued with", "another")
        return
    frozen = _record(row.snapshot)
    names = ("id", "kind", "number", "customer", "topup_id", "currency", "issued_on", "issued_at")
    yield from _unless_equal("B5", keys, tuple(map(frozen.get, names)), attrgetter(*names)(row))
    if not row.number.endswith(f"{row.year % 100:02d}-{row.sequence:06d}"):
        yield _finding("B5", keys, "a number of its place in its series", (row.year, row.sequence))
    tax = frozen.get("tax")
    figures = _decided(tax if isinstance(tax, dict) else {}, row.currency)
    yield from _unless_equal("B5", keys, figures, (row.net, row.tax, row.total, row.currency))
    sums = tuple(_units(frozen.get(name), row.currency) for name in ("net", "total"))
    yield from _unless_equal("B5", keys, sums, (row.net, row.total))
    topup = tuple(
        getattr(row, f"topup_{name}") for name in ("customer", "currency", "net", "tax", "total", "invoice_id")
    )
    yield from _unless_equal("B5", keys, topup, (row.customer, row.currency, row.net, row.tax, row.total, row.id))
    if frozen.get("tax") != _record(row.topup_decision or ""):
        yield _finding("B5", keys, "the tax decision of its top-up", "another")
    payment = frozen.get("payment")
    if not isinstance(payment, list) or payment[-1:] != [row.payment_id]:
        yield _finding("B5", keys, f"paid by {payment}", f"paid by {row.payment_id}")


PROOFS: Final[dict[str, Callable[[Tx], Iterator[Finding]]]] = {
    "numbers": _numbers,
    "transfers": _transfers,
    "wallet chains": _chains,
    "grants": _grants,
    "keys": _keys,
    "top-ups": _topups,
    "documents": _documents,
}
