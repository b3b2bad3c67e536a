"""Payment gateways: one adapter per provider, each translating and deciding nothing.

Importing this package imports no provider's SDK.
"""

from .bank_transfer import BankTransferGateway
from .basic import BasicGateway
from .paypal import PayPalGateway
from .razorpay import RazorpayGateway
from .simulated import SimulatedGateway
from .stripe import StripeGateway

__all__ = [
    "BankTransferGateway",
    "BasicGateway",
    "PayPalGateway",
    "RazorpayGateway",
    "SimulatedGateway",
    "StripeGateway",
]
