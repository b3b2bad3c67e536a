"""Vouchers: codes that an operator makes and a customer turns into credit, each once.

Of a code only its hash is kept: it is told when it is made, and never again. A
voucher's credit is promotional, and nobody paid for it here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from . import attempts, audit, customers, wallets
from .config import Context, object_id, page_limit
from .core import keys
from .core.errors import AmountOutOfRange, CustomerFrozen, IntegrityFault, InvalidRequest, NotFound, PromotionRefused
from .core.grants import NEVER
from .core.ids import looks_like_id
from .core.instants import check_instant, local_day, to_micros
from .core.money import MAX_UNITS, Money, require_whole_minor
from .core.pages import Page, make_cursor, read_cursor
from .core.redemption import unknown
from .core.transfers import PROMOTION, given_lines
from .core.vouchers import (
    ALPHABET,
    SYMBOLS,
    VOUCHER_STATES,
    NewVoucher,
    RedeemedVoucher,
    Voucher,
    VoucherState,
    check_count,
    check_prefix,
    check_validity,
    ending_of,
    make_code,
    voucher_hash,
    voucher_identity,
)
from .store import Duplicate, Tx, accounts, vouchers
from .store import customers as customer_rows
from .store.ledger import Header, Label
from .store.vouchers import StoredVoucher, VoucherTerms
from .system import secret_numbers

# What an operator does


def create(
    context: Context,
    amount: Money,
    *,
    count: int,
    expires_at: datetime | None,
    credit_valid_for: timedelta | None,
    prefix: str,
    actor: str,
    reason: str = "",
) -> tuple[NewVoucher, ...]:
    """Make vouchers, all or none, and tell their codes: the only time that these are told.

    Args:
        context: The billing system.
        amount: The credit of each, in whole minor units.
        count: How many, from 1 to 10 000.
        expires_at: From when none can be redeemed any more; never if None.
        credit_valid_for: How long the credit lasts once it is redeemed, a minute or more; for ever if None.
        prefix: What the codes begin with, 16 characters at most; nothing if empty.
        actor: The operator.
        reason: Why, for the audit.

    Raises:
        InvalidAmount: Not money above zero in whole minor units.
        AmountOutOfRange: All together are more than the ledger can hold.
        InvalidRequest: A currency not in use, or another argument that cannot be right; ``field`` names it.
    """
    each, number = require_whole_minor(amount), check_count(count)
    context.currency_or_default(each.currency)
    if each.units * number > MAX_UNITS:
        raise AmountOutOfRange("All together are more than the ledger can hold.", field="amount")
    now, shown, why = context.now(), check_prefix(prefix), audit.optional_reason(reason)
    until = None if expires_at is None else check_instant(expires_at, field="expires_at")
    if until is not None and until <= now:
        raise InvalidRequest("expires_at is in the future.", field="expires_at")
    terms = VoucherTerms(
        batch=context.ids.new("bat"),
        amount=each,
        expires_at=until,
        credit_valid_s=check_validity(credit_valid_for),
        actor=actor,
        created_at=now,
    )
    made = _make(context, terms, number, prefix=shown)
    _keep(context, terms, made, reason=why)
    return made


def _make(context: Context, terms: VoucherTerms, count: int, *, prefix: str) -> tuple[NewVoucher, ...]:
    numbers = secret_numbers(SYMBOLS * count, below=len(ALPHABET))
    codes = (make_code(numbers[at : at + SYMBOLS], prefix=prefix) for at in range(0, len(numbers), SYMBOLS))
    return tuple(
        NewVoucher(id=voucher_id, code=code, amount=terms.amount, expires_at=terms.expires_at, batch=terms.batch)
        for voucher_id, code in zip(context.ids.several("vou", count), codes, strict=True)
    )


def _keep(context: Context, terms: VoucherTerms, made: tuple[NewVoucher, ...], *, reason: str) -> None:
    book, each = context.database.book_id, terms.amount
    rows = [(one.id, voucher_hash(book, voucher_identity(one.code)), ending_of(one.code)) for one in made]
    after = {
        "amount": str(each),
        "count": len(made),
        "total": str(Money(each.units * len(made), each.currency)),
        "expires_at": None if terms.expires_at is None else to_micros(terms.expires_at),
        "credit_valid_s": terms.credit_valid_s,
        "created_at": to_micros(terms.created_at),
    }

    def work(tx: Tx) -> None:
        vouchers.add(tx, terms, rows)
        audit.record(
            tx, context, actor=terms.actor, action="create-vouchers", target=terms.batch, reason=reason, after=after
        )

    try:
        context.database.write(work)
    except Duplicate as twice:
        # Unless the answer to our own commit was lost: two codes are the same only if chance is broken.
        if not context.database.read(lambda tx: vouchers.exists(tx, terms.batch)):
            raise IntegrityFault("A code was made for the second time.") from twice


def listed(
    context: Context,
    *,
    batch: str | None = None,
    state: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Voucher]:
    """List vouchers, newest first: all, or those of a batch, or in a state.

    Raises:
        InvalidRequest: No such state, a cursor of another list, or a limit out of range.
        NotFound: ``batch`` names none.
    """
    size, before = page_limit(limit), read_cursor("g", cursor)
    if before is not None and not looks_like_id(before):
        raise InvalidRequest("The cursor does not belong to this list.", field="cursor")
    if state is not None and state not in VOUCHER_STATES:
        raise InvalidRequest(f"state is one of {', '.join(VOUCHER_STATES)}.", field="state")
    of_batch = None if batch is None else object_id(batch, field="batch")
    wanted, now = cast("VoucherState | None", state), context.now()
    rows = context.database.read(
        lambda tx: vouchers.page(tx, batch=of_batch, state=wanted, now=now, before=before, limit=size + 1)
    )
    return Page(tuple(rows[:size]), make_cursor("g", rows[size - 1].id) if len(rows) > size else None)


def end(context: Context, voucher_or_batch: str, *, reason: str, actor: str) -> int:
    """Let an open voucher, or all open ones of a batch, be redeemed no more, and count them.

    What was redeemed stays so. Again ends what is open still: nothing.

    Raises:
        InvalidRequest: No reason.
        NotFound: There is no such voucher or batch.
    """
    wanted, why = object_id(voucher_or_batch, field="voucher"), audit.check_reason(reason)

    def work(tx: Tx) -> int:
        if not vouchers.exists(tx, wanted):
            raise NotFound("There is no such voucher or batch.", field="voucher")
        ended = vouchers.end(tx, wanted, now=context.now())
        if ended:
            after = {"batch": vouchers.batch_of(tx, wanted), "count": ended}
            audit.record(tx, context, actor=actor, action="end-vouchers", target=wanted, reason=why, after=after)
        return ended

    return context.database.write(work)


# What a customer does


def redeem(context: Context, customer_id: str, code: str) -> RedeemedVoucher:
    """Turn a code into credit; the same customer with the same code gets the first answer again.

    A code that is unknown counts as tried in vain, see `prepaid.attempts`.

    Raises:
        InvalidRequest: The code is not a string, or is of a currency that is not in use any more.
        NotFound: The customer is not registered.
        CustomerFrozen: They are frozen.
        TooManyAttempts: They tried too many codes in vain; ``params["retry_at"]`` is when they may again.
        PromotionRefused: The code is of no voucher that can be redeemed here (``"unknown"``), came too late
            (``"expired"``), or somebody else has its credit (``"already-used"``).
        AmountOutOfRange: The balance would be larger than the ledger can hold; the voucher stays as it is.
    """
    if not isinstance(code, str):
        raise InvalidRequest(f"code is a string, not {type(code).__name__}.", field="code")
    customer, code_hash = customers.require(context, customer_id).id, _hash_of(context, code)
    _require_unfrozen(context.database.read(lambda tx: customer_rows.frozen_at(tx, customer)))
    attempts.require_room(context, customer)
    try:
        return _redeem(context, customer, _seen(context, customer, code_hash), code_hash=code_hash)
    except PromotionRefused as refused:
        if refused.reason != "unknown":
            raise
        vain = refused
    attempts.missed(context, customer, code)
    raise vain


def _hash_of(context: Context, code: str) -> str:
    """Give the hash of a code; empty, which no voucher has, for what can be none."""
    try:
        return voucher_hash(context.database.book_id, voucher_identity(code))
    except InvalidRequest:
        return ""


def _require_unfrozen(frozen_at: datetime | None) -> None:
    if frozen_at is not None:
        raise CustomerFrozen("The customer is frozen.", field="customer")


def _seen(context: Context, customer: str, code_hash: str) -> StoredVoucher:
    """Look a code up before anything is opened for it; what it is worth in the end is decided by `_redeem`."""
    now = context.now()
    found = context.database.read(lambda tx: vouchers.find(tx, code_hash, now=now)) if code_hash else None
    return _not_refused(context, customer, found)


def _not_refused(context: Context, customer: str, found: StoredVoucher | None) -> StoredVoucher:
    """Return a voucher that is open, or that the customer redeemed.

    Raises:
        PromotionRefused: It is neither.
    """
    if found is None or found.voucher.state == "ended":
        raise unknown()
    voucher = found.voucher
    if voucher.state == "expired" and voucher.expires_at is not None:
        day = local_day(voucher.expires_at, context.seller.timezone).isoformat()
        raise PromotionRefused(f"This code expired on {day}.", reason="expired", expires_at=voucher.expires_at)
    if voucher.redeemed_by not in (None, customer):
        raise PromotionRefused("This code has been used.", reason="already-used")
    return found


def _redeem(context: Context, customer: str, found: StoredVoucher, *, code_hash: str) -> RedeemedVoucher:
    now, amount = context.now(), found.voucher.amount
    currency, lapses_at = context.currency_or_default(amount.currency), found.lapses_at(now)
    credit = _credit(context, customer, found, now=now)
    accounts.ensure_wallet(context.database, customer, currency, now)
    opened = wallets.credit_accounts(context, (PROMOTION,), currency, expires=lapses_at is not None)
    transaction = credit.header.transaction_id

    def work(tx: Tx) -> RedeemedVoucher:
        # The customer first, as whoever begins or settles something of theirs does; then the voucher, then the wallet.
        customer_rows.hold(tx, customer)
        _require_unfrozen(customer_rows.frozen_at(tx, customer))
        if not vouchers.redeem(tx, code_hash, customer=customer, transaction_id=transaction, now=now):
            return _first_answer(context, customer, vouchers.find(tx, code_hash, now=now, hold=True))
        wallets.post_credits(tx, context, customer, credits=[credit], system=opened)
        return RedeemedVoucher(transaction, amount, lapses_at)

    try:
        return context.database.write(work)
    except Duplicate as twice:
        raise IntegrityFault("A voucher that is open has been credited before.") from twice


def _credit(context: Context, customer: str, found: StoredVoucher, *, now: datetime) -> wallets.Credit:
    voucher, lapses_at = found.voucher, found.lapses_at(now)
    until = "" if lapses_at is None else str(to_micros(lapses_at))
    identity = keys.voucher(
        context.database.book_id, voucher.id, customer=customer, amount=str(voucher.amount), expires_at=until
    )
    header = Header(
        transaction_id=context.ids.new("txn"),
        kind="voucher",
        cause_type="voucher",
        cause_id=voucher.id,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor=f"customer:{customer}"[:191],
        effective_at=now,
        posted_at=now,
    )
    return wallets.Credit(
        currency=voucher.amount.currency,
        header=header,
        label=Label(description=f"Voucher …{voucher.ending}"),
        lines=given_lines(PROMOTION, voucher.amount.units),
        grant=wallets.GrantSpec(
            kind="promotional",
            size=voucher.amount.units,
            expires_at=NEVER if lapses_at is None else lapses_at,
            key_hash=identity.key_hash,
            given={"voucher": voucher.id, "expires_at": until},
        ),
    )


def _first_answer(context: Context, customer: str, found: StoredVoucher | None) -> RedeemedVoucher:
    """Give what the customer was told when they redeemed a voucher; the turn they took makes it durable."""
    answer = _not_refused(context, customer, found).answer()
    if answer is None:
        raise IntegrityFault("An open voucher could not be redeemed.")
    return answer
