"""The operator's desk of refunds: what waits, approving, rejecting, and what was given back by other means."""

from .deciding import approve, reject
from .looking import RefundCase, case_of, eligible_of, queue, rules
from .recording import record

__all__ = ["RefundCase", "approve", "case_of", "eligible_of", "queue", "record", "reject", "rules"]
