"""Where a customer is for tax: special territories, told from an address, as dated rows with their sources.

A part of a country may lie outside its tax (the Canary Islands), have rates of its own (Madeira), or belong to the
tax of another country (Monaco). A place without a row is its country. Nothing here says what is charged anywhere:
rules do, and name a territory by its id.

Electronically supplied services are meant. For those Northern Ireland is in the United Kingdom, though for goods it
is not. Akrotiri and Dhekelia, whose addresses are those of Cyprus, are Cyprus without a row.

>>> from datetime import date
>>> from prepaid.core.parties import Address
>>> day = date(2026, 11, 22)
>>> locate(Address(postcode="35001", country="ES"), day).area
''
>>> locate(Address(country="MC"), day).area, locate(Address(postcode="00100", country="FI"), day).area
('FR', 'FI')

Sources: each row names its own; 2006/112/EC is the directive on the common system of value added tax.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Final

from attrs import define, field, frozen

from ..core.parties import Address
from ..core.postcodes import PostcodePattern, normalise_postcode

_ART_6_1 = "2006/112/EC Art. 6(1)"
_ART_6_2 = "2006/112/EC Art. 6(2)"
_ART_7 = "2006/112/EC Art. 7"
_TFEU_355 = "TFEU Art. 349 and 355; 2006/112/EC Art. 6(1)(c)"
_OVERSEAS = "TFEU Art. 198 and Annex II; 2006/112/EC Art. 5(2)"


@define(frozen=True, slots=False, kw_only=True)
class Territory:
    """A part of the world whose tax is not simply that of a country.

    Attributes:
        id: ISO 3166-1 code if it has one of its own, else made of its country's.
        name: English name.
        country: Country in whose addresses it appears.
        area: Country whose tax on services applies there, or empty.
        subdivisions: ISO 3166-2 codes of it.
        postcodes: Pattern of its postal codes in that country, or empty.
        valid_from: First day, or None if it always was.
        valid_to: First day after, or None.
        source: Where that is written.
    """

    id: str
    name: str
    country: str
    area: str = ""
    subdivisions: tuple[str, ...] = ()
    postcodes: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    source: str

    @cached_property
    def _pattern(self) -> PostcodePattern | None:
        return PostcodePattern.of(self.postcodes) if self.postcodes else None

    @property
    def has_own_code(self) -> bool:
        """Tell whether ISO 3166-1 counts it as a country."""
        return len(self.id) == len(self.country)

    def covers(self, day: date) -> bool:
        """Tell whether the row is in force on ``day``."""
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_to is None or day < self.valid_to)

    def contains(self, *, country: str, subdivision: str, postcode: str) -> bool:
        """Tell whether an address lies in it; the postal code in its normal form."""
        if country == self.id:
            return True
        if country != self.country:
            return False
        by_code = self._pattern is not None and postcode != "" and self._pattern.matches(postcode)
        if not self.subdivisions or not subdivision:
            return by_code
        # An address whose parts contradict each other is not in a place that may be without tax.
        return subdivision in self.subdivisions and (by_code or not postcode or self._pattern is None)


def _row(
    place: str,
    name: str,
    country: str,
    source: str,
    *,
    area: str = "",
    codes: str = "",
    postcodes: str = "",
    since: date | None = None,
) -> Territory:
    return Territory(
        id=place,
        name=name,
        country=country,
        area=area,
        subdivisions=tuple(codes.split()),
        postcodes=postcodes,
        valid_from=since,
        source=source,
    )


TERRITORIES: Final[tuple[Territory, ...]] = (
    _row("AT-JUN", "Jungholz and Mittelberg", "AT", "öUStG § 10(4)", area="AT", postcodes="6691|699[1-3]"),
    _row("AX", "Åland", "FI", _ART_6_1 + "(d)", codes="FI-01", postcodes="22###"),
    _row("DE-BUS", "Büsingen", "DE", _ART_6_2 + "(b); MWSTG Art. 3(a)", area="CH", postcodes="78266"),
    _row("DE-HEL", "Heligoland", "DE", _ART_6_2 + "(a)", postcodes="27498"),
    _row("ES-CE", "Ceuta", "ES", _ART_6_2 + "(c)", codes="ES-CE", postcodes="51###"),
    _row("ES-CN", "Canary Islands", "ES", _ART_6_1 + "(b)", codes="ES-CN ES-GC ES-TF", postcodes="35###|38###"),
    _row("ES-ML", "Melilla", "ES", _ART_6_2 + "(d)", codes="ES-ML", postcodes="52###"),
    _row("FO", "Faroe Islands", "DK", "TFEU Art. 355(5)(a)"),
    _row("GL", "Greenland", "DK", _OVERSEAS, postcodes="39##"),
    # Before Guadeloupe, within whose codes theirs lie.
    _row("BL", "Saint Barthélemy", "FR", _OVERSEAS, codes="FR-BL", postcodes="97133|9709[5-9]", since=date(2012, 1, 1)),
    _row("MF", "Saint Martin", "FR", _TFEU_355, codes="FR-MF", postcodes="97150|970[56]#"),
    _row("GP", "Guadeloupe", "FR", _TFEU_355, codes="FR-971 FR-GP", postcodes="971##"),
    _row("MQ", "Martinique", "FR", _TFEU_355, codes="FR-972 FR-MQ", postcodes="972##"),
    _row("GF", "French Guiana", "FR", _TFEU_355, codes="FR-973 FR-GF", postcodes="973##"),
    _row("RE", "Réunion", "FR", _TFEU_355, codes="FR-974 FR-RE", postcodes="974##"),
    _row("PM", "Saint Pierre and Miquelon", "FR", _OVERSEAS, codes="FR-PM", postcodes="975##"),
    _row("YT", "Mayotte", "FR", _TFEU_355, codes="FR-976 FR-YT", postcodes="976##"),
    _row("TF", "French Southern Territories", "FR", _OVERSEAS, codes="FR-TF", postcodes="984##"),
    _row("WF", "Wallis and Futuna", "FR", _OVERSEAS, codes="FR-WF", postcodes="986##"),
    _row("PF", "French Polynesia", "FR", _OVERSEAS, codes="FR-PF", postcodes="987##"),
    _row("NC", "New Caledonia", "FR", _OVERSEAS, codes="FR-NC", postcodes="988##"),
    _row("MC", "Monaco", "FR", _ART_7 + "(1)", area="FR", postcodes="980##"),
    _row("GB-NIR", "Northern Ireland", "GB", "Withdrawal Agreement, Protocol on Ireland/Northern Ireland, Art. 8",
         area="GB", codes="GB-NIR", postcodes="BT##@@|BT###@@", since=date(2021, 1, 1)),
    _row("GG", "Guernsey", "GB", _ART_6_1 + "(e)", postcodes="GY##@@|GY###@@"),
    _row("IM", "Isle of Man", "GB", "Isle of Man Act 1979 s. 1", area="GB", postcodes="IM##@@|IM###@@"),
    _row("JE", "Jersey", "GB", _ART_6_1 + "(e)", postcodes="JE##@@|JE###@@"),
    _row("GR-69", "Mount Athos", "GR", _ART_6_1 + "(a)", codes="GR-69", postcodes="6308[67]"),
    _row("IT-CAM", "Campione d'Italia and the Italian waters of Lake Lugano", "IT", _ART_6_1 + "(f), (g)",
         postcodes="22061"),
    _row("IT-LIV", "Livigno", "IT", _ART_6_2 + "(e)", postcodes="23041"),
    _row("SM", "San Marino", "IT", "2006/112/EC Art. 5(2)", postcodes="4789#"),
    _row("VA", "Vatican City", "IT", "2006/112/EC Art. 5(2)", postcodes="00120"),
    _row("LI", "Liechtenstein", "CH", "MWSTG Art. 3(a); treaty on VAT of 28 October 1994", area="CH",
         postcodes="948[5-9]|949[0-8]"),
    _row("PT-20", "Azores", "PT", "CIVA Art. 18(3)", area="PT", codes="PT-20", postcodes="9[5-9]##|9[5-9]#####"),
    _row("PT-30", "Madeira", "PT", "CIVA Art. 18(3)", area="PT", codes="PT-30", postcodes="9[0-4]##|9[0-4]#####"),
    _row("SJ", "Svalbard and Jan Mayen", "NO", "Merverdiavgiftsloven § 1-2(2)", codes="NO-21 NO-22",
         postcodes="917#|8099"),
    _row("AW", "Aruba", "NL", _OVERSEAS, codes="NL-AW"),
    _row("BQ", "Bonaire, Sint Eustatius and Saba", "NL", _OVERSEAS, codes="NL-BQ1 NL-BQ2 NL-BQ3"),
    _row("CW", "Curaçao", "NL", _OVERSEAS, codes="NL-CW"),
    _row("SX", "Sint Maarten", "NL", _OVERSEAS, codes="NL-SX"),
)  # fmt: skip
"""Every territory; the first row that contains an address is its territory."""

BY_ID: Final = {territory.id: territory for territory in TERRITORIES}

_BY_COUNTRY: Final = {
    country: tuple(territory for territory in TERRITORIES if country in (territory.id, territory.country))
    for country in {code for territory in TERRITORIES for code in (territory.id, territory.country)}
}

_EU: Final[dict[str, tuple[date | None, date | None]]] = {
    **dict.fromkeys(
        "AT BE BG CY CZ DE DK EE ES FI FR GR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split(), (None, None)
    ),
    "GB": (None, date(2021, 1, 1)),
    "HR": (date(2013, 7, 1), None),
}
"""Whose tax is that of the EU, and between which days. Sources: Treaty of Accession of Croatia (OJ L 112, 24.4.2012);
Withdrawal Agreement of the United Kingdom Art. 126 and 127."""


def is_in_eu(area: str, day: date) -> bool:
    """Tell whether the tax of a country follows the law of the EU on a day."""
    first, after = _EU.get(area, (day, day))
    return (first is None or first <= day) and (after is None or day < after)


@frozen(kw_only=True)
class Location:
    """Where a customer is for tax.

    Attributes:
        country: ISO 3166-1 code.
        area: Country whose tax on services applies there, or empty if none of a country around it.
        territory: Id of a special territory, or empty.
        subdivision: ISO 3166-2 code, or empty.
        postcode: Postal code in its normal form.
    """

    country: str
    area: str
    territory: str = ""
    subdivision: str = ""
    postcode: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """The territory, or else the state, or else the country."""
        return self.territory or self.subdivision or self.country

    @property
    def codes(self) -> tuple[str, ...]:
        """Countries whose rules without a territory apply, the nearest first."""
        own = (self.country,) if self.territory in ("", self.country) else ()
        return tuple(dict.fromkeys((*own, *((self.area,) if self.area else ()))))


def locate(address: Address, day: date) -> Location:
    """Place an address for tax on a day."""
    country, subdivision = address.country, address.subdivision
    postcode = normalise_postcode(address.postcode, country)
    for territory in _BY_COUNTRY.get(country, ()):
        if territory.covers(day) and territory.contains(country=country, subdivision=subdivision, postcode=postcode):
            return Location(
                country=territory.id if territory.has_own_code else country,
                area=territory.area,
                territory=territory.id,
                subdivision=subdivision,
                postcode=postcode,
            )
    return Location(country=country, area=country, subdivision=subdivision, postcode=postcode)
