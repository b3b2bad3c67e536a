"""The parts of the benchmarks that decide what is said: rounds, medians, verdicts, and what a run keeps of others."""

from __future__ import annotations

import doctest

import pytest

from benchmarks import figures, results, rounds
from benchmarks.figures import TARGETS, Figure, Target
from benchmarks.results import SectionResult, keep, render, row
from benchmarks.rounds import Spread, in_turn, ratio


def figure(name="pg-single", judged=0.6, **changes):
    values = {"ours": 600.0, "other": 1000.0, "unit": "/s", "judged": Spread(judged, 0.5, 0.7), "rounds": 3}
    return Figure(**{"name": name, **values, **changes})


def section(name="pg-single", *, date="2026-11-23", conditions=("a machine",), found=None):
    found = (figure(),) if found is None else found
    return SectionResult(section=name, date=date, conditions=conditions, figures=found)


@pytest.mark.parametrize("module", [rounds, results])
def test_the_examples_hold(module):
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0


def test_sides_take_turns_in_changing_order_and_the_warm_up_does_not_count():
    ran = []

    def side(name):
        return lambda: ran.append(name) or float(len(ran))

    found = in_turn({"one": side("one"), "two": side("two")}, rounds=3)

    assert ran == ["one", "two", "one", "two", "two", "one", "one", "two"]
    assert found == {"one": [3.0, 6.0, 7.0], "two": [4.0, 5.0, 8.0]}


def test_one_round_counts_even_when_there_is_no_time_for_it():
    assert in_turn({"slow": lambda: 1.0}, rounds=5, warm_up=0, budget_s=0) == {"slow": [1.0]}


def test_rounds_are_compared_each_by_itself():
    # The machine was four times slower in the second round, for both sides.
    assert ratio([50, 20, 60], [100, 25, 100]) == Spread(0.6, 0.5, 0.8)


@pytest.mark.parametrize(
    ("target", "judged", "verdict"),
    [
        (Target("", 0.5, 0.7), 0.7, "aim"),
        (Target("", 0.5, 0.7), 0.5, "yes"),
        (Target("", 0.5, 0.7), 0.49, "no"),
        (Target("", 8, 3, "s", less_is_more=True), 3, "aim"),
        (Target("", 8, 3, "s", less_is_more=True), 8, "yes"),
        (Target("", 8, 3, "s", less_is_more=True), 8.1, "no"),
        (Target(""), 1, ""),
    ],
)
def test_a_verdict_knows_which_way_is_better(target, judged, verdict):
    assert target.verdict(judged) == verdict


def test_every_aim_asks_for_more_than_what_must_be_held():
    for name, target in TARGETS.items():
        assert target.at_least is None or target.verdict(target.aim) == "aim", name
        assert target.at_least is None or target.verdict(target.at_least) == "yes", name


def test_a_row_says_what_was_measured_and_a_missed_target_stands_out():
    label = TARGETS["pg-single"].label

    assert row(figure(), "1") == (label, "600/s", "1,000/s", "0.60 (0.50–0.70)", "≥ 0.5", "≥ 0.7", "yes", "1")
    assert row(figure(judged=0.4))[6] == "**no**"


def test_a_time_is_judged_by_itself():
    took = figure("pg-check", judged=12.5, ours=12.5, other=None, unit="s")

    assert row(took)[1:7] == ("12.5 s", "", "", "≤ 60 s", "≤ 10 s", "yes")


def test_a_figure_that_is_not_in_the_table_is_refused():
    with pytest.raises(ValueError, match="no figure"):
        figure("pg-sinlge")


def test_a_run_of_one_section_leaves_the_others_alone(tmp_path):
    keep(section(), tmp_path)
    keep(section("import", found=(figure("import", judged=0.2, ours=0.2, other=None, unit="s"),)), tmp_path)
    keep(section(date="2026-12-01", found=(figure(judged=0.9),)), tmp_path)

    written = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert "| import prepaid | 0.200 s |" in written
    assert "0.90 (0.50–0.70)" in written
    assert "0.60 (0.50–0.70)" not in written
    assert "1. 2026-11-23: a machine." in written
    assert "2. 2026-12-01: a machine." in written


def test_what_is_kept_is_read_back_whole():
    result = section()

    assert SectionResult.from_record("pg-single", result.as_record()) == result


def test_a_kept_figure_that_the_table_forgot_is_left_out():
    record = section().as_record()
    record["figures"][0]["name"] = "long-gone"

    assert SectionResult.from_record("pg-single", record).figures == ()


def test_sections_of_one_run_share_its_line():
    written = render([section(), section("import", found=())])

    assert written.count("a machine") == 1


def test_figures_stand_in_the_order_of_the_table():
    names = [name for name in TARGETS if name in ("import", "pg-single", "sqlite-single")]
    found = tuple(figure(name) for name in reversed(names))

    written = render([section(found=found)])

    places = [written.index(figures.TARGETS[name].label) for name in names]
    assert places == sorted(places)
