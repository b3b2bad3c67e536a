"""A process that dies while it reserves, gives, takes back or lets lapse credit: nothing is lost, nothing double."""

from __future__ import annotations

from . import planted
from .crashes import Crashes
from .credit_operations import CAPTURE, OPERATIONS, REDEEM, REVERSE, SWEEP

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
"""Balance, what is held, and the transfers of some kinds, after each operation."""


class TestCredit(Crashes):
    operations = OPERATIONS
    kill_at_every, lose_every = 17, 7
    defects = tuple((each, planted.every_statement_commits_by_itself) for each in (CAPTURE, SWEEP, REVERSE, REDEEM))

    def unharmed(self, operation, census):
        balance, held, moved = LEFT[operation.name]
        assert [row[2:4] for row in census["wallets"]] == [(balance, held)]
        for kind, amounts in moved.items():
            assert sorted(row[3] for row in census["transfers"] if row[0] == kind) == amounts
