"""A process that dies between the row of a digest and its mail, or anywhere else: one mail of each day, and no hole."""

from __future__ import annotations

import pytest

from prepaid.ports import MailMessage
from prepaid.reporting import digest

from . import planted
from .digest_operations import DIGEST, OPERATIONS, SEND
from .harness import CUT, KILL, LOST_COMMIT, enumerate_faults, server_worlds, sqlite_worlds

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)

DAYS = {"digest": [("2026-11-22",), ("2026-11-23",)], "send digest": [("2026-11-22",)]}
"""Digests after each operation: the unharmed run is itself right."""


@every_operation
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_kill_at_any_step_leaves_exactly_what_an_unharmed_run_leaves(operation, stride, tmp_path):
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, stride=stride)

    print(found)
    assert found.contradictions == {}
    assert found.steps
    days = DAYS[operation.name]
    assert found.census["digests"] == days
    assert found.census["outbox"]["digest-mail", "", "done"] == len(days)
    assert found.census["told"]["mail",] == found.census["told"]["event", "digest-sent"] == len(days)


@every_operation
@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.full)], ids=["slice", "whole"])
def test_a_commit_whose_answer_is_lost_happens_once(operation, stride, tmp_path):
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), LOST_COMMIT, stride=stride)

    print(found)
    assert found.contradictions == {}
    assert found.steps


@pytest.mark.full
@every_operation
@pytest.mark.parametrize("fault", [KILL, LOST_COMMIT, CUT], ids=lambda fault: fault.name)
def test_on_servers_too(operation, fault, tmp_path, server):
    found = enumerate_faults(operation, server_worlds(server, tmp_path), fault)

    print(f"{server.NAME} {found}")
    assert found.contradictions == {}
    assert found.steps


# The harness sees mistakes that could be made here


@pytest.mark.parametrize("operation", [DIGEST, SEND], ids=lambda operation: operation.name)
def test_the_harness_sees_statements_that_commit_by_themselves(operation, tmp_path):
    sabotage = planted.every_statement_commits_by_itself
    found = enumerate_faults(operation, sqlite_worlds(tmp_path), KILL, sabotage=sabotage)

    assert found.contradictions != {}


def _mailed_inside_the_transaction() -> None:
    keep, address = digest._keep, "cfo@nimbus.example"

    def keep_and_send(tx, *, context, facts, **options):
        kept = keep(tx, context=context, facts=facts, **options)
        if kept:
            letter = digest.letter_of(facts, written_at=context.now(), book=context.book, mode=context.mode)
            parts = {"subject": letter.subject, "text": letter.text, "html": letter.html}
            context.mailer.send(MailMessage(to=address, message_key=f"digest/{facts.day}", **parts))
        return kept

    digest._keep = keep_and_send
    digest._send = lambda context, letter, effect, *, to, key: to


def test_the_harness_sees_a_mail_that_is_sent_inside_the_transaction(tmp_path):
    found = enumerate_faults(DIGEST, sqlite_worlds(tmp_path), KILL, sabotage=_mailed_inside_the_transaction)

    assert found.contradictions != {}
