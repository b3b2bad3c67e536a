"""Steps of stories about money that goes back."""

from __future__ import annotations

import itertools

from prepaid.store import topups
from tests.use_cases.steps import ADA, database, deliver, eur, operator

_numbers = itertools.count(1)


def ask(billing, subject, amount, *, customer=ADA, reason="unused", key=None):
    """Ask for a part of a top-up, or of a charge's outcome, back."""
    subject_id = getattr(subject, "transaction_id", None) or subject.id
    return billing.customer(customer).refunds.request(
        subject_id, eur(amount), reason=reason, key=key or f"ask-{next(_numbers)}"
    )


def approve(billing, request, amount=None, *, actor="alice@nimbus.example", **options):
    wanted = None if amount is None else eur(amount)
    return operator(billing, actor).refunds.approve(request.id, amount=wanted, reason="fair", **options)


def give_back(billing, topup, amount, **options):
    """Ask and approve: the whole way in one call."""
    return approve(billing, ask(billing, topup, amount, **options))


def eligible(billing, subject, *, customer=ADA):
    """Give what `eligible` says of a top-up or a charge."""
    subject_id = getattr(subject, "transaction_id", None) or subject.id
    [found] = [each for each in billing.customer(customer).refunds.eligible().items if each.id == subject_id]
    return found


def refunds_of(billing, topup):
    return operator(billing).topups.facts(topup.id).refunds


def disputes_of(billing, topup):
    return operator(billing).topups.facts(topup.id).disputes


def hear(billing, simulated, topup):
    """Bring every webhook about a top-up to the host, the oldest first."""
    return [deliver(billing, each).status for each in simulated.events() if topup.id.encode() in each.body]


def look(billing, topup):
    """Ask the gateway about a top-up again."""
    return operator(billing).topups.recheck(topup.id)


def proven(billing):
    """Prove the books, and say what is wrong with them."""
    report = billing.check()
    assert report.ok, report.findings


def checkout_id(billing, topup):
    """Give the gateway's id of the checkout of a top-up that is paid."""
    return database(billing).read(lambda tx: topups.payment_ref(tx, topup.id)).checkout_id
