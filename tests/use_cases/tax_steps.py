"""Steps of stories about tax: a seller in Berlin, customers abroad with VAT numbers, and registers that fail."""

from __future__ import annotations

import threading
import time
from datetime import date
from itertools import islice

from prepaid import Address, TaxProfile, TaxRule
from prepaid.core.tax_ids import RegisterAnswer
from prepaid.tax.vat_ids import read_tax_id
from prepaid.testing.registers import ScriptedRegister
from prepaid.testing.simulators.vies import TEST_NUMBERS, ViesSimulator
from tests.use_cases.steps import ADA, checkout_of, eur, operator, start

FRENCH = "FR40303265045"
OTHER_FRENCH = "FR23334175221"
SPANISH_PERSON = "ES54362315K"
WRONG_DIGIT = "FR40303265046"
SINCE = date(2014, 1, 1)

RATES = {"FR": ("TVA", "20"), "ES": ("IVA", "21"), "DE": ("USt", "19")}


class Table(ViesSimulator):
    """VIES whose answers on real numbers are those of its test service, by its words."""

    def __init__(self):
        super().__init__()
        self.words = {}

    def _validity(self, prefix, number):
        word = self.words.get(prefix + number)
        tested = next((test for test, answer in TEST_NUMBERS.items() if answer == word), number)
        return super()._validity(prefix, tested)


class Scripted(ScriptedRegister):
    """A scripted register that may also be down for a country, or wait until it is let go."""

    def __init__(self, valid=(FRENCH,), **options):
        super().__init__(valid, **options)
        self.down_for, self.gate, self.entered = set(), threading.Event(), threading.Event()
        self.gate.set()

    def check(self, tax_id, *, requester):
        self.entered.set()
        assert self.gate.wait(20)
        if tax_id.country in self.down_for:
            self.asked.append(tax_id.number)
            return RegisterAnswer(state="unavailable", reason="MS_UNAVAILABLE", of_country=True)
        return super().check(tax_id, requester=requester)

    def hold(self):
        """Keep who asks from now on waiting."""
        self.gate.clear()
        self.entered.clear()


class Answering(Scripted):
    """A register that gives whatever it is told to, or raises it."""

    def __init__(self, given, **options):
        super().__init__(**options)
        self.given = given

    def check(self, tax_id, *, requester):
        self.asked.append(tax_id.number)
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


def sell_in_europe(billing):
    """Keep rules of three countries: tax for everybody, reverse charge for foreign businesses with a valid number."""
    reverse = {"customer": "business", "tax_id": "valid", "seller": "other_country", "treatment": "reverse_charge"}
    for country, rate in RATES.items():
        operator(billing).tax.add(TaxRule(country, (rate,), valid_from=SINCE))
        operator(billing).tax.add(TaxRule(country, valid_from=SINCE, **reverse))


def business(number=FRENCH, country="FR", **changes):
    values = {"kind": "business", "company": "Lune SARL", "address": Address(country=country), "tax_id": number}
    return TaxProfile(**{**values, **changes})


def consumer(country="FR", **changes):
    return TaxProfile(address=Address(country=country), **changes)


def numbers_of(country, count):
    """Give numbers of the right form."""
    form = {"DE": "DE1{:08}", "FI": "FI{:08}", "AT": "ATU{:08}"}[country]
    candidates = (form.format(number) for number in range(11_111_111, 99_999_999))
    return list(islice((typed for typed in candidates if read_tax_id(typed, country=country).tax_id), count))


def be(billing, profile, customer=ADA):
    """Set a profile and say what is known of its tax id then."""
    door = billing.customer(customer).tax_profile
    door.set(profile)
    return door.status().state


def state(billing, customer=ADA):
    return billing.customer(customer).tax_profile.status().state


def quoted(billing, customer=ADA):
    """Give the tax of a quote over ten euros."""
    return billing.customer(customer).topups.quote(eur("10")).tax


def run_checks(billing):
    """Let the job ask registers, and count what it dealt with."""
    [run] = billing.run_due("tax-ids")
    assert run.status == "done"
    return run.count


def pay(billing, gateway, topup):
    """Pay what was started and give it with its invoice."""
    gateway.pay(checkout_of(topup))
    door = billing.customer(topup.customer)
    credited = door.topups.confirm(topup.id)
    assert credited.state == "credited"
    return credited, door.invoices.get(credited.invoice_number)


def buy(billing, gateway, amount="10.00", customer=ADA):
    return pay(billing, gateway, start(billing, amount, customer=customer))


def corrections(billing, wanted="offered", **options):
    return operator(billing).tax.corrections(state=wanted, **options).items


def eventually(is_so, within_s=10):
    """Wait for what another thread does."""
    ends_at = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < ends_at, "it did not happen in time"
        time.sleep(0.01)


def at_once(*calls):
    """Run calls in threads that begin together, and give what each gave or raised."""
    ready, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(place, call):
        ready.wait(10)
        try:
            results[place] = call()
        except Exception as problem:
            results[place] = problem

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results
