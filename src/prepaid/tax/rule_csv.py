"""Tax rules as a CSV file: a row a rule, written by hand or in a spreadsheet, read back exactly as they were.

Columns are named as the fields of `TaxRule`, in any order; ``country`` and ``valid_from`` must be there, and an
empty cell is what the field is when it is not given. `requires_registration` lists schemes with blanks between them.

``components`` has a grammar of its own, so that names may consist of several words::

    cell      = component *( ";" component )
    component = name percent [ "of" base ] [ "to" jurisdiction ] [ "on" name *( "+" name ) ]
    name      = words, none of them a number, without ; and + and none that begins with an apostrophe
              / "'" anything, each apostrophe doubled "'"

>>> read_components("GST 5; QST 9.975 on GST")[1].compound_on
('GST',)
>>> [(item.name, str(item.base_percent)) for item in read_components("City tax 2 of 80; 'Levy 3' 1")]
[('City tax', '80'), ('Levy 3', '100')]
>>> [(item.name, item.jurisdiction) for item in read_components("GST 5 to CA; QST 9.975 to CA-QC")]
[('GST', 'CA'), ('QST', 'CA-QC')]

Spreadsheets run a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula. Such texts are written with an
apostrophe before them, which says in a spreadsheet too that what follows is text, and which is taken off when they
are read. An apostrophe alone is the empty text, where an empty cell would be the treatment's own reason or note.

Sources: RFC 4180 (CSV); OWASP, *CSV Injection*.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from attrs import fields, fields_dict

from ..core.errors import InvalidRequest, RequestRefused
from ..core.ids import check_text
from ..core.tax_rules import TaxComponent, TaxRule
from .rules import check_together

COLUMNS: Final = (
    *("country", "components", "subdivision", "postcode", "territory", "customer", "tax_id", "seller"),
    *("treatment", "category", "reason", "note", "requires_registration", "jurisdiction", "priority"),
    *("valid_from", "valid_to", "source"),
)
REQUIRED: Final = ("country", "valid_from")

MOST_LINES: Final = 5_000
MOST_BYTES: Final = 2_000_000
LONGEST_CELL: Final = 400
LONGEST_COMPONENTS: Final = 4_000
"""Eight taxes that build on each other, with the longest names."""

_WHOLE: Final = "csv"
_TEXTS: Final = frozenset(("postcode", "reason", "note", "source"))
_MARKS: Final = "=+-@＝＋－＠"  # noqa: RUF001 (spreadsheets take the wide ones too)
_TEXT: Final = "'"

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INTEGER: Final = re.compile(r"-?[0-9]{1,6}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_TOKEN: Final = re.compile(r"\s*('(?:[^']|'')*'|[;+]|[^\s;+'][^\s;+]*)")


def rules_from_csv(text: str) -> tuple[TaxRule, ...]:
    """Read rules from CSV, in the order of the rows.

    Args:
        text: A header and a row for each rule, separated by commas, or by semicolons as in the header.

    Raises:
        InvalidRequest: Anything that cannot be right; the message says in which line, ``field`` in which column, or
            ``"csv"`` if it is about the whole.
    """
    rows = _rows(text)
    line, header = next(rows, (1, []))
    columns = _columns(header, line)
    rules = []
    for line, cells in rows:
        if len(cells) != len(columns):
            raise _refused(line, _WHOLE, f"{len(cells)} cells, where the header has {len(columns)}.")
        rules.append(_rule(dict(zip(columns, cells, strict=True)), line))
    return tuple(rules)


def rules_to_csv(rules: Iterable[TaxRule]) -> str:
    """Write rules as CSV with all columns, without their ids; `rules_from_csv` undoes it."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(rule, name) for name in COLUMNS] for rule in rules)
    return written.getvalue()


def _refused(line: int, column: str, message: str) -> InvalidRequest:
    where = f"Line {line}" if column == _WHOLE else f"Line {line}, {column}"
    return InvalidRequest(f"{where}: {message}", field=column, line=line)


def _rows(text: object) -> Iterator[tuple[int, list[str]]]:
    """Give the cells of each row that has some, with the number of its line."""
    if not isinstance(text, str):
        raise InvalidRequest(f"csv is a text, not {type(text).__name__}.", field=_WHOLE)
    if len(text) > MOST_BYTES or len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise InvalidRequest(f"The file has at most {MOST_BYTES} bytes.", field=_WHOLE)
    plain = text.removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(plain, newline=""), delimiter=_delimiter(plain), strict=True)
    try:
        for cells in reader:
            if reader.line_num > MOST_LINES + 1:
                raise InvalidRequest(f"The file has at most {MOST_LINES} lines below its header.", field=_WHOLE)
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise _refused(reader.line_num, _WHOLE, f"this is no CSV ({error}).") from None


def _delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    return ";" if ";" in header and "," not in header else ","


def _columns(header: Sequence[str], line: int) -> list[str]:
    columns = [name.strip() for name in header]
    for place, name in enumerate(columns, start=1):
        if name not in COLUMNS:
            raise _refused(line, _WHOLE, f"column {place} has no name of those there are: {', '.join(COLUMNS)}.")
        if name in columns[: place - 1]:
            raise _refused(line, name, "the header names this column twice.")
    for name in REQUIRED:
        if name not in columns:
            raise _refused(line, name, "the header lacks this column.")
    return columns


def _rule(cells: dict[str, str], line: int) -> TaxRule:
    values: dict[str, Any] = {}
    for name, cell in cells.items():
        try:
            written = _checked(name, cell)
            if written:
                values[name] = _value(name, written)
            elif name in REQUIRED:
                raise InvalidRequest("this cell must not be empty.", field=name)
        except RequestRefused as refused:
            raise _refused(line, name, refused.message) from None
    try:
        rule = TaxRule(**values)
        check_together([rule])
    except RequestRefused as refused:
        raise _refused(line, refused.field if refused.field in COLUMNS else "components", refused.message) from None
    return rule


def _checked(name: str, cell: str) -> str:
    longest = LONGEST_COMPONENTS if name == "components" else LONGEST_CELL
    check_text(cell, field=name, longest=longest)
    return cell if name in _TEXTS else cell.strip()


def _value(name: str, cell: str) -> object:
    match name:
        case "components":
            return read_components(cell)
        case "requires_registration":
            return tuple(cell.split())
        case "priority" if not _INTEGER.fullmatch(cell):
            raise InvalidRequest("priority is a whole number.", field=name)
        case "priority":
            return int(cell)
        case "valid_from" | "valid_to":
            return _day(name, cell)
    return _from_text(cell) if name in _TEXTS else cell


def _day(name: str, cell: str) -> date:
    if not _DAY.fullmatch(cell):
        raise InvalidRequest(f"{name} is a day such as 2026-11-23.", field=name)
    try:
        return date.fromisoformat(cell)
    except ValueError:
        raise InvalidRequest(f"{name} is a day that there is.", field=name) from None


def _cell(rule: TaxRule, name: str) -> str:
    value = getattr(rule, name)
    if value == _default(rule, name):
        return ""
    match name:
        case "components":
            return write_components(value)
        case "requires_registration":
            return " ".join(value)
        case "valid_from" | "valid_to":
            return str(value.isoformat())
    return _as_text(value) if name in _TEXTS else str(value)


def _default(rule: TaxRule, name: str) -> object:
    """Give what a field is if its cell is empty; of some that is told by the treatment."""
    default: Any = fields_dict(TaxRule)[name].default
    return default.factory(rule) if hasattr(default, "factory") else default


def _as_text(text: str) -> str:
    return _TEXT + text if not text or text[0] in _MARKS + _TEXT else text


def _from_text(cell: str) -> str:
    is_marked = cell == _TEXT or (cell[0] == _TEXT and cell[1] in _MARKS + _TEXT)
    return cell[1:] if is_marked else cell


def write_components(components: Iterable[TaxComponent]) -> str:
    """Write components in the grammar above.

    >>> write_components([TaxComponent("GST", "5"), TaxComponent("C+G", "2.50", ("GST",), "80")])
    "GST 5; 'C+G' 2.5 of 80 on GST"
    """
    return "; ".join(_component(item) for item in components)


def _component(item: TaxComponent) -> str:
    parts = [_named(item.name), _digits(item.percent)]
    if item.base_percent != fields(TaxComponent).base_percent.default:
        parts += ["of", _digits(item.base_percent)]
    if item.jurisdiction:
        parts += ["to", item.jurisdiction]
    if item.compound_on:
        parts += ["on", " + ".join(_named(name) for name in item.compound_on)]
    return " ".join(parts)


def _digits(number: Decimal) -> str:
    return f"{number.copy_abs():f}"


def _named(name: str) -> str:
    words = _tokens(name)
    is_plain = words is not None and all(map(_is_word, words)) and " ".join(words) == name and name[0] not in _MARKS
    return name if is_plain else _TEXT + name.replace(_TEXT, 2 * _TEXT) + _TEXT


def _is_word(token: str) -> bool:
    return token not in (";", "+") and not token.startswith(_TEXT) and not _NUMBER.fullmatch(token)


def _tokens(written: str) -> list[str] | None:
    tokens, place, end = [], 0, len(written.rstrip())
    while place < end:
        found = _TOKEN.match(written, place)
        if found is None:
            return None
        tokens.append(found[1])
        place = found.end()
    return tokens


_FORM: Final = "components are written as 'VAT 20', several as 'GST 5; QST 9.975 on GST', a part as 'TAX 5 of 80'."


def read_components(written: str) -> tuple[TaxComponent, ...]:
    """Read components in the grammar above.

    Raises:
        InvalidRequest: Something else, or no rate.
    """
    tokens = _tokens(written)
    if tokens is None:
        raise InvalidRequest(_FORM, field="components")
    return tuple(_read_component(part) for part in _split(tokens, ";"))


def _split(tokens: Sequence[str], mark: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for token in tokens:
        if token == mark:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _read_component(tokens: list[str]) -> TaxComponent:
    name, rest = _take_name(tokens)
    percent, rest = _take_number(rest)
    base, whose, on = "100", "", tuple[str, ...]()
    if rest[:1] == ["of"]:
        base, rest = _take_number(rest[1:])
    if rest[:1] == ["to"] and len(rest) > 1:
        whose, rest = rest[1], rest[2:]
    if rest[:1] == ["on"]:
        on, rest = tuple(_only_name(part) for part in _split(rest[1:], "+")), []
    if rest:
        raise InvalidRequest(_FORM, field="components")
    return TaxComponent(name, percent, on, base, jurisdiction=whose)


def _take_number(tokens: list[str]) -> tuple[str, list[str]]:
    if not tokens or not _NUMBER.fullmatch(tokens[0]):
        raise InvalidRequest(_FORM, field="components")
    return tokens[0], tokens[1:]


def _take_name(tokens: list[str]) -> tuple[str, list[str]]:
    if tokens and tokens[0].startswith(_TEXT):
        return tokens[0][1:-1].replace("''", "'"), tokens[1:]
    count = next((place for place, token in enumerate(tokens) if not _is_word(token)), len(tokens))
    if not count:
        raise InvalidRequest(_FORM, field="components")
    return " ".join(tokens[:count]), tokens[count:]


def _only_name(tokens: list[str]) -> str:
    name, rest = _take_name(tokens)
    if rest:
        raise InvalidRequest(_FORM, field="components")
    return name
