"""Postal codes as tax rules match them: brought into one form, compared from end to end.

A pattern names every character of a code, so that it never matches inside a
longer one (a Lisbon code read as Madeira), and two patterns can be compared:
whether some code matches both is a matter of looking at each place.

>>> normalise_postcode("sp-35 001", "ES"), normalise_postcode("bt1 5gs", "GB")
('35001', 'BT15GS')
>>> canaries = PostcodePattern.of("35###|38###")
>>> canaries.matches("35001"), canaries.matches("350011"), canaries.meets(PostcodePattern.of("38[0-4]##"))
(True, False, True)

Sources: UPU addressing guides (length and characters of national codes).
"""

from __future__ import annotations

import re
import string
import unicodedata
from typing import Final

from attrs import frozen

from .errors import InvalidRequest

_KEPT: Final = re.compile(r"[^A-Z0-9]+", re.ASCII)
_LEADING_LETTERS: Final = re.compile(r"^[A-Z]+(?=[0-9])", re.ASCII)
_ALL_DIGITS: Final = frozenset(
    "AT AU BE BG CH CY CZ DE DK EE ES FI FR GR HR HU IN IS IT LI LT LU LV MC NL NO PL PT RO SE SI SK US".split()
)
"""Countries whose codes begin with a digit: letters before it are a country's mark, as in ``D-10115``."""

_ZIP: Final = 5

_CLASSES: Final = {
    "#": frozenset(string.digits),
    "@": frozenset(string.ascii_uppercase),
    "?": frozenset(string.digits + string.ascii_uppercase),
}
_PLACE: Final = re.compile(r"\[(?:[A-Z0-9](?:-[A-Z0-9])?)+\]|[A-Z0-9#@?]", re.ASCII)
_SPAN: Final = re.compile(r"([A-Z0-9])(?:-([A-Z0-9]))?", re.ASCII)
_LONGEST: Final = 200
_MOST_PLACES: Final = 12


def normalise_postcode(written: str, country: str) -> str:
    """Bring a postal code into the form that patterns match: capital letters and digits, nothing else.

    A country's mark before a code of digits is dropped, and of a US code the
    four digits that name a part of its area.
    """
    code = _KEPT.sub("", unicodedata.normalize("NFKC", written).upper())
    if country in _ALL_DIGITS:
        code = _LEADING_LETTERS.sub("", code)
    return code[:_ZIP] if country == "US" else code


@frozen
class PostcodePattern:
    """Codes by their characters, place by place.

    Attributes:
        alternatives: For each alternative, the characters allowed at each place.
    """

    alternatives: tuple[tuple[frozenset[str], ...], ...]

    @classmethod
    def of(cls, written: str) -> PostcodePattern:
        """Read a pattern: ``#`` a digit, ``@`` a letter, ``?`` either, ``[0-4]`` one of some, ``|`` or.

        Raises:
            InvalidRequest: Something else; there is no character for *any rest*.
        """
        if not isinstance(written, str) or len(written) > _LONGEST:
            raise InvalidRequest(f"postcode is a pattern of at most {_LONGEST} characters.", field="postcode")
        return cls(tuple(_places(alternative) for alternative in written.split("|")))

    def matches(self, code: str) -> bool:
        """Tell whether a code in its normal form is one of these."""
        return any(
            len(places) == len(code) and all(mark in allowed for mark, allowed in zip(code, places, strict=True))
            for places in self.alternatives
        )

    def codes(self) -> frozenset[str] | None:
        """Give the codes that match, if each alternative is a single one; None if some place allows several."""
        if any(len(allowed) > 1 for places in self.alternatives for allowed in places):
            return None
        return frozenset("".join(mark for allowed in places for mark in allowed) for places in self.alternatives)

    def meets(self, other: PostcodePattern) -> bool:
        """Tell whether some code matches both."""
        return any(
            len(mine) == len(theirs) and all(a & b for a, b in zip(mine, theirs, strict=True))
            for mine in self.alternatives
            for theirs in other.alternatives
        )


def _places(alternative: str) -> tuple[frozenset[str], ...]:
    places = [found[0] for found in _PLACE.finditer(alternative)]
    if not 1 <= len(places) <= _MOST_PLACES or "".join(places) != alternative:
        raise InvalidRequest(
            "postcode is a pattern such as '35###' or 'BT##@@|BT###@@': capital letters, digits, # @ ? and [0-4], "
            "one for each character of the code without blanks.",
            field="postcode",
        )
    return tuple(_CLASSES.get(place) or _allowed(place) for place in places)


def _allowed(place: str) -> frozenset[str]:
    if not place.startswith("["):
        return frozenset(place)
    allowed: set[str] = set()
    for first, last in _SPAN.findall(place[1:-1]):
        allowed |= {chr(code) for code in range(ord(first), ord(last or first) + 1)}
    found = frozenset(mark for mark in allowed if mark.isalnum())
    if not found:
        raise InvalidRequest("postcode: a span such as [4-0] is the wrong way round.", field="postcode")
    return found
