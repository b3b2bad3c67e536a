"""The parametrised fixture gives a usable, empty database on each engine."""

from __future__ import annotations

from sqlalchemy import create_engine, inspect, text


def test_a_fresh_database_answers_and_is_empty(database_url):
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    assert inspect(engine).get_table_names() == []
    engine.dispose()
