"""URLs of pages that the host names: where a customer's browser comes back to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from .errors import InvalidRequest

MAX_URL: Final = 2000


def page_url(url: object, *, field: str) -> str:
    """Return ``url`` if a browser can be sent to it from anywhere.

    Raises:
        InvalidRequest: It is not an absolute http or https URL, is longer than
            2000 characters, or holds a user or a blank.
    """
    if not isinstance(url, str) or len(url) > MAX_URL or not url.isprintable():
        raise InvalidRequest(f"{field} is a URL of at most {MAX_URL} characters.", field=field)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        usable = usable and " " not in url and parts.port != 0  # one that is out of range is none
    except ValueError:
        usable = False
    if not usable:
        raise InvalidRequest(f"{field} is an absolute http or https URL.", field=field)
    return url
