"""django-hordak, doing what a panel that uses it would do for a charge.

Runs in an environment of its own: neither this library nor anything of this
folder is there. Told what to do by a line of JSON, answers with seconds.

A single charge locks the account, sums its balance, refuses if it is too low
and transfers. A batch makes transactions and legs by `bulk_create` and guards
nothing.

Usage: python hordak_side.py HOST PORT USER DATABASE ACCOUNTS CHARGES_OF_EACH

Sources: django-hordak documentation, `Account.transfer_to`, `Account.get_balance`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from decimal import Decimal

PRICE = "0.01"
CREDIT = "1000000"


def set_up(place: list[str]) -> None:
    """Configure Django on one database and make hordak's tables in it."""
    import django
    from django.conf import settings

    where = dict(zip(("HOST", "PORT", "USER", "NAME"), place, strict=True))
    connection = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": None, **where}
    settings.configure(
        DATABASES={"default": connection},
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "mptt", "hordak"],
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DEFAULT_CURRENCY="EUR",
        CURRENCIES=["EUR"],
        HORDAK_CURRENCIES=["EUR"],
        HORDAK_INTERNAL_CURRENCY="EUR",
        HORDAK_DECIMAL_PLACES=6,
        HORDAK_MAX_DIGITS=18,
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


class Panel:
    """Accounts with money in them, and one for revenue."""

    def __init__(self, accounts: int) -> None:
        """Make the accounts."""
        from django.db import transaction
        from hordak.models import Account, AccountType
        from moneyed import Money

        self._random = random.Random(0)  # noqa: S311 - a draw, not a secret
        self._price = Money(Decimal(PRICE), "EUR")
        self._revenue = Account.objects.create(name="revenue", code="1", type=AccountType.income, currencies=["EUR"])
        bank = Account.objects.create(name="bank", code="2", type=AccountType.asset, currencies=["EUR"])
        self._accounts = []
        with transaction.atomic():
            for number in range(accounts):
                account = Account.objects.create(
                    name=str(number), code=str(100_000 + number), type=AccountType.liability, currencies=["EUR"]
                )
                account.transfer_to(bank, Money(Decimal(CREDIT), "EUR"))  # both rise
                self._accounts.append(account.pk)

    def single(self, count: int) -> None:
        """Charge one by one, guarded."""
        for pk in self._random.choices(self._accounts, k=count):
            self._charge(pk)

    def _charge(self, pk: int) -> None:
        from django.db import transaction
        from hordak.models import Account

        with transaction.atomic():
            account = Account.objects.select_for_update().get(pk=pk)
            if account.get_balance()["EUR"].amount < self._price.amount:
                raise RuntimeError("refused")
            self._revenue.transfer_to(account, self._price)  # credits revenue, debits the account

    def batch(self, count: int) -> None:
        """Charge each account once, in one transaction."""
        from django.db import transaction
        from hordak.models import Leg, Transaction

        with transaction.atomic():
            made = Transaction.objects.bulk_create([Transaction(description="1 h") for _ in range(count)])
            legs = []
            for place, one in enumerate(made):
                account = self._accounts[place % len(self._accounts)]
                legs.append(Leg(transaction=one, account_id=account, debit=self._price))
                legs.append(Leg(transaction=one, account=self._revenue, credit=self._price))
            Leg.objects.bulk_create(legs)


def main(*arguments: str) -> None:
    """Do what each line says."""
    *place, accounts, history = arguments
    set_up(place)
    panel = Panel(int(accounts))
    for _ in range(int(history)):
        panel.batch(int(accounts))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        what, count = json.loads(line)
        began = time.perf_counter()
        getattr(panel, what)(count)
        print(json.dumps(time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
