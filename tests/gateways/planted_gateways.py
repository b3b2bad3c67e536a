"""Gateways that each break one rule of the contract, and contracts that run them.

They stand on the simulated gateway, which keeps the rules, so that a broken rule
is the planted defect's doing. Every one is the kind of mistake that adapters are
written with.
"""

from __future__ import annotations

import logging
import socket
import time
from contextlib import contextmanager, suppress
from datetime import timedelta

import attrs
from attrs import field, frozen

from prepaid.core.errors import GatewayError, WebhookRejected
from prepaid.core.hashing import fingerprint
from prepaid.core.instants import from_micros, to_micros
from prepaid.core.money import Money
from prepaid.gateways import BankTransferGateway, SimulatedGateway
from prepaid.gateways.credentials import conceal_all
from prepaid.gateways.signed import parse_signature_header, sign, verify_signed
from prepaid.gateways.simulated import SIGNATURE_HEADER
from prepaid.ports import Listing, PaymentSnapshot, ReturnHint
from tests.gateways.drivers import SECRET, BankTransferContract, SimulatedContract, SimulatedDriver

PLANTED: dict[str, type] = {}
"""Contracts over gateways with a defect, by the number of the rule that each breaks."""


def breaks(number, **changes):
    """Register a gateway as one that breaks a rule; ``changes`` are those of its contract."""

    def register(kind):
        base = BankTransferContract if issubclass(kind, BankTransferGateway) else SimulatedContract
        assert number not in PLANTED
        PLANTED[number] = type(f"Planted{number}", (base,), {"kind": kind, **changes})
        return kind

    return register


# What a gateway is


@breaks("G01")
@frozen(kw_only=True)
class NoLabel(SimulatedGateway):
    label: str = ""


@breaks("G02")
class OtherNames(SimulatedGateway):
    def list_refunds(self, start, end, *, cursor=None):
        return super().list_refunds(start, end, cursor=cursor)


@breaks("G03")
class AnyMode(SimulatedGateway):
    def bind(self, mode, clock):
        return attrs.evolve(self, clock=clock)


@breaks("G04")
@frozen(kw_only=True)
class NoSecretNeeded(SimulatedGateway):
    webhook_secrets: tuple = field(default=(), converter=conceal_all, repr=False)


@breaks("G05")
class ConnectsInBind(SimulatedGateway):
    def bind(self, mode, clock):
        with suppress(OSError), socket.create_connection(("127.0.0.1", 9), timeout=0.1):
            pass
        return super().bind(mode, clock)


@breaks("G06", exemptions={})
class WorksUnbound(SimulatedGateway):
    pass


@breaks("G07")
class BindsItself(SimulatedGateway):
    def bind(self, mode, clock):
        super().bind(mode, clock)
        object.__setattr__(self, "clock", clock)
        return self


@breaks("G08")
class ImpossibleLimits(SimulatedGateway):
    def capabilities(self):
        able = super().capabilities()
        limits = able.currencies["ZMW"]
        wrong = attrs.evolve(limits, minimum=limits.maximum, maximum=limits.minimum)
        return attrs.evolve(able, currencies={**able.currencies, "ZMW": wrong})


@breaks("G09")
class ClaimsTooLittle(SimulatedGateway):
    def capabilities(self):
        return attrs.evolve(super().capabilities(), lists_disputes=False)


@breaks("G10")
class LogsItsSecret(SimulatedGateway):
    def create_checkout(self, request):
        logging.getLogger("planted").debug("signing with %s", self.webhook_secrets[0].reveal())
        return super().create_checkout(request)


@breaks("G11")
class HealthRaises(SimulatedGateway):
    def check_credentials(self):
        health = super().check_credentials()
        if not health.ok:
            raise GatewayError(health.detail, retryable=True)
        return health


# Checkouts


@breaks("G12")
class TwoWays(SimulatedGateway):
    def create_checkout(self, request):
        return attrs.evolve(super().create_checkout(request), widget={"key": "public"})


@breaks("G13")
@frozen(kw_only=True)
class NewEveryTime(SimulatedGateway):
    answered: list = field(factory=list, eq=False)

    def create_checkout(self, request):
        again = request in self.answered
        checkout = super().create_checkout(
            attrs.evolve(request, key=f"{request.key}-{len(self.answered)}") if again else request
        )
        self.answered.append(request)
        return checkout


@breaks("G14")
@frozen(kw_only=True)
class FirstAnswerForAll(SimulatedGateway):
    answered: dict = field(factory=dict, eq=False)

    def create_checkout(self, request):
        try:
            self.answered[request.key] = super().create_checkout(request)
        except GatewayError as error:
            if error.code != "idempotency-conflict":
                raise
        return self.answered[request.key]


@breaks("G15")
class TakesWhatItDoesNotClaim(SimulatedGateway):
    def capabilities(self):
        able = super().capabilities()
        return attrs.evolve(able, currencies={code: able.currencies[code] for code in ("EUR", "JPY", "KWD")})


@breaks("G16")
class Rounds(SimulatedGateway):
    def create_checkout(self, request):
        rounded = Money.from_minor(request.amount.floor_minor(), request.amount.currency)
        return super().create_checkout(attrs.evolve(request, amount=rounded))


@breaks("G17")
class AlwaysProcessing(SimulatedGateway):
    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        return attrs.evolve(payment, state="processing") if payment.state == "open" else payment


@breaks("G18")
class CutsTheReference(SimulatedGateway):
    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        return attrs.evolve(payment, topup_id=payment.topup_id[:20]) if payment.captured else payment


@breaks("G19")
class EchoesTheQuestion(SimulatedGateway):
    def fetch_payment(self, ref):
        return attrs.evolve(super().fetch_payment(ref), topup_id=ref.topup_id)


@breaks("G20")
class UnknownIsExpired(SimulatedGateway):
    def fetch_payment(self, ref):
        try:
            return super().fetch_payment(ref)
        except GatewayError as error:
            if error.code != "not-found":
                raise
            return PaymentSnapshot(checkout_id=ref.checkout_id, topup_id=ref.topup_id, state="expired")


@breaks("G21")
class CancelsNothing(SimulatedGateway):
    def cancel(self, ref):
        payment = self.fetch_payment(ref)
        return attrs.evolve(payment, state="canceled") if payment.state == "open" else super().cancel(ref)


@breaks("G22")
class CancelsMoney(SimulatedGateway):
    def cancel(self, ref):
        return attrs.evolve(super().cancel(ref), state="canceled", captured=None)


@breaks("G23")
@frozen(kw_only=True)
class KeepsTheCall(SimulatedGateway):
    last: list = field(factory=list, eq=False)

    def create_checkout(self, request):
        self.last[:] = [super().create_checkout(request)]
        time.sleep(0.05)
        return self.last[0]


# Payments


@breaks("G24")
class IsoDigits(SimulatedGateway):
    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        if payment.captured and payment.captured.currency == "KWD":
            return attrs.evolve(payment, captured=Money(payment.captured.units * 10, "KWD"))
        return payment


@breaks("G25")
@frozen(kw_only=True)
class NewIdEveryRead(SimulatedGateway):
    reads: dict = field(factory=dict, eq=False)

    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        if payment.state != "captured":
            return payment
        count = self.reads[ref.checkout_id] = self.reads.get(ref.checkout_id, 0) + 1
        # The first is told right: refunds need it; and so are two payments of one checkout.
        return payment if count == 1 or payment.further else attrs.evolve(payment, payment_id=f"pay_{count}")


@breaks("G26")
class ProcessingIsPaid(SimulatedGateway):
    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        if payment.state != "processing":
            return payment
        return attrs.evolve(payment, state="captured", payment_id="pay_1", captured=self.page(ref.checkout_id).amount)


@breaks("G27")
class ReportsWhatWasAsked(SimulatedGateway):
    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        asked = self.page(ref.checkout_id).amount
        return attrs.evolve(payment, captured=asked) if payment.captured else payment


@breaks("G28")
class TellsNoMode(SimulatedGateway):
    def fetch_payment(self, ref):
        return attrs.evolve(super().fetch_payment(ref), mode=None)


@breaks("G29")
class FloatFee(SimulatedGateway):
    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        return attrs.evolve(payment, fee=0.29) if payment.captured else payment


@breaks("G30")
class FirstPaymentOnly(SimulatedGateway):
    def fetch_payment(self, ref):
        return attrs.evolve(super().fetch_payment(ref), further=())


MANUAL = {"options": {"capture": "manual"}}


@breaks("G31", **MANUAL)
class HidesWhatWaits(SimulatedGateway):
    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        # What was paid wrongly waits with its amount: only the honest amount is hidden.
        wrong = payment.authorised != self.page(ref.checkout_id).amount
        return payment if wrong else attrs.evolve(payment, authorised=None)


@breaks("G32", **MANUAL)
class CapturesOnce(SimulatedGateway):
    def capture(self, ref, amount, *, key):
        if self.fetch_payment(ref).state == "captured":
            raise GatewayError("It was captured already.")
        return super().capture(ref, amount, key=key)


@breaks("G33", **MANUAL)
class CapturesNothing(SimulatedGateway):
    def capture(self, ref, amount, *, key):
        try:
            return super().capture(ref, amount, key=key)
        except GatewayError as error:
            if error.code != "not-authorised":
                raise
            return attrs.evolve(self.fetch_payment(ref), state="captured", captured=amount)


@breaks("G34")
class EvidencePaysTwice(BankTransferGateway):
    def confirmed(self, ref, **told):
        payment = super().confirmed(ref, **told)
        return attrs.evolve(payment, payment_id=f"bank_{fingerprint(ref.topup_id, told['evidence'])}")


# Refunds and disputes


@breaks("G35")
class ForgetsOurRefund(SimulatedGateway):
    def refund(self, request):
        return attrs.evolve(super().refund(request), refund_id=None)


@breaks("G36")
@frozen(kw_only=True)
class RefundsTwice(SimulatedGateway):
    answered: list = field(factory=list, eq=False)

    def refund(self, request):
        if request in self.answered:
            request = attrs.evolve(request, key=f"{request.key}-again")
        refund = super().refund(request)
        self.answered.append(request)
        return refund


@breaks("G37")
class OneRefundOnly(SimulatedGateway):
    def refund(self, request):
        ours = [refund.refund_id for refund in self.refunds_of(request.payment)]
        if ours and request.refund_id not in ours:
            raise GatewayError("A payment is refunded once.", code="refund-too-large")
        return super().refund(request)


@breaks("G38")
class CutsRefunds(SimulatedGateway):
    def refund(self, request):
        try:
            return super().refund(request)
        except GatewayError as error:
            if error.code != "refund-too-large":
                raise
            return super().refund(attrs.evolve(request, amount=self.fetch_payment(request.payment).captured))


@breaks("G39")
class FirstRefundForAll(SimulatedGateway):
    def refund(self, request):
        try:
            return super().refund(request)
        except GatewayError as error:
            if error.code != "idempotency-conflict":
                raise
            return self.refunds_of(request.payment)[0]


@breaks("G40")
class ForgetsByReference(SimulatedGateway):
    def fetch_refund(self, ref):
        found = super().fetch_refund(ref)
        return found if ref.gateway_refund_id else None


@breaks("G41")
class OwnRefundsOnly(SimulatedGateway):
    def refunds_of(self, ref):
        return tuple(refund for refund in super().refunds_of(ref) if refund.refund_id)


@breaks("G42")
class InquiriesAreWon(SimulatedGateway):
    def disputes_of(self, ref):
        return tuple(attrs.evolve(dispute, state="won") for dispute in super().disputes_of(ref))


# Lists


@breaks("G43")
class EndlessPeriod(SimulatedGateway):
    def list_payments(self, since, until, *, cursor=None):
        return super().list_payments(since, until + timedelta(hours=1), cursor=cursor)


@breaks("G44")
class FirstPageOnly(SimulatedGateway):
    def list_refunds(self, since, until, *, cursor=None):
        return Listing(items=super().list_refunds(since, until, cursor=cursor).items)


@breaks("G45")
class SamePageTwice(SimulatedGateway):
    def list_disputes(self, since, until, *, cursor=None):
        if cursor == "again":
            cursor = None
            return attrs.evolve(super().list_disputes(since, until, cursor=cursor), next=None)
        page = super().list_disputes(since, until, cursor=cursor)
        return attrs.evolve(page, next=page.next or "again")


# What comes in


@breaks("G46")
@frozen(kw_only=True)
class NewEventEveryTime(SimulatedGateway):
    count: list = field(factory=list, eq=False)

    def parse_webhook(self, headers, body):
        self.count.append(1)
        number = len(self.count)
        return [attrs.evolve(event, event_id=f"evt_{number}") for event in super().parse_webhook(headers, body)]


@breaks("G47")
class NeedsItsHeader(SimulatedGateway):
    def parse_webhook(self, headers, body):
        if len(body) < 2:
            return super().parse_webhook({SIGNATURE_HEADER: headers[SIGNATURE_HEADER]}, body)
        return super().parse_webhook(headers, body)


@breaks("G48")
class ChecksTheTimeOnly(SimulatedGateway):
    def parse_webhook(self, headers, body):
        at, _ = parse_signature_header(headers.get(SIGNATURE_HEADER))
        signed = {SIGNATURE_HEADER: sign(body, SECRET, at=at)}
        return super().parse_webhook(signed if body.startswith(b'{"checkout_id"') else headers, body)


@breaks("G49")
class AcceptsOldOnes(SimulatedGateway):
    def parse_webhook(self, headers, body):
        header = headers.get(SIGNATURE_HEADER)
        at, _ = parse_signature_header(header)
        verify_signed(header, body, secrets=[SECRET], now=from_micros(at * 1_000_000))
        now = to_micros(self.clock.now()) // 1_000_000
        return super().parse_webhook({SIGNATURE_HEADER: sign(body, SECRET, at=now)}, body)


@breaks("G50")
class IgnoresTheMode(SimulatedGateway):
    def parse_webhook(self, headers, body):
        try:
            return super().parse_webhook(headers, body)
        except WebhookRejected as rejected:
            if rejected.reason != "wrong-mode":
                raise
            return ()


@breaks("G51")
class BelievesTheBrowser(SimulatedGateway):
    def parse_return(self, ref, params):
        return ReturnHint(genuine=params.get("success") == "true")


class SigningDriver(SimulatedDriver):
    """A provider that signs what the browser brings back."""

    def return_params(self, checkout_id):
        return {"checkout_id": checkout_id, "signature": fingerprint(SECRET, checkout_id)}


class SigningContract(SimulatedContract):
    def provider(self):
        plain = super().provider()
        return SigningDriver(plain.simulated, self.clock)


class SignedReturns(SimulatedGateway):
    """Keeps the rule; to show that it can be kept."""

    def parse_return(self, ref, params):
        return ReturnHint(genuine=params.get("signature") == fingerprint(SECRET, ref.checkout_id))


class VerifiesWhatWasSent(SimulatedGateway):
    def parse_return(self, ref, params):
        return ReturnHint(genuine=params.get("signature") == fingerprint(SECRET, params.get("checkout_id", "")))


PLANTED["G52"] = type("PlantedG52", (SigningContract,), {"kind": VerifiesWhatWasSent})
HONEST_RETURNS = type("HonestReturns", (SigningContract,), {"kind": SignedReturns})


# Faults


@contextmanager
def telling(code, **truth):
    """Tell other things of one kind of failure than the truth."""
    try:
        yield
    except GatewayError as error:
        if error.code != code:
            raise
        raise GatewayError(str(error), **truth, code=code) from None


@breaks("G53")
class UnreachableForGood(SimulatedGateway):
    def fetch_payment(self, ref):
        with telling("unavailable"):
            return super().fetch_payment(ref)


@breaks("G54")
class SureOfLostCheckouts(SimulatedGateway):
    def create_checkout(self, request):
        began = time.monotonic()
        try:
            return super().create_checkout(request)
        except GatewayError as error:
            if error.code != "timeout" or time.monotonic() - began > 0.9:
                raise
            raise GatewayError(str(error), retryable=True, code="timeout") from None


@breaks("G55")
class SureOfLostRefunds(SimulatedGateway):
    def refund(self, request):
        with telling("timeout", retryable=True):
            return super().refund(request)


@breaks("G56")
class TracebackForGarbage(SimulatedGateway):
    def create_checkout(self, request):
        try:
            return super().create_checkout(request)
        except GatewayError as error:
            if error.code == "unusable-reply":
                raise ValueError("Expecting value: line 1 column 1") from None
            raise


class MixingDriver(SimulatedDriver):
    """A provider that may answer about another checkout."""

    def break_next(self, kind, operation):
        if kind == "foreign":
            self.simulated.mixed.append(operation)
        else:
            super().break_next(kind, operation)


@frozen(kw_only=True)
class ReadsAnyAnswer(SimulatedGateway):
    mixed: list = field(factory=list, eq=False)

    def fetch_payment(self, ref):
        payment = super().fetch_payment(ref)
        if not self.mixed:
            return payment
        self.mixed.clear()
        return attrs.evolve(payment, checkout_id="sim_of_somebody_else", payment_id="pay_of_somebody_else")


class MixingContract(SimulatedContract):
    def provider(self):
        self.mixing = super().gateway()
        return MixingDriver(self.mixing.bind("test", self.clock), self.clock)

    def gateway(self):
        return self.mixing


PLANTED["G57"] = type("PlantedG57", (MixingContract,), {"kind": ReadsAnyAnswer})


@breaks("G58")
class TriesOnceMore(SimulatedGateway):
    def fetch_payment(self, ref):
        try:
            return super().fetch_payment(ref)
        except GatewayError as error:
            if error.code == "timeout":
                time.sleep(1.1)
            raise


@breaks("G59")
class SlowDownIsNo(SimulatedGateway):
    def fetch_payment(self, ref):
        with telling("rate-limit"):
            return super().fetch_payment(ref)
