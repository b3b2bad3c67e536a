"""Whatever happens to a wallet, in whatever order, it is what a plain model says it is."""

from __future__ import annotations

import time

import pytest

from .machine import live

ACTS = 30


@pytest.mark.parametrize(
    ("engine", "lives"),
    [
        pytest.param("sqlite", 25, id="sqlite"),
        pytest.param("sqlite", 1500, id="sqlite-full", marks=pytest.mark.full),
        pytest.param("postgresql", 400, id="postgresql", marks=[pytest.mark.full, pytest.mark.postgresql]),
        pytest.param("mariadb", 400, id="mariadb", marks=[pytest.mark.full, pytest.mark.mariadb]),
    ],
    indirect=["engine"],
)
def test_every_life_ends_as_the_model_says(engine, lives, tmp_path):
    began = time.monotonic()

    counted = live(engine, tmp_path, lives=lives, acts=ACTS)

    print(f"{engine.dialect.name}: {dict(counted)} in {time.monotonic() - began:.0f} s")
    assert counted["lives"] >= lives
    # Most acts find something to do; which they are depends on what else the process has loaded.
    assert 2 * counted["done"] > counted["refused"] > 0
