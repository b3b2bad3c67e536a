"""A process that dies at any instant leaves nothing lost, nothing double and no book that does not add up."""

from __future__ import annotations

import pytest

from . import planted
from .harness import CUT, KILL, LOST_COMMIT, Enumeration, enumerate_faults, server_worlds, sqlite_worlds
from .operations import (
    BILL,
    CHANGE_METER,
    CHARGE,
    CHARGE_MANY,
    PLAIN_CHARGE,
    RESTART_METER,
    SETTLE,
    START_METER,
    START_TOPUP,
    STOP_METER,
)

OPERATIONS = (SETTLE, CHARGE, PLAIN_CHARGE, CHARGE_MANY, START_TOPUP, BILL)
METER_ACTS = (START_METER, CHANGE_METER, RESTART_METER, STOP_METER)

SLICES = {"PostgreSQL": 67, "MariaDB": 181}
"""One of how many steps a server's run takes: MariaDB has more of them, and is slower to copy."""

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def report(found: Enumeration) -> Enumeration:
    print(found)
    return found


@every_operation
@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_kill_at_any_step_leaves_exactly_what_an_unharmed_run_leaves(operation, stride, tmp_path):
    found = report(enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, stride=stride))

    assert found.contradictions == {}
    assert found.steps
    assert stride > 1 or {"before COMMIT", "after COMMIT"} <= set(found.steps)


@pytest.mark.parametrize("operation", [*OPERATIONS, *METER_ACTS], ids=lambda operation: operation.name)
@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_commit_whose_answer_is_lost_happens_once(operation, stride, tmp_path):
    found = report(enumerate_faults(operation, sqlite_worlds(tmp_path), LOST_COMMIT, stride=stride))

    assert found.contradictions == {}
    assert found.steps


@pytest.mark.parametrize("operation", [SETTLE, CHARGE, PLAIN_CHARGE, CHARGE_MANY], ids=lambda operation: operation.name)
@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_session_that_its_server_ends_at_any_step_does_no_harm(operation, whole, tmp_path, server):
    stride = 1 if whole else SLICES[server.NAME]

    found = report(enumerate_faults(operation, server_worlds(server, tmp_path), CUT, stride=stride))

    assert found.contradictions == {}
    assert found.steps


@pytest.mark.full
@every_operation
@pytest.mark.parametrize("fault", [KILL, LOST_COMMIT], ids=lambda fault: fault.name)
def test_on_servers_too(operation, fault, tmp_path, server):
    found = report(enumerate_faults(operation, server_worlds(server, tmp_path), fault))

    assert found.contradictions == {}
    assert found.steps


def test_settling_tells_its_customer_once_and_credits_what_was_paid(tmp_path):
    """What every other run is compared with is itself right."""
    found = enumerate_faults(SETTLE, sqlite_worlds(tmp_path), KILL, stride=10_000).census

    assert found["wallets"] == [("ada", "EUR", 20_000_000, 0, 1)]
    assert found["transfers"] == [("topup", "topup", 0, 20_000_000)]
    assert found["payments"] == [("simulated", 20_000_000, "credited")]
    assert found["invoices"] == [("TINV26-000001", 1, 20_000_000)]
    assert found["outbox"] == {
        ("event", "topup-credited", "done"): 1,
        ("event", "invoice-issued", "done"): 1,
        ("invoice-mail", "", "done"): 1,
    }
    assert found["told"] == {
        ("mail",): 1,
        ("event", "topup-credited"): 1,
        ("event", "invoice-issued"): 1,
    }


def test_charging_takes_from_two_grants_once(tmp_path):
    found = enumerate_faults(CHARGE, sqlite_worlds(tmp_path), KILL, stride=10_000).census

    assert found["wallets"] == [("ada", "EUR", 1_000_000, 0, 4)]
    assert sum(amount for kind, _, _, amount in found["transfers"] if kind == "charge") == 7_000_000
    assert found["grants"] == [("goodwill", 5_000_000, 1_000_000, 0), ("promotional", 3_000_000, 0, 0)]
    assert found["answer"] == "1.00 EUR"


@pytest.mark.parametrize(
    ("operation", "defect"),
    [
        (SETTLE, planted.every_statement_commits_by_itself),
        (SETTLE, planted.settlement_rests_on_nothing),
        (SETTLE, planted.mail_goes_out_before_the_commit),
        (SETTLE, planted.an_effect_is_done_before_it_is_had),
        (SETTLE, planted.effects_are_written_after_the_commit),
        (SETTLE, planted.the_number_is_taken_in_a_transaction_of_its_own),
        (CHARGE, planted.every_statement_commits_by_itself),
        (CHARGE, planted.a_charge_has_no_key),
        (CHARGE, planted.a_debit_leaves_its_grants_for_later),
        (PLAIN_CHARGE, planted.a_charge_has_no_key),
        (PLAIN_CHARGE, planted.the_transfer_of_a_fast_charge_is_written_after_the_commit),
        (START_TOPUP, planted.the_gateway_is_called_before_the_intent_is_kept),
        (START_TOPUP, planted.the_gateway_gets_a_new_key_each_time),
        (BILL, planted.hours_are_charged_without_a_key),
    ],
    ids=lambda value: getattr(value, "name", None) or value.__name__,
)
def test_the_harness_sees_a_planted_defect(operation, defect, tmp_path):
    found = report(enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, sabotage=defect))

    assert found.contradictions != {}
    print(found.contradictions)


@pytest.mark.full
def test_the_unique_keys_of_settlement_hold_without_any_look_at_the_state(tmp_path):
    found = report(
        enumerate_faults(SETTLE, sqlite_worlds(tmp_path), KILL, sabotage=planted.settlement_looks_at_no_state)
    )

    assert found.contradictions == {}
