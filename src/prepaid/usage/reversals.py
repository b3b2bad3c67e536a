"""Reversals: usage given back, in whole or in part, to the credit it came from."""

from __future__ import annotations

from datetime import datetime

from .. import returning
from ..config import Context, object_id
from ..core.errors import InvalidRequest
from ..core.ids import check_key, check_text
from ..core.instants import check_instant
from ..core.money import Money, require_positive
from ..core.usage import ChargeOutcome
from ..store import Duplicate, Tx, ledger
from ..store.ledger import Header, PostedCharge
from ..wallets import due, reversing


def reverse(
    context: Context,
    transaction_id: str,
    amount: Money | None = None,
    *,
    key: str,
    reason: str,
    expires_at: datetime | None = None,
) -> ChargeOutcome:
    """Give a charge back, all of what is left of it or an amount; the same key again changes nothing.

    Credit goes back to the grants it came from, the last burned first. What was
    charged below zero lowers the debt that is left, then goes to the credit that
    paid it meanwhile. Credit of an expired grant comes back and expires at once,
    unless it is given a new expiry. It counts in the charge's original period.

    Args:
        context: The billing system.
        transaction_id: The charge, ``txn_…``.
        amount: How much; all that was not given back before if None.
        key: The caller's key.
        reason: Why; the customer reads it.
        expires_at: New expiry for credit of grants that have expired.

    Raises:
        NotFound: There is no such charge.
        WrongState: The transaction is no charge, or all of it was given back.
        AmountOutOfRange: More than is left of it.
        CurrencyMismatch: Another currency than the charge's.
        KeyConflict: The key was used with other content.
        InvalidRequest: A key or reason of the wrong form, an expiry in the past.
    """
    wanted = object_id(transaction_id, field="transaction")
    check_key(key)
    check_text(reason, field="reason", longest=200, empty=False)
    if amount is not None:
        require_positive(amount)
    expiry = None if expires_at is None else check_instant(expires_at, field="expires_at")
    passed = expiry is not None and expiry <= context.now()
    found = context.database.read(lambda tx: ledger.find_charge(tx, wanted))
    charge = reversing.reversible(found, amount)
    header = reversing.reversal_header(context, charge, "" if amount is None else str(amount), key=key)
    if passed:  # a key that was used gives its first answer whatever the time is now
        return context.database.write(lambda tx: _known(tx, context, charge, header))
    system = reversing.reversal_accounts(context, charge.currency)

    def work(tx: Tx) -> tuple[ChargeOutcome, bool]:
        return reversing.reverse(
            tx, context, charge, header=header, amount=amount, reason=reason, expiry=expiry, system=system
        )

    try:
        done, told = due.write(context, charge.owner, charge.currency, work)
    except Duplicate:
        return context.database.write(lambda tx: reversing.reversed_again(tx, context, charge, header))
    if told:
        returning.hold_freed_now(context, about=header.transaction_id)
    return done


def _known(tx: Tx, context: Context, charge: PostedCharge, header: Header) -> ChargeOutcome:
    if ledger.find_posted(tx, header.key_hash) is None:
        raise InvalidRequest("expires_at lies in the past.", field="expires_at")
    return reversing.reversed_again(tx, context, charge, header)
