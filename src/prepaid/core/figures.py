"""Figures of a book: each a sum over what moved between sorts of accounts, and the roll-forward of all wallets.

Dashboard, exports and digest take their figures from here, so that they cannot
differ. What moved may be one transfer or the sum of many: the figures add up
either way.

Sources: the accounting page of the docs (*Figures*).

>>> from .transfers import REVENUE, WALLET
>>> figures([Moved(WALLET, REVENUE, "charge", 700), Moved(REVENUE, WALLET, "reversal", 200)])["credit_consumed"]
500
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from attrs import frozen

from .transfers import AccountKind, AccountRef


class Movement(Protocol):
    """What moved from one sort of account to another: one transfer, or the sum of many alike."""

    @property
    def debit(self) -> AccountRef:
        """The account that gave; a wallet without its owner."""

    @property
    def credit(self) -> AccountRef:
        """The account that received; a wallet without its owner."""

    @property
    def kind(self) -> str:
        """Kind of the transactions."""

    @property
    def amount(self) -> int:
        """Ledger units, above zero."""


@frozen
class Moved:
    """A movement as a plain value."""

    debit: AccountRef
    credit: AccountRef
    kind: str
    amount: int


Rule = Callable[[Movement], int]
"""How often a movement counts in a figure: 1, -1 or not at all."""


def net_into(account: AccountKind, *kinds: str) -> Rule:
    """Count what a sort of account received less what it gave, of some kinds or of all."""

    def rule(moved: Movement) -> int:
        if kinds and moved.kind not in kinds:
            return 0
        return (moved.credit.kind == account) - (moved.debit.kind == account)

    return rule


def net_out_of(account: AccountKind, *kinds: str) -> Rule:
    """Count what a sort of account gave less what it received, of some kinds or of all."""
    into = net_into(account, *kinds)
    return lambda moved: -into(moved)


def _of_kind(kind: str) -> Rule:
    return net_into("wallet", kind)


def _funds_in(moved: Movement) -> int:
    paid_from = moved.debit.kind in ("clearing", "suspense")
    return int(moved.kind == "topup" and paid_from and moved.credit.kind in ("wallet", "tax_payable"))


def _suspense_in(moved: Movement) -> int:
    return int(moved.credit.kind == "suspense")


def _suspense_out(moved: Movement) -> int:
    return int(moved.debit.kind == "suspense")


def _disputed(moved: Movement) -> int:
    if moved.kind not in ("dispute", "dispute-reversal"):
        return 0
    pair = (moved.debit.kind, moved.credit.kind)
    return (pair == ("disputes", "clearing")) - (pair == ("clearing", "disputes"))


_BOUGHT: Final = ("topup", "refund", "refund-reversal", "dispute", "dispute-reversal")

FIGURES: Final[dict[str, Rule]] = {
    "funds_in": _funds_in,
    "credit_consumed": net_into("revenue"),
    "tax_collected": net_into("tax_payable"),
    "refunds_issued": net_into("clearing", "refund", "refund-reversal"),
    "bonus_granted": net_into("wallet", "bonus", "clawback"),
    "discount": net_out_of("promotion", *_BOUGHT),
    "vouchers": _of_kind("voucher"),
    "goodwill": _of_kind("goodwill"),
    "breakage": net_into("breakage"),
    "fees": net_out_of("fees"),
    "disputed": _disputed,
    "suspense_in": _suspense_in,
    "suspense_out": _suspense_out,
}
"""Every figure of the dashboard by its name.

``funds_in``: paid for credited top-ups, tax included, on the day credited.
``credit_consumed``: usage charged, corrected and given back.
``tax_collected``: of top-ups, less what went back with refunds and lost disputes.
``refunds_issued``: money given back for credited top-ups, tax included, less what came back.
``bonus_granted``: given with top-ups, less what was taken back; one given back counts negative.
``discount``: credit that discounts gave, less what refunds and disputes took back.
``vouchers``, ``goodwill``: credit of vouchers, and of operators.
``breakage``: credit that expired.
``fees``: what gateways kept, of payments and disputes.
``disputed``: money that gateways took back for disputes, less what they returned.
``suspense_in``, ``suspense_out``: payments that wait for an operator, and those that waited no longer.
"""

GATEWAY_FIGURES: Final = ("funds_in", "refunds_issued", "fees", "disputed")
"""Figures that are told gateway by gateway."""


def figures(moved: Iterable[Movement]) -> dict[str, int]:
    """Give every figure of some movements of one currency, in ledger units."""
    return _sums(FIGURES, moved)


def gateway_of(moved: Movement) -> str | None:
    """Give the gateway whose money moved; None where none of the accounts is a gateway's, as out of suspense."""
    owners = (account.owner for account in (moved.debit, moved.credit) if account.kind in ("clearing", "disputes"))
    return next(owners, None)


def _consumed(moved: Movement) -> int:
    return net_into("wallet")(moved) if "revenue" in (moved.debit.kind, moved.credit.kind) else 0


def _voided(moved: Movement) -> int:
    return 0 if _consumed(moved) else net_into("wallet", "adjustment")(moved)


ROLL_FORWARD: Final[dict[str, Rule]] = {
    "topups": _of_kind("topup"),
    "bonus": _of_kind("bonus"),
    "vouchers": _of_kind("voucher"),
    "goodwill": _of_kind("goodwill"),
    "external": _of_kind("external"),
    "migration": _of_kind("migration"),
    "refund_reversals": _of_kind("refund-reversal"),
    "consumed": _consumed,
    "expired": _of_kind("expiry"),
    "voided": _voided,
    "refunds": _of_kind("refund"),
    "clawbacks": _of_kind("clawback"),
    "disputes": net_into("wallet", "dispute", "dispute-reversal"),
}
"""The lines of the roll-forward: each what it adds to all wallets together, negative if it takes."""


def roll_forward(moved: Iterable[Movement]) -> dict[str, int]:
    """Give every line between opening and closing, in ledger units; ``adjustments`` is whatever no line names."""
    kept = list(moved)
    lines = _sums(ROLL_FORWARD, kept)
    return lines | {"adjustments": wallets_net(kept) - sum(lines.values())}


def wallets_net(moved: Iterable[Movement]) -> int:
    """Sum what all wallets together received less what they gave, in ledger units."""
    return _sums({"net": net_into("wallet")}, moved)["net"]


def _sums(rules: dict[str, Rule], moved: Iterable[Movement]) -> dict[str, int]:
    sums = dict.fromkeys(rules, 0)
    for each in moved:
        for name, rule in rules.items():
            sums[name] += rule(each) * each.amount
    return sums
