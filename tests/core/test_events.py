"""Events: facts that no listener can change for the next one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs.exceptions import FrozenInstanceError

from prepaid.core.events import EVENT_NAMES, Event
from prepaid.core.hashing import canonical_json

AT = datetime(2026, 11, 23, tzinfo=UTC)


def _event(**fields: Any) -> Event:
    return Event(**{"id": "evt_1", "name": "topup-credited", "at": AT, "book": "main", "mode": "test", **fields})


def test_names_are_sorted_kebab_case_and_unique() -> None:
    assert list(EVENT_NAMES) == sorted(set(EVENT_NAMES))
    assert all(name.replace("-", "").isalpha() and name.islower() for name in EVENT_NAMES)


def test_a_listener_cannot_change_an_event() -> None:
    event = _event(details={"topup": "top_1"})

    with pytest.raises(FrozenInstanceError):
        event.name = "security"  # type: ignore[misc]
    with pytest.raises(TypeError):
        event.details["topup"] = "top_2"  # type: ignore[index]


def test_details_are_a_copy_of_what_was_given() -> None:
    given = {"topup": "top_1"}
    event = _event(details=given)

    given["topup"] = "top_2"

    assert event.details == {"topup": "top_1"}
    assert _event().details == {}


def test_details_can_be_written_down_again() -> None:
    event = _event(details={"b": 1, "a": "é"})

    assert json.loads(canonical_json(event.details)) == {"a": "é", "b": 1}
