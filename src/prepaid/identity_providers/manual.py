"""Review by an operator: the customer hands something in at the host, and a person here decides.

There is nobody to ask. What an operator decided is kept with the case, by the
use case; this provider only gives the case a name for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
from attrs import field, frozen

from ..core.errors import GatewayError, WebhookRejected
from ..core.ids import looks_like_id
from ..gateways.discreet import discreet
from ..identity_ports import IdentityEvent, IdentityRequest, IdentityResult, IdentitySession, ResultState
from ..ports import Clock, Mode
from .settings import check_label, check_level, check_name, not_bound


@discreet
@frozen(kw_only=True)
class ManualReview:
    """Lets operators verify customers; works in every mode, without any account.

    Attributes:
        name: Distinguishes two ways of reviewing; stands in URLs.
        label: What customers and operators read.
        level: Level that an approval leads to, 1 to 9.
        mode: Set by `bind`.
    """

    name: str = field(default="manual-review", validator=check_name)
    label: str = field(default="Review by an operator", validator=check_label)
    level: int = field(default=1, validator=check_level)
    mode: Mode | None = field(default=None, repr=False, eq=False)

    @property
    def decided_by_operator(self) -> bool:
        """True: nobody else decides."""
        return True

    def bind(self, mode: Mode, clock: Clock) -> ManualReview:
        """Give this provider for one mode; it needs no clock, for it knows no time."""
        return attrs.evolve(self, mode=mode)

    def begin(self, request: IdentityRequest) -> IdentitySession:
        """Take the case's id for the reference; there is no page to go to.

        Raises:
            GatewayError: The case has no id of ours.
            ConfigurationError: Not bound.
        """
        self._bound()
        return IdentitySession(reference=_checked(request.case_id))

    def resume(self, reference: str) -> IdentitySession:
        """Give the same again: there is no page to go to.

        Raises:
            GatewayError: This is no reference of this provider's.
            ConfigurationError: Not bound.
        """
        self._bound()
        return IdentitySession(reference=_checked(reference))

    def fetch(self, reference: str) -> IdentityResult:
        """Say that nobody has decided anything that is known here; whose case it is, only its keeper knows.

        Raises:
            GatewayError: This is no reference of this provider's.
            ConfigurationError: Not bound.
        """
        return self._result(reference, "pending")

    def cancel(self, reference: str) -> IdentityResult:
        """Say that it is given up: nothing was begun anywhere that could go on.

        Raises:
            GatewayError: This is no reference of this provider's.
            ConfigurationError: Not bound.
        """
        return self._result(reference, "canceled")

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[IdentityEvent]:
        """Refuse: nobody sends any.

        Raises:
            WebhookRejected: Always.
        """
        raise WebhookRejected("An operator sends no webhooks.")

    def _result(self, reference: str, state: ResultState) -> IdentityResult:
        mode, case_id = self._bound(), _checked(reference)
        return IdentityResult(reference=case_id, case_id=case_id, customer_id=None, mode=mode, state=state)

    def _bound(self) -> Mode:
        if self.mode is None:
            raise not_bound(self)
        return self.mode


def _checked(case_id: str) -> str:
    if not looks_like_id(case_id):
        raise GatewayError("This is no id of a case.", code="unknown-verification")
    return case_id
