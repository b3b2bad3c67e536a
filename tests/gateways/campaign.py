"""A campaign: customers, payers, a post that loses and doubles, an operator and jobs, while a provider misbehaves.

What chance decides comes from one seed. In the end all is quiet, and what the
provider really took and gave back is compared with the books.
"""

from __future__ import annotations

import itertools
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from random import Random

from attrs import field, frozen

from prepaid import GatewayError, Money, Prepaid, WrongState
from prepaid.core.instants import to_micros
from prepaid.testing.clock import START, MovableClock
from tests.use_cases.steps import BACK, BILLING, operator, rows, seller, value, walk

RATE = 0.3
CUSTOMERS = ("ada", "bob", "eve")
MOST_LOOKS = 100
"""What is still due after so many runs of the jobs always will be."""

_STRIDE = timedelta(hours=6)
_WAITS = ({"minutes": 1}, {"minutes": 2}, {"minutes": 10}, {"hours": 1}, {"hours": 3}, {"hours": 26})
_HOW_OFTEN = (6, 6, 4, 2, 1, 0.3)


@frozen(kw_only=True)
class Figures:
    """What a campaign came to; calls and faults are those of the time while faults flew."""

    calls: int
    faults: int
    topups: int
    captured: int
    credited: int
    reviewed: int
    refunds: int
    lost_refunds: int
    found_by_reconciling: int
    kinds: Counter[str] = field(repr=False)


class Campaign:
    """One book with one gateway, and everybody who deals with it."""

    def __init__(self, provider, folder, *, seed, clock, gateway=None):
        self.provider, self.clock, self.random = provider, clock, Random(seed)
        self.billing = Prepaid(
            database=f"sqlite:///{folder}/billing.db",
            mode="test",
            seller=seller(),
            currencies=(provider.currency,),
            gateways=[gateway or provider.gateway()],
            clock=clock,
            load_plugins=False,
            webhook_budget_s=60,  # how long a webhook may take is another question
        )
        self.billing.upgrade_database()
        for customer in CUSTOMERS:
            self.billing.customers.register(customer, currency=provider.currency)
        self.operator = operator(self.billing)
        self._numbers = itertools.count(1)
        self._orders, self._post, self._resolutions = [], [], []

    def close(self):
        self.billing.close()

    # What everybody does.

    def run(self, calls, *, lies=False):
        """Let faults fly until the gateway was called so often, then let all come to rest."""
        self.provider.misbehave(RATE, Random(self.random.random()), lies=lies)
        acts = (
            (self.start, 4), (self.resume, 2), (self.payer, 7), (self.post, 8), (self.come_back, 3), (self.confirm, 2),
            (self.cancel, 1), (self.recheck, 2), (self.give_back, 2), (self.go_on, 2), (self.time, 5),
        )  # fmt: skip
        doing, weights = zip(*acts, strict=True)
        while self.provider.calls() < calls:
            self.random.choices(doing, weights)[0]()
            self._post += [message for message in self.provider.news() if self.random.random() > 0.25]
        self.calls = self.provider.calls()
        self.provider.misbehave(0, Random(0))

    def start(self):
        """Start a top-up, perhaps without hearing where it can be paid."""
        amount = Money.of(str(self.random.randint(5, 200)), self.provider.currency)
        door = self.billing.customer(self.random.choice(CUSTOMERS))
        quote = door.topups.quote(amount, gateway=self.provider.name)
        self._orders.append((door, quote, f"order-{next(self._numbers)}"))
        self._send(self._orders[-1])

    def resume(self):
        """Send an order once more, with its key."""
        if self._orders:
            self._send(self.random.choice(self._orders[-10:]))

    @staticmethod
    def _send(order):
        door, quote, key = order
        with suppress(GatewayError):
            door.topups.start(quote, return_url=BACK, cancel_url=BILLING, key=key)

    def payer(self):
        """Let somebody who was shown a checkout, perhaps long ago, pay, fail or give up."""
        _, checkout_id = self._a_topup()
        if checkout_id is not None:
            with suppress(ValueError, WrongState):  # it cannot be done any more
                self.provider.act(checkout_id)

    def post(self):
        """Deliver a webhook, of any age: once, twice, or again later."""
        if not self._post:
            return
        message = self._post.pop(self.random.randrange(len(self._post)))
        for _ in range(self.random.choice((1, 1, 1, 2))):
            headers, body = message()
            answer = self.billing.webhooks.receive(self.provider.name, body=body, headers=headers)
            assert answer.outcome != "rejected"
            if answer.status >= 500 or self.random.random() < 0.1:
                self._post.append(message)

    def come_back(self):
        topup_id, checkout_id = self._a_topup()
        if checkout_id is not None:
            self.billing.returns.receive({"topup": topup_id, **self.provider.returned(checkout_id)})

    def confirm(self):
        topup_id, _ = self._a_topup()
        if topup_id is not None:
            self._door_of(topup_id).topups.confirm(topup_id)

    def cancel(self):
        topup_id, _ = self._a_topup()
        if topup_id is not None:
            with suppress(WrongState, GatewayError):
                self._door_of(topup_id).topups.cancel(topup_id)

    def recheck(self):
        topup_id, _ = self._a_topup()
        if topup_id is not None:
            self._recheck(topup_id)

    def _recheck(self, topup_id):
        with suppress(GatewayError):
            self.operator.topups.recheck(topup_id)

    def give_back(self):
        """Let the operator give a payment in review back, or press the button once more."""
        waiting = [topup for topup in walk(self.operator.topups.review) if topup.state == "review"]
        if self._resolutions and self.random.random() < 0.3:
            self._resolve(*self.random.choice(self._resolutions))
        elif waiting:
            self._resolutions.append((self.random.choice(waiting).id, f"back-{next(self._numbers)}"))
            self._resolve(*self._resolutions[-1])

    def _resolve(self, topup_id, key):
        with suppress(WrongState):  # it is on its way back
            self.operator.topups.resolve(topup_id, action="refund", reason="not what was asked for", key=key)

    def go_on(self):
        self.provider.go_on()

    def time(self):
        self.clock.advance(**self.random.choices(_WAITS, _HOW_OFTEN)[0])
        self._run_due()

    def _run_due(self):
        assert {run.status for run in self.billing.run_due()} == {"done"}

    def _a_topup(self):
        """Give a top-up, rather one of the last, with its checkout if the host knows it."""
        found = self._rows("SELECT id, checkout_id FROM prepaid_topup WHERE book_id = :book AND further_of IS NULL"
                           " ORDER BY id DESC")  # fmt: skip
        if not found:
            return None, None
        near = found[:8] if self.random.random() < 0.8 else found
        return tuple(self.random.choice(near))

    def _door_of(self, topup_id):
        [[customer]] = self._rows("SELECT customer FROM prepaid_topup WHERE id = :id", id=topup_id)
        return self.billing.customer(customer)

    def _rows(self, statement, **parameters):
        return rows(self.billing, statement, **parameters)

    # How it ends.

    def come_to_rest(self):
        """Let time pass until nothing is due, and have the operator look where the lists differ.

        Returns:
            How many payments only the reconciliation found.
        """
        self._work_off()
        missing = self.reconciled().missing_here
        for item in missing:
            self._recheck(item.topup_id)
        self._work_off()
        return len(missing)

    def _work_off(self):
        for _ in range(MOST_LOOKS):
            self.provider.finish()
            due = self._next_due()
            if due is None:
                return
            late = timedelta(microseconds=int(due) - to_micros(self.clock.now()))
            self.clock.set(self.clock.now() + max(_STRIDE, late))
            self._run_due()

    def _next_due(self):
        return value(
            self.billing,
            "SELECT min(at) FROM (SELECT min(next_poll_at) AS at FROM prepaid_topup WHERE book_id = :book"
            " UNION ALL SELECT min(next_poll_at) FROM prepaid_refund WHERE book_id = :book"
            " UNION ALL SELECT min(next_at) FROM prepaid_webhook_event WHERE book_id = :book) AS all_due",
        )

    def reconciled(self):
        return self.operator.reconcile(self.provider.name, START, self.clock.now() + timedelta(days=1))

    def figures(self, found_by_reconciling):
        count = Counter(state for (state,) in self._rows("SELECT state FROM prepaid_topup WHERE book_id = :book"))
        back = Counter(state for (state,) in self._rows("SELECT state FROM prepaid_refund WHERE book_id = :book"))
        return Figures(
            calls=self.calls,
            faults=self.provider.faults().total(),
            topups=value(self.billing, "SELECT count(*) FROM prepaid_topup WHERE book_id = :book"),
            captured=len(self.provider.captured()),
            credited=count["credited"],
            reviewed=count["review"] + count["refunded"],
            refunds=back["succeeded"],
            lost_refunds=back["failed"] + back["canceled"],
            found_by_reconciling=found_by_reconciling,
            kinds=self.provider.faults(),
        )

    # What must be true then.

    def prove(self, *, lies=False):
        """Compare the books with what the provider really did; after lies, sums may differ, of uncredited money only.

        Raises:
            AssertionError: Something is not as it must be.
        """
        self._each_intent_is_one_checkout()
        self._each_payer_paid_once()
        different = self._what_was_captured_is_here()
        assert lies or not different
        self._what_was_credited_is_had()
        self._each_refund_is_one_or_none()
        self._what_did_not_go_back_is_in_suspense()
        self._nothing_is_open()
        report = self.reconciled()
        assert (report.missing_here, report.missing_there) == ((), ())
        assert {(item.kind, item.id) for item in report.different} == {("payment", payment) for payment in different}
        assert self.billing.check().ok

    def _each_intent_is_one_checkout(self):
        checkouts = Counter(topup_id for _, topup_id in self.provider.checkouts())
        assert max(checkouts.values(), default=1) == 1, "more than one checkout for one intent"
        known = {topup for (topup,) in self._rows("SELECT id FROM prepaid_topup WHERE book_id = :book")}
        assert checkouts.keys() <= known

    def _each_payer_paid_once(self):
        taken = Counter(payment.checkout_id for payment in self.provider.captured())
        assert all(number <= self.provider.payers[checkout] for checkout, number in taken.items()), "paid twice"

    def _what_was_captured_is_here(self):
        """Give the payments whose sum we were told wrong."""
        there = {payment.payment_id: payment.amount for payment in self.provider.captured()}
        found = self._rows(
            "SELECT payment_id, captured, currency, posted_as FROM prepaid_payment WHERE book_id = :book"
        )
        here = {row.payment_id: Money(int(row.captured), row.currency) for row in found}
        assert len(here) == len(found)
        assert here.keys() == there.keys(), "what was captured is not what was settled"
        different = {payment for payment, amount in there.items() if here[payment] != amount}
        assert not different & {row.payment_id for row in found if row.posted_as == "credited"}
        return different

    def _what_was_credited_is_had(self):
        found = self._rows("SELECT t.customer, t.credit, t.state, p.posted_as FROM prepaid_topup t"
                           " LEFT JOIN prepaid_payment p ON p.topup_id = t.id AND p.book_id = t.book_id"
                           " WHERE t.book_id = :book")  # fmt: skip
        how = {"credited": ["credited"], "suspense": ["review", "refunded"], None: ["failed", "expired", "canceled"]}
        assert all(row.state in how[row.posted_as] for row in found)
        for customer in CUSTOMERS:
            credit = sum(int(row.credit) for row in found if (row.customer, row.state) == (customer, "credited"))
            assert self.billing.customer(customer).balance().settled == Money(credit, self.provider.currency)

    def _each_refund_is_one_or_none(self):
        ours = self._rows("SELECT id, amount, currency, state, payment_id FROM prepaid_refund WHERE book_id = :book")
        there = Counter((refund.reference, refund.done) for refund in self.provider.given_back())
        for refund in ours:
            made = [found for found in self.provider.given_back() if found.reference == refund.id]
            assert len(made) <= 1, "given back twice"
            went = [(found.payment_id, found.amount) for found in made if found.done]
            expected = (refund.payment_id, Money(int(refund.amount), refund.currency))
            assert refund.state in {"succeeded", "failed", "canceled"}, "a refund of unknown outcome"
            assert refund.state == "succeeded" or not went, "a refund went back although it had failed"
            assert refund.state != "succeeded" or went == [expected], "a refund that succeeded never was"
        assert {reference for reference, _ in there} <= {refund.id for refund in ours}

    def _what_did_not_go_back_is_in_suspense(self):
        def moved(side):
            return value(
                self.billing,
                "SELECT coalesce(sum(t.amount), 0) FROM prepaid_transfer t"
                f" JOIN prepaid_account a ON a.id = t.{side}_id WHERE t.book_id = :book AND a.kind = 'suspense'",
            )

        waiting = value(
            self.billing,
            "SELECT coalesce(sum(p.captured), 0) FROM prepaid_payment p JOIN prepaid_topup t ON t.id = p.topup_id"
            " AND t.book_id = p.book_id WHERE p.book_id = :book AND t.state = 'review'",
        )
        assert int(moved("credit")) - int(moved("debit")) == int(waiting)

    def _nothing_is_open(self):
        states = {state for (state,) in self._rows("SELECT state FROM prepaid_topup WHERE book_id = :book")}
        assert states <= {"credited", "review", "refunded", "failed", "expired", "canceled"}
        waiting = self._rows("SELECT event_id, outcome FROM prepaid_webhook_event WHERE book_id = :book"
                             " AND outcome IN ('received', 'recorded', 'parked')")  # fmt: skip
        assert waiting == []
        assert self._next_due() is None, "there is always something due"


def campaign(make_provider, folder, *, seed, calls, lies=False, gateway=None):
    """Lead a campaign to its end, prove that all is right, and give its figures."""
    clock = MovableClock()
    provider = make_provider(clock, Random(f"provider {seed}"))
    led = Campaign(provider, folder, seed=f"campaign {seed}", clock=clock, gateway=gateway and gateway(provider))
    try:
        led.run(calls, lies=lies)
        found = led.come_to_rest()
        led.prove(lies=lies)
        return led.figures(found)
    finally:
        led.close()
        provider.close()
