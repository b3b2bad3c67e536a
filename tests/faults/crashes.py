"""What every set of operations has to survive: a kill at any step, an answer to COMMIT that is lost, a session cut.

A module of tests makes a subclass that names its operations; the tests are those of this class.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, ClassVar

import pytest

from .harness import CUT, KILL, LOST_COMMIT, Operation, enumerate_faults, server_worlds, sqlite_worlds
from .planted import Defect

FAULTS = (KILL, LOST_COMMIT, CUT)


class Crashes:
    """The proofs of a set of operations.

    Attributes:
        operations: What is done.
        kill_at_every: Of how many steps a run on SQLite takes one; the whole is behind ``-m full``.
        lose_every: The same of commits.
        defects: Operations, each with a mistake to plant that has to be seen in it.
    """

    operations: ClassVar[tuple[Operation, ...]]
    kill_at_every: ClassVar[int]
    lose_every: ClassVar[int]
    defects: ClassVar[tuple[tuple[Operation, Defect], ...]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give each test every operation, in a slice and in the whole."""
        names = set(metafunc.fixturenames)
        for name, slice_of in (("kill_stride", self.kill_at_every), ("loss_stride", self.lose_every)):
            if name in names:
                strides = [slice_of, pytest.param(1, marks=pytest.mark.full)]
                metafunc.parametrize(name, strides, ids=["slice", "whole"])
        if "defect" in names:
            metafunc.parametrize(("operation", "defect"), self.defects, ids=_named)
        elif "operation" in names:
            metafunc.parametrize("operation", self.operations, ids=attrgetter("name"))

    def unharmed(self, operation: Operation, census: dict[str, Any]) -> None:
        """Assert that the run with which all others are compared is itself right."""

    def test_a_kill_at_any_step_leaves_exactly_what_an_unharmed_run_leaves(self, operation, kill_stride, tmp_path):
        found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, stride=kill_stride)

        print(found)
        assert found.contradictions == {}
        assert found.steps
        self.unharmed(operation, found.census)

    def test_a_commit_whose_answer_is_lost_happens_once(self, operation, loss_stride, tmp_path):
        found = enumerate_faults(operation, sqlite_worlds(tmp_path), LOST_COMMIT, stride=loss_stride)

        print(found)
        assert found.contradictions == {}
        assert found.steps

    @pytest.mark.full
    @pytest.mark.parametrize("fault", FAULTS, ids=attrgetter("name"))
    def test_on_servers_too(self, operation, fault, tmp_path, server):
        found = enumerate_faults(operation, server_worlds(server, tmp_path), fault)

        print(f"{server.NAME} {found}")
        assert found.contradictions == {}
        assert found.steps

    def test_the_harness_sees_a_planted_defect(self, operation, defect, tmp_path):
        found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, sabotage=defect)

        print(found.contradictions)
        assert found.contradictions != {}


def _named(value: Any) -> str:
    return getattr(value, "name", None) or value.__name__
