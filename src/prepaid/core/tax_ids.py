"""Tax identification numbers as values: what one is, what its register says of it, and what that is worth.

A number of the right form is no proof of anything; only a register's answer, or
an operator's word, is. That a register does not answer is a state of its own.
"""

from __future__ import annotations

from typing import Final, Literal

from attrs import field, frozen

from .countries import tax_prefix

TaxIdState = Literal[
    "none", "malformed", "format_only", "pending", "valid", "invalid", "unavailable", "manual", "expired"
]
"""What is known of a customer's tax id.

``none``: they gave none. ``malformed``: not a number of the country. ``format_only``:
of the right form, and no register is asked. ``pending``: a register is about to be
asked. ``valid``, ``invalid``: its answer. ``unavailable``: it did not answer.
``manual``: an operator vouched for it. ``expired``: it was valid, too long ago.
"""

TAX_ID_STATES: Final[tuple[TaxIdState, ...]] = (
    "none",
    "malformed",
    "format_only",
    "pending",
    "valid",
    "invalid",
    "unavailable",
    "manual",
    "expired",
)

ANSWERED: Final = ("valid", "invalid", "malformed")
"""What a register may have said of a number."""

MAX_TAX_ID: Final = 40
"""Characters of a tax id as typed, at most."""


@frozen(kw_only=True)
class TaxId:
    """A tax id of the right form.

    Attributes:
        kind: What sort of number: ``"eu_vat"``, ``"gb_vat"``, ``"xi_vat"``, ``"ch_vat"``, ``"no_vat"``, ``"in_gst"``,
            ``"au_abn"``, ``"ca_bn"``, ``"us_ein"``..., or ``"other"`` where no form is known.
        country: ISO 3166-1 code of the country that issued it.
        number: The number as documents print it, without blanks, with its prefix: ``"EL094259216"``.
        subdivision: ISO 3166-2 code that the number tells, such as ``"IN-MH"`` of a GSTIN, or empty.
        of_person: The form is also that of natural persons, who need not be in business.
    """

    kind: str
    country: str
    number: str = field(repr=False)
    subdivision: str = ""
    of_person: bool = False

    @property
    def key(self) -> str:
        """The number as it is told from those of other countries; see `tax_id_key`."""
        return tax_id_key(self.country, self.number)


def tax_id_key(country: str, number: str) -> str:
    """Give a number with its country, unless its own letters tell it.

    >>> tax_id_key("FR", "FR40303265045"), tax_id_key("NZ", "49091850")
    ('FR40303265045', 'NZ:49091850')
    """
    own = (tax_prefix(country), *(("XI",) if country == "GB" else ()))
    return number if number.startswith(own) and ":" not in number else f"{country}:{number}"


@frozen(kw_only=True)
class ReadTaxId:
    """What a typed tax id is.

    Attributes:
        tax_id: The number, or None if it has the wrong form.
        problem: For None: one sentence for the customer.
    """

    tax_id: TaxId | None
    problem: str = ""


AnswerState = Literal["valid", "invalid", "malformed", "unavailable"]


@frozen(kw_only=True)
class RegisterAnswer:
    """What a register said of a tax id.

    Attributes:
        state: ``"valid"`` or ``"invalid"`` only if the register said just that; ``"malformed"`` if it refused the
            number's form; ``"unavailable"`` for everything else.
        reason: The register's code, or ours: ``"MS_UNAVAILABLE"``, ``"timeout"``, ``"unreadable"``...
        name: Name that the register has, or empty.
        address: Address that it has, or empty.
        consultation: Number under which it keeps that it was asked, or empty.
        of_country: Of ``"unavailable"``: only numbers of that country are concerned.
        raw: Its answer as it came, cut to a length that can be kept.
    """

    state: AnswerState
    reason: str = ""
    name: str = field(default="", repr=False)
    address: str = field(default="", repr=False)
    consultation: str = field(default="", repr=False)
    of_country: bool = False
    raw: str = field(default="", repr=False)
