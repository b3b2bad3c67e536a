"""Every error that the library raises on purpose, in one short tree.

::

    PrepaidError
    ├── RequestRefused            safe to show; ``code``, ``field``, ``message``, ``params``
    │   ├── InvalidAmount         not a money amount, or too fine, or out of range
    │   ├── CurrencyMismatch      two currencies in one operation
    │   ├── AmountOutOfRange      outside what a gateway or a limit allows
    │   ├── InvalidRequest        any other argument that cannot be right
    │   ├── NotFound              unknown or not yours, in one shape
    │   ├── InsufficientCredit    the guarded balance does not cover it
    │   ├── KeyConflict           the key was used with other content
    │   ├── QuoteExpired          past its time
    │   ├── QuoteChanged          what would be paid differs; ``quote``
    │   ├── PromotionRefused      the code does not apply; ``reason``
    │   ├── TopupRefused          plugins object to it; ``objections``
    │   ├── RefundRefused         so much cannot be given back; ``reason``, ``objections``
    │   ├── TooManyAttempts       tried too often; not looked at for a while
    │   ├── IdentityRequired      verify first; ``status``
    │   ├── TaxProfileInvalid     the tax profile cannot be used
    │   ├── TaxUndecided          the seller's rules do not say how to tax it
    │   ├── CustomerFrozen        nothing new may be started
    │   ├── NotAllowed            the operator lacks the permission
    │   └── WrongState            the object is past that step, or billed elsewhere
    ├── GatewayError              ``retryable``, ``outcome_unknown``
    │   └── GatewayUnavailable    a start whose outcome is open; ``topup_id``
    ├── WebhookRejected           not signed, stale, malformed
    ├── ConfigurationError        the set-up is wrong; names what to change
    ├── TransactionAborted        the database gave up; run it again with the same keys
    └── IntegrityFault            the books contradict themselves

A refusal never leaves a half-done row. What was due on the wallet that it found
stays dealt with.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .identity import IdentityStatus
    from .money import Money
    from .quotes import Quote


class PrepaidError(Exception):
    """Base of everything the library raises on purpose; may be pickled, so that it crosses processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: dict(value) if name == "params" else value for name, value in vars(self).items()}
        return _rebuild, (type(self), self.args, state)


def _rebuild(kind: type[PrepaidError], args: tuple[Any, ...], state: dict[str, Any]) -> PrepaidError:
    # Not through the constructor: each error has arguments of its own.
    error = kind.__new__(kind, *args)
    if "params" in state:
        state["params"] = MappingProxyType(state["params"])
    vars(error).update(state)
    return error


class RequestRefused(PrepaidError):
    """A request that cannot be met, with words fit to show to a customer.

    Attributes:
        code: Stable name in kebab-case; the same for every message of a class.
        field: The argument that is wrong, or None.
        message: One English sentence without secrets or personal data.
        params: The values in the message, for translation.
    """

    code: ClassVar[str] = "request-refused"

    def __init__(self, message: str, *, field: str | None = None, **params: Any) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.params: Mapping[str, Any] = MappingProxyType(params)


class InvalidRequest(RequestRefused):
    """An argument has the wrong type, length or form."""

    code = "invalid-request"


class InvalidAmount(RequestRefused):
    """A value is no money amount of its currency."""

    code = "invalid-amount"


class CurrencyMismatch(RequestRefused):
    """Two amounts of different currencies met in one operation."""

    code = "currency-mismatch"


class AmountOutOfRange(RequestRefused):
    """An amount is below a minimum, above a maximum or off the step."""

    code = "amount-out-of-range"


class NotFound(RequestRefused):
    """The object does not exist, or belongs to somebody else: one shape for both."""

    code = "not-found"


class InsufficientCredit(RequestRefused):
    """The wallet does not cover the amount.

    Attributes:
        available: What the wallet could have paid, overdraft included.
    """

    code = "insufficient-credit"

    def __init__(self, message: str, *, available: Money) -> None:
        super().__init__(message, field="amount", available=str(available))
        self.available = available


class KeyConflict(RequestRefused):
    """The key was used before, with other content."""

    code = "key-conflict"


class QuoteExpired(RequestRefused):
    """The quote is past its time; ask for a new one."""

    code = "quote-expired"


class QuoteChanged(RequestRefused):
    """What would be paid differs from what the customer saw.

    Attributes:
        quote: The new quote, to be shown before anything is started.
    """

    code = "quote-changed"

    def __init__(self, message: str, *, quote: Quote) -> None:
        super().__init__(message, field="quote")
        self.quote = quote


class PromotionRefused(RequestRefused):
    """A code is no voucher for this customer, or no promotion for this top-up.

    Attributes:
        reason: Why, in a machine word.
    """

    code = "promotion-refused"

    def __init__(self, message: str, *, reason: str, **params: Any) -> None:
        super().__init__(message, field="code", reason=reason, **params)
        self.reason = reason


class TopupRefused(RequestRefused):
    """Plugins object to a top-up.

    Attributes:
        objections: Their sentences, in the order of the plugins.
    """

    code = "topup-refused"

    def __init__(self, message: str, *, objections: tuple[str, ...]) -> None:
        super().__init__(message)
        self.objections = objections


class RefundRefused(RequestRefused):
    """So much, or anything at all, cannot be given back.

    Attributes:
        reason: Why, in a machine word.
        objections: The sentences of plugins that object, in their order.
    """

    code = "refund-refused"

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        field: str | None = "amount",
        objections: tuple[str, ...] = (),
        **params: Any,
    ) -> None:
        super().__init__(message, field=field, reason=reason, **params)
        self.reason = reason
        self.objections = objections


class TooManyAttempts(RequestRefused):
    """Something was tried too often; nothing is looked at until a while has passed."""

    code = "too-many-attempts"


class IdentityRequired(RequestRefused):
    """The customer has to verify their identity first.

    Attributes:
        status: What is known of it, and what to do.
    """

    code = "identity-required"

    def __init__(self, message: str, *, status: IdentityStatus) -> None:
        super().__init__(message, field="identity")
        self.status = status


class TaxProfileInvalid(RequestRefused):
    """The customer's tax profile lacks something a decision needs."""

    code = "tax-profile-invalid"


class TaxUndecided(RequestRefused):
    """The seller's tax rules, or a plugin that decides for them, do not say how a sale is taxed; nothing is guessed."""

    code = "tax-undecided"


class NotAllowed(RequestRefused):
    """The operator door was opened without the permission this act needs."""

    code = "not-allowed"


class WrongState(RequestRefused):
    """The object has moved past the state in which this act is possible, or another biller charges the resource."""

    code = "wrong-state"


class CustomerFrozen(RequestRefused):
    """The customer is frozen: nothing new is started, what runs goes on."""

    code = "customer-frozen"


class GatewayError(PrepaidError):
    """A gateway refused, failed or answered something unusable.

    Attributes:
        retryable: The same call may succeed later.
        outcome_unknown: The gateway may have carried the call out; only a
            look-up or the same idempotency key can tell.
        code: The gateway's or our machine word for it, or None.
        retry_after_s: Seconds the gateway asks us to wait, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        outcome_unknown: bool = False,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.outcome_unknown = outcome_unknown
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def is_of_credentials(self) -> bool:
        """The gateway did not accept our credentials, which says nothing of what it was asked for."""
        return self.code in ("authentication", "permission")


class GatewayUnavailable(GatewayError):
    """A checkout could not be created now; its top-up stays and can be resumed.

    Attributes:
        topup_id: The top-up that waits in ``starting``.
    """

    def __init__(self, message: str, *, topup_id: str, outcome_unknown: bool) -> None:
        super().__init__(message, retryable=True, outcome_unknown=outcome_unknown)
        self.topup_id = topup_id


class WebhookRejected(PrepaidError):
    """A webhook that is not signed by the gateway, is stale or cannot be read.

    Attributes:
        reason: ``"not-genuine"``, or ``"wrong-mode"`` for an event of the other mode.
    """

    def __init__(self, message: str, *, reason: str = "not-genuine") -> None:
        super().__init__(message)
        self.reason = reason


class ConfigurationError(PrepaidError):
    """The set-up cannot work; the message names what to change."""


class TransactionAborted(PrepaidError):
    """The database gave the transaction up, again and again if it was the library's own.

    Nothing of a host's transaction was kept. Of the library's own nobody knows if
    the answer to its commit was lost: the same key finds out.

    Attributes:
        retry_whole: Run the whole transaction again, with the same keys.
    """

    def __init__(self, message: str, *, retry_whole: bool = True) -> None:
        super().__init__(message)
        self.retry_whole = retry_whole


class IntegrityFault(PrepaidError):
    """The books contradict themselves; the library stops rather than guess."""
