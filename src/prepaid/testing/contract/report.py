"""Running a contract without a test runner: which rules are kept, broken, or were not checked and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from unittest import SkipTest

from attrs import frozen

from .base import ContractBase
from .rules import RuleBroken, checks_of


@frozen(kw_only=True)
class ContractReport:
    """What became of each rule.

    Attributes:
        kept: Numbers of rules that hold.
        broken: What is wrong, by number.
        skipped: Why a rule was not checked, by number.
    """

    kept: tuple[str, ...]
    broken: Mapping[str, RuleBroken]
    skipped: Mapping[str, str]

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.broken.values()]
        lines += self.skipped.values()
        return "\n".join(
            [*lines, f"{len(self.kept)} rules kept, {len(self.broken)} broken, {len(self.skipped)} skipped"]
        )


def check_contract(contract: type[ContractBase], *, only: Collection[str] = ()) -> ContractReport:
    """Check a gateway against the rules, or some of them by number.

    Anything that goes wrong in the contract's own ``provider`` or ``gateway``
    passes through.
    """
    kept: list[str] = []
    broken: dict[str, RuleBroken] = {}
    skipped: dict[str, str] = {}
    for number, name in checks_of(contract).items():
        if only and number not in only:
            continue
        try:
            _run(contract(), name)
            kept.append(number)
        except RuleBroken as problem:
            broken[number] = problem
        except SkipTest as reason:
            skipped[number] = str(reason)
    return ContractReport(kept=tuple(kept), broken=broken, skipped=skipped)


def _run(world: Any, name: str) -> None:
    world.setup_method()
    try:
        getattr(world, name)()
    finally:
        world.teardown_method()
