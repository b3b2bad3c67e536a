"""What is typed about refunds, and where in a form a refusal is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from forms import read_money, sentence, typed
from prepaid import InvalidRequest, Money, RequestRefused
from promotion_forms import days, optional

ASK_FIELDS = ("amount", "reason", "key")
DECISION_FIELDS = ("decision", "amount", "reason", "note")
RECORD_FIELDS = ("amount", "reference", "reason")
USED_BEFORE = "This form was used before. Look at it again, then send it."


def read_amount(sent: Mapping[str, str]) -> Money:
    """Read the amount of a form.

    Raises:
        RequestRefused: There is none, or it is no money.
    """
    amount = optional("amount", read_money, sent)
    if amount is None:
        raise InvalidRequest("Give the amount.", field="amount")
    return amount


def read_days(values: Mapping[str, str], field: str) -> timedelta | None:
    """Read a number of days that may be left out.

    Raises:
        InvalidRequest: It is none.
    """
    return optional(field, days, typed(values, (field,)))


def placed(refused: RequestRefused, fields: Iterable[str], *, prefix: str = "") -> dict[str, str]:
    """Say a refusal at the field that it names; on top of the form if that has no such field.

    Args:
        refused: The refusal.
        fields: What the form shows.
        prefix: What the ids of its fields begin with, where a page has two forms.
    """
    if refused.field == "key":
        return {f"{prefix}form": USED_BEFORE}
    place = refused.field if refused.field in fields else "form"
    return {f"{prefix}{place}": sentence(refused)}
