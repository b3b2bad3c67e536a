"""The database keeps what was said of a customer's tax and its answer is lost: each thing is kept once all the same."""

from __future__ import annotations

from collections import Counter
from itertools import count

import pytest

from prepaid import Evidence
from tests.engines.proxy import LossyProxy
from tests.use_cases.panel import SERVERS
from tests.use_cases.steps import ADA, EVE, counts, operator, told
from tests.use_cases.tax_steps import FRENCH, be, business, buy, corrections, run_checks, state

EVERY_SECOND = pytest.mark.parametrize("phase", [0, 1])


@pytest.fixture
def lossy(wired, open_billing, register, place, phase):
    """Give two views of a book: by a line that loses the answers to every second commit, and by one that loses none."""
    billing = wired()
    turns = count(phase)
    with LossyProxy(place.url, lambda statement: next(turns) % 2 == 0) as proxy:
        away = open_billing(database=proxy.url, tax_id_registers=[register])
        yield away, billing
        assert proxy.lost
        away.close()


def audited(billing):
    return Counter(entry.action for entry in operator(billing).audit.list().items if entry.action.startswith("tax-"))


@SERVERS
@EVERY_SECOND
def test_a_profile_and_its_verification_are_kept_once(lossy, register, clock):
    away, billing = lossy

    be(away, business())
    be(away, business(), customer=EVE)
    clock.advance(minutes=2)  # whose claim was kept without their knowing, the job follows
    run_checks(billing)

    assert [state(billing, customer) for customer in (ADA, EVE)] == ["valid", "valid"]
    assert set(register.asked) == {FRENCH}
    kept = counts(billing)
    assert (kept["tax_profile"], kept["tax_identity"], kept["tax_id_check"]) == (2, 1, len(register.asked))
    assert billing.check().ok


@SERVERS
@EVERY_SECOND
def test_what_operators_and_hosts_say_is_kept_once(lossy, clock):
    away, billing = lossy
    be(billing, business())
    door = operator(away)
    before = audited(billing)

    door.tax.verify_id(ADA, reason="letter")
    door.customers.exempt(ADA, reason="school")
    away.customers.evidence(ADA, Evidence(kind="ip", country="FR"))
    clock.advance(seconds=1)
    door.customers.end_exemption(ADA, reason="closed")
    door.tax.unverify_id(ADA, reason="forged")

    assert dict(audited(billing) - before) == {
        "tax-tax-id": 1, "tax-exemption": 1, "tax-exemption-end": 1, "tax-tax-id-end": 1,
    }  # fmt: skip
    assert (counts(billing)["tax_approval"], counts(billing)["location_evidence"]) == (2, 1)
    assert operator(billing).tax.of_customer(ADA).approvals == ()


@SERVERS
@EVERY_SECOND
def test_a_correction_is_offered_and_ended_once(lossy, register, simulated, clock):
    away, billing = lossy
    register.down()
    be(away, business())
    clock.advance(minutes=2)
    run_checks(billing)
    buy(away, simulated)
    register.up()

    clock.advance(hours=1)
    run_checks(away)
    clock.advance(minutes=2)
    run_checks(billing)
    [offered] = corrections(billing)
    operator(away).tax.close_correction(offered.id, reason="made by hand")

    assert len(told(billing, "tax-correction")) == 1
    assert audited(billing)["tax-correction-close"] == 1
    assert [found.reason for found in corrections(billing, "closed")] == ["made by hand"]
    assert billing.check().ok
