"""Countries by ISO 3166-1, and the codes that tax registers use in their place.

>>> country_code("EL"), country_code("UK"), country_code("DE")
('GR', 'GB', 'DE')
>>> tax_prefix("GR")
'EL'

>>> subdivision_code("IN-OR")
'IN-OD'

Sources: ISO 3166-1 (alpha-2 codes officially assigned; XK is user-assigned, and used by the EU for Kosovo);
Directive 2006/112/EC Art. 215 (prefixes of VAT numbers: Greece uses EL); Council Directive (EU) 2020/1756 (XI for
goods in Northern Ireland); ISO 3166-2 newsletters of 2020-11-24 and 2023-11-23 (new codes of Indian states).
"""

from __future__ import annotations

import re
from typing import Final

from .errors import InvalidRequest

COUNTRIES: Final = frozenset(
    (
        "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
        "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
        "FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
        "IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
        "ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
        "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
        "TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK"
    ).split()
)

_OTHER_CODES: Final = {"EL": "GR", "UK": "GB"}
"""Codes in use for countries whose code is another."""


_FORMER_SUBDIVISIONS: Final = {
    "IN-CT": "IN-CG",
    "IN-DD": "IN-DH",
    "IN-DN": "IN-DH",
    "IN-OR": "IN-OD",
    "IN-TG": "IN-TS",
    "IN-UT": "IN-UK",
}
"""Codes of states that have another one now."""

_STATES: Final = {
    "CA": frozenset("AB BC MB NB NL NS NT NU ON PE QC SK YT".split()),
    "IN": frozenset(
        (
            "AN AP AR AS BR CG CH DH DL GA GJ HP HR JH JK KA KL LA LD MH ML MN MP MZ NL OD PB PY RJ SK TN TR TS UK "
            "UP WB"
        ).split()
    ),
    "US": frozenset(
        (
            "AK AL AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP MS MT NC ND NE NH NJ "
            "NM NV NY OH OK OR PA PR RI SC SD TN TX UM UT VA VI VT WA WI WV WY"
        ).split()
    ),
}
"""Of countries that have taxes of their states: the states. Of others any code of the form will do."""

_SUBDIVISION: Final = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}", re.ASCII)


def country_code(value: object, *, field: str = "country") -> str:
    """Return the ISO 3166-1 alpha-2 code of a country; ``EL`` and ``UK`` are taken for Greece and the United Kingdom.

    Raises:
        InvalidRequest: No such country; ``XI`` is only a prefix of VAT numbers.
    """
    if isinstance(value, str) and value in COUNTRIES:
        return value
    if isinstance(value, str) and value in _OTHER_CODES:
        return _OTHER_CODES[value]
    if value == "XI":
        raise InvalidRequest(f"{field}: addresses in Northern Ireland have the country GB.", field=field)
    raise InvalidRequest(f"{field} is a two-letter country code such as 'DE'.", field=field)


_NO_SUBDIVISION: Final = "subdivision is an ISO 3166-2 code of the country, such as 'US-TX'."


def subdivision_code(value: object) -> str:
    """Return the ISO 3166-2 code of a state or province, or empty; a former code is taken for the one of today.

    Raises:
        InvalidRequest: Another form.
    """
    if not isinstance(value, str) or (value and not _SUBDIVISION.fullmatch(value)):
        raise InvalidRequest(_NO_SUBDIVISION, field="subdivision")
    return _FORMER_SUBDIVISIONS.get(value, value)


def check_subdivision(subdivision: str, *, country: str) -> None:
    """Make sure that a state or province, if there is one, is of a country.

    Raises:
        InvalidRequest: It is of another.
    """
    if not subdivision:
        return
    known = _STATES.get(country)
    if not subdivision.startswith(f"{country}-") or (known is not None and subdivision[3:] not in known):
        raise InvalidRequest(_NO_SUBDIVISION, field="subdivision")


def tax_prefix(country: str) -> str:
    """Give the letters that VAT numbers of a country begin with."""
    return "EL" if country == "GR" else country
