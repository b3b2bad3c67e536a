"""What everything that asks Stripe is set up with: keys of the right mode, a clock, and one client per process.

Taking payments and verifying identities are two adapters of one account, which
may have two keys; this is what they share.

Sources: https://docs.stripe.com/keys (prefixes); https://docs.stripe.com/webhooks
(each endpoint has a secret of its own).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from attrs import field, frozen

from ..core.errors import ConfigurationError
from ..ports import Clock, Mode
from .credentials import Secret
from .processes import PerProcess

if TYPE_CHECKING:
    from .stripe_client import StripeApi

LIVE_BASE: Final = "https://api.stripe.com"

_KEY = re.compile(r"[sr]k_(test|live)_.+", re.ASCII)
_WEBHOOK_SECRET = re.compile(r"whsec_.+")


class Keyed(Protocol):
    """What asks Stripe: an adapter with its settings."""

    @property
    def secret_key(self) -> Secret:
        """The key it asks with."""
        ...

    @property
    def webhook_secrets(self) -> tuple[Secret, ...]:
        """Those of its endpoint."""
        ...

    @property
    def api_base(self) -> str | None:
        """Another base URL than Stripe's, or None."""
        ...

    @property
    def timeout_s(self) -> int:
        """Seconds that one call may take."""
        ...


class StripeLink(PerProcess["StripeApi"]):
    """The connection of one bound adapter, made when it is first needed."""

    def api(self, keyed: Keyed) -> StripeApi:
        """Give the one client of this process."""

        def make() -> StripeApi:
            from .stripe_client import StripeApi

            return StripeApi(secret_key=keyed.secret_key.reveal(), api_base=keyed.api_base, timeout_s=keyed.timeout_s)

        return self.get(make)


@frozen(eq=False)
class StripeBinding:
    """What an adapter's ``bind`` adds."""

    mode: Mode
    clock: Clock
    link: StripeLink = field(factory=StripeLink)


def check_keyed(keyed: Keyed, mode: Mode) -> None:
    """Refuse settings that do not work in a mode, without touching the network.

    Raises:
        ConfigurationError: The key is of the other mode or none of Stripe's, a
            webhook secret is missing or not ``whsec_…``, or live calls would go
            anywhere but to Stripe.
    """
    name = type(keyed).__name__
    key = _KEY.fullmatch(keyed.secret_key.reveal())
    if key is None:
        raise ConfigurationError(f"secret_key of {name} starts with sk_test_, rk_test_, sk_live_ or rk_live_")
    if key[1] != mode:
        raise ConfigurationError(f"secret_key of {name} is a {key[1]} key, but the mode is {mode}.")
    if not keyed.webhook_secrets or not all(_is_webhook_secret(secret) for secret in keyed.webhook_secrets):
        raise ConfigurationError(f"webhook_secrets of {name} holds at least one secret, each whsec_….")
    if mode == "live" and keyed.api_base not in {None, LIVE_BASE}:
        raise ConfigurationError(f"api_base of {name} must be left out in live mode.")


def _is_webhook_secret(secret: Secret) -> bool:
    return _WEBHOOK_SECRET.fullmatch(secret.reveal()) is not None
