"""Stripe Identity: customers show a document on Stripe's own page (a VerificationSession), one for each case.

A session is created under the case's idempotency key, and is re-read with our
key whenever something may have happened to it; a webhook is only a reason to do
so. What stands in a document stays at Stripe: nothing is expanded, and of a
session only its id, status, mode, our references and the code of its last error
are read.

Sources: https://docs.stripe.com/identity/verification-sessions (one session for
each verification, to be used again after a failed check);
https://docs.stripe.com/identity/how-sessions-work (statuses, what can be
canceled); https://docs.stripe.com/api/identity/verification_sessions (a page
opens once, and for 48 hours; a look-up gives a fresh one);
https://docs.stripe.com/api/idempotent_requests (24 hours).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs
from attrs import Attribute, field, frozen

from ..core.errors import ConfigurationError, GatewayError
from ..gateways.credentials import Secret, check_api_base, check_timeout, conceal, conceal_all
from ..gateways.discreet import discreet
from ..gateways.replies import in_doubt
from ..gateways.signed import strict_json_object, verify_signed
from ..gateways.stripe_binding import StripeBinding, check_keyed
from ..identity_ports import IdentityEvent, IdentityRequest, IdentityResult, IdentitySession
from ..ports import Clock, Mode
from .settings import check_flag, check_label, check_level, check_name, not_bound
from .stripe_sessions import (
    VERIFICATION_ID,
    read_begun,
    read_identity_event,
    read_page,
    read_verification,
    verification_params,
)

if TYPE_CHECKING:
    from ..gateways.stripe_client import StripeApi

DOCUMENT_TYPES: Final = ("driving_license", "id_card", "passport")
"""Kinds of document that Stripe tells apart."""


def _check_document_types(instance: object, attribute: Attribute[tuple[str, ...]], value: object) -> None:
    kinds = value if isinstance(value, tuple) else (None,)
    if not all(kind in DOCUMENT_TYPES for kind in kinds) or len(set(kinds)) != len(kinds):
        raise ConfigurationError(
            f"document_types of StripeIdentity are some of {', '.join(DOCUMENT_TYPES)}, or none for all."
        )


@discreet
@frozen(kw_only=True)
class StripeIdentity:
    """Verifies customers by a document, on Stripe's hosted page.

    Stripe never rejects anybody: after a check that failed, its session waits
    for another try, and can still be verified. Such a case is ``pending`` with
    Stripe's code as the reason (``document_unverified_other``,
    ``consent_declined``, ``under_supported_age``, …), and goes on with the page
    of `resume`; whether somebody is to be rejected for it, an operator decides.

    Attributes:
        secret_key: ``sk_test_…``, ``sk_live_…`` or a restricted ``rk_…`` that
            may write VerificationSessions.
        webhook_secrets: ``whsec_…`` of our endpoint; two while one replaces
            the other.
        name: Distinguishes two accounts or ways of verifying; stands in URLs.
        label: What customers and operators read.
        level: Level that a verification leads to, 1 to 9.
        timeout_s: Seconds that one call may take, retries included.
        api_base: Another base URL, for simulators, or None.
        document_types: Kinds of document that are accepted, of
            ``driving_license``, ``id_card`` and ``passport``; all if empty.
        require_live_capture: Pictures are taken with a camera; none is uploaded.
        require_matching_selfie: The customer's face is compared with the document.
        binding: Set by `bind`.
    """

    secret_key: Secret = field(converter=conceal, repr=False)
    webhook_secrets: tuple[Secret, ...] = field(converter=conceal_all, repr=False)
    name: str = field(default="stripe-identity", validator=check_name)
    label: str = field(default="Stripe Identity", validator=check_label)
    level: int = field(default=2, validator=check_level)
    timeout_s: int = field(default=20, validator=check_timeout)
    api_base: str | None = field(default=None, validator=check_api_base)
    document_types: tuple[str, ...] = field(default=(), validator=_check_document_types)
    require_live_capture: bool = field(default=False, validator=check_flag)
    require_matching_selfie: bool = field(default=False, validator=check_flag)
    binding: StripeBinding | None = field(default=None, repr=False, eq=False)

    def bind(self, mode: Mode, clock: Clock) -> StripeIdentity:
        """Give this provider for one mode, without touching the network.

        Raises:
            ConfigurationError: The key is of the other mode or none of
                Stripe's, a webhook secret is missing or not ``whsec_…``, or
                live calls would go anywhere but to Stripe.
        """
        check_keyed(self, mode)
        return attrs.evolve(self, binding=StripeBinding(mode, clock))

    def begin(self, request: IdentityRequest) -> IdentitySession:
        """Create a VerificationSession; the same request again gives the same one for 24 hours.

        A request that is sent again gets a fresh page, if the session still
        waits for the customer, or else none. The language is that of the
        customer's browser, whatever was asked for: Stripe takes no other.

        Raises:
            GatewayError: Refused, failed, or the outcome is unknown.
            ConfigurationError: Not bound.
        """
        mode, api = self._bound()
        params = verification_params(request, mode=mode, document=self._document_options())
        created, made_before = api.create_verification(params, key=request.key)
        with in_doubt():
            session = read_begun(created, request, mode=mode)
        return _resumed_after_all(api, session.reference) if made_before else session

    def resume(self, reference: str) -> IdentitySession:
        """Give a fresh page of a session that waits for the customer, or none if it does not.

        Stripe's page opens once only, and for 48 hours: not the one that the
        case began with, but a fresh one leads a customer back to their case.

        Raises:
            GatewayError: There is no such session, it cannot be asked for, or
                the reply cannot be relied on.
            ConfigurationError: Not bound.
        """
        _, api = self._bound()
        _check(reference)
        return read_page(api.retrieve_verification(reference), reference=reference)

    def fetch(self, reference: str) -> IdentityResult:
        """Re-read a session from Stripe.

        Raises:
            GatewayError: There is no such session, it cannot be asked for, or
                the reply lacks or contradicts a field.
            ConfigurationError: Not bound.
        """
        _, api = self._bound()
        _check(reference)
        return _fetch(api, reference)

    def cancel(self, reference: str) -> IdentityResult:
        """Cancel a session that waits for the customer, and give it as it is afterwards.

        One that is being checked cannot be canceled, and comes back as
        ``processing``; one that is decided or was canceled before, as it is.

        Raises:
            GatewayError: As `fetch`, or Stripe refused although the session
                still waits for the customer, or the outcome is unknown.
            ConfigurationError: Not bound.
        """
        _, api = self._bound()
        _check(reference)
        try:
            canceled = api.cancel_verification(reference)
        except GatewayError as problem:
            if problem.retryable:
                raise
            refusal = problem  # being checked, decided, canceled before, or unknown: Stripe cancels waiting ones only
        else:
            with in_doubt():
                return read_verification(canceled, reference=reference)
        result = _fetch(api, reference)
        if result.state == "pending":
            raise refusal
        return result

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[IdentityEvent]:
        """Verify a webhook over its raw bytes and say which session to look up.

        Raises:
            WebhookRejected: Not signed with one of our secrets, stale, from
                the future, of the other mode, or not readable.
            ConfigurationError: Not bound.
        """
        binding = self._binding()
        verify_signed(
            headers.get("stripe-signature"),
            body,
            secrets=[secret.reveal() for secret in self.webhook_secrets],
            now=binding.clock.now(),
        )
        return (read_identity_event(strict_json_object(body), mode=binding.mode),)

    def _document_options(self) -> dict[str, object]:
        wanted = {
            "allowed_types": list(self.document_types),
            "require_live_capture": self.require_live_capture,
            "require_matching_selfie": self.require_matching_selfie,
        }
        return {name: value for name, value in wanted.items() if value}

    def _binding(self) -> StripeBinding:
        if self.binding is None:
            raise not_bound(self)
        return self.binding

    def _bound(self) -> tuple[Mode, StripeApi]:
        """Begin a call, whose requests share its time."""
        binding = self._binding()
        return binding.mode, binding.link.api(self).start()


def _resumed_after_all(api: StripeApi, reference: str) -> IdentitySession:
    """Give the page of a session that an earlier request had made, whose own page may be used up."""
    try:
        return read_page(api.retrieve_verification(reference), reference=reference)
    except GatewayError as problem:
        # It was begun, whatever stands in the way of its page: the same key finds it again.
        raise GatewayError(
            str(problem),
            retryable=problem.retryable,
            outcome_unknown=True,
            code=problem.code,
            retry_after_s=problem.retry_after_s,
        ) from None


def _fetch(api: StripeApi, reference: str) -> IdentityResult:
    return read_verification(api.retrieve_verification(reference), reference=reference)


def _check(reference: str) -> None:
    # An empty reference would ask for the list of all sessions.
    if not isinstance(reference, str) or not VERIFICATION_ID.fullmatch(reference):
        raise GatewayError("This is no id of a VerificationSession of Stripe.", code="unknown-verification")
