"""Refunds from the customer's side: what may be asked back, asking, taking that back.

A request moves no money. What may be asked is worked out anew when an operator
decides: usage goes on meanwhile.
"""

from __future__ import annotations

from attrs import evolve, frozen

from . import audit, customers, objections, outbox, returning
from .config import Context, object_id, page_limit
from .core.clawback import by_credit
from .core.errors import (
    CurrencyMismatch,
    CustomerFrozen,
    InvalidRequest,
    KeyConflict,
    NotFound,
    RefundRefused,
    WrongState,
)
from .core.ids import check_key, check_text
from .core.keys import Identity, refund_request
from .core.money import Money, require_positive, require_whole_minor
from .core.pages import Page, make_cursor, read_cursor, read_number_cursor
from .core.refund_requests import MAX_WORDS, REASONS, EligibleRefund, RequestedRefund, Subject
from .core.usage import Transaction
from .objection_ports import RefundQuestion
from .store import Duplicate, Tx, accounts, history, ledger, refund_requests, standings, topups
from .store import customers as customer_rows
from .store.ledger import PostedCharge
from .wallets import reversing


def eligible(context: Context, customer_id: str, *, cursor: str | None, limit: int) -> Page[EligibleRefund]:
    """List what a customer bought and was charged, each with how much of it may be asked back, and why not more.

    Credited top-ups come first, the newest first; then charges in the customer's
    currency, the newest first.

    Raises:
        InvalidRequest: A cursor of another list, or a limit out of range.
        NotFound: The customer is not registered.
    """
    customer, size = customers.require(context, customer_id), page_limit(limit)
    is_charge = isinstance(cursor, str) and cursor.startswith("g.")
    before = None if is_charge else read_cursor("e", cursor)
    before_seq = read_number_cursor("g", cursor) if is_charge else None

    def read(tx: Tx) -> Page[EligibleRefund]:
        bought: list[EligibleRefund] = []
        if not is_charge:
            rows = topups.credited_ids(tx, customer.id, before=before, limit=size + 1)
            bought = returning.topups_eligible(tx, context, rows[:size])
            if len(rows) > size:
                return Page(tuple(bought), make_cursor("e", rows[size - 1]))
        room = size - len(bought)
        found = _charges(tx, customer.id, customer.currency, before_seq=before_seq, limit=room + 1)
        shown = returning.charges_eligible(tx, context, [_as_eligible(line) for _, line in found[:room]])
        if len(found) <= room:
            return Page((*bought, *shown))
        # Where the top-ups fill the page, the first charge stands on the next.
        following = make_cursor("g", found[room - 1][0] if room else found[0][0] + 1)
        return Page((*bought, *shown), following)

    return context.database.read(read)


def _charges(
    tx: Tx, customer: str, currency: str, *, before_seq: int | None, limit: int
) -> list[tuple[int, Transaction]]:
    wallet = accounts.find_wallet(tx, customer, currency)
    if wallet is None:
        return []
    return history.page(tx, wallet.id, kind="charge", before_seq=before_seq, limit=limit)


def _as_eligible(line: Transaction) -> EligibleRefund:
    nothing = Money.zero(line.amount.currency)
    return EligibleRefund(
        kind="charge",
        id=line.id,
        at=line.at,
        description=line.description,
        total=-line.amount,
        credit=-line.amount,
        cash=nothing,
        tax=nothing,
        clawback=nothing,
    )


def eligible_of(context: Context, customer_id: str, subject_id: object) -> EligibleRefund:
    """Say of one top-up or charge how much may be asked back, and why not more.

    Raises:
        RefundRefused: It is a top-up that is not credited, with the reason.
        NotFound: Unknown, or another customer's.
    """
    customer, wanted = customers.require(context, customer_id).id, object_id(subject_id, field="refund")
    return context.database.read(lambda tx: _eligible(tx, context, customer, wanted))


def _eligible(tx: Tx, context: Context, customer: str, subject_id: str) -> EligibleRefund:
    if subject_id.startswith("top_"):
        return _topup_eligible(tx, context, customer, subject_id)
    charge = ledger.find_charge(tx, subject_id)
    if charge is None or charge.owner != customer:
        raise _unknown()
    return _charge_eligible(tx, context, charge)


def _topup_eligible(tx: Tx, context: Context, customer: str, topup_id: str) -> EligibleRefund:
    stored = topups.find(tx, topup_id)
    if stored is None or stored.topup.customer != customer:
        raise _unknown()
    found = returning.topups_eligible(tx, context, [topup_id])
    if not found:
        raise returning.not_credited(stored.topup)
    return found[0]


def _charge_eligible(tx: Tx, context: Context, charge: PostedCharge) -> EligibleRefund:
    try:
        reversing.reversible(charge, None)
    except WrongState:
        raise _unknown() from None  # a refund, an expiry: nothing that can be asked back
    return returning.charge_eligible(tx, context, charge)


def request(
    context: Context, customer_id: str, subject_id: object, amount: object, *, reason: object, key: object
) -> RequestedRefund:
    """Ask for a part of a top-up's credit, or of a charge, back; the same key again gives the same request.

    Args:
        context: The billing system.
        customer_id: Who asks.
        subject_id: The top-up, ``top_…``, or the charge's transaction, ``txn_…``.
        amount: How much credit; of a top-up in whole minor units.
        reason: Why; operators read it.
        key: The customer's key.

    Raises:
        RefundRefused: More than may be asked back, with the reason; or plugins object.
        NotFound: Unknown, or another customer's.
        CustomerFrozen: The customer is frozen.
        CurrencyMismatch: Another currency than it is in.
        InvalidAmount: Not money above zero, or not in whole minor units.
        InvalidRequest: No reason, or a key of the wrong form.
        KeyConflict: The key asked for something else.
    """
    customer = customers.require(context, customer_id).id
    wanted, why = object_id(subject_id, field="refund"), _words(reason, field="reason")
    asked = require_whole_minor(amount) if wanted.startswith("top_") else require_positive(amount)
    identity = refund_request(
        context.database.book_id, customer=customer, key=check_key(key), subject_id=wanted, amount=str(asked)
    )
    act = _Request(context, customer, wanted, asked, why, identity)
    if context.database.read(act.is_new):
        act = evolve(act, opposed=objections.to_refund(context, act.question))
    try:
        return context.database.write(act.make)
    except Duplicate:  # asked for at the same moment, under this key or another
        return context.database.write(act.make)


@frozen
class _Request:
    """One request, checked but for what the database says."""

    context: Context
    customer: str
    subject_id: str
    amount: Money
    reason: str
    identity: Identity
    opposed: RefundRefused | None = None

    @property
    def kind(self) -> Subject:
        """What a part of is asked back."""
        return "topup" if self.subject_id.startswith("top_") else "charge"

    @property
    def question(self) -> RefundQuestion:
        """What plugins are asked about it."""
        return RefundQuestion(
            customer_id=self.customer,
            moment="request",
            kind=self.kind,
            subject_id=self.subject_id,
            amount=self.amount,
            actor=_actor(self.customer),
        )

    def is_new(self, tx: Tx) -> bool:
        """Tell whether its key was never used, and refuse then what need not be asked about."""
        if self._first_answer(tx) is not None:
            return False
        self._require_possible(tx)
        return True

    def make(self, tx: Tx) -> RequestedRefund:
        """Keep it, or give the first answer of its key."""
        customer_rows.hold(tx, self.customer)
        known = self._first_answer(tx)
        if known is not None:
            return known
        self._require_possible(tx)
        if self.opposed is not None:
            raise self.opposed
        return self._keep(tx)

    def _first_answer(self, tx: Tx) -> RequestedRefund | None:
        known = refund_requests.find_by_key(tx, self.identity.key_hash)
        if known is None:
            return None
        if known.fingerprint != self.identity.fingerprint:
            raise KeyConflict("This key asked for something else.", field="key")
        return known.request

    def _require_possible(self, tx: Tx) -> None:
        if customer_rows.frozen_at(tx, self.customer) is not None:
            raise CustomerFrozen("The customer is frozen.", field="customer")
        self._check(tx, _eligible(tx, self.context, self.customer, self.subject_id))

    def _check(self, tx: Tx, found: EligibleRefund) -> None:
        """Refuse more than may be asked back.

        Raises:
            CurrencyMismatch: Another currency.
            RefundRefused: More than that, or so little that it is no money.
        """
        if self.amount.currency != found.total.currency:
            raise CurrencyMismatch(f"This is in {found.total.currency}.", field="amount")
        if self.amount > found.credit:
            said = found.message or REASONS["spent"]
            text = f"Of this {found.credit} may be asked back. {said}"
            raise RefundRefused(text, reason=found.reason or "spent", eligible=str(found.credit))
        if found.kind == "topup":
            sold = standings.sold(tx, self.subject_id, self.context.now())
            assert sold is not None  # noqa: S101 - something of it is eligible
            part = by_credit(sold.bought, self.amount.units, sold.before)
            returning.require_givable(self.context, sold, gross_minor=part.gross_minor)

    def _keep(self, tx: Tx) -> RequestedRefund:
        made = RequestedRefund(
            id=self.context.ids.new("req"),
            customer=self.customer,
            kind=self.kind,
            subject_id=self.subject_id,
            amount=self.amount,
            state="requested",
            reason=self.reason,
            created_at=self.context.now(),
        )
        refund_requests.add(tx, made, **self.identity._asdict())
        _note(tx, self.context, made, "refund-request")
        outbox.emit(
            tx,
            self.context,
            "refund-requested",
            about=made.id,
            customer=self.customer,
            amount=self.amount,
            request=made.id,
            subject=self.subject_id,
        )
        return made


def withdraw(context: Context, customer_id: str, request_id: object) -> RequestedRefund:
    """Take a request back that nobody has decided; again changes nothing.

    Raises:
        NotFound: Unknown, or another customer's.
        WrongState: It was decided.
    """
    found = get(context, customer_id, request_id)

    def work(tx: Tx) -> RequestedRefund:
        held = refund_requests.hold(tx, found.id)
        assert held is not None  # noqa: S101 - a request never goes away
        values = {"decided_at": context.now(), "approved": None}  # one of two operators may have approved it
        if held.request.is_open and refund_requests.step(tx, found.id, "withdrawn", **values):
            _note(tx, context, held.request, "refund-withdraw")
        elif held.request.state != "withdrawn":
            raise WrongState("This request was decided.", field="refund", state=held.request.state)
        return refund_requests.find(tx, found.id) or held.request

    return context.database.write(work)


def get(context: Context, customer_id: str, request_id: object) -> RequestedRefund:
    """Read a request.

    Raises:
        NotFound: Unknown, or another customer's.
    """
    customer, wanted = customers.require(context, customer_id).id, object_id(request_id, field="refund")
    found = context.database.read(lambda tx: refund_requests.find(tx, wanted, customer=customer))
    if found is None:
        raise _unknown()
    return found


def list_of(context: Context, customer_id: str, *, cursor: str | None, limit: int) -> Page[RequestedRefund]:
    """List a customer's requests, newest first.

    Raises:
        InvalidRequest: A cursor of another list, or a limit out of range.
        NotFound: The customer is not registered.
    """
    customer, size, before = customers.require(context, customer_id).id, page_limit(limit), read_cursor("r", cursor)
    rows = context.database.read(lambda tx: refund_requests.of_customer(tx, customer, before=before, limit=size + 1))
    return Page(tuple(rows[:size]), make_cursor("r", rows[size - 1].id) if len(rows) > size else None)


def _unknown() -> NotFound:
    return NotFound("There is no such refund, top-up or charge.", field="refund")


def _words(text: object, *, field: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InvalidRequest(f"Say why: {field} must not be empty.", field=field)
    return check_text(text, field=field, longest=MAX_WORDS)


def _note(tx: Tx, context: Context, request: RequestedRefund, action: str) -> None:
    after, actor = {"subject": request.subject_id, "amount": str(request.amount)}, _actor(request.customer)
    audit.record(tx, context, actor=actor, action=action, target=request.id, customer=request.customer, after=after)


def _actor(customer: str) -> str:
    return f"customer:{customer}"[:191]
