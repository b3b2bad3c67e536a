"""A process that dies while money goes back, is disputed, or comes again: one refund, one credit note, all adds up."""

from __future__ import annotations

from collections import Counter

from . import planted
from .crashes import Crashes
from .refund_operations import APPROVE, FREED, LOST, OPERATIONS, RESTORED, SETTLE_REFUND

UNTOUCHED, GIVEN, NOT_SENT = 54, 30, []
SENT, UNSENT = [("succeeded", 2380, True)], [("failed", 2380, True)]

LEFT = {
    "request": (UNTOUCHED, 0, "requested", {}, NOT_SENT),
    "withdraw": (UNTOUCHED, 0, "withdrawn", {}, NOT_SENT),
    "approve": (GIVEN, 0, "refunded", {"TCN": 1}, SENT),
    "approve charge": (59, 0, "refunded", {}, NOT_SENT),
    "confirm": (UNTOUCHED, 0, "confirming", {}, NOT_SENT),
    "approve second": (GIVEN, 0, "refunded", {"TCN": 1}, SENT),
    "reject": (UNTOUCHED, 0, "rejected", {}, NOT_SENT),
    "record": (GIVEN, 0, "refunded", {"TCN": 1}, NOT_SENT),
    "settle refund": (GIVEN, 0, "refunded", {"TCN": 1}, SENT),
    "fail refund": (UNTOUCHED, 0, "failed", {}, UNSENT),
    "return refund": (UNTOUCHED, 0, "failed", {"TCN": 1, "TINV": 1}, UNSENT),
    "refund there": (GIVEN, 0, None, {"TCN": 1}, [("succeeded", 2380, False)]),
    "take again": (-6, 0, "failed", {"TCN": 2, "TINV": 1}, [("succeeded", 5950, False)]),
    "dispute withdrawn": (UNTOUCHED, UNTOUCHED, None, {}, NOT_SENT),
    "dispute won": (UNTOUCHED, 0, None, {}, NOT_SENT),
    "dispute lost": (-6, 0, None, {"TCN": 1}, NOT_SENT),
    "disputed charge back": (60, 60, None, {}, NOT_SENT),
    "dispute restored": (UNTOUCHED, 0, None, {"TCN": 1, "TINV": 1}, NOT_SENT),
}
"""Balance and what is held, in euros; the request; documents beside the invoice of the sale; refunds at the gateway."""


class TestRefunds(Crashes):
    operations = OPERATIONS
    kill_at_every, lose_every = 37, 9
    defects = (
        (APPROVE, planted.the_gateway_gives_back_before_the_intent_is_kept),
        (APPROVE, planted.a_refund_is_sent_again_under_a_new_key_without_a_look),
        (APPROVE, planted.the_credit_of_a_refund_leaves_after_the_commit),
        (SETTLE_REFUND, planted.the_credit_note_of_a_refund_comes_after_the_commit),
        (LOST, planted.every_statement_commits_by_itself),
        (RESTORED, planted.every_statement_commits_by_itself),
        (FREED, planted.an_effect_is_done_before_it_is_had),
    )

    def unharmed(self, operation, census):
        balance, held, request, documents, given_back = LEFT[operation.name]
        assert [row[2:4] for row in census["wallets"]] == [(balance * 1_000_000, held * 1_000_000)]
        assert [row[1] for row in census["requests"]] == ([] if request is None else [request])
        issued = Counter(number.partition("26-")[0] for number, _, _ in census["invoices"])
        assert issued == Counter({"TINV": 1}) + Counter(documents)
        assert census["given back"] == given_back
