"""Rules of what comes in from the internet: webhooks and return pages, genuine or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from ...core.errors import WebhookRejected
from ...ports import GatewayEvent, PaymentRef
from .base import ContractBase, no_network
from .driver import NotOffered
from .rules import broken, demand, rule

_DAY: Final = timedelta(days=1)
_HEADERS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"content-type": "application/json"},
    {"x": "\ud800", "content-length": "-1"},
)
_BODIES: Final = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"5",
    b"\xff\xfe\x00",
    b'{"id": NaN}',
    b'{"id": 1e999999}',
    b'{"id": ' + b"9" * 5000 + b"}",
    b'{"id": "\\ud800"}',
    b'{"id": "1", "id": "2"}',
    b"[" * 100_000,
    b'{"data": {"object": []}}',
    b'{"event": {}, "payload": 5, "resource": null}',
)


class Incoming(ContractBase):
    """Rules of what comes in from the internet: webhooks and return pages, genuine or not."""

    @rule(46)
    def test_g46_genuine(self) -> None:
        """A genuine webhook says what to look up, under an event id that is the same at every delivery."""
        ref = self.paid()
        events = self._told(ref)
        about = [event for event in events if self._is_about(event, ref)]
        demand(about, "give checkout_id, payment_id or topup_id of what the event is about, and kind 'payment'")
        for event in events:
            demand(event.mode in {None, self.mode}, "mode of an event is the one it claims")
            is_id = isinstance(event.event_id, str) and 0 < len(event.event_id) <= 191 and event.event_id.isprintable()
            demand(is_id, "event_id is the provider's id of the event, 1 to 191 printable characters")
        self.clock.advance(seconds=60)
        again = [event.event_id for event in self._told(ref)]
        demand(again == [event.event_id for event in events], "event_id is the provider's, the same at every delivery")

    @rule(47)
    def test_g47_malformed(self) -> None:
        """Whatever is wrong with headers or body ends in WebhookRejected, and in nothing else."""
        for headers in (*_HEADERS, *self._bent()):
            for body in _BODIES:
                self._rejected(headers, body, f"headers {sorted(headers)} with body {body[:20]!r}")
        with suppress(NotOffered):
            for body in _BODIES:
                # Signed, so that nothing but the content is wrong.
                self._rejected(self.driver.sign(body), body, f"the signed body {body[:20]!r}", empty=True)

    @rule(48)
    def test_g48_forged(self) -> None:
        """A webhook that somebody else signed, or whose body was altered, is rejected."""
        ref = self.paid()
        headers, body = self.driver.webhook(ref.checkout_id)
        altered = body.replace(ref.checkout_id.encode(), b"another-checkout") + b" "
        self._rejected(headers, altered, "an altered body: verify the signature over the raw bytes")
        self._rejected({}, body, "a body without a signature")
        with suppress(NotOffered):
            forged = self.driver.webhook(ref.checkout_id, forged=True)
            self._rejected(*forged, "a body that somebody else signed: compare with our own secret")

    @rule(49)
    def test_g49_stale(self) -> None:
        """A webhook signed long ago, or in the future, is rejected if signatures cover their time."""
        self.claimed("signed_timestamp")
        ref = self.paid()
        for moved in (-7 * _DAY, _DAY):
            headers, body = self.driver.webhook(ref.checkout_id, at=self.clock.now() + moved)
            self._rejected(headers, body, "a signature of another time: compare it with the clock given to bind")

    @rule(50)
    def test_g50_other_mode(self) -> None:
        """A genuine webhook of the other mode is rejected as such."""
        ref = self.paid()
        headers, body = self.driver.webhook(ref.checkout_id, other_mode=True)
        try:
            self.bound.parse_webhook(headers, body)
        except WebhookRejected as rejected:
            demand(
                rejected.reason == "wrong-mode", "say reason='wrong-mode', so that the host sees what is set up wrong"
            )
            return
        broken("compare the event's mode with the one given to bind, and raise WebhookRejected")

    @rule(51)
    def test_g51_return(self) -> None:
        """What a browser brings back is read without network, without trust and without exceptions."""
        ref = self.opened()
        junk: Sequence[Mapping[str, str]] = (
            {},
            {"status": "paid", "success": "true", "payment_id": "pay_1", "signature": "0" * 64},
            {"": "", "\ud800": "\ud800", "x": "x" * 100_000},
            {"razorpay_payment_id": "", "razorpay_signature": "é", "token": "\x00", "session_id": "../"},
        )
        with no_network("parse_return asks nobody: settlement re-reads the payment anyway"):
            for params in junk:
                genuine = self.bound.parse_return(ref, params).genuine
                demand(genuine is not True, "genuine is True only if the provider signed the parameters")

    @rule(52)
    def test_g52_signed_return(self) -> None:
        """Signed parameters of a return page are genuine for their checkout, and for no other."""
        ref, other = self.paid(), self.opened()
        params = dict(self.driver.return_params(ref.checkout_id))
        demand(self.bound.parse_return(ref, params).genuine is True, "verify the signature with our key secret")
        wrong = self.bound.parse_return(other, params).genuine
        demand(wrong is False, "verify over the checkout_id that we stored, not over the one that was sent")

    def _told(self, ref: PaymentRef) -> Sequence[GatewayEvent]:
        headers, body = self.driver.webhook(ref.checkout_id)
        try:
            return self.bound.parse_webhook(headers, body)
        except WebhookRejected as rejected:
            broken(f"a genuine webhook was rejected: {rejected}")

    @staticmethod
    def _is_about(event: GatewayEvent, ref: PaymentRef) -> bool:
        known = (event.checkout_id, ref.checkout_id), (event.payment_id, ref.payment_id), (event.topup_id, ref.topup_id)
        return event.kind == "payment" and any(told == ours for told, ours in known)

    def _bent(self) -> Sequence[Mapping[str, str]]:
        """Give a genuine webhook's headers, each with something in a wrong form."""
        with suppress(NotOffered):
            headers, _ = self.driver.webhook(self.paid().checkout_id)
            wrong = ("", ",", "=", "t=,v1=", "t=1,v1=" + "0" * 64, "é" * 10, "\ud800", "x" * 100_000)
            return [dict.fromkeys(headers, value) for value in wrong]
        return ()

    def _rejected(self, headers: Mapping[str, str], body: bytes, what: str, *, empty: bool = False) -> None:
        try:
            events = self.bound.parse_webhook(headers, body)
        except WebhookRejected:
            return
        except Exception as problem:
            broken(f"raise WebhookRejected, not {type(problem).__name__}, for {what}")
        else:
            ignored = empty and all(event.kind == "ignored" for event in events)
            demand(ignored, f"raise WebhookRejected for {what}")
