"""Why a sale is taxed as it is, in words that a customer can read.

>>> taxed((TaxComponent("VAT", "19"),), place="DE")
'VAT 19 % added to the price, because you are in DE.'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..core.money import EXACT
from ..core.tax_ids import TaxIdState
from ..core.tax_rules import TaxComponent, TaxRule

NO_RULES: Final = "No tax rule is set up, so no tax is collected."
EXEMPTED: Final = "No tax, because you are exempt."

_UNPROVEN: Final[dict[TaxIdState, str]] = {
    "malformed": "Your tax id is not a number of its country, so it does not change the tax.",
    "format_only": "Your tax id is not verified, so it does not change the tax.",
    "pending": "Your tax id is being verified; until then tax is charged.",
    "invalid": "Your tax id is not valid in its register, so tax is charged.",
    "unavailable": "The register of tax ids does not answer, so tax is charged; it is asked again.",
    "expired": "Your tax id was verified too long ago, so tax is charged; its register is asked again.",
}

_PROVEN: Final = {
    "": "because your tax id is verified",
    "accept_recent": "because your tax id was verified lately",
    "accept_format": "because your tax id has the right form",
}


def not_collected(place: str) -> str:
    """Say that nothing is collected in a place."""
    return f"No tax is collected for customers in {place}."


def taxed(components: Sequence[TaxComponent], *, place: str, jurisdiction: str = "", inclusive: bool = False) -> str:
    """Say what taxes a price bears."""
    taxes = " and ".join(f"{item.name} {item.percent.normalize(EXACT):f} %" for item in components)
    how = "contained in the price" if inclusive else "added to the price"
    why = f"the tax of {jurisdiction} applies to you in {place}" if jurisdiction else f"because you are in {place}"
    return f"{taxes} {how}, {why}."


def untaxed(rule: TaxRule, *, place: str, proof: str | None) -> str:
    """Say why a rule charges nothing; ``proof`` is the policy by which a tax id counted, or None if none did."""
    match rule.treatment:
        case "reverse_charge":
            because = "" if proof is None else f", {_PROVEN[proof]}"
            return f"Reverse charge: you owe the tax in {place} yourself{because}."
        case "zero":
            return f"No tax: the rate is zero for customers in {place}."
        case "exempt":
            return f"No tax: this sale is exempt ({rule.note or rule.reason})."
        case "out_of_scope":
            return f"No tax: customers in {place} are outside its scope."
        case _:
            return not_collected(place)


def unproven(state: TaxIdState) -> str:
    """Say why a tax id does not change the tax; empty where there is nothing to say."""
    return _UNPROVEN.get(state, "")
