"""The simulated provider apart from its API: its settings, its payers and their banks, its dashboard, its webhooks.

All that a test or a demonstration does to it, and nothing that a host may ask
of a gateway; that is in `prepaid.gateways.simulated`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Literal, get_args

from attrs import field, frozen

from ..core.errors import ConfigurationError, InvalidRequest, NotFound, WrongState
from ..core.hashing import canonical_json, fingerprint
from ..core.instants import to_micros
from ..core.money import Money, check_currency, require_whole_minor
from ..ports import Clock, Mode, PaymentState
from ..system import SystemClock
from .credentials import Secret, check_name, check_timeout, conceal_all
from .simulated_faults import Fault, Operation
from .simulated_reports import found, state_at
from .simulated_state import StateSession, event_id, session
from .simulated_values import SimulatedDelivery, SimulatedPage
from .state_file import state_path

if TYPE_CHECKING:
    from sqlite3 import Row

MODE: Final[Mode] = "test"

RefundOutcome = Literal["succeeded", "pending", "failed"]

_REFUND_SCRIPT: Final = "refund-outcome"
_EVENT_TYPES: Final[dict[PaymentState, str]] = {
    "processing": "payment.processing",
    "authorised": "payment.authorised",
    "captured": "payment.captured",
    "failed": "payment.failed",
    "expired": "checkout.expired",
    "canceled": "checkout.canceled",
}
_LATE: Final[tuple[PaymentState, ...]] = ("expired", "failed", "canceled")
_TRUTH: Final[dict[str, str | int | None]] = dict.fromkeys(("minor", "currency", "topup", "mode", "account"))


def _not_empty(instance: object, attribute: object, secrets: tuple[Secret, ...]) -> None:
    if not secrets:
        raise ConfigurationError("webhook_secrets of SimulatedGateway holds at least one secret.")


def _has_place_for_id(instance: object, attribute: object, page_url: str) -> None:
    if "{checkout_id}" not in page_url:
        raise ConfigurationError("page_url needs {checkout_id} where the id goes.")


def _automatic_or_manual(instance: object, attribute: object, value: object) -> None:
    if value not in {"automatic", "manual"}:
        raise ConfigurationError("capture of SimulatedGateway is 'automatic' or 'manual'.")


def _from_1_to_1000(instance: object, attribute: object, value: object) -> None:
    if type(value) is not int or not 1 <= value <= 1000:
        raise ConfigurationError("page_size of SimulatedGateway is a whole number from 1 to 1000.")


@frozen(kw_only=True)
class SimulatedProvider:
    """A provider whose payments are acts of the test.

    An act gives the ids of the events that told of it, unless it says otherwise.

    Attributes:
        state: File in which the provider remembers; made at first use.
        webhook_secrets: The first signs, any of them is accepted.
        page_url: Where the host routes the payment page.
        name: Name under which the host knows the gateway.
        label: What customers read.
        timeout_s: Longest that a call takes.
        capture_method: ``"automatic"``, or ``"manual"`` if what is paid is only
            authorised until the host captures it; given as ``capture=``.
        page_size: How many things a page of a list holds.
        clock: Tells when a checkout lapses and a signature is stale.
    """

    state: str = field(default="simulated-gateway.db", converter=state_path)
    webhook_secrets: tuple[Secret, ...] = field(
        default=(Secret("simulated-secret"),), converter=conceal_all, validator=_not_empty, repr=False
    )
    page_url: str = field(default="/simulated-pay/{checkout_id}", validator=_has_place_for_id)
    name: str = field(default="simulated", validator=check_name)
    label: str = "Simulated payment"
    timeout_s: int = field(default=5, validator=check_timeout)
    capture_method: Literal["automatic", "manual"] = field(
        default="automatic", alias="capture", validator=_automatic_or_manual
    )
    page_size: int = field(default=50, validator=_from_1_to_1000)
    clock: Clock = field(factory=SystemClock, repr=False)

    # The payer.

    def page(self, checkout_id: str) -> SimulatedPage:
        """Give what the payment page shows.

        Raises:
            NotFound: There is no such checkout.
        """
        with self._session() as state:
            row = found(state, "checkout", checkout_id)
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
        return self._move(checkout_id, "processing" if later else self._taken(), sources, told)

    def pay_again(self, checkout_id: str, *, amount: Money | None = None) -> tuple[str, ...]:
        """Pay a checkout whose money was captured once more: another payment, captured at once.

        Args:
            checkout_id: What to pay.
            amount: Another amount than the first time.

        Raises:
            NotFound: There is no such checkout.
            WrongState: Nothing was captured yet.
            InvalidAmount: The amount is not in whole minor units.
        """
        told = dict(_TRUTH)
        if amount is not None:
            told |= {"minor": require_whole_minor(amount).minor, "currency": amount.currency}
        with self._session() as state:
            row = found(state, "checkout", checkout_id)
            if row["state"] != "captured":
                raise WrongState(f"The checkout is {row['state']}.", field="checkout_id")
            state.tell(checkout_id, told)
            payment_id = state.add_payment(checkout_id, "captured", created=self._now())
            return self._tell_of(state, "payment.captured", checkout_id, payment_id)

    def finish(self, checkout_id: str, *, succeed: bool = True) -> tuple[str, ...]:
        """End a payment left in ``processing`` and give the ids of the events.

        Raises:
            NotFound: There is no such checkout.
            WrongState: It is not in ``processing``.
        """
        return self._move(checkout_id, self._taken() if succeed else "failed", ("processing",))

    def fail(self, checkout_id: str) -> tuple[str, ...]:
        """Decline the payment, finally unless paid late, and give the ids of the events.

        Raises:
            NotFound: There is no such checkout.
            WrongState: It is past that.
        """
        return self._move(checkout_id, "failed", ("open", "processing", "authorised"))

    def expire(self, checkout_id: str) -> tuple[str, ...]:
        """Let an unpaid checkout lapse now, and give the ids of the events.

        Raises:
            NotFound: There is no such checkout.
            WrongState: It is past that.
        """
        return self._move(checkout_id, "expired", ("open", "expired"))

    # The payer's bank.

    def dispute(
        self, checkout_id: str, *, amount: Money | None = None, inquiry: bool = False, reason: str = "fraudulent"
    ) -> str:
        """Dispute the first payment of a checkout and give the id of the dispute.

        Args:
            checkout_id: Whose payment.
            amount: Less than all of it.
            inquiry: Only ask, without taking the money; see `escalate`.
            reason: Why.

        Raises:
            NotFound: There is no such checkout.
            WrongState: Nothing was captured, or less than ``amount``.
        """
        with self._session() as state:
            payment = self._captured(state, checkout_id)
            minor = payment["minor"] if amount is None else _minor_of(amount, payment, payment["minor"])
            dispute_id = f"dp_{fingerprint(payment['id'], len(state.of_payment('dispute', payment['id'])))}"
            dispute = {
                "id": dispute_id,
                "payment": payment["id"],
                "state": "inquiry" if inquiry else "open",
                "reason": reason,
                "minor": minor,
                **self._of(payment),
            }
            state.add_dispute(dispute)
            self._tell_of(state, "dispute.opened", payment["checkout"], payment["id"])
        return dispute_id

    def escalate(self, dispute_id: str) -> tuple[str, ...]:
        """Make a dispute of an inquiry: now it takes the money.

        Raises:
            NotFound: There is no such dispute.
            WrongState: It is no inquiry.
        """
        return self._change("dispute", dispute_id, "open", "dispute.opened", sources=("inquiry",))

    def win(self, dispute_id: str) -> tuple[str, ...]:
        """End a dispute for the merchant, who keeps the money.

        Raises:
            NotFound: There is no such dispute.
            WrongState: It has ended.
        """
        return self._change("dispute", dispute_id, "won", "dispute.closed", sources=("inquiry", "open"))

    def lose(self, dispute_id: str) -> tuple[str, ...]:
        """End a dispute for the payer.

        Raises:
            NotFound: There is no such dispute.
            WrongState: It has ended, or took no money.
        """
        return self._change("dispute", dispute_id, "lost", "dispute.closed", sources=("open",))

    def appeal(self, dispute_id: str) -> tuple[str, ...]:
        """Open a lost dispute again: the money stays away until it is won.

        Raises:
            NotFound: There is no such dispute.
            WrongState: It was not lost.
        """
        return self._change("dispute", dispute_id, "open", "dispute.opened", sources=("lost",))

    # The provider.

    def refund_at_provider(self, checkout_id: str, amount: Money | None = None) -> str:
        """Give money back as somebody may in the provider's dashboard; give the provider's id of the refund.

        Args:
            checkout_id: The first payment of this checkout.
            amount: Less than all that is left of it.

        Raises:
            NotFound: There is no such checkout.
            WrongState: Nothing was captured, or less than ``amount`` is left.
        """
        with self._session() as state:
            payment = self._captured(state, checkout_id)
            left = self._refundable(state, payment)
            minor = left if amount is None else _minor_of(amount, payment, left)
            if not minor:
                raise WrongState("Nothing is left to give back.", field="checkout_id")
            return str(self._give_back(state, payment, minor)["id"])

    def script_refund(self, outcome: RefundOutcome, *, times: int = 1) -> None:
        """Say how the next refunds begin, after those already scripted; else they succeed at once.

        Raises:
            InvalidRequest: There is no such outcome.
        """
        if outcome not in get_args(RefundOutcome):
            raise InvalidRequest(f"outcome is one of {', '.join(get_args(RefundOutcome))}.", field="outcome")
        with self._session() as state:
            state.add_script(_REFUND_SCRIPT, outcome, times)

    def finish_refund(self, gateway_refund_id: str, *, succeed: bool = True) -> tuple[str, ...]:
        """End a pending refund, or let one that succeeded come back.

        Raises:
            NotFound: There is no such refund.
            WrongState: It cannot end so any more.
        """
        if succeed:
            return self._change("refund", gateway_refund_id, "succeeded", "refund.succeeded", sources=("pending",))
        return self._change("refund", gateway_refund_id, "failed", "refund.failed", sources=("pending", "succeeded"))

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
            state.add_script(operation, kind, times)

    def _taken(self) -> PaymentState:
        return "authorised" if self.capture_method == "manual" else "captured"

    def _move(
        self,
        checkout_id: str,
        target: PaymentState,
        sources: tuple[PaymentState, ...],
        told: Mapping[str, str | int | None] = _TRUTH,
    ) -> tuple[str, ...]:
        """Take a checkout to ``target``, once, and give the id of the event that told of it."""
        with self._session() as state:
            row = found(state, "checkout", checkout_id)
            if row["state"] == target:
                return self._last_event(state, checkout_id)
            if (current := state_at(row, self.clock.now())) not in sources:
                raise WrongState(f"The checkout is {current}.", field="checkout_id")
            state.tell(checkout_id, told)
            return self._enter(state, checkout_id, target)

    def _enter(self, state: StateSession, checkout_id: str, target: PaymentState) -> tuple[str, ...]:
        state.enter(checkout_id, target)
        payments = state.payments(checkout_id)
        payment_id = payments[0]["id"] if payments else None
        if target in {"authorised", "captured"} and payment_id is None:
            payment_id = state.add_payment(checkout_id, target, created=self._now())
        return self._tell_of(state, _EVENT_TYPES[target], checkout_id, payment_id)

    def _change(
        self, table: Literal["refund", "dispute"], object_id: str, target: str, event: str, *, sources: tuple[str, ...]
    ) -> tuple[str, ...]:
        with self._session() as state:
            row = found(state, table, object_id)
            if row["state"] not in sources:
                raise WrongState(f"The {table} is {row['state']}.", field=f"{table}_id")
            state.move(table, object_id, target)
            payment = found(state, "payment", row["payment"])
            return self._tell_of(state, event, payment["checkout"], payment["id"])

    def _captured(self, state: StateSession, checkout_id: str) -> Row:
        found(state, "checkout", checkout_id)
        payments = state.payments(checkout_id)
        if not payments or payments[0]["state"] != "captured":
            raise WrongState("Nothing was captured.", field="checkout_id")
        return payments[0]

    @staticmethod
    def _refundable(state: StateSession, payment: Row) -> int:
        """Give the minor units of a payment that were neither given back nor taken by a dispute."""
        taken = state.refunded(payment["id"]) + state.disputed(payment["id"])
        return max(0, int(payment["minor"]) - taken)

    def _give_back(
        self, state: StateSession, payment: Row, minor: int, *, key: str | None = None, **ours: str | None
    ) -> Row:
        """Make a refund with the outcome that is scripted; ``ours`` is our reference and what the key stands for."""
        number = len(state.of_payment("refund", payment["id"]))
        outcome = state.take_script(_REFUND_SCRIPT) or "succeeded"
        refund = state.add_refund(
            {
                "id": f"re_{fingerprint(payment['id'], number)}",
                "payment": payment["id"],
                "key": key,
                "state": outcome,
                "minor": minor,
                **self._of(payment),
                **ours,
            }
        )
        self._tell_of(state, f"refund.{outcome}", payment["checkout"], payment["id"])
        return refund

    def _of(self, payment: Row) -> dict[str, str | int]:
        """Give what a refund or dispute made now has from its payment."""
        return {"currency": payment["currency"], "mode": payment["mode"], "created": self._now()}

    def _tell_of(
        self, state: StateSession, event_type: str, checkout_id: str, payment_id: str | None
    ) -> tuple[str, ...]:
        state.add_event(event_type, checkout_id, payment_id, created=self._now())
        return self._last_event(state, checkout_id)

    @staticmethod
    def _last_event(state: StateSession, checkout_id: str) -> tuple[str, ...]:
        return tuple(event_id(event) for event in state.events() if event["checkout"] == checkout_id)[-1:]

    def _delivery(self, row: Row) -> SimulatedDelivery:
        content = {
            "id": event_id(row),
            "type": row["type"],
            "created": row["created"] // 1_000_000,
            "mode": row["mode"],
            "checkout_id": row["checkout"],
            "payment_id": row["payment"],
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

    def _now(self) -> int:
        return to_micros(self.clock.now())

    def _session(self) -> AbstractContextManager[StateSession]:
        return session(self.state, self.name, timeout_s=self.timeout_s)


def _minor_of(amount: Money, payment: Row, largest: int) -> int:
    minor = require_whole_minor(amount).minor
    if amount.currency != payment["currency"] or minor > largest:
        raise WrongState("The payment does not hold so much.", field="amount")
    return minor
