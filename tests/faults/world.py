"""A world in which faults happen: what outlives a process, and a host's process in it."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from attrs import field, frozen
from sqlalchemy import Engine, event, make_url, text

from prepaid import Address, Money, Prepaid, Seller, Topup, WebhookResult, permissions
from prepaid.core.events import EVENT_NAMES
from prepaid.core.events import Event as ToldEvent
from prepaid.gateways.simulated import SimulatedGateway
from prepaid.ports import (
    Checkout,
    CheckoutRequest,
    DisputeSnapshot,
    MailMessage,
    PaymentRef,
    PaymentSnapshot,
    RefundRef,
    RefundRequest,
    RefundSnapshot,
)
from prepaid.store import raw
from prepaid.store.engines import READ_ONLY, open_engine
from prepaid.testing.clock import START, MovableClock

from .verifying import Verifying

SELLER: Final = Seller(
    name="Nimbus GmbH",
    address=Address(line1="Invalidenstr. 1", city="Berlin", postcode="10115", country="DE"),
    timezone="Europe/Berlin",
)


def eur(amount: str) -> Money:
    """Give euros."""
    return Money.of(amount, "EUR")


class Fuse:
    """Counts the steps of a process and strikes at one of them.

    Attributes:
        steps: Names of the steps so far.
    """

    def __init__(self, at: int, strike: Callable[[str, Any], None], counts: Callable[[str], bool]) -> None:
        """Strike at the step with number ``at``, from 1, of those that count."""
        self._at, self._strike, self._counts = at, strike, counts
        self.steps: list[str] = []

    def step(self, name: str, connection: Any = None) -> None:
        """Say that the process is at a step; ``connection`` is the driver's, if a database is involved."""
        if self._counts(name):
            self.steps.append(name)
            if len(self.steps) == self._at:
                self._strike(name, connection)

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Make the instants before and after something steps."""
        self.step(f"before {name}")
        yield
        self.step(f"after {name}")

    def watch(self, engine: Engine) -> None:
        """Make every statement and COMMIT of an engine a step, also below it; for the rest of the process."""
        dialect, commit = engine.dialect, engine.dialect.do_commit

        def stepping_commit(connection: Any) -> None:
            self.step("before COMMIT", connection.driver_connection)
            commit(connection)
            self.step("after COMMIT", connection.driver_connection)

        dialect.do_commit = stepping_commit
        for moment in ("before", "after"):
            event.listen(engine, f"{moment}_cursor_execute", self._statement(moment))
        raw.execute = self._below(raw.execute)
        raw.send = self._below(raw.send)

    def _statement(self, moment: str) -> Callable[..., None]:
        def step(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            self.step(f"{moment} {_short(statement)}", connection.connection.driver_connection)

        return step

    def _below(self, execute: Callable[..., None]) -> Callable[..., None]:
        """Make what is sent to the driver itself a step; a statement that commits itself is a COMMIT."""

        def stepping(cursor: Any, statement: str, *parameters: Any, commits: bool = False, **options: Any) -> None:
            name = "COMMIT" if commits else _short(statement)
            self.step(f"before {name}", cursor.connection)
            execute(cursor, statement, *parameters, **(options | {"commits": True} if commits else options))
            self.step(f"after {name}", cursor.connection)

        return stepping


def _short(statement: str) -> str:
    """Name a statement by its first word and the first table of ours."""
    words = statement.split()
    named = next((word for word in words if word.startswith("prepaid_")), "")
    return f"{words[0]} {named.split('.')[0]}".strip()


@frozen(kw_only=True)
class TappedGateway(SimulatedGateway):
    """The simulated gateway; its calls over the network are steps of a fuse."""

    fuse: Fuse = field(repr=False)

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Prepare a payment."""
        with self.fuse.around("gateway create_checkout"):
            return super().create_checkout(request)

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Re-read a payment."""
        with self.fuse.around("gateway fetch_payment"):
            return super().fetch_payment(ref)

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Make a checkout unpayable."""
        with self.fuse.around("gateway cancel"):
            return super().cancel(ref)

    def refund(self, request: RefundRequest) -> RefundSnapshot:
        """Give money back."""
        with self.fuse.around("gateway refund"):
            return super().refund(request)

    def fetch_refund(self, ref: RefundRef) -> RefundSnapshot | None:
        """Re-read a refund."""
        with self.fuse.around("gateway fetch_refund"):
            return super().fetch_refund(ref)

    def refunds_of(self, ref: PaymentRef) -> Sequence[RefundSnapshot]:
        """Read the refunds of a payment."""
        with self.fuse.around("gateway refunds_of"):
            return super().refunds_of(ref)

    def disputes_of(self, ref: PaymentRef) -> Sequence[DisputeSnapshot]:
        """Read the disputes of a payment."""
        with self.fuse.around("gateway disputes_of"):
            return super().disputes_of(ref)


class Diary:
    """What the outside was told, one line each, on disk at once."""

    def __init__(self, path: Path, fuse: Fuse | None = None) -> None:
        """Write to ``path``; telling is a step of the fuse."""
        self._path, self._fuse = path, fuse

    def send(self, message: MailMessage) -> None:
        """Take a mail, as a mailer does."""
        self._tell("mail", message.message_key)

    def hear(self, told: ToldEvent) -> None:
        """Take an event, as a listener does."""
        self._tell("event", told.name, told.id)

    def _tell(self, *words: str) -> None:
        with nullcontext() if self._fuse is None else self._fuse.around(words[0]):
            line = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            os.write(line, (json.dumps(words) + "\n").encode())
            os.close(line)

    def told(self) -> Counter[tuple[str, ...]]:
        """Count what was told."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return Counter(tuple(json.loads(line)) for line in lines)


class PlainText:
    """Renders an invoice quickly: what a file looks like is no matter of these tests."""

    media_type, version = "text/plain", "1"

    def render(self, invoice: Any) -> bytes:
        """Give the figures."""
        return f"{invoice.number} {invoice.total}".encode()


def open_quickly(url: str) -> Engine:
    """Open a database without waiting for the disk.

    A killed process loses nothing that it gave to the system; waiting would
    only matter to a machine that loses its power.
    """
    if url.startswith("postgresql"):
        return open_engine(make_url(url).update_query_dict({"options": "-c synchronous_commit=off"}))
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF").close())
    return engine  # the tests' MariaDB server itself does not wait


class KeptCheckout(NamedTuple):
    """A checkout as the provider remembers it."""

    id: str
    topup_id: str
    state: str
    minor: int


@frozen
class World:
    """What outlives a process.

    Attributes:
        engine: Of the database. No connection of it may be open while a process is forked.
        folder: Where the provider's memory and the diary lie.
    """

    engine: Engine = field(repr=False)
    folder: Path

    @property
    def diary(self) -> Diary:
        """What was told so far."""
        return Diary(self.folder / "diary")

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Ask the database in SQL of one's own."""
        with self.engine.connect() as connection, connection.execution_options(**{READ_ONLY: True}).begin():
            return [tuple(row) for row in connection.execute(text(statement), values)]

    def checkouts(self) -> list[KeptCheckout]:
        """Ask the provider's own memory for its checkouts."""
        return [KeptCheckout(*row) for row in self._kept("id, told_topup, state, minor FROM checkout")]

    def given_back(self) -> list[tuple[str, int, bool]]:
        """Ask the provider's own memory for its refunds: state, minor units, and whether each names one of ours."""
        return sorted(
            (state, minor, bool(ours)) for state, minor, ours in self._kept("state, minor, reference FROM refund")
        )

    def _kept(self, what: str) -> list[tuple[Any, ...]]:
        path = self.folder / "provider.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(path)) as provider:
            return provider.execute(f"SELECT {what} ORDER BY 1").fetchall()

    def close(self) -> None:
        """Close every connection of this process."""
        self.engine.dispose()


class Host:
    """One process of a host: its `Prepaid`, and what a panel has at hand.

    Attributes:
        billing: The library.
        clock: Its clock.
        provider: The payer's side of the simulated gateway.
    """

    def __init__(
        self,
        world: World,
        *,
        at: datetime = START,
        fuse: Fuse | None = None,
        identity: Any = None,
        gateway_name: str = "simulated",
    ) -> None:
        """Start in a world; with a fuse, everything the process does is a step of it."""
        self.world, self.clock = world, MovableClock(at)
        state = world.folder / "provider.db"
        gateway = SimulatedGateway(state=state, name=gateway_name)
        if fuse is not None:
            gateway = TappedGateway(state=state, name=gateway_name, fuse=fuse)
        diary = Diary(world.folder / "diary", fuse)
        if fuse is not None:
            fuse.watch(world.engine)
        self.provider = SimulatedGateway(state=state, name=gateway_name).bind("test", self.clock)
        self.billing = Prepaid(
            database=world.engine,
            mode="test",
            seller=SELLER,
            gateways=[gateway],
            identity=identity or Verifying(world.folder / "verifier.json", fuse),
            mailer=diary,
            renderer=PlainText(),
            load_plugins=False,
            webhook_budget_s=60,  # what is raced for is the credit, not the time
            clock=self.clock,
        )
        for name in EVENT_NAMES:
            self.billing.on(name, diary.hear)

    def operator(self, actor: str = "alice") -> Any:
        """Give an operator who may do everything."""
        return self.billing.operator(actor, permissions=permissions.ALL)

    def register(self, customer: str) -> None:
        """Register a customer with an address to mail to."""
        self.billing.customers.register(customer, email=f"{customer}@example.com", name=customer)

    def start(self, customer: str, amount: Money, *, key: str, code: str | None = None) -> Topup:
        """Start a top-up as a billing page does."""
        topups = self.billing.customer(customer).topups
        back, away = "https://panel.example/back", "https://panel.example/billing"
        return topups.start(topups.quote(amount, code=code), return_url=back, cancel_url=away, key=key)

    def pay(self, topup: Topup, **lies: Any) -> None:
        """Pay a top-up on the provider's page."""
        self.provider.pay(checkout_of(topup), **lies)

    def paid_topup(self, customer: str, amount: Money, *, key: str) -> Topup:
        """Start a top-up and pay it; nobody has told the library."""
        topup = self.start(customer, amount, key=key)
        self.pay(topup)
        return topup

    def deliver(self, topup: Topup | None = None) -> list[WebhookResult]:
        """Deliver every webhook there is, or those about one top-up."""
        wanted = None if topup is None else topup.id
        results = []
        for delivery in self.provider.events():
            if wanted is None or json.loads(delivery.body)["topup_id"] == wanted:
                headers, body = delivery.request(at=self.clock.now())
                results.append(self.billing.webhooks.receive("simulated", body=body, headers=headers))
        return results


def checkout_of(topup: Topup) -> str:
    """Give the provider's id of a top-up's checkout, as its payment page's URL shows it."""
    assert topup.checkout.redirect_url is not None
    return topup.checkout.redirect_url.rsplit("/", 1)[1]
