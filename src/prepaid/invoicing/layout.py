"""Where text breaks, and which row stands on which page: arithmetic only, nothing is drawn.

>>> wrap("one two three", 7, len, most=2)
['one two', 'three']
>>> wrap("one two three four", 7, len, most=2)
['one two', 'three…']
>>> paginate([10, 10, 10], first=30, later=50, closing=5)
[range(0, 2), range(2, 3)]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

ELLIPSIS: Final = "…"
LONGEST_LINE: Final = 400
"""Characters of one line that are looked at; more do not fit on a page at any size."""


def wrap(text: str, width: float, measure: Callable[[str], float], *, most: int) -> list[str]:
    """Break text at blanks, a word that is too long anywhere, into at most ``most`` lines.

    What does not fit is cut, and the last line ends in an ellipsis.
    """
    limit = most * LONGEST_LINE
    words = (text if len(text) <= limit else text[:limit] + ELLIPSIS).split(" ")
    lines: list[str] = []
    current = ""
    for word in words:
        joined = f"{current} {word}" if current else word
        if measure(joined) <= width:
            current = joined
            continue
        pieces = _broken(word, width, measure)
        lines += [current, *pieces[:-1]] if current else pieces[:-1]
        current = pieces[-1]
        if len(lines) > most:
            break
    lines.append(current)
    return lines if len(lines) <= most else [*lines[: most - 1], _cut(lines[most - 1], width, measure)]


def _broken(word: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """Break one word into pieces that fit."""
    pieces = [""]
    for character in word:
        if pieces[-1] and measure(pieces[-1] + character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _cut(line: str, width: float, measure: Callable[[str], float]) -> str:
    """Shorten a line until an ellipsis fits behind it."""
    while line and measure(line + ELLIPSIS) > width:
        line = line[:-1]
    return line.rstrip() + ELLIPSIS


def paginate(heights: Sequence[float], *, first: float, later: float, closing: float) -> list[range]:
    """Share rows among pages; the last row goes with what closes the document.

    Args:
        heights: Of the rows.
        first: Room on the first page.
        later: Room on every other page.
        closing: Height of what must stand below the last row.
    """
    pages, start, used, room = [], 0, 0.0, first
    for number, height in enumerate(heights):
        needed = height + (closing if number == len(heights) - 1 else 0)
        if used + needed > room:
            pages.append(range(start, number))
            start, used, room = number, 0.0, later
        used += height
    return [*pages, range(start, len(heights))]
