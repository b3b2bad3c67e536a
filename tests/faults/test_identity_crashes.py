"""A process that dies while a customer is verified, or what waited for it is credited: nothing lost, nothing double."""

from __future__ import annotations

from . import planted
from .crashes import Crashes
from .identity_operations import APPROVE, LOOK, OPERATIONS, RELEASE

LEFT = {
    "hold back": ([("review", 20_000_000)], [], []),
    "release held": ([("credited", 20_000_000)], [], []),
    "approve": ([("credited", 20_000_000), ("credited", 30_000_000)], [("verified", 1)], [(1,)]),
    "start case": ([], [("verified", 1)], [(1,)]),
    "look at case": ([("credited", 20_000_000)], [("verified", 1)], [(1,)]),
}
"""Top-ups, cases and verifications after each operation."""


class TestIdentity(Crashes):
    operations = OPERATIONS
    kill_at_every, lose_every = 23, 5
    defects = tuple((each, planted.every_statement_commits_by_itself) for each in (APPROVE, LOOK, RELEASE))

    def unharmed(self, operation, census):
        topups, cases, verified = LEFT[operation.name]
        assert [row[1:] for row in census["topups"]] == topups
        assert [row[:2] for row in census["cases"]] == cases
        assert census["identities"] == verified
