"""What a rule of the gateway contract is: a number, a line of text, and a check that says what to fix."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Final, NoReturn, Protocol, TypeVar
from unittest import SkipTest

from ...core.errors import GatewayError


class Exempting(Protocol):
    """What a check asks of the contract class that it is a method of."""

    exemptions: Mapping[str, str]


C = TypeVar("C", bound=Exempting)

RULES: Final[dict[str, str]] = {}
"""The rules by number, each in one line; filled as the sections of the contract are imported."""


class NotMet(Exception):
    """A demand of a rule that does not hold; holds what to fix."""


class RuleBroken(AssertionError):
    """A rule that a gateway breaks.

    Attributes:
        number: Such as ``"G07"``.
        fix: What to do about it.
    """

    def __init__(self, number: str, fix: str) -> None:
        super().__init__(f"{number} is broken: {RULES[number]}\nTo fix: {fix}")
        self.number = number
        self.fix = fix


def demand(holds: object, fix: str) -> None:
    """Go on only if ``holds`` is true; else the rule is broken, and ``fix`` says what to do."""
    if not holds:
        raise NotMet(fix)


def broken(fix: str) -> NoReturn:
    """Say that the rule is broken, and what to do."""
    raise NotMet(fix)


def rule(number: int) -> Callable[[Callable[[C], None]], Callable[[C], None]]:
    """Make a rule of a method, whose docstring's first line is its text."""
    named = f"G{number:02}"

    def register(check: Callable[[C], None]) -> Callable[[C], None]:
        if named in RULES:
            raise ValueError(f"{named} is there already.")
        RULES[named] = (inspect.getdoc(check) or "").partition("\n")[0]

        @functools.wraps(check)
        def checked(self: C) -> None:
            if named in self.exemptions:
                raise SkipTest(f"{named} exempt: {self.exemptions[named]}")
            _judge(named, lambda: check(self))

        checked.rule = named  # type: ignore[attr-defined]
        return checked

    return register


def _judge(number: str, check: Callable[[], None]) -> None:
    try:
        check()
    except SkipTest as skipped:
        raise SkipTest(f"{number} not checked: {skipped}") from None
    except NotMet as problem:
        fix = str(problem)
    except GatewayError as problem:
        raise RuleBroken(
            number, f"the gateway refused where it should not: {problem} (code {problem.code})"
        ) from problem
    except Exception as problem:
        raise RuleBroken(
            number, f"{_escaped(problem)}; whatever goes wrong in a gateway's call ends in GatewayError"
        ) from problem
    else:
        return
    raise RuleBroken(number, fix)


def _escaped(problem: Exception) -> str:
    place = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{type(problem).__name__} escaped from {place.name} ({PurePath(place.filename).name}, line {place.lineno})"


def checks_of(contract: type[Any]) -> dict[str, str]:
    """Give the names of a contract's methods by the number of their rule, in order."""
    named = {getattr(getattr(contract, name), "rule", None): name for name in dir(contract)}
    return {number: named[number] for number in sorted(RULES) if number in named}
