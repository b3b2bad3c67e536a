"""The part of `StripeSimulator` that verifies identities: VerificationSessions, on the same wire and for the same key.

A session waits for the customer (``requires_input``), is checked
(``processing``), and is then ``verified`` or waits again with an error. Its
page opens once: every look-up of a session that waits gives a fresh one.

Sources: https://docs.stripe.com/api/identity/verification_sessions (requests,
parameters, the object); https://docs.stripe.com/identity/how-sessions-work
(statuses, only a waiting session can be canceled);
https://docs.stripe.com/identity/verification-sessions (redaction empties the
metadata, and cancels a session that waits); https://docs.stripe.com/api/metadata
(50 names of 40 characters, values of 500).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from .loopback import LoopbackServer
from .stripe_account import StripeAccount
from .stripe_checks import Refused, check_known
from .stripe_objects import Object, refusal

KIND: Final = "identity.verification_session"

_PATH: Final = "/v1/identity/verification_sessions"
_PARAMETERS: Final = frozenset(
    "client_reference_id expand metadata.* options.document.allowed_types options.document.require_id_number "
    "options.document.require_live_capture options.document.require_matching_selfie provided_details.email "
    "provided_details.phone return_url type".split()
)
_TYPES: Final = ("document", "id_number")
_DOCUMENTS: Final = ("driving_license", "id_card", "passport")
_MAX_TEXT: Final = 5000
_MAX_NAMES: Final = 50
_MAX_NAME: Final = 40
_MAX_VALUE: Final = 500
_URL = re.compile(r"https?://\S+", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+", re.ASCII)


class VerificationServer(LoopbackServer):
    """The VerificationSessions of an account, without its money.

    There is no document behind them, so that nothing of one can be expanded.
    """

    _account: StripeAccount

    # What the customer does, and what Stripe finds.

    def process(self, verification_id: str) -> None:
        """Let the customer hand everything in; then `verify` or `require_input`."""
        with self.lock:
            self._go_on(self._waiting(verification_id, "requires_input"), "processing")

    def verify(self, verification_id: str) -> None:
        """Let the checks of a session succeed."""
        with self.lock:
            session = self._waiting(verification_id, "requires_input", "processing")
            session |= {"last_error": None, "last_verification_report": self._account.new_id("vr")}
            self._go_on(session, "verified")

    def require_input(self, verification_id: str, code: str | None = "document_unverified_other") -> None:
        """Let a check of a session fail, so that it waits for another try."""
        with self.lock:
            session = self._waiting(verification_id, "requires_input", "processing")
            session["last_error"] = {"code": code, "reason": "The words of Ada Lovelace's passport."}
            session["last_verification_report"] = self._account.new_id("vr")
            self._go_on(session, "requires_input")

    def cancel_verification(self, verification_id: str) -> None:
        """Cancel a session, as can be done in Stripe's dashboard."""
        with self.lock:
            self._go_on(self._waiting(verification_id, "requires_input"), "canceled")

    def redact(self, verification_id: str) -> None:
        """Delete what was collected, as can be done in Stripe's dashboard; the metadata goes with it."""
        with self.lock:
            session = self._waiting(verification_id, "requires_input", "verified", "canceled")
            if session["status"] == "requires_input":
                self._go_on(session, "canceled")
            session |= {"metadata": {}, "provided_details": None, "redaction": {"status": "redacted"}}
            self._account.tell(f"{KIND}.redacted", session)

    def verification(self, verification_id: str) -> Object:
        """Give a copy of a session as it is now."""
        with self.lock:
            return copy.deepcopy(self._waiting(verification_id))

    def _waiting(self, verification_id: str, *statuses: str) -> Object:
        session = self._account.objects[verification_id]
        if session["object"] != KIND or (statuses and session["status"] not in statuses):
            raise ValueError(f"The session is {session['status']}.")
        return session

    def _go_on(self, session: Object, status: str) -> None:
        session["status"] = status
        self._open_page(session)
        self._account.tell(f"{KIND}.{status}", session)

    def _open_page(self, session: Object) -> None:
        """Give a session that waits a page that nobody has opened yet, and any other none."""
        token = self._account.new_id("page").rpartition("_")[2]
        waits = session["status"] == "requires_input"
        session["url"] = f"{self.url}/start/{token}" if waits else None
        session["client_secret"] = f"{session['id']}_secret_{token}" if waits else None

    # What comes in over the wire.

    def _verification_routes(self) -> Iterable[tuple[str, str, Callable[..., Object]]]:
        yield "POST", _PATH, self._create_verification
        yield "GET", f"{_PATH}/([^/]+)", self._retrieve_verification
        yield "POST", f"{_PATH}/([^/]+)/cancel", self._cancel_verification

    def _create_verification(self, params: Object) -> Object:
        check_verification(params)
        session = new_verification(
            params,
            verification_id=self._account.new_id("vs"),
            livemode=self._account.livemode,
            created=self._account.now(),
        )
        self._account.objects[session["id"]] = session
        self._open_page(session)
        self._account.tell(f"{KIND}.created", session)
        return session

    def _retrieve_verification(self, params: Object, verification_id: str) -> Object:
        check_known(params, frozenset({"expand"}))
        session = self._account.found(KIND, verification_id)
        self._open_page(session)
        return session

    def _cancel_verification(self, params: Object, verification_id: str) -> Object:
        check_known(params, frozenset({"expand"}))
        session = self._account.found(KIND, verification_id)
        if session["status"] != "requires_input":
            message = f"You cannot cancel a VerificationSession that is {session['status']}."
            raise Refused(400, refusal(message))
        self._go_on(session, "canceled")
        return session


def new_verification(params: Object, *, verification_id: str, livemode: bool, created: int) -> Object:
    """Make a session of checked parameters that waits for the customer, without a page yet."""
    document = params.get("options", {}).get("document", {})
    details = params.get("provided_details")
    return {
        "id": verification_id,
        "object": KIND,
        "client_reference_id": params.get("client_reference_id"),
        "client_secret": None,
        "created": created,
        "last_error": None,
        "last_verification_report": None,
        "livemode": livemode,
        "metadata": params.get("metadata", {}),
        "options": {"document": {name: _plain(value) for name, value in document.items()}},
        "provided_details": None if details is None else {"email": None, "phone": None, **details},
        "redaction": None,
        "related_customer": None,
        "status": "requires_input",
        "type": params["type"],
        "url": None,
    }


def check_verification(params: Object) -> None:
    """Refuse a session that could not be begun.

    Raises:
        Refused: A parameter is missing, wrong or unknown.
    """
    check_known(params, _PARAMETERS)
    if params.get("type") not in _TYPES:
        raise _wrong("type")
    for name, holds in (("return_url", _URL.fullmatch), ("client_reference_id", _is_short)):
        if name in params and not holds(params[name]):
            raise _wrong(name)
    email = params.get("provided_details", {}).get("email")
    if email is not None and not _EMAIL.fullmatch(email):
        raise Refused(400, refusal("Invalid email address.", code="email_invalid", param="provided_details[email]"))
    _check_document(params.get("options", {}).get("document", {}))
    metadata = params.get("metadata", {})
    if len(metadata) > _MAX_NAMES or any(len(name) > _MAX_NAME for name in metadata):
        raise _wrong("metadata")
    if any(len(value) > _MAX_VALUE for value in metadata.values()):
        raise _wrong("metadata")


def _check_document(options: Object) -> None:
    for name, value in options.items():
        if name == "allowed_types":
            if not value or any(kind not in _DOCUMENTS for kind in value):
                raise _wrong("options[document][allowed_types]")
        elif value not in {"true", "false"}:
            raise _wrong(f"options[document][{name}]")


def _is_short(text: str) -> bool:
    return 0 < len(text) <= _MAX_TEXT


def _plain(value: Any) -> Any:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _wrong(param: str) -> Refused:
    return Refused(400, refusal(f"Invalid {param}.", param=param))
