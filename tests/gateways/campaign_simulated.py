"""The simulated gateway as a campaign sees it: its faults are those of calls, for there are no sockets between."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

from prepaid import Money
from prepaid.gateways import SimulatedGateway
from prepaid.gateways.simulated_state import session
from tests.gateways.campaign_providers import Captured, GivenBack, Provider


@attrs.frozen(kw_only=True)
class Unreliable(SimulatedGateway):
    """The simulated gateway, whose calls meet faults by chance."""

    chance: Any = attrs.field(factory=lambda: {"rate": 0, "calls": 0, "met": Counter()}, repr=False, eq=False)

    def _call(self, operation, work):
        self.chance["calls"] += 1
        if self.chance["rate"] and self.chance["random"].random() < self.chance["rate"]:
            kind = self.chance["random"].choice(self.chance["kinds"])
            self.chance["met"][kind] += 1
            self.fault_next(operation, kind)
        return super()._call(operation, work)


class Simulated(Provider):
    """The simulated gateway: no sockets, but what an adapter makes of a misbehaving provider."""

    name, currency = "simulated", "EUR"
    lies = ("wrong-amount",)
    faults_of_calls = ("unavailable", "rate-limit", "garbage", "timeout-after-accept", "unreadable", "wrong-mode")

    def __init__(self, clock, random, folder):
        super().__init__(clock, random)
        self._gateway = Unreliable(state=folder / "simulated.db", clock=clock, timeout_s=1)
        self._heard = 0

    def gateway(self):
        return self._gateway

    def misbehave(self, rate, random, *, lies=False):
        kinds = self.faults_of_calls * 4 + ("stall",) + (self.lies * 12 if lies else ())
        self._gateway.chance.update(rate=rate, random=random, kinds=kinds)

    def calls(self):
        return self._gateway.chance["calls"]

    def faults(self):
        return self._gateway.chance["met"]

    def close(self):
        pass

    def acts(self):
        return (self.pay, self.pay, self.pay_other, self.pay_twice, self.pay_late, self.fail, self.debit)

    def _paying(self, checkout_id, **how):
        before = len(self.captured())
        told = self._gateway.pay(checkout_id, **how)
        self.payers[checkout_id] += len(self.captured()) - before
        return told

    def pay(self, checkout_id):
        self._paying(checkout_id)

    def pay_late(self, checkout_id):
        self._paying(checkout_id, late=True)

    def pay_other(self, checkout_id):
        self._paying(checkout_id, amount=self._gateway.page(checkout_id).amount + Money.of("1.00", "EUR"))

    def pay_twice(self, checkout_id):
        self._gateway.pay_again(checkout_id)
        self.payers[checkout_id] += 1

    def fail(self, checkout_id):
        self._gateway.fail(checkout_id)

    def debit(self, checkout_id):
        self._gateway.pay(checkout_id, later=True)
        self.payers[checkout_id] += 1
        succeed = self.random.random() < 0.7
        if self.random.random() < 0.5:
            self._gateway.script_refund("pending")
        self.under_way.append(lambda: self._end(checkout_id, succeed=succeed))

    def _end(self, checkout_id, *, succeed):
        if self._gateway.page(checkout_id).state == "processing":  # it may have failed
            self._gateway.finish(checkout_id, succeed=succeed)

    def go_on(self):
        for refund in self._rows("refund"):
            if refund["state"] == "pending":
                self._gateway.finish_refund(refund["id"], succeed=self.random.random() < 0.7)
        super().go_on()

    def finish(self):
        self.go_on()
        super().finish()

    def news(self):
        events = self._gateway.events()
        fresh, self._heard = events[self._heard :], len(events)
        return [delivery.request for delivery in fresh]

    def returned(self, checkout_id):
        return {}

    def _rows(self, table):
        with session(self._gateway.state, self.name, timeout_s=5) as state:
            return list(map(dict, state.db.execute(f"SELECT * FROM {table}").fetchall()))

    def checkouts(self):
        return [(row["id"], row["told_topup"]) for row in self._rows("checkout")]

    def captured(self):
        return [
            Captured(row["id"], row["checkout"], Money.from_minor(row["minor"], row["currency"]))
            for row in self._rows("payment")
            if row["state"] == "captured"
        ]

    def given_back(self):
        return [
            GivenBack(
                row["reference"],
                row["payment"],
                Money.from_minor(row["minor"], row["currency"]),
                {"succeeded": True, "failed": False}.get(row["state"]),
            )
            for row in self._rows("refund")
        ]
