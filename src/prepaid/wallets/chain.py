"""Numbering a wallet's transfers: each row has the next number and the balance after it."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.transfers import Line
from ..store.accounts import Wallet
from ..store.ledger import Row
from .values import Accounts


class Chain:
    """Numbers the wallet's rows of one or more transactions and carries its balance from row to row."""

    def __init__(self, wallet: Wallet, system: Accounts, *, before: int, rows: int) -> None:
        """Begin ``rows`` rows before the wallet's last number, at the balance ``before`` them."""
        self._wallet, self._system = wallet, system
        self._balance, self._seq = before, wallet.seq - rows

    def rows(self, lines: Sequence[Line], grants: Sequence[str | None]) -> list[Row]:
        """Give the rows of one transaction, each with the grant it touches."""
        return [self._row(line, grant) for line, grant in zip(lines, grants, strict=True)]

    def _row(self, line: Line, grant: str | None) -> Row:
        wallet_id = self._wallet.id
        debit_id = wallet_id if line.wallet_sign < 0 else self._system[line.debit]
        credit_id = wallet_id if line.wallet_sign > 0 else self._system[line.credit]
        if not line.wallet_sign:
            return Row(debit_id=debit_id, credit_id=credit_id, amount=line.amount)
        self._balance += line.wallet_sign * line.amount
        self._seq += 1
        return Row(
            debit_id=debit_id,
            credit_id=credit_id,
            amount=line.amount,
            wallet_id=wallet_id,
            wallet_seq=self._seq,
            wallet_after=self._balance,
            grant_id=grant,
        )
