"""The job that keeps sums by day, for faults to be let loose on."""

from __future__ import annotations

from datetime import timedelta

from prepaid import permissions
from prepaid.testing.clock import START

from .harness import Operation
from .world import Host, eur

CUSTOMER = "ada"
DAYS = 3


def _use_for_days(host: Host) -> None:
    host.register(CUSTOMER)
    operator = host.billing.operator("alice", permissions=permissions.ALL)
    operator.customers.grant(CUSTOMER, eur("50.00"), kind="goodwill", reason="welcome", key="welcome")
    for day in range(DAYS):
        host.billing.usage.charge(CUSTOMER, eur(f"{day + 1}.00"), key=f"use-{day}")
        host.clock.advance(days=1)


def _sum_days(host: Host) -> object:
    return [run.count for run in host.billing.run_due("rollups")]


def _figures(host: Host) -> object:
    """Run the job again and give what the operator reads."""
    host.billing.run_due("rollups")
    reports = host.billing.operator("alice", permissions=permissions.ALL).reports
    since = START.date()
    days = reports.daily(since, since + timedelta(days=DAYS + 1))
    return [(str(day.credit_consumed), str(day.closing)) for day in days]


def _use_more(host: Host) -> None:
    """Let the sums of some days be kept, and more be settled on the last of them and a new one."""
    _use_for_days(host)
    for day in range(2):
        host.billing.run_due("rollups")
        host.clock.advance(hours=3)
        host.billing.usage.charge(CUSTOMER, eur("7.00"), key=f"more-{day}")
    host.billing.run_due("rollups")


FIRST = Operation(
    name="first sums", prepare=_use_for_days, run=_sum_days, again=_figures, after=timedelta(days=DAYS, hours=1)
)
"""Three days are summed for the first time."""

FURTHER = Operation(
    name="further sums", prepare=_use_more, run=_sum_days, again=_figures, after=timedelta(days=DAYS, hours=9)
)
"""A day of which there are sums is written again."""

OPERATIONS = (FIRST, FURTHER)
THREE_DAYS = [("1.00 EUR", "49.00 EUR"), ("2.00 EUR", "47.00 EUR"), ("3.00 EUR", "44.00 EUR")]
EXPECTED = {
    "first sums": [*THREE_DAYS, ("0.00 EUR", "44.00 EUR")],
    "further sums": [*THREE_DAYS, ("14.00 EUR", "30.00 EUR")],
}
"""Usage and closing of each day, whatever struck."""
