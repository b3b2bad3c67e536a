"""Settings of a book that operators change while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from . import audit
from .config import Context
from .core.account_map import ACCOUNT_MAP_SETTING, AccountMap
from .core.countries import country_code
from .core.digest import DIGEST_SETTING, DigestSettings, settings_from_record
from .core.errors import InvalidRequest
from .core.grants import BURN_ORDER_SETTING, BurnOrder
from .core.hashing import canonical_json
from .core.identity import IDENTITY_SETTING, MAX_POLICIES, IdentityPolicy
from .core.limits import LIMITS_SETTING, TopupLimits
from .core.refund_requests import (
    APPROVALS_SETTING,
    DISPUTES_SETTING,
    REFUNDS_SETTING,
    Approvals,
    RefundPolicy,
)
from .core.thresholds import SETTING, Thresholds, currencies_of
from .offering import GATEWAYS_SETTING
from .store import Duplicate, Tx, accounts, operations


def set_thresholds(context: Context, thresholds: object, *, actor: str, reason: object = "") -> None:
    """Set the levels of balances that emit events; a balance that is below one is told at its next posting.

    Raises:
        InvalidRequest: Not `Thresholds`, levels that cannot be, or a currency not in use.
    """
    if not isinstance(thresholds, Thresholds):
        raise InvalidRequest("thresholds is a Thresholds.", field="thresholds")
    value = thresholds.record()
    for currency in currencies_of(value):
        context.currency_or_default(currency)
    _set(context, SETTING, value, actor=actor, reason=reason, then=accounts.forget_alerts)


def set_burn_order(context: Context, order: object, *, actor: str, reason: object = "") -> None:
    """Set the priorities that new grants get by their kind; grants that were given keep theirs.

    Raises:
        InvalidRequest: Not a `BurnOrder`.
    """
    if not isinstance(order, BurnOrder):
        raise InvalidRequest("order is a BurnOrder.", field="order")
    _set(context, BURN_ORDER_SETTING, order.record(), actor=actor, reason=reason)


def set_account_map(context: Context, names: object, *, actor: str, reason: object = "") -> None:
    """Name the accounts of the journal, all anew; those that are not named have their default names.

    Args:
        context: The billing system.
        names: By sort (``"wallet"``), or by sort and owner (``"clearing:acme"``): see `prepaid.core.account_map`.
        actor: The operator.
        reason: Why, or empty.

    Raises:
        InvalidRequest: Not a mapping, a sort that there is not, or a name that an account cannot have.
    """
    _set(context, ACCOUNT_MAP_SETTING, AccountMap(names).record(), actor=actor, reason=reason)


def set_topup_limits(context: Context, limits: object, *, actor: str, reason: object = "") -> None:
    """Set the limits of top-ups; those that are open already stay as they are.

    Raises:
        InvalidRequest: Not `TopupLimits`, or a currency not in use.
    """
    if not isinstance(limits, TopupLimits):
        raise InvalidRequest("limits is a TopupLimits.", field="limits")
    for currency in limits.currencies():
        context.currency_or_default(currency)
    _set(context, LIMITS_SETTING, limits.record(), actor=actor, reason=reason)


def set_identity_policies(context: Context, policies: tuple[object, ...], *, actor: str, reason: object = "") -> None:
    """Set when customers have to be verified, all anew; never, without any. What waits is credited by a job then.

    Raises:
        InvalidRequest: Not `IdentityPolicy`, too many of them, or a currency not in use.
    """
    value = {"policies": [policy.record() for policy in check_identity_policies(context, policies)]}
    _set(context, IDENTITY_SETTING, value, actor=actor, reason=reason)


def check_identity_policies(context: Context, policies: tuple[object, ...]) -> tuple[IdentityPolicy, ...]:
    """Return policies that a book can have.

    Raises:
        InvalidRequest: Not `IdentityPolicy`, too many of them, or a currency not in use.
    """
    if len(policies) > MAX_POLICIES:
        raise InvalidRequest(f"A book has at most {MAX_POLICIES} policies.", field="policies")
    checked = tuple(policy for policy in policies if isinstance(policy, IdentityPolicy))
    if len(checked) != len(policies):
        raise InvalidRequest("A policy is an IdentityPolicy.", field="policies")
    for policy in checked:
        for amount in policy.above:
            context.currency_or_default(amount.currency)
    return checked


def set_approvals(context: Context, two_person_above: object, *, actor: str, reason: object = "") -> None:
    """Set how much credit of one top-up or charge one operator may give back in all; None if any.

    Raises:
        InvalidRequest: Not `Money`, one per currency, or a currency not in use.
    """
    rule = Approvals(two_person_above)
    for amount in rule.two_person_above:
        context.currency_or_default(amount.currency)
    _set(context, APPROVALS_SETTING, rule.record(), actor=actor, reason=reason)


def set_refund_policy(
    context: Context, *, topups_within: object, charges_within: object, actor: str, reason: object = ""
) -> None:
    """Set until when customers may ask for a refund; always if None.

    Raises:
        InvalidRequest: Not a timedelta above zero and at most ten years.
    """
    policy = RefundPolicy(topups_within, charges_within)  # type: ignore[arg-type]
    _set(context, REFUNDS_SETTING, policy.record(), actor=actor, reason=reason)


def set_dispute_policy(context: Context, *, freeze: object, actor: str, reason: object = "") -> None:
    """Say whether a customer who disputes a payment is frozen; an operator ends that.

    Raises:
        InvalidRequest: Neither True nor False.
    """
    if not isinstance(freeze, bool):
        raise InvalidRequest("freeze is True or False.", field="freeze")
    _set(context, DISPUTES_SETTING, {"freeze": freeze}, actor=actor, reason=reason)


def set_digest(context: Context, settings: DigestSettings, *, actor: str, reason: object = "") -> None:
    """Set whether, when and to whom digests are sent; what is switched on begins with yesterday."""
    yesterday = context.current_day() - timedelta(days=1)

    def change(before: dict[str, Any]) -> dict[str, Any]:
        return settings.after(settings_from_record(before), yesterday=yesterday).record()

    _change(context, DIGEST_SETTING, change, actor=actor, reason=reason)


def enable_gateway(context: Context, name: object, *, on: bool, actor: str, reason: object = "") -> None:
    """Offer a gateway, or do not any more; what is open there is settled all the same.

    Raises:
        InvalidRequest: There is none of that name.
    """
    wanted = context.gateway(name).name

    def change(rules: dict[str, Any]) -> dict[str, Any]:
        others = [other for other in rules.get("disabled", ()) if other != wanted]
        return {**rules, "disabled": others if on else sorted([*others, wanted])}

    _change(context, GATEWAYS_SETTING, change, actor=actor, reason=reason)


def limit_gateway(context: Context, name: object, countries: object, *, actor: str, reason: object = "") -> None:
    """Offer a gateway to customers of some countries only, or of all if ``countries`` is None.

    Raises:
        InvalidRequest: There is none of that name, or no such country.
    """
    wanted = context.gateway(name).name
    if countries is not None and (isinstance(countries, str) or not isinstance(countries, Iterable)):
        raise InvalidRequest("countries is a tuple of country codes, or None.", field="countries")
    codes = None if countries is None else sorted({country_code(code) for code in countries})

    def change(rules: dict[str, Any]) -> dict[str, Any]:
        others = {other: only for other, only in rules.get("countries", {}).items() if other != wanted}
        return {**rules, "countries": others if codes is None else {**others, wanted: codes}}

    _change(context, GATEWAYS_SETTING, change, actor=actor, reason=reason)


def _set(
    context: Context,
    name: str,
    value: dict[str, Any],
    *,
    actor: str,
    reason: object,
    then: Callable[[Tx], None] = lambda tx: None,
) -> None:
    _change(context, name, lambda before: value, actor=actor, reason=reason, then=then)


def _change(
    context: Context,
    name: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    actor: str,
    reason: object,
    then: Callable[[Tx], None] = lambda tx: None,
) -> None:
    """Change a setting as it is now, with whoever else changes it waiting; what it is already is no act."""
    why = audit.optional_reason(reason)

    def work(tx: Tx) -> None:
        before = operations.read_setting(tx, name, hold=True) or {}
        after = change(before)
        if canonical_json(after) == canonical_json(before):  # or the commit was made, its answer lost
            return
        operations.write_setting(tx, name, after, context.now())
        then(tx)
        audit.record(tx, context, actor=actor, action="settings", target=name, reason=why, before=before, after=after)

    try:
        context.database.write(work)
    except Duplicate:  # set for the first time by two operators at once
        context.database.write(work)
