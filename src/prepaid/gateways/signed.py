"""Signed webhooks: a timed HMAC header and strict JSON, for gateways that sign like Stripe.

An endpoint is open to the whole internet, so nothing here trusts what it is
given: whatever is wrong with a header or a body ends in `WebhookRejected`,
never in another exception, and no message repeats what was sent.

>>> header = sign(b"{}", "a-secret", at=1795320000)
>>> parse_signature_header(header)[0]
1795320000

Sources: https://docs.stripe.com/webhooks (scheme of ``t`` and ``v1``, tolerance
of 300 s); RFC 8259 section 4 (names within an object should be unique).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import Any, Final, NoReturn

from ..core.errors import WebhookRejected
from ..core.instants import to_micros

TOLERANCE_S: Final = 300
"""How far a signature's time may lie from ours, in the past or the future."""
MAX_HEADER: Final = 4096
MAX_BODY: Final = 1_048_576
"""Longest body that is read, in bytes."""
MAX_DEPTH: Final = 32
MAX_TEXT: Final = 191

_MAX_INT: Final = 2**63 - 1
_MAX_NUMBER: Final = 40  # characters of one number
_SECOND: Final = 1_000_000
_TIME = re.compile(r"[0-9]{1,12}", re.ASCII)
_FRACTION = re.compile(r"[-.0-9]+([eE][-+]?[0-9]{1,2})?", re.ASCII)
_V1 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def sign(body: bytes, *secrets: str, at: int) -> str:
    """Make the header for a body at a Unix time in seconds, with one ``v1`` per secret."""
    return ",".join([f"t={at}", *(f"v1={_digest(body, secret, at)}" for secret in secrets)])


def parse_signature_header(value: object) -> tuple[int, tuple[str, ...]]:
    """Read the Unix time in seconds and all ``v1`` signatures; other schemes are passed over.

    Raises:
        WebhookRejected: Missing, too long, without exactly one time, or without
            a well-formed signature.
    """
    if not isinstance(value, str) or len(value) > MAX_HEADER:
        raise WebhookRejected("The signature header is missing or too long.")
    parts = [part.partition("=") for part in value.split(",")]
    times = [content for scheme, _, content in parts if scheme == "t"]
    signatures = tuple(content for scheme, _, content in parts if scheme == "v1")
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise WebhookRejected("The signature header does not hold exactly one time.")
    if not signatures or not all(_V1.fullmatch(signature) for signature in signatures):
        raise WebhookRejected("The signature header holds no well-formed v1 signature.")
    return int(times[0]), signatures


def verify_signed(
    header: object, body: bytes, *, secrets: Sequence[str], now: datetime, tolerance_s: int = TOLERANCE_S
) -> int:
    """Check that one of ``secrets`` signed the raw body lately; give the signed Unix time.

    The signature is judged before the time, so that nobody without a secret
    learns what our clock says. A blank secret never matches.

    Args:
        header: The header's value as received, or None.
        body: The bytes as received, before anything parsed them.
        secrets: Several while one replaces another.
        now: Our time.
        tolerance_s: Seconds allowed either way, bounds included.

    Raises:
        WebhookRejected: Not signed by us, too old, or from the future.
    """
    at, signatures = parse_signature_header(header)
    if not isinstance(body, bytes):
        raise WebhookRejected("The body is not the bytes as received.")
    expected = [_digest(body, secret, at) for secret in secrets if secret.strip()]
    if not any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in signatures):
        raise WebhookRejected("The body is not signed with one of our webhook secrets.")
    if abs(to_micros(now) - at * _SECOND) > tolerance_s * _SECOND:
        raise WebhookRejected(f"The signature's time is more than {tolerance_s} s away from ours.")
    return at


def _digest(body: bytes, secret: str, at: int) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def strict_json_object(body: bytes, *, longest: int = MAX_BODY) -> dict[str, Any]:
    """Read a JSON object of bounded size and depth; fractions come as `Decimal`.

    Raises:
        WebhookRejected: Longer than ``longest`` bytes, not UTF-8, not JSON, not
            an object, nested deeper than 32 levels, or with a repeated name,
            NaN, an integer beyond 64 bits or half a surrogate pair.
    """
    if len(body) > longest:
        raise WebhookRejected(f"The body is longer than {longest} bytes.")
    try:
        content = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=unique_names,
            parse_int=_bounded_int,
            parse_float=_bounded_decimal,
            parse_constant=_no_constant,
        )
        _check_shape(content)
    except (ValueError, RecursionError):
        # From None: a decoding error carries the whole body, which belongs in no log.
        raise WebhookRejected("The body is not acceptable JSON.") from None
    if not isinstance(content, dict):
        raise WebhookRejected("The body is not a JSON object.")
    return content


def required_text(content: dict[str, Any], name: str, *, longest: int = MAX_TEXT) -> str:
    """Return the non-empty printable string called ``name``.

    Raises:
        WebhookRejected: Missing, of another type, empty, too long, or with
            characters that cannot be printed.
    """
    value = content.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
        raise WebhookRejected(f"The body's {name} is not a printable string of 1 to {longest} characters.")
    return value


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make the dict of an object of JSON; a hook for `json.loads`.

    Raises:
        ValueError: A name is repeated, and readers would differ on which counts.
    """
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("repeated name")
    return content


def _bounded_int(digits: str) -> int:
    if len(digits) > _MAX_NUMBER or abs(int(digits)) > _MAX_INT:
        raise ValueError("integer out of range")
    return int(digits)


def _bounded_decimal(number: str) -> Decimal:
    # A bound on the exponent keeps later arithmetic from building millions of digits.
    if len(number) > _MAX_NUMBER or not _FRACTION.fullmatch(number):
        raise ValueError("number out of range")
    return Decimal(number)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_shape(content: object) -> None:
    layer = [content]
    for _ in range(MAX_DEPTH):
        for text in layer:
            if isinstance(text, str):
                text.encode()  # raises for half a surrogate pair, which no database takes
        layer = [child for node in layer for child in _children(node)]
        if not layer:
            return
    raise ValueError("nested too deeply")


def _children(node: object) -> Sequence[object] | chain[object]:
    if isinstance(node, dict):
        return chain(node.keys(), node.values())
    return node if isinstance(node, list) else ()
