"""The operator's side of identity verification: policies, cases, decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import customers, permissions, settings_store, verification
from ..core.identity import IdentityCase, IdentityPolicy, IdentityStatus
from ..core.pages import Page
from ..verification import IdentityPreview

if TYPE_CHECKING:
    from .operator import OperatorDoor


class OperatorIdentity:
    """When customers have to be verified, and who is."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def policy(self, *policies: IdentityPolicy, reason: str = "") -> None:
        """Set when customers have to be verified, all anew; never, without any.

        What waits only because of a policy that ends is credited by the job ``identity``.

        Raises:
            NotAllowed: Without ``identity.write``.
            InvalidRequest: Not `IdentityPolicy`, too many of them, or a currency not in use.
        """
        context = self._door.allow(permissions.IDENTITY_WRITE)
        settings_store.set_identity_policies(context, policies, actor=self._door.actor, reason=reason)

    def policies(self) -> tuple[IdentityPolicy, ...]:
        """Give the policies that are set.

        Raises:
            NotAllowed: Without ``identity.read``.
        """
        return verification.policies_of(self._door.allow(permissions.IDENTITY_READ))

    def preview(self, *policies: IdentityPolicy, cursor: str | None = None, limit: int = 50) -> IdentityPreview:
        """Say who would be asked by some policies; see `prepaid.verification.preview`.

        Raises:
            NotAllowed: Without ``identity.read``.
        """
        context = self._door.allow(permissions.IDENTITY_READ)
        return verification.preview(context, policies, cursor=cursor, limit=limit)

    def cases(self, state: str | None = None, *, cursor: str | None = None, limit: int = 50) -> Page[IdentityCase]:
        """List cases that nobody has decided, or those in one state; see `prepaid.verification.cases`.

        Raises:
            NotAllowed: Without ``identity.read``.
        """
        context = self._door.allow(permissions.IDENTITY_READ)
        return verification.cases(context, state=state, cursor=cursor, limit=limit)

    def status(self, customer_id: str) -> IdentityStatus:
        """Say what is known of a customer's identity, and whether anything asks for it now.

        Raises:
            NotAllowed: Without ``identity.read``.
            NotFound: Not registered.
        """
        context = self._door.allow(permissions.IDENTITY_READ)
        return verification.status(context, customers.require(context, customer_id))

    def approve(self, customer_id: str, *, reason: str, level: int | None = None) -> IdentityStatus:
        """Let a customer count as verified, and credit what waited; see `prepaid.verification.approve`.

        Raises:
            NotAllowed: Without ``identity.write``, or for the operator's own account.
        """
        context = self._door.approves(permissions.IDENTITY_WRITE, customer_id)
        return verification.approve(context, customer_id, reason=reason, level=level, actor=self._door.actor)

    def reject(self, customer_id: str, *, reason: str) -> IdentityStatus:
        """Decide a customer's open case against them; see `prepaid.verification.reject`.

        Raises:
            NotAllowed: Without ``identity.write``.
        """
        context = self._door.allow(permissions.IDENTITY_WRITE)
        return verification.reject(context, customer_id, reason=reason, actor=self._door.actor)

    def revoke(self, customer_id: str, *, reason: str) -> IdentityStatus:
        """Take a verification back; see `prepaid.verification.revoke`.

        Raises:
            NotAllowed: Without ``identity.write``.
        """
        context = self._door.allow(permissions.IDENTITY_WRITE)
        return verification.revoke(context, customer_id, reason=reason, actor=self._door.actor)

    def recheck(self, customer_id: str, *, reason: str = "") -> IdentityStatus:
        """Ask the provider of a customer's open case now; see `prepaid.verification.recheck`.

        Raises:
            NotAllowed: Without ``identity.write``.
        """
        context = self._door.allow(permissions.IDENTITY_WRITE)
        return verification.recheck(context, customer_id, actor=self._door.actor, reason=reason)
