"""What a typed tax id is: whose number, of which kind, and how documents print it.

A number of the right form is no proof of anything: check digits can be computed by
anybody, and many countries give numbers of the same form to people who are not in
business. Only a register's answer, or an operator's word, says that a customer is.

The form is asked of python-stdnum, here and nowhere else, and of its offline part
only. It takes more than a form field should, so what is typed is judged first: at
most `MAX_TAX_ID` characters, those of a keyboard. Full-width characters, the digits of
Arabic and Persian keyboards, typographic dashes and no-break spaces are read as what
they stand for. Nothing else is: compatibility normalisation would also make digits of
circled and superscript ones, and a number with invisible characters was not typed.

Some forms are wider than python-stdnum's, since a customer cannot correct what is
right: GST states that it does not know, Cypriot numbers from 2023 on, and numbers for
VAT where it only knows numbers for other taxes. Some are narrower: an EIN that is
grouped like a social security number is refused.

>>> read_tax_id("at u13585627", country="DE").tax_id.number
'ATU13585627'
>>> read_tax_id("40 303 265 045", country="FR").tax_id.number
'FR40303265045'
>>> read_tax_id("980780684", country="IM").tax_id.kind
'gb_vat'

Sources: Directive 2006/112/EC Art. 214-215 (prefixes), Art. 7 (Monaco counts as France, the Isle of Man as the
United Kingdom); Council Directive (EU) 2020/1756 (XI); CGST Act 2017 and rule 10 of its rules (GSTIN: state code,
PAN, entity, check digit); the list of state codes in the GST portal; ISO 3166-2:IN in its version of November 2023;
Swiss ordinance on the UID, SR 431.031 (suffix MWST, TVA, IVA or TPV for VAT); the
modules of python-stdnum 2.2 (forms, and which of them are those of natural persons); Cyprus Tax Department, notice
on new numbers of 27 March 2023 (they begin with 6); OECD and EU country sheets on tax identification numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from ..core.countries import country_code, tax_prefix
from ..core.errors import InvalidRequest
from ..core.tax_ids import MAX_TAX_ID, ReadTaxId, TaxId

GST_STATES: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"{number:02}": f"IN-{letters}"
        for number, letters in enumerate(
            (
                "JK HP PB CH UK HR DL RJ UP BR SK AR NL MN MZ TR ML AS WB JH "
                "OD CG MP GJ DH DH MH AP KA GA LD KL TN PY AN TS AP LA"
            ).split(),
            start=1,
        )
    }
)
"""ISO 3166-2 codes by the state code that a GSTIN begins with.

25 and 26 were Daman and Diu, and Dadra and Nagar Haveli, one union territory since
2020; 28 was Andhra Pradesh before Telangana (36) left it, 37 is what remains.
"""

_GST_NO_STATES: Final = frozenset(("96", "97", "99"))
"""State codes of GSTINs that tell no state: foreign country, other territory, centre."""

_EU_PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        prefix: prefix
        for prefix in ("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK").split()
    }
    | {"EL": "GR"}
)
"""Member states by the letters that people put before their numbers."""

_ISSUERS: Final[Mapping[str, str]] = MappingProxyType(
    {"AX": "FI", "GP": "FR", "IM": "GB", "MC": "FR", "MQ": "FR", "RE": "FR"}
)
"""Who issues the numbers of countries and territories that have none of their own."""

_OTHER_MODULES: Final[Mapping[str, str]] = MappingProxyType({"UA": "edrpou", "ZA": "tin"})
"""What python-stdnum has of countries of whose VAT it has nothing."""

_TRADERS: Final[Mapping[str, str]] = MappingProxyType(
    {"BR": "cpf", "CR": "cpf", "DO": "cedula", "IL": "idnr", "TH": "pin", "TR": "tckimlik", "UA": "rntrc"}
)
"""Numbers of people, where a sole trader has no other."""

_MORE_VAT: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "JP": re.compile(r"T[0-9]{13}"),  # issuer of qualified invoices; a company's is T and its corporate number
        "UA": re.compile(r"[0-9]{12}"),
        "ZA": re.compile(r"4[0-9]{9}"),
    }
)
"""Numbers for VAT that python-stdnum has not; their check digits are not computed."""

_ALWAYS: Final = ".*"

_OF_PERSONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # One number for everybody, in business or not.
        **dict.fromkeys(("CL", "CO", "GR", "GT", "HR", "ID", "NZ", "PY", "SI", "SV", "TR", "VN"), _ALWAYS),
        # Of these it is not known how people's numbers differ, or whether they do.
        **dict.fromkeys(("DZ", "EG", "GN"), _ALWAYS),
        "AD": "[EF].*",  # residents and others, without business
        "AR": "2.*",  # CUIL of employees
        "AZ": ".*2",
        "BG": "[0-9]{10}",  # EGN, number of a foreigner
        "BY": "[A-Z].*",
        "CY": "[069].*",  # TIC of people; those from 2023 on do not tell whose they are
        "CZ": "[0-9]{9,10}",  # birth number
        "EC": "[0-9]{2}[0-6].*",  # identity card
        "ES": "[0-9KLMXYZ].*",  # DNI, NIE, and those that have neither
        "GH": "P.*",
        "IE": "[0-9]{7}[A-Z][A-GI-Z]?",  # PPS number; H is for companies
        "KE": "A.*",
        "LT": "[0-9]{12}",
        "LV": "[0-3].*",  # personal code
        "MX": "[A-ZÑ&]{4}.*",  # four letters of a person's name, three of a company's
        "MZ": "1.*",
        "PE": "1.*",
        "PT": "[123].*|45.*",
        "RO": "[0-9]{13}",  # CNP
        "RU": "[0-9]{12}",
        "SE": "[0-9]{2}[01].*",  # personal identity number and 01; a company's third digit is 2 or more
        "SK": "[0-9]{2}[0156].*",  # birth number; DIČ is given to those in business only
        "VE": "[EPV].*",
        "ZA": "[0-3].*",
    }
)
"""Which numbers have the form of natural persons' numbers, by issuer and without prefix.

Not here: numbers that are given with a registration for VAT, or for a business,
also if a person has it (AT, BE, DE, DK, EE, FI, FR, GB, HU, IT, LU, MT, NL, PL).
"""

_CHARACTERS: Final = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " ")
    | {chr(zero + digit): str(digit) for zero in (0x660, 0x6F0) for digit in range(10)}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
)
_TYPED: Final = re.compile("[ -~Ññ]*")  # Ñ is in Mexican numbers
_SEPARATORS: Final = re.compile(r"[ \-./,:_()']")
_GSTIN: Final = re.compile(r"([0-9]{2})([A-Z]{5}[0-9]{4}[A-Z])[1-9A-Z]Z[0-9A-Z]")
_GSTIN_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EIN: Final = re.compile(r"[0-9]{2}[- ]?[0-9]{7}")
_NEW_CYPRIOT: Final = re.compile(r"6[0-9]{7}[A-Z]")
_UNKNOWN_FORM: Final = re.compile(r"(?=.*[0-9])[A-Z0-9][A-Z0-9./-]{2,38}[A-Z0-9]")


def read_tax_id(value: str, *, country: str, postcode: str = "") -> ReadTaxId:
    """Tell what a number typed by a customer is. That it has the form of one is no proof that it exists.

    A prefix says whose number it is, also if the address is in another country;
    whether the two agree is judged elsewhere. Without one it is taken for a number
    of the address's country.

    Args:
        value: The number as typed.
        country: ISO 3166-1 code of the customer's address.
        postcode: Of the address; Northern Ireland's are told both of their prefixes if a number is wrong.

    Raises:
        InvalidRequest: Not a string, or no such country. A wrong number is an answer, not an error.
    """
    if not isinstance(value, str):
        raise InvalidRequest("tax_id is a string.", field="tax_id")
    home = country_code(country)
    text = _plain(value)
    if not text:
        return ReadTaxId(
            tax_id=None, problem=f"A tax id has 1 to {MAX_TAX_ID} letters, digits and separators, and nothing else."
        )
    tax_id = _by_prefix(_bare(text)) or _by_country(text, home)
    return ReadTaxId(tax_id=tax_id, problem="" if tax_id else _problem(text, home, postcode))


def requester_of(tax_ids: tuple[str, ...], *, country: str) -> TaxId | None:
    """Give the first of a seller's numbers with which it may ask the EU's register about others, or None.

    Raises:
        InvalidRequest: A number is not a string, or there is no such country.
    """
    numbers = (read_tax_id(tax_id, country=country).tax_id for tax_id in tax_ids)
    return next((number for number in numbers if number and number.kind in {"eu_vat", "xi_vat"}), None)


def _plain(value: str) -> str:
    """Give what was typed in upper case, or nothing if it cannot be part of a number."""
    if len(value) > MAX_TAX_ID:
        return ""
    text = value.translate(_CHARACTERS)
    # Only then in upper case: that makes an I of a dotless one.
    return text.strip(" ").upper() if _TYPED.fullmatch(text) else ""


def _bare(text: str) -> str:
    return _SEPARATORS.sub("", text)


def _by_prefix(bare: str) -> TaxId | None:
    prefix, rest = bare[:2], bare[2:]
    if prefix in _EU_PREFIXES:
        return _eu_vat(_EU_PREFIXES[prefix], rest)
    if prefix in {"GB", "XI"}:
        return _uk_vat(prefix, rest)
    if prefix == "NO":
        return _no_vat(rest)
    return _ch_vat(bare) if bare.startswith("CHE") else None


def _by_country(text: str, home: str) -> TaxId | None:
    issuer = _ISSUERS.get(home, home)
    bare = _bare(text)
    if issuer in _EU_PREFIXES:
        return _eu_vat(issuer, bare)
    if issuer == "US":
        return _us_ein(text)
    own = _OWN_READERS.get(issuer)
    if own:
        return own(bare)
    if not _known(issuer):
        return _of_unknown_form(text, issuer)
    return _of_country(bare, issuer) or _of_country(bare.removeprefix(issuer), issuer)


def _eu_vat(issuer: str, rest: str) -> TaxId | None:
    prefix = tax_prefix(issuer)
    # With the prefix, of which exactly one is taken off: French numbers may begin with the letters FR again.
    found = _validated(issuer, "vat", prefix + rest)
    if found is None and issuer == "CY" and _NEW_CYPRIOT.fullmatch(rest):
        found = rest
    if found is None:
        return None
    if issuer == "RO":  # the only one that keeps it
        found = found.removeprefix(prefix)
    return TaxId(kind="eu_vat", country=issuer, number=prefix + found, of_person=_of_person(issuer, found))


def _uk_vat(prefix: str, rest: str) -> TaxId | None:
    found = _validated("GB", "vat", prefix + rest)
    return TaxId(kind=f"{prefix.lower()}_vat", country="GB", number=prefix + found) if found else None


def _ch_vat(bare: str) -> TaxId | None:
    """Read a UID with or without the suffix for VAT: people leave it out, and the register asks without."""
    found = _validated("CH", "uid", bare) or _validated("CH", "vat", bare)
    return TaxId(kind="ch_vat", country="CH", number=found) if found else None


def _no_vat(rest: str) -> TaxId | None:
    found = _validated("NO", "vat", f"NO{rest}")
    return TaxId(kind="no_vat", country="NO", number=f"NO{found}") if found else None


def _in_gst(bare: str) -> TaxId | None:
    """Read a GSTIN; that of a person (PAN with P) comes with a registration, too."""
    from stdnum import luhn

    form = _GSTIN.fullmatch(bare)
    if not form or form[1] not in GST_STATES.keys() | _GST_NO_STATES:
        return None
    if not _validated("IN", "pan", form[2]) or not luhn.is_valid(bare, _GSTIN_DIGITS):
        return None
    return TaxId(kind="in_gst", country="IN", number=bare, subdivision=GST_STATES.get(form[1], ""))


def _us_ein(text: str) -> TaxId | None:
    # As it is grouped: a social security number has nine digits as well, and must not get onto documents.
    found = _validated("US", "ein", _bare(text)) if _EIN.fullmatch(text) else None
    return TaxId(kind="us_ein", country="US", number=found) if found else None


def _of_country(bare: str, issuer: str) -> TaxId | None:
    main = _OTHER_MODULES.get(issuer, "vat")
    kind = {"AU": "au_abn", "CA": "ca_bn"}.get(issuer, f"{issuer.lower()}_{'vat' if main == 'vat' else 'tin'}")
    found = _validated(issuer, main, bare)
    if found:
        return TaxId(kind=kind, country=issuer, number=found, of_person=_of_person(issuer, found))
    if issuer in _MORE_VAT and _MORE_VAT[issuer].fullmatch(bare):
        return TaxId(kind=f"{issuer.lower()}_vat", country=issuer, number=bare)
    found = _validated(issuer, _TRADERS[issuer], bare) if issuer in _TRADERS else None
    return TaxId(kind=f"{issuer.lower()}_tin", country=issuer, number=found, of_person=True) if found else None


def _of_unknown_form(text: str, issuer: str) -> TaxId | None:
    """Take a number as it is: which of its separators mean something is not known."""
    number = text.replace(" ", "")
    return TaxId(kind="other", country=issuer, number=number) if _UNKNOWN_FORM.fullmatch(number) else None


def _of_person(issuer: str, number: str) -> bool:
    return bool(issuer in _OF_PERSONS and re.fullmatch(_OF_PERSONS[issuer], number))


def _known(issuer: str) -> bool:
    from stdnum import get_cc_module

    return get_cc_module(issuer, _OTHER_MODULES.get(issuer, "vat")) is not None


def _validated(issuer: str, name: str, number: str) -> str | None:
    """Ask python-stdnum for the short form of a number, or None if it has the wrong form."""
    from stdnum import get_cc_module

    module = get_cc_module(issuer, name)
    try:
        return module.validate(number) if module else None
    except (ValueError, LookupError, ArithmeticError, TypeError):
        # Its own errors are the first; a slip in one of its modules is no reason to fail a customer's form.
        return None


def _problem(text: str, home: str, postcode: str) -> str:
    prefix = text[:2]
    if prefix in _EU_PREFIXES or prefix in {"GB", "XI", "NO"}:
        return f"This has not the form of a VAT number that begins with {prefix}. Please check its letters and digits."
    if home == "GB" and postcode.lstrip().upper().startswith("BT"):
        return "In Northern Ireland VAT numbers begin with GB or XI, and this is none. Please check its digits."
    return f"This has not the form of a tax id of {home}. Please check its letters and digits."


_OWN_READERS: Final[Mapping[str, Callable[[str], TaxId | None]]] = MappingProxyType(
    {"CH": _ch_vat, "GB": partial(_uk_vat, "GB"), "IN": _in_gst, "NO": _no_vat}
)
