"""Identity providers: one adapter for each who verifies customers, translating and deciding nothing.

Importing this package imports no provider's SDK.
"""

from .manual import ManualReview
from .simulated import SimulatedIdentity
from .stripe import StripeIdentity

__all__ = ["ManualReview", "SimulatedIdentity", "StripeIdentity"]
