"""What is measured, what it must reach, and whether it did: the table of targets, once.

*At least* is what a release must hold; the *aim* is what it would be glad of.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from attrs import asdict, frozen

from .rounds import Spread

Unit = Literal["/s", "s", "ms", "MiB"]
Verdict = Literal["aim", "yes", "no", ""]


@frozen
class Target:
    """One line of the table.

    Attributes:
        label: What it is, for a reader.
        at_least: What must be held, or None for a figure that is only noted.
        aim: What would be good.
        unit: Unit of what is judged; empty for a ratio.
        less_is_more: Lower figures are better.
    """

    label: str
    at_least: float | None = None
    aim: float | None = None
    unit: Unit | Literal[""] = ""
    less_is_more: bool = False

    def verdict(self, judged: float) -> Verdict:
        """Say what a figure holds: the aim, at least what it must, or neither."""
        if self.at_least is None or self.aim is None:
            return ""
        sign = -1 if self.less_is_more else 1
        if sign * judged >= sign * self.aim:
            return "aim"
        return "yes" if sign * judged >= sign * self.at_least else "no"


def _at_most(label: str, at_least: float, aim: float, unit: Unit | Literal[""] = "") -> Target:
    return Target(label, at_least, aim, unit, less_is_more=True)


TARGETS: Final[dict[str, Target]] = {
    "pg-single": Target("PostgreSQL, single charge, one grant", 0.50, 0.70),
    "pg-batch-wide": Target("PostgreSQL, batch of 10,000, a wallet per item", 0.45, 0.60),
    "pg-batch-deep": Target("PostgreSQL, batch of 10,000, ten items a wallet", 0.70, 0.90),
    "pg-batch-wide-copy": Target("a wallet per item, of a COPY of rows packed by hand"),
    "pg-batch-deep-copy": Target("ten items a wallet, of a COPY of rows packed by hand"),
    "sqlite-single": Target("SQLite, single charge, one grant", 0.40, 0.65),
    "sqlite-batch-wide": Target("SQLite, batch of 10,000, a wallet per item", 0.28, 0.40),
    "sqlite-batch-deep": Target("SQLite, batch of 10,000, ten items a wallet", 0.45, 0.55),
    "mariadb-single": Target("MariaDB, single charge, one grant", 0.45, 0.55),
    "mariadb-single-procedure": Target("of a stored procedure"),
    "mariadb-batch-wide": Target("MariaDB, batch of 10,000, a wallet per item", 0.40, 0.50),
    "mariadb-batch-deep": Target("MariaDB, batch of 10,000, ten items a wallet", 0.55, 0.65),
    "mariadb-batch-wide-text": Target("a wallet per item, of statements written out by hand"),
    "mariadb-batch-deep-text": Target("ten items a wallet, of statements written out by hand"),
    "pg-connections": Target("PostgreSQL, 8 connections over 1", 1.5, 2.0),
    "pg-connections-limit": Target("the limit's own 8 connections over 1"),
    "pg-connections-of-limit": Target("PostgreSQL, 8 connections, of the limit at 8"),
    "hordak-single": Target("over django-hordak, guarded single charge, PostgreSQL", 6, 9),
    "hordak-batch": Target("over django-hordak, batch of 1,000, PostgreSQL", 5, 8),
    "pg-meters": _at_most("PostgreSQL, 100,000 resources of 20,000 customers, one hour", 8, 3, "s"),
    "sqlite-meters": _at_most("SQLite, 100,000 resources of 20,000 customers, one hour", 8, 3, "s"),
    "mariadb-meters": _at_most("MariaDB, 100,000 resources of 20,000 customers, one hour", 12, 6, "s"),
    "pg-growth-charge": Target("PostgreSQL, charge at 10⁶ transfers over at 10⁴", 0.85, 0.95),
    "sqlite-growth-charge": Target("SQLite, charge at 10⁶ transfers over at 10⁴", 0.85, 0.95),
    "pg-growth-balance": _at_most("PostgreSQL, time of a balance at 10⁶ over at 10⁴", 3, 1.3),
    "sqlite-growth-balance": _at_most("SQLite, time of a balance at 10⁶ over at 10⁴", 3, 1.3),
    "pg-growth-page": _at_most("PostgreSQL, time of a history page at 10⁶ over at 10⁴", 3, 1.3),
    "sqlite-growth-page": _at_most("SQLite, time of a history page at 10⁶ over at 10⁴", 3, 1.3),
    "pg-dashboard": _at_most("PostgreSQL, dashboard of 30 days at 10⁶ transfers", 50, 10, "ms"),
    "sqlite-dashboard": _at_most("SQLite, dashboard of 30 days at 10⁶ transfers", 50, 10, "ms"),
    "pg-check": _at_most("PostgreSQL, check in full at 10⁶ transfers", 60, 10, "s"),
    "sqlite-check": _at_most("SQLite, check in full at 10⁶ transfers", 60, 10, "s"),
    "pg-check-memory": _at_most("PostgreSQL, peak memory of check at 10⁶ over at 10⁵", 1.25, 1.1),
    "sqlite-check-memory": _at_most("SQLite, peak memory of check at 10⁶ over at 10⁵", 1.25, 1.1),
    "pg-export": Target("PostgreSQL, rows of 10⁶ transactions exported as CSV", unit="/s"),
    "sqlite-export": Target("SQLite, rows of 10⁶ transactions exported as CSV", unit="/s"),
    "pg-export-memory": _at_most("PostgreSQL, peak memory of that export at 10⁶ over at 10⁵", 1.25, 1.1),
    "sqlite-export-memory": _at_most("SQLite, peak memory of that export at 10⁶ over at 10⁵", 1.25, 1.1),
    "pg-quote": _at_most("PostgreSQL, quote, warm", 5, 1, "ms"),
    "sqlite-quote": _at_most("SQLite, quote, warm", 5, 1, "ms"),
    "pg-settle": _at_most("PostgreSQL, settle after the gateway answered", 50, 10, "ms"),
    "sqlite-settle": _at_most("SQLite, settle after the gateway answered", 50, 10, "ms"),
    "invoices": Target("invoice PDF of one page, per second and core", 20, 60, "/s"),
    "tax-decision": _at_most("tax decision over the rules of the EU, warm", 0.2, 0.1, "ms"),
    "import": _at_most("import prepaid", 0.5, 0.3, "s"),
}
"""Every figure by name, in the order in which a reader finds them."""


@frozen(kw_only=True)
class Figure:
    """A figure that was measured.

    Attributes:
        name: Its name among the `TARGETS`.
        ours: What the library did, in ``unit``.
        other: What it is compared with (the limit, the peer, the smaller
            history), or None.
        unit: Unit of both.
        judged: What is held against the target: the ratio, or ``ours``.
        rounds: How many rounds it is the median of.
        note: What else there is to say.
    """

    name: str
    ours: float
    other: float | None = None
    unit: Unit
    judged: Spread
    rounds: int
    note: str = ""

    def __attrs_post_init__(self) -> None:
        if self.name not in TARGETS:
            raise ValueError(f"{self.name!r} is no figure of the table.")

    @property
    def target(self) -> Target:
        """What it has to reach."""
        return TARGETS[self.name]

    @property
    def verdict(self) -> Verdict:
        """What it holds."""
        return self.target.verdict(self.judged.median)

    def as_record(self) -> dict[str, Any]:
        """Give it as what JSON keeps."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Figure:
        """Read what `as_record` gave."""
        return cls(**{**record, "judged": Spread(**record["judged"])})
