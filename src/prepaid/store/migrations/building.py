"""What migrations build with: column types that mean the same on every engine, and triggers.

Released migrations rest on it, so that it grows and never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql


def _text(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_nopad_bin")
    by_bytes = sa.String(length, "C")
    return sa.String(length).with_variant(exact, "mysql", "mariadb").with_variant(by_bytes, "postgresql")


MARIADB_TABLE: dict[str, Any] = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_nopad_bin"}.items()
}

ID, WORD, HASH, KEY, NAME = _text(32), _text(32), _text(64), _text(191), _text(254)
CODE, DAY = sa.String(3), sa.String(10)
INSTANT = sa.BigInteger()
PROSE = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
BINARY = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _restarts() -> bool:
    # MariaDB keeps what a migration made before it was interrupted: the next run goes on from there.
    return op.get_bind().dialect.name in ("mysql", "mariadb")


def table(name: str, *parts: sa.schema.SchemaItem, integers: Sequence[str] = (), roomy: bool = False) -> None:
    """Make a table; SQLite, whose columns take anything, checks that ``integers`` are.

    A ``roomy`` one leaves room on PostgreSQL's pages, so that its rows are updated in place.
    """
    checks = []
    if op.get_bind().dialect.name == "sqlite":
        checks = [sa.CheckConstraint(f"typeof({column}) = 'integer'", name=f"{column}_integer") for column in integers]
    options = MARIADB_TABLE | ({"postgresql_with": {"fillfactor": "45"}} if roomy else {})
    op.create_table(f"prepaid_{name}", *parts, *checks, if_not_exists=_restarts(), **options)


def refers(table: str, column: str | None = None, remote: str | None = None) -> sa.ForeignKeyConstraint:
    """Refer to a book, or to a row of the same book in another table."""
    if column is None:
        return sa.ForeignKeyConstraint(["book_id"], [f"prepaid_{table}.id"])
    return sa.ForeignKeyConstraint(["book_id", column], [f"prepaid_{table}.book_id", f"prepaid_{table}.{remote}"])


def index(table: str, *columns: str, where: str | None = None, unique: bool = False) -> None:
    """Make an index named after its table and columns, of the rows ``where`` holds if the engine can."""
    only: dict[str, Any] = {} if where is None else {"postgresql_where": sa.text(where), "sqlite_where": sa.text(where)}
    name = f"ix_prepaid_{table}_{'_'.join(columns)}"
    op.create_index(name, f"prepaid_{table}", list(columns), unique=unique, if_not_exists=_restarts(), **only)


def keep_history(table: str) -> None:
    """Let triggers refuse every change and removal of a table's rows."""
    name, dialect = f"prepaid_{table}", op.get_bind().dialect.name
    if dialect == "postgresql":
        _keep_history_on_postgresql(name)
        return
    for verb in ("UPDATE", "DELETE"):
        refusal = f"{name} is append-only"
        body = (
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            if dialect == "sqlite"
            else f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{refusal}'"
        )
        op.execute(f"CREATE TRIGGER {name}_keep_{verb.lower()} BEFORE {verb} ON {name} {body}")


def _keep_history_on_postgresql(name: str) -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION prepaid_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    for when, level in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        op.execute(
            f"CREATE TRIGGER {name}_keep_{level.lower()} BEFORE {when} ON {name} "
            f"FOR EACH {level} EXECUTE FUNCTION prepaid_refuse_change()"
        )
