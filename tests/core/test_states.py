"""The table of states: what can be reached, what is final, and that captured money always gets through."""

from __future__ import annotations

from typing import get_args

import pytest

from prepaid.core.states import OPEN_STATES, PAID_STATES, TOPUP_STEPS, TopupState, sources_of


def may_step(source: TopupState, target: TopupState) -> bool:
    return target in TOPUP_STEPS[source]


STATES: tuple[TopupState, ...] = get_args(TopupState)
FINAL = {"credited", "refunded"}
UNPAID_ENDS = {"failed", "expired", "canceled"}


def _reachable(start: TopupState) -> set[TopupState]:
    found: set[TopupState] = set()
    waiting = [start]
    while waiting:
        state = waiting.pop()
        if state not in found:
            found.add(state)
            waiting.extend(TOPUP_STEPS[state])
    return found


def test_the_table_names_every_state_and_no_other() -> None:
    assert set(TOPUP_STEPS) == set(STATES)
    assert set().union(*TOPUP_STEPS.values()) <= set(STATES)


def test_every_state_is_reached_from_starting() -> None:
    assert _reachable("starting") == set(STATES)


def test_nothing_leads_back_to_starting() -> None:
    assert sources_of("starting") == ()


def test_exactly_credited_and_refunded_are_final() -> None:
    assert {state for state in STATES if not TOPUP_STEPS[state]} == FINAL


@pytest.mark.parametrize("state", [state for state in STATES if state not in FINAL])
def test_captured_money_can_still_be_credited_from_every_other_state(state: TopupState) -> None:
    assert may_step(state, "credited")
    assert state == "review" or may_step(state, "review")


@pytest.mark.parametrize("state", sorted(UNPAID_ENDS))
def test_an_unpaid_end_is_left_only_for_money(state: TopupState) -> None:
    assert TOPUP_STEPS[state] == {"credited", "review"}


def test_a_review_ends_credited_or_refunded() -> None:
    assert TOPUP_STEPS["review"] == {"credited", "refunded"}
    assert sources_of("refunded") == ("review",)


def test_no_state_steps_to_itself() -> None:
    assert not [state for state in STATES if may_step(state, state)]


def test_states_go_round_in_no_circle() -> None:
    assert all(state not in _reachable(after) for state in STATES for after in TOPUP_STEPS[state])


def test_what_was_paid_is_never_open_again() -> None:
    assert set(OPEN_STATES) | set(PAID_STATES) | UNPAID_ENDS == set(STATES)
    assert not set(OPEN_STATES) & set(PAID_STATES)
    assert all(_reachable(state) <= set(PAID_STATES) for state in PAID_STATES)


@pytest.mark.parametrize("target", STATES)
def test_sources_are_the_steps_read_backwards(target: TopupState) -> None:
    assert sources_of(target) == tuple(sorted(state for state in STATES if may_step(state, target)))
