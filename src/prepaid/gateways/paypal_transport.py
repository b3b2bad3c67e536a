"""The one module that imports PayPal's SDK: OAuth and JSON over HTTP, within bounds.

The SDK is archived, and made for APIs that are gone; what is left of it is its
client of OAuth. Everything in it that could harm a payment is overridden here:
it waits without end, follows redirects, asks without end on a permanent 401,
takes a 400 for a success, sends our request's headers with the token's, writes
``null`` as the body of a GET, logs credentials, and reads JSON loosely.

Sources: paypalrestsdk 1.13.3 (``api.py``); https://developer.paypal.com/api/rest/authentication/
(token, its life); https://developer.paypal.com/api/rest/requests/ (headers).
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import paypalrestsdk
import requests

from ..core.errors import WebhookRejected
from ..ports import Clock, Mode
from .bounded import CONNECT_TIMEOUT_S, BoundedSession
from .credentials import is_loopback
from .paypal_wire import Refusal, refusal, unanswered
from .replies import demand, require_int, require_str
from .signed import strict_json_object

LEEWAY: Final = timedelta(seconds=60)
"""How long before its end a token is not used any more."""
MAX_TOKEN: Final = 8192

_UNAUTHORISED: Final = 401
_TOKEN = re.compile(r"[!-~]+", re.ASCII)


class _Call(threading.local):
    """When the call of this thread has to be over, in monotonic time."""

    ends_at = 0.0


class _Api(paypalrestsdk.Api):  # type: ignore[misc]
    """The SDK's client of OAuth, with our time, our bounds and our reading of answers."""

    def __init__(self, *, mode: Mode, client_id: str, client_secret: str, endpoint: str, clock: Clock, timeout_s: int):
        self.token_hash: dict[str, Any] | None
        super().__init__(
            mode="live" if mode == "live" else "sandbox",
            endpoint=endpoint.rstrip("/"),  # or the SDK writes the path twice
            client_id=client_id,
            client_secret=client_secret,
        )
        # A proxy named in the environment stands between us and PayPal, not between us and a simulator.
        self.session = BoundedSession(trust_env=not is_loopback(endpoint))
        self.timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self._call = _Call()
        self._ends_at: datetime | None = None

    def begin(self) -> None:
        """Start a call of this thread: all its requests, and its waits for another's, keep to the timeout."""
        self._call.ends_at = time.monotonic() + self.timeout_s
        self.session.begin(self.timeout_s)

    def get_token_hash(self, *_: object, **__: object) -> dict[str, Any]:
        """Give the token, asking for one if there is none or it ends; one thread asks, the others wait for it.

        The SDK passes the headers of the request in hand: they are not the token's, and stay here.
        """
        if not self._lock.acquire(timeout=max(0, self._call.ends_at - time.monotonic())):
            raise unanswered(writes=False)
        try:
            self.validate_token_hash()
            return self.token_hash or self._new_token()
        finally:
            self._lock.release()

    def validate_token_hash(self) -> None:
        """Forget a token that ends soon, by our clock."""
        if self._ends_at is not None and self._clock.now() >= self._ends_at:
            self.token_hash = None

    def forget(self, token: Mapping[str, Any]) -> None:
        """Use a token no more, unless another thread has replaced it already."""
        with self._lock:
            if self.token_hash is token:
                self.token_hash = None

    def _new_token(self) -> dict[str, Any]:
        asked_at = self._clock.now()
        token: dict[str, Any] = super().get_token_hash()
        self.token_hash = None  # not before it is known to be usable
        demand(require_str(token, "token_type").lower() == "bearer", "token_type is not Bearer")
        demand(_TOKEN.fullmatch(require_str(token, "access_token", longest=MAX_TOKEN)) is not None, "no token")
        self._ends_at = asked_at + timedelta(seconds=require_int(token, "expires_in", largest=10**8)) - LEEWAY
        self.token_hash = token
        return token

    def request(
        self,
        url: str,
        method: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        writes: bool = False,
    ) -> dict[str, Any]:
        """Send one request with a token; one that was kept and is refused is replaced, once."""
        kept = self.token_hash
        token = self.get_token_hash()
        try:
            return self._send(url, method, body, headers, token=token, writes=writes)
        except Refusal as refused:
            if refused.status != _UNAUTHORISED or token is not kept:
                raise
        self.forget(token)
        return self._send(url, method, body, headers, token=self.get_token_hash(), writes=writes)

    def _send(
        self,
        url: str,
        method: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        *,
        token: Mapping[str, Any],
        writes: bool,
    ) -> dict[str, Any]:
        sent = {"Authorization": f"Bearer {token['access_token']}", "Accept": "application/json", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        return self.http_call(url, method, data=body, headers={"User-Agent": self.user_agent, **sent}, writes=writes)

    def http_call(
        self, url: str, method: str, *, data: bytes | str | None, headers: Mapping[str, str], writes: bool = False
    ) -> dict[str, Any]:
        """Send one request and give the object in its answer; the SDK sends its token's here too.

        Raises:
            GatewayError: No answer, or no success.
        """
        timeout = (CONNECT_TIMEOUT_S, self.timeout_s)
        try:
            reply = self.session.request(method, url, timeout=timeout, data=data, headers=headers, auth=_as_it_is)
        # Anything: what a broken peer makes of the layers below is not bounded by one kind of exception.
        except Exception:
            reply = None
        # Raised out here, so that an exception that holds our headers is not carried along.
        if reply is None:
            raise unanswered(writes=writes)
        content = _object(reply.content)
        if 200 <= reply.status_code < 300 and content is not None:
            return content
        raise refusal(reply.status_code, reply.headers, content, writes=writes)


class PayPalTransport:
    """PayPal's API as one app: what `prepaid.gateways.paypal_wire.Transport` asks for."""

    def __init__(
        self, *, mode: Mode, client_id: str, client_secret: str, api_base: str, clock: Clock, timeout_s: int
    ) -> None:
        # A filter, unlike a level, holds even if the host turns the logger up later.
        logging.getLogger("paypalrestsdk.api").addFilter(_only_warnings)
        self._api = _Api(
            mode=mode,
            client_id=client_id,
            client_secret=client_secret,
            endpoint=api_base,
            clock=clock,
            timeout_s=timeout_s,
        )

    def begin(self) -> None:
        """Start a call of this thread: all its requests together keep to the timeout."""
        self._api.begin()

    def request(
        self,
        method: str,
        path: str,
        *,
        content: Mapping[str, Any] | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        writes: bool = False,
    ) -> dict[str, Any]:
        """Send ``content`` as JSON, or ``raw`` as it is, and give the object that PayPal answers with.

        Raises:
            GatewayError: There is no answer, or it is no success.
        """
        body = json.dumps(content, separators=(",", ":")).encode() if content is not None else raw
        return self._api.request(f"{self._api.endpoint}{path}", method, body, headers, writes=writes)

    def authorise(self) -> dict[str, Any]:
        """Ask for a new token with our credentials, and give what PayPal says with it.

        Raises:
            GatewayError: As `request`.
        """
        kept = self._api.token_hash
        if kept is not None:
            self._api.forget(kept)
        return self._api.get_token_hash()


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        return strict_json_object(content)
    except WebhookRejected:
        return None


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    # Without it a password that .netrc holds for the host would take the place of our token.
    return request


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
