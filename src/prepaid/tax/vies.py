"""VIES, the register of VAT numbers of the EU's member states and of Northern Ireland, asked by its REST interface.

VIES passes each question on to the register of one country, and either of the
two may be down or busy. Then it often answers ``"valid": false`` all the same
and gives the true reason beside it, so that whoever reads only that field taxes
or turns away good customers for hours. Here a number is valid or invalid only
if the reply is about that number, says so as a bool, and tells of no error;
whatever else a peer sends, or does not send, is *unavailable*.

If the seller's own number is sent along, VIES gives a consultation number: the
proof that it was asked, and when.

Sources: https://ec.europa.eu/assets/taxud/vow-information/swagger_publicVAT.yaml
(names of fields, form of errors); https://ec.europa.eu/taxation_customs/vies/#/technical-information
and https://ec.europa.eu/taxation_customs/vies/checkVatService.wsdl (codes and what they mean);
https://ec.europa.eu/taxation_customs/vies/#/faq (consultation number; some countries give no name and address).
"""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import requests
from attrs import Attribute, field, frozen
from urllib3.exceptions import ReadTimeoutError

from ..core.countries import tax_prefix
from ..core.errors import ConfigurationError, WebhookRejected
from ..core.tax_ids import RegisterAnswer, TaxId
from ..gateways.bounded import BoundedSession, OutOfBounds, TooLong
from ..gateways.credentials import is_loopback
from ..gateways.signed import strict_json_object

URL: Final = "https://ec.europa.eu/taxation_customs/vies/rest-api"
"""Base of the public REST interface."""

MAX_NAME: Final = 200
MAX_ADDRESS: Final = 400
MAX_CONSULTATION: Final = 64
MAX_RAW: Final = 2000

_MAX_REPLY: Final = 65_536
_KINDS: Final = frozenset({"eu_vat", "xi_vat"})
_OF_COUNTRY: Final = frozenset({"MS_UNAVAILABLE", "MS_MAX_CONCURRENT_REQ", "MS_MAX_CONCURRENT_REQ_TIME", "TIMEOUT"})
_SLOW: Final = "timeout"
"""Nothing came in time: VIES waits for a country's register, so that this is most often the one that is slow."""
_MALFORMED: Final = frozenset({"INVALID_INPUT", "VOW-ERR-2600"})
_REQUESTER_REFUSED: Final = frozenset({"INVALID_REQUESTER_INFO", "VOW-ERR-2500", "VOW-ERR-2700"})
_OF_SERVICE: Final = frozenset(
    {"SERVICE_UNAVAILABLE", "GLOBAL_MAX_CONCURRENT_REQ", "GLOBAL_MAX_CONCURRENT_REQ_TIME", "VAT_BLOCKED", "IP_BLOCKED"}
)
_KNOWN: Final = _OF_COUNTRY | _MALFORMED | _REQUESTER_REFUSED | _OF_SERVICE
# A code that we do not know is told on only if it cannot be a number or a name.
_CODE = re.compile(r"[A-Z]{2,20}(_[A-Z]{2,20}){1,4}|VOW-ERR-[0-9]{1,5}", re.ASCII)
_OK = 200

log = logging.getLogger("prepaid.tax")


class NoAnswer(Exception):
    """Nothing came back that could be read.

    Attributes:
        reason: A word or two for the operator: ``"timeout"``, ``"unreachable"``...
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transport(Protocol):
    """Carries one question to VIES; to be given in where requests leave by another way."""

    def __call__(
        self, url: str, body: bytes, *, connect_timeout_s: float, read_timeout_s: float, budget_s: float
    ) -> tuple[int, bytes]:
        """Post ``body``, which is JSON, and give the status and the body of what comes back; follow no redirect.

        Args:
            url: Where to.
            body: JSON in UTF-8.
            connect_timeout_s: Seconds to connect.
            read_timeout_s: Seconds to wait for each part of the reply.
            budget_s: Seconds for everything, however slowly it comes.

        Raises:
            NoAnswer: There is no reply, or no whole one, in time.
        """
        ...


def _positive(instance: object, attribute: Attribute[float], value: float) -> None:
    if not value > 0:
        raise ConfigurationError(f"{attribute.name} of Vies is more than 0 seconds.")


@frozen(kw_only=True)
class Limits:
    """How long VIES is waited for, in seconds.

    Attributes:
        connect_timeout_s: To connect.
        read_timeout_s: For each part of a reply.
        budget_s: For a whole check, a second attempt included.
    """

    connect_timeout_s: float = field(default=3.0, validator=_positive)
    read_timeout_s: float = field(default=10.0, validator=_positive)
    budget_s: float = field(default=15.0, validator=_positive)


class Vies:
    """The register VIES; any number of threads may ask it at once.

    Attributes:
        name: ``"vies"``.
    """

    name = "vies"

    def __init__(
        self,
        *,
        url: str = URL,
        transport: Transport | None = None,
        trust_env: bool = True,
        limits: Limits | None = None,
    ) -> None:
        """Set up a client; nobody is asked yet.

        Args:
            url: Base of the REST interface; another one is for simulators and for proxies of your own.
            transport: Another way to carry questions.
            trust_env: Use the proxies and certificates that the environment names, except to loopback.
            limits: Other waiting times.

        Raises:
            ConfigurationError: ``url`` is not https, nor http on loopback, or has more than a host and a path.
        """
        self._url = f"{_checked_url(url)}/check-vat-number"
        self._limits = limits or Limits()
        self._transport = transport or _Session(trust_env=trust_env and not is_loopback(url))

    def covers(self, tax_id: TaxId) -> bool:
        """Tell whether VIES has numbers of this kind: VAT numbers of the EU, and those that begin with XI."""
        return tax_id.kind in _KINDS

    def check(self, tax_id: TaxId, *, requester: TaxId | None) -> RegisterAnswer:
        """Ask VIES about a number; what goes wrong is an answer, too.

        Args:
            tax_id: A number that VIES covers.
            requester: The seller's own number, for a consultation number; of
                another kind it is not sent.

        Raises:
            ValueError: VIES does not cover the number; nobody is asked.
        """
        if not self.covers(tax_id):
            raise ValueError(f"VIES has no numbers of the kind {tax_id.kind}.")
        ends_at = time.monotonic() + self._limits.budget_s
        asked, seller = _Number.of(tax_id), _Number.of(requester) if requester and self.covers(requester) else None
        answer = self._ask(asked, seller, ends_at)
        if seller is None or answer.reason not in _REQUESTER_REFUSED:
            return answer
        log.warning("VIES does not accept the seller's own VAT number; it is asked again without, and gives no proof.")
        return self._ask(asked, None, ends_at)

    def _ask(self, asked: _Number, seller: _Number | None, ends_at: float) -> RegisterAnswer:
        left_s = ends_at - time.monotonic()
        if left_s <= 0:
            return _unavailable("timeout")
        try:
            status, body = self._transport(
                self._url,
                _question(asked, seller),
                connect_timeout_s=self._limits.connect_timeout_s,
                read_timeout_s=self._limits.read_timeout_s,
                budget_s=left_s,
            )
        except NoAnswer as problem:
            return _unavailable(problem.reason)
        return _read(status, body, asked)


class _Session:
    """Carries questions over HTTP within bounds."""

    def __init__(self, *, trust_env: bool) -> None:
        self._bounded = BoundedSession(trust_env=trust_env)

    def __call__(
        self, url: str, body: bytes, *, connect_timeout_s: float, read_timeout_s: float, budget_s: float
    ) -> tuple[int, bytes]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        timeout = (connect_timeout_s, read_timeout_s)
        self._bounded.begin(budget_s)
        try:
            reply = self._bounded.request("POST", url, data=body, headers=headers, timeout=timeout)
        # Anything: what a broken or hostile peer makes of a reply is not bounded by the exceptions of `requests`.
        except Exception as problem:
            reason = _reason(problem)
        else:
            return reply.status_code, reply.content
        finally:
            # Checks are rare: a kept connection may be closed by the other side just when it is used again.
            self._bounded.hang_up()
        # Raised out here: what went wrong holds the request, and with it somebody's number.
        raise NoAnswer(reason)


@frozen
class _Number:
    """A VAT number in two parts, as VIES wants it."""

    prefix: str
    digits: str = field(repr=False)

    @classmethod
    def of(cls, tax_id: TaxId) -> _Number:
        letters = tax_id.number[:2]
        if not re.fullmatch("[A-Z]{2}", letters):
            raise ValueError("The number of a tax id begins with the prefix of its country.")
        # By the number, not by the country: those of Monaco begin with FR.
        return cls("XI" if tax_id.kind == "xi_vat" else tax_prefix(letters), tax_id.number[2:])


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        bare = bool(parts.hostname) and parts.username is None and not parts.query and not parts.fragment
        _ = parts.port  # raises for what is none
    except ValueError:
        bare = False
    if not bare:
        raise ConfigurationError("url of Vies is a URL with a host and a path, without user, query and fragment.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(url)):
        raise ConfigurationError("url of Vies is https; plain http is accepted on loopback addresses only.")
    return url.rstrip("/")


def _question(asked: _Number, seller: _Number | None) -> bytes:
    question = {"countryCode": asked.prefix, "vatNumber": asked.digits}
    if seller is not None:
        question |= {"requesterMemberStateCode": seller.prefix, "requesterNumber": seller.digits}
    return json.dumps(question).encode()


def _reason(problem: Exception) -> str:
    # `requests` takes a timeout in the middle of a body for a failure of the connection.
    behind = problem.args[0] if problem.args else None
    if isinstance(problem, TooLong):
        return "unreadable"
    if isinstance(problem, (OutOfBounds, requests.Timeout)) or isinstance(behind, ReadTimeoutError):
        return "timeout"
    if isinstance(problem, requests.exceptions.ContentDecodingError):
        return "unreadable"
    return "unreachable"


def _unavailable(reason: str, raw: str = "") -> RegisterAnswer:
    return RegisterAnswer(state="unavailable", reason=reason, of_country=reason in {*_OF_COUNTRY, _SLOW}, raw=raw)


def _read(status: int, body: bytes, asked: _Number) -> RegisterAnswer:
    """Make an answer of a reply, whatever it is."""
    raw = _line(body[: 4 * MAX_RAW].decode("utf-8", "replace"))[:MAX_RAW]
    try:
        reply = strict_json_object(body, longest=_MAX_REPLY)
    except WebhookRejected:
        return _unavailable("unreadable" if status == _OK else f"http-{status}", raw)
    error = _error(reply)
    if error in _MALFORMED:
        return RegisterAnswer(state="malformed", reason=error, raw=raw)
    if status != _OK and error not in _KNOWN:
        error = f"http-{status}"
    return _unavailable(error, raw) if error else _verdict(reply, asked, raw)


def _error(reply: dict[str, Any]) -> str:
    """Give the code of the error that a reply tells of, or empty; one that cannot be read is an error as well."""
    wrappers = reply.get("errorWrappers") or []
    told = [_code_in(wrapper) for wrapper in wrappers] if isinstance(wrappers, list) else [""]
    if reply.get("userError") not in (None, "", "VALID", "INVALID"):
        told.append(reply["userError"])
    if reply.get("actionSucceed") not in (None, True) and not told:
        told.append("")
    codes = [_code(word) for word in told]
    # Beside any other error, that the number is malformed is not sure enough to tell the customer.
    return next((code for code in codes if code not in _MALFORMED), codes[0] if codes else "")


def _code_in(wrapper: object) -> object:
    return wrapper.get("error") if isinstance(wrapper, dict) else None


def _code(word: object) -> str:
    known = isinstance(word, str) and (word in _KNOWN or _CODE.fullmatch(word))
    return str(word) if known else "unreadable"


def _verdict(reply: dict[str, Any], asked: _Number, raw: str) -> RegisterAnswer:
    valid = reply.get("valid")
    # Tuples, not sets: what a peer sends may have no hash.
    if not isinstance(valid, bool) or reply.get("userError") not in (None, "", "VALID" if valid else "INVALID"):
        return _unavailable("unreadable", raw)
    if not _is_about(reply, asked):
        return _unavailable("other-number", raw)
    consultation = _text(reply.get("requestIdentifier"))
    return RegisterAnswer(
        state="valid" if valid else "invalid",
        name=_cut(_text(reply.get("name")), MAX_NAME),
        address=_cut(_text(reply.get("address")), MAX_ADDRESS),
        # Half a number proves nothing; the whole of it is in what came.
        consultation=consultation if len(consultation) <= MAX_CONSULTATION else "",
        raw=raw,
    )


def _is_about(reply: dict[str, Any], asked: _Number) -> bool:
    country, number = (_compact(reply.get(name)) for name in ("countryCode", "vatNumber"))
    return country in {None, asked.prefix} and number in {None, asked.digits, asked.prefix + asked.digits}


def _compact(value: object) -> str | None:
    """Give a number without what it may be written with, None for none, and empty for what is no number."""
    if value is None:
        return None
    return "".join(filter(str.isalnum, str(value))).upper() if isinstance(value, (str, int)) else ""


def _text(value: object) -> str:
    """Give a text on one line, empty where the register has dashes for what it does not tell."""
    lines = map(_line, value.splitlines()) if isinstance(value, str) else ()
    text = ", ".join(filter(None, lines))
    return text if text.strip("-, ") else ""


def _line(text: str) -> str:
    return " ".join("".join(char for char in text if char.isprintable() or char.isspace()).split())


def _cut(text: str, longest: int) -> str:
    return text[:longest].rstrip(", ")
