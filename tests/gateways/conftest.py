"""Of the replies that are spoilt field by field, every run takes a third; the full count takes all."""

from __future__ import annotations

import zlib

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        spoilt = item.path.name.endswith("_replies.py") and hasattr(item, "callspec")
        # By name, so that the third is the same in every run and in every process.
        if spoilt and zlib.crc32(item.name.encode()) % 3:
            item.add_marker(pytest.mark.full)
