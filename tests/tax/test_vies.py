"""VIES over real sockets: only its plain word makes a number valid or invalid, and no peer holds or breaks a check."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import attrs
import pytest

from prepaid.core.errors import ConfigurationError
from prepaid.core.ids import check_text
from prepaid.core.tax_ids import RegisterAnswer, TaxId
from prepaid.ports import TaxIdRegister
from prepaid.tax.vies import URL, Limits, NoAnswer, Vies
from prepaid.testing.simulators.loopback import Answer, Fault, rewriting
from prepaid.testing.simulators.vies import TEST_NUMBERS, ViesSimulator
from tests.gateways.ears import listening
from tests.gateways.peers import a_peer, drips_its_body, drips_its_headers, says_nothing

QUICK = Limits(connect_timeout_s=0.5, read_timeout_s=0.3, budget_s=0.6)
DEADLINE_S = 5
"""Far more than `QUICK` allows, for a slow machine, and far less than a peer without bounds would hold us."""

FRENCH = TaxId(kind="eu_vat", country="FR", number="FR40303265045")
GREEK = TaxId(kind="eu_vat", country="GR", number="EL094259216")
GERMAN = TaxId(kind="eu_vat", country="DE", number="DE136695976")
NORTHERN = TaxId(kind="xi_vat", country="GB", number="XI980780684")
BRITISH = TaxId(kind="gb_vat", country="GB", number="GB980780684")
SELLER = TaxId(kind="eu_vat", country="AT", number="ATU13585627")

NAME, ADDRESS = "SA Ada Lovelace", "1 Rue du Calcul\n75001 Paris"
NUMBER = FRENCH.number[2:]
HONEST = {"countryCode": "FR", "vatNumber": NUMBER, "valid": True, "requestIdentifier": "", "name": "---"}

OF_COUNTRY = {"timeout", "MS_UNAVAILABLE", "MS_MAX_CONCURRENT_REQ", "MS_MAX_CONCURRENT_REQ_TIME", "TIMEOUT"}


@pytest.fixture
def simulator():
    with ViesSimulator() as running:
        yield running


@pytest.fixture
def vies(simulator):
    return Vies(url=simulator.url)


@pytest.fixture
def hasty(simulator):
    """A client for faults that would hold it for long."""
    return Vies(url=simulator.url, limits=QUICK)


def of(number, country="FR"):
    return TaxId(kind="eu_vat", country=country, number=country + number)


def asked(vies, tax_id=FRENCH, requester=None):
    started = time.monotonic()
    answer = vies.check(tax_id, requester=requester)
    assert time.monotonic() - started < DEADLINE_S
    return answer


def summary(answer):
    return answer.state, answer.reason, answer.of_country


def unavailable(reason):
    return "unavailable", reason, reason in OF_COUNTRY


def questions(simulator):
    return [request.json() for request in simulator.requests]


def said(body, status=200, tax_id=FRENCH):
    """Give what a check makes of a reply."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Vies(transport=lambda url, question, **limits: (status, body)).check(tax_id, requester=None)


# The table of the official test service.

EXPECTED = {
    "100": ("valid", "", False),
    "200": ("invalid", "", False),
    "201": ("malformed", "INVALID_INPUT", False),
    **{number: unavailable(word) for number, word in TEST_NUMBERS.items() if number not in {"100", "200", "201"}},
}


@pytest.mark.parametrize("number", TEST_NUMBERS)
def test_each_number_of_the_test_service_has_its_state(vies, simulator, number):
    assert summary(asked(vies, of(number))) == EXPECTED[number]
    assert questions(simulator) == [{"countryCode": "FR", "vatNumber": number}]


def test_the_table_tells_countries_from_vies_itself():
    of_country = {number for number, (_, _, concerned) in EXPECTED.items() if concerned}
    assert of_country == {"301", "302", "600", "601"}


# What is asked, and what is told.


def test_vies_is_a_register_of_tax_ids_and_making_one_asks_nobody(simulator):
    register = Vies(url=simulator.url)
    assert isinstance(register, TaxIdRegister)
    assert register.name == "vies"
    assert [register.covers(tax_id) for tax_id in (FRENCH, GREEK, NORTHERN, BRITISH)] == [True, True, True, False]
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("tax_id", "prefix"),
    [
        (FRENCH, "FR"),
        (GREEK, "EL"),
        (NORTHERN, "XI"),
        (attrs.evolve(GREEK, number="GR094259216"), "EL"),
        (attrs.evolve(NORTHERN, number="GB980780684"), "XI"),
        (TaxId(kind="eu_vat", country="MC", number="FR53000004605"), "FR"),
    ],
)
def test_a_number_is_asked_about_without_its_prefix_under_the_letters_that_vies_uses(vies, simulator, tax_id, prefix):
    asked(vies, tax_id)
    assert questions(simulator) == [{"countryCode": prefix, "vatNumber": tax_id.number[2:]}]


def test_a_valid_number_comes_with_the_name_and_the_address_on_one_line(vies, simulator):
    simulator.register(FRENCH.number, name=NAME, address=ADDRESS)
    answer = asked(vies)
    assert (answer.state, answer.name, answer.address) == ("valid", NAME, "1 Rue du Calcul, 75001 Paris")
    assert answer.consultation == ""
    assert json.loads(answer.raw)["valid"] is True


def test_germany_confirms_a_number_and_tells_no_name(vies, simulator):
    simulator.register(GERMAN.number, name=NAME, address=ADDRESS)
    answer = asked(vies, GERMAN)
    assert (answer.state, answer.name, answer.address) == ("valid", "", "")


def test_a_number_that_is_no_longer_registered_is_invalid(vies, simulator):
    simulator.register("GR094259216")
    assert asked(vies, GREEK).state == "valid"
    simulator.unregister("EL094259216")
    assert summary(asked(vies, GREEK)) == ("invalid", "", False)


def test_the_sellers_number_buys_a_consultation_number(vies, simulator):
    simulator.register(FRENCH.number)
    first, second = (asked(vies, requester=SELLER).consultation for _ in range(2))
    assert first
    assert second
    assert first != second
    assert questions(simulator)[0] == {
        "countryCode": "FR",
        "vatNumber": NUMBER,
        "requesterMemberStateCode": "AT",
        "requesterNumber": "U13585627",
    }


def test_a_seller_of_another_kind_is_not_sent(vies, simulator):
    assert asked(vies, requester=BRITISH).state == "invalid"
    assert questions(simulator) == [{"countryCode": "FR", "vatNumber": NUMBER}]


def test_a_seller_that_vies_refuses_is_left_out_once_with_a_warning_without_numbers(vies, simulator, caplog):
    simulator.register(FRENCH.number)
    simulator.refuse_requester(SELLER.number)
    answer = asked(vies, requester=SELLER)
    assert (answer.state, answer.consultation) == ("valid", "")
    assert [sorted(question) for question in questions(simulator)] == [
        ["countryCode", "requesterMemberStateCode", "requesterNumber", "vatNumber"],
        ["countryCode", "vatNumber"],
    ]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("prepaid.tax", "WARNING")
    assert not any(digit in record.getMessage() for digit in "0123456789")


def test_a_refusal_of_the_seller_that_comes_again_without_one_is_no_answer(vies, simulator):
    assert summary(asked(vies, of("202"), requester=SELLER)) == unavailable("INVALID_REQUESTER_INFO")
    assert len(simulator.requests) == 2


def test_a_number_that_vies_does_not_cover_is_a_mistake_of_the_caller(vies, simulator):
    with pytest.raises(ValueError, match="gb_vat"):
        vies.check(BRITISH, requester=None)
    assert simulator.requests == []


def test_a_number_without_its_prefix_is_a_mistake_that_does_not_repeat_it(vies, simulator):
    with pytest.raises(ValueError, match="prefix") as caught:
        vies.check(attrs.evolve(FRENCH, number=NUMBER), requester=None)
    assert NUMBER not in str(caught.value)
    assert simulator.requests == []


# Outages.


def test_a_country_that_is_down_concerns_its_own_numbers_only(vies, simulator):
    simulator.country_down("GR")
    assert summary(asked(vies, GREEK)) == unavailable("MS_UNAVAILABLE")
    assert asked(vies).state == "invalid"
    simulator.country_up("GR")
    assert asked(vies, GREEK).state == "invalid"


def test_vies_itself_may_be_down(vies, simulator):
    simulator.down()
    assert summary(asked(vies)) == unavailable("SERVICE_UNAVAILABLE")
    simulator.up()
    assert asked(vies).state == "invalid"


def test_an_outage_that_calls_itself_invalid_is_none(vies, simulator):
    simulator.register(FRENCH.number)
    simulator.fault_next("outage-as-invalid")
    assert summary(asked(vies)) == unavailable("MS_UNAVAILABLE")
    assert asked(vies).state == "valid"


@pytest.mark.parametrize("valid", [True, False, None])
@pytest.mark.parametrize("word", sorted(set(TEST_NUMBERS.values()) - {"VALID", "INVALID"}))
def test_a_reply_with_an_error_beside_it_is_never_valid_or_invalid(word, valid):
    state = "malformed" if word == "INVALID_INPUT" else "unavailable"
    expected = (state, word, word in OF_COUNTRY)
    assert summary(said({**HONEST, "valid": valid, "userError": word})) == expected
    assert summary(said({**HONEST, "valid": valid, "errorWrappers": [{"error": word}]})) == expected
    assert summary(said({**HONEST, "valid": valid, "actionSucceed": False, "errorWrappers": [{"error": word}]})) == (
        expected
    )


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_known_error_counts_under_any_status(status):
    assert summary(said({"errorWrappers": [{"error": "MS_UNAVAILABLE"}]}, status)) == unavailable("MS_UNAVAILABLE")
    assert said({"errorWrappers": [{"error": "INVALID_INPUT"}]}, status).state == "malformed"


@pytest.mark.parametrize("code", ["VOW-ERR-2500", "VOW-ERR-2700"])
def test_a_seller_whose_number_has_the_wrong_form_for_vies_is_left_out_too(code):
    replies = iter([{"errorWrappers": [{"error": code}]}, HONEST])
    vies = Vies(transport=lambda url, body, **limits: (200, json.dumps(next(replies)).encode()))
    assert vies.check(FRENCH, requester=SELLER).state == "valid"


def test_a_number_whose_form_vies_refuses_is_malformed():
    assert said({"actionSucceed": False, "errorWrappers": [{"error": "VOW-ERR-2600"}]}).state == "malformed"


def test_an_outage_beside_a_malformed_number_is_an_outage():
    errors = [{"error": "INVALID_INPUT"}, {"error": "MS_UNAVAILABLE"}]
    assert summary(said({"errorWrappers": errors})) == unavailable("MS_UNAVAILABLE")
    assert summary(said({"errorWrappers": [errors[0], "?"]})) == unavailable("unreadable")


def test_a_code_that_is_new_to_us_is_told_on_but_never_what_may_be_a_number():
    assert said({"errorWrappers": [{"error": "MS_IN_MAINTENANCE"}]}).reason == "MS_IN_MAINTENANCE"
    assert said({"errorWrappers": [{"error": FRENCH.number}]}).reason == "unreadable"
    assert said({"errorWrappers": [{"error": "MS_IN_MAINTENANCE"}]}, 503).reason == "http-503"


# Replies that say nothing.

DEEP = b'{"valid": true, "x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"

SAY_NOTHING = {
    "empty": b"",
    "html": b"<html><body>Sorry</body></html>",
    "truncated": json.dumps(HONEST).encode()[:-9],
    "list": [HONEST],
    "string": '"true"',
    "bare true": b"true",
    "null": b"null",
    "not UTF-8": b'{"valid": true, "name": "\xff"}',
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(HONEST).encode(),
    "two objects": b'{"valid": true} {"valid": true}',
    "without valid": {name: value for name, value in HONEST.items() if name != "valid"},
    "isValid": {"isValid": True},
    "valid is text": {**HONEST, "valid": "true"},
    "valid is null": {**HONEST, "valid": None},
    "valid is 1": {**HONEST, "valid": 1},
    "valid is 0": {**HONEST, "valid": 0},
    "valid is 1.0": b'{"valid": 1.0}',
    "valid is NaN": b'{"valid": NaN}',
    "valid is Infinity": b'{"valid": -Infinity}',
    "valid is a list": {**HONEST, "valid": [True]},
    "valid twice": b'{"valid": false, "valid": true}',
    "NaN elsewhere": b'{"valid": true, "x": NaN}',
    "a huge number": b'{"valid": true, "x": 1e999999999}',
    "a long number": b'{"valid": true, "x": ' + b"9" * 5000 + b"}",
    "half a surrogate": b'{"valid": true, "name": "\\ud800"}',
    "deep": DEEP,
    "long": {**HONEST, "x": "x" * 70_000},
    "failed without a word": {**HONEST, "actionSucceed": False},
    "failed in another way": {**HONEST, "actionSucceed": "no"},
    "failure is an object": {**HONEST, "actionSucceed": {}},
    "errors are text": {**HONEST, "errorWrappers": "MS_UNAVAILABLE"},
    "an error is text": {**HONEST, "errorWrappers": ["MS_UNAVAILABLE"]},
    "an error without a code": {**HONEST, "errorWrappers": [{}]},
    "an error with a list for a code": {**HONEST, "errorWrappers": [{"error": ["MS_UNAVAILABLE"]}]},
    "valid, and the word says invalid": {**HONEST, "userError": "INVALID"},
    "invalid, and the word says valid": {**HONEST, "valid": False, "userError": "VALID"},
    "the word is a list": {**HONEST, "userError": ["VALID"]},
    "the word is an object": {**HONEST, "userError": {}},
    "the word is false": {**HONEST, "userError": False},
    "the word in small letters": {**HONEST, "userError": "valid"},
}


@pytest.mark.parametrize("body", SAY_NOTHING.values(), ids=SAY_NOTHING)
def test_a_reply_that_says_nothing_plain_is_unreadable(body):
    assert summary(said(body)) == unavailable("unreadable")


def test_the_reply_that_those_are_made_of_would_be_read():
    assert said(HONEST).state == "valid"
    assert said({"valid": False}).state == "invalid"


@pytest.mark.parametrize("extra", [{"actionSucceed": True}, {"errorWrappers": []}, {"errorWrappers": None}])
def test_a_reply_that_says_that_nothing_went_wrong_is_read(extra):
    assert said({**HONEST, **extra, "userError": "VALID"}).state == "valid"
    assert said({**HONEST, **extra, "valid": False, "userError": "INVALID"}).state == "invalid"
    assert said({**HONEST, **extra, "userError": ""}).state == "valid"


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 401, 403, 404, 429, 500, 502, 503])
@pytest.mark.parametrize("body", [HONEST, b"", b"<html>", {"errorWrappers": [{"error": "VOW-ERR-1"}]}, [], DEEP])
def test_any_status_but_200_is_its_own_reason(status, body):
    assert summary(said(body, status)) == unavailable(f"http-{status}")


@pytest.mark.parametrize(
    "other",
    [
        {"countryCode": "DE"},
        {"countryCode": ""},
        {"countryCode": ["FR"]},
        {"vatNumber": "40303265044"},
        {"vatNumber": ""},
        {"vatNumber": "DE" + NUMBER},
        {"vatNumber": {"x": NUMBER}},
    ],
)
@pytest.mark.parametrize("valid", [True, False])
def test_a_reply_about_another_number_is_none(other, valid):
    assert summary(said({**HONEST, "valid": valid, **other})) == unavailable("other-number")


@pytest.mark.parametrize(
    "same",
    [
        {"countryCode": None, "vatNumber": None},
        {"countryCode": "fr"},
        {"vatNumber": FRENCH.number},
        {"vatNumber": "40 303.265-045"},
        {"vatNumber": int(NUMBER)},
    ],
)
def test_the_same_number_may_be_written_in_another_way(same):
    assert said({**HONEST, **same}).state == "valid"


# Texts.


def test_texts_are_bounded_and_can_be_kept():
    nasty = "A\x00d\x1ba\u202e \u200bB\u2028C\tD\u00a0E\ufeff" + "é" * 2500
    answer = said({**HONEST, "name": nasty, "address": nasty, "requestIdentifier": "W" * 64, "x": nasty[:900]})
    assert answer.name.startswith("Ada B, C D Eéé")
    assert (len(answer.name), len(answer.address), len(answer.raw)) == (200, 400, 2000)
    assert answer.consultation == "W" * 64
    for text in (answer.name, answer.address, answer.raw, answer.consultation, answer.reason):
        check_text(text, field="text", longest=2000)


@pytest.mark.parametrize(
    "body", [b"\x00\xff\xfe<html>\r\n\x1b[31m" * 500, "\u202e\ud83d\ude00".encode("utf-8", "replace")]
)
def test_what_came_can_be_kept_even_if_it_cannot_be_read(body):
    answer = said(body)
    assert answer.raw
    check_text(answer.raw, field="raw", longest=2000)


@pytest.mark.parametrize("nothing", ["---", "", None, " \n--- ", "---\n---", "\x00", 5, ["Ada"], {"a": "b"}, True])
def test_dashes_and_what_is_no_text_are_no_name(nothing):
    answer = said({**HONEST, "name": nothing, "address": nothing, "requestIdentifier": nothing})
    assert (answer.state, answer.name, answer.address, answer.consultation) == ("valid", "", "", "")


def test_a_text_that_is_cut_ends_in_no_comma():
    assert said({**HONEST, "name": "A" * 198 + "\nB", "address": "A" * 399 + " B"}).name == "A" * 198


def test_a_consultation_number_is_whole_or_none():
    assert said({**HONEST, "requestIdentifier": "W" * 65}).consultation == ""


# Peers that misbehave, over real sockets.


def resets(connection, stopping):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def resets_in_the_body(connection, stopping):
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"valid": true')
    stopping.wait(0.05)
    resets(connection, stopping)


def stops_in_the_body(connection, stopping):
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"valid": true}')
    stopping.wait(60)


def ends_in_the_body(connection, stopping):
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"valid": true}')


def speaks_no_http(connection, stopping):
    connection.sendall(b"220 mail.example ESMTP\r\n")


def sends_no_end_of_headers(connection, stopping):
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500)


def sends_without_end(connection, stopping):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n")
    while not stopping.is_set():
        connection.sendall(b" " * 65_536)


def sends(body, headers=b""):
    def serve(connection, stopping):
        length = b"Content-Length: %d\r\n" % len(body)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + headers + length + b"\r\n" + body)

    return serve


BOMB = gzip.compress(b" " * 50_000_000)

PEERS = {
    "says nothing": (says_nothing, {"timeout"}),
    "drips its headers": (drips_its_headers, {"timeout"}),
    "drips its body": (drips_its_body, {"timeout"}),
    "stops in the body": (stops_in_the_body, {"timeout"}),
    "resets": (resets, {"unreachable"}),
    "resets in the body": (resets_in_the_body, {"unreachable"}),
    "ends in the body": (ends_in_the_body, {"unreachable"}),
    "speaks no HTTP": (speaks_no_http, {"unreachable"}),
    "sends headers without end": (sends_no_end_of_headers, {"unreachable", "timeout"}),
    "sends a body without end": (sends_without_end, {"unreadable"}),
    "sends a bomb": (sends(BOMB, b"Content-Encoding: gzip\r\n"), {"unreadable"}),
    "sends what is not compressed as such": (sends(b"{}", b"Content-Encoding: gzip\r\n"), {"unreadable"}),
    "sends a long body": (sends(b" " * 100_000 + b'{"valid": true}'), {"unreadable"}),
}


@pytest.mark.parametrize(("serve", "reasons"), PEERS.values(), ids=PEERS)
def test_a_peer_that_misbehaves_is_unavailable_in_time(serve, reasons):
    with a_peer(serve) as url:
        answer = asked(Vies(url=url, limits=QUICK))
    assert answer.state == "unavailable"
    assert answer.reason in reasons


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("drop", "unreachable"),
        ("accept-then-drop", "unreachable"),
        ("stall", "timeout"),
        ("html", "http-502"),
        ("truncated", "unreadable"),
        ("429", "http-429"),
        ("500", "http-500"),
        ("redirect", "http-302"),
        ("wrong-id", "other-number"),
        (Fault(spoil=lambda answer: Answer()), "unreadable"),
        (Fault(spoil=lambda answer: Answer(body=b"<html>maintenance</html>")), "unreadable"),
        (rewriting(lambda content: content.pop("valid")), "unreadable"),
    ],
)
def test_a_fault_of_the_simulator_passes_and_the_next_check_is_right(vies, hasty, simulator, fault, reason):
    simulator.register(FRENCH.number)
    simulator.fault_next(fault)
    assert summary(asked(hasty if fault == "stall" else vies)) == unavailable(reason)
    assert summary(asked(vies)) == ("valid", "", False)
    assert {request.path for request in simulator.requests} == {"/check-vat-number"}


def test_every_check_has_a_connection_of_its_own():
    def answers_once(connection, stopping):
        body = json.dumps(HONEST).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        stopping.wait(60)

    with a_peer(answers_once) as url:
        vies = Vies(url=url, limits=QUICK)
        assert [summary(asked(vies)) for _ in range(2)] == [("valid", "", False)] * 2


def test_a_slow_answer_in_time_counts(vies, simulator):
    simulator.register(FRENCH.number)
    simulator.fault_next("slow")
    assert asked(vies).state == "valid"


def test_where_nobody_listens_is_unreachable(simulator):
    url = simulator.url
    simulator.stop()
    assert summary(asked(Vies(url=url, limits=QUICK))) == unavailable("unreachable")


@pytest.fixture
def unknown_hosts(monkeypatch):
    """No name has an address; numbers still have."""
    resolve = socket.getaddrinfo

    def unknown(host, *args, **options):
        if host == "127.0.0.1":
            return resolve(host, *args, **options)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


def test_a_host_without_an_address_is_unreachable(unknown_hosts):
    assert summary(asked(Vies(url="https://vies.example", limits=QUICK, trust_env=False))) == unavailable("unreachable")


def test_a_peer_without_tls_is_unreachable(simulator):
    url = simulator.url.replace("http://", "https://")
    assert summary(asked(Vies(url=url, limits=QUICK))) == unavailable("unreachable")
    assert simulator.requests == []


def test_a_host_that_takes_no_connection_is_given_up():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening_only:
        waiting = [socket.socket() for _ in range(8)]
        for end in waiting:
            end.setblocking(False)
            end.connect_ex(listening_only.getsockname())
        url = f"http://127.0.0.1:{listening_only.getsockname()[1]}"
        assert summary(asked(Vies(url=url, limits=QUICK))) == unavailable("timeout")
        for end in waiting:
            end.close()


def test_a_second_attempt_has_only_what_is_left_of_the_time():
    budgets = []

    def transport(url, body, *, budget_s, **limits):
        budgets.append(budget_s)
        time.sleep(0.1)
        return 200, b'{"errorWrappers": [{"error": "INVALID_REQUESTER_INFO"}]}'

    answer = Vies(transport=transport).check(FRENCH, requester=SELLER)
    assert answer.state == "unavailable"
    assert budgets[0] <= 15
    assert budgets[1] <= budgets[0] - 0.1


def test_no_second_attempt_is_made_when_the_time_is_over():
    calls = []

    def transport(url, body, **limits):
        calls.append(body)
        time.sleep(0.06)
        return 200, b'{"errorWrappers": [{"error": "INVALID_REQUESTER_INFO"}]}'

    answer = Vies(transport=transport, limits=Limits(budget_s=0.05)).check(FRENCH, requester=SELLER)
    assert summary(answer) == unavailable("timeout")
    assert len(calls) == 1


def test_a_check_that_is_refused_once_and_then_held_is_over_in_time(hasty, simulator):
    simulator.refuse_requester(SELLER.number)
    simulator.fault_next("slow")
    simulator.fault_next("stall")
    assert summary(asked(hasty, requester=SELLER)) == unavailable("timeout")


# Ways of one's own.


def test_the_public_interface_is_asked_with_fifteen_seconds_unless_told_otherwise():
    calls = []

    def transport(url, body, **limits):
        calls.append((url, body, limits))
        return 200, b'{"valid": true}'

    assert Vies(transport=transport).check(NORTHERN, requester=None).state == "valid"
    ((url, body, limits),) = calls
    assert url == f"{URL}/check-vat-number" == "https://ec.europa.eu/taxation_customs/vies/rest-api/check-vat-number"
    assert json.loads(body) == {"countryCode": "XI", "vatNumber": "980780684"}
    assert 14 < limits.pop("budget_s") <= 15
    assert limits == {"connect_timeout_s": 3, "read_timeout_s": 10}


def test_a_way_of_ones_own_tells_why_nothing_came():
    def transport(url, body, **limits):
        raise NoAnswer("queue-full")

    assert summary(Vies(transport=transport).check(FRENCH, requester=None)) == unavailable("queue-full")


def test_a_mistake_in_a_way_of_ones_own_is_not_hidden():
    def transport(url, body, **limits):
        raise KeyError("typo")

    with pytest.raises(KeyError, match="typo"):
        Vies(transport=transport).check(FRENCH, requester=None)


@pytest.mark.parametrize(
    "url",
    [
        "http://ec.europa.eu/x",
        "ftp://127.0.0.1/",
        "ec.europa.eu",
        "",
        "https://",
        "https://ada:pw@vies.example",
        "https://vies.example/?a=b",
        "https://vies.example/#a",
        "https://[::1",
        "https://vies.example:port",
    ],
)
def test_a_url_that_cannot_be_trusted_is_refused_by_name(url):
    with pytest.raises(ConfigurationError, match="url of Vies"):
        Vies(url=url)


@pytest.mark.parametrize("name", ["connect_timeout_s", "read_timeout_s", "budget_s"])
@pytest.mark.parametrize("seconds", [0, -1])
def test_a_limit_is_more_than_nothing(name, seconds):
    with pytest.raises(ConfigurationError, match=name):
        Limits(**{name: seconds})


@contextmanager
def a_proxy_of_the_environment(monkeypatch):
    """Give the list of what the proxy was sent."""
    sent = []

    def refuse(connection, stopping):
        sent.append(connection)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with a_peer(refuse) as url:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("no_proxy", "")
        yield sent


def test_a_proxy_of_the_environment_is_asked_if_it_may_be(monkeypatch, unknown_hosts):
    with a_proxy_of_the_environment(monkeypatch) as sent:
        away = "https://vies.example"
        assert asked(Vies(url=away, limits=QUICK, trust_env=False)).reason == "unreachable"
        assert sent == []
        assert asked(Vies(url=away, limits=QUICK)).reason == "unreachable"
        assert len(sent) == 1


def test_a_proxy_of_the_environment_is_not_asked_about_loopback(vies, monkeypatch):
    with a_proxy_of_the_environment(monkeypatch) as sent:
        assert asked(vies).state == "invalid"
        assert sent == []


# Threads, and what is not told.


def test_threads_share_one_client_and_get_each_their_own_answer(simulator):
    vies = Vies(url=simulator.url)
    numbers = [f"{number:011d}" for number in range(48)]
    for number in numbers[::2]:
        simulator.register(f"FR{number}", name=f"Firm {number}")
    together = threading.Barrier(8)

    def check(number):
        together.wait(10)
        return vies.check(of(number), requester=SELLER)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(check, numbers))
    assert [answer.state for answer in answers] == ["valid", "invalid"] * 24
    assert [answer.name for answer in answers[::2]] == [f"Firm {number}" for number in numbers[::2]]
    assert len({answer.consultation for answer in answers}) == 48


def test_a_thread_that_is_held_does_not_hold_the_others():
    with a_peer(says_nothing) as url:
        vies = Vies(url=url, limits=QUICK)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: asked(vies), range(8)))
    assert {answer.reason for answer in answers} == {"timeout"}


PERSONAL = {"customer's number": NUMBER, "seller's number": SELLER.number[2:], "name": NAME, "street": "Rue du Calcul"}
FAULTS = (None, "drop", "stall", "html", "truncated", "500", "redirect", "wrong-id", "outage-as-invalid")


@pytest.mark.parametrize("fault", FAULTS)
def test_no_number_name_or_address_is_in_a_log_or_a_repr(vies, hasty, simulator, caplog, fault):
    vies = hasty if fault == "stall" else vies
    caplog.set_level(logging.DEBUG)
    simulator.register(FRENCH.number, name=NAME, address=ADDRESS)
    simulator.refuse_requester(SELLER.number)
    if fault:
        simulator.fault_next(fault, times=2)
    answer = asked(vies, requester=SELLER)
    shown = f"{caplog.text} {vars(vies)} {vies!r} {answer!r} {answer} {[record.args for record in caplog.records]}"
    assert "urllib3" in caplog.text  # it was heard, and says nothing of it
    assert [what for what, value in PERSONAL.items() if value in shown] == []


def test_a_failure_inside_keeps_nothing_of_the_question():
    with listening() as ears, a_peer(resets) as url:
        session = Vies(url=url)._transport
        with pytest.raises(NoAnswer) as caught:
            session(f"{url}/x", NUMBER.encode(), connect_timeout_s=1, read_timeout_s=1, budget_s=1)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert NUMBER not in repr(caught.value)
    assert ears.heard


def test_an_answer_is_a_value_that_can_be_compared():
    assert said({"valid": True}) == RegisterAnswer(state="valid", raw='{"valid": true}')


# The simulator.


def post(simulator, body, path="/check-vat-number"):
    vies = Vies(url=simulator.url)
    return vies._transport(f"{simulator.url}{path}", body, connect_timeout_s=3, read_timeout_s=3, budget_s=3)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 500, "VOW-ERR-1"),
        (b"[]", 500, "VOW-ERR-1"),
        (b'{"countryCode": 5}', 500, "VOW-ERR-1"),
        (b'{"countryCode": "FR"}', 400, "VOW-ERR-11"),
        (b'{"countryCode": "FR", "vatNumber": ""}', 400, "VOW-ERR-11"),
        (b'{"countryCode": "GR", "vatNumber": "094259216"}', 200, "INVALID_INPUT"),
        (b'{"countryCode": "FR", "vatNumber": "40 303"}', 200, "INVALID_INPUT"),
        (b'{"countryCode": "FR", "vatNumber": "1234", "requesterNumber": "1"}', 200, "INVALID_REQUESTER_INFO"),
    ],
)
def test_the_simulator_refuses_what_vies_refuses(simulator, body, status, code):
    answered, content = post(simulator, body)
    assert (answered, json.loads(content)) == (status, {"actionSucceed": False, "errorWrappers": [{"error": code}]})


def test_the_simulator_answers_under_the_path_of_the_test_service_and_no_other(simulator):
    body = b'{"countryCode": "DE", "vatNumber": "100"}'
    status, content = post(simulator, body, "/check-vat-test-service")
    assert (status, json.loads(content)["valid"]) == (200, True)
    assert post(simulator, body, "/elsewhere")[0] == 404


def test_the_replies_of_the_simulator_have_every_field_that_vies_has(simulator):
    _, content = post(simulator, b'{"countryCode": "FR", "vatNumber": "40303265045"}')
    assert set(json.loads(content)) == set(
        "countryCode vatNumber requestDate valid requestIdentifier name address traderName traderStreet "
        "traderPostalCode traderCity traderCompanyType traderNameMatch traderStreetMatch traderPostalCodeMatch "
        "traderCityMatch traderCompanyTypeMatch".split()
    )
