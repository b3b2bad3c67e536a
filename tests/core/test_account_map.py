"""Names of accounts: valid for Beancount by its own words, one for every sort, and never one for two owners."""

from __future__ import annotations

from typing import get_args

import pytest
from beancount.core import account
from hypothesis import given
from hypothesis import strategies as st

from prepaid import InvalidRequest
from prepaid.core.account_map import DEFAULT_NAMES, OWNED, AccountMap, check_account_name, component
from prepaid.core.ids import check_text
from prepaid.core.transfers import AccountKind, AccountRef, clearing, disputed, external

KINDS = get_args(AccountKind)


def test_every_sort_of_account_has_a_name_of_its_own() -> None:
    assert set(DEFAULT_NAMES) == set(KINDS)
    assert len(set(DEFAULT_NAMES.values())) == len(KINDS)
    for kind in KINDS:
        name = AccountMap().name_of(AccountRef(kind, "acme" if kind in OWNED else ""))
        assert account.is_valid(name)
        assert check_account_name(name) == name


def test_no_default_lies_within_another() -> None:
    for name in DEFAULT_NAMES.values():
        assert not any(other.startswith(f"{name}:") for other in DEFAULT_NAMES.values())


def test_all_wallets_are_one_account() -> None:
    assert AccountMap().name_of(AccountRef("wallet", "user-42")) == AccountMap().name_of(AccountRef("wallet"))


def test_what_is_named_has_its_name_and_the_rest_its_default() -> None:
    names = AccountMap(
        {"wallet": "Liabilities:Kunden", "clearing": "Assets:Dienste", "clearing:acme": "Assets:Bank:Überweisung"}
    )
    assert names.name_of(AccountRef("wallet")) == "Liabilities:Kunden"
    assert names.name_of(clearing("acme")) == "Assets:Bank:Überweisung"
    assert names.name_of(clearing("acme-eu")) == "Assets:Dienste:Acme-eu"
    assert names.name_of(disputed("acme")) == "Assets:Disputes:Acme"
    assert names.name_of(external("Old Panel")) == "Assets:External:U4fZldU20ZU50Zanel"
    assert names.name_of(AccountRef("revenue")) == "Income:Usage"
    assert AccountMap(names.record()) == names


GATEWAYS = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
SYSTEMS = st.text(min_size=1, max_size=32).filter(lambda text: text.strip() and text.isprintable())
OWNERS = GATEWAYS | SYSTEMS | st.text(alphabet="uUzZ2d-aA41!", min_size=1, max_size=6)


@given(OWNERS, OWNERS)
def test_two_owners_never_have_one_account_and_each_has_a_valid_one(first: str, second: str) -> None:
    names = [AccountMap().name_of(clearing(owner)) for owner in (first, second)]
    assert all(map(account.is_valid, names))
    assert all(check_account_name(name) for name in names if len(name) <= 191)
    assert (names[0] == names[1]) == (first == second)


@given(GATEWAYS)
def test_the_name_of_a_gateway_gets_a_capital_and_nothing_else(name: str) -> None:
    assert component(name).lower() == name


VALID = [
    "Assets:Bank",
    "Liabilities:1400",
    "Equity:Ä-1:B",
    "Income:X",
    "Expenses:Fees-2:Ünder",
    "Assets:日本X"[:7] + "X",
]


@pytest.mark.parametrize("name", VALID)
def test_a_name_that_beancount_takes_is_taken(name: str) -> None:
    assert account.is_valid(name)
    assert check_account_name(name) == name


BAD_NAMES = [
    *("", "Assets", "Assets:", ":Bank", "Bank:Assets", "assets:Bank", "Assets:bank", "Assets:-Bank", "Assets::Bank"),
    *("Assets:Ba nk", "Assets:Bank ", " Assets:Bank", "Assets:Bank\n", "Assets:Bank;", "Assets:Ba\u0301nk"),
    *("Assets:B\u00b2", "Assets:\u2160", "Assets:Bank_2", "Assets:Bank.2", "Vermögen:Bank"),
    "Assets:" + "B" * 185,
    *(None, 5, True, b"Assets:Bank", ("Assets", "Bank"), ["Assets:Bank"]),
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_any_other_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        AccountMap({"wallet": name})
    assert refused.value.field == "account_map"


@given(st.text(max_size=40))
def test_what_is_taken_is_valid_for_beancount(text: str) -> None:
    try:
        name = check_account_name(f"Assets:{text}")
    except InvalidRequest:
        return
    assert account.is_valid(name)


BAD_SORTS = [
    *(
        "",
        "Wallet",
        "wallets",
        "wallet:user-42",
        "revenue:",
        "clearing:",
        "clearing: ",
        "clearing:a\nb",
        "a:b",
        ":acme",
    ),
    *("clearing:" + "x" * 33, None, 5, True, b"wallet", ("clearing", "acme")),
]


@pytest.mark.parametrize("sort", BAD_SORTS)
def test_a_sort_that_there_is_not_is_refused(sort: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        AccountMap({sort: "Assets:Bank"})
    assert refused.value.field == "account_map"


@pytest.mark.parametrize(
    "names", [None, 5, "wallet", [("wallet", "Assets:Bank")], {f"clearing:g{n}": "Assets:Bank" for n in range(501)}]
)
def test_what_is_no_map_of_names_is_refused(names: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        AccountMap(names)
    assert refused.value.field == "account_map"


def test_owners_may_be_named_as_operators_name_them() -> None:
    assert check_text("Old Panel", field="system", longest=32, empty=False)
    assert AccountMap({"external:Old Panel": "Equity:Old"}).name_of(external("Old Panel")) == "Equity:Old"
