"""What the benchmarks say is what they measured: rounds, medians, verdicts, gaps, and books that are sound."""

from __future__ import annotations

import doctest
from collections import Counter
from contextlib import closing
from datetime import timedelta
from itertools import chain

import pytest

from benchmarks import __main__ as program
from benchmarks import figures, results, rounds
from benchmarks.books import customer_name, fill, fill_meters, open_billing
from benchmarks.engines import NotAvailable
from benchmarks.figures import TARGETS, Figure, Target
from benchmarks.results import SectionResult, keep, render, row
from benchmarks.rounds import Spread, in_turn, ratio
from benchmarks.sections import SECTIONS, Section
from prepaid.system import SystemClock
from prepaid.testing.clock import MovableClock


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


def test_what_was_not_measured_is_missing_and_never_held():
    written = render([section()])
    label = TARGETS["mariadb-meters"].label

    assert f"| {label} |  |  |  | ≤ 12 s | ≤ 6 s | **missing** |  |" in written
    assert f"- {label}: not run." in written
    wanted = sum(target.at_least is not None for target in TARGETS.values())
    said = f"Of {wanted} figures 1 hold what they must, 0 of them the aim as well; 0 do not, {wanted - 1} are missing."
    assert said in written


def test_the_tally_counts_every_figure_that_has_to_hold_once():
    found = (figure(), figure("sqlite-single", judged=0.1), figure("import", judged=0.1, unit="s"))
    wanted = sum(target.at_least is not None for target in TARGETS.values())

    said = f"Of {wanted} figures 2 hold what they must, 1 of them the aim as well; 1 do not, {wanted - 3} are missing."
    assert said in render([section(found=found)])


def test_each_figure_is_owed_by_one_section():
    owed = Counter(chain.from_iterable(section.owes for section in SECTIONS.values()))

    assert owed == Counter(TARGETS.keys())


@pytest.fixture
def one_section(monkeypatch, tmp_path):
    """Let the program have a single section and keep its results elsewhere: set it, run it, read what it kept."""

    def install(run):
        monkeypatch.setattr(program, "SECTIONS", {"only": Section(run, ("pg-single", "import"))})

    def main(*arguments):
        return program.main(arguments, folder=tmp_path)

    return install, main, tmp_path / "RESULTS.md"


def test_a_section_that_fails_takes_its_former_figures_with_it(one_section, capsys):
    install, main, written = one_section
    install(lambda stage: [figure()])
    assert main("--section", "only") == 0
    assert "0.60 (0.50–0.70)" in written.read_text(encoding="utf-8")

    def fail(stage):
        raise RuntimeError("out of order")

    install(fail)

    assert main("--section", "only") == 1
    assert "0.60 (0.50–0.70)" not in written.read_text(encoding="utf-8")
    assert f"- {TARGETS['pg-single'].label}: failed: RuntimeError." in written.read_text(encoding="utf-8")
    assert "out of order" in capsys.readouterr().err


def test_a_section_says_what_it_left_out_and_why(one_section, capsys):
    def run(stage):
        stage.leave_out("import", "nobody imports it")
        return [figure()]

    install, main, written = one_section
    install(run)

    assert main() == 0
    assert f"- {TARGETS['import'].label}: nobody imports it." in written.read_text(encoding="utf-8")
    assert "import: missing: nobody imports it" in capsys.readouterr().out


def test_what_a_version_does_not_have_is_missing_and_no_failure(one_section):
    def run(stage):
        raise NotAvailable("there is no such method")

    install, main, written = one_section
    install(run)

    assert main() == 0
    assert written.read_text(encoding="utf-8").count("there is no such method") == 2


def test_a_quick_run_judges_nothing_and_keeps_nothing(one_section, capsys):
    install, main, written = one_section
    install(lambda stage: [figure(judged=0.9)])

    assert main("--quick") == 0
    assert not written.exists()
    said = capsys.readouterr()
    assert "0.90 (0.50–0.70)" in said.out
    assert ", aim," not in said.out.replace("(aim", "")


def test_progress_and_figures_do_not_mix(one_section, capsys):
    def run(stage):
        stage.tell("half way")
        return [figure()]

    install, main, _ = one_section
    install(run)
    main("--quick")

    said = capsys.readouterr()
    assert "half way" in said.err
    assert "half way" not in said.out
    assert TARGETS["pg-single"].label in said.out


def test_a_filled_book_is_as_sound_as_one_that_the_library_wrote(tmp_path):
    url, clock = f"sqlite:///{tmp_path / 'book.db'}", MovableClock(SystemClock().now())
    fill(url, customers=20, charges=300)
    fill_meters(url, resources=30, customers=20, clock=clock)

    with closing(open_billing(url, clock=clock)) as billing:
        before = billing.check()
        clock.advance(hours=1)
        run = billing.meters.bill(until=clock.now() + timedelta(minutes=1))
        history = billing.customer(customer_name(1)).transactions(kind="charge").items
        after = billing.check()

    assert (before.findings, after.findings) == ((), ())
    assert run.charges == 30 + 1
    assert len(history) == 3 + 1
    assert after.counted != before.counted


def test_what_is_measured_is_named(tmp_path, capsys):
    assert program.main(["--quick", "--section", "sqlite-single", "invoices"], folder=tmp_path) == 0

    said = capsys.readouterr().out
    assert TARGETS["sqlite-single"].label in said
    assert TARGETS["invoices"].label in said
