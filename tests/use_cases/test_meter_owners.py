"""Who bills a resource: this library or somebody else, never both, however they meet."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from prepaid import InvalidRequest, WrongState
from prepaid.store import meters
from tests.use_cases.steps import SQLITE, run, value


def at_once(*works):
    """Run functions in a thread each, from the same instant on, and give the errors they ended with."""
    barrier, errors = threading.Barrier(len(works)), []

    def act(work):
        barrier.wait()
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=act, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_a_resource_billed_elsewhere_is_not_metered_until_it_is_given_back(billing, clock):
    assert billing.meters.owner("vm-1") == "prepaid"
    billing.meters.assign("vm-1", "legacy")

    with pytest.raises(WrongState) as refused:
        run(billing)

    assert refused.value.field == "resource"
    assert billing.meters.owner("vm-1") == "legacy"
    billing.meters.assign("vm-1", "prepaid")
    assert run(billing).stopped_at is None
    assert billing.meters.owner("vm-1") == "prepaid"


def test_a_metered_resource_is_not_given_away_while_it_runs(billing, clock):
    run(billing)

    with pytest.raises(WrongState) as refused:
        billing.meters.assign("vm-1", "legacy")

    assert refused.value.field == "resource"
    billing.meters.assign("vm-1", "prepaid")
    billing.meters.stop("vm-1", at=clock.advance(minutes=5))
    billing.meters.assign("vm-1", "legacy")
    clock.advance(hours=2)
    assert billing.meters.bill().charges == 1  # what was begun here is billed here
    with pytest.raises(WrongState):
        run(billing)


def test_an_assignment_concerns_one_resource_of_one_book(billing, open_billing):
    billing.meters.assign("vm-1", "legacy")

    assert run(billing, "vm-2").resource == "vm-2"
    assert open_billing(book="another").meters.owner("vm-1") == "prepaid"


@SQLITE
@pytest.mark.parametrize("wrong", ["", None, " x", "a" * 192, "v\nm", b"vm"])
@pytest.mark.parametrize("field", ["resource", "biller"])
def test_an_assignment_that_cannot_be_right_is_refused(billing, field, wrong):
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.assign(**{"resource": "vm-1", "biller": "legacy", field: wrong})
    assert refused.value.field == field
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.owner(wrong)
    assert refused.value.field == "resource"


def test_a_start_and_an_assignment_at_the_same_moment_are_not_both_taken(billing):
    for number in range(12):
        resource = f"vm-{number}"
        starting, giving_away = (
            lambda resource=resource: run(billing, resource),
            lambda resource=resource: billing.meters.assign(resource, "legacy"),
        )

        [error] = at_once(starting, giving_away)

        assert isinstance(error, WrongState)
        running = "SELECT count(*) FROM prepaid_meter WHERE book_id = :book AND running = :running"
        assert value(billing, running, running=resource) == (billing.meters.owner(resource) == "prepaid")


def test_a_first_start_does_not_pass_another_that_began_and_ended_meanwhile(billing, clock, monkeypatch):
    """Between its look for a meter and its writing of one, another must not be begun and ended."""
    early, later = clock.now(), clock.now() + timedelta(minutes=5)
    clock.advance(hours=1)
    looked, passed, add = threading.Event(), threading.Event(), meters.add

    def add_late(tx, meter_id, meter):
        if meter.started_at == early:
            looked.set()
            passed.wait(0.5)  # in vain if the other one has to wait for this one
        add(tx, meter_id, meter)

    def pass_by():
        assert looked.wait(10)
        try:
            run(billing, at=later)
            billing.meters.stop("vm-1", at=later)
        finally:
            passed.set()

    monkeypatch.setattr(meters, "add", add_late)
    errors = at_once(lambda: run(billing, at=early), pass_by)

    assert [type(error) for error in errors] == [WrongState]  # the resource is metered already
    assert value(billing, "SELECT count(*) FROM prepaid_meter WHERE book_id = :book") == 1
    assert billing.meters.stop("vm-1").started_at == early
    assert billing.check().ok
