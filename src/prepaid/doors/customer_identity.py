"""The customer's side of identity verification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import verification
from ..core.identity import IdentityCase, IdentityStatus

if TYPE_CHECKING:
    from .customer import CustomerDoor


class CustomerIdentity:
    """Being verified, where a policy asks for it."""

    def __init__(self, door: CustomerDoor) -> None:
        """Bind the customer."""
        self._context, self._customer = door._context, door.profile

    def status(self) -> IdentityStatus:
        """Say what is known of their identity, and whether anything asks for it now."""
        return verification.status(self._context, self._customer())

    def start(self, *, return_url: str, level: int | None = None) -> IdentityCase:
        """Begin to be verified, or go on; see `prepaid.verification.start`."""
        return verification.start(self._context, self._customer(), return_url=return_url, level=level)

    def submit(self, reference: str) -> IdentityCase:
        """Say what was handed in for an operator to look at; see `prepaid.verification.submit`."""
        return verification.submit(self._context, self._customer(), reference)
