"""What `StripeSimulator` keeps of one account, and how it changes: no wire, only objects and the events they leave.

Every change does to all objects at once what Stripe does: a payment makes a
charge and an entry in the balance, a refund lowers what is left of the charge,
a dispute takes the money until it is won.

Sources: https://docs.stripe.com/payments/paymentintents/lifecycle,
https://docs.stripe.com/refunds (failed refunds come back),
https://docs.stripe.com/disputes/how-disputes-work (inquiries take nothing; a
chargeback takes the money at once), https://docs.stripe.com/api/events/types.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from ...core.instants import to_micros
from ...ports import Clock, IdSource
from .stripe_checks import Refused, refund_number
from .stripe_objects import (
    Object,
    new_balance_transaction,
    new_charge,
    new_dispute,
    new_event,
    new_intent,
    new_refund,
    new_session,
    refusal,
)

DISPUTE_FEE: Final = 1500
"""What is kept for a dispute that takes money, in units of its currency."""

PAYABLE: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE: Final = (*PAYABLE, "requires_capture")

_VOUCHER: Final = {
    "type": "multibanco_display_details",
    "multibanco_display_details": {"entity": "11249", "expires_at": None, "hosted_voucher_url": None, "reference": "1"},
}
_CHALLENGE: Final = {
    "type": "redirect_to_url",
    "redirect_to_url": {"return_url": None, "url": "https://bank.example/challenge"},
}
_DISPUTE_EVENTS: Final = {"won": "closed", "lost": "closed", "warning_closed": "closed", "prevented": "closed"}


class StripeAccount:
    """One account's objects.

    Attributes:
        objects: By id, in the order of their making.
        events: What Stripe tells of it, in the order of its happening.
        livemode: Whether the account's key is a live one.
        books_later: What is captured has no entry in our balance, and no fee, at first.
    """

    def __init__(self, *, livemode: bool, clock: Clock, ids: IdSource) -> None:
        self.objects: dict[str, Object] = {}
        self.events: list[Object] = []
        self.livemode = livemode
        self.books_later = False
        self._clock = clock
        self._ids = ids
        self._intent_metadata: dict[str, Object] = {}

    def now(self) -> int:
        """Give the time in Unix seconds."""
        return to_micros(self._clock.now()) // 1_000_000

    def new_id(self, prefix: str) -> str:
        """Make an id."""
        return f"{prefix}_{self._ids.new('sim').rpartition('_')[2]}"

    def all_of(self, kind: str) -> list[Object]:
        """Give all objects of a kind, the oldest first."""
        return [found for found in self.objects.values() if found["object"] == kind]

    def found(self, kind: str, object_id: str) -> Object:
        """Give an object that a request names.

        Raises:
            Refused: There is none of that kind.
        """
        found = self.objects.get(object_id)
        if found is None or found["object"] != kind:
            raise Refused(404, refusal(f"No such {kind}: '{object_id}'", code="resource_missing", param="id"))
        return found

    def tell(self, event_type: str, subject: Object) -> Object:
        """Keep an event about an object as it is now, and give it."""
        event = new_event(
            copy.deepcopy(subject),
            event_id=self.new_id("evt"),
            event_type=event_type,
            livemode=subject.get("livemode", self.livemode),  # a refund does not say
            created=self.now(),
        )
        self.events.append(event)
        return event

    # Checkouts

    def add_session(self, params: Object, *, base_url: str) -> Object:
        """Make a session of checked parameters."""
        session_id = self.new_id("cs_live" if self.livemode else "cs_test")
        url = f"{base_url}/c/pay/{session_id}"
        session = new_session(params, session_id=session_id, url=url, livemode=self.livemode, created=self.now())
        self.objects[session_id] = session
        self._intent_metadata[session_id] = params.get("payment_intent_data", {}).get("metadata", {})
        return session

    def add_intent(self, params: Object) -> Object:
        """Make a PaymentIntent of checked parameters, for a form."""
        enabled = params.get("automatic_payment_methods", {}).get("enabled", "true") == "true"
        intent = new_intent(
            intent_id=self.new_id("pi"),
            amount=int(params["amount"]),
            currency=params["currency"],
            livemode=self.livemode,
            metadata=params.get("metadata", {}),
            created=self.now(),
            automatic_payment_methods={"enabled": enabled, "allow_redirects": "always"},
            description=params.get("description"),
        )
        self.objects[intent["id"]] = intent
        return intent

    def checkout(self, checkout_id: str, *, status: str | None = None) -> Object:
        """Give the session or PaymentIntent that is paid by, if a session is ``status``.

        Raises:
            ValueError: It is past that.
        """
        found = self.objects[checkout_id]
        if found["object"] == "checkout.session":
            if status not in {None, found["status"]}:
                raise ValueError(f"The session is {found['status']}, not {status}.")
        elif status == "open" and found["status"] not in PAYABLE:
            raise ValueError(f"The payment is {found['status']}, not {status}.")
        return found

    def intent_of(self, checkout: Object) -> Object:
        """Give the PaymentIntent of a checkout; a session makes its own when it is first paid by."""
        if checkout["object"] == "payment_intent":
            return checkout
        if checkout["payment_intent"] is None:
            intent = new_intent(
                intent_id=self.new_id("pi"),
                amount=checkout["amount_total"],
                currency=checkout["currency"],
                livemode=checkout["livemode"],
                metadata=self._intent_metadata[checkout["id"]],
                created=self.now(),
                receipt_email=checkout["customer_email"],
            )
            self.objects[intent["id"]] = intent
            checkout["payment_intent"] = intent["id"]
        return self.objects[checkout["payment_intent"]]

    def session_of(self, intent: Object) -> Object | None:
        """Give the session that made a PaymentIntent, or None."""
        made = (session for session in self.all_of("checkout.session") if session["payment_intent"] == intent["id"])
        return next(made, None)

    def charge_of(self, checkout: Object) -> Object:
        """Give the charge of a checkout that was paid or authorised."""
        return self.objects[self.intent_of(checkout)["latest_charge"]]

    def complete(self, checkout: Object, **changes: Any) -> None:
        """Close a session, for payment now or later; a PaymentIntent has nothing to close."""
        if checkout["object"] == "checkout.session":
            checkout |= {"status": "complete", "url": None, **changes}
            self.tell("checkout.session.completed", checkout)

    def lapse(self) -> None:
        """Expire the sessions whose time is over."""
        for session in self.all_of("checkout.session"):
            if session["status"] == "open" and session["expires_at"] <= self.now():
                self.expire(session)

    def expire(self, session: Object) -> None:
        """Expire a session."""
        session |= {"status": "expired", "url": None}
        self.tell("checkout.session.expired", session)

    # Payments

    def reserve(self, checkout: Object, method: str) -> Object:
        """Reserve the money of a checkout, and give its PaymentIntent."""
        intent = self.intent_of(checkout)
        if checkout is not intent:
            shown = {"amount": checkout["amount_total"]} | {name: checkout[name] for name in ("currency", "livemode")}
            intent |= shown
        charge = new_charge(intent, charge_id=self.new_id("ch"), method=method, created=self.now())
        self.objects[charge["id"]] = charge
        intent |= {"status": "requires_capture", "amount_capturable": intent["amount"], "next_action": None}
        intent |= {"last_payment_error": None, "latest_charge": charge["id"]}
        return intent

    def capture(self, intent: Object, number: int) -> None:
        """Take reserved money."""
        charge = self.objects[intent["latest_charge"]]
        charge |= {"captured": True, "amount_captured": number}
        if not self.books_later:
            self._book_charge(charge)
        intent |= {"status": "succeeded", "amount_received": number, "amount_capturable": 0}
        session = self.session_of(intent)
        if session is not None:
            session["payment_status"] = "paid"
        self.tell("payment_intent.succeeded", intent)

    def book_charges(self) -> None:
        """Make the entries of charges that were captured without, and tell of each."""
        for charge in self.all_of("charge"):
            if charge["captured"] and charge["balance_transaction"] is None:
                self._book_charge(charge)
                self.tell("charge.updated", charge)

    def _book_charge(self, charge: Object) -> None:
        number: int = charge["amount_captured"]
        fee = min(number, number * 29 // 1000 + 30)  # 2.9 % and 30 units, at most all
        charge["balance_transaction"] = self._book(charge, number, fee=fee)["id"]

    def decline(self, intent: Object, code: str) -> None:
        """Let an attempt fail; another may follow."""
        intent |= {"status": "requires_payment_method", "next_action": None}
        intent["last_payment_error"] = {
            "code": "card_declined",
            "decline_code": code,
            "message": "The payment was declined.",
            "type": "card_error",
        }
        self.tell("payment_intent.payment_failed", intent)

    def wait(self, intent: Object, *, voucher: bool) -> None:
        """Let the money be on its way, or a voucher wait to be paid in."""
        intent |= {"status": "requires_action", "next_action": _VOUCHER} if voucher else {"status": "processing"}
        self.tell("payment_intent.requires_action" if voucher else "payment_intent.processing", intent)

    def challenge(self, intent: Object) -> None:
        """Let the bank ask the customer a question."""
        intent |= {"status": "requires_action", "next_action": _CHALLENGE}
        self.tell("payment_intent.requires_action", intent)

    def cancel(self, intent: Object, reason: str | None) -> None:
        """Cancel a PaymentIntent."""
        intent |= {"status": "canceled", "canceled_at": self.now(), "cancellation_reason": reason}
        intent |= {"amount_capturable": 0, "next_action": None}
        self.tell("payment_intent.canceled", intent)

    # Money that goes back

    def refund(self, intent: Object, params: Object, *, status: str) -> Object:
        """Give money back.

        Raises:
            Refused: There is not so much to give.
        """
        if intent["status"] != "succeeded":
            raise Refused(400, refusal("There is no successful charge.", code="payment_intent_unexpected_state"))
        charge = self.objects[intent["latest_charge"]]
        number = refund_number(params, charge, refundable=self._is_refundable(charge))
        refund = new_refund(
            charge,
            refund_id=self.new_id("re"),
            number=number,
            status=status,
            metadata=params.get("metadata", {}),
            reason=params.get("reason"),
            created=self.now(),
        )
        self.objects[refund["id"]] = refund
        if status == "pending":
            refund["pending_reason"] = "processing"
        refund["balance_transaction"] = self._book(refund, -number)["id"]
        self._add_refunded(charge, number)
        self.tell("refund.created", refund)
        self.tell("charge.refunded", charge)
        return refund

    def settle_refund(self, refund: Object, status: str, reason: str | None) -> None:
        """Let a refund go on; what fails or is canceled is money of the charge again."""
        lost = {"failed", "canceled"}
        if status in lost and refund["status"] not in lost:
            self._add_refunded(self.objects[refund["charge"]], -refund["amount"])
        refund.pop("pending_reason", None)
        refund["status"] = status
        if status == "failed":
            refund["failure_reason"] = reason or "unknown"
        for event_type in ("refund.failed" if status == "failed" else "refund.updated", "charge.refund.updated"):
            self.tell(event_type, refund)

    def dispute(self, charge: Object, *, number: int, status: str, reason: str) -> Object:
        """Let the customer's bank dispute a charge."""
        dispute = new_dispute(
            charge,
            dispute_id=self.new_id("du"),
            number=number,
            status=status,
            reason=reason,
            created=self.now(),
        )
        self.objects[dispute["id"]] = dispute
        charge["disputed"] = True
        self.tell("charge.dispute.created", dispute)
        if not status.startswith("warning_"):
            self._move(dispute, -number)
        return dispute

    def advance(self, dispute: Object, status: str, *, returns_fee: bool) -> None:
        """Take a dispute to another status, with the money that goes along."""
        taken = -sum(entry["amount"] for entry in dispute["balance_transactions"])
        dispute |= {"status": status, "is_charge_refundable": status.startswith("warning_") or status == "won"}
        self.tell(f"charge.dispute.{_DISPUTE_EVENTS.get(status, 'updated')}", dispute)
        if status == "won" and taken:
            self._move(dispute, taken, fee=-DISPUTE_FEE if returns_fee else 0)
        elif status in {"needs_response", "lost"} and not taken:
            self._move(dispute, -dispute["amount"])

    def _move(self, dispute: Object, number: int, *, fee: int = DISPUTE_FEE) -> None:
        dispute["balance_transactions"].append(self._book(dispute, number, fee=fee))
        self.tell(f"charge.dispute.funds_{'withdrawn' if number < 0 else 'reinstated'}", dispute)

    def _is_refundable(self, charge: Object) -> bool:
        disputes = (dispute for dispute in self.all_of("dispute") if dispute["charge"] == charge["id"])
        return all(dispute["is_charge_refundable"] for dispute in disputes)

    def _add_refunded(self, charge: Object, number: int) -> None:
        charge["amount_refunded"] += number
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]

    def _book(self, source: Object, number: int, *, fee: int = 0) -> Object:
        entry = new_balance_transaction(
            source, transaction_id=self.new_id("txn"), number=number, fee=fee, created=self.now()
        )
        self.objects[entry["id"]] = entry
        return entry
