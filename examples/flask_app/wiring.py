"""The host's side of the wiring: a seller, gateways, who verifies, a register, a mailer, a clock, made a `Prepaid`."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from attrs import field, frozen
from flask import current_app, session

from prepaid import Address, Money, Prepaid, Registration, Seller, permissions
from prepaid.gateways import BankTransferGateway, SimulatedGateway
from prepaid.identity_providers import SimulatedIdentity
from prepaid.ports import RegisterAnswer, TaxId

CURRENCY = "EUR"
CUSTOMER = "ada"
CUSTOMERS = (CUSTOMER, "ben")
OPERATOR = "alice"
# Who one can be in the demo, with what the switch says; two operators, as some refunds take two.
PEOPLE = {"customer": "Customer (Ada)", "operator": "Operator (Alice)", "second": "Operator (Bob)"}
OPERATORS = {"operator": OPERATOR, "second": "bob"}
SELLER = Seller(
    name="Nimbus GmbH",
    address=Address(line1="Invalidenstr. 1", city="Berlin", postcode="10115", country="DE"),
    tax_ids=("DE136695976",),
    registrations=(Registration(country="DE"), Registration(country="DE", scheme="oss")),
    email="billing@nimbus.example",
    website="nimbus.example",
    timezone="Europe/Berlin",
)
TAXED_WHERE = ("local", "oss")  # by what registration we collect the tax of a country
ZONE = ZoneInfo(SELLER.timezone)
TRANSFER = BankTransferGateway(
    account_holder=SELLER.name, iban="DE89370400440532013000", maximum=Money.of("10000.00", CURRENCY)
)
# What the hints of the demo name: in seed.py they are made.
CODES_TO_TRY = (
    ("WELCOME10", "gives a bonus"),
    ("SAVE5", "lowers the price of €20 and more"),
    ("FREE10", "lets €10 cost nothing"),
    ("SUMMER", "is over"),
)
VOUCHER_FILE = "voucher-to-try"
_MAIL_FILE = re.compile(r"[0-9]{8}T[0-9]{12}-[0-9a-f]{16}\.eml", re.ASCII)


class DemoClock:
    """The machine's clock and an offset that only ever grows, kept in a file."""

    def __init__(self, kept_in: Path) -> None:
        """Go on from the offset that was kept, or from none."""
        self._kept_in, self._lock = kept_in, threading.Lock()
        self._offset = timedelta(seconds=int(kept_in.read_text()) if kept_in.exists() else 0)

    def now(self) -> datetime:
        """Give the demo's instant."""
        return datetime.now(UTC) + self._offset  # noqa: TID251 - this is the clock

    def advance(self, hours: int) -> datetime:
        """Move on by whole hours and give the new instant."""
        with self._lock:
            self._offset += timedelta(hours=hours)
            fresh = self._kept_in.with_suffix(".new")
            fresh.write_text(str(int(self._offset.total_seconds())))
            fresh.replace(self._kept_in)
        return self.now()


class Outbox:
    """A mailer that leaves every mail as a file, so that the demo needs no mail account."""

    def __init__(self, folder: Path, clock: Any) -> None:
        """Send into a folder."""
        self._folder, self._clock = folder, clock
        folder.mkdir(parents=True, exist_ok=True)

    def send(self, message: Any) -> None:
        """Write a `prepaid.ports.MailMessage`; one that was sent before is not sent to the same address twice."""
        digest = hashlib.sha256(f"{message.message_key}/{message.to}".encode()).hexdigest()[:16]
        if next(self._folder.glob(f"*-{digest}.eml"), None):
            return
        now = self._clock.now()
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = SELLER.email, message.to, message.subject
        mail["Date"], mail["Message-ID"] = format_datetime(now), f"<{digest}@nimbus.example>"
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        for file in message.attachments:
            kind, subkind = file.media_type.split("/")
            mail.add_attachment(file.content, maintype=kind, subtype=subkind, filename=file.filename)
        fresh = self._folder / f"{now:%Y%m%dT%H%M%S%f}-{digest}.part"
        fresh.write_bytes(mail.as_bytes())
        fresh.replace(fresh.with_suffix(".eml"))

    def files(self) -> list[Path]:
        """Give the mails that were sent, newest first."""
        return sorted(self._folder.glob("*.eml"), reverse=True)

    def file(self, name: str) -> Path | None:
        """Give one mail by the name of its file."""
        path = self._folder / name
        return path if _MAIL_FILE.fullmatch(name) and path.is_file() else None


class DemoRegister:
    """A register of VAT numbers that asks nobody; numbers of the right form are valid, but for a few to try."""

    name = "demo"
    valid, unknown, slow, down = "FR40303265045", "FR23334175221", "FR83404833048", "ATU13585627"
    slow_s = 8
    outage = timedelta(hours=2)

    def __init__(self, clock: Any) -> None:
        """Begin with the register of Austria down from the first question on."""
        self._clock = clock
        self._asked_first: dict[str, datetime] = {}

    def covers(self, tax_id: TaxId) -> bool:
        """Know VAT numbers of the EU."""
        return tax_id.kind == "eu_vat"

    def check(self, tax_id: TaxId, *, requester: TaxId | None) -> RegisterAnswer:
        """Answer as the number wants it."""
        now = self._clock.now()
        if tax_id.country == "AT" and now < self._asked_first.setdefault("AT", now) + self.outage:
            return RegisterAnswer(state="unavailable", reason="MS_UNAVAILABLE", of_country=True)
        if tax_id.number == self.slow:
            time.sleep(self.slow_s)
        return RegisterAnswer(state="invalid" if tax_id.number == self.unknown else "valid")


@frozen(kw_only=True)
class Panel:
    """A cloud panel's billing, ready to use.

    Attributes:
        billing: The library.
        gateway: The simulated provider, from the payer's side.
        identity: Who verifies customers, simulated as well.
        clock: What time it is in the demo.
        outbox: Mails that were sent.
        state: Where the demo keeps everything.
        secret_key: Signs sessions.
    """

    billing: Prepaid
    gateway: SimulatedGateway
    identity: SimulatedIdentity
    clock: Any
    outbox: Outbox
    state: Path
    secret_key: str = field(repr=False)

    def ada(self) -> Any:
        """Open the customer's door; a real panel passes the id of whoever is signed in."""
        return self.billing.customer(CUSTOMER)

    def alice(self) -> Any:
        """Open the door of the first operator."""
        return self.operator(OPERATOR)

    def operator(self, name: str) -> Any:
        """Open an operator's door; a real panel passes the permissions of whoever is signed in."""
        return self.billing.operator(name, permissions=permissions.ALL)

    def label(self, gateway: str) -> str:
        """Give what people call a gateway."""
        labels = {known.name: known.label for known in (self.gateway, TRANSFER)} | {"none": "None: it cost nothing"}
        return labels.get(gateway, gateway)

    def voucher_to_try(self) -> str:
        """Give the code of a seeded voucher, which the library keeps nowhere; empty without one."""
        file = self.state / VOUCHER_FILE
        return file.read_text() if file.exists() else ""

    def today(self) -> Any:
        """Give the seller's date."""
        return self.clock.now().astimezone(ZONE).date()


def open_panel(state: Path, clock: Any = None) -> Panel:
    """Wire everything upon a directory that holds the demo's whole state."""
    state.mkdir(parents=True, exist_ok=True)
    now = clock if clock is not None else DemoClock(state / "clock-offset")
    gateway = SimulatedGateway(
        state=str(state / "simulated.db"),
        webhook_secrets=(_kept_secret(state / "webhook-secret"),),
        page_url="/simulated/{checkout_id}",
        label="Simulated card",
        clock=now,
    )
    identity = SimulatedIdentity(
        state=str(state / "simulated-identity.db"),
        webhook_secrets=(_kept_secret(state / "identity-webhook-secret"),),
        page_url="/simulated/identity/{reference}",
        clock=now,
    )
    outbox = Outbox(state / "outbox", now)
    billing = Prepaid(
        database=f"sqlite:///{state / 'billing.db'}",
        mode="test",
        seller=SELLER,
        currencies=(CURRENCY,),
        gateways=[gateway, TRANSFER],
        identity=identity,
        tax_id_registers=[DemoRegister(now)],
        mailer=outbox,
        load_plugins=False,
        clock=now,
    )
    return Panel(
        billing=billing,
        gateway=gateway,
        identity=identity,
        clock=now,
        outbox=outbox,
        state=state,
        secret_key=_kept_secret(state / "session-secret"),
    )


def _kept_secret(file: Path) -> str:
    """Give the secret in a file that only its owner reads; a random one the first time."""
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as fresh:
            fresh.write(secrets.token_urlsafe(32))
    return file.read_text()


def panel() -> Panel:
    """Give the panel of the app that serves this request."""
    found: Panel = current_app.extensions["panel"]
    return found


def role() -> str:
    """Say whose pages are open to whoever looks at this one: the customer's or the operator's."""
    return "operator" if session.get("person") in OPERATORS else "customer"


def operator() -> Any:
    """Give the door of the operator who looks at this page."""
    return panel().operator(OPERATORS[session["person"]])
