"""Which grants credit is taken from when money goes back: a top-up's own first, and the debt last.

What is clawed back comes from the bonus first, what is returned from the credit
that was bought; then each from what is left of the other. A refund that an
operator approves fits these two. What a gateway gave back, or a bank took back,
is taken all the same: from the other grants in burn order, then below zero.

>>> own = Own(OpenGrant("paid", 80), OpenGrant("bonus", 5))
>>> taken = take(50, 10, own=own)
>>> taken.credit, taken.clawed_back
((Burn(grant='paid', amount=50),), (Burn(grant='bonus', amount=5), Burn(grant='paid', amount=5)))
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from .grants import Burn, OpenGrant


@frozen
class Own:
    """What is left of the credit that a top-up bought, and of its bonus."""

    paid: OpenGrant | None
    bonus: OpenGrant | None

    @property
    def paid_left(self) -> int:
        """Ledger units left of the credit that was bought."""
        return 0 if self.paid is None else self.paid.remaining

    @property
    def bonus_left(self) -> int:
        """Ledger units left of the bonus."""
        return 0 if self.bonus is None else self.bonus.remaining


@frozen
class Taken:
    """What is taken from which grants, each in the order in which it is posted; a part without a grant is a debt."""

    credit: tuple[Burn, ...]
    clawed_back: tuple[Burn, ...]

    @property
    def parts(self) -> tuple[Burn, ...]:
        """All of it."""
        return self.credit + self.clawed_back


class _Purse:
    """What is left of some grants while it is taken."""

    def __init__(self, grants: Sequence[OpenGrant]) -> None:
        """Begin with what there is."""
        self._left = {grant.id: grant.remaining for grant in grants}

    def take(self, amount: int, order: Sequence[OpenGrant | None]) -> tuple[list[Burn], int]:
        """Take from grants in an order, and say what they lack."""
        parts = []
        for grant in order:
            taken = 0 if grant is None else min(amount, self._left[grant.id])
            if grant is not None and taken:
                self._left[grant.id] -= taken
                parts.append(Burn(grant.id, taken))
                amount -= taken
        return parts, amount


def take(credit: int, clawed_back: int, *, own: Own, others: Sequence[OpenGrant] = ()) -> Taken:
    """Choose the grants that give ``credit`` and ``clawed_back`` ledger units.

    Args:
        credit: What is returned of the credit that was bought.
        clawed_back: What is taken back of the bonus.
        own: What is left of the top-up's own grants.
        others: The wallet's other open grants, in burn order; none for a refund that has to fit the top-up's own.
    """
    purse = _Purse([grant for grant in (own.paid, own.bonus, *others) if grant is not None])
    from_bonus, claw_lack = purse.take(clawed_back, [own.bonus])
    from_paid, lack = purse.take(credit, [own.paid])
    more_claw, claw_lack = purse.take(claw_lack, [own.paid])
    more, lack = purse.take(lack, [own.bonus, *others])
    rest, claw_lack = purse.take(claw_lack, others)
    return Taken(_joined(from_paid + more, lack), _joined(from_bonus + more_claw + rest, claw_lack))


def _joined(parts: list[Burn], lack: int) -> tuple[Burn, ...]:
    return (*parts, *((Burn(None, lack),) if lack else ()))


def spread(parts: Sequence[Burn], amounts: Sequence[int]) -> list[list[Burn]]:
    """Cut parts, in their order, into pieces that come to ``amounts``.

    >>> spread((Burn("a", 3), Burn("b", 2)), (4, 1))
    [[Burn(grant='a', amount=3), Burn(grant='b', amount=1)], [Burn(grant='b', amount=1)]]
    """
    waiting = [part for part in parts if part.amount]
    pieces: list[list[Burn]] = []
    for amount in amounts:
        piece: list[Burn] = []
        missing = amount
        while missing:
            part = waiting.pop(0)
            taken = min(missing, part.amount)
            piece.append(Burn(part.grant, taken))
            missing -= taken
            if taken < part.amount:
                waiting.insert(0, Burn(part.grant, part.amount - taken))
        pieces.append(piece)
    return pieces
