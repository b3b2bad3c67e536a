"""An engine of each kind, whose commits need not survive a power cut."""

from __future__ import annotations

import pytest

from prepaid.store import upgrade_schema
from tests.conftest import server_of
from tests.faults.world import open_quickly


@pytest.fixture
def engine(request, tmp_path):
    if request.param == "sqlite":
        url, drop = f"sqlite:///{tmp_path}/billing.db", None
    else:
        server = server_of(request, request.param)
        url, drop = server.new_database(), server.drop_database
    upgrade_schema(url)
    opened = open_quickly(url)
    yield opened
    opened.dispose()
    if drop is not None:
        drop(url)
