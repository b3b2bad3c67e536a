"""The kit itself: every rule is broken by a gateway that was made to, by that rule alone, and says what to fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from prepaid.testing.contract import RULES, RuleBroken, check_contract
from tests.gateways.planted_gateways import HONEST_RETURNS, PLANTED

ROOT = Path(__file__).parents[2]


def test_rules_are_numbered_without_a_gap_and_each_says_what_holds():
    assert sorted(RULES) == [f"G{number:02}" for number in range(1, len(RULES) + 1)]
    assert [text for text in RULES.values() if not re.fullmatch(r"[A-Z].{20,}\.", text)] == []
    assert len(set(RULES.values())) == len(RULES)


def test_every_rule_has_a_gateway_that_breaks_it():
    assert set(PLANTED) == set(RULES)


@pytest.mark.parametrize("number", sorted(RULES))
def test_a_planted_defect_breaks_its_rule_and_is_told_what_to_fix(number):
    report = check_contract(PLANTED[number], only=(number,))
    [broken] = report.broken.values()
    assert isinstance(broken, RuleBroken)
    assert broken.number == number
    assert str(broken) == f"{number} is broken: {RULES[number]}\nTo fix: {broken.fix}"
    assert len(broken.fix) > 20
    assert "escaped" not in broken.fix or number == "G56"


def others_broken_by(number, others):
    return {other: str(broken) for other, broken in check_contract(PLANTED[number], only=others).broken.items()}


@pytest.mark.parametrize("number", sorted(RULES))
def test_a_planted_defect_breaks_no_neighbouring_rule(number):
    place = int(number[1:])
    others = {f"G{1 + other % len(RULES):02}" for other in (place, place * 7)}
    assert others_broken_by(number, others - {number, "G58"}) == {}


def test_a_gateway_that_verifies_signed_returns_keeps_both_rules_of_returns():
    report = check_contract(HONEST_RETURNS, only=("G51", "G52"))
    assert report.kept == ("G51", "G52")
    assert str(report) == "2 rules kept, 0 broken, 0 skipped"


@pytest.mark.full
@pytest.mark.parametrize("number", sorted(RULES))
def test_a_planted_defect_breaks_no_other_rule(number):
    assert others_broken_by(number, sorted(set(RULES) - {number})) == {}


def test_the_reference_page_lists_the_rules_with_their_words():
    page = (ROOT / "docs/reference/gateway-contract.md").read_text()
    assert dict(re.findall(r"^\| (G\d\d) \| (.*) \|$", page, re.MULTILINE)) == RULES
    assert re.findall(r"^\| (G\d\d) ", page, re.MULTILINE) == sorted(RULES)
