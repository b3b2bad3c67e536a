"""An identity provider that exists only here: for tests, the tutorial and the example, never for real customers.

It keeps its side of the story in a SQLite file of its own, as a real provider
would: a crash of the host loses nothing of it, and several processes may share
it. It answers truthfully unless a test scripts a lie (`SimulatedIdentity.lie`)
or a fault (`SimulatedIdentity.fail_next`).

The customer's page is drawn by the host, from `SimulatedIdentity.page`; webhooks
go nowhere by themselves, the host or test delivers those of
`SimulatedIdentity.webhook` as often, as late and in whatever order it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar, cast

import attrs
from attrs import field, frozen

from ..core.errors import ConfigurationError, GatewayError, WebhookRejected
from ..core.hashing import fingerprint
from ..core.instants import from_micros
from ..gateways.discreet import discreet
from ..gateways.signed import required_text, strict_json_object, verify_signed
from ..gateways.simulated_values import SIGNATURE_HEADER
from ..identity_ports import IdentityEvent, IdentityRequest, IdentityResult, IdentitySession
from ..ports import Clock, Mode
from .settings import not_bound
from .simulated_desk import MODE, PLACE, REFUSED, UNHEARD, SimulatedDesk, SimulatedVerificationPage, state_of
from .simulated_records import Records

if TYPE_CHECKING:
    from sqlite3 import Row

__all__ = ["SIGNATURE_HEADER", "SimulatedIdentity", "SimulatedVerificationPage"]

T = TypeVar("T")

_ABOUT: Final = "verification."


@discreet
@frozen(kw_only=True)
class SimulatedIdentity(SimulatedDesk):
    """A provider whose verifications are acts of the test; refused in live mode.

    Instances on one ``state`` file with one ``name`` are one provider: the acts
    may be called on any of them, bound or not. Settings are those of
    `prepaid.identity_providers.simulated_desk.SimulatedDesk`.

    Attributes:
        bound: Set by `bind`.
    """

    bound: bool = field(default=False, repr=False, eq=False)

    def bind(self, mode: Mode, clock: Clock) -> SimulatedIdentity:
        """Give this provider with a clock, for test mode only.

        Raises:
            ConfigurationError: In any other mode: nobody is really verified.
        """
        if mode != MODE:
            raise ConfigurationError(f"The identity provider {self.name!r} is simulated and is refused in {mode} mode.")
        return attrs.evolve(self, clock=clock, bound=True)

    def begin(self, request: IdentityRequest) -> IdentitySession:
        """Begin a verification; the same key again gives the same one.

        Raises:
            GatewayError: The key came with another request
                (``idempotency-conflict``), or a fault was due.
            ConfigurationError: Not bound.
        """
        return self._call(lambda kept: self._begun(kept, request), writes=True)

    def resume(self, reference: str) -> IdentitySession:
        """Give the page of a verification that waits for the customer, or none if it does not.

        Raises:
            GatewayError: There is no such verification, or a fault was due.
            ConfigurationError: Not bound.
        """
        return self._call(lambda kept: self._session_of(_known(kept, reference)))

    def fetch(self, reference: str) -> IdentityResult:
        """Re-read a verification.

        Raises:
            GatewayError: There is no such verification, or a fault was due.
            ConfigurationError: Not bound.
        """
        return self._call(lambda kept: _result(_known(kept, reference)))

    def cancel(self, reference: str) -> IdentityResult:
        """Let a verification that is not decided be given up; any other stays as it is.

        Raises:
            GatewayError: There is no such verification, or a fault was due.
            ConfigurationError: Not bound.
        """
        return self._call(lambda kept: self._canceled(kept, reference), writes=True)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[IdentityEvent]:
        """Verify a webhook and say which verification to look up.

        Raises:
            WebhookRejected: Not signed with one of our secrets, more than 300 s
                old or in the future, unreadable, or of another mode.
            ConfigurationError: Not bound.
        """
        self._check_bound()
        secrets = [secret.reveal() for secret in self.webhook_secrets]
        verify_signed(headers.get(SIGNATURE_HEADER), body, secrets=secrets, now=self.clock.now())
        content = strict_json_object(body)
        if required_text(content, "mode") != MODE:
            raise WebhookRejected("The event is of another mode.", reason="wrong-mode")
        about = required_text(content, "type").startswith(_ABOUT)
        reference = required_text(content, "reference") if about else None
        return (IdentityEvent(event_id=required_text(content, "id"), reference=reference),)

    def _begun(self, kept: Records, request: IdentityRequest) -> IdentitySession:
        """Give the verification made by the request's key, making it if there is none."""
        reference = f"sim_{fingerprint(self.name, request.key)}"
        content = fingerprint(attrs.asdict(request, filter=lambda name, _: name.name != "key"))
        verification = {
            "reference": reference,
            "key": request.key,
            "request": content,
            "return_url": request.return_url,
            "case_id": request.case_id,
            "customer_id": request.customer_id,
            "mode": MODE,
        }
        kept.add(verification, created=self._now())
        row = _known(kept, reference)
        if row["request"] != content:
            raise GatewayError("The key was used with another request.", code="idempotency-conflict")
        return self._session_of(row)

    def _session_of(self, row: Row) -> IdentitySession:
        waits = self.page_url is not None and row["state"] == "pending"
        url = cast(str, self.page_url).replace(PLACE, row["reference"]) if waits else None
        return IdentitySession(reference=row["reference"], redirect_url=url)

    def _canceled(self, kept: Records, reference: str) -> IdentityResult:
        if _known(kept, reference)["state"] in {"pending", "processing"}:
            self._enter(kept, reference, "canceled")
        return _result(_known(kept, reference))

    def _call(self, work: Callable[[Records], T], *, writes: bool = False) -> T:
        """Do what the host asks for in one transaction, with the fault that is due."""
        self._check_bound()
        with self._records() as kept:
            fault = kept.take_script()
        if fault == REFUSED:
            raise GatewayError("The simulated provider is not available.", retryable=True, code="unavailable")
        with self._records() as kept:
            answer = work(kept)
        if fault == UNHEARD:
            raise GatewayError(
                "The simulated provider did not answer in time.", retryable=True, outcome_unknown=writes, code="timeout"
            )
        return answer

    def _check_bound(self) -> None:
        if not self.bound:
            raise not_bound(self)


def _known(kept: Records, reference: str) -> Row:
    row = kept.find(reference)
    if row is None:
        raise GatewayError("The simulated provider knows no such verification.", code="not-found")
    return row


def _result(row: Row) -> IdentityResult:
    decided_at = row["decided_at"]
    return IdentityResult(
        reference=row["reference"],
        case_id=row["told_case"] or None,
        customer_id=row["told_customer"] or None,
        mode=cast(Mode, row["told_mode"]) if row["told_mode"] else None,
        state=state_of(row),
        reason=row["reason"],
        decided_at=None if decided_at is None else from_micros(decided_at),
    )
