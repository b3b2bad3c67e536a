r"""PostgreSQL's arrays as it reads them: the driver looks at each value by itself, which takes as long as the query.

Source: PostgreSQL manual, chapter 8.15, Array Input and Output Syntax.

>>> literal([1, None, -3])
'{1,NULL,-3}'
>>> literal(["a", None, 'say "b"', ""])
'{"a",NULL,"say \\"b\\"",""}'
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from sqlalchemy.types import UserDefinedType


def literal(values: Collection[str | int | None]) -> str:
    """Write an array of texts or of whole numbers, NULLs among them."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return f"{{{','.join(map(str, values))}}}"
    if kinds == {str}:
        joined = '","'.join(values)  # type: ignore[arg-type]
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return f'{{"{joined}"}}'
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: str | int | None) -> str:
    if not isinstance(value, str):
        return "NULL" if value is None else str(value)
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


class _Array(UserDefinedType[Any]):
    """An array as one parameter, which the planner sees as the array that it is."""

    cache_ok = True
    render_bind_cast = True

    def __init__(self, element: str) -> None:
        self.element = element

    def get_col_spec(self, **_: Any) -> str:
        return f"{self.element}[]"

    def bind_processor(self, dialect: Any) -> Callable[[Any], str]:
        return literal


TEXTS: Final = _Array("VARCHAR")
NUMBERS: Final = _Array("BIGINT")
