"""Documents whose tax rested on a tax id that nobody had confirmed: watched, offered for correction, never changed."""

from __future__ import annotations

import pytest

from prepaid import InvalidRequest, NotAllowed, NotFound, QuoteChanged, WrongState, permissions
from prepaid.store import documents, tax_entries, tax_ids
from prepaid.tax import registers
from tests.use_cases.steps import (
    ADA,
    BACK,
    BILLING,
    EVE,
    SQLITE,
    change,
    checkout_of,
    counts,
    eur,
    operator,
    rows,
    start,
    told,
)
from tests.use_cases.tax_steps import (
    FRENCH,
    OTHER_FRENCH,
    at_once,
    be,
    business,
    buy,
    consumer,
    corrections,
    eventually,
    pay,
    run_checks,
    state,
)


def close(billing, correction, *, actor="alice@nimbus.example", reason="credit note made by hand", granted=None):
    door = operator(billing, actor, granted) if granted is not None else operator(billing, actor)
    door.tax.close_correction(correction, reason=reason)


def document(billing, number, customer=ADA):
    """Give an invoice with the bytes of its file and its row."""
    door = billing.customer(customer).invoices
    [row] = rows(billing, "SELECT * FROM prepaid_invoice WHERE book_id = :book AND number = :number", number=number)
    return door.get(number), door.pdf(number), tuple(row)


def charged(billing, register, simulated, **options):
    """Charge tax while the register is down."""
    register.down()
    be(billing, business(), customer=options.get("customer", ADA))
    return buy(billing, simulated, **options)[1]


@SQLITE
def test_nobody_waits_for_the_next_number_while_an_answer_is_kept(wired, register, simulated, monkeypatch):
    billing = wired()
    register.down()
    be(billing, business())
    done = []
    find, take_number = tax_ids.find, documents.take_number

    def watched(tx, number, *, lock=False):
        done.extend(["lock"] if lock else [])
        return find(tx, number, lock=lock)

    monkeypatch.setattr(tax_ids, "find", watched)
    monkeypatch.setattr(documents, "take_number", lambda *given: (done.append("number"), take_number(*given))[1])

    buy(billing, simulated)

    assert done[:2] == ["lock", "number"]


# Charged, and not owed


def test_tax_that_was_charged_while_the_register_was_down_is_offered_for_correction_when_it_answers(
    wired, register, simulated, clock
):
    billing = wired()
    invoice = charged(billing, register, simulated)
    before = document(billing, invoice.number)
    assert (invoice.tax.total, invoice.tax.policy, invoice.tax.tax_id_state) == (eur("2"), "charge", "unavailable")
    [waiting] = corrections(billing, "waiting")
    assert corrections(billing) == ()

    clock.advance(days=2)
    register.up()
    run_checks(billing)

    [offered] = corrections(billing)
    assert (offered.id, offered.kind, offered.tax, offered.invoice_number, offered.customer, offered.topup_id) == (
        waiting.id, "tax-to-return", eur("2"), invoice.number, ADA, invoice.topup_id,
    )  # fmt: skip
    assert (offered.found_at, offered.created_at) == (clock.now(), invoice.issued_at)
    [event] = told(billing, "tax-correction")
    assert event == {"correction": offered.id, "invoice": invoice.id, "kind": "tax-to-return"}
    assert document(billing, invoice.number) == before
    assert billing.customer(ADA).topups.quote(eur("10")).tax.treatment == "reverse_charge"
    assert billing.check().ok


def test_a_correction_is_offered_once_however_often_the_register_answers(wired, register, simulated, clock):
    billing = wired()
    charged(billing, register, simulated)
    register.up()
    for days in (0, 2, 31, 31):
        clock.advance(days=days)
        billing.customer(ADA).tax_profile.verify()
        run_checks(billing)

    assert len(corrections(billing)) == len(told(billing, "tax-correction")) == 1
    assert counts(billing)["tax_correction"] == 1


@SQLITE
def test_a_number_that_turns_out_invalid_ends_what_waited(wired, register, simulated):
    billing = wired()
    register.down()
    be(billing, business(OTHER_FRENCH))
    buy(billing, simulated)
    register.up()

    billing.customer(ADA).tax_profile.verify()

    assert (corrections(billing), corrections(billing, "waiting")) == ((), ())
    [closed] = corrections(billing, "closed")
    assert closed.reason == "the tax was right"
    assert told(billing, "tax-correction") == []
    with pytest.raises(WrongState):
        close(billing, closed.id)


@SQLITE
def test_documents_older_than_ninety_days_are_not_offered(wired, register, simulated, clock):
    billing = wired()
    charged(billing, register, simulated)
    clock.advance(seconds=1)
    be(billing, business(), customer=EVE)
    buy(billing, simulated, customer=EVE)

    clock.advance(days=90)
    register.up()
    run_checks(billing)

    assert [(found.customer, found.reason) for found in corrections(billing, "closed")] == [(ADA, "too late")]
    assert [found.customer for found in corrections(billing)] == [EVE]


def test_each_document_on_a_number_is_offered_on_its_own_page_by_page(wired, register, simulated):
    billing = wired()
    charged(billing, register, simulated)
    be(billing, business(), customer=EVE)
    for customer in (ADA, EVE, ADA):
        buy(billing, simulated, customer=customer)
    register.up()

    assert billing.customer(EVE).tax_profile.verify().state == "valid"

    found = corrections(billing)
    assert [correction.customer for correction in found] == [ADA, ADA, EVE, ADA]
    assert len({correction.invoice_id for correction in found}) == 4
    first = operator(billing).tax.corrections(limit=3)
    second = operator(billing).tax.corrections(limit=3, cursor=first.next)
    assert ((*first.items, *second.items), second.next) == (found, None)
    assert billing.check().ok


@SQLITE
@pytest.mark.parametrize("verdict", ["valid", "invalid"])
def test_what_the_register_said_between_start_and_payment_counts_when_the_document_is_issued(
    wired, register, simulated, clock, verdict
):
    billing = wired()
    register.down()
    register.answer(FRENCH, verdict)
    be(billing, business())
    topup = start(billing, "10.00")
    clock.advance(minutes=5)
    register.up()
    run_checks(billing)
    assert state(billing) == verdict

    _, invoice = pay(billing, simulated, topup)

    assert (invoice.tax.total, invoice.tax.tax_id_state) == (eur("2"), "unavailable")
    assert len(corrections(billing)) == len(told(billing, "tax-correction")) == (verdict == "valid")
    assert len(corrections(billing, "closed")) == (verdict == "invalid")
    assert corrections(billing, "waiting") == ()


@SQLITE
def test_the_old_answer_that_a_decision_did_not_trust_is_no_answer_since(
    wired, register, simulated, clock, monkeypatch
):
    billing = wired()
    be(billing, business())
    clock.advance(days=2)
    monkeypatch.setattr(registers, "BUDGET_S", 0.1)
    register.hold()
    with pytest.raises(QuoteChanged) as changed:
        start(billing, "10.00")

    topup = billing.customer(ADA).topups.start(changed.value.quote, return_url=BACK, cancel_url=BILLING, key="again")
    _, invoice = pay(billing, simulated, topup)

    assert (invoice.tax.total, state(billing)) == (eur("2"), "valid")
    assert (len(corrections(billing, "waiting")), corrections(billing)) == (1, ())
    register.gate.set()
    eventually(lambda: len(corrections(billing)) == 1)


@SQLITE
@pytest.mark.parametrize("gone", ["before the payment", "after the payment"])
def test_a_number_that_its_customer_took_away_is_still_asked_about_for_the_document(
    wired, register, simulated, clock, gone
):
    billing = wired("accept_format")
    register.down()
    be(billing, business(OTHER_FRENCH))
    topup = start(billing, "10.00")
    if gone == "before the payment":
        be(billing, consumer())
        clock.advance(minutes=5)
        run_checks(billing)
    pay(billing, simulated, topup)
    be(billing, consumer())
    register.up()

    clock.advance(minutes=5)
    run_checks(billing)

    assert [found.kind for found in corrections(billing)] == ["tax-missing"]
    asked = len(register.asked)
    clock.advance(days=31)
    run_checks(billing)
    assert len(register.asked) == asked
    assert run_checks(billing) == 0


@SQLITE
def test_more_documents_than_are_read_at_once_are_all_offered(wired, register, simulated, monkeypatch):
    billing = wired()
    charged(billing, register, simulated)
    for _ in range(4):
        buy(billing, simulated)
    register.up()
    read = tax_entries.corrections
    monkeypatch.setattr(tax_entries, "corrections", lambda tx, **given: read(tx, **{"limit": 2, **given}))

    billing.customer(ADA).tax_profile.verify()

    monkeypatch.undo()
    assert len(corrections(billing)) == 5


def test_an_answer_at_the_moment_of_the_payment_is_not_missed(wired, open_billing, register, simulated):
    billing = wired()
    other = open_billing(tax_id_registers=[register])
    for _ in range(3):
        register.down()
        be(billing, business())
        topup = start(billing, "10.00")
        simulated.pay(checkout_of(topup))
        register.up()

        at_once(
            lambda topup=topup: billing.customer(ADA).topups.confirm(topup.id),
            other.customer(ADA).tax_profile.verify,
        )

        assert corrections(billing, "waiting") == ()
        rows_of = {found.topup_id for found in corrections(billing)}
        assert topup.id in rows_of
        # Let the number be unknown again, as that of a new customer.
        change(billing, "UPDATE prepaid_tax_identity SET state = 'pending', answered_at = NULL, valid_at = NULL")
    assert billing.check().ok


# Not charged, and owed


@SQLITE
def test_a_number_taken_by_its_form_that_is_invalid_is_offered_as_missing_tax(wired, register, simulated):
    billing = wired("accept_format")
    register.down()
    be(billing, business(OTHER_FRENCH))
    _, invoice = buy(billing, simulated)
    assert (invoice.tax.treatment, invoice.tax.policy) == ("reverse_charge", "accept_format")
    register.up()

    billing.customer(ADA).tax_profile.verify()

    [offered] = corrections(billing)
    assert (offered.kind, offered.tax) == ("tax-missing", eur("0"))
    assert billing.check().ok


@SQLITE
def test_a_number_taken_by_its_form_that_is_valid_needs_no_correction(wired, register, simulated):
    billing = wired("accept_format")
    register.down()
    be(billing, business())
    buy(billing, simulated)
    register.up()

    billing.customer(ADA).tax_profile.verify()

    assert [found.reason for found in corrections(billing, "closed")] == ["the tax was right"]
    assert corrections(billing) == ()


@SQLITE
def test_a_number_that_counted_because_it_was_valid_lately_is_offered_when_it_is_invalid(
    wired, register, simulated, clock
):
    billing = wired("accept_recent")
    be(billing, business())
    register.down()
    clock.advance(days=2)
    _, invoice = buy(billing, simulated)
    assert (invoice.tax.treatment, invoice.tax.policy) == ("reverse_charge", "accept_recent")
    register.up()
    register.answer(FRENCH, "invalid")

    run_checks(billing)
    billing.customer(ADA).tax_profile.verify()

    assert [found.kind for found in corrections(billing)] == ["tax-missing"]


# Where the tax id made no difference


@SQLITE
@pytest.mark.parametrize("policy", ["charge", "hold", "accept_format", "accept_recent"])
@pytest.mark.parametrize(
    "profile",
    [
        business("DE136695976", "DE"),
        consumer("FR", tax_id=FRENCH),
        business(FRENCH, "BR"),
        business(FRENCH, "ES"),
        consumer("FR"),
        business("FR40303265046"),
    ],
    ids=["domestic", "consumer", "no rule", "another country", "none", "malformed"],
)
def test_a_sale_whose_tax_the_number_could_not_change_is_never_corrected(wired, register, simulated, profile, policy):
    billing = wired(policy)
    register.down()
    be(billing, profile)

    _, invoice = buy(billing, simulated)

    assert invoice.tax.policy == ""
    assert counts(billing)["tax_correction"] == 0
    assert billing.check().ok


@SQLITE
@pytest.mark.parametrize("policy", ["charge", "hold", "accept_format"])
def test_an_exempt_customers_sale_waits_for_no_register_and_is_never_corrected(wired, register, simulated, policy):
    billing = wired(policy)
    register.down()
    be(billing, business())
    operator(billing).customers.exempt(ADA, reason="Embassy", code="VATEX-EU-151")

    _, invoice = buy(billing, simulated)
    register.up()
    billing.customer(ADA).tax_profile.verify()

    assert (invoice.tax.total, invoice.tax.policy) == (eur("0"), "")
    assert counts(billing)["tax_correction"] == 0


@SQLITE
def test_a_sale_on_a_number_that_was_verified_is_never_corrected(wired, register, simulated, clock):
    billing = wired()
    be(billing, business())
    buy(billing, simulated)
    register.answer(FRENCH, "invalid")
    clock.advance(days=2)

    assert billing.customer(ADA).tax_profile.verify().state == "invalid"
    assert counts(billing)["tax_correction"] == 0


# Ending one


def test_an_operator_ends_a_correction_with_a_reason_once_and_it_is_audited(wired, register, simulated):
    billing = wired()
    charged(billing, register, simulated)
    register.up()
    billing.customer(ADA).tax_profile.verify()
    [offered] = corrections(billing)

    close(billing, offered.id)
    close(billing, offered.id)
    with pytest.raises(WrongState) as refused:
        close(billing, offered.id, actor="bob@nimbus.example")

    assert refused.value.field == "correction"
    [closed] = corrections(billing, "closed")
    assert (closed.id, closed.reason) == (offered.id, "credit note made by hand")
    entries = [entry for entry in operator(billing).audit.list().items if entry.action == "tax-correction-close"]
    assert [(entry.actor, entry.target, entry.reason) for entry in entries] == [
        ("alice@nimbus.example", offered.id, "credit note made by hand")
    ]
    assert billing.check().ok


def test_two_operators_at_once_end_a_correction_once(wired, open_billing, register, simulated):
    billing = wired()
    other = open_billing(tax_id_registers=[register])
    charged(billing, register, simulated)
    register.up()
    billing.customer(ADA).tax_profile.verify()
    [offered] = corrections(billing)

    results = at_once(
        lambda: close(billing, offered.id, actor="alice@nimbus.example"),
        lambda: close(other, offered.id, actor="bob@nimbus.example"),
    )

    assert sorted(type(result).__name__ for result in results) == ["NoneType", "WrongState"]
    entries = [entry for entry in operator(billing).audit.list().items if entry.action == "tax-correction-close"]
    assert len(entries) == 1


@SQLITE
def test_only_what_is_offered_can_be_ended(wired, register, simulated):
    billing = wired()
    charged(billing, register, simulated)
    [waiting] = corrections(billing, "waiting")

    with pytest.raises(WrongState):
        close(billing, waiting.id)
    assert corrections(billing, "waiting") == (waiting,)


@SQLITE
@pytest.mark.parametrize("wrong", ["", " ", None, 5, True, b"why", "r" * 100_000, "a\x00b", "\u202eb"])
def test_ending_a_correction_needs_a_reason(wired, register, simulated, wrong):
    billing = wired()
    charged(billing, register, simulated)
    register.up()
    billing.customer(ADA).tax_profile.verify()
    [offered] = corrections(billing)
    before = counts(billing)

    with pytest.raises(InvalidRequest) as refused:
        close(billing, offered.id, reason=wrong)

    assert refused.value.field == "reason"
    assert (counts(billing), corrections(billing)) == (before, (offered,))


@pytest.mark.parametrize(
    "wrong", ["", "cor_01m82v7m000000000000000000", "x" * 100_000, "cor\x00", "cor_\u202e", None, 5, True, b"cor_"]
)
def test_a_correction_that_does_not_exist_is_not_found(wired, wrong):
    billing = wired()
    before = counts(billing)

    with pytest.raises(NotFound) as refused:
        close(billing, wrong)

    assert refused.value.field == "correction"
    assert counts(billing) == before


@SQLITE
@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        *(("state", value) for value in ("", "open", None, 5, b"offered", ["offered"], "x" * 100_000)),
        *(("cursor", value) for value in ("x", "t:1", 5, b"c", "x" * 100_000, "\x00")),
        *(("limit", value) for value in (0, -1, True, "5", 10**9, None)),
    ],
)
def test_a_list_of_corrections_that_cannot_be_is_refused(wired, field, wrong):
    with pytest.raises(InvalidRequest) as refused:
        operator(wired()).tax.corrections(**{field: wrong})
    assert refused.value.field == field


@SQLITE
def test_corrections_need_their_permissions(wired, register, simulated):
    billing = wired()
    charged(billing, register, simulated)
    register.up()
    billing.customer(ADA).tax_profile.verify()
    [offered] = corrections(billing)

    with pytest.raises(NotAllowed):
        close(billing, offered.id, granted=permissions.ALL - {permissions.TAX_WRITE})
    with pytest.raises(NotAllowed):
        operator(billing, granted=permissions.ALL - {permissions.TAX_READ}).tax.corrections()
    assert corrections(billing) == (offered,)


@SQLITE
def test_another_books_corrections_are_not_seen_and_not_ended(wired, open_billing, register, simulated):
    billing = wired()
    charged(billing, register, simulated)
    register.up()
    billing.customer(ADA).tax_profile.verify()
    [offered] = corrections(billing)
    elsewhere = open_billing(book="other", tax_id_registers=[register])

    assert corrections(elsewhere) == ()
    with pytest.raises(NotFound):
        close(elsewhere, offered.id)
