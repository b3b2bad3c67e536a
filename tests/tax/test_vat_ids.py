"""What a typed tax id is: by its prefix and the address, as printed, and whether people have such numbers, too."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum.in_ import gstin

from prepaid.core.countries import COUNTRIES
from prepaid.core.errors import InvalidRequest
from prepaid.core.tax_ids import MAX_TAX_ID, TaxId
from prepaid.tax.vat_ids import GST_STATES, read_tax_id, requester_of
from tests.tax.numbers import BUSINESSES, HOSTILE, PERSONS, RIGHT, WRONG


def _read(value: str, country: str) -> TaxId:
    tax_id = read_tax_id(value, country=country).tax_id
    assert tax_id is not None
    return tax_id


@pytest.mark.parametrize(("country", "typed", "kind", "issuer", "printed"), RIGHT)
def test_a_number_of_the_right_form_gets_its_kind_its_issuer_and_its_printed_form(
    country, typed, kind, issuer, printed
):
    answer = read_tax_id(typed, country=country)

    assert answer.problem == ""
    assert answer.tax_id is not None
    assert (answer.tax_id.kind, answer.tax_id.country, answer.tax_id.number) == (kind, issuer, printed)


@pytest.mark.parametrize(("country", "typed"), WRONG)
def test_a_number_of_the_wrong_form_is_none_and_the_problem_does_not_repeat_it(country, typed):
    answer = read_tax_id(typed, country=country)

    assert answer.tax_id is None
    assert answer.problem.endswith(".")
    assert typed[-5:] not in answer.problem


@pytest.mark.parametrize(("country", "typed"), [(row[0], row[1]) for row in RIGHT] + PERSONS + BUSINESSES)
def test_a_printed_number_read_again_is_the_same(country, typed):
    tax_id = _read(typed, country)

    assert _read(tax_id.number, country) == tax_id
    assert _read(tax_id.number.lower(), country) == tax_id


@pytest.mark.parametrize(
    ("country", "typed", "printed"), [(row[0], row[1], row[4]) for row in RIGHT if row[2] == "eu_vat"]
)
def test_numbers_of_member_states_need_no_prefix_at_home(country, typed, printed):
    assert _read(typed[2:], country).number == printed


@pytest.mark.parametrize(("typed", "issuer", "printed"), [row[1:2] + row[3:] for row in RIGHT if row[2] == "eu_vat"])
@pytest.mark.parametrize("country", ["US", "HK"])
def test_a_prefix_says_whose_number_it_is_wherever_the_address_is(country, typed, issuer, printed):
    tax_id = _read(typed, country)

    assert (tax_id.kind, tax_id.country, tax_id.number) == ("eu_vat", issuer, printed)


@pytest.mark.parametrize(
    ("country", "typed", "kind", "issuer", "printed"),
    [
        ("DE", "ATU13585627", "eu_vat", "AT", "ATU13585627"),
        ("DE", "GB 980 7806 84", "gb_vat", "GB", "GB980780684"),
        ("IE", "XI980780684", "xi_vat", "GB", "XI980780684"),
        ("LI", "CHE-107.787.577 MWST", "ch_vat", "CH", "CHE107787577MWST"),
        ("SE", "NO995525828MVA", "no_vat", "NO", "NO995525828MVA"),
        # Both ways to write Greece.
        ("GR", "GR094259216", "eu_vat", "GR", "EL094259216"),
        ("EL", "094259216", "eu_vat", "GR", "EL094259216"),
        ("DE", "GR 94259216", "eu_vat", "GR", "EL094259216"),
        # Territories whose numbers another country issues.
        ("MC", "53 0000 04605", "eu_vat", "FR", "FR53000004605"),
        ("MC", "FR53000004605", "eu_vat", "FR", "FR53000004605"),
        ("MC", "40303265045", "eu_vat", "FR", "FR40303265045"),
        ("RE", "40303265045", "eu_vat", "FR", "FR40303265045"),
        ("AX", "20774740", "eu_vat", "FI", "FI20774740"),
        ("IM", "980780684", "gb_vat", "GB", "GB980780684"),
        ("IM", "XI980780684", "xi_vat", "GB", "XI980780684"),
        # The first two characters of a French number may be letters, also FR.
        ("FR", "K7399859412", "eu_vat", "FR", "FRK7399859412"),
    ],
)
def test_the_issuer_is_told_by_the_prefix_and_else_by_the_address(country, typed, kind, issuer, printed):
    tax_id = _read(typed, country)

    assert (tax_id.kind, tax_id.country, tax_id.number) == (kind, issuer, printed)


@pytest.mark.parametrize("postcode", ["BT1 5GS", "bt15gs", "SW1A 1AA", ""])
def test_northern_irish_numbers_are_told_from_british_by_the_prefix_alone(postcode):
    kinds = [
        (answer.tax_id.kind, answer.tax_id.number)
        for typed in ("980780684", "GB980780684", "XI980780684")
        if (answer := read_tax_id(typed, country="GB", postcode=postcode)).tax_id
    ]

    assert kinds == [("gb_vat", "GB980780684"), ("gb_vat", "GB980780684"), ("xi_vat", "XI980780684")]


def test_a_wrong_number_from_northern_ireland_is_answered_with_both_prefixes():
    belfast = read_tax_id("802311781", country="GB", postcode=" bt1 5gs").problem
    london = read_tax_id("802311781", country="GB", postcode="SW1A 1AA").problem

    assert "GB or XI" in belfast
    assert "XI" not in london


def test_the_problem_names_the_prefix_that_was_typed_and_else_the_country():
    assert "AT" in read_tax_id("atu13585626", country="DE").problem
    assert "DE" in read_tax_id("136695978", country="DE").problem


@pytest.mark.parametrize(("country", "typed"), PERSONS)
def test_numbers_that_people_have_without_a_business_are_marked(country, typed):
    assert _read(typed, country).of_person


@pytest.mark.parametrize(("country", "typed"), BUSINESSES)
def test_numbers_that_only_businesses_have_are_not_marked(country, typed):
    assert not _read(typed, country).of_person


def test_a_country_without_a_known_form_gets_its_number_as_typed_without_blanks():
    tax_id = _read(" 1000-1234 5678/90.0003 ", "AE")

    assert (tax_id.kind, tax_id.country, tax_id.number) == ("other", "AE", "1000-12345678/90.0003")
    assert _read("12345", "LI").kind == "other"


@pytest.mark.parametrize("typed", ["123", "NONE", "N/A", "----", "-1234", "1234-", "12+34", "(1234)", "12Ñ34", "1_234"])
def test_a_country_without_a_known_form_does_not_take_anything_for_a_number(typed):
    assert read_tax_id(typed, country="AE").tax_id is None


def test_a_country_without_a_known_form_takes_four_to_forty_characters():
    assert _read("A-1B", "AE").number == "A-1B"
    assert _read("1" * MAX_TAX_ID, "AE").number == "1" * MAX_TAX_ID


@pytest.mark.parametrize(
    "typed",
    [
        "\uff24\uff25\uff11\uff13\uff16\uff16\uff19\uff15\uff19\uff17\uff16",  # full width
        "DE\u3000136\u00a0695\u202f976",
        "DE\u2013136\u2014695\u2212976",
        "DE\u0661\u0663\u0666\u0666\u0669\u0665\u0669\u0667\u0666",
        "DE\u06f1\u06f3\u06f6\u06f6\u06f9\u06f5\u06f9\u06f7\u06f6",
        "de 136.695/976",
        "DE136695976" + " " * 29,
    ],
)
def test_what_keyboards_and_word_processors_put_for_a_character_is_read_as_that(typed):
    assert _read(typed, "DE").number == "DE136695976"


def test_mexican_numbers_may_have_the_letter_n_with_a_tilde_and_an_ampersand():
    assert _read("ñ&B-930714-8T1", "MX").number == "Ñ&B9307148T1"


@pytest.mark.parametrize("typed", HOSTILE)
@pytest.mark.parametrize("country", ["DE", "AE", "IT", "GR"])
def test_hostile_text_is_no_number_anywhere(country, typed):
    answer = read_tax_id(typed, country=country)

    assert answer.tax_id is None
    assert answer.problem.isascii()


@pytest.mark.parametrize("value", [None, 5, b"DE136695976", ["D", "E"], ("DE136695976",), object()])
def test_what_is_no_string_is_refused(value: Any):
    with pytest.raises(InvalidRequest) as refused:
        read_tax_id(value, country="DE")

    assert refused.value.field == "tax_id"


@pytest.mark.parametrize("country", ["XX", "", "de", None])
def test_an_unknown_country_is_refused(country: Any):
    with pytest.raises(InvalidRequest) as refused:
        read_tax_id("DE136695976", country=country)

    assert refused.value.field == "country"


def test_a_number_that_is_too_long_is_not_given_to_the_library(monkeypatch):
    def never(*_arguments: object) -> None:
        raise AssertionError

    monkeypatch.setattr("stdnum.get_cc_module", never)

    assert read_tax_id("1" * (MAX_TAX_ID + 1), country="DE").tax_id is None
    with pytest.raises(AssertionError):
        read_tax_id("1" * MAX_TAX_ID, country="DE")


@pytest.mark.parametrize("slip", [IndexError, ZeroDivisionError, TypeError, KeyError, ValueError])
def test_a_slip_of_the_library_makes_a_number_malformed(monkeypatch, slip):
    def slipping(_number: str) -> str:
        raise slip

    monkeypatch.setattr("stdnum.de.vat.validate", slipping)

    assert read_tax_id("DE136695976", country="DE").tax_id is None


_NUMBERS = st.text(alphabet="0123456789ABEHKLMNORSTUVXZ -./", max_size=18)
_PREFIXES = st.sampled_from(["", "DE", "EL", "GR", "FR", "XI", "GB", "CHE", "NO", "RO", "ES", "IE", "CY", "27", "38"])
_COUNTRIES = st.sampled_from(sorted(COUNTRIES))


@given(value=st.text() | st.builds(str.__add__, _PREFIXES, _NUMBERS), country=_COUNTRIES)
@example(value="Ⅷ", country="AE")
@example(value="ß123", country="AE")
def test_any_text_is_a_stable_printable_number_or_a_problem(value, country):
    answer = read_tax_id(value, country=country)

    assert (answer.tax_id is None) == bool(answer.problem)
    if answer.tax_id:
        number = answer.tax_id.number
        assert number == number.upper()
        assert number.replace("Ñ", "N").isascii()
        assert number.isprintable()
        assert " " not in number
        assert 0 < len(number) <= MAX_TAX_ID
        assert read_tax_id(number, country=country) == answer


@given(digits=st.text(alphabet="0123456789", min_size=5, max_size=14), country=_COUNTRIES)
def test_digits_are_a_stable_number_or_a_problem(digits, country):
    answer = read_tax_id(digits, country=country)

    if answer.tax_id:
        assert read_tax_id(answer.tax_id.number, country=country) == answer


class TestGstin:
    @staticmethod
    def _of_state(code: str, pan: str = "AAPFU0939F") -> str:
        """Complete a number by the rule of the check digit, written down anew."""
        alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        number = f"{code}{pan}1Z"
        total = 0
        for position, character in enumerate(number):
            product = alphabet.index(character) * (position % 2 + 1)
            total += product // 36 + product % 36
        return number + alphabet[-total % 36]

    def test_the_states_of_a_number_are_those_of_the_tax_office(self):
        names = (
            "01 JK, 02 HP, 03 PB, 04 CH, 05 UK, 06 HR, 07 DL, 08 RJ, 09 UP, 10 BR, 11 SK, 12 AR, 13 NL, 14 MN, 15 MZ, "
            "16 TR, 17 ML, 18 AS, 19 WB, 20 JH, 21 OD, 22 CG, 23 MP, 24 GJ, 25 DH, 26 DH, 27 MH, 28 AP, 29 KA, 30 GA, "
            "31 LD, 32 KL, 33 TN, 34 PY, 35 AN, 36 TS, 37 AP, 38 LA"
        )
        expected = {code: f"IN-{letters}" for code, letters in (name.split() for name in names.split(", "))}

        assert dict(GST_STATES) == expected
        assert len(set(GST_STATES.values())) == 36  # 28 states and 8 union territories
        with pytest.raises(TypeError):
            GST_STATES["01"] = "IN-XX"  # type: ignore[index]

    @pytest.mark.parametrize("code", sorted(GST_STATES))
    def test_a_number_tells_its_state(self, code):
        tax_id = _read(self._of_state(code).lower(), "IN")

        assert (tax_id.kind, tax_id.number, tax_id.subdivision) == ("in_gst", self._of_state(code), GST_STATES[code])

    @pytest.mark.parametrize("code", [code for code in sorted(GST_STATES) if code < "38"])
    def test_the_check_digit_is_that_of_the_library_where_it_knows_the_state(self, code):
        assert gstin.is_valid(self._of_state(code))

    @pytest.mark.parametrize("code", ["96", "97", "99"])
    def test_numbers_of_no_state_are_right_and_tell_none(self, code):
        tax_id = _read(self._of_state(code), "IN")

        assert (tax_id.kind, tax_id.subdivision) == ("in_gst", "")

    @pytest.mark.parametrize("code", ["00", "39", "95", "98"])
    def test_there_are_no_other_states(self, code):
        assert read_tax_id(self._of_state(code), country="IN").tax_id is None

    @pytest.mark.parametrize("code", ["27", "38", "97"])
    def test_every_wrong_check_digit_is_found(self, code):
        number = self._of_state(code)
        others = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") - {number[-1]}

        assert not [one for one in others if read_tax_id(number[:-1] + one, country="IN").tax_id]

    def test_the_number_of_a_person_is_given_with_a_registration(self):
        assert not _read(self._of_state("27", "AAAPA1234A"), "IN").of_person

    def test_only_an_indian_address_makes_a_number_indian(self):
        assert read_tax_id("27AAPFU0939F1ZV", country="DE").tax_id is None


class TestRequester:
    def test_the_first_number_that_the_register_knows_the_seller_by_is_taken(self):
        found = requester_of(("91-1144442", "HRB 12345", "136695976", "ATU13585627"), country="DE")

        assert found is not None
        assert (found.kind, found.number) == ("eu_vat", "DE136695976")

    def test_a_northern_irish_seller_asks_with_its_number_for_goods(self):
        found = requester_of(("GB980780684", "XI980780684"), country="GB")

        assert found is not None
        assert (found.kind, found.number) == ("xi_vat", "XI980780684")

    @pytest.mark.parametrize(
        ("tax_ids", "country"),
        [((), "DE"), (("DE136695978",), "DE"), (("GB980780684",), "GB"), (("CHE-107.787.577 MWST",), "CH")],
    )
    def test_a_seller_without_such_a_number_asks_without(self, tax_ids, country):
        assert requester_of(tax_ids, country=country) is None


_OFFLINE = """
import socket, sys
import stdnum.util
def never(*arguments, **named):
    raise SystemExit("the network was asked for")
socket.socket = socket.create_connection = socket.getaddrinfo = never
stdnum.util.get_soap_client = never
from prepaid.tax.vat_ids import read_tax_id
for line in sys.stdin:
    country, typed = line.rstrip().split("|")
    if read_tax_id(typed, country=country).tax_id is None:
        raise SystemExit(f"not read: {country}")
print(sorted({"requests", "zeep", "suds", "urllib.request"} & set(sys.modules)))
"""


def test_neither_the_network_nor_its_helpers_in_the_library_are_touched():
    # In a process of its own: the library takes its helpers by name when its modules are loaded.
    typed = [(row[0], row[1]) for row in RIGHT] + PERSONS + BUSINESSES
    lines = "\n".join("|".join(pair) for pair in typed)
    done = subprocess.run(
        [sys.executable, "-c", _OFFLINE], input=lines, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", "[]")
