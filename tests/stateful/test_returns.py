"""Whatever becomes of money that goes back, in whatever order, it is what a plain model says it is."""

from __future__ import annotations

import time

import pytest

from .machine import live
from .returns_machine import Returns

ACTS = 30


@pytest.mark.parametrize(
    ("engine", "lives"),
    [
        pytest.param("sqlite", 12, id="sqlite"),
        pytest.param("sqlite", 2000, id="sqlite-full", marks=pytest.mark.full),
        pytest.param("postgresql", 400, id="postgresql", marks=[pytest.mark.full, pytest.mark.postgresql]),
        pytest.param("mariadb", 400, id="mariadb", marks=[pytest.mark.full, pytest.mark.mariadb]),
    ],
    indirect=["engine"],
)
def test_money_goes_back_as_the_model_says(engine, lives, tmp_path):
    began = time.monotonic()

    counted = live(engine, tmp_path, lives=lives, acts=ACTS, kind=Returns)

    print(f"{engine.dialect.name}: {dict(counted)} in {time.monotonic() - began:.0f} s")
    assert counted["lives"] >= lives
    assert 2 * counted["done"] > counted["refused"] > 0
