"""The first schema's sums over transfers by day.

Frozen as released, like the revision that makes them.
"""

from __future__ import annotations

import sqlalchemy as sa

from .building import CODE, DAY, INSTANT, KEY, NAME, WORD, refers, table


def rollup() -> None:
    """Make the table of how far the sums by day reach."""
    table(
        "rollup",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("zone", NAME, nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.Column("made_at", INSTANT),
        sa.PrimaryKeyConstraint("book_id"),
        sa.CheckConstraint("through >= 0 and through <= mark", name="in_order"),
        refers("book"),
        integers=("through", "mark"),
    )


def rollup_day() -> None:
    """Make the table of sums by day, accounts and kind."""
    table(
        "rollup_day",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("day", DAY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("debit_kind", WORD, nullable=False),
        sa.Column("debit_owner", KEY, nullable=False),
        sa.Column("credit_kind", WORD, nullable=False),
        sa.Column("credit_owner", KEY, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("transfers", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "book_id", "day", "currency", "debit_kind", "debit_owner", "credit_kind", "credit_owner", "kind"
        ),
        sa.CheckConstraint("amount > 0 and transfers > 0", name="above_zero"),
        refers("currency", "currency", "code"),
        integers=("amount", "transfers"),
    )
