"""Identity verification: when a customer has to be verified, what is known of them, and the steps of a case.

Only that somebody was verified is known here, by whom, at which level and until
when; never a document, and nothing that stands in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from attrs import field, frozen

from .amounts import Amounts, of_currency, one_per_currency
from .countries import country_code
from .errors import InvalidRequest
from .money import Money

IDENTITY_SETTING: Final = "identity"
"""Name of the setting that keeps a book's policies."""

MAX_LEVEL: Final = 9
MAX_SPAN: Final = timedelta(days=36_525)
MAX_POLICIES: Final = 8

IdentityState = Literal["unverified", "pending", "verified", "rejected", "expired", "revoked"]
"""What is known of a customer: ``pending`` while a case is open and nothing else counts."""

CaseState = Literal["starting", "pending", "submitted", "verified", "rejected", "canceled"]
"""How far a case is: begun here, waiting for the customer, waiting for whoever decides, decided, given up."""

Basis = Literal["topups", "usage"]
_BASES: Final = ("topups", "usage")

CASE_STEPS: Final[dict[CaseState, frozenset[CaseState]]] = {
    "starting": frozenset({"pending", "submitted", "verified", "rejected", "canceled"}),
    "pending": frozenset({"submitted", "verified", "rejected", "canceled"}),
    "submitted": frozenset({"pending", "verified", "rejected", "canceled"}),
    "verified": frozenset(),
    "rejected": frozenset(),
    "canceled": frozenset(),
}

OPEN_CASES: Final[tuple[CaseState, ...]] = ("starting", "pending", "submitted")
"""Nobody has decided yet."""


def case_sources(target: CaseState) -> tuple[CaseState, ...]:
    """Give the states from which ``target`` may be reached, sorted."""
    return tuple(sorted(source for source, targets in CASE_STEPS.items() if target in targets))


def _amounts(value: Money | Sequence[Money] | None) -> Amounts:
    return one_per_currency(value, field="above", zero=True)


def _countries(value: Sequence[str] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple, set, frozenset)) or not value:
        raise InvalidRequest("countries is a tuple of country codes, or None for all.", field="countries")
    return tuple(sorted({country_code(code) for code in value}))


def check_level(level: object) -> int:
    """Return a level.

    Raises:
        InvalidRequest: It is none.
    """
    if type(level) is not int or not 1 <= level <= MAX_LEVEL:
        raise InvalidRequest(f"level is a whole number from 1 to {MAX_LEVEL}.", field="level")
    return level


def _is_span(value: object) -> bool:
    return isinstance(value, timedelta) and timedelta(minutes=1) <= value <= MAX_SPAN


@frozen(kw_only=True)
class IdentityPolicy:
    """When customers of a book have to be verified; a book may have several, each of its level.

    Attributes:
        before_first_topup: Nothing is credited to anybody who is not verified.
        above: What a customer may have without being verified, one amount per
            currency. A currency that is not named counts as above, if any is.
        basis: What is counted: credit bought (``"topups"``) or used (``"usage"``).
        period: Only what lies this far back is counted; all of it if None.
        countries: Only customers of these countries have to, and those whose country is not known; all if None.
        level: Level of verification that is asked for, 1 to 9.
        valid_for: How long a verification counts; without end if None.
    """

    before_first_topup: bool = False
    above: Amounts = field(default=(), converter=_amounts)
    basis: Basis = "topups"
    period: timedelta | None = None
    countries: tuple[str, ...] | None = field(default=None, converter=_countries)
    level: int = 1
    valid_for: timedelta | None = None

    def __attrs_post_init__(self) -> None:
        if type(self.before_first_topup) is not bool:
            raise InvalidRequest("before_first_topup is True or False.", field="before_first_topup")
        if self.basis not in _BASES:
            raise InvalidRequest("basis is 'topups' or 'usage'.", field="basis")
        check_level(self.level)
        for name in ("period", "valid_for"):
            span = getattr(self, name)
            if span is not None and not _is_span(span):
                raise InvalidRequest(f"{name} is a timedelta from a minute to a century, or None.", field=name)
        if not self.before_first_topup and not self.above:
            raise InvalidRequest("A policy asks before the first top-up, or above an amount.", field="above")

    def covers(self, country: str | None) -> bool:
        """Tell whether it is about customers of a country; one that is not known is no way around it."""
        return self.countries is None or country is None or country in self.countries

    def exceeded(self, total: Money) -> bool:
        """Tell whether a sum is more than may be had without being verified."""
        if not self.above:
            return False
        limit = of_currency(self.above, total.currency)
        return limit is None or total > limit

    def record(self) -> dict[str, Any]:
        """Give the policy as plain values."""
        return {
            "before_first_topup": self.before_first_topup,
            "above": {amount.currency: str(amount.units) for amount in self.above},
            "basis": self.basis,
            "period_s": None if self.period is None else int(self.period.total_seconds()),
            "countries": None if self.countries is None else list(self.countries),
            "level": self.level,
            "valid_for_s": None if self.valid_for is None else int(self.valid_for.total_seconds()),
        }


def policies_from_record(record: Mapping[str, Any] | None) -> tuple[IdentityPolicy, ...]:
    """Read the setting; without one nobody has to be verified."""
    return tuple(_policy(each) for each in (record or {}).get("policies", ()))


def _policy(record: Mapping[str, Any]) -> IdentityPolicy:
    def span(name: str) -> timedelta | None:
        return None if record[name] is None else timedelta(seconds=record[name])

    return IdentityPolicy(
        before_first_topup=record["before_first_topup"],
        above=tuple(Money(int(units), code) for code, units in record["above"].items()),
        basis=record["basis"],
        period=span("period_s"),
        countries=record["countries"],
        level=record["level"],
        valid_for=span("valid_for_s"),
    )


@frozen(kw_only=True)
class Verification:
    """That a customer was verified.

    Attributes:
        level: How thoroughly.
        verified_at: When.
        revoked: An operator took it back.
    """

    level: int
    verified_at: datetime
    revoked: bool = False


@frozen(kw_only=True)
class IdentityStatus:
    """What is known of a customer's identity.

    Attributes:
        state: ``"unverified"``, ``"pending"``, ``"verified"``, ``"rejected"``, ``"expired"`` or ``"revoked"``.
        level: Level that counts now; 0 for none.
        required_level: Level that is asked for; 0 if none is.
        reason: Why it is asked for, in a machine word: ``"first-topup"``,
            ``"above"``, ``"plugin"``; or empty.
        message: What the customer reads, or empty.
        provider: Who can verify them, or empty if nobody is set up.
        case_id: The open case, or None.
        verified_at: When they were verified last, or None.
        expires_at: When that counts no more, or None.
    """

    state: IdentityState
    level: int = 0
    required_level: int = 0
    reason: str = ""
    message: str = ""
    provider: str = ""
    case_id: str | None = None
    verified_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def required(self) -> bool:
        """They have to be verified before they go on."""
        return self.required_level > self.level


@frozen(kw_only=True)
class IdentityCase:
    """One attempt to verify a customer.

    Attributes:
        id: ``idc_…``.
        customer: The host's id of the customer.
        provider: Name of who verifies.
        state: How far it is.
        level: Level that it can lead to.
        reference: The provider's id of it, or None.
        submission: The host's reference to what the customer handed in, or empty.
        reason: Why it was decided as it was, or was not successful so far, or empty.
        actor: Who decided, or empty.
        created_at: When it began.
        submitted_at: When the customer had done their part, or None.
        decided_at: When it was decided, or None.
        redirect_url: Where the customer goes; known to the call that began it alone.
    """

    id: str
    customer: str
    provider: str
    state: CaseState
    level: int
    reference: str | None = None
    submission: str = field(default="", repr=False)
    reason: str = field(default="", repr=False)
    actor: str = ""
    created_at: datetime
    submitted_at: datetime | None = None
    decided_at: datetime | None = None
    redirect_url: str | None = field(default=None, repr=False)
