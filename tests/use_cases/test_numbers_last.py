"""The number of a document is taken last: whoever waits for the next one waits for nothing else, and locks nothing."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest
from sqlalchemy import event

from prepaid.gateways import BankTransferGateway
from tests.use_cases.refund_steps import ask, checkout_id, disputes_of, give_back, look, proven, refunds_of
from tests.use_cases.steps import (
    ADA,
    SQLITE,
    add_rule,
    charge,
    checkout_of,
    database,
    eur,
    live_in,
    operator,
    start,
    top_up,
)
from tests.use_cases.verifiers import Verifier, held, verify

pytestmark = SQLITE

SERIES = "prepaid_invoice_series"
LAST = {SERIES, "prepaid_invoice", "prepaid_tax_entry"}
"""What is read and written once the first number is taken: documents, and the taxes on them."""

TOLD = ("invoice-mail", "invoice-issued/")
"""What is told of a document, by the beginning of its topic or key."""


class Transactions:
    """Listens to what a billing system keeps in its database: the statements of each transaction."""

    def __init__(self, billing):
        engine = database(billing).engine
        self.running, self.all = defaultdict(list), []
        event.listen(engine, "before_cursor_execute", self.said)
        event.listen(engine, "commit", lambda connection: self.all.append(self.running.pop(connection)))
        event.listen(engine, "rollback", lambda connection: self.running.pop(connection, None))

    def said(self, connection, cursor, statement, parameters, context, many):
        self.running[connection].append((statement, str(parameters)))

    @property
    def with_numbers(self):
        """Those that took a number."""
        return [each for each in self.all if numbers(each)]


def numbers(transaction):
    return sum(f"SET last=({SERIES}.last" in statement for statement, _ in transaction)


def late(transaction):
    """Give what a transaction does after it locked a counter, and that is not of a document."""
    first = next(i for i, (statement, _) in enumerate(transaction) if SERIES in statement)
    return [(statement, values) for statement, values in transaction[first:] if not _is_of_documents(statement, values)]


def _is_of_documents(statement, values):
    tables = set(re.findall(r"prepaid_\w+", statement))
    if tables == {"prepaid_outbox"}:
        return any(f"'{told}" in values for told in TOLD)
    return tables <= LAST


@pytest.fixture
def verifier(tmp_path):
    return Verifier(tmp_path / "verifier.json")


@pytest.fixture
def billing(open_billing, verifier, gateway):
    bank = BankTransferGateway(account_holder="Nimbus GmbH", iban="DE89370400440532013000")
    billing = open_billing(identity=verifier, gateways=[gateway, bank])
    billing.customers.register(ADA, email="ada@example.com", currency="EUR")
    add_rule(billing, "FR", (("TVA", "20"),))
    live_in(billing, "FR")
    return billing


# What issues documents, and how many each transaction that does issues


def a_sale(billing, gateway):
    top_up(billing, gateway, "100")
    return [1]


def a_review_that_is_credited(billing, gateway):
    topup = start(billing, "50")
    gateway.pay(checkout_of(topup), amount=eur("70"))  # ten euros more than it costs
    billing.customer(ADA).topups.confirm(topup.id)
    operator(billing).topups.resolve(topup.id, action="credit_quoted", reason="they paid it", key="k")
    assert len(refunds_of(billing, topup)) == 1
    return [1]


def a_payment_that_waited_for_a_verification(billing, gateway):
    held(billing, gateway)
    [verifier] = billing._context.identity_providers.values()
    verify(billing, verifier)
    return [1]


def a_refund_that_succeeds(billing, gateway):
    give_back(billing, top_up(billing, gateway, "100"), "50")
    return [1, 1]


def a_refund_that_is_lost_after_it_succeeded(billing, gateway):
    topup = top_up(billing, gateway, "100")
    give_back(billing, topup, "50")
    [refund] = refunds_of(billing, topup)
    gateway.finish_refund(refund.gateway_refund_id, succeed=False)
    look(billing, topup)
    return [1, 1, 1]


def a_refund_outside_of_any_gateway(billing, gateway):
    topup = start(billing, "100", gateway="bank-transfer")
    operator(billing).topups.confirm_bank_transfer(topup.id, received=topup.total, reference="line 1")
    asked = ask(billing, topup, "20")
    operator(billing).refunds.record(topup.id, eur("20"), reference="SEPA 77", reason="asked", refund_id=asked.id)
    return [1, 1]


def a_refund_at_the_gateway(billing, gateway):
    topup = top_up(billing, gateway, "100")
    charge(billing, "50")
    gateway.refund_at_provider(checkout_id(billing, topup), eur("60"))
    look(billing, topup)
    return [1, 1]


def a_dispute_that_is_lost(billing, gateway):
    topup = top_up(billing, gateway, "100")
    charge(billing, "50")
    dispute_id = gateway.dispute(checkout_id(billing, topup))
    look(billing, topup)
    gateway.lose(dispute_id)
    look(billing, topup)
    return [1, 1]


def a_lost_dispute_about_another_amount(billing, gateway):
    topup = top_up(billing, gateway, "100")
    dispute_id = gateway.dispute(checkout_id(billing, topup), amount=eur("60"))
    gateway.lose(dispute_id)
    look(billing, topup)
    gateway.disputes[dispute_id] = {"amount": eur("90")}
    look(billing, topup)
    [dispute] = disputes_of(billing, topup)
    assert (dispute.booked, dispute.net, dispute.tax) == ("lost", eur("75"), eur("15"))
    assert figures(billing) == ["120.00", "60.00", "60.00", "90.00"]
    return [1, 1, 2]


def a_dispute_that_is_won_after_it_was_lost(billing, gateway):
    topup = top_up(billing, gateway, "100")
    dispute_id = gateway.dispute(checkout_id(billing, topup))
    gateway.lose(dispute_id)
    look(billing, topup)
    gateway.appeal(dispute_id)
    gateway.win(dispute_id)
    look(billing, topup)
    return [1, 1, 1]


def what_comes_back_for_a_short_refund_and_disputes(billing, gateway):
    """A refund that fails leaves its part to one at the gateway, to a lost dispute and to one that is open."""
    topup = top_up(billing, gateway, "100")
    gateway.fault_next("refund", "unavailable")
    give_back(billing, topup, "90")
    checkout = checkout_id(billing, topup)
    gateway.lose(gateway.dispute(checkout, amount=eur("24")))
    look(billing, topup)
    gateway.refund_at_provider(checkout, eur("36"))
    gateway.dispute(checkout, amount=eur("12"))
    look(billing, topup)
    assert [each.is_short for each in refunds_of(billing, topup)] == [False, True]

    gateway.clock.advance(minutes=1)
    billing.run_due(only="refunds")

    assert [each.is_short for each in refunds_of(billing, topup)] == [False, False]
    assert figures(billing) == ["120.00", "12.00", "36.00", "12.00", "24.00"]
    assert billing.customer(ADA).balance().held == eur("50")
    return [1, 1, 3]


def figures(billing):
    found = reversed(billing.customer(ADA).invoices.list().items)
    return [str(each.total.amount) for each in found]


STORIES = [
    a_sale,
    a_review_that_is_credited,
    a_payment_that_waited_for_a_verification,
    a_refund_that_succeeds,
    a_refund_that_is_lost_after_it_succeeded,
    a_refund_outside_of_any_gateway,
    a_refund_at_the_gateway,
    a_dispute_that_is_lost,
    a_lost_dispute_about_another_amount,
    a_dispute_that_is_won_after_it_was_lost,
    what_comes_back_for_a_short_refund_and_disputes,
]
OF_BOTH_KINDS = [a_lost_dispute_about_another_amount, what_comes_back_for_a_short_refund_and_disputes]
"""An invoice first, and a credit note first."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_after_the_first_number_a_transaction_writes_nothing_but_documents(billing, gateway, story):
    listening = Transactions(billing)

    issued = story(billing, gateway)

    found = listening.with_numbers
    assert [numbers(each) for each in found] == issued
    assert [late(each) for each in found] == [[] for _ in issued]
    proven(billing)


@pytest.mark.parametrize("story", OF_BOTH_KINDS, ids=lambda story: story.__name__)
def test_two_counters_are_locked_in_one_order_whichever_document_comes_first(billing, gateway, story):
    listening = Transactions(billing)

    story(billing, gateway)

    of_series = [values for statement, values in listening.with_numbers[-1] if SERIES in statement]
    kinds = [next(kind for kind in ("credit-note", "invoice") if repr(kind) in values) for values in of_series]
    assert kinds[:2] == ["credit-note", "invoice"]
