"""Measure the ledger and keep what was found.

Usage: python -m benchmarks [--list] [--quick] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import closing
from fnmatch import fnmatch

from . import results
from .engines import Engines, NotAvailable
from .machine import describe, software
from .results import SectionResult, row
from .sections import SECTIONS
from .stage import Stage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections that are asked for; 1 if one of them failed."""
    options = _parser().parse_args(arguments)
    names = _chosen(options.only)
    if options.list:
        print(*names, sep="\n")
        return 0
    conditions = (describe(), software("psycopg", "PyMySQL"))
    print(*conditions, sep="\n")
    failed = []
    with closing(Engines()) as engines:
        for name in names:
            try:
                _run(name, Stage(engines, name, quick=options.quick), conditions)
            except NotAvailable as missing:
                print(f"{name}: not available in this version: {missing}", flush=True)
            except Exception:  # the other sections go on
                traceback.print_exc()
                failed.append(name)
    if options.quick:
        print("A quick run is not kept.")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the sections and end")
    parser.add_argument("--quick", action="store_true", help="do little, print what was found and keep nothing")
    parser.add_argument("--only", action="append", metavar="NAME", help="run this section, or those like 'pg-*'")
    return parser


def _chosen(patterns: Sequence[str] | None) -> list[str]:
    if patterns is None:
        return list(SECTIONS)
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in SECTIONS):
            raise SystemExit(f"There is no section {pattern}; --list names them.")
    return [name for name in SECTIONS if any(fnmatch(name, pattern) for pattern in patterns)]


def _run(name: str, stage: Stage, conditions: tuple[str, ...]) -> None:
    print(name, flush=True)
    figures = SECTIONS[name](stage)
    for figure in figures:
        label, ours, other, ratio, at_least, aim, held, _ = row(figure)
        said = (ours, other and f"of {other}", ratio, at_least, aim and f"(aim {aim})", held.strip("*"), figure.note)
        print(f"    {label}: {', '.join(part for part in said if part)}")
    if not stage.quick:
        date = time.strftime("%Y-%m-%d", time.gmtime())
        conditions = (*conditions, *dict.fromkeys(stage.conditions))
        results.keep(SectionResult(section=name, date=date, conditions=conditions, figures=tuple(figures)))


if __name__ == "__main__":
    sys.exit(main())
