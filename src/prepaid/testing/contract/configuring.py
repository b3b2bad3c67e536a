"""Rules of what a gateway is before any payment: names, claims, binding, secrets."""

from __future__ import annotations

import inspect
import io
import logging
import pickle
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final, cast
from unittest import SkipTest

from attrs import evolve

from ...core.errors import ConfigurationError, GatewayError, WebhookRejected
from ...core.money import MINOR_DIGITS, Money, minor_unit
from ...ports import CurrencyLimits, Gateway, Mode, PaymentRef, RefundRef
from .base import ContractBase, no_network
from .driver import NotOffered
from .rules import broken, demand, rule

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_SECONDS_AND_DAYS: Final = ("create_key_valid_s", "refund_key_valid_s", "failed_final_after_s", "list_delay_s")
_METHODS: Final = sorted(
    name for name, member in vars(Gateway).items() if inspect.isfunction(member) and not name.startswith("_")
)


class Configuring(ContractBase):
    """Rules of what a gateway is before any payment."""

    @rule(1)
    def test_g01_name(self) -> None:
        """Name, label and account have their form."""
        gateway = self.bound
        demand(_NAME.fullmatch(gateway.name), "name is a letter and up to 31 lower-case letters, digits or dashes")
        demand(isinstance(gateway.label, str) and gateway.label.strip(), "label is what a customer reads, not empty")
        demand(gateway.account is None or _is_word(gateway.account), "account is a printable string, or None")

    @rule(2)
    def test_g02_port(self) -> None:
        """Every method of the port is there, synchronous, with the port's arguments."""
        demand(isinstance(self.bound, Gateway), "the class lacks a method or property of prepaid.ports.Gateway")
        for name in _METHODS:
            method = getattr(self.bound, name)
            demand(not inspect.iscoroutinefunction(method), f"{name} is not async: settlement calls it as it is")
            wanted = [*inspect.signature(getattr(Gateway, name)).parameters][1:]
            there = [*inspect.signature(method).parameters]
            demand(there[: len(wanted)] == wanted, f"{name} takes {', '.join(wanted)}, under these names")

    @rule(3)
    def test_g03_mode(self) -> None:
        """Binding refuses every mode that the credentials are not for."""
        for mode in ("test", "live", "", "TEST", None):
            if mode in self.modes:
                continue
            with suppress(ConfigurationError):
                self.gateway().bind(cast(Mode, mode), self.clock)
                broken(f"bind({mode!r}, clock) raises ConfigurationError")

    @rule(4)
    def test_g04_webhook_secret(self) -> None:
        """A configuration without a webhook secret is refused when it is made or bound."""
        with suppress(ConfigurationError):
            self.without_webhook_secret().bind(self.mode, self.clock)
            broken("a missing webhook secret is a ConfigurationError, not a gateway that believes everybody")

    @rule(5)
    def test_g05_offline(self) -> None:
        """Making, binding and asking for capabilities use no network."""
        with no_network("make the connection when the first request is sent"):
            self.gateway().bind(self.mode, self.clock).capabilities()

    @rule(6)
    def test_g06_unbound(self) -> None:
        """Before bind, calls that concern payments are ConfigurationError."""
        gateway = self.gateway()
        ref = PaymentRef(topup_id="top_1", checkout_id=self.opened().checkout_id)
        calls: tuple[Callable[[], object], ...] = (
            lambda: gateway.create_checkout(self.request()),
            lambda: gateway.fetch_payment(ref),
            lambda: gateway.cancel(ref),
        )
        for call in calls:
            with suppress(ConfigurationError):
                call()
                broken("raise ConfigurationError in every call before bind gave a mode and a clock")

    @rule(7)
    def test_g07_immutable(self) -> None:
        """Binding gives another gateway, and leaves the configured one as it was."""
        configured = self.gateway()
        bound = configured.bind(self.mode, self.clock)
        demand(bound is not configured, "bind gives a new object, such as attrs.evolve(self, ...), not self")
        demand((bound.name, bound.label) == (configured.name, configured.label), "bind keeps name and label")

    @rule(8)
    def test_g08_capabilities(self) -> None:
        """Capabilities are the same every time, and possible."""
        can = self.can
        demand(can == self.bound.capabilities(), "capabilities() gives equal values every time")
        demand(can.interaction in {"redirect", "widget", "instructions"}, "interaction is one of the port's words")
        for name in _SECONDS_AND_DAYS:
            demand(_is_count(getattr(can, name)), f"{name} is an int of 0 or more")
        days = can.refund_window_days
        demand(days is None or (_is_count(days) and days > 0), "refund_window_days is an int above 0, or None")
        demand(can.refunds or not (can.partial_refund or can.multiple_refunds), "kinds of refunds need refunds")
        demand(can.currencies, "currencies names what is taken")
        for code, limits in can.currencies.items():
            demand(
                _is_possible(code, limits), f"the limits of {code}: 0 < minimum <= maximum, whole steps, its currency"
            )

    @rule(9)
    def test_g09_claims(self) -> None:
        """What is claimed is there, and what is not claimed raises not-supported."""
        for claim, name, call in self._claims():
            claimed = bool(getattr(self.can, claim))
            try:
                call()
                code = None
            except GatewayError as error:
                code = error.code
            if claimed:
                demand(code != "not-supported", f"{claim} is claimed: write {name}, or do not claim it")
            else:
                demand(code == "not-supported", f"{claim} is not claimed: leave {name} to BasicGateway, or claim it")

    @rule(10)
    def test_g10_secrets(self) -> None:
        """No secret is in a repr, a pickle, a traceback or a log of any level."""
        if not self.secrets:
            raise SkipTest("the contract names no secrets")
        gateway = self.gateway()
        with _everything_logged() as log:
            seen = [repr(self.bound), str(self.bound), repr(gateway), *self._said(gateway)]
        seen += [log.getvalue(), *_pickled(gateway), *_pickled(self.bound)]
        for place in seen:
            demand(
                not any(secret in place for secret in self.secrets),
                "wrap secrets in prepaid.gateways.credentials.Secret, and say neither key nor body",
            )

    @rule(11)
    def test_g11_health(self) -> None:
        """Good credentials are ok, and, where the provider cannot be asked, not ok without raising."""
        health = self.bound.check_credentials()
        demand(health.ok, f"good credentials are ok, but: {health.detail}")
        demand(health.mode in {None, self.mode}, "the mode in Health is the one the provider reports")
        self.driver.break_next("unreachable", "check_credentials")
        try:
            health = self.bound.check_credentials()
        except GatewayError:
            broken("catch GatewayError in check_credentials and give Health(ok=False, detail=...)")
        demand(not health.ok, "a provider that cannot be asked is not ok")

    def _claims(self) -> list[tuple[str, str, Callable[[], Any]]]:
        gateway, since = self.bound, self.clock.now() - timedelta(hours=1)
        ref = evolve(self.opened(), payment_id="unknown-payment")
        request = self.refund_request(ref)
        refund = RefundRef(payment=ref, refund_id=request.refund_id)
        return [
            ("needs_capture", "capture", lambda: gateway.capture(ref, self.amount(), key="key")),
            ("refunds", "refund", lambda: gateway.refund(request)),
            ("refunds", "fetch_refund", lambda: gateway.fetch_refund(refund)),
            ("lists_payments", "list_payments", lambda: gateway.list_payments(since, self.clock.now(), cursor=None)),
            ("lists_refunds", "list_refunds", lambda: gateway.list_refunds(since, self.clock.now(), cursor=None)),
            ("lists_disputes", "list_disputes", lambda: gateway.list_disputes(since, self.clock.now(), cursor=None)),
        ]

    def _said(self, gateway: Gateway) -> list[str]:
        """Go through a payment with a fault, and give all that exceptions said on the way."""
        said = []
        ref = self.opened()
        calls: list[Callable[[], object]] = [
            lambda: self.read(ref),
            lambda: self.bound.parse_webhook({}, b"{}"),
            lambda: gateway.create_checkout(self.request()),
        ]
        with suppress(NotOffered):
            self.driver.break_next("unreadable", "fetch_payment")
        for call in calls:
            try:
                call()
            except (GatewayError, ConfigurationError, WebhookRejected) as error:
                said.append("".join(traceback.format_exception(error)) + repr(error))
        return said


def _pickled(gateway: Gateway) -> list[str]:
    # What refuses to be pickled, with a Secret in it, hides enough.
    with suppress(Exception):
        return [pickle.dumps(gateway).decode("latin-1")]
    return []


@contextmanager
def _everything_logged() -> Iterator[io.StringIO]:
    """Collect what all loggers say inside."""
    root, text = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 191 and value.isprintable()


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_possible(code: str, limits: object) -> bool:
    if not isinstance(limits, CurrencyLimits):
        return False
    amounts = (limits.minimum, limits.maximum, limits.step)
    if code not in MINOR_DIGITS or not all(isinstance(amount, Money) and amount.currency == code for amount in amounts):
        return False
    least, most, step = (amount.units for amount in amounts)
    return 0 < least <= most and step > 0 and step % minor_unit(code) == 0 and least % step == most % step == 0
