"""Sends mail through an SMTP server, one recipient at a time.

What customers wrote reaches headers only as one clean line, so that an odd
company name can neither stop a mail nor add a header; the recipient and the
sender are plain addresses, checked again here. The Message-ID comes from the
message's key: a mail sent again after a crash is recognised as the same one.

Sources: RFC 5321 (SMTP), RFC 5322 (messages), RFC 3207 (STARTTLS), RFC 8314
(implicit TLS), RFC 3834 (automatic mail).
"""

from __future__ import annotations

import re
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP as WIRE
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen

from .core.errors import ConfigurationError, InvalidRequest
from .core.hashing import sha256
from .core.parties import check_email
from .core.secret import Secret
from .ports import Attachment, Clock, MailMessage
from .system import SystemClock

LONGEST_HEADER: Final = 400
"""Characters of a header value that are sent."""

# Narrower than RFC 5322: no quotes, comments, groups or routes, which servers and parsers read differently.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_PRINTABLE = re.compile(r"[ -~]*")
_MEDIA_TYPE = re.compile(r"([a-z0-9.+-]{1,60})/([a-z0-9.+-]{1,60})")
_FORM = "smtp://[user:password@]host[:port][?starttls=require] or smtps://[user:password@]host[:port]"


@frozen(kw_only=True)
class _Server:
    """Where mail goes, read from a URL."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    user: str = field(repr=False)
    password: Secret | None


class SmtpMailer:
    """Sends mail through one SMTP server.

    ``smtps://`` speaks TLS from the start, ``?starttls=require`` after a plain
    greeting; both check the server's certificate. Credentials are sent without
    TLS to this machine only.

    >>> SmtpMailer("smtps://user:secret@mail.example", sender="billing@nimbus.example")
    SmtpMailer('smtps://mail.example:465', sender='billing@nimbus.example')
    """

    def __init__(self, url: str, *, sender: str, timeout_s: float = 20, clock: Clock | None = None) -> None:
        """Read the set-up; nothing is connected.

        Args:
            url: The server; special characters of user and password are percent-encoded.
            sender: Address that mail comes from.
            timeout_s: Seconds to wait for each answer of the server.
            clock: For the Date header; the machine's if None.

        Raises:
            ConfigurationError: The URL or the sender cannot be used; the
                message never repeats the URL.
        """
        self._server = _read_url(url)
        domain = _domain(sender)
        if domain is None:
            raise ConfigurationError("SmtpMailer's sender is one plain mail address such as billing@example.com.")
        if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0 < timeout_s <= 600:
            raise ConfigurationError("SmtpMailer's timeout_s is a number of seconds above 0, at most 600.")
        self._sender, self._domain, self._timeout_s = sender, domain, timeout_s
        self._clock = clock if clock is not None else SystemClock()

    def __repr__(self) -> str:
        scheme = "smtps" if self._server.security == "tls" else "smtp"
        host = f"[{self._server.host}]" if ":" in self._server.host else self._server.host
        return f"SmtpMailer('{scheme}://{host}:{self._server.port}', sender={self._sender!r})"

    def send(self, message: MailMessage) -> None:
        """Hand one mail to the server.

        Raises:
            InvalidRequest: The recipient is not one plain mail address.
            OSError: The server cannot be reached, refuses or does not answer
                (``smtplib.SMTPException`` is one); the mail may be sent again.
        """
        if _domain(message.to) is None:
            raise InvalidRequest("A mail goes to one plain mail address such as ada@example.com.", field="to")
        mail = self._compose(message)
        connection = self._connect()
        try:
            self._prepare(connection)
            connection.send_message(mail, from_addr=self._sender, to_addrs=[message.to])
            # The mail is accepted; a server that fails to say goodbye must not get it again.
            with suppress(OSError):
                connection.quit()
        finally:
            connection.close()

    def _compose(self, message: MailMessage) -> EmailMessage:
        mail = EmailMessage(policy=WIRE)
        mail["From"] = self._sender
        mail["To"] = message.to
        mail["Subject"] = _header(message.subject)
        mail["Date"] = format_datetime(self._clock.now())
        mail["Message-ID"] = f"<{sha256(message.message_key)[:32]}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(_body(message.text), cte="quoted-printable")
        if message.html:
            mail.add_alternative(_body(message.html), subtype="html", cte="quoted-printable")
        for attachment in message.attachments:
            _attach(mail, attachment)
        return mail

    def _connect(self) -> smtplib.SMTP:
        # Named after the sender: smtplib would ask the resolver for a name of this machine.
        server, name = self._server, self._domain
        if server.security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(server.host, server.port, name, timeout=self._timeout_s, context=context)
        return smtplib.SMTP(server.host, server.port, name, timeout=self._timeout_s)

    def _prepare(self, connection: smtplib.SMTP) -> None:
        if self._server.security == "starttls":
            connection.starttls(context=ssl.create_default_context())
        if self._server.password is None:
            return
        try:
            connection.login(self._server.user, self._server.password.reveal())
        except smtplib.SMTPAuthenticationError as error:
            refused = smtplib.SMTPAuthenticationError(error.smtp_code, "The mail server refuses our credentials.")
        else:
            return
        raise refused  # without the server's words, which may repeat what it was sent


def _header(value: str) -> str:
    """Make one clean line: no breaks of any script, no controls, no half characters, no encoded words."""
    clean = "".join(character if character.isprintable() else " " for character in value[: 4 * LONGEST_HEADER])
    # What looks encoded would be decoded when the header is made, breaks of lines with it.
    return " ".join(clean.replace("=?", "= ?").split())[:LONGEST_HEADER]


def _body(text: str) -> str:
    """Replace half characters, which no charset can carry."""
    return text.encode(errors="replace").decode()


def _attach(mail: EmailMessage, attachment: Attachment) -> None:
    known = _MEDIA_TYPE.fullmatch(attachment.media_type)
    main, sub = known.groups() if known else ("application", "octet-stream")
    name = re.sub(r"[^\w.-]+", "_", _header(attachment.filename)).lstrip(".")
    mail.add_attachment(attachment.content, maintype=main, subtype=sub, filename=name or "file")


def _domain(address: object) -> str | None:
    """Give the domain of one plain address, or None if it is none."""
    try:
        return check_email(address).partition("@")[2]
    except InvalidRequest:
        return None


def _read_url(url: object) -> _Server:
    # Raised outside of any except: urllib's own messages repeat parts of the URL, and so of the password.
    server = _parse(url) if isinstance(url, str) else None
    if server is None:
        raise ConfigurationError(f"SmtpMailer takes {_FORM}; special characters are percent-encoded.")
    if server.user and server.security == "none" and not _is_loopback(server.host):
        raise ConfigurationError("SmtpMailer sends no password without TLS: use smtps:// or ?starttls=require.")
    return server


def _parse(url: str) -> _Server | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    security = _security(parts)
    if security is None or not _is_host(host) or port == 0 or parts.path.strip("/") or parts.fragment:
        return None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    # smtplib cannot send others, and its error would show them.
    if not _PRINTABLE.fullmatch(user + password) or bool(user) != bool(password):
        return None
    default = 465 if security == "tls" else 25
    hidden = Secret(password, blanks=True) if password else None
    return _Server(host=host, port=port or default, security=security, user=user, password=hidden)


def _security(parts: SplitResult) -> Literal["none", "starttls", "tls"] | None:
    known: dict[tuple[str, str], Literal["none", "starttls", "tls"]] = {
        ("smtp", ""): "none",
        ("smtp", "starttls=require"): "starttls",
        ("smtps", ""): "tls",
    }
    return known.get((parts.scheme, parts.query))


def _is_host(host: str) -> bool:
    try:
        return _HOST.fullmatch(host) is not None or ip_address(host) is not None
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
