"""A mailer that keeps what it was given."""

from __future__ import annotations

from ..ports import MailMessage


class RecordingMailer:
    """Keeps messages in `sent`; made to fail by `failures`, one exception per attempt.

    Attributes:
        sent: Messages handed over, in order.
        failures: Exceptions to raise for the next attempts.
    """

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self.sent: list[MailMessage] = []
        self.failures: list[Exception] = []

    def send(self, message: MailMessage) -> None:
        """Keep a message, or raise the next failure."""
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(message)
