"""Charges: a debit by the caller's key, posted exactly once, never below the floor."""

from __future__ import annotations

from datetime import datetime

from .. import customers, wallets
from ..config import Context
from ..core.errors import InsufficientCredit, InvalidRequest, KeyConflict, WrongState
from ..core.instants import to_micros
from ..core.keys import period_key, usage
from ..core.money import Money
from ..core.records import record
from ..core.transfers import REVENUE
from ..core.usage import Charge, ChargeOutcome
from ..store import Duplicate, Tx, accounts, resources
from ..store.ledger import Header, Label

Answer = wallets.Done | wallets.Replayed | wallets.Conflict | wallets.Short


def charge(context: Context, wanted: Charge) -> ChargeOutcome:
    """Post a usage debit, or give the first answer if its key was posted before.

    Raises:
        InsufficientCredit: The wallet does not cover it; nothing was posted.
        KeyConflict: The key, or the resource's period, was charged with other content.
        NotFound: The customer is not registered.
        WrongState: Another biller was named for the resource.
        InvalidRequest: A currency that is not in use.
    """
    return post(context, debit_of(context, wanted), key=wanted.key)


def adjust(context: Context, wanted: Charge) -> ChargeOutcome:
    """Charge usage that became known late: posted whatever the balance, counted in its original period.

    It stands beside what was charged for the period before; a reversal gives back what was too much.

    Raises:
        KeyConflict: The key was used with other content.
        NotFound: The customer is not registered.
        InvalidRequest: A currency that is not in use, or no period.
    """
    if wanted.period is None:
        raise InvalidRequest("period is a pair (start, end).", field="period")
    return post(context, debit_of(context, wanted, operation="adjustment"), key=wanted.key)


def post(context: Context, debit: wallets.Debit, *, key: str) -> ChargeOutcome:
    """Post one debit in a transaction of its own and say what became of it."""
    currency = context.currency_or_default(debit.amount.currency)
    system = wallets.revenue_accounts(context, currency)
    try:
        result = _posted(context, debit, system)
    except Duplicate:
        replayed = context.database.write(lambda tx: wallets.replay(tx, context, debit.header))
        if replayed is None:
            raise KeyConflict("This period of the resource is charged already.", field="period") from None
        result = replayed
    return outcome(context, debit, result, key=key)


def _posted(context: Context, debit: wallets.Debit, system: wallets.Accounts) -> Answer:
    """Post a debit by the fast path where that covers it, or else by the portable one."""
    database, amount = context.database, debit.amount
    header, label, to = debit.header, debit.label, system[REVENUE]
    after = database.debit_at_once(debit.customer, amount, header=header, label=label, to=to)
    if after is not None:
        return wallets.Done(after)
    if debit.performed:
        # Performed usage is posted even to a wallet that was never used.
        customers.require(context, debit.customer)
        accounts.ensure_wallet(database, debit.customer, amount.currency, context.now())

    def work(tx: Tx) -> Answer:
        return _billed_elsewhere(tx, context, debit) or wallets.post_debit(tx, context, debit, system)

    return database.write(work)


def _billed_elsewhere(tx: Tx, context: Context, debit: wallets.Debit) -> wallets.Replayed | wallets.Conflict | None:
    """Refuse a charge of a resource that another biller was named for, unless its key has an answer: give that.

    What was charged here before may still be adjusted.

    Raises:
        WrongState: The resource is billed elsewhere, and the key is new.
    """
    resource = debit.label.resource
    if debit.header.kind != "charge" or not resource or not resources.billed_elsewhere(tx, (resource,)):
        return None
    answer = wallets.replay(tx, context, debit.header)
    if answer is None:
        raise WrongState("The resource is billed elsewhere.", field="resource")
    return answer


def outcome(context: Context, debit: wallets.Debit, answer: Answer, *, key: str) -> ChargeOutcome:
    """Tell a caller what became of a debit.

    Raises:
        InsufficientCredit: The wallet does not cover it.
        KeyConflict: The key was used with other content.
        NotFound: The customer is not registered.
    """
    currency = debit.amount.currency
    match answer:
        case wallets.Done(after):
            transaction_id, money = debit.header.transaction_id, Money(after, currency)
            return ChargeOutcome(status="posted", transaction_id=transaction_id, balance_after=money, key=key)
        case wallets.Replayed(transaction_id, after):
            money = Money(after, currency)
            return ChargeOutcome(status="duplicate", transaction_id=transaction_id, balance_after=money, key=key)
        case wallets.Conflict():
            raise KeyConflict("This key was charged with other content.", field="key")
        case wallets.Short(available):
            customers.require(context, debit.customer)
            raise InsufficientCredit("The balance does not cover this.", available=Money(available, currency))


def debit_of(context: Context, wanted: Charge, *, operation: str = "charge") -> wallets.Debit:
    """Describe the posting of a charge, or of an adjustment."""
    return described(context, wanted, operation=operation, transaction_id=context.ids.new("txn"), now=context.now())


def described(
    context: Context, wanted: Charge, *, transaction_id: str, now: datetime, operation: str = "charge"
) -> wallets.Debit:
    """Describe the posting of a charge, or of an adjustment, that is given its id and instant."""
    book, (start, end) = context.database.book_id, wanted.period or (None, None)
    identity = usage(
        book,
        operation,
        customer=wanted.customer,
        key=wanted.key,
        amount=str(wanted.amount),
        resource=wanted.resource,
        kind=wanted.kind,
        period=("", "") if start is None or end is None else (str(to_micros(start)), str(to_micros(end))),
    )
    once = operation == "charge" and wanted.resource
    period = period_key(book, wanted.resource, str(to_micros(start))) if once and start else None
    # As records, here and below: a batch makes thousands.
    header = record(Header, (transaction_id, operation, "usage", wanted.key, *identity, "host", end or now, now, None))
    label = record(
        Label,
        (
            wanted.description,
            wanted.resource or None,
            wanted.kind or None,
            wanted.project or None,
            start,
            end,
            period,
        ),
    )
    performed = wanted.allow_negative or operation == "adjustment"
    return record(wallets.Debit, (wanted.customer, wanted.amount, performed, header, label))
