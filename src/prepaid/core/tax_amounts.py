"""The arithmetic of tax: put on a price, taken out of one, split again for a part of it.

Tax is rounded once per component on the net of the whole document (EN 16931, BR-CO-17); with inclusive prices the
gross is given, the net is what remains, and the components share the tax by largest remainder.

So n top-ups are not always taxed as one of the same sum. With ``"half_up"`` or ``"half_even"`` the two differ by at
most (n + 1) / 2 minor units for each component, with ``"down"`` by less than n; a component that builds on others
may add its percentage of what those differ by. With inclusive prices the net is what is rounded, once a top-up:
(n + 1) / 2, or less than n, is the bound for all taxes together.

>>> vat = (TaxComponent("VAT", "19"),)
>>> add_tax(1000, vat, rounding="half_up")
TaxedAmounts(net=1000, tax=(190,), gross=1190)
>>> contained_tax(10000, vat, rounding="half_up")
TaxedAmounts(net=8403, tax=(1597,), gross=10000)

Sources: EN 16931-1 BR-CO-17; Directive 2006/112/EC Art. 78 and 79 (taxable amount).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from attrs import frozen

from .errors import IntegrityFault, InvalidRequest
from .money import EXACT, largest_remainder
from .tax_rules import TaxComponent

_MODES: Final = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN}
_WHOLE: Final = Decimal(100)

# Each of eight components that build on each other adds six digits to those of the first.
_DIGITS: Final = 56


@frozen
class TaxedAmounts:
    """A sale split in minor units: net, one tax per component, gross."""

    net: int
    tax: tuple[int, ...]
    gross: int

    def __attrs_post_init__(self) -> None:
        if self.net + sum(self.tax) != self.gross:
            raise InvalidRequest("Net and tax do not add up to the gross.", field="tax")


def _round(value: Decimal, rounding: str) -> int:
    return int(value.to_integral_value(_MODES[rounding]))


def _base(net: int | Decimal, component: TaxComponent, earlier: dict[str, int]) -> Decimal:
    """Give exactly what a component is a percentage of."""
    part = net * component.base_percent / _WHOLE
    return part + sum(earlier[name] for name in component.compound_on)


def add_tax(net: int, components: Sequence[TaxComponent], *, rounding: str) -> TaxedAmounts:
    """Put each component's tax on ``net`` minor units, rounded once per component."""
    taxes: dict[str, int] = {}
    with localcontext(EXACT):
        for component in components:
            exact = _base(net, component, taxes) * component.percent / _WHOLE
            taxes[component.name] = _round(exact, rounding)
    return TaxedAmounts(net, tuple(taxes.values()), net + sum(taxes.values()))


def contained_tax(gross: int, components: Sequence[TaxComponent], *, rounding: str) -> TaxedAmounts:
    """Take the tax out of ``gross`` minor units; the components share it by largest remainder."""
    with localcontext(EXACT):
        percent = sum(_effective(components), Decimal(0))
        net = _round(Decimal(gross) * _WHOLE / (_WHOLE + percent), rounding)
    return TaxedAmounts(net, share_tax(gross - net, components), gross)


def share_tax(tax: int, components: Sequence[TaxComponent]) -> tuple[int, ...]:
    """Split a tax over the components in proportion to their rates."""
    if not components:
        return ()
    with localcontext(EXACT):
        weights = tuple(int(percent.scaleb(_DIGITS)) for percent in _effective(components))
    return largest_remainder(tax, weights)


def _effective(components: Sequence[TaxComponent]) -> tuple[Decimal, ...]:
    """Give each tax in percent of the net, with what it builds on."""
    rates: dict[str, Decimal] = {}
    for component in components:
        base = component.base_percent + sum(rates[name] for name in component.compound_on)
        rates[component.name] = base * component.percent / _WHOLE
    return tuple(rates.values())


def tax_bases(net: int, components: Sequence[TaxComponent], taxes: Sequence[int], *, rounding: str) -> tuple[int, ...]:
    """Give what each component was applied to, in whole minor units as a document prints it."""
    earlier = {component.name: tax for component, tax in zip(components, taxes, strict=True)}
    with localcontext(EXACT):
        return tuple(_round(_base(net, component, earlier), rounding) for component in components)


def take_back(tax: int, left: Sequence[int]) -> tuple[int, ...]:
    """Split a refund's tax over components, in proportion to what is left of each.

    Never more of one than is left; the refund that takes all that is left takes
    it to the unit, whatever was given back before in how many parts.

    Raises:
        IntegrityFault: More than is left.

    >>> take_back(5, (10, 5)), take_back(10, (6, 4))
    ((3, 2), (6, 4))
    """
    if not 0 <= tax <= sum(left):
        raise IntegrityFault("More tax is given back than is left.")
    return largest_remainder(tax, tuple(left)) if left else ()
