"""What a credited top-up posts: credit, grants, event and invoice, whatever account the money comes from."""

from __future__ import annotations

from typing import Any, Literal

from attrs import evolve, field, frozen

from .. import customers, documents, outbox, promotions, wallets
from ..config import Context
from ..core import keys
from ..core.money import Money
from ..core.payments import CheckoutRequest, PaymentSnapshot
from ..core.taxation import NOT_SOLD, TaxDecision, split_gross
from ..core.topups import Topup
from ..core.transfers import GOODWILL, PROMOTION, TAX_PAYABLE, AccountRef, bonus_lines, given_lines, topup_lines
from ..documents import Series
from ..store import Tx, accounts, topups
from ..store import customers as customer_rows
from ..store.ledger import Header, Label


@frozen(kw_only=True)
class Prepared:
    """What is made ready outside the transaction that sells.

    Attributes:
        source: Account that the payment comes from.
        system: Row ids of the book's own accounts.
        series: Where the invoice goes.
        invoice_id: Its id.
        profile_version: The tax profile that decided the tax, or None.
        goodwill: Credit given for what was not paid, in the top-up's currency.
    """

    source: AccountRef
    system: wallets.Accounts = field(repr=False)
    series: Series
    invoice_id: str
    profile_version: int | None
    goodwill: Money


def prepare(
    context: Context, topup: Topup, source: AccountRef, *, profile_version: int | None, goodwill: Money | None = None
) -> Prepared:
    """Open the wallet, the accounts and the invoice series that a sale needs."""
    currency = topup.total.currency
    accounts.ensure_wallet(context.database, topup.customer, currency, context.now())
    refs = {source, PROMOTION, TAX_PAYABLE, *((GOODWILL,) if goodwill else ())}
    return Prepared(
        source=source,
        system=wallets.credit_accounts(context, tuple(refs), currency, expires=bool(topup.bonus)),
        series=documents.open_series(context),
        invoice_id=context.ids.new("inv"),
        profile_version=profile_version,
        goodwill=goodwill or Money.zero(currency),
    )


def with_promotion(tx: Tx, context: Context, topup: Topup) -> Topup:
    """Redeem the promotion of a top-up that is being credited, and give the top-up as it is sold."""
    sold = promotions.redeem(tx, context, topup)
    if sold.promotion == "lost":
        topups.sell_without_promotion(tx, sold)
    return sold


def post(tx: Tx, context: Context, topup: Topup, prepared: Prepared, *, actor: str, payment_id: str) -> None:
    """Credit a top-up, tell of it and issue its invoice: the last that a transaction does, its state moved before.

    Raises:
        AmountOutOfRange: The balance would leave what the ledger can hold.
    """
    terms = promotions.bonus_terms(tx, context, topup)
    credits = _credits(context, topup, prepared, actor=actor, terms=terms)
    balance = wallets.post_credits(tx, context, topup.customer, credits=credits, system=prepared.system)
    _tell_credited(tx, context, topup, Money(balance, topup.total.currency))
    # The number last: its counter row is locked until the commit.
    documents.issue(
        tx,
        context,
        topup,
        customer=customers.get(tx, topup.customer),
        profile=customer_rows.profile_version(tx, topup.customer, prepared.profile_version),
        series=prepared.series,
        invoice_id=prepared.invoice_id,
        payment_id=payment_id,
    )


def _credits(
    context: Context, topup: Topup, prepared: Prepared, *, actor: str, terms: promotions.BonusTerms
) -> list[wallets.Credit]:
    bought = topup_lines(prepared.source, net=topup.net.units, discount=topup.discount.units, tax=topup.tax.total.units)
    paid = wallets.GrantSpec(
        kind="paid",
        size=topup.credit.units,
        source_topup=topup.id,
        cost_net_minor=topup.net.minor,
        cost_tax_minor=topup.tax.total.minor,
    )
    label = ", ".join(("Top-up", context.label_of(topup.gateway))).removesuffix(", ")
    credits = [_given(context, topup, "topup", actor=actor, label=label, lines=bought, grant=paid)]
    if prepared.goodwill:
        units = prepared.goodwill.units
        grant = wallets.GrantSpec(kind="goodwill", size=units, source_topup=topup.id)
        lines = given_lines(GOODWILL, units)
        credits.append(
            _given(context, topup, "goodwill", actor=actor, label="Goodwill credit", lines=lines, grant=grant)
        )
    if topup.bonus:
        grant = wallets.GrantSpec(
            kind="promotional",
            size=topup.bonus.units,
            source_topup=topup.id,
            expires_at=terms.expires_at,
            priority=terms.priority,
        )
        lines = bonus_lines(topup.bonus.units)
        credits.append(_given(context, topup, "bonus", actor=actor, label="Bonus credit", lines=lines, grant=grant))
    return credits


SaleKind = Literal["topup", "bonus", "goodwill"]


def _given(
    context: Context, topup: Topup, kind: SaleKind, *, actor: str, label: str, lines: Any, grant: wallets.GrantSpec
) -> wallets.Credit:
    identity = keys.settlement(context.database.book_id, kind, customer=topup.customer, topup_id=topup.id)
    return wallets.Credit(
        currency=topup.credit.currency,
        header=header(context, topup, kind, identity=identity, actor=actor),
        label=Label(description=label),
        lines=lines,
        grant=grant,
    )


def header(context: Context, topup: Topup, kind: SaleKind, *, identity: keys.Identity, actor: str) -> Header:
    """Make the header of a transaction that a top-up caused."""
    now = context.now()
    return Header(
        transaction_id=context.ids.new("txn"),
        kind=kind,
        cause_type="topup",
        cause_id=topup.id,
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor=actor,
        effective_at=now,
        posted_at=now,
    )


def _tell_credited(tx: Tx, context: Context, topup: Topup, balance: Money) -> None:
    outbox.emit(
        tx,
        context,
        "topup-credited",
        about=topup.id,
        customer=topup.customer,
        amount=topup.credit + topup.bonus,
        topup=topup.id,
        gateway=topup.gateway,
        balance_after=str(balance),
        **({"code": topup.code, "promotion": topup.promotion} if topup.promotion else {}),
    )


def further_topup(context: Context, first: Topup, payment: PaymentSnapshot) -> Topup:
    """Describe the top-up that a second payment of a checkout is: taxed as the first, without promotion."""
    captured, now = payment.captured or first.total, context.now()
    decision = _decision_of(context, first, captured)
    zero = Money.zero(captured.currency)
    return evolve(
        first,
        id=context.ids.new("top"),
        state="review",
        credit=decision.net,
        bonus=zero,
        discount=zero,
        net=decision.net,
        total=captured,
        tax=decision,
        created_at=now,
        expires_at=now,
        failure="second-payment",
        invoice_number=None,
        code="",
        promotion=None,
        further_of=first.id,
    )


def _decision_of(context: Context, first: Topup, captured: Money) -> TaxDecision:
    if captured.currency == first.total.currency:
        sold = split_gross(first.tax, captured, rounding=context.seller.rounding)
        if sold.net.units > 0:
            return sold
    # Only to be given back, so that nothing is sold, and nothing taxed.
    return TaxDecision(
        treatment="not_collecting",
        net=captured,
        total=Money.zero(captured.currency),
        gross=captured,
        category="O",
        reason=NOT_SOLD,
    )


def add_further(
    tx: Tx, context: Context, further: Topup, payment: PaymentSnapshot, *, profile_version: int | None
) -> None:
    """Keep such a top-up, under a key that its payment has alone.

    Raises:
        sqlalchemy.exc.IntegrityError: It is kept already.
    """
    request = CheckoutRequest(
        topup_id=further.id,
        amount=further.total,
        description="",
        return_url="",
        cancel_url="",
        customer_id=further.customer,
        expires_at=further.expires_at,
        key="",
    )
    identity = keys.further(
        context.database.book_id,
        gateway=further.gateway,
        payment_id=payment.payment_id or "",
        first=further.further_of or "",
    )
    topups.add(tx, further, request, profile_version=profile_version, **identity._asdict())
