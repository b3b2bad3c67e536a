"""Books to measure on: a billing system on an empty database, filled with customers who hold credit.

One customer, one charge and one meter are made through the library; all others
are copies of their rows. This is the one place that knows which columns of the
schema tell them apart; `billing.check()` says whether the copies are sound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, Final

from attrs import frozen
from sqlalchemy import Engine, create_engine

from prepaid import Address, Money, Prepaid, Rate, Seller, permissions
from prepaid.core.hashing import key_hash
from prepaid.core.instants import to_micros
from prepaid.ports import Clock
from prepaid.system import SystemClock
from prepaid.testing.clock import MovableClock

from .clones import clone, rows

CURRENCY: Final = "EUR"
PRICE: Final = "0.00744"
CREDIT: Final = "1000000"
MODEL: Final = "model"
HISTORY_DAYS: Final = 30

HEAVY_SHARE: Final = 100
"""Of a history, every hundredth charge is the first customer's."""

Tell = Callable[[str], None]


def open_billing(url: str, **options: Any) -> Prepaid:
    """Wire a billing system as a host would."""
    seller = Seller(
        name="Nimbus GmbH",
        address=Address(line1="Invalidenstr. 1", city="Berlin", postcode="10115", country="DE"),
        timezone="Europe/Berlin",
    )
    return Prepaid(
        database=url, mode="test", seller=seller, currencies=(CURRENCY,), **{"load_plugins": False, **options}
    )


def operator(billing: Prepaid) -> Any:
    """Open an operator's door that may do everything."""
    return billing.operator("benchmark", permissions=permissions.ALL)


def customer_name(number: int) -> str:
    """Name a customer, from 1."""
    return f"customer-{number}"


def fill(url: str, *, customers: int, charges: int = 0, tell: Tell = lambda _: None) -> None:
    """Upgrade an empty database and fill it.

    Args:
        url: The database.
        customers: How many hold a grant of a million.
        charges: How many charges they made over the last 30 days, one in a
            hundred of them the first customer's.
        tell: Hears what is being filled.
    """
    # From a while ago on, so that nothing measured later is older than what was filled.
    clock = MovableClock(SystemClock().now() - timedelta(days=HISTORY_DAYS + 1))
    billing = open_billing(url, clock=clock)
    billing.upgrade_database()
    _make_model(billing)
    billing.close()
    engine = create_engine(url)
    tell(f"copying {customers:,} customers and {charges:,} charges")
    _copy(engine, _History(customers, charges, to_micros(clock.now())))
    _tidy(engine)
    engine.dispose()


def _make_model(billing: Prepaid) -> None:
    billing.customers.register(MODEL, currency=CURRENCY)
    credit = Money.of(CREDIT, CURRENCY)
    operator(billing).customers.grant(MODEL, credit, kind="goodwill", reason="a model", key="welcome")
    billing.usage.charge(MODEL, Money.of(PRICE, CURRENCY), key="use", description="vm-1, 1 h")


@frozen
class _History:
    """Who charged when: charge ``n`` belongs to one customer, and follows the last one after a steady while."""

    customers: int
    charges: int
    begins_at: int

    def customer_of(self, charge: int) -> int:
        """Give the number of the customer who made a charge, from 1."""
        return 1 if charge % HEAVY_SHARE == 0 or self.customers == 1 else 2 + charge % (self.customers - 1)

    def at(self, charge: int) -> int:
        """Give the microsecond in which it was posted."""
        span = timedelta(days=HISTORY_DAYS) // timedelta(microseconds=1)
        return self.begins_at + 1 + span * charge // max(1, self.charges)

    def counts(self) -> list[int]:
        """Count the charges of every customer; index 0 is nobody."""
        counts = [0] * (self.customers + 1)
        for charge in range(self.charges):
            counts[self.customer_of(charge)] += 1
        return counts


def _copy(engine: Engine, history: _History) -> None:
    [wallet] = rows(engine, f"SELECT * FROM prepaid_account WHERE kind = 'wallet' AND owner = '{MODEL}'")  # noqa: S608
    [grant] = rows(engine, "SELECT * FROM prepaid_grant")
    credited, charged = rows(engine, "SELECT * FROM prepaid_transfer ORDER BY wallet_seq")
    numbers, counts = range(1, history.customers + 1), history.counts()
    book, size, price = wallet["book_id"], grant["size"], charged["amount"]
    left = [size - price * count for count in counts]

    [customer] = rows(engine, "SELECT * FROM prepaid_customer")
    clone(engine, "prepaid_customer", customer, ({"id": customer_name(n)} for n in numbers))
    wallets = ({"owner": customer_name(n), "balance": left[n], "seq": counts[n] + 1} for n in numbers)
    clone(engine, "prepaid_account", wallet, wallets)
    ids = _wallet_ids(engine)
    keys = [key_hash(book, "grant", customer_name(n), credited["cause_id"]) for n in (0, *numbers)]
    grants = (
        {"id": _grant_id(n), "wallet_id": ids[customer_name(n)], "remaining": left[n]}
        | ({"key_hash": keys[n]} if grant.get("key_hash") else {})
        for n in numbers
    )
    clone(engine, "prepaid_grant", grant, grants)
    [act] = rows(engine, "SELECT * FROM prepaid_audit WHERE action = 'grant'")
    clone(engine, "prepaid_audit", act, ({"target": customer_name(n)} for n in numbers))
    credits = (
        {
            "transaction_id": f"txn_c{n:025d}",
            "credit_id": ids[customer_name(n)],
            "wallet_id": ids[customer_name(n)],
            "grant_id": _grant_id(n),
            "key_hash": keys[n],
        }
        for n in numbers
    )
    clone(engine, "prepaid_transfer", credited, credits)
    clone(engine, "prepaid_transfer", charged, _charges(history, ids, book=book, size=size, price=price))


def _charges(history: _History, ids: dict[str, int], *, book: int, size: int, price: int) -> Iterator[dict[str, Any]]:
    seqs, left = [1] * (history.customers + 1), [size] * (history.customers + 1)
    for charge in range(history.charges):
        number = history.customer_of(charge)
        name, at, cause = customer_name(number), history.at(charge), f"use-{charge}"
        seqs[number] += 1
        left[number] -= price
        yield {
            "transaction_id": f"txn_d{charge:025d}",
            "debit_id": ids[name],
            "wallet_id": ids[name],
            "wallet_seq": seqs[number],
            "wallet_after": left[number],
            "grant_id": _grant_id(number),
            "cause_id": cause,
            "key_hash": key_hash(book, "charge", name, cause),
            "effective_at": at,
            "posted_at": at,
        }


def _grant_id(number: int) -> str:
    return f"grt_{number:026d}"


def _wallet_ids(engine: Engine) -> dict[str, int]:
    return {row["owner"]: row["id"] for row in rows(engine, "SELECT id, owner FROM prepaid_account")}


def fill_meters(url: str, *, resources: int, customers: int, clock: Clock) -> None:
    """Let resources run from now on, in equal shares, for customers that `fill` made."""
    billing = open_billing(url, clock=clock)
    billing.meters.start(MODEL, resource=MODEL, kind="instance", rate=Rate.hourly(PRICE, CURRENCY))
    billing.close()
    engine = create_engine(url)
    for table, columns in _METER_ROWS.items():
        [model] = rows(engine, f"SELECT * FROM {table}")  # noqa: S608 - a table of ours
        clone(engine, table, model, _meters(columns, range(1, resources + 1), customers))
    _tidy(engine)
    engine.dispose()


_METER_ROWS: Final[dict[str, dict[str, Callable[[int, int], str]]]] = {
    "prepaid_meter": {
        "id": lambda resource, _: f"mtr_{resource:026d}",
        "resource": lambda resource, _: f"vm-{resource}",
        "running": lambda resource, _: f"vm-{resource}",
        "customer": lambda _, customer: customer_name(customer),
    },
    "prepaid_meter_segment": {"meter_id": lambda resource, _: f"mtr_{resource:026d}"},
}
"""What tells the meters apart: by table and column, the value for a resource and its customer."""


def _meters(
    columns: dict[str, Callable[[int, int], str]], resources: Iterable[int], customers: int
) -> Iterator[dict[str, str]]:
    for resource in resources:
        customer = 1 + resource % customers
        yield {name: value(resource, customer) for name, value in columns.items()}


def _tidy(engine: Engine) -> None:
    """Let the engine learn what it holds, as it would have by itself over the days."""
    statement = {"postgresql": "VACUUM (ANALYZE)", "sqlite": "PRAGMA wal_checkpoint(TRUNCATE)"}
    if engine.dialect.name in statement:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement[engine.dialect.name])
