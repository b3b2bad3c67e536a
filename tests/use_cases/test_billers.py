"""Who bills a resource: this library or somebody else, never both."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prepaid import Charge, InvalidRequest, WrongState
from tests.use_cases.steps import ADA, charge, counts, eur, give, hold, run


@pytest.fixture
def elsewhere(billing):
    """A customer with credit, and a resource that another system bills."""
    give(billing, "10")
    charge(billing, "0.10", resource="vm-2")
    billing.meters.assign("vm-1", "whmcs")
    return billing


def test_a_resource_is_billed_here_unless_another_biller_is_named(billing):
    assert billing.meters.owner("vm-1") == "prepaid"
    billing.meters.assign("vm-1", "whmcs")
    assert billing.meters.owner("vm-1") == "whmcs"
    assert billing.meters.owner("vm-2") == "prepaid"


@pytest.mark.parametrize(
    "act", [run, lambda b: charge(b, "0.10", resource="vm-1"), lambda b: hold(b, "1", resource="vm-1")]
)
def test_what_is_billed_elsewhere_is_neither_metered_nor_charged_nor_reserved(elsewhere, act):
    before = counts(elsewhere)

    with pytest.raises(WrongState) as refused:
        act(elsewhere)

    assert refused.value.field == "resource"
    assert counts(elsewhere) == before


def test_other_resources_and_charges_without_one_go_on(elsewhere):
    assert charge(elsewhere, "0.10", resource="vm-2").status == "posted"
    assert charge(elsewhere, "0.10").status == "posted"


def test_a_batch_refuses_those_items_alone(billing):
    give(billing, "10")
    charge(billing, "0.10", key="hour-1", resource="vm-1")
    billing.meters.assign("vm-1", "whmcs")
    items = [("hour-1", "vm-1"), ("hour-2", "vm-1"), ("hour-2", "vm-2"), ("hour-3", "")]

    outcomes = billing.usage.charge_many(
        [Charge(customer=ADA, amount=eur("0.10"), key=key, resource=resource) for key, resource in items]
    )

    assert [outcome.status for outcome in outcomes] == ["duplicate", "refused", "posted", "posted"]
    assert (outcomes[1].code, outcomes[1].field) == ("wrong-state", "resource")


def test_what_was_charged_before_is_answered_and_may_be_adjusted(billing, clock):
    give(billing, "10")
    first = charge(billing, "0.10", key="hour-1", resource="vm-1")
    billing.meters.assign("vm-1", "whmcs")

    again = charge(billing, "0.10", key="hour-1", resource="vm-1")
    late = billing.usage.adjust(
        "user-42", eur("0.02"), key="late", resource="vm-1", period=(clock.now() - timedelta(hours=2), clock.now())
    )

    assert (again.status, again.transaction_id) == ("duplicate", first.transaction_id)
    assert late.status == "posted"


def test_a_resource_taken_back_is_billed_here_again(elsewhere):
    elsewhere.meters.assign("vm-1", "prepaid")

    assert charge(elsewhere, "0.10", resource="vm-1").status == "posted"
    assert run(elsewhere).resource == "vm-1"


def test_a_running_meter_must_stop_before_another_bills_its_resource(billing):
    run(billing)

    with pytest.raises(WrongState) as refused:
        billing.meters.assign("vm-1", "whmcs")

    assert refused.value.field == "resource"
    billing.meters.stop("vm-1")
    billing.meters.assign("vm-1", "whmcs")
    assert billing.meters.owner("vm-1") == "whmcs"


@pytest.mark.parametrize("biller", ["", " whmcs", None, "x" * 192])
def test_a_biller_has_a_name(billing, biller):
    with pytest.raises(InvalidRequest) as refused:
        billing.meters.assign("vm-1", biller)

    assert refused.value.field == "biller"
