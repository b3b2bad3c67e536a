"""Arrays that are written here are read by PostgreSQL as they were, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from prepaid.store.arrays import literal
from tests.engines.postgres import PostgresCluster

pytestmark = pytest.mark.postgresql

NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def connection(postgres_cluster: PostgresCluster) -> Iterator[Connection]:
    url = postgres_cluster.new_database()
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()
    postgres_cluster.drop_database(url)


def read_back(connection: Connection, values: list[Any], kind: str) -> list[Any]:
    return connection.exec_driver_sql(f"SELECT %s::{kind}[]", (literal(values),)).scalar_one()


@given(st.lists(st.one_of(TEXTS, st.none()) | TEXTS))
@example([])
@example(['a","b', "c"])
@example(["a\\", '"'])
@example(["NULL", "null", "", "{}", ",", " "])
def test_texts_come_back(connection: Connection, values: list[str | None]):
    assert read_back(connection, values, "varchar") == values


@given(st.lists(NUMBERS) | st.lists(NUMBERS | st.none()))
def test_numbers_come_back(connection: Connection, values: list[int | None]):
    assert read_back(connection, values, "bigint") == values
