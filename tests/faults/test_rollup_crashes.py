"""A process that dies while it sums days: figures are right at once, and the next run makes what is missing."""

from __future__ import annotations

import pytest

from prepaid.reporting import rolling

from . import planted
from .harness import CUT, KILL, LOST_COMMIT, enumerate_faults, server_worlds, sqlite_worlds
from .rollup_operations import EXPECTED, OPERATIONS

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@every_operation
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
@pytest.mark.parametrize("fault", [KILL, LOST_COMMIT], ids=lambda fault: fault.name)
def test_a_fault_at_any_step_leaves_figures_and_sums_right(operation, fault, stride, tmp_path):
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), fault, stride=1 if fault is LOST_COMMIT else stride)

    print(found)
    assert found.contradictions == {}
    assert len(found.steps) >= 3
    assert found.census["answer"] == EXPECTED[operation.name]


@pytest.mark.full
@every_operation
@pytest.mark.parametrize("fault", [KILL, LOST_COMMIT, CUT], ids=lambda fault: fault.name)
def test_on_servers_too(operation, fault, tmp_path, server):
    found = enumerate_faults(operation, server_worlds(server, tmp_path), fault)

    print(f"{server.NAME} {found}")
    assert found.contradictions == {}
    assert found.steps


@every_operation
def test_the_harness_sees_statements_that_commit_by_themselves(operation, tmp_path):
    def sabotage():
        planted.every_statement_commits_by_itself()
        rolling.COUNTED_AGAIN = -1  # it would put right what is missing

    found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, sabotage=sabotage)

    assert found.contradictions != {}
