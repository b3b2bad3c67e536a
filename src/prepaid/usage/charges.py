"""Charges: a debit by the caller's key, posted exactly once, never below the floor."""

from __future__ import annotations

from .. import customers, wallets
from ..config import Context
from ..core.errors import InsufficientCredit, KeyConflict
from ..core.hashing import fingerprint, key_hash
from ..core.instants import to_micros
from ..core.money import Money
from ..core.usage import Charge, ChargeOutcome
from ..store import Duplicate, accounts
from ..store.ledger import Header, Label


def charge(context: Context, wanted: Charge) -> ChargeOutcome:
    """Post a usage debit, or give the first answer if its key was posted before.

    Raises:
        InsufficientCredit: The wallet does not cover it; nothing was posted.
        KeyConflict: The key, or the resource's period, was charged with other content.
        NotFound: The customer is not registered.
        InvalidRequest: A currency that is not in use.
    """
    currency = context.currency_or_default(wanted.amount.currency)
    if wanted.allow_negative:
        # Performed usage is posted even to a wallet that was never used.
        customers.require(context, wanted.customer)
        accounts.ensure_wallet(context.database, wanted.customer, currency, context.now())
    system = wallets.revenue_accounts(context, currency)
    debit = _debit(context, wanted)
    try:
        result = context.database.write(lambda tx: wallets.post_debit(tx, context, debit, system))
    except Duplicate:
        replayed = context.database.write(lambda tx: wallets.replay(tx, context, debit.header))
        if replayed is None:
            raise KeyConflict("This period of the resource is charged already.", field="period") from None
        result = replayed
    return _outcome(context, wanted, debit, result)


def _outcome(
    context: Context,
    wanted: Charge,
    debit: wallets.Debit,
    result: wallets.Done | wallets.Replayed | wallets.Conflict | wallets.Short,
) -> ChargeOutcome:
    currency = wanted.amount.currency
    match result:
        case wallets.Done(after):
            return ChargeOutcome(
                status="posted",
                transaction_id=debit.header.transaction_id,
                balance_after=Money(after, currency),
                key=wanted.key,
            )
        case wallets.Replayed(transaction_id, after):
            return ChargeOutcome(
                status="duplicate", transaction_id=transaction_id, balance_after=Money(after, currency), key=wanted.key
            )
        case wallets.Conflict():
            raise KeyConflict("This key was charged with other content.", field="key")
        case wallets.Short(available):
            customers.require(context, wanted.customer)
            raise InsufficientCredit("The balance does not cover this.", available=Money(available, currency))


def _debit(context: Context, wanted: Charge) -> wallets.Debit:
    now, book = context.now(), context.database.book_id
    start, end = wanted.period or (None, None)
    period, ended = ("" if at is None else str(to_micros(at)) for at in (start, end))
    charged_period = wanted.resource and start is not None
    header = Header(
        transaction_id=context.ids.new("txn"),
        kind="charge",
        cause_type="usage",
        cause_id=wanted.key,
        key_hash=key_hash(book, "charge", wanted.customer, wanted.key),
        fingerprint=fingerprint("charge", str(wanted.amount), wanted.resource, wanted.kind, period, ended),
        actor="host",
        effective_at=end or now,
        posted_at=now,
    )
    label = Label(
        description=wanted.description,
        resource=wanted.resource or None,
        resource_kind=wanted.kind or None,
        project=wanted.project or None,
        period_start=start,
        period_end=end,
        charge_period_key=period_key(book, wanted.resource, period) if charged_period else None,
    )
    return wallets.Debit(
        customer=wanted.customer,
        amount=wanted.amount,
        performed=wanted.allow_negative,
        header=header,
        label=label,
    )


def period_key(book_id: int, resource: str, start: str) -> str:
    """Hash a resource's period, by its start: charged at most once, by meter or host."""
    return key_hash(book_id, "period", resource, start)
