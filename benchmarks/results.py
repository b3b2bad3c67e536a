"""The last results of every section, in a JSON file, and the table for readers that is written from it.

A run of one section leaves what the others found where it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from .figures import TARGETS, Figure, Target

FOLDER: Final = Path(__file__).parent

_HEAD: Final = """# Results

Written by `python -m benchmarks` from `results.json`; see `README.md` for what is compared and how. A ratio is the
median over rounds, with the lowest and the highest in parentheses; *held* says whether a figure reaches what it must
(yes), the aim as well (aim), or neither (**no**). What was not measured is **missing**.
"""

_COLUMNS: Final = ("figure", "ours", "compared with", "ratio", "at least", "aim", "held", "run")


@frozen(kw_only=True)
class SectionResult:
    """What one section found the last time it ran.

    Attributes:
        section: Its name.
        date: The day.
        conditions: Machine, versions and durability, in words.
        figures: What it measured.
        missing: What it could not measure, by name, each with the reason.
    """

    section: str
    date: str
    conditions: tuple[str, ...]
    figures: tuple[Figure, ...]
    missing: Mapping[str, str] = field(factory=dict)

    def as_record(self) -> dict[str, Any]:
        """Give it as what JSON keeps."""
        figures = [figure.as_record() for figure in self.figures]
        return {
            "date": self.date,
            "conditions": list(self.conditions),
            "figures": figures,
            "missing": dict(self.missing),
        }

    @classmethod
    def from_record(cls, section: str, record: dict[str, Any]) -> SectionResult:
        """Read what `as_record` gave; a figure that the table no longer knows is left out."""
        figures = (Figure.from_record(figure) for figure in record["figures"] if figure["name"] in TARGETS)
        return cls(
            section=section,
            date=record["date"],
            conditions=tuple(record["conditions"]),
            figures=tuple(figures),
            missing=record["missing"],
        )


def keep(result: SectionResult, folder: Path = FOLDER) -> None:
    """Put a section's results in the place of its former ones, and write the table anew."""
    kept = {**_read(folder), result.section: result.as_record()}
    text = json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    results = [SectionResult.from_record(section, record) for section, record in kept.items()]
    (folder / "RESULTS.md").write_text(render(results), encoding="utf-8")


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def render(results: Iterable[SectionResult]) -> str:
    """Write the table: every target in its order, measured or missing, then what each run was made on."""
    results = sorted(results, key=lambda result: result.section)
    runs = _runs(results)
    found = {figure.name: (figure, str(runs[_run(result)])) for result in results for figure in result.figures}
    missing = {name: reason for result in results for name, reason in result.missing.items()}
    judged = {name: target for name, target in TARGETS.items() if name in found or target.at_least is not None}
    rows = [row(*found[name]) if name in found else _missing_row(target) for name, target in judged.items()]
    notes = {name: found[name][0].note if name in found else missing.get(name, "not run") for name in judged}
    lines = [_HEAD, _tally(figure for figure, _ in found.values()), "", *_table(_COLUMNS, rows), ""]
    lines += ["## Notes\n", *(f"- {TARGETS[name].label}: {note}." for name, note in notes.items() if note), ""]
    lines.append("## Runs\n")
    lines += [f"{number}. {date}: {'; '.join(conditions)}." for (date, conditions), number in runs.items()]
    return "\n".join(lines) + "\n"


def _tally(figures: Iterable[Figure]) -> str:
    """Count what holds, of all that has to hold."""
    count = Counter(figure.verdict for figure in figures)
    wanted = sum(target.at_least is not None for target in TARGETS.values())
    held = count["aim"] + count["yes"]
    rest = f"{count['no']} do not, {wanted - held - count['no']} are missing"
    return f"Of {wanted} figures {held} hold what they must, {count['aim']} of them the aim as well; {rest}."


def _run(result: SectionResult) -> tuple[str, tuple[str, ...]]:
    return result.date, result.conditions


def _runs(results: Iterable[SectionResult]) -> dict[tuple[str, tuple[str, ...]], int]:
    distinct = sorted({_run(result) for result in results})
    return {run: number for number, run in enumerate(distinct, start=1)}


def row(figure: Figure, run: str = "") -> tuple[str, ...]:
    """Give the cells of one figure."""
    target = figure.target
    other = "" if figure.other is None else amount(figure.other, figure.unit)
    ratio = "" if target.unit else _spread(figure)
    bounds = tuple(_bound(target, bound) for bound in (target.at_least, target.aim))
    verdict = "**no**" if figure.verdict == "no" else figure.verdict
    return (target.label, amount(figure.ours, figure.unit), other, ratio, *bounds, verdict, run)


def _missing_row(target: Target) -> tuple[str, ...]:
    return (
        target.label,
        "",
        "",
        "",
        *(_bound(target, bound) for bound in (target.at_least, target.aim)),
        "**missing**",
        "",
    )


def _spread(figure: Figure) -> str:
    judged = figure.judged
    return f"{judged.median:.2f} ({judged.low:.2f}–{judged.high:.2f})"


def _bound(target: Target, bound: float | None) -> str:
    if bound is None:
        return ""
    sign = "≤" if target.less_is_more else "≥"
    return f"{sign} {bound:g} {target.unit}".rstrip()


def amount(value: float, unit: str) -> str:
    """Write a figure with as many digits as it deserves.

    >>> amount(2929.4, "/s"), amount(0.4218, "ms"), amount(12.04, "s")
    ('2,929/s', '0.422 ms', '12.0 s')
    """
    if unit == "/s":
        return f"{value:,.0f}/s"
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} {unit}"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(columns)
    return [_line(head), _line("---" for _ in head), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
