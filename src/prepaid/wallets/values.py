"""What is posted to wallets, and the answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from attrs import frozen

from ..core.grants import NEVER, GrantKind
from ..core.money import Money
from ..core.transfers import AccountRef, Line
from ..store.ledger import Header, Label

Accounts = Mapping[AccountRef, int]
"""Row ids of the book's own accounts."""


class Debit(NamedTuple):
    """A usage debit to post.

    Attributes:
        customer: Who pays.
        amount: What, above zero.
        performed: Post it whatever the balance.
        header: Key, cause and times of the transaction.
        label: What the customer reads.
    """

    customer: str
    amount: Money
    performed: bool
    header: Header
    label: Label


@frozen(kw_only=True)
class GrantSpec:
    """A grant that a credit opens: sizes in ledger units, costs in minor units.

    Attributes:
        kind: What kind of credit.
        size: How much.
        source_topup: Top-up it comes with.
        cost_net_minor: What was paid for it, without tax.
        cost_tax_minor: The tax paid for it.
        expires_at: When the rest lapses; `NEVER` if it does not.
        priority: Burn priority; that of its kind in the book's burn order if None.
        key_hash: The key it was given by, unique among grants; None if it came with a top-up.
        given: What the key stands for; None if it came with a top-up.
    """

    kind: GrantKind
    size: int
    source_topup: str | None = None
    cost_net_minor: int = 0
    cost_tax_minor: int = 0
    expires_at: datetime = NEVER
    priority: int | None = None
    key_hash: str | None = None
    given: dict[str, Any] | None = None


@frozen(kw_only=True)
class Credit:
    """One transaction that raises a wallet, with the grant it opens."""

    currency: str
    header: Header
    label: Label
    lines: tuple[Line, ...]
    grant: GrantSpec


@frozen
class Done:
    """A debit was posted."""

    balance_after: int


@frozen
class Replayed:
    """The key was posted before, with the same content."""

    transaction_id: str
    balance_after: int


@frozen
class Conflict:
    """The key was posted before, with other content, or the period is charged; a batch gives the balance as it is."""

    balance: int = 0
    field: str = "key"


@frozen
class Short:
    """The wallet does not cover the debit; ``available`` ledger units. A batch gives the balance as it is."""

    available: int
    balance: int = 0
