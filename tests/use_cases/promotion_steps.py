"""What stories about promotions begin with."""

from __future__ import annotations

import pytest

from prepaid import Bonus, Discount, Percent, Promotion, PromotionRefused
from tests.use_cases.steps import ADA, eur, operator

TEN = Percent("10")


def promote(billing, code="SAVE10", effect=None, **limits):
    """Make a promotion: a bonus of a tenth, unless it is told otherwise."""
    return operator(billing).promotions.create(Promotion(code, effect or Bonus(TEN), **limits))


def discounting(percent, **cap):
    return Discount(Percent(percent), **cap)


def quote(billing, amount="50.00", code="SAVE10", *, customer=ADA, **options):
    return billing.customer(customer).topups.quote(eur(amount), code=code, **options)


def refused(call, *arguments, **options):
    """Give the reason why a code was refused."""
    with pytest.raises(PromotionRefused) as caught:
        call(*arguments, **options)
    assert caught.value.field == "code"
    return caught.value.reason


def status(billing, code="SAVE10"):
    return operator(billing).promotions.get(code)


def redemptions(billing, code="SAVE10"):
    """Give the states of a promotion's redemptions, the oldest first."""
    return [each.state for each in reversed(operator(billing).promotions.redemptions(code).items)]
