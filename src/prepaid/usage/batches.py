"""Charges in batches: posted as one by one in their order, at a fraction of the cost.

A batch is not a transaction: each chunk of it is one. After a failure the same
batch is given again, and what was posted answers as a duplicate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from .. import wallets
from ..config import Context
from ..core import keys
from ..core.errors import InsufficientCredit, InvalidRequest, KeyConflict, NotFound, RequestRefused, WrongState
from ..core.money import Money
from ..core.usage import Charge, ChargeOutcome, Status
from ..store import bulk, resources
from ..system import collector_paused
from .charges import described


def charge_many(context: Context, wanted: Iterable[Charge]) -> tuple[ChargeOutcome, ...]:
    """Post usage debits in their order and give an outcome for each.

    One that is refused leaves the others alone, and the next may fit. Chunks of
    10 000 are a transaction each, or a savepoint each in a transaction of the host's.

    Args:
        context: The billing system.
        wanted: Any number of charges; a generator is read chunk by chunk.

    Raises:
        InvalidRequest: Not an iterable of charges.
        TransactionAborted: The database gave a chunk up; those before it are posted.
    """
    if not isinstance(wanted, Iterable):
        raise InvalidRequest("charges is a list of Charge.", field="charges")
    rest, outcomes = iter(wanted), list[ChargeOutcome]()
    while chunk := list(islice(rest, wallets.MOST)):
        with collector_paused():
            outcomes += _charge_chunk(context, chunk)
    return tuple(outcomes)


def _charge_chunk(context: Context, chunk: Sequence[Any]) -> list[ChargeOutcome]:
    """Charge what can be charged, and say of the rest why it cannot."""
    refused = {number: error for number, each in enumerate(chunk) if (error := _unfit(context, each)) is not None}
    refused |= _billed_elsewhere(context, {i: each for i, each in enumerate(chunk) if i not in refused})
    fit = [each for number, each in enumerate(chunk) if number not in refused] if refused else chunk
    posted = _post(context, fit) if fit else []
    if not refused:
        return posted
    rest = iter(posted)
    return [_refused(context, each, refused[i]) if i in refused else next(rest) for i, each in enumerate(chunk)]


def _unfit(context: Context, wanted: Any) -> RequestRefused | None:
    if not isinstance(wanted, Charge):
        return InvalidRequest("A batch consists of Charge values.", field="charges")
    if wanted.amount.currency not in context.currencies:
        return InvalidRequest(f"{wanted.amount.currency} is not in use here.", field="currency")
    return None


def _billed_elsewhere(context: Context, wanted: Mapping[int, Charge]) -> dict[int, RequestRefused]:
    """Refuse charges of resources that another biller was named for, but for those that were posted before."""
    named = {number: charge for number, charge in wanted.items() if charge.resource}
    names = {charge.resource for charge in named.values()}
    foreign = context.database.read(lambda tx: resources.billed_elsewhere(tx, names)) if names else set()
    hashes = {number: _key_of(context, each) for number, each in named.items() if each.resource in foreign}
    posted = context.database.read(lambda tx: bulk.find_posted(tx, set(hashes.values()))) if hashes else {}
    error = WrongState("The resource is billed elsewhere.", field="resource")
    return {number: error for number, key in hashes.items() if key not in posted}


def _key_of(context: Context, wanted: Charge) -> str:
    identity = keys.usage(
        context.database.book_id, "charge", customer=wanted.customer, key=wanted.key, amount=str(wanted.amount)
    )
    return identity.key_hash


def _refused(context: Context, wanted: Any, error: RequestRefused) -> ChargeOutcome:
    known = isinstance(wanted, Charge)
    currency = wanted.amount.currency if known else context.currencies[0]
    return _outcome("refused", wanted.key if known else "", balance=Money.zero(currency), error=error)


def _post(context: Context, charged: Sequence[Charge]) -> list[ChargeOutcome]:
    _open_wallets(context, charged)
    currencies = dict.fromkeys(charge.amount.currency for charge in charged)
    system = {currency: wallets.revenue_accounts(context, currency) for currency in currencies}
    wanted = _wanted(context, charged)
    answers = wallets.optimistic(
        context, lambda tx, look_up: wallets.post_debits(tx, context, wanted, system, look_up=look_up)
    )
    unknown = _unknown(context, charged, answers)
    return [
        answer if isinstance(answer, ChargeOutcome) else _not_posted(charge, answer, unknown=unknown)
        for charge, answer in zip(charged, answers, strict=True)
    ]


def _wanted(context: Context, charged: Sequence[Charge]) -> wallets.Wanted[ChargeOutcome]:
    now, ids = context.now(), context.ids.several("txn", len(charged))
    debits = wallets.debits_of(
        context, charged, ids, lambda charge, id: described(context, charge, transaction_id=id, now=now)
    )
    of_resources = any(charge.resource or charge.kind or charge.project or charge.period for charge in charged)
    return wallets.Wanted(charged, debits, _posted, now, of_resources=of_resources)


def _open_wallets(context: Context, charged: Sequence[Charge]) -> None:
    """Open the wallets of usage that is posted whatever the balance; only of customers who are registered."""
    names = {(charge.customer, charge.amount.currency) for charge in charged if charge.allow_negative}
    if not names:
        return
    database = context.database
    missing = database.read(lambda tx: bulk.without_wallet(tx, names))
    if missing:
        registered = database.read(lambda tx: bulk.registered(tx, {customer for customer, _ in missing}))
        bulk.open_wallets(database, [name for name in missing if name[0] in registered], context.now())


def _unknown(
    context: Context, charged: Sequence[Charge], answers: Sequence[ChargeOutcome | wallets.NotPosted]
) -> set[str]:
    """Give those of the customers without enough credit who are not registered at all."""
    pairs = zip(charged, answers, strict=True)
    short = {charge.customer for charge, answer in pairs if isinstance(answer, wallets.Short)}
    return short - context.database.read(lambda tx: bulk.registered(tx, short)) if short else short


def _posted(debit: wallets.Debit, taken: wallets.Taken) -> ChargeOutcome:
    header = debit.header
    return ChargeOutcome(
        status="posted",
        transaction_id=header.transaction_id,
        balance_after=Money(taken.parts[-1].after, debit.amount.currency),
        key=header.cause_id,
    )


def _not_posted(charge: Charge, answer: wallets.NotPosted, *, unknown: Collection[str]) -> ChargeOutcome:
    currency, key = charge.amount.currency, charge.key
    match answer:
        case wallets.Replayed(transaction, after):
            return _outcome("duplicate", key, balance=Money(after, currency), transaction=transaction)
        case wallets.Conflict(balance, about):
            return _outcome("conflict", key, balance=Money(balance, currency), error=KeyConflict("", field=about))
        case wallets.Short(available, balance) if charge.customer not in unknown:
            error = InsufficientCredit("", available=Money(available, currency))
            return _outcome("insufficient", key, balance=Money(balance, currency), error=error)
        case _:
            return _outcome("refused", key, balance=Money.zero(currency), error=NotFound("", field="customer"))


def _outcome(
    status: Status, key: str, *, balance: Money, transaction: str = "", error: RequestRefused | None = None
) -> ChargeOutcome:
    return ChargeOutcome(
        status=status,
        transaction_id=transaction,
        balance_after=balance,
        key=key,
        code="" if error is None else error.code,
        field="" if error is None else error.field or "",
    )
