"""A register of tax ids that answers as it is told, without any network."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ..core.tax_ids import AnswerState, RegisterAnswer, TaxId


class ScriptedRegister:
    """Knows the numbers it was given, and is down when it is told to be.

    Attributes:
        name: Name under which its answers are kept.
        asked: Numbers it was asked about, in order.
    """

    def __init__(
        self, valid: Iterable[str] = (), *, name: str = "scripted", kinds: Iterable[str] = ("eu_vat", "xi_vat")
    ) -> None:
        """Begin with some valid numbers, written as documents print them; all others are invalid."""
        self.name = name
        self.asked: list[str] = []
        self._kinds = frozenset(kinds)
        self._lock = threading.Lock()
        self._states: dict[str, AnswerState] = dict.fromkeys(valid, "valid")
        self._down = False

    def answer(self, number: str, state: AnswerState) -> None:
        """Let the register give an answer on a number from now on."""
        with self._lock:
            self._states[number] = state

    def down(self) -> None:
        """Answer nothing any more."""
        self._down = True

    def up(self) -> None:
        """Answer again."""
        self._down = False

    def covers(self, tax_id: TaxId) -> bool:
        """Tell whether numbers of this kind are known here."""
        return tax_id.kind in self._kinds

    def check(self, tax_id: TaxId, *, requester: TaxId | None) -> RegisterAnswer:
        """Give the answer that was scripted."""
        with self._lock:
            self.asked.append(tax_id.number)
            if self._down:
                return RegisterAnswer(state="unavailable", reason="down")
            state = self._states.get(tax_id.number, "invalid")
            consultation = f"{self.name}-{len(self.asked)}" if requester is not None else ""
        return RegisterAnswer(state=state, reason="scripted", consultation=consultation)
