"""Payment gateways: one adapter per provider, each translating and deciding nothing.

Importing this package imports no provider's SDK.
"""

from .basic import BasicGateway
from .paypal import PayPalGateway
from .simulated import SimulatedGateway
from .stripe import StripeGateway

__all__ = ["BasicGateway", "PayPalGateway", "SimulatedGateway", "StripeGateway"]
