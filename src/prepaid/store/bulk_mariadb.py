"""Many rows on MariaDB: one JSON text, which the server reads as a table.

The driver puts values into the statement itself, one by one and in Python, and
looks at each of their characters. A whole text costs it once, and nothing if
there is nothing to quote in it.

Sources: MariaDB documentation, JSON_TABLE, max_allowed_packet.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, Final

from ..core.batches import GrantChange, WalletChange
from . import raw, schema
from .bulk import TRANSFER, FirstGrant, HeldWallet, MeterChange, TransferRows, Ways
from .database import Tx

_ROWS: Final = 2_000
"""Rows a statement: a megabyte or two, far below what a server takes in one packet by default."""


def _sql_type(name: str) -> str:
    kind = schema.transfer.c[name].type
    length = getattr(kind, "length", None)
    return "BIGINT" if length is None else _varchar(length)


def _varchar(length: int) -> str:
    return f"VARCHAR({length}) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"


_GIVEN: Final = "<given>"
"""Where a statement takes its text."""


def _table(columns: Iterable[tuple[str, str]]) -> str:
    listed = ", ".join(f"{name} {kind} PATH '$[{place}]'" for place, (name, kind) in enumerate(columns))
    return f"JSON_TABLE({_GIVEN}, '$[*]' COLUMNS ({listed})) AS new"


# The given names and ids come first, so that nothing is looked at, or locked, but what they name, and in their order.
_NAMED: Final = f"""
SELECT wallet.id, wallet.owner, wallet.currency
FROM {_table([("owner", _varchar(191))])} STRAIGHT_JOIN prepaid_account AS wallet
    ON wallet.book_id = %s AND wallet.kind = 'wallet' AND wallet.owner = new.owner AND wallet.currency IN %s
"""  # noqa: S608 - names of ours; values are bound

_NAMED_NOW: Final = f"{_NAMED} LOCK IN SHARE MODE"
"""For wallets that a host's snapshot may be too old to show."""

_HOLD: Final = f"""
SELECT JSON_ARRAY(wallet.id, owner, currency, balance, held, floor, seq, next_due_at, alert_at)
FROM {_table([("id", "BIGINT")])} STRAIGHT_JOIN prepaid_account AS wallet ON wallet.id = new.id
WHERE wallet.book_id = %s FOR UPDATE
"""  # noqa: S608 - names of ours; values are bound

_FIRST: Final = f"""
SELECT new.id, first.id, first.remaining FROM {_table([("id", "BIGINT")])} STRAIGHT_JOIN prepaid_grant AS first
    ON first.id = (
        SELECT other.id FROM prepaid_grant AS other WHERE other.wallet_id = new.id AND other.open = 1
        ORDER BY other.priority, other.expires_at, other.id LIMIT 1 LOCK IN SHARE MODE
    )
FOR UPDATE
"""  # noqa: S608 - names of ours; values are bound
"""With locks: at other isolation levels than ours plain reads are older than the locks of the wallets."""

_ID: Final = _varchar(32)

_WALLETS: Final = f"""
UPDATE prepaid_account AS wallet
JOIN {_table([("id", "BIGINT"), ("taken", "BIGINT"), ("numbers", "BIGINT"), ("before_it", "BIGINT")])}
    ON wallet.id = new.id AND wallet.seq = new.before_it
SET wallet.balance = wallet.balance - new.taken, wallet.seq = wallet.seq + new.numbers
WHERE wallet.book_id = %s
"""  # noqa: S608 - names of ours; values are bound

_GRANTS: Final = f"""
UPDATE prepaid_grant AS spent JOIN {_table([("id", _ID), ("taken", "BIGINT"), ("before_it", "BIGINT")])}
    ON spent.id = new.id AND spent.remaining = new.before_it
SET spent.open = spent.remaining > new.taken, spent.remaining = spent.remaining - new.taken
WHERE spent.book_id = %s
"""  # noqa: S608 - names of ours; values are bound


_COUNTED: Final = (
    *(("id", _ID), ("before_it", "BIGINT"), ("until", "BIGINT"), ("residue", "BIGINT")),
    *(("month", _ID), ("month_cost", _ID), ("due_at", "BIGINT")),
)

_METERS: Final = f"""
UPDATE prepaid_meter AS counted JOIN {_table(_COUNTED)}
    ON counted.id = new.id AND counted.billed_until = new.before_it
SET counted.billed_until = new.until, counted.residue = new.residue, counted.month = new.month,
    counted.month_cost = new.month_cost, counted.due_at = new.due_at, counted.open = new.due_at IS NOT NULL
WHERE counted.book_id = %s
"""  # noqa: S608 - names of ours; values are bound

_KEY: Final = TRANSFER.index("key_hash")


def _hold_wallets(tx: Tx, owners: Collection[str], currencies: Collection[str]) -> list[HeldWallet]:
    # It locks in the order in which it finds: by name first without a lock, then by id.
    named = _named(tx, _NAMED, owners, currencies)
    if tx.snapshot and (late := {owner for owner, _ in set(product(owners, currencies)) - named.keys()}):
        named |= _named(tx, _NAMED_NOW, late, currencies)
    held = raw.read(tx.connection, *_with(_HOLD, _given(sorted(named.values())), tx.book_id))
    # A row as one text, too: the driver reads values one by one, in Python.
    return list(map(HeldWallet._make, json.loads(f"[{','.join([text for (text,) in held])}]")))


def _named(tx: Tx, statement: str, owners: Collection[str], currencies: Collection[str]) -> dict[tuple[str, str], int]:
    found = raw.read(tx.connection, *_with(statement, _given(owners), tx.book_id, list(currencies)))
    return {(owner, currency): id for id, owner, currency in found}


def _first_grants(tx: Tx, wallet_ids: Collection[int]) -> list[FirstGrant]:
    return raw.read(tx.connection, *_with(_FIRST, _given(wallet_ids)))


def _given(values: Iterable[int | str]) -> str:
    return _text([(value,) for value in values])


def _add_transfers(tx: Tx, new: TransferRows) -> int:
    # What is the same in every row, or empty, is sent once, and of equal columns one; the key always, so that there
    # are as many rows as rows.
    columns = list(zip(*new.rows, strict=True))
    if not columns:
        return 0
    same = {place for place, values in enumerate(columns) if values.count(values[0]) == len(values)} - {_KEY}
    first = {values: place for place, values in reversed(list(enumerate(columns))) if place not in same}
    # Short values first: the server counts its way through a row for each of its columns.
    sent = sorted(first.values(), key=lambda place: len(str(columns[place][0])))
    chosen = ["%s" if place in same else f"new.{TRANSFER[first[values]]}" for place, values in enumerate(columns)]
    source = _table((TRANSFER[place], _sql_type(TRANSFER[place])) for place in sent)
    statement = f"INSERT INTO prepaid_transfer ({', '.join(new.columns)}) SELECT {', '.join(chosen)} FROM {source}"  # noqa: S608
    shared = [columns[place][0] for place in sorted(same)]
    varying = list(zip(*(columns[place] for place in sent), strict=True))
    return sum(raw.change(tx.connection, *_with(statement, text, before=shared)) for text in _texts(varying))


def _lower_wallets(tx: Tx, changes: Sequence[WalletChange]) -> int:
    return _changed(tx, _WALLETS, changes)


def _lower_grants(tx: Tx, changes: Sequence[GrantChange]) -> int:
    return _changed(tx, _GRANTS, changes)


def _move_meters(tx: Tx, changes: Sequence[MeterChange]) -> int:
    return _changed(tx, _METERS, changes)


def _changed(tx: Tx, statement: str, changes: Sequence[tuple[Any, ...]]) -> int:
    return sum(raw.change(tx.connection, *_with(statement, text, tx.book_id)) for text in _texts(changes))


def _with(statement: str, text: str, *after: Any, before: Sequence[Any] = ()) -> tuple[str, tuple[Any, ...]]:
    """Put a text into a statement, and give both with the values that the driver is to quote."""
    if "'" in text or "\\" in text:
        return statement.replace(_GIVEN, "%s"), (*before, text, *after)
    # It means the same to every server, whatever its mode; only what stands for a value to the driver is doubled.
    return statement.replace(_GIVEN, f"'{text.replace('%', '%%')}'"), (*before, *after)


def _texts(rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    for start in range(0, len(rows), _ROWS):
        yield _text(rows[start : start + _ROWS])


def _text(rows: Sequence[tuple[Any, ...]]) -> str:
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


WAYS: Final = Ways(_hold_wallets, _first_grants, _add_transfers, _lower_wallets, _lower_grants, _move_meters)
