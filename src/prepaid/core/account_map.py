"""What the accounts of the ledger are called in the books of an accountant.

The journal is exported under names such as ``Assets:Clearing:Acme``. Every sort
of account has one by default; a seller gives names of their own to any of them.
Accounts that have owners (gateways, outside systems) end in the owner's name,
so that no two of them fall together.

>>> names = AccountMap({"wallet": "Liabilities:Customers", "clearing:acme": "Assets:Bank"})
>>> names.name_of(AccountRef("wallet")), names.name_of(AccountRef("clearing", "acme"))
('Liabilities:Customers', 'Assets:Bank')
>>> names.name_of(AccountRef("clearing", "acme-2"))
'Assets:Clearing:Acme-2'

Sources: Beancount Language Syntax, *Accounts* (five roots, and what a component may be made of).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, get_args
from unicodedata import category

from attrs import field, frozen

from .errors import InvalidRequest
from .ids import check_text
from .transfers import AccountKind, AccountRef

ACCOUNT_MAP_SETTING: Final = "account-map"

ROOTS: Final = ("Assets", "Liabilities", "Equity", "Income", "Expenses")

DEFAULT_NAMES: Final[dict[AccountKind, str]] = {
    "wallet": "Liabilities:Prepaid:Wallets",
    "clearing": "Assets:Clearing",
    "revenue": "Income:Usage",
    "tax_payable": "Liabilities:Tax",
    "promotion": "Expenses:Promotions",
    "goodwill": "Expenses:Goodwill",
    "breakage": "Income:Breakage",
    "refunds_in_transit": "Liabilities:Refunds-In-Transit",
    "disputes": "Assets:Disputes",
    "fees": "Expenses:Gateway-Fees",
    "rounding": "Expenses:Rounding",
    "external": "Assets:External",
    "migration": "Equity:Migration",
    "suspense": "Liabilities:Suspense",
}
"""The name of every sort of account; those of `OWNED` get the owner's name after it."""

OWNED: Final = ("clearing", "disputes", "external")
"""Sorts of which every gateway, or outside system, has an account of its own."""

MOST_NAMES: Final = 500
LONGEST_NAME: Final = 191
LONGEST_OWNER: Final = 32

_FIELD: Final = "account_map"
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def _checked(names: object) -> Mapping[str, str]:
    if not isinstance(names, Mapping) or len(names) > MOST_NAMES:
        raise InvalidRequest(f"account_map maps at most {MOST_NAMES} sorts of accounts to names.", field=_FIELD)
    return {_check_sort(sort): check_account_name(name) for sort, name in names.items()}


@frozen
class AccountMap:
    """Names of accounts by sort; the default for a sort that is not named.

    Attributes:
        names: By sort, such as ``"wallet"`` or ``"clearing"``, or by sort and
            owner, such as ``"clearing:acme"``, which is then the whole name.
    """

    names: Mapping[str, str] = field(factory=dict, converter=_checked)

    def name_of(self, account: AccountRef) -> str:
        """Give the name of an account; all wallets have one."""
        if account.kind == "wallet":
            return self._of_sort("wallet")
        if not account.owner:
            return self._of_sort(account.kind)
        return self.names.get(str(account)) or f"{self._of_sort(account.kind)}:{component(account.owner)}"

    def _of_sort(self, kind: AccountKind) -> str:
        return self.names.get(kind) or DEFAULT_NAMES[kind]

    def record(self) -> dict[str, str]:
        """Give it as plain values that a setting keeps."""
        return dict(self.names)


def _check_sort(sort: object) -> str:
    kind, colon, owner = sort.partition(":") if isinstance(sort, str) else ("", "", "")
    if kind not in get_args(AccountKind):
        raise InvalidRequest(f"There is no such sort of account; there are {', '.join(DEFAULT_NAMES)}.", field=_FIELD)
    if colon and kind not in OWNED:
        raise InvalidRequest(f"{kind} has no owner: only {', '.join(OWNED)} have.", field=_FIELD)
    if colon:
        check_text(owner, field=_FIELD, longest=LONGEST_OWNER, empty=False)
    return str(sort)


def check_account_name(name: object) -> str:
    """Return the name of an account in an accountant's books.

    Raises:
        InvalidRequest: Not a root and further components with colons between them, or too long.
    """
    parts = name.split(":") if isinstance(name, str) and len(name) <= LONGEST_NAME else []
    if len(parts) < 2 or parts[0] not in ROOTS or not all(map(_is_component, parts[1:])):
        raise InvalidRequest(
            f"An account is named such as Assets:Bank: {', '.join(ROOTS)}, a colon, then parts of letters, digits "
            f"and dashes that begin with a capital letter or a digit; at most {LONGEST_NAME} characters.",
            field=_FIELD,
        )
    return str(name)


def _is_component(part: str) -> bool:
    return part[:1] != "" and category(part[0]) in ("Lu", "Nd") and all(map(_may_follow, part))


def _may_follow(char: str) -> bool:
    return char == "-" or category(char)[0] == "L" or category(char) == "Nd"


def component(owner: str) -> str:
    """Turn the name of a gateway or system into a part of an account's name, each into another.

    Gateways' names are of lower-case letters, digits and dashes, and get a capital. What else there is in a
    system's name is written as its code between ``U`` and ``Z``, which no lower-case name has.

    >>> component("acme-eu"), component("7seas"), component("Acme")
    ('Acme-eu', '7seas', 'U41Zcme')
    """
    written = [char if char in _PLAIN else f"U{ord(char):x}Z" for char in owner]
    if owner[:1] == "-":
        written[0] = f"U{ord('-'):x}Z"
    text = "".join(written)
    return text[:1].upper() + text[1:]
