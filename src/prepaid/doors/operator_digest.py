"""The operator's side of the daily digest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from .. import permissions
from ..core.digest import DigestSettings
from ..reporting import digest
from ..reporting.digest import DigestState
from ..reporting.digest_letter import DigestLetter

if TYPE_CHECKING:
    from .operator import OperatorDoor


class OperatorDigest:
    """A mail of each day's figures."""

    def __init__(self, door: OperatorDoor) -> None:
        """Bind the operator."""
        self._door = door

    def settings(
        self,
        *,
        enabled: bool = True,
        email: str | Sequence[str] = (),
        hour: int = 7,
        timezone: str | None = None,
        locale: str = "en",
        reason: str = "",
    ) -> DigestSettings:
        """Set whether, when and to whom digests are sent, all anew; see `prepaid.reporting.digest.set_settings`.

        Raises:
            NotAllowed: Without ``digest.write``.
        """
        return digest.set_settings(
            self._door.allow(permissions.DIGEST_WRITE),
            enabled=enabled,
            email=email,
            hour=hour,
            timezone=timezone,
            locale=locale,
            actor=self._door.actor,
            reason=reason,
        )

    def read(self) -> DigestSettings:
        """Give the settings.

        Raises:
            NotAllowed: Without ``digest.read``.
        """
        return digest.read_settings(self._door.allow(permissions.DIGEST_READ))

    def preview(self, day: date) -> DigestLetter:
        """Give the mail of a day without sending or writing anything; see `prepaid.reporting.digest.preview`.

        Raises:
            NotAllowed: Without ``digest.read``.
        """
        return digest.preview(self._door.allow(permissions.DIGEST_READ), day)

    def send(self, day: date, *, reason: str = "") -> DigestState:
        """Send a day's digest now if it was not sent; see `prepaid.reporting.digest.send`.

        Raises:
            NotAllowed: Without ``digest.write``.
        """
        context = self._door.allow(permissions.DIGEST_WRITE)
        return digest.send(context, day, actor=self._door.actor, reason=reason)
