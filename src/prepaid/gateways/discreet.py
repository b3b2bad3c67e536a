"""Errors that leave an adapter without the way they came: variables on it hold keys, tokens and personal data.

A tracker of errors shows the local variables of every frame of a traceback, and
of the exceptions behind it. Inside an adapter these are a header with our key,
the body of a request with a customer's address, or a reply as it came. What an
operator needs is in the error's words and its code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Final, TypeVar

from ..core.errors import PrepaidError
from .basic import BasicGateway

T = TypeVar("T")
R = TypeVar("R")

CALLS: Final = (
    "__init__ bind check_credentials create_checkout parse_return fetch_payment capture cancel refund fetch_refund "
    "refunds_of disputes_of list_payments list_refunds list_disputes parse_webhook confirmed begin resume fetch"
).split()


def discreet(gateway: type[T]) -> type[T]:
    """Let the errors of an adapter's class leave it without frames and without what was behind them."""
    for name in CALLS:
        call = getattr(gateway, name, None)
        if isfunction(call) and call is not getattr(BasicGateway, name, None):
            setattr(gateway, name, _bare(call))
    return gateway


def _bare(call: Callable[..., R]) -> Callable[..., R]:
    @wraps(call)
    def bare(*args: object, **options: object) -> R:
        try:
            return call(*args, **options)
        except PrepaidError as problem:
            error = problem
        # They may be the body of a webhook, or a key that is no key; and this frame is left.
        del args, options
        error.__cause__ = error.__context__ = None
        raise error.with_traceback(None)

    return bare
