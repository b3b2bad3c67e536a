"""The gateway contract: what every adapter must do, as numbered rules that a test-suite runs.

Subclass `GatewayContract` in a test module, give `gateway` and `provider`, and
run pytest (or any runner that calls ``setup_method``, the ``test_*`` methods
and ``teardown_method``). `RULES` lists the rules; `check_contract` runs them
without a runner.
"""

from .checkouts import Checkouts
from .configuring import Configuring
from .driver import FaultKind, NotOffered, ProviderDriver
from .faults import Faults
from .incoming import Incoming
from .listings import Listings
from .payments import Payments
from .refunds import Refunds
from .report import ContractReport, check_contract
from .rules import RULES, RuleBroken

__all__ = [
    "RULES",
    "ContractReport",
    "FaultKind",
    "GatewayContract",
    "NotOffered",
    "ProviderDriver",
    "RuleBroken",
    "check_contract",
]


class GatewayContract(Configuring, Checkouts, Payments, Refunds, Listings, Incoming, Faults):
    """The rules that every gateway keeps; a subclass is a test class.

    A rule whose act the driver does not offer, or that the capabilities do not
    claim, is skipped and names its reason (``pytest -rs`` lists them). A broken
    rule is a `RuleBroken` that says what to fix.
    """
