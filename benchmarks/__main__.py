"""Measure the ledger and keep what was found.

Usage: python -m benchmarks [--list] [--quick] [--section NAME ...]

Figures go to the standard output, progress to the standard error.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from . import results
from .engines import Engines, NotAvailable
from .figures import Figure
from .machine import describe, software
from .results import SectionResult, row
from .sections import SECTIONS
from .stage import Stage


def main(arguments: Sequence[str] | None = None, *, folder: Path = results.FOLDER) -> int:
    """Run the sections that are asked for, and keep the results in a folder; 1 if one of them failed."""
    options = _parser().parse_args(arguments)
    names = _chosen(options.section)
    if options.list:
        print(*names, sep="\n")
        return 0
    conditions = (describe(), software("psycopg", "PyMySQL"))
    print(*conditions, sep="\n")
    with closing(Engines()) as engines:
        keep = None if options.quick else partial(results.keep, folder=folder)
        failed = [name for name in names if not _run(name, Stage(engines, name, quick=options.quick), conditions, keep)]
    if options.quick:
        print("A quick run is too short to judge by, and is not kept.")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the sections and end")
    parser.add_argument("--quick", action="store_true", help="do little, print what was found and keep nothing")
    parser.add_argument(
        "--section", action="extend", nargs="+", metavar="NAME", help="run these sections, or those like 'pg-*'"
    )
    return parser


def _chosen(patterns: Sequence[str] | None) -> list[str]:
    if patterns is None:
        return list(SECTIONS)
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in SECTIONS):
            raise SystemExit(f"There is no section {pattern}; --list names them.")
    return [name for name in SECTIONS if any(fnmatch(name, pattern) for pattern in patterns)]


def _run(name: str, stage: Stage, conditions: tuple[str, ...], keep: Callable[[SectionResult], None] | None) -> bool:
    """Run a section and keep what it found; what it did not find is missing from now on. False if it failed."""
    began, figures, reason = time.monotonic(), list[Figure](), ""
    try:
        figures = SECTIONS[name].run(stage)
    except NotAvailable as absence:
        reason = str(absence)
    except Exception as failure:  # the other sections go on
        traceback.print_exc()
        reason = f"failed: {type(failure).__name__}"
    stage.tell(f"took {time.monotonic() - began:.0f} s")
    found = {figure.name for figure in figures}
    missing = {owed: stage.missing.get(owed, reason) for owed in SECTIONS[name].owes if owed not in found}
    _show(figures, missing, quick=stage.quick)
    if keep is not None:
        date = time.strftime("%Y-%m-%d", time.gmtime())
        conditions = (*conditions, *dict.fromkeys(stage.conditions))
        keep(SectionResult(section=name, date=date, conditions=conditions, figures=tuple(figures), missing=missing))
    return not reason.startswith("failed")


def _show(figures: Sequence[Figure], missing: dict[str, str], *, quick: bool) -> None:
    for figure in figures:
        label, ours, other, ratio, at_least, aim, held, _ = row(figure)
        verdict = "" if quick else held.strip("*")
        said = (ours, other and f"of {other}", ratio, at_least, aim and f"(aim {aim})", verdict, figure.note)
        print(f"{label}: {', '.join(part for part in said if part)}", flush=True)
    for name, reason in missing.items():
        print(f"{name}: missing: {reason}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
