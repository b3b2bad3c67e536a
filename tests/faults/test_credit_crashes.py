"""A process that dies while it reserves, gives, takes back or lets lapse credit: nothing is lost, nothing double."""

from __future__ import annotations

import pytest

from . import planted
from .credit_operations import CAPTURE, OPERATIONS, REDEEM, REVERSE, SWEEP
from .harness import CUT, KILL, LOST_COMMIT, enumerate_faults, server_worlds, sqlite_worlds

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)

LEFT = {
    "hold": (8_000_000, 7_000_000, {}),
    "capture": (1_500_000, 0, {"charge": [3_000_000, 3_500_000]}),
    "release": (0, 0, {"expiry": [1_000_000, 7_000_000]}),
    "sweep": (1_000_000, 0, {"expiry": [500_000, 4_000_000], "bonus": [4_000_000], "goodwill": [500_000, 1_000_000]}),
    "give": (3_000_000, 0, {"goodwill": [5_000_000], "charge": [2_000_000]}),
    "give later": (0, 0, {"goodwill": []}),
    "void": (2_000_000, 0, {"adjustment": [5_000_000]}),
    "redeem": (3_000_000, 0, {"voucher": [5_000_000], "charge": [2_000_000]}),
    "end vouchers": (3_000_000, 0, {"voucher": [5_000_000]}),
    "reverse": (6_000_000, 0, {"reversal": [2_000_000, 3_000_000, 5_000_000], "expiry": [3_000_000]}),
}
"""Balance, what is held, and the transfers of some kinds, after each operation: the unharmed run is itself right."""


@every_operation
@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_kill_at_any_step_leaves_exactly_what_an_unharmed_run_leaves(operation, stride, tmp_path):
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, stride=stride)

    print(found)
    assert found.contradictions == {}
    assert found.steps
    balance, held, moved = LEFT[operation.name]
    assert [row[2:4] for row in found.census["wallets"]] == [(balance, held)]
    for kind, amounts in moved.items():
        assert sorted(row[3] for row in found.census["transfers"] if row[0] == kind) == amounts


@every_operation
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_commit_whose_answer_is_lost_happens_once(operation, stride, tmp_path):
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), LOST_COMMIT, stride=stride)

    print(found)
    assert found.contradictions == {}
    assert found.steps


@pytest.mark.full
@every_operation
@pytest.mark.parametrize("fault", [KILL, LOST_COMMIT, CUT], ids=lambda fault: fault.name)
def test_on_servers_too(operation, fault, tmp_path, server):
    found = enumerate_faults(operation, server_worlds(server, tmp_path), fault)

    print(f"{server.NAME} {found}")
    assert found.contradictions == {}
    assert found.steps


@pytest.mark.parametrize("operation", [CAPTURE, SWEEP, REVERSE, REDEEM], ids=lambda operation: operation.name)
def test_the_harness_sees_statements_that_commit_by_themselves(operation, tmp_path):
    sabotage = planted.every_statement_commits_by_itself
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, sabotage=sabotage)

    assert found.contradictions != {}
