"""The gates of coverage close: on a missed line, a missed branch, and on a module that was never measured."""

from __future__ import annotations

import pytest

from tools.coverage_gates import failures

PACKAGE = "src/prepaid/"


def summary(*, lines: int = 100, branches: int = 20) -> dict[str, dict[str, int]]:
    figures = {"covered_lines": lines, "num_statements": 100, "covered_branches": branches, "num_branches": 20}
    return {"summary": figures}


def report(**changed: dict[str, dict[str, int]]) -> dict[str, dict[str, dict[str, dict[str, int]]]]:
    names = [
        "core/money.py",
        "repayment.py",
        "settlement/settling.py",
        "store/ledger.py",
        "refund_desk/deciding.py",
        "refunds.py",
        "returning/refunds.py",
        "wallets/moving.py",
        "wallets/reversing.py",
        "wallets/balances.py",
        *(f"extra{i}.py" for i in range(5)),
    ]
    return {"files": {PACKAGE + name: changed.get(name, summary()) for name in [*names, *changed.keys() - {*names}]}}


def test_everything_that_ran_reaches_every_gate():
    assert failures(report()) == []


@pytest.mark.parametrize(
    "name", ["core/money.py", "repayment.py", "settlement/settling.py", "store/ledger.py", "refunds.py"]
)
@pytest.mark.parametrize("missed", [{"lines": 99}, {"branches": 19}])
def test_one_miss_in_a_money_module_is_too_much(name, missed):
    (found,) = failures(report(**{name: summary(**missed)}))

    assert found.startswith(name)


def test_elsewhere_nineteen_of_twenty_are_enough():
    assert failures(report(**{"wallets/balances.py": summary(lines=25)})) == []
    assert len(failures(report(**{"wallets/balances.py": summary(lines=24)}))) == 1


def test_branches_have_a_gate_of_their_own():
    (found,) = failures(report(**{"wallets/balances.py": summary(branches=4)}))

    assert "branches" in found


def test_a_money_module_that_was_not_measured_is_a_failure():
    measured = report()
    del measured["files"][PACKAGE + "settlement/settling.py"]

    assert failures(measured) == ["settlement/: not measured"]


def test_an_empty_report_reaches_no_gate():
    assert failures({"files": {}}) != []
