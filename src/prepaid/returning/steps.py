"""What refunds and disputes share: locks in one order, accounts opened before, headers."""

from __future__ import annotations

from attrs import field, frozen

from .. import documents, wallets
from ..config import Context
from ..core.keys import Identity
from ..core.taking import Taken, take
from ..core.transfers import (
    FEES,
    IN_TRANSIT,
    PROMOTION,
    TAX_PAYABLE,
    SystemKind,
    TransactionKind,
    clearing,
    disputed,
)
from ..documents import SeriesByKind
from ..store import Tx, accounts, grants, standings, topups
from ..store import customers as customer_rows
from ..store.accounts import Wallet
from ..store.ledger import Header
from ..store.standings import Sold
from ..store.topups import StoredTopup

OUTSIDE = clearing("outside")
"""Money that the seller gave back by other means than the gateway of its payment."""


@frozen(kw_only=True)
class Prepared:
    """What is opened outside the transaction that posts.

    Attributes:
        system: Row ids of the book's own accounts.
        fees: The accounts of fees, in the currency of a fee.
        series: Where documents go that the transaction issues at its end, by their kind.
    """

    system: wallets.Accounts = field(repr=False)
    fees: wallets.Accounts = field(repr=False)
    series: SeriesByKind


def prepare(context: Context, gateway: str, currency: str, *, fee_currency: str | None = None) -> Prepared:
    """Open the accounts and series that money which goes back by a gateway needs."""
    fees = accounts.system_accounts(
        context.database, (FEES, clearing(gateway)), fee_currency or currency, context.now()
    )
    refs = (IN_TRANSIT, PROMOTION, TAX_PAYABLE, FEES, OUTSIDE, clearing(gateway), disputed(gateway))
    return Prepared(
        fees=fees,
        system=wallets.credit_accounts(context, refs, currency, expires=True),
        series={kind: documents.open_series(context, kind) for kind in (documents.CREDIT_NOTE, documents.INVOICE)},
    )


@frozen(kw_only=True)
class Held:
    """A credited top-up whose row and wallet this transaction holds, with nothing due on the wallet.

    Attributes:
        stored: The top-up.
        sold: How it stands.
        wallet: The wallet.
    """

    stored: StoredTopup
    sold: Sold
    wallet: Wallet

    def own_grants(self, credit: int, clawed_back: int) -> Taken:
        """Choose what the top-up's own grants give; what they lack has no grant."""
        return take(credit, clawed_back, own=self.sold.own)

    def any_grants(self, tx: Tx, credit: int, clawed_back: int) -> Taken:
        """Choose what its own grants give, then others in burn order, then the debt."""
        own = {grant.id for grant in (self.sold.own.paid, self.sold.own.bonus) if grant is not None}
        others = [grant for grant in grants.open_grants(tx, self.wallet.id) if grant.id not in own]
        return take(credit, clawed_back, own=self.sold.own, others=others)


def hold_topup(tx: Tx, customer: str, topup_id: str) -> StoredTopup:
    """Lock a customer's turn and a top-up's row, in the order in which settlement does, and read the top-up."""
    customer_rows.hold(tx, customer)
    topups.hold(tx, topup_id)
    stored = topups.find(tx, topup_id)
    assert stored is not None  # noqa: S101 - whoever asks has read it
    return stored


def hold_sold(tx: Tx, context: Context, stored: StoredTopup) -> Held | None:
    """Lock the wallet of a top-up whose row is held, and read how it stands; None if it is not credited."""
    topup = stored.topup
    if topup.state != "credited":
        return None
    wallet = wallets.hold_swept(tx, context, topup.customer, currency=topup.total.currency)
    sold = standings.sold(tx, topup.id, context.now())
    assert wallet is not None and sold is not None  # noqa: S101, PT018 - it was credited to one
    return Held(stored=stored, sold=sold, wallet=wallet)


def held_wallet(tx: Tx, context: Context, customer: str, currency: str) -> Wallet:
    """Lock a wallet that credit comes back to, with nothing due on it."""
    wallet = wallets.hold_swept(tx, context, customer, currency=currency)
    assert wallet is not None  # noqa: S101 - credit was taken from it
    return wallet


def header(
    context: Context, kind: TransactionKind | SystemKind, *, cause: tuple[str, str], identity: Identity, actor: str
) -> Header:
    """Make the header of a transaction that a refund or a dispute causes, effective now."""
    now = context.now()
    return Header(
        transaction_id=context.ids.new("txn"),
        kind=kind,
        cause_type=cause[0],
        cause_id=cause[1],
        key_hash=identity.key_hash,
        fingerprint=identity.fingerprint,
        actor=actor,
        effective_at=now,
        posted_at=now,
    )


__all__ = ["OUTSIDE", "Held", "Prepared", "header", "held_wallet", "hold_sold", "hold_topup", "prepare"]
