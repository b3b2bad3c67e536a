"""What a gateway keeps of a payment: posted beside it, or once it is told, in the fee's own currency."""

from __future__ import annotations

from attrs import frozen

from .. import wallets
from ..config import Context
from ..core import keys
from ..core.topups import Topup
from ..core.transfers import FEES, clearing, moving_lines
from ..ports import PaymentSnapshot
from ..store import Tx, accounts, payments
from ..store.ledger import Header
from .checkouts import load


@frozen
class Fee:
    """The fee of a payment and the accounts it is posted between; nothing without one."""

    payment: PaymentSnapshot
    system: wallets.Accounts

    def post(self, tx: Tx, context: Context, topup: Topup) -> None:
        """Post the fee, in the transaction that posts its payment."""
        fee, now = self.payment.fee, context.now()
        if not fee or fee.units < 0:
            return
        identity = keys.fee(context.database.book_id, topup.id)
        header = Header(
            transaction_id=context.ids.new("txn"),
            kind="fee",
            cause_type="payment",
            cause_id=topup.id,
            key_hash=identity.key_hash,
            fingerprint=identity.fingerprint,
            actor=f"gateway:{topup.gateway}",
            effective_at=now,
            posted_at=now,
        )
        lines = moving_lines([(FEES, clearing(topup.gateway), fee.units)])
        wallets.post_system(tx, header, lines, currency=fee.currency, system=self.system)


def fee_of(context: Context, topup: Topup, payment: PaymentSnapshot) -> Fee:
    """Open the accounts that the fee of a payment needs, outside the transaction that posts it."""
    if not payment.fee:
        return Fee(payment, {})
    refs = (FEES, clearing(topup.gateway))
    return Fee(payment, accounts.system_accounts(context.database, refs, payment.fee.currency, context.now()))


def post_late_fee(context: Context, gateway: str, payment: PaymentSnapshot) -> None:
    """Post the fee of a payment that was posted before its gateway told the fee; once, whoever is told of it."""
    fee, payment_id = payment.fee, payment.payment_id
    if not fee or payment_id is None:
        return
    topup_id = context.database.read(lambda tx: payments.without_fee(tx, gateway, payment_id))
    if topup_id is None:
        return
    topup = load(context, topup_id).topup
    late = fee_of(context, topup, payment)

    def work(tx: Tx) -> None:
        if payments.add_fee(tx, topup.id, fee):
            late.post(tx, context, topup)

    context.database.write(work)
