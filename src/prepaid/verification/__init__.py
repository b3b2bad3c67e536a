"""Verifying customers: a case is begun at a provider, looked up, decided, and what waited for it is credited.

Nothing that a webhook or a return page says is believed: the case is read anew
from its provider. Only that somebody was verified is kept, by whom, at which
level and when; never a document, and nothing that stands in one.
"""

from .asking import cases, policies_of, preview
from .beginning import start, status, submit
from .deciding import OPERATOR, approve, recheck, reject, revoke
from .looking import apply, due, heard, look_again, note, put_off, release_due
from .values import IdentityPreview, PreviewedCustomer

__all__ = [
    "OPERATOR",
    "IdentityPreview",
    "PreviewedCustomer",
    "apply",
    "approve",
    "cases",
    "due",
    "heard",
    "look_again",
    "note",
    "policies_of",
    "preview",
    "put_off",
    "recheck",
    "reject",
    "release_due",
    "revoke",
    "start",
    "status",
    "submit",
]
