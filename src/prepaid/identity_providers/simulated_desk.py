"""Simulated identity verification apart from its contract: its settings, its customers, its reviewers, its webhooks.

All that a test or a demonstration does to it, and nothing that a host may ask
of a provider; that is in `prepaid.identity_providers.simulated`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, cast

from attrs import Attribute, field, frozen

from ..core.errors import ConfigurationError, InvalidRequest, NotFound, WrongState
from ..core.hashing import canonical_json
from ..core.instants import to_micros
from ..gateways.credentials import Secret, check_timeout, conceal_all
from ..gateways.signed import sign
from ..gateways.simulated_values import SIGNATURE_HEADER
from ..gateways.state_file import state_path
from ..identity_ports import ResultState
from ..ports import Clock, Mode
from ..system import SystemClock
from .settings import REASON, check_label, check_level, check_name
from .simulated_records import Records, event_id, records

if TYPE_CHECKING:
    from sqlite3 import Row

MODE: Final[Mode] = "test"
PLACE: Final = "{reference}"
"""Where the reference goes in the URL of a page."""

REFUSED: Final = "refused"
UNHEARD: Final = "unheard"

_OPEN: Final[tuple[ResultState, ...]] = ("pending", "processing")


def _not_empty(instance: object, attribute: Attribute[tuple[Secret, ...]], secrets: tuple[Secret, ...]) -> None:
    if not secrets:
        raise ConfigurationError("webhook_secrets of SimulatedIdentity holds at least one secret.")


def _has_place_for_reference(instance: object, attribute: Attribute[str | None], page_url: str | None) -> None:
    if page_url is not None and (not isinstance(page_url, str) or PLACE not in page_url):
        raise ConfigurationError(f"page_url of SimulatedIdentity needs {PLACE} where the reference goes, or is None.")


@frozen(kw_only=True)
class SimulatedVerificationPage:
    """What the page of a verification shows, for the host to draw.

    Attributes:
        reference: The verification.
        return_url: Where the browser goes afterwards.
        state: How far it is.
        reason: Why it was not successful, or empty.
    """

    reference: str
    return_url: str
    state: ResultState
    reason: str


@frozen(kw_only=True)
class SimulatedDesk:
    """A provider whose verifications are acts of the test.

    Attributes:
        state: File in which the provider remembers; made at first use.
        webhook_secrets: The first signs, any of them is accepted.
        page_url: Where the host routes the page of a verification, with
            ``{reference}`` in it; None if customers have nothing to do.
        name: Name under which the host knows the provider.
        label: What customers and operators read.
        level: Level that a verification leads to, 1 to 9.
        timeout_s: Longest that a call waits for the state file.
        clock: Tells when something is decided and a signature is stale.
    """

    state: str = field(default="simulated-identity.db", converter=state_path)
    webhook_secrets: tuple[Secret, ...] = field(
        default=(Secret("simulated-secret"),), converter=conceal_all, validator=_not_empty, repr=False
    )
    page_url: str | None = field(default=None, validator=_has_place_for_reference)
    name: str = field(default="simulated-identity", validator=check_name)
    label: str = field(default="Simulated verification", validator=check_label)
    level: int = field(default=1, validator=check_level)
    timeout_s: int = field(default=5, validator=check_timeout)
    clock: Clock = field(factory=SystemClock, repr=False)

    def page(self, reference: str) -> SimulatedVerificationPage:
        """Give what the page of a verification shows.

        Raises:
            NotFound: There is no such verification.
        """
        with self._records() as kept:
            row = _found(kept, reference)
        return SimulatedVerificationPage(
            reference=row["reference"], return_url=row["return_url"], state=state_of(row), reason=row["reason"]
        )

    def processing(self, reference: str) -> None:
        """Let the customer have done their part.

        Raises:
            NotFound: There is no such verification.
            WrongState: It is decided or given up.
        """
        self._move(reference, "processing")

    def verify(self, reference: str) -> None:
        """Find that the customer is who they say.

        Raises:
            NotFound: There is no such verification.
            WrongState: It is decided otherwise or given up.
        """
        self._move(reference, "verified")

    def reject(self, reference: str, reason: str = "document-not-genuine") -> None:
        """Find that the customer is not who they say, for good.

        Raises:
            NotFound: There is no such verification.
            WrongState: It is decided otherwise or given up.
            InvalidRequest: The reason is no machine word of at most 64 characters.
        """
        self._move(reference, "rejected", _checked_reason(reason))

    def ask_again(self, reference: str, reason: str = "document-unreadable") -> None:
        """Find that it was not good enough, and let the customer try again.

        Raises:
            NotFound: There is no such verification.
            WrongState: It is decided or given up.
            InvalidRequest: The reason is no machine word of at most 64 characters.
        """
        self._move(reference, "pending", _checked_reason(reason))

    def lie(
        self,
        reference: str,
        *,
        case_id: str | None = None,
        customer_id: str | None = None,
        mode: Mode | Literal[""] | None = None,
    ) -> None:
        """Say something else than the truth of a verification from now on; what is empty is not told at all.

        Raises:
            NotFound: There is no such verification.
        """
        with self._records() as kept:
            _found(kept, reference)
            kept.tell(reference, {"case_id": case_id, "customer_id": customer_id, "mode": mode})

    def fail_next(self, times: int = 1, *, unheard: bool = False) -> None:
        """Let the next calls of the host fail, after those already scripted.

        Args:
            times: How many.
            unheard: They are carried out, and only the answer is lost.
        """
        with self._records() as kept:
            kept.add_script(UNHEARD if unheard else REFUSED, times)

    def webhook(
        self, reference: str, *, secret: str | None = None, at: datetime | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Give headers (names in lower case) and body of the webhook that tells of the latest change.

        It may be delivered any number of times, and goes nowhere by itself.

        Args:
            reference: The verification.
            secret: Another signing secret than the provider's first.
            at: Another signing time than now.

        Raises:
            NotFound: There is no such verification.
        """
        with self._records() as kept:
            _found(kept, reference)
            event = kept.last_event(reference)
        content = {
            "id": event_id(event),
            "type": event["type"],
            "created": event["created"] // 1_000_000,
            "mode": MODE,
            "reference": reference,
        }
        body = canonical_json(content).encode()
        signed_at = to_micros(at or self.clock.now()) // 1_000_000
        signature = sign(body, secret or self.webhook_secrets[0].reveal(), at=signed_at)
        return {"content-type": "application/json", SIGNATURE_HEADER: signature}, body

    def _move(self, reference: str, target: ResultState, reason: str = "") -> None:
        with self._records() as kept:
            row = _found(kept, reference)
            if (row["state"], row["reason"]) == (target, reason):
                return
            if row["state"] not in _OPEN:
                raise WrongState(f"The verification is {row['state']}.", field="reference")
            self._enter(kept, reference, target, reason)

    def _enter(self, kept: Records, reference: str, target: ResultState, reason: str = "") -> None:
        kept.enter(reference, target, reason=reason, at=self._now(), decided=target not in _OPEN)

    def _now(self) -> int:
        return to_micros(self.clock.now())

    def _records(self) -> AbstractContextManager[Records]:
        return records(self.state, self.name, timeout_s=self.timeout_s)


def state_of(row: Row) -> ResultState:
    """Give the state of a verification."""
    return cast(ResultState, row["state"])


def _found(kept: Records, reference: str) -> Row:
    row = kept.find(reference)
    if row is None:
        raise NotFound("There is no such verification.", field="reference")
    return row


def _checked_reason(reason: str) -> str:
    if not isinstance(reason, str) or not REASON.fullmatch(reason):
        raise InvalidRequest("reason is a word of 1 to 64 lower-case letters, digits, dashes or _.", field="reason")
    return reason
