"""What a VerificationSession of Stripe is asked for and says: dicts in, values of the port out, no network.

Of a session only its id, status, mode, our references and the code of its last
error are read. The words of an error are not: they may hold what was written in
a document.

Sources: https://docs.stripe.com/api/identity/verification_sessions/create
(parameters); https://docs.stripe.com/api/identity/verification_sessions/object
(fields, words of the statuses, codes of errors);
https://docs.stripe.com/identity/how-sessions-work (a failed check leads back to
``requires_input``); https://docs.stripe.com/api/events/types;
https://docs.stripe.com/api/metadata (500 characters a value).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from ..gateways.credentials import is_loopback
from ..gateways.replies import MAX_URL, Reply, demand, optional_object, optional_str, require_str, require_word
from ..gateways.signed import required_text
from ..gateways.stripe_events import subject_of
from ..gateways.stripe_payments import mode_of
from ..identity_ports import IdentityEvent, IdentityRequest, IdentityResult, IdentitySession, ResultState
from ..ports import Mode
from .settings import REASON

if TYPE_CHECKING:
    from stripe.params.identity import VerificationSessionCreateParams

VERIFICATION_ID: Final = re.compile(r"vs_[A-Za-z0-9]{1,180}", re.ASCII)
"""Without an underscore: a client secret begins with the id of its session, and is none."""

WITHOUT_CODE: Final = "unspecified"
"""Reason of a check that failed without Stripe saying why."""

_KIND: Final = "identity.verification_session"
_STATES: Final[dict[str, ResultState]] = {
    "requires_input": "pending",  # also after a check that failed: the customer may try again
    "processing": "processing",
    "verified": "verified",
    "canceled": "canceled",
}


def verification_params(
    request: IdentityRequest, *, mode: Mode, document: Mapping[str, object]
) -> VerificationSessionCreateParams:
    """Build the parameters of a VerificationSession, from the request and the settings alone.

    One key must always carry one content. Our references travel as metadata,
    and the customer's once more where Stripe shows it.
    """
    params: dict[str, Any] = {
        "type": "document",
        "client_reference_id": request.customer_id,
        "metadata": {"case_id": request.case_id, "customer_id": request.customer_id, "env": mode},
        "return_url": request.return_url,
    }
    if document:
        params["options"] = {"document": dict(document)}
    if request.email:
        params["provided_details"] = {"email": request.email}
    return cast("VerificationSessionCreateParams", params)


def read_begun(session: Reply, request: IdentityRequest, *, mode: Mode) -> IdentitySession:
    """Read the session that was just created, and check that it is the one asked for.

    Raises:
        GatewayError: A field is missing, mistyped or not what was asked for.
    """
    reference = _id_of(session)
    demand(mode_of(session) == mode, "livemode is not our mode")
    demand(_case_of(session) == request.case_id, "it is about another case")
    demand(_customer_of(session) == request.customer_id, "it is about another customer")
    return read_page(session, reference=reference)


def read_page(session: Reply, *, reference: str) -> IdentitySession:
    """Read where a session leads the customer to, if it still waits for them.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    demand(_id_of(session) == reference, "id is not the one asked for")
    if _state_of(session) != "pending":
        return IdentitySession(reference=reference)
    url = require_str(session, "url", longest=MAX_URL)
    demand(url.startswith("https://") or is_loopback(url), "url is not https")
    return IdentitySession(reference=reference, redirect_url=url)


def read_verification(session: Reply, *, reference: str) -> IdentityResult:
    """Read how far a session is.

    Raises:
        GatewayError: A field is missing, mistyped or contradicts another.
    """
    demand(_id_of(session) == reference, "id is not the one asked for")
    state = _state_of(session)
    return IdentityResult(
        reference=reference,
        case_id=_case_of(session),
        customer_id=_customer_of(session),
        mode=mode_of(session),
        state=state,
        reason=_reason_of(session) if state in {"pending", "canceled"} else "",
    )


def read_identity_event(event: dict[str, Any], *, mode: Mode) -> IdentityEvent:
    """Read which session a verified event is about; what it says of it is not looked at.

    Raises:
        WebhookRejected: Not an event, or of the other mode.
    """
    subject = subject_of(event, mode=mode)
    about = required_text(event, "type").startswith(f"{_KIND}.") and subject.get("object") == _KIND
    named = subject.get("id")
    known = about and isinstance(named, str) and VERIFICATION_ID.fullmatch(named)
    return IdentityEvent(event_id=required_text(event, "id"), reference=named if known else None)


def _id_of(session: Reply) -> str:
    demand(session.get("object") == _KIND, "it is no VerificationSession")
    reference = require_str(session, "id")
    demand(VERIFICATION_ID.fullmatch(reference) is not None, "id is not that of a VerificationSession")
    return reference


def _state_of(session: Reply) -> ResultState:
    return _STATES[require_word(session, "status", _STATES)]


def _case_of(session: Reply) -> str | None:
    # Stripe empties the metadata of a session whose data is deleted on somebody's demand.
    return optional_str(optional_object(session, "metadata") or {}, "case_id")


def _customer_of(session: Reply) -> str | None:
    """Read the customer, whom a session echoes twice, or give None unless both agree."""
    named = optional_str(session, "client_reference_id")
    return named if named == optional_str(optional_object(session, "metadata") or {}, "customer_id") else None


def _reason_of(session: Reply) -> str:
    error = optional_object(session, "last_error")
    if error is None:
        return ""
    code = optional_str(error, "code")
    demand(code is None or REASON.fullmatch(code) is not None, "code of last_error is no word")
    return code or WITHOUT_CODE
