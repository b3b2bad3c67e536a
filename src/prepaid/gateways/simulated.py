"""A payment provider that exists only here: for tests, the tutorial and the example, never for money.

It keeps its side of the story in a SQLite file of its own, as a real provider
would: a crash of the host loses nothing of it, and several processes may share
it. It answers truthfully unless a test scripts a lie (`SimulatedGateway.pay`)
or a fault (`SimulatedGateway.fault_next`).

The payer's pages are drawn by the host, from `SimulatedGateway.page`; webhooks
go nowhere by themselves, the host or test delivers those of
`SimulatedGateway.events` as often, as late and in whatever order it likes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from sqlite3 import Row
from typing import Final, Literal, get_args

import attrs
from attrs import field, frozen

from ..core.errors import (
    ConfigurationError,
    GatewayError,
    InvalidAmount,
    InvalidRequest,
    NotFound,
    WebhookRejected,
    WrongState,
)
from ..core.hashing import canonical_json, fingerprint
from ..core.instants import to_micros
from ..core.money import MINOR_DIGITS, Money, check_currency, require_whole_minor
from ..ports import (
    Capabilities,
    Checkout,
    CheckoutRequest,
    Clock,
    CurrencyLimits,
    GatewayEvent,
    Health,
    Mode,
    PaymentRef,
    PaymentSnapshot,
    PaymentState,
)
from ..system import SystemClock
from .basic import BasicGateway
from .credentials import Secret, check_name, check_timeout, conceal_all
from .signed import required_text, sign, strict_json_object, verify_signed
from .simulated_state import StateSession, event_id, session, snapshot, state_at

SIGNATURE_HEADER: Final = "simulated-signature"

Fault = Literal["unavailable", "timeout-after-accept", "garbage", "slow"]
"""What goes wrong with a call: nothing is done; it is done but nobody hears of
it; the answer cannot be read (and nothing was done); it takes all the time allowed."""

Operation = Literal["check_credentials", "create_checkout", "fetch_payment", "cancel"]

_MODE: Final[Mode] = "test"
_KEY_VALID_S: Final = 10 * 365 * 86_400
_MAX_MINOR: Final = 99_999_999
_EVENT_TYPES: Final[dict[PaymentState, str]] = {
    "processing": "payment.processing",
    "captured": "payment.captured",
    "failed": "payment.failed",
    "expired": "checkout.expired",
    "canceled": "checkout.canceled",
}
_LATE: Final[tuple[PaymentState, ...]] = ("expired", "failed", "canceled")

_TRUTH: Final[dict[str, str | int | None]] = dict.fromkeys(("minor", "currency", "topup", "mode", "account"))


@frozen(kw_only=True)
class SimulatedPage:
    """What a payment page shows, for the host to draw.

    Attributes:
        checkout_id: The checkout that the page pays.
        description: What is paid for.
        amount: What is to be paid.
        return_url: Where the browser goes after paying.
        cancel_url: Where the browser goes when the customer gives up.
        state: Only ``open`` can be paid.
    """

    checkout_id: str
    description: str
    amount: Money
    return_url: str
    cancel_url: str
    state: PaymentState


@frozen(kw_only=True)
class SimulatedDelivery:
    """A webhook to deliver, any number of times.

    Attributes:
        event_id: The same on every delivery.
        checkout_id: Checkout it is about.
        type: The gateway's word for what happened.
        body: The raw bytes, the same on every delivery.
    """

    event_id: str
    checkout_id: str
    type: str
    body: bytes = field(repr=False)
    _secret: Secret = field(repr=False)
    _clock: Clock = field(repr=False)

    def request(self, secret: str | None = None, at: datetime | None = None) -> tuple[dict[str, str], bytes]:
        """Give headers (names in lower case) and body of a delivery.

        Args:
            secret: Another signing secret than the gateway's first.
            at: Another signing time than now.
        """
        signed_at = to_micros(at or self._clock.now()) // 1_000_000
        signature = sign(self.body, secret or self._secret.reveal(), at=signed_at)
        return {"content-type": "application/json", SIGNATURE_HEADER: signature}, self.body


def _state_path(state: str | os.PathLike[str]) -> str:
    path = os.fspath(state)
    if path in ("", ":memory:"):
        raise ConfigurationError("state names a file: the simulated gateway remembers outside the process.")
    return path


def _not_empty(instance: object, attribute: object, secrets: tuple[Secret, ...]) -> None:
    if not secrets:
        raise ConfigurationError("webhook_secrets of SimulatedGateway holds at least one secret.")


def _has_place_for_id(instance: object, attribute: object, page_url: str) -> None:
    if "{checkout_id}" not in page_url:
        raise ConfigurationError("page_url needs {checkout_id} where the id goes.")


@frozen(kw_only=True)
class SimulatedGateway(BasicGateway):
    """A provider whose payments are acts of the test; refused in live mode.

    Instances on one ``state`` file with one ``name`` are one provider: the
    payer's acts may be called on any of them. Before `bind` it goes by the
    machine's clock.

    Attributes:
        state: File in which the provider remembers; made at first use.
        webhook_secrets: The first signs, any of them is accepted.
        page_url: Where the host routes the payment page.
        name: Name under which the host knows the gateway.
        label: What customers read.
        timeout_s: Longest that a call takes.
        clock: Tells when a checkout lapses and a signature is stale.
    """

    state: str = field(default="simulated-gateway.db", converter=_state_path)
    webhook_secrets: tuple[Secret, ...] = field(
        default=(Secret("simulated-secret"),), converter=conceal_all, validator=_not_empty, repr=False
    )
    page_url: str = field(default="/simulated-pay/{checkout_id}", validator=_has_place_for_id)
    name: str = field(default="simulated", validator=check_name)
    label: str = "Simulated payment"
    timeout_s: int = field(default=5, validator=check_timeout)
    clock: Clock = field(factory=SystemClock, repr=False)

    @property
    def account(self) -> str:
        """The merchant account that honest payments go to."""
        return f"acct_{self.name}"

    # The host's side: prepaid.ports.Gateway.

    def bind(self, mode: Mode, clock: Clock) -> SimulatedGateway:
        """Give this gateway with a clock, for test mode only.

        Raises:
            ConfigurationError: In any other mode: its payments are not money.
        """
        if mode != _MODE:
            raise ConfigurationError(f"The gateway {self.name!r} is simulated and is refused in {mode} mode.")
        return attrs.evolve(self, clock=clock)

    def capabilities(self) -> Capabilities:
        """Say what the gateway can do: every currency, in whole minor units."""
        return Capabilities(
            currencies={currency: _limits(currency) for currency in MINOR_DIGITS},
            create_key_valid_s=_KEY_VALID_S,
            reports_account=True,
            asynchronous=True,
        )

    def check_credentials(self) -> Health:
        """Say that all is well, unless a fault is due."""
        try:
            with self._call("check_credentials"):
                return Health(ok=True, mode=_MODE, detail="Simulated: no money moves.")
        except GatewayError as problem:
            return Health(ok=False, detail=str(problem))

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Prepare a payment; the same key again gives the same checkout.

        Raises:
            GatewayError: The amount is not taken, the key came with another
                request (``idempotency-conflict``), or a fault was due.
        """
        with self._call("create_checkout"), self._session() as state:
            checkout_id = self._created(state, request)
        return Checkout(checkout_id=checkout_id, redirect_url=self.page_url.replace("{checkout_id}", checkout_id))

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Re-read a payment.

        Raises:
            GatewayError: The checkout is unknown, or a fault was due.
        """
        with self._call("fetch_payment"), self._session() as state:
            return snapshot(_known(state, ref), self.clock.now())

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Make an open checkout unpayable; any other stays as it is.

        Raises:
            GatewayError: The checkout is unknown, or a fault was due.
        """
        with self._call("cancel"), self._session() as state:
            if state_at(_known(state, ref), self.clock.now()) == "open":
                state.enter(ref.checkout_id, "canceled", created=self._unix_now())
            return snapshot(_known(state, ref), self.clock.now())

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[GatewayEvent]:
        """Verify a webhook and say which checkout to look up; amounts are not read.

        Raises:
            WebhookRejected: Not signed with one of our secrets, more than 300 s
                old or in the future, unreadable, or of another mode.
        """
        secrets = [secret.reveal() for secret in self.webhook_secrets]
        verify_signed(headers.get(SIGNATURE_HEADER), body, secrets=secrets, now=self.clock.now())
        content = strict_json_object(body)
        if required_text(content, "mode") != _MODE:
            raise WebhookRejected("The event is of another mode.", reason="wrong-mode")
        event_type = required_text(content, "type")
        return (
            GatewayEvent(
                event_id=required_text(content, "id"),
                kind="payment" if event_type in _EVENT_TYPES.values() else "ignored",
                type=event_type,
                checkout_id=required_text(content, "checkout_id"),
                topup_id=None if content.get("topup_id") is None else required_text(content, "topup_id"),
                mode=_MODE,
            ),
        )

    # The payer's side.

    def page(self, checkout_id: str) -> SimulatedPage:
        """Give what the payment page shows.

        Raises:
            NotFound: There is no such checkout.
        """
        with self._session() as state:
            row = _found(state, checkout_id)
        return SimulatedPage(
            checkout_id=row["id"],
            description=row["description"],
            amount=Money.from_minor(row["minor"], row["currency"]),
            return_url=row["return_url"],
            cancel_url=row["cancel_url"],
            state=state_at(row, self.clock.now()),
        )

    def pay(
        self,
        checkout_id: str,
        *,
        amount: Money | None = None,
        currency: str | None = None,
        mode: Mode | Literal[""] | None = None,
        topup_id: str | None = None,
        account: str | None = None,
        later: bool = False,
        late: bool = False,
    ) -> tuple[str, ...]:
        """Pay a checkout and give the ids of the events; paying again changes nothing and gives the same.

        The first five options script lies: what the gateway will say instead of
        the truth. An empty mode, top-up id or account is not told at all.

        Args:
            checkout_id: What to pay.
            amount: Another amount.
            currency: Another currency, for the same number of minor units.
            mode: Another mode.
            topup_id: Another reference.
            account: Another merchant account.
            later: Leave it in ``processing`` until `finish`.
            late: Pay although it has failed, lapsed or been cancelled.

        Raises:
            NotFound: There is no such checkout.
            WrongState: It cannot be paid any more.
            InvalidAmount: The amount is not in whole minor units, or the currency unknown.
        """
        sources: tuple[PaymentState, ...] = ("open", *_LATE) if late else ("open",)
        if currency is not None:
            check_currency(currency)
        told = {**_TRUTH, "mode": mode, "topup": topup_id, "account": account, "currency": currency}
        if amount is not None:
            told |= {"minor": require_whole_minor(amount).minor, "currency": currency or amount.currency}
        return self._move(checkout_id, "processing" if later else "captured", sources, told)

    def finish(self, checkout_id: str, *, succeed: bool = True) -> tuple[str, ...]:
        """End a payment left in ``processing`` and give the ids of the events.

        Raises:
            NotFound: There is no such checkout.
            WrongState: It is not in ``processing``.
        """
        return self._move(checkout_id, "captured" if succeed else "failed", ("processing",))

    def fail(self, checkout_id: str) -> tuple[str, ...]:
        """Decline the payment, finally unless paid late, and give the ids of the events.

        Raises:
            NotFound: There is no such checkout.
            WrongState: It is past that.
        """
        return self._move(checkout_id, "failed", ("open", "processing"))

    def expire(self, checkout_id: str) -> tuple[str, ...]:
        """Let an unpaid checkout lapse now, and give the ids of the events.

        Raises:
            NotFound: There is no such checkout.
            WrongState: It is past that.
        """
        return self._move(checkout_id, "expired", ("open", "expired"))

    def events(self, since: str | None = None) -> tuple[SimulatedDelivery, ...]:
        """Give the webhooks there are to deliver, oldest first, or those after the event ``since``.

        Raises:
            NotFound: There is no event ``since``.
        """
        with self._session() as state:
            deliveries = [self._delivery(row) for row in state.events()]
        if since is None:
            return tuple(deliveries)
        ids = [delivery.event_id for delivery in deliveries]
        if since not in ids:
            raise NotFound("There is no such event.", field="since")
        return tuple(deliveries[ids.index(since) + 1 :])

    def fault_next(self, operation: Operation, kind: Fault, *, times: int = 1) -> None:
        """Let the next calls of ``operation`` go wrong, after those already scripted.

        Raises:
            InvalidRequest: There is no such operation or fault.
        """
        if operation not in get_args(Operation):
            raise InvalidRequest(f"operation is one of {', '.join(get_args(Operation))}.", field="operation")
        if kind not in get_args(Fault):
            raise InvalidRequest(f"kind is one of {', '.join(get_args(Fault))}.", field="kind")
        with self._session() as state:
            state.add_faults(operation, kind, times)

    def _move(
        self,
        checkout_id: str,
        target: PaymentState,
        sources: tuple[PaymentState, ...],
        told: Mapping[str, str | int | None] = _TRUTH,
    ) -> tuple[str, ...]:
        """Take a checkout to ``target``, once, and give the id of the event that told of it."""
        with self._session() as state:
            row = _found(state, checkout_id)
            if row["state"] != target:
                if (current := state_at(row, self.clock.now())) not in sources:
                    raise WrongState(f"The checkout is {current}.", field="checkout_id")
                state.tell(checkout_id, told)
                state.enter(checkout_id, target, created=self._unix_now())
            return tuple(event_id(event) for event in state.events() if event["checkout"] == checkout_id)[-1:]

    def _created(self, state: StateSession, request: CheckoutRequest) -> str:
        """Give the id of the checkout made by the request's key, making it if there is none."""
        checkout_id = f"sim_{fingerprint(self.name, request.key)}"
        content = fingerprint(attrs.asdict(request, recurse=False, filter=lambda name, _: name.name != "key"))
        state.add(
            {
                "id": checkout_id,
                "key": request.key,
                "request": content,
                "minor": _minor_of(request.amount),
                "currency": request.amount.currency,
                "description": request.description,
                "return_url": request.return_url,
                "cancel_url": request.cancel_url,
                "expires_at": to_micros(request.expires_at),
                "topup": request.topup_id,
                "mode": _MODE,
                "account": self.account,
            }
        )
        if _found(state, checkout_id)["request"] != content:
            raise GatewayError("The key was used with another request.", code="idempotency-conflict")
        return checkout_id

    def _delivery(self, row: Row) -> SimulatedDelivery:
        content = {
            "id": event_id(row),
            "type": _EVENT_TYPES[row["state"]],
            "created": row["created"],
            "mode": row["mode"],
            "checkout_id": row["checkout"],
            "topup_id": row["topup"] or None,
        }
        return SimulatedDelivery(
            event_id=content["id"],
            checkout_id=content["checkout_id"],
            type=content["type"],
            body=canonical_json(content).encode(),
            secret=self.webhook_secrets[0],
            clock=self.clock,
        )

    def _unix_now(self) -> int:
        return to_micros(self.clock.now()) // 1_000_000

    def _session(self) -> AbstractContextManager[StateSession]:
        return session(self.state, self.name, timeout_s=self.timeout_s)

    @contextmanager
    def _call(self, operation: Operation) -> Iterator[None]:
        """Wrap a call of the host in the fault that is due, if any."""
        with self._session() as state:
            kind = state.take_fault(operation)
        if kind == "unavailable":
            raise GatewayError("The simulated gateway is not available.", retryable=True, code=kind)
        if kind == "garbage":
            raise GatewayError("The simulated gateway gave an unreadable answer.", code=kind)
        if kind == "slow":
            time.sleep(self.timeout_s)
        yield
        if kind == "timeout-after-accept":
            raise GatewayError(
                "The simulated gateway did not answer in time.", retryable=True, outcome_unknown=True, code="timeout"
            )


def _limits(currency: str) -> CurrencyLimits:
    least = Money.from_minor(1, currency)
    return CurrencyLimits(minimum=least, maximum=Money.from_minor(_MAX_MINOR, currency), step=least)


def _minor_of(amount: Money) -> int:
    try:
        minor = require_whole_minor(amount).minor
    except InvalidAmount:
        raise GatewayError("The amount is not in whole minor units above zero.", code="amount-invalid") from None
    if minor > _MAX_MINOR:
        raise GatewayError("The amount is too large.", code="amount-invalid")
    return minor


def _found(state: StateSession, checkout_id: str) -> Row:
    row = state.find(checkout_id)
    if row is None:
        raise NotFound("There is no such checkout.", field="checkout_id")
    return row


def _known(state: StateSession, ref: PaymentRef) -> Row:
    try:
        return _found(state, ref.checkout_id)
    except NotFound:
        raise GatewayError("The simulated gateway knows no such checkout.", code="not-found") from None
