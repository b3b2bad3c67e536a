"""Tax rules imported by an operator: compared, shown, applied whole or not at all."""

from __future__ import annotations

import threading
from datetime import date

import pytest

from prepaid import InvalidRequest, NotAllowed, NotFound, RuleDiff, TaxRule, permissions
from prepaid.store import tax_rules
from tests.use_cases.steps import SQLITE, add_rule, counts, eur, live_in, operator

pytestmark = SQLITE

READER = [permissions.TAX_READ]
ROWS = """\
country,components,valid_from,valid_to,source
FR,TVA 20,2014-01-01,2027-01-01,CGI art. 278
FR,TVA 21,2027-01-01,,
DE,MwSt 19,2021-01-01,,UStG § 12
"""


def shown(billing):
    return [(r.country, str(r.components[0].percent), r.valid_from, r.valid_to) for r in operator(billing).tax.list()]


def test_comparing_writes_nothing_and_needs_only_reading(billing):
    add_rule(billing, "FR", since=date(2014, 1, 1))
    before = counts(billing)
    tax = operator(billing, granted=READER).tax

    diff = tax.from_csv("country,components,valid_from\nFR,TVA 21,2027-01-01\n")
    rates = tax.from_vat_rates(date(2026, 11, 1), ["DE"])
    tax.to_csv()

    assert diff.lines() == ("~ FR TVA 20 % ends 2027-01-01", "+ FR TVA 21 % from 2027-01-01", "= 0 unchanged")
    assert [(r.country, str(r.components[0].percent)) for r in rates.added] == [("DE", "19")]
    assert counts(billing) == before


def test_what_was_shown_is_done_in_one_transaction_and_audited(billing, ada):
    add_rule(billing, "FR", since=date(2014, 1, 1))
    diff = operator(billing).tax.from_csv(
        "country,components,valid_from\nFR,TVA 21,2026-01-01\nDE,MwSt 19,2021-01-01\n"
    )

    fresh = operator(billing).tax.apply(diff, reason="budget of 2026")

    assert shown(billing) == [
        ("DE", "19", date(2021, 1, 1), None),
        ("FR", "20", date(2014, 1, 1), date(2026, 1, 1)),
        ("FR", "21", date(2026, 1, 1), None),
    ]
    assert set(fresh) == set(operator(billing).tax.list())
    entries = [entry for entry in operator(billing).audit.list().items if entry.reason == "budget of 2026"]
    assert sorted(entry.action for entry in entries) == ["tax-rule-add"] * 3 + ["tax-rule-retire"]
    assert {entry.actor for entry in entries} == {"alice@nimbus.example"}
    live_in(billing, "FR")
    assert ada.topups.quote(eur("10.00")).tax.total == eur("2.10")


def test_after_an_import_nothing_is_left_to_do(billing):
    tax = operator(billing).tax
    tax.apply(tax.from_csv(ROWS), reason="first")
    before = counts(billing)

    again = tax.from_csv(ROWS)

    assert again.is_empty
    assert len(again.unchanged) == 3
    assert tax.apply(again, reason="again") == ()
    assert counts(billing) == before


def test_an_export_is_imported_elsewhere_as_it_was(billing, open_billing):
    tax = operator(billing).tax
    tax.apply(tax.from_vat_rates(date(2026, 11, 1)), reason="rates")
    other = operator(open_billing(book="other")).tax

    other.apply(other.from_csv(tax.to_csv()), reason="copied")

    assert other.to_csv() == tax.to_csv()
    assert len(other.list()) == 27


def test_a_diff_that_is_out_of_date_changes_nothing(billing):
    known = add_rule(billing, "FR", since=date(2014, 1, 1))
    tax = operator(billing).tax
    diff = tax.from_csv("country,components,valid_from\nFR,TVA 21,2027-01-01\nIT,IVA 22,2013-10-01\n")
    tax.retire(known.id)
    before = counts(billing)

    with pytest.raises(NotFound) as refused:
        tax.apply(diff, reason="late")

    assert refused.value.field == "diff"
    assert counts(billing) == before


def test_a_diff_is_not_applied_when_a_rule_it_leaves_as_it_is_went_away(billing):
    known = add_rule(billing, "DE", since=date(2014, 1, 1), components=(("MwSt", "19"),))
    tax = operator(billing).tax
    diff = tax.from_csv("country,components,valid_from\nFR,TVA 20,2014-01-01\nDE,MwSt 19,2020-01-01\n")
    assert (len(diff.added), len(diff.unchanged)) == (1, 1)
    tax.retire(known.id)

    with pytest.raises(NotFound) as refused:
        tax.apply(diff, reason="late")

    assert refused.value.field == "diff"
    assert tax.list() == ()


RULE = TaxRule("FR", (("TVA", "20"),), valid_from=date(2014, 1, 1))
NO_DIFFS = [
    RuleDiff(added=(1,)),
    RuleDiff(added=5),
    RuleDiff(unchanged=("x",)),
    RuleDiff(ended=(1,)),
    RuleDiff(ended=((RULE, "2027-01-01"),)),
    RuleDiff(ended=((5, date(2027, 1, 1)),)),
    RuleDiff(replaced=(1,)),
    RuleDiff(replaced=((RULE,),)),
    RuleDiff(replaced=((RULE, RULE, RULE),)),
    RuleDiff(replaced=((RULE, 1),)),
]


@pytest.mark.parametrize("diff", [None, 5, "diff", *NO_DIFFS])
def test_what_is_no_diff_is_refused(billing, diff):
    with pytest.raises(InvalidRequest) as refused:
        operator(billing).tax.apply(diff, reason="because")

    assert refused.value.field == "diff"


def test_a_hole_elsewhere_blocks_no_import(billing):
    tax = operator(billing).tax
    rows = "country,components,valid_from,valid_to\nEE,km 20,2009-07-01,2024-01-01\nEE,km 22,2024-01-01,2025-07-01\n"
    rows += "EE,km 24,2025-07-01,\n"
    tax.apply(tax.from_csv(rows), reason="Estonia")
    tax.retire(tax.list()[1].id)

    tax.apply(tax.from_csv("country,components,valid_from\nFR,TVA 20,2014-01-01\n"), reason="France")

    assert [rule.country for rule in tax.list()] == ["EE", "EE", "FR"]
    assert tax.from_csv(tax.to_csv()).is_empty


def test_a_diff_shows_all_that_is_replaced(billing):
    tax = operator(billing).tax
    tax.apply(tax.from_csv("country,components,valid_from\nCA,GST 5; QST 9.975 on GST,2014-01-01\n"), reason="old")

    lines = tax.from_csv("country,components,category,valid_from\nCA,GST 5 of 80; QST 9.975,L,2014-01-01\n").lines()

    assert lines[0] == (
        "! CA GST 5 % and QST 9.975 % on GST from 2014-01-01 is replaced by GST 5 % of 80 % and QST 9.975 %"
        " from 2014-01-01, category 'S' by 'L'"
    )


def test_a_diff_that_only_adds_is_applied_once(billing):
    tax = operator(billing).tax
    diff = tax.from_csv("country,components,valid_from\nFR,TVA 20,2014-01-01\n")
    tax.apply(diff, reason="first")
    before = counts(billing)

    with pytest.raises(NotFound) as refused:
        tax.apply(diff, reason="second")

    assert refused.value.field == "diff"
    assert counts(billing) == before


def test_a_diff_that_says_all_is_in_force_already_is_not_applied_when_it_no_longer_is(billing):
    known = add_rule(billing, "FR", since=date(2014, 1, 1))
    tax = operator(billing).tax
    diff = tax.from_csv(tax.to_csv())
    assert diff.is_empty
    assert tax.apply(diff, reason="nothing to do") == ()
    tax.retire(known.id)

    with pytest.raises(NotFound) as refused:
        tax.apply(diff, reason="late")

    assert refused.value.field == "diff"


def test_a_rule_that_goes_away_while_a_diff_is_applied_is_noticed(billing, clock, monkeypatch):
    known = add_rule(billing, "DE", since=date(2014, 1, 1), components=(("MwSt", "19"),))
    tax = operator(billing).tax
    diff = tax.from_csv("country,components,valid_from\nFR,TVA 20,2014-01-01\nDE,MwSt 19,2020-01-01\n")
    lock = tax_rules.lock
    retired = []

    def retire_first(tx):
        if not retired:
            retired.append(tax_rules.retire(tx, known.id, clock.now()))
        lock(tx)

    monkeypatch.setattr(tax_rules, "lock", retire_first)

    with pytest.raises(NotFound) as refused:
        tax.apply(diff, reason="raced")

    assert (refused.value.field, retired) == ("diff", [True])


@pytest.mark.parametrize("ends_one", [True, False])
def test_two_operators_who_apply_the_same_diff_at_once_do_it_once(billing, ends_one):
    if ends_one:
        add_rule(billing, "FR", since=date(2014, 1, 1))
    diff = operator(billing).tax.from_csv(
        "country,components,valid_from\nFR,TVA 21,2027-01-01\nDE,MwSt 19,2021-01-01\n"
    )
    together, outcomes = threading.Barrier(4), []

    def apply(name):
        together.wait(timeout=30)
        try:
            outcomes.append(len(operator(billing, actor=name).tax.apply(diff, reason="race")))
        except (NotFound, InvalidRequest) as refused:
            outcomes.append(type(refused).__name__)

    threads = [threading.Thread(target=apply, args=(f"operator-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    # Whoever comes later finds the rules changed: when they are compared again, or when they are written.
    done_once, *refused = sorted(map(str, outcomes))
    assert done_once == ("3" if ends_one else "2")
    assert len(refused) == 3
    assert set(refused) <= {"NotFound", "InvalidRequest"}
    assert len(operator(billing).tax.list()) == (3 if ends_one else 2)
    done = [entry for entry in operator(billing).audit.list().items if entry.reason == "race"]
    assert len({entry.actor for entry in done}) == 1


def test_each_door_asks_for_its_permission(billing):
    tax = operator(billing, granted=[permissions.AUDIT_READ]).tax
    for act in (lambda: tax.from_csv(ROWS), lambda: tax.from_vat_rates(date(2026, 11, 1)), tax.to_csv):
        with pytest.raises(NotAllowed):
            act()
    with pytest.raises(NotAllowed):
        operator(billing, granted=READER).tax.apply(RuleDiff(), reason="may not")


@pytest.mark.parametrize(
    ("diff", "reason", "field"),
    [("+ FR", "why", "diff"), (RuleDiff(), "", "reason"), (RuleDiff(), "x" * 501, "reason")],
)
def test_what_is_no_diff_or_has_no_reason_is_refused(billing, diff, reason, field):
    with pytest.raises(InvalidRequest) as refused:
        operator(billing).tax.apply(diff, reason=reason)

    assert refused.value.field == field


def test_rules_that_contradict_each_other_are_refused_before_anything(billing):
    before = counts(billing)

    with pytest.raises(InvalidRequest) as refused:
        operator(billing).tax.from_csv(ROWS.replace("2014-01-01,2027-01-01", "2014-01-01,2027-01-02"))

    assert refused.value.field == "valid_from"
    assert counts(billing) == before
