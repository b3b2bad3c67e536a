"""What every gateway is configured with: secrets that cannot be shown, and where requests may go.

A secret leaks through whatever prints, copies or stores the object that holds
it; `prepaid.core.secret.Secret` therefore has no readable form.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from ..core.errors import ConfigurationError
from ..core.secret import Secret

__all__ = ["NAME", "Secret", "check_api_base", "check_name", "check_timeout", "conceal", "conceal_all"]

MAX_TIMEOUT_S: Final = 120

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
"""Of a gateway or an identity provider: it stands in URLs and in names of accounts."""


def conceal(value: str | Secret) -> Secret:
    """Hide a string, or return it if it is hidden already.

    Raises:
        ConfigurationError: As `Secret`.
    """
    return value if isinstance(value, Secret) else Secret(value)


def conceal_all(values: tuple[str | Secret, ...]) -> tuple[Secret, ...]:
    """Hide each of several strings.

    Raises:
        ConfigurationError: Not a tuple or list, or as `Secret`.
    """
    if not isinstance(values, (tuple, list)):
        raise ConfigurationError("Several secrets are a tuple of strings.")
    return tuple(conceal(value) for value in values)


def check_name(instance: object, attribute: object, value: object) -> None:
    """Refuse a gateway name that could not stand in a URL and in an account name.

    Raises:
        ConfigurationError: Not lower-case letters, digits and dashes, at most 32, after a letter.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ConfigurationError("A gateway's name is a letter and up to 31 lower-case letters, digits or dashes.")


def check_timeout(instance: object, attribute: object, value: object) -> None:
    """Refuse a timeout that is no number of seconds.

    Raises:
        ConfigurationError: Not an int from 1 to 120.
    """
    if type(value) is not int or not 1 <= value <= MAX_TIMEOUT_S:
        raise ConfigurationError(f"timeout_s is a whole number of seconds from 1 to {MAX_TIMEOUT_S}.")


def check_api_base(instance: object, attribute: object, value: str | None) -> None:
    """Refuse a base URL that would carry the secret key over a network in the clear.

    Raises:
        ConfigurationError: Not a bare ``https://host[:port]``, nor plain http
            on a loopback address.
    """
    if value is None:
        return
    if not isinstance(value, str) or not is_bare_origin(value):
        raise ConfigurationError("api_base is a URL such as 'https://host' without user, path or query.")
    if not value.startswith("https://") and not is_loopback(value):
        raise ConfigurationError("api_base is https; plain http is accepted on loopback addresses only.")


def is_bare_origin(url: str) -> bool:
    """Tell whether ``url`` is a scheme of the web and a host, with nothing else but a port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    shown = f"[{host}]" if host and ":" in host else host
    bare = f"{parts.scheme}://{shown}" + ("" if port is None else f":{port}")
    return parts.scheme in {"http", "https"} and bool(host) and url == bare


def is_loopback(url: str) -> bool:
    """Tell whether the host of ``url`` is this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
