"""Payment gateways: one adapter per provider, each translating and deciding nothing.

Importing this package imports no provider's SDK.
"""

from .basic import BasicGateway
from .razorpay import RazorpayGateway
from .simulated import SimulatedGateway
from .stripe import StripeGateway

__all__ = ["BasicGateway", "RazorpayGateway", "SimulatedGateway", "StripeGateway"]
