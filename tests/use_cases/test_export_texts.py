"""A24: whatever texts customers and operators make, they are texts in every column of every export."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from prepaid import Address, Bonus, Percent, Promotion, TaxProfile, TaxRule
from prepaid.reporting.exports import COLUMNS
from prepaid.reporting.exports.as_csv import harmless
from tests.use_cases.export_steps import exported, load, read_csv, read_jsonl, sheets
from tests.use_cases.steps import BACK, BILLING, SQLITE, checkout_of, eur, operator, seller

pytestmark = SQLITE

EVIL = ("=1+1", "+1", "-1+2", "@SUM(A1)", "＝1+1", '="a"&"b",;\'x', "🎉=1", "א=1", "\u3000-5")


def trade(billing, simulated, evil, number):
    """Let texts of a kind into every column that anybody outside can fill."""
    customer = evil.strip() + f" {number}"
    billing.customers.register(customer, name=evil, currency="EUR")
    door, ops = billing.customer(customer), operator(billing, actor=evil.strip())
    door.tax_profile.set(
        TaxProfile(kind="business", company=evil, tax_id="=FR1", address=Address(line1=evil, city=evil, country="FR"))
    )
    topup = door.topups.start(
        door.topups.quote(eur("50"), code="-A1"), return_url=BACK, cancel_url=BILLING, key=customer
    )
    simulated.pay(checkout_of(topup))
    door.topups.confirm(topup.id)
    ops.customers.grant(customer, eur("3"), kind="external", system=evil, reason=evil, key=customer)
    taken = billing.usage.charge(
        customer, eur("2"), key=customer, description=evil, resource=customer, kind=customer, project=evil
    )
    billing.usage.reverse(taken.transaction_id, eur("1"), key=customer, reason=evil)


@pytest.fixture
def sold(open_billing, simulated):
    billing = open_billing(seller=seller(name="=Nimbus"))
    operator(billing).tax.add(TaxRule(country="FR", components=(("=TVA", "20"),), valid_from=date(2014, 1, 1)))
    operator(billing).promotions.create(Promotion("-A1", Bonus(Percent("10"))))
    for number, evil in enumerate(EVIL):
        trade(billing, simulated, evil, number)
    return billing


def kinds(name):
    return {column.name: column.kind for column in COLUMNS[name]}


@pytest.mark.parametrize("name", COLUMNS)
def test_a24_no_text_is_a_formula_in_any_column_of_any_export(sold, name):
    exact = read_jsonl(exported(sold, name, "jsonl"))
    assert exact

    for row, line in zip(read_csv(exported(sold, name)), exact, strict=True):
        for column, kind in kinds(name).items():
            assert row[column] == (harmless(line[column] or "") if kind == "text" else str(line[column] or ""))
            if kind in ("amount", "number"):
                Decimal(row[column] or 0)
            else:
                assert not row[column].lstrip().startswith(tuple("=+-@＝＋－＠"))
    [header, *lines] = sheets(exported(sold, name, "xlsx"))[0]
    for cells, line in zip(lines, exact, strict=True):
        for head, cell in zip(header, cells, strict=True):
            assert (
                cell.data_type
                in {"text": "sn", "instant": "sn", "day": "d", "amount": "n", "number": "n"}[kinds(name)[head.value]]
            )
            assert cell.data_type != "n" or kinds(name)[head.value] in ("amount", "number") or cell.value is None
            if kinds(name)[head.value] == "text":
                assert (cell.value or "") == (line[head.value] or "")


EXPECTED = {
    "transactions": {"customer", "description", "resource", "resource_kind", "project", "cause", "actor"},
    "invoices": {"customer", "buyer", "tax_ids"},
    "tax": {"tax"},
    "journal": {"description", "customer"},
    "revenue": set(),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_the_texts_have_come_as_far_as_every_column_that_takes_any(sold, name):
    found = read_csv(exported(sold, name))

    reached = {column for row in found for column in row if row[column].startswith("'")}
    assert reached == EXPECTED[name]


def test_beancount_reads_the_texts_as_they_are(sold):
    exact = read_jsonl(exported(sold, "journal", "jsonl"))
    entries = [entry for entry in load(exported(sold, "journal", "beancount")) if hasattr(entry, "postings")]

    assert {entry.meta.get("customer") for entry in entries} == {row["customer"] for row in exact if row["customer"]}
    assert {entry.narration for entry in entries} == {row["description"] or row["kind"] for row in exact}


def test_an_account_of_every_system_is_its_own(sold):
    names = {
        row["debit_account"]
        for row in read_csv(exported(sold, "journal"))
        if row["debit"].startswith("'") or "external" in row["debit"]
    }

    assert len(names) == len(EVIL)
