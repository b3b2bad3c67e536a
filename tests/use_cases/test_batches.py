"""Charges in batches: what they would be one by one, whatever is in the batch and whoever else posts."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from prepaid import Charge, InsufficientCredit, KeyConflict, Money, RequestRefused, Thresholds
from tests.use_cases.steps import ADA, EVE, eur, everything, give, hold, operator

HOUR = timedelta(hours=1)

_books = itertools.count(1)


def use(amount="1", key="a", customer=ADA, **options):
    return Charge(customer, eur(amount), key, **options)


def said(outcomes):
    return [(outcome.status, str(outcome.balance_after.amount)) for outcome in outcomes]


# The same as one by one


def one_by_one(billing, charges):
    """Post charges without a batch and give what a batch would answer."""
    answers = []
    for wanted in charges:
        options = {name: getattr(wanted, name) for name in ("resource", "period", "allow_negative", "description")}
        try:
            outcome = billing.usage.charge(wanted.customer, wanted.amount, key=wanted.key, **options)
            answers.append((outcome.status, outcome.balance_after, "", ""))
        except RequestRefused as refused:
            status = {InsufficientCredit: "insufficient", KeyConflict: "conflict"}.get(type(refused), "refused")
            known = status != "refused"
            balance = (
                billing.customer(wanted.customer).balance(wanted.amount.currency).settled
                if known
                else Money.zero(wanted.amount.currency)
            )
            answers.append((status, balance, refused.code, refused.field))
    return answers


def at_once(billing, charges):
    return [
        (outcome.status, outcome.balance_after, outcome.code, outcome.field)
        for outcome in billing.usage.charge_many(iter(charges))
    ]


class Book:
    """A book that stories are told in, in batches or one by one."""

    def __init__(self, open_billing, clock, post):
        self.billing, self.clock, self._post = open_billing(book=f"batch-{next(_books)}"), clock, post
        for customer in (ADA, EVE):
            self.billing.customers.register(customer, currency="EUR")
        self._numbers = itertools.count(1)

    def tell(self, step):
        """Let one thing happen and give the answer in words."""
        name, *what = step
        try:
            return getattr(self, name)(*what)
        except RequestRefused as refused:
            return type(refused).__name__, str(refused)

    def give(self, customer, amount, kind, hours):
        expires_at = None if hours is None else self.clock.now() + hours * HOUR
        give(self.billing, amount, customer=customer, kind=kind, key=f"g{next(self._numbers)}", expires_at=expires_at)

    def charges(self, items):
        now = self.clock.now().replace(minute=0, second=0, microsecond=0)
        charges = []
        for customer, amount, key, resource, performed in items:
            more = {"resource": resource, "period": (now - HOUR, now)} if resource else {}
            money = (
                Money.of("7", "JPY") if amount == "yen" else Money.of("2", "GBP") if amount == "gbp" else eur(amount)
            )
            charges.append(Charge(customer, money, f"k{key}", description="h", allow_negative=performed, **more))
        return self._post(self.billing, charges)

    def hold(self, customer, amount):
        hold(self.billing, amount, customer=customer, key=f"h{next(self._numbers)}", hours=1)

    def overdraft(self, customer, amount):
        operator(self.billing).customers.overdraft(customer, eur(amount), reason="trust")

    def levels(self, amount, grace):
        operator(self.billing).settings.thresholds(
            Thresholds(low=eur(amount), negative=eur("0"), suspend=eur("-2"), grace=timedelta(hours=grace))
        )


CUSTOMERS = st.sampled_from([ADA, ADA, ADA, EVE])
EUROS = st.sampled_from(["0.5", "1", "2", "3", "5"])
ITEM = st.tuples(
    st.sampled_from([ADA, ADA, ADA, EVE, EVE, "nobody"]),
    st.one_of(EUROS, EUROS, st.sampled_from(["yen", "gbp", "20"])),
    st.integers(1, 25),
    st.sampled_from(["", "", "", "vm-1", "vm-2"]),
    st.sampled_from([False, False, False, True]),
)
STEP = st.one_of(
    st.tuples(
        st.just("give"),
        CUSTOMERS,
        EUROS,
        st.sampled_from(["promotional", "goodwill"]),
        st.sampled_from([None, 1, 2, 30]),
    ),
    st.tuples(st.just("charges"), st.lists(ITEM, min_size=2, max_size=12)),
    st.tuples(st.just("charges"), st.lists(ITEM, min_size=1, max_size=6)),
    st.tuples(st.just("hold"), CUSTOMERS, EUROS),
    st.tuples(st.just("wait"), st.sampled_from([1, 45, 90])),
    st.tuples(st.just("overdraft"), CUSTOMERS, EUROS),
    st.tuples(st.just("levels"), EUROS, st.sampled_from([0, 1])),
)


def story_rows(billing):
    """Give the rows of a book in an order that batches keep: that of each wallet."""
    found = everything(
        billing, order="(SELECT owner FROM prepaid_account a WHERE a.id = wallet_id), wallet_id, wallet_seq"
    )
    found["account"].sort(key=lambda row: (row["kind"], row["owner"], row["currency"]))
    found["outbox"].sort(key=lambda row: str(row["payload"]))
    return found


def same_stories(open_billing, clock, examples, steps=(5, 10)):
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

    @settings(max_examples=examples, phases=(Phase.generate,), suppress_health_check=slow)
    @given(st.lists(STEP, min_size=steps[0], max_size=steps[1]))
    def stories(steps):
        batched = Book(open_billing, clock, at_once)
        single = Book(open_billing, clock, one_by_one)
        for step in [("give", ADA, "20", "goodwill", None), *steps]:
            if step[0] == "wait":
                clock.advance(minutes=step[1])
            else:
                assert batched.tell(step) == single.tell(step), step
        for book in (batched, single):
            assert book.billing.check().findings == ()
        assert story_rows(batched.billing) == story_rows(single.billing)
        for book in (batched, single):
            book.billing.close()

    stories()


@pytest.mark.parametrize("examples", [5, pytest.param(300, marks=pytest.mark.full)])
def test_any_story_in_batches_leaves_what_it_leaves_one_by_one(open_billing, clock, examples):
    same_stories(open_billing, clock, examples)
