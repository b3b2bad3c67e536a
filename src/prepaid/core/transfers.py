"""What each event posts: transfers between ledger accounts, as plain values.

A transfer moves a positive amount from a debit to a credit account; a wallet is
a liability, so crediting it raises the customer's balance. All lines of one
event share a key and are one *transaction* for the customer; a bonus has a key,
and a line in the history, of its own.

>>> for line in topup_lines(clearing("acme"), net=45, discount=5, tax=9):
...     print(line.debit, "->", line.credit, line.amount)
clearing:acme -> wallet 45
promotion -> wallet 5
clearing:acme -> tax_payable 9
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from attrs import field, frozen

from .errors import IntegrityFault
from .money import MAX_UNITS

AccountKind = Literal[
    "wallet",
    "clearing",
    "revenue",
    "tax_payable",
    "promotion",
    "goodwill",
    "breakage",
    "refunds_in_transit",
    "disputes",
    "fees",
    "rounding",
    "external",
    "migration",
    "suspense",
]

TransactionKind = Literal[
    "topup",
    "bonus",
    "charge",
    "reversal",
    "refund",
    "refund-reversal",
    "expiry",
    "goodwill",
    "dispute",
    "dispute-reversal",
    "adjustment",
    "external",
    "migration",
    "voucher",
    "clawback",
]

TRANSACTION_KINDS: Final[tuple[str, ...]] = TransactionKind.__args__  # type: ignore[attr-defined]

SystemKind = Literal["fee", "suspense-refund"]
"""Kinds of what moves between the book's own accounts alone, so that no customer reads of it."""


@frozen
class AccountRef:
    """A ledger account of a book and currency, by what it is for.

    Attributes:
        kind: What the account collects.
        owner: The gateway or outside system it belongs to; empty for the others.
    """

    kind: AccountKind
    owner: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.owner}" if self.owner else self.kind


WALLET: Final = AccountRef("wallet")
"""The wallet of the customer that the posting is about."""

REVENUE: Final = AccountRef("revenue")
TAX_PAYABLE: Final = AccountRef("tax_payable")
PROMOTION: Final = AccountRef("promotion")
GOODWILL: Final = AccountRef("goodwill")
SUSPENSE: Final = AccountRef("suspense")
IN_TRANSIT: Final = AccountRef("refunds_in_transit")
FEES: Final = AccountRef("fees")
BREAKAGE: Final = AccountRef("breakage")
MIGRATION: Final = AccountRef("migration")


def clearing(gateway: str) -> AccountRef:
    """Name the account of money that a gateway holds for the seller."""
    return AccountRef("clearing", gateway)


def disputed(gateway: str) -> AccountRef:
    """Name the account of money that a gateway took back because its customers dispute what they paid."""
    return AccountRef("disputes", gateway)


def external(system: str) -> AccountRef:
    """Name the account of an outside system that funds credit."""
    return AccountRef("external", system)


@frozen
class Line:
    """One transfer to post: ``amount`` ledger units, above zero."""

    debit: AccountRef
    credit: AccountRef
    amount: int = field()

    @amount.validator
    def _positive(self, attribute: object, amount: int) -> None:
        if type(amount) is not int or not 0 < amount <= MAX_UNITS:
            raise IntegrityFault("A transfer moves a positive 64-bit amount.")
        if self.debit == self.credit or self.debit.kind == self.credit.kind == "wallet":
            raise IntegrityFault("A transfer joins two different accounts, at most one of them a wallet.")

    @property
    def wallet_sign(self) -> int:
        """1 if the wallet is credited, -1 if debited, 0 if no wallet takes part."""
        return (self.credit == WALLET) - (self.debit == WALLET)


def _lines(*lines: tuple[AccountRef, AccountRef, int]) -> tuple[Line, ...]:
    return tuple(Line(debit, credit, amount) for debit, credit, amount in lines if amount)


def moving_lines(flows: Iterable[tuple[AccountRef, AccountRef, int]]) -> tuple[Line, ...]:
    """Post what moves between accounts; what is below zero moves the other way.

    >>> [str(line.debit) for line in moving_lines([(REVENUE, WALLET, -5), (WALLET, REVENUE, 0)])]
    ['wallet']
    """
    return _lines(
        *((debit, credit, amount) if amount > 0 else (credit, debit, -amount) for debit, credit, amount in flows)
    )


def topup_lines(source: AccountRef, *, net: int, discount: int, tax: int) -> tuple[Line, ...]:
    """Post a credited top-up: what was paid for it, what a discount adds, the tax; from clearing or suspense."""
    return _lines((source, WALLET, net), (PROMOTION, WALLET, discount), (source, TAX_PAYABLE, tax))


def bonus_lines(bonus: int) -> tuple[Line, ...]:
    """Post the promotional credit that came with a top-up."""
    return _lines((PROMOTION, WALLET, bonus))


def suspense_lines(gateway: str, captured: int) -> tuple[Line, ...]:
    """Park captured money that may not be credited yet."""
    return _lines((clearing(gateway), SUSPENSE, captured))


def refund_lines(debit: AccountRef, credit: AccountRef, amount: int) -> tuple[Line, ...]:
    """Move a refund of a payment in suspense from one of the book's accounts to the next."""
    return _lines((debit, credit, amount))


def given_lines(source: AccountRef, amount: int) -> tuple[Line, ...]:
    """Post credit that was not bought: from the account that pays for it."""
    return _lines((source, WALLET, amount))


def void_lines(source: AccountRef, amount: int) -> tuple[Line, ...]:
    """Take such credit back to where it came from."""
    return _lines((WALLET, source, amount))


def charge_lines(parts: tuple[int, ...]) -> tuple[Line, ...]:
    """Post a charge: one line per grant touched, in burn order."""
    return _lines(*((WALLET, REVENUE, part) for part in parts))


def expiry_lines(amount: int) -> tuple[Line, ...]:
    """Post what of a grant expires."""
    return _lines((WALLET, BREAKAGE, amount))
