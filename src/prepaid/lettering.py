"""What every mail is written with: templates that escape what they are given, clean lines, amounts for readers."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .core.money import Money

if TYPE_CHECKING:
    from jinja2 import Environment

LONGEST_SUBJECT: Final = 200

_LETTER_BEFORE_DIGIT: Final = re.compile(r"(?<=[A-Za-z])(?=[0-9])")


@cache
def templates(folder: Path) -> Environment:
    """Give the templates of a folder: text as it is, HTML with every value escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def one_line(text: str) -> str:
    """Turn whatever breaks lines or cannot be seen into single blanks."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def written(amount: Money, locale: str) -> str:
    """Write an amount with all the digits of its currency; a code of letters stands apart from the figure."""
    return _LETTER_BEFORE_DIGIT.sub("\u00a0", amount.format(locale))
