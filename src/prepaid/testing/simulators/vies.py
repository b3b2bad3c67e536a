"""VIES on a loopback port: numbers that are valid, countries that are down, the table of its test service, and faults.

Give `ViesSimulator.url` to ``Vies(url=...)``. Numbers are valid that a test
registers, all others of the right form are invalid; the short numbers of the
official test service, from 100 to 601, are answered by its table.

Sources: https://ec.europa.eu/assets/taxud/vow-information/swagger_publicVAT.yaml
(paths, names of fields, form of errors); https://ec.europa.eu/taxation_customs/vies/checkVatTestService.wsdl
(the table of the test service).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ...core.countries import tax_prefix
from ...ports import Clock
from ...system import SystemClock
from .loopback import FAULTS, Answer, Fault, LoopbackServer, Request, rewriting

TEST_NUMBERS: Final[Mapping[str, str]] = {
    "100": "VALID",
    "200": "INVALID",
    "201": "INVALID_INPUT",
    "202": "INVALID_REQUESTER_INFO",
    "300": "SERVICE_UNAVAILABLE",
    "301": "MS_UNAVAILABLE",
    "302": "TIMEOUT",
    "400": "VAT_BLOCKED",
    "401": "IP_BLOCKED",
    "500": "GLOBAL_MAX_CONCURRENT_REQ",
    "501": "GLOBAL_MAX_CONCURRENT_REQ_TIME",
    "600": "MS_MAX_CONCURRENT_REQ",
    "601": "MS_MAX_CONCURRENT_REQ_TIME",
}
"""What the official test service answers, by number, whatever the country."""

PREFIXES: Final = frozenset(
    "AT BE BG CY CZ DE DK EE EL ES FI FR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK XI".split()
)
"""What the numbers begin with that VIES knows."""

SECRETIVE: Final = frozenset({"DE", "ES"})
"""Countries that tell neither name nor address."""

_PATHS: Final = frozenset({"/check-vat-number", "/check-vat-test-service"})
_NOTHING: Final = "---"
_NUMBER = re.compile(r"[0-9A-Z+*]{2,12}", re.ASCII)
_TRADER: Final = ("Name", "Street", "PostalCode", "City", "CompanyType")

Object = dict[str, Any]


class _Refused(Exception):
    """A question that is answered by an error."""

    def __init__(self, code: str, *, status: int = 200) -> None:
        super().__init__(code)
        self.answer = _error(code, status=status)


def _error(code: str, *, status: int = 200) -> Answer:
    return Answer.of_json({"actionSucceed": False, "errorWrappers": [{"error": code}]}, status=status)


def _of_another(content: Object) -> None:
    if "vatNumber" in content:
        content["vatNumber"] = "0" + content["vatNumber"]


def _outage_as_invalid(content: Object) -> None:
    content.pop("errorWrappers", None)
    content.pop("actionSucceed", None)
    content.update(valid=False, userError="MS_UNAVAILABLE", name=_NOTHING, address=_NOTHING)


class ViesSimulator(LoopbackServer):
    """VIES as far as the check of one number goes.

    Faults of `fault_next` beside the general ones: ``429`` and ``500``;
    ``redirect``; ``wrong-id`` (the answer is about another number);
    ``outage-as-invalid`` (the register of the country is down, and the answer
    says *invalid* with the true reason beside it).
    """

    faults: Mapping[str, Fault] = {
        **FAULTS,
        "429": Fault(spoil=lambda answer: Answer(status=429, headers={"Retry-After": "7"}), executed=False),
        "500": Fault(spoil=lambda answer: _error("VOW-ERR-1", status=500), executed=False),
        "redirect": Fault(spoil=lambda answer: Answer(status=302, headers={"Location": "/sorry"}), executed=False),
        "wrong-id": rewriting(_of_another),
        "outage-as-invalid": rewriting(_outage_as_invalid),
    }

    def __init__(self, *, clock: Clock | None = None) -> None:
        """Set up registers without any number.

        Args:
            clock: For the dates of answers; the machine's by default.
        """
        super().__init__()
        self._clock = clock or SystemClock()
        self._registered: dict[tuple[str, str], tuple[str, str]] = {}
        self._refused: set[tuple[str, str]] = set()
        self._countries_down: set[str] = set()
        self._down = False
        self._consultations = 0

    # What the registers do.

    def register(self, number: str, *, name: str = _NOTHING, address: str = _NOTHING) -> None:
        """Make a number valid, such as ``"FR40303265045"``; Germany and Spain tell no name and no address all the same.

        Args:
            number: With its prefix.
            name: Of whose number it is.
            address: With line breaks, as VIES gives it.
        """
        with self.lock:
            self._registered[_parts(number)] = (name, address)

    def unregister(self, number: str) -> None:
        """Make a number invalid."""
        with self.lock:
            self._registered.pop(_parts(number), None)

    def refuse_requester(self, number: str) -> None:
        """Accept a number no more as that of who asks."""
        with self.lock:
            self._refused.add(_parts(number))

    def country_down(self, country: str) -> None:
        """Let the register of a country, or of ``XI``, be unavailable."""
        with self.lock:
            self._countries_down.add(tax_prefix(country))

    def country_up(self, country: str) -> None:
        """Let the register of a country answer again."""
        with self.lock:
            self._countries_down.discard(tax_prefix(country))

    def down(self) -> None:
        """Let VIES itself be unavailable."""
        with self.lock:
            self._down = True

    def up(self) -> None:
        """Let VIES answer again."""
        with self.lock:
            self._down = False

    # What comes in over the wire.

    def answer(self, request: Request) -> Answer:
        """Answer a question as VIES would."""
        try:
            return Answer.of_json(self._checked(_question(request)))
        except _Refused as refused:
            return refused.answer

    def _checked(self, question: Mapping[str, str]) -> Object:
        asked = (question["countryCode"], question["vatNumber"])
        if self._down:
            raise _Refused("SERVICE_UNAVAILABLE")
        if asked[0] not in PREFIXES or not _NUMBER.fullmatch(asked[1]):
            raise _Refused("INVALID_INPUT")
        consultation = self._consultation_for(question)
        valid = self._validity(*asked)
        return self._reply(asked, valid, consultation)

    def _consultation_for(self, question: Mapping[str, str]) -> str:
        if not {"requesterMemberStateCode", "requesterNumber"} & question.keys():
            return ""
        who = (question.get("requesterMemberStateCode", ""), question.get("requesterNumber", ""))
        if who[0] not in PREFIXES or not _NUMBER.fullmatch(who[1]) or who in self._refused:
            raise _Refused("INVALID_REQUESTER_INFO")
        self._consultations += 1
        return f"WAPISIM{self._consultations:09d}"

    def _validity(self, prefix: str, number: str) -> bool:
        word = TEST_NUMBERS.get(number)
        if word is None and prefix in self._countries_down:
            word = "MS_UNAVAILABLE"
        if word not in {None, "VALID", "INVALID"}:
            raise _Refused(str(word))
        return word == "VALID" or (prefix, number) in self._registered

    def _reply(self, asked: tuple[str, str], valid: bool, consultation: str) -> Object:
        prefix, number = asked
        name, address = self._registered.get(asked, (_NOTHING, _NOTHING))
        if prefix in SECRETIVE:
            name = address = _NOTHING
        at = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "countryCode": prefix,
            "vatNumber": number,
            "requestDate": at,
            "valid": valid,
            "requestIdentifier": consultation,
            "name": name,
            "address": address,
            **{f"trader{what}": _NOTHING for what in _TRADER},
            **{f"trader{what}Match": "NOT_PROCESSED" for what in _TRADER},
        }


def _parts(number: str) -> tuple[str, str]:
    return tax_prefix(number[:2]), number[2:]


def _question(request: Request) -> Mapping[str, str]:
    if request.method != "POST" or request.path not in _PATHS:
        raise _Refused("VOW-ERR-1", status=404)
    try:
        question = request.json()
    except ValueError:
        question = None
    if not isinstance(question, dict) or not all(isinstance(value, str) for value in question.values()):
        raise _Refused("VOW-ERR-1", status=500)
    if not question.get("countryCode") or not question.get("vatNumber"):
        raise _Refused("VOW-ERR-11", status=400)
    return question
