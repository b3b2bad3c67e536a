"""The account that `PayPalSimulator` keeps, and what payer, seller and PayPal may do to its payments.

Sources: https://developer.paypal.com/docs/api/orders/v2/ and
https://developer.paypal.com/docs/api/payments/v2/ (when an order can be
captured and a capture refunded, and with which issue it is refused).
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Final

from ...ports import Clock, IdSource
from ...system import RandomIds, SystemClock
from .loopback import LoopbackServer
from .paypal_objects import Object, money, new_capture, new_dispute, new_refund
from .paypal_requests import refused

MERCHANT_ID: Final = "SELLERACCT222"


class PayPalAccount(LoopbackServer):
    """Orders with their captures and refunds, and disputes, of one account."""

    def __init__(self, *, merchant_id: str, clock: Clock | None, ids: IdSource | None) -> None:
        """Set up an account without any payment."""
        super().__init__()
        self._merchant_id = merchant_id
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds(self._clock)
        self._orders: dict[str, Object] = {}
        self._disputes: dict[str, Object] = {}
        self._declines: dict[str, list[str]] = {}
        self._pending: dict[str, str] = {}
        self._slow_refunds = 0

    # What the payer, the seller and PayPal do.

    def approve(self, order_id: str) -> None:
        """Let the payer approve an order."""
        with self.lock:
            order = self._orders[order_id]
            if order["status"] not in {"CREATED", "PAYER_ACTION_REQUIRED", "APPROVED"}:
                raise ValueError(f"The order is {order['status']}.")
            order["status"] = "APPROVED"

    def pay(self, order_id: str, *, amount: str | None = None) -> str:
        """Let the payer approve an order, and the seller capture it; give the id of the capture.

        Args:
            order_id: The order.
            amount: Makes it an order of another sum, as PayPal writes it.
        """
        with self.lock:
            self.approve(order_id)
            if amount is not None:
                self._orders[order_id]["purchase_units"][0]["amount"]["value"] = amount
            return str(self._capture(self._orders[order_id])["id"])

    def change_amount(self, order_id: str, value: str) -> None:
        """Ask for another sum in an order nobody has approved, as whoever has the app's credentials may."""
        with self.lock:
            order = self._orders[order_id]
            if order["status"] not in {"CREATED", "PAYER_ACTION_REQUIRED"}:
                raise ValueError(f"The order is {order['status']}.")
            amount = order["purchase_units"][0]["amount"]
            amount |= money(Decimal(value), amount["currency_code"])

    def set_status(self, order_id: str, status: str) -> None:
        """Let PayPal put an order into a status, ``CREATED``, ``SAVED`` or ``VOIDED``."""
        with self.lock:
            self._orders[order_id]["status"] = status

    def void(self, order_id: str) -> None:
        """Let PayPal void an order."""
        self.set_status(order_id, "VOIDED")

    def vanish(self, order_id: str) -> None:
        """Let PayPal forget an order, as it does when nobody approves it."""
        with self.lock:
            del self._orders[order_id]

    def decline_next_capture(self, order_id: str, issue: str = "INSTRUMENT_DECLINED") -> None:
        """Let the next capture of an order be refused with an issue."""
        with self.lock:
            self._declines.setdefault(order_id, []).append(issue)

    def pend_next_capture(self, order_id: str, reason: str = "PENDING_REVIEW") -> None:
        """Let the next capture of an order give money that comes in days; then `complete` or `deny`."""
        with self.lock:
            self._pending[order_id] = reason

    def complete(self, order_id: str) -> None:
        """Let the money of a pending capture come in."""
        with self.lock:
            capture = self._capture_of(order_id)
            capture["status"] = "COMPLETED"
            capture.pop("status_details", None)

    def deny(self, order_id: str, *, status: str = "DECLINED", reason: str = "ECHECK") -> None:
        """Let the money of a pending capture never come."""
        with self.lock:
            self._capture_of(order_id).update(status=status, status_details={"reason": reason})

    def refund(self, order_id: str, value: str) -> str:
        """Give money back in PayPal's dashboard, which passes our references on; give the id of the refund."""
        with self.lock:
            capture = self._capture_of(order_id)
            named = {name: capture[name] for name in ("custom_id", "invoice_id")}
            amount = money(Decimal(value), capture["amount"]["currency_code"])
            return str(self._refund(self._orders[order_id], {"amount": amount, **named})["id"])

    def pend_next_refund(self) -> None:
        """Let the next refund that the seller asks for be pending; then `set_refund`."""
        with self.lock:
            self._slow_refunds += 1

    def set_refund(self, refund_id: str, status: str, *, reason: str | None = None) -> None:
        """Let PayPal put a refund into a status."""
        with self.lock:
            refund, order, _ = self._found_refund(refund_id)
            refund["status"] = status
            if reason is not None:
                refund["status_details"] = {"reason": reason}
            self._count_refunds(order)

    def dispute(self, order_id: str, value: str | None = None, *, reason: str = "UNAUTHORISED") -> str:
        """Let the payer dispute a paid order; give the id of the dispute, an inquiry first."""
        with self.lock:
            capture = self._capture_of(order_id)
            currency = capture["amount"]["currency_code"]
            amount = money(Decimal(value or capture["amount"]["value"]), currency)
            dispute_id = f"PP-D-{len(self._disputes) + 1}"
            self._disputes[dispute_id] = new_dispute(
                capture, dispute_id=dispute_id, amount=amount, reason=reason, at=self._at()
            )
            return dispute_id

    def escalate(self, dispute_id: str, stage: str = "CHARGEBACK", *, fee: str | None = None) -> None:
        """Let PayPal or a bank decide a dispute, perhaps for a fee of the seller's."""
        with self.lock:
            dispute = self._disputes[dispute_id]
            dispute |= {"status": "UNDER_REVIEW", "dispute_life_cycle_stage": stage}
            if fee is not None:
                amount = money(Decimal(fee), dispute["dispute_amount"]["currency_code"])
                self._take_from_seller(dispute, amount, reason="CHARGEBACK_FEE")

    def resolve(self, dispute_id: str, outcome: str = "RESOLVED_BUYER_FAVOUR", *, seller_pays: bool = False) -> None:
        """Let a dispute end."""
        with self.lock:
            dispute = self._disputes[dispute_id]
            dispute |= {"status": "RESOLVED", "dispute_outcome": {"outcome_code": outcome}}
            if seller_pays:
                self._take_from_seller(dispute, dispute["dispute_amount"], reason="DISPUTE_SETTLEMENT")

    def order(self, order_id: str) -> Object:
        """Give a copy of an order as it is now."""
        with self.lock:
            return copy.deepcopy(self._orders[order_id])

    def orders(self) -> list[Object]:
        """Give copies of all orders, the oldest first."""
        with self.lock:
            return copy.deepcopy(list(self._orders.values()))

    def disputes(self) -> list[Object]:
        """Give copies of all disputes, the oldest first."""
        with self.lock:
            return copy.deepcopy(list(self._disputes.values()))

    @staticmethod
    def _take_from_seller(dispute: Object, amount: Object, *, reason: str) -> None:
        movement = {"affected_party": "SELLER", "type": "DEBIT", "reason": reason, "amount": amount}
        dispute.setdefault("money_movements", []).append(movement)

    # What is kept.

    def _capture(self, order: Object) -> Object:
        """Take the money of an order, if it may be taken."""
        if order["status"] == "COMPLETED":
            raise refused(422, "UNPROCESSABLE_ENTITY", "ORDER_ALREADY_CAPTURED")
        if order["status"] != "APPROVED":
            raise refused(422, "UNPROCESSABLE_ENTITY", "ORDER_NOT_APPROVED")
        if self._declines.get(order["id"]):
            raise refused(422, "UNPROCESSABLE_ENTITY", self._declines[order["id"]].pop(0))
        [unit] = order["purchase_units"]
        if any(self._is_paid(other, unit["invoice_id"]) for other in self._orders.values()):
            raise refused(422, "UNPROCESSABLE_ENTITY", "DUPLICATE_INVOICE_ID")
        capture = new_capture(unit, capture_id=self._new(), base=self.url, order_id=order["id"], at=self._at())
        reason = self._pending.pop(order["id"], None)
        if reason is not None:
            capture |= {"status": "PENDING", "status_details": {"reason": reason}}
        order["status"] = "COMPLETED"
        unit["payments"] = {"captures": [capture]}
        return capture

    @staticmethod
    def _is_paid(order: Object, invoice_id: str) -> bool:
        [unit] = order["purchase_units"]
        return bool(order["status"] == "COMPLETED" and unit["invoice_id"] == invoice_id)

    def _refund(self, order: Object, body: Object) -> Object:
        """Give money of a captured order back, if it may be given."""
        payments = order["purchase_units"][0]["payments"]
        [capture] = payments["captures"]
        if capture["status"] not in {"COMPLETED", "PARTIALLY_REFUNDED"}:
            issue = "CAPTURE_FULLY_REFUNDED" if capture["status"] == "REFUNDED" else "PENDING_CAPTURE"
            raise refused(422, "UNPROCESSABLE_ENTITY", issue)
        if body["amount"]["currency_code"] != capture["amount"]["currency_code"]:
            raise refused(422, "UNPROCESSABLE_ENTITY", "REFUND_CAPTURE_CURRENCY_MISMATCH")
        if Decimal(body["amount"]["value"]) > Decimal(capture["amount"]["value"]) - self._given_back(payments):
            raise refused(422, "UNPROCESSABLE_ENTITY", "REFUND_AMOUNT_EXCEEDED")
        refund = new_refund(body, capture, refund_id=self._new(), base=self.url, at=self._at())
        if self._slow_refunds:
            self._slow_refunds -= 1
            refund |= {"status": "PENDING", "status_details": {"reason": "ECHECK"}}
        payments.setdefault("refunds", []).append(refund)
        self._count_refunds(order)
        return refund

    def _count_refunds(self, order: Object) -> None:
        payments = order["purchase_units"][0]["payments"]
        [capture] = payments["captures"]
        done = self._given_back(payments, {"COMPLETED"})
        whole = done == Decimal(capture["amount"]["value"])
        capture["status"] = "REFUNDED" if whole else "PARTIALLY_REFUNDED" if done else "COMPLETED"

    @staticmethod
    def _given_back(
        payments: Object, statuses: frozenset[str] | set[str] = frozenset({"COMPLETED", "PENDING"})
    ) -> Decimal:
        refunds = [refund for refund in payments.get("refunds", []) if refund["status"] in statuses]
        return sum((Decimal(refund["amount"]["value"]) for refund in refunds), Decimal(0))

    def _capture_of(self, order_id: str) -> Object:
        [capture] = self._orders[order_id]["purchase_units"][0]["payments"]["captures"]
        found: Object = capture
        return found

    def _captured(self) -> list[tuple[Object, Object]]:
        """Give every capture with its order."""
        return [
            (capture, order)
            for order in self._orders.values()
            for capture in order["purchase_units"][0].get("payments", {}).get("captures", [])
        ]

    def _found_order(self, order_id: str) -> Object:
        if order_id not in self._orders:
            raise refused(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
        return self._orders[order_id]

    def _found(self, capture_id: str) -> tuple[Object, Object]:
        for capture, order in self._captured():
            if capture["id"] == capture_id:
                return capture, order
        raise refused(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")

    def _found_refund(self, refund_id: str) -> tuple[Object, Object, Object]:
        """Give a refund with its order and its capture."""
        for capture, order in self._captured():
            for refund in order["purchase_units"][0]["payments"].get("refunds", []):
                if refund["id"] == refund_id:
                    return refund, order, capture
        raise refused(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")

    def _found_dispute(self, dispute_id: str) -> Object:
        if dispute_id not in self._disputes:
            raise refused(404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID")
        return self._disputes[dispute_id]

    def _at(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _new(self) -> str:
        return self._ids.new("sim").rpartition("_")[2][-17:].upper()
