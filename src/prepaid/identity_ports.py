"""The contract of identity providers: who verifies that customers are who they say.

An adapter translates; what a result is worth is decided by the use cases. No
document, and nothing that stands in one, crosses this border.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from attrs import field, frozen

from .core.money import Money
from .core.payments import Mode
from .ports import Clock

ResultState = Literal["pending", "processing", "verified", "rejected", "canceled"]
"""Waiting for the customer, for the provider; decided; or given up."""


IdentityMoment = Literal["quote", "start", "settlement"]
"""When a plugin is asked: for a warning, before a top-up starts, before its payment is credited."""


@frozen(kw_only=True)
class IdentityQuestion:
    """What a plugin is asked: has this customer to be verified before this is credited?

    Attributes:
        customer_id: The host's id of the customer.
        amount: Credit that they buy.
        moment: ``"quote"``, ``"start"`` or ``"settlement"``.
        gateway: Name of the gateway they pay at.
        topup_id: The top-up, at settlement.
    """

    customer_id: str
    amount: Money
    moment: IdentityMoment
    gateway: str
    topup_id: str | None = None

    @property
    def currency(self) -> str:
        """The currency of the amount."""
        return self.amount.currency


class IdentityDeciders(Protocol):
    """Those who may ask for a verification beside the policies."""

    def identity_needed(self, question: IdentityQuestion) -> str:
        """Give why, in words for the customer, or nothing; one that fails asks for it."""
        ...


@frozen(kw_only=True)
class IdentityRequest:
    """A verification to begin at a provider.

    Attributes:
        case_id: Our reference, to be echoed by the provider.
        customer_id: The host's id of the customer, to be echoed likewise.
        email: To prefill, or empty.
        locale: Language of the provider's page.
        return_url: Where the browser goes afterwards.
        key: Idempotency key: the same request may be sent again with it.
    """

    case_id: str
    customer_id: str
    email: str = field(default="", repr=False)
    locale: str = "en"
    return_url: str
    key: str


@frozen(kw_only=True)
class IdentitySession:
    """A verification that began.

    Attributes:
        reference: The provider's id of it; stored, and compared ever after.
        redirect_url: Where to send the browser, or None if there is no page to go to.
    """

    reference: str
    redirect_url: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class IdentityResult:
    """A verification as its provider reports it.

    Attributes:
        reference: The provider's id of it.
        case_id: Our reference as the provider echoes it, or None.
        customer_id: The customer as the provider echoes them, or None.
        mode: Mode as the provider shows it, or None if it does not.
        state: How far it is.
        reason: Why it was not successful, in a machine word of at most 64 characters, or empty.
        decided_at: When it was decided, or None if the provider does not say.
    """

    reference: str
    case_id: str | None
    customer_id: str | None
    mode: Mode | None
    state: ResultState
    reason: str = ""
    decided_at: datetime | None = None


@frozen(kw_only=True)
class IdentityEvent:
    """What a webhook tells to look up; nothing in it is believed.

    Attributes:
        event_id: The provider's id of the event.
        reference: The provider's id of the verification, or None if it is about something else.
    """

    event_id: str
    reference: str | None


@runtime_checkable
class IdentityProvider(Protocol):
    """Verifies that customers are who they say they are.

    Every method but `bind`, `name`, `label` and `level` may ask the network and
    raises `GatewayError` when the provider refuses, fails or does not answer.
    """

    @property
    def name(self) -> str:
        """Lower-case letters, digits and dashes; also the name under which its webhooks come in."""
        ...

    @property
    def label(self) -> str:
        """What customers and operators read."""
        ...

    @property
    def level(self) -> int:
        """Level of what it verifies, 1 to 9."""
        ...

    def bind(self, mode: Mode, clock: Clock) -> IdentityProvider:
        """Give the provider for one mode.

        Raises:
            ConfigurationError: Its credentials are of the other mode, or it does not work in this one.
        """
        ...

    def begin(self, request: IdentityRequest) -> IdentitySession:
        """Begin a verification; the same key gives the same one, for as long as the provider remembers it.

        Raises:
            GatewayError: Refused, failed, or no answer.
        """
        ...

    def resume(self, reference: str) -> IdentitySession:
        """Give the way back to a verification that is not decided, once its reference is kept.

        A key is remembered for a while only: beginning again after that would begin another one.

        Raises:
            GatewayError: There is none, or no answer.
        """
        ...

    def fetch(self, reference: str) -> IdentityResult:
        """Read a verification as it is now.

        Raises:
            GatewayError: There is none, or no answer.
        """
        ...

    def cancel(self, reference: str) -> IdentityResult:
        """Let a verification that is not decided be used no more, and read it as it is then.

        Raises:
            GatewayError: Refused, failed, or no answer.
        """
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[IdentityEvent]:
        """Verify a webhook over its raw bytes, and say what it is about.

        Args:
            headers: With names in lower case.
            body: The bytes as received.

        Raises:
            WebhookRejected: Not signed by the provider, stale, of the other mode, or unreadable.
        """
        ...


@runtime_checkable
class DecidedByOperator(Protocol):
    """A provider whose cases an operator decides: what they decided is kept here, and nobody is asked."""

    @property
    def decided_by_operator(self) -> bool:
        """True."""
        ...
