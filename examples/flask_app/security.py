"""What keeps the panel's pages safe: tokens on forms, headers on answers, cookies that stay here.

Sources: OWASP Cheat Sheets "Cross-Site Request Forgery Prevention" and "HTTP Headers"; CSP Level 3.
"""

from __future__ import annotations

import hmac
import secrets
from typing import Any

from flask import Flask, Request, Response, abort, current_app, request, session
from flask.sessions import SecureCookieSessionInterface

MAX_BODY_BYTES = 256 * 1024
POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    )
)
# Of a mail that a page shows in a frame. Its styles stand in it, as mail programs want them; in return nothing runs in
# it, nothing is loaded, not even from here, and it is no part of our site.
MAIL_POLICY = "; ".join(
    (
        "sandbox",
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)
_UNGUARDED = "_takes_posts_from_elsewhere"


class Mail(Response):
    """The HTML of a mail, which one of our own pages may show in a frame."""


class _Sessions(SecureCookieSessionInterface):
    """Signed cookies that are Secure wherever the page itself is."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def protect(app: Flask, secret_key: str) -> None:
    """Put every page of an app under the rules of this module."""
    app.config.update(
        SECRET_KEY=secret_key,
        SESSION_COOKIE_NAME="nimbus",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        # The Host header becomes part of URLs that go to the gateway.
        TRUSTED_HOSTS=["127.0.0.1", "localhost"],
    )
    app.session_interface = _Sessions()
    app.before_request(_check_token)
    app.after_request(_add_headers)
    app.context_processor(lambda: {"csrf_token": csrf_token})


def takes_posts_from_elsewhere(view: Any) -> Any:
    """Free a view from the token: a provider's server has none, and proves itself by its signature."""
    setattr(view, _UNGUARDED, True)
    return view


def csrf_token() -> str:
    """Give the token that forms of this session carry."""
    return str(session.setdefault("csrf", secrets.token_urlsafe(32)))


def _check_token() -> None:
    if request.method in ("GET", "HEAD", "OPTIONS") or _is_unguarded(request):
        return
    if not hmac.compare_digest(request.form.get("csrf", "").encode(), csrf_token().encode()):
        abort(400, "This form is from another session. Go back, reload the page and try again.")


def _is_unguarded(wanted: Request) -> bool:
    view = current_app.view_functions.get(wanted.endpoint or "")
    return getattr(view, _UNGUARDED, False)


def _add_headers(response: Response) -> Response:
    is_mail = isinstance(response, Mail)
    response.headers["Content-Security-Policy"] = MAIL_POLICY if is_mail else POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "SAMEORIGIN" if is_mail else "DENY"
    response.headers["Referrer-Policy"] = "same-origin"
    if not is_mail:  # the HTML standard lets no sandbox that bears it be opened by itself
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
