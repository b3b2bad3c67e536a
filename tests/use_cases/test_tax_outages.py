"""VIES that is slow, down, busy or wrong, and registers that break their promise: nothing is taken for invalid."""

from __future__ import annotations

import logging
import time

import pytest

from prepaid import Money
from prepaid.core.tax_ids import RegisterAnswer
from prepaid.store import tax_ids
from prepaid.tax import registers
from prepaid.tax.vies import Limits, Vies
from prepaid.testing.simulators.vies import TEST_NUMBERS
from tests.use_cases.steps import ADA, EVE, SQLITE, database, eur, operator
from tests.use_cases.tax_steps import FRENCH, OTHER_FRENCH, Answering, Scripted, Table, be, business, buy, run_checks

QUICK = Limits(connect_timeout_s=1, read_timeout_s=1.5, budget_s=2)


@pytest.fixture
def vies():
    with Table() as running:
        yield running


# What the test service of VIES says


@SQLITE
@pytest.mark.parametrize("word", TEST_NUMBERS.values())
def test_each_answer_of_the_test_service_gives_the_right_state_and_an_outage_is_never_kept(
    wired, vies, simulated, word
):
    expected = {"VALID": "valid", "INVALID": "invalid", "INVALID_INPUT": "malformed"}.get(word, "unavailable")
    billing = wired(registers=[Vies(url=vies.url, limits=QUICK)])
    vies.words[FRENCH] = word

    assert be(billing, business()) == expected
    topup, invoice = buy(billing, simulated)

    treatment = "reverse_charge" if expected == "valid" else "standard"
    assert (invoice.tax.treatment, invoice.tax.tax_id_state, topup.tax) == (treatment, expected, invoice.tax)
    vies.words[FRENCH] = "VALID"
    again = billing.customer(ADA).tax_profile.verify().state
    assert again == ("valid" if expected == "unavailable" else expected)  # what was said is good for a while
    assert billing.check().ok


@SQLITE
@pytest.mark.parametrize(
    "fault",
    ["drop", "accept-then-drop", "html", "truncated", "429", "500", "redirect", "wrong-id", "outage-as-invalid",
     "stall"],
)  # fmt: skip
def test_each_fault_of_the_wire_leaves_the_tax_id_unavailable_and_raises_nothing(wired, vies, simulated, fault):
    billing = wired(registers=[Vies(url=vies.url, limits=QUICK)])
    vies.words[FRENCH] = "VALID"
    vies.fault_next(fault)
    began = time.monotonic()

    assert be(billing, business()) == "unavailable"

    assert time.monotonic() - began < registers.BUDGET_S
    _, invoice = buy(billing, simulated)
    assert (invoice.tax.total, invoice.tax.policy) == (eur("2.00"), "charge")
    assert billing.customer(ADA).tax_profile.verify().state == "valid"
    assert billing.check().ok


@SQLITE
@pytest.mark.parametrize("value", ["absent", None, "true", 1, 0, "", []])
def test_a_reply_whose_verdict_is_no_bool_is_no_verdict(wired, vies, value):
    billing = wired(registers=[Vies(url=vies.url, limits=QUICK)])

    def spoil(reply):
        del reply["valid"]
        if value != "absent":
            reply["valid"] = value

    vies.rewrite_next(spoil)

    assert be(billing, business()) == "unavailable"


@SQLITE
def test_a_server_that_is_not_there_leaves_the_tax_id_unavailable(wired, vies):
    url = vies.url
    vies.stop()
    billing = wired(registers=[Vies(url=url, limits=QUICK)])

    assert be(billing, business()) == "unavailable"


@SQLITE
def test_the_sellers_own_number_is_sent_for_a_proof_that_is_kept_with_name_and_address(wired, vies):
    vies.register(FRENCH, name="LUNE SARL", address="1 RUE DE LA PAIX\n75002 PARIS")
    billing = wired(registers=[Vies(url=vies.url, limits=QUICK)])

    be(billing, business())

    status = billing.customer(ADA).tax_profile.status()
    [check] = operator(billing).tax.of_customer(ADA).checks
    assert (status.name, check.name, check.address) == ("LUNE SARL", "LUNE SARL", "1 RUE DE LA PAIX, 75002 PARIS")
    assert (check.requester, check.consultation) == ("DE136695976", "WAPISIM000000001")
    assert billing.customer(ADA).topups.quote(eur("10")).tax.consultation == "WAPISIM000000001"


# Registers that break their promise


BROKEN = {
    "nothing": None,
    "a word": "valid",
    "no state of ours": RegisterAnswer(state="maybe"),
    "a state of another type": RegisterAnswer(state=["valid"]),
    "no name": RegisterAnswer(state="valid", name=None),
    "bytes": RegisterAnswer(state="valid", address=b"Paris"),
    "a number for a proof": RegisterAnswer(state="valid", consultation=5),
    "an error": RuntimeError("the register of " + FRENCH + " fell over"),
    "a reason of another type": RegisterAnswer(state="invalid", reason=None),
}


@pytest.mark.parametrize("given", BROKEN.values(), ids=BROKEN)
def test_what_a_register_must_not_give_is_taken_for_no_answer(wired, simulated, given):
    billing = wired(registers=[Answering(given)])

    assert be(billing, business()) == "unavailable"

    assert buy(billing, simulated)[1].tax.treatment == "standard"
    assert billing.check().ok


@pytest.mark.parametrize(
    "said",
    [
        {"name": "N" * 100_000, "address": "A" * 100_000, "raw": "R" * 1_000_000},
        {"name": "N\x00ame", "address": "A\x00", "consultation": "C\x00", "reason": "\x00", "raw": "\x00\ud800"},
        {"name": "\ud800", "address": "\u202eevil", "consultation": "\u202e"},
        {"consultation": "C" * 100_000},
        {"reason": "r" * 100_000},
    ],
)
def test_an_answer_with_texts_that_cannot_be_kept_counts_without_them(wired, said):
    billing = wired(registers=[Answering(RegisterAnswer(state="valid", **said))])

    assert be(billing, business()) == "valid"

    [check] = operator(billing).tax.of_customer(ADA).checks
    assert (len(check.name) <= 200, len(check.address) <= 400, len(check.consultation) <= 64) == (True,) * 3
    assert all(text.isprintable() for text in (check.name, check.address, check.consultation, check.reason))


@SQLITE
def test_a_register_that_cannot_say_what_it_covers_covers_nothing(wired, register, caplog):
    broken = Scripted(name="broken")
    broken.covers = lambda tax_id: 1 / 0
    billing = wired(registers=[broken, register])

    assert be(billing, business()) == "valid"
    assert (broken.asked, register.asked) == ([], [FRENCH])
    assert billing.customer(ADA).topups.quote(eur("10")).tax.treatment == "reverse_charge"
    assert "the register broken failed" in caplog.text


# What is not said


def test_no_log_record_and_no_repr_tells_a_number_a_name_or_an_address(wired, vies, clock, caplog, simulated):
    caplog.set_level(logging.DEBUG)
    secret = ("LUNE SARL", "RUE DE LA PAIX", FRENCH[2:], OTHER_FRENCH[2:], "WAPISIM")
    vies.register(FRENCH, name="LUNE SARL", address="1 RUE DE LA PAIX\n75002 PARIS")
    client = Vies(url=vies.url, limits=QUICK)
    billing = wired(registers=[client])
    be(billing, business())
    buy(billing, simulated)
    for fault in ("drop", "html", "wrong-id", "500"):
        clock.advance(hours=25)
        vies.fault_next(fault)
        be(billing, business())
        be(billing, business(OTHER_FRENCH), customer=EVE)
        run_checks(billing)
    noisy = wired(
        registers=[Answering(RuntimeError(f"GET /ms/FR/vat/{OTHER_FRENCH} LUNE SARL"), name="noisy")], rules=False
    )
    clock.advance(hours=25)
    be(noisy, business(OTHER_FRENCH))
    run_checks(noisy)

    answer = client.check(database(billing).read(lambda tx: tax_ids.find(tx, FRENCH)).tax_id, requester=None)
    stored = database(billing).read(lambda tx: tax_ids.find(tx, FRENCH))
    shown = (answer, stored, stored.tax_id, business(), billing.customer(ADA).tax_profile.status(),
             operator(billing).tax.of_customer(ADA), *operator(billing).tax.of_customer(ADA).checks,
             billing.customer(ADA).topups.quote(Money.of("10", "EUR")))  # fmt: skip
    assert "the register noisy failed" in caplog.text
    for word in secret:
        assert word not in caplog.text
        assert all(word not in repr(value) for value in shown), word
