"""A process that dies while a customer is verified, or what waited for it is credited: nothing lost, nothing double."""

from __future__ import annotations

import pytest

from . import planted
from .harness import CUT, KILL, LOST_COMMIT, enumerate_faults, server_worlds, sqlite_worlds
from .identity_operations import APPROVE, LOOK, OPERATIONS, RELEASE

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)

LEFT = {
    "hold back": ([("review", 20_000_000)], [], []),
    "release held": ([("credited", 20_000_000)], [], []),
    "approve": ([("credited", 20_000_000), ("credited", 30_000_000)], [("verified", 1)], [(1,)]),
    "start case": ([], [("verified", 1)], [(1,)]),
    "look at case": ([("credited", 20_000_000)], [("verified", 1)], [(1,)]),
}
"""Top-ups, cases and verifications after each operation: the unharmed run is itself right."""


@every_operation
@pytest.mark.parametrize("stride", [23, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_kill_at_any_step_leaves_exactly_what_an_unharmed_run_leaves(operation, stride, tmp_path):
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, stride=stride)

    print(found)
    assert found.contradictions == {}
    assert found.steps
    topups, cases, verified = LEFT[operation.name]
    assert [row[1:] for row in found.census["topups"]] == topups
    assert [row[:2] for row in found.census["cases"]] == cases
    assert found.census["identities"] == verified


@every_operation
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
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


@pytest.mark.parametrize("operation", [APPROVE, LOOK, RELEASE], ids=lambda operation: operation.name)
def test_the_harness_sees_statements_that_commit_by_themselves(operation, tmp_path):
    sabotage = planted.every_statement_commits_by_itself
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, sabotage=sabotage)

    assert found.contradictions != {}
