"""Settlement: the only way a payment becomes credit.

Return page, webhook, job and operator all end here. The payment is read anew
from the gateway, outside any transaction; then one transaction, guarded by the
top-up's state and by the uniqueness of the payment, posts the credit, opens the
grants, issues the invoice and writes what is to be told.
"""

from .checkouts import gateway_of, load, open_checkout
from .crediting import OTHERS_PAYMENT
from .endings import refuse
from .releasing import release_held
from .settling import MANY_LOOKS, settle, try_settle
from .values import Close, Settled, SettlementOutcome

__all__ = [
    "MANY_LOOKS",
    "OTHERS_PAYMENT",
    "Close",
    "Settled",
    "SettlementOutcome",
    "gateway_of",
    "load",
    "open_checkout",
    "refuse",
    "release_held",
    "settle",
    "try_settle",
]
