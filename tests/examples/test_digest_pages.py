"""The example's daily digest: settings, a preview in a frame of its own, and mails that arrive once."""

from __future__ import annotations

import html
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest

from tests.examples.refunding import text_of
from tests.examples.visiting import Visitor, error_at

DAY = timedelta(days=1)
SETTINGS = {
    "enabled": "yes",
    "email": "cfo@nimbus.example, ceo@nimbus.example",
    "hour": "7",
    "timezone": "",
    "locale": "en",
    "reason": "",
}


def save(visitor: Visitor, **fields: str) -> Any:
    return visitor.post("/operator/digest", **{**SETTINGS, **fields})


@pytest.fixture
def operator(visitor: Visitor) -> Visitor:
    return visitor.be("operator")


@pytest.fixture
def paid_yesterday(visitor: Visitor, panel: Any) -> Visitor:
    """An operator on the day after a payment of 59.50."""
    visitor.pay("50.00")
    panel.clock.advance(hours=24)
    return visitor.be("operator")


def digests(panel: Any) -> list[Any]:
    mails = (message_from_bytes(file.read_bytes(), policy=policy.default) for file in panel.outbox.files())
    return [mail for mail in mails if "funds in" in mail["Subject"]]


# Settings


def test_settings_are_kept_shown_and_stand_in_the_audit_trail(operator: Visitor, panel: Any) -> None:
    before = operator.get("/operator/digest").text
    page = save(operator, hour="18", timezone="Asia/Tokyo", locale="de_DE", reason="asked by the board").text
    kept = panel.alice().digest.read()

    assert "Off" in text_of(before)
    assert "The digest is set: it goes out every day." in page
    assert (kept.enabled, kept.email) == (True, ("cfo@nimbus.example", "ceo@nimbus.example"))
    assert (kept.hour, kept.timezone, kept.locale) == (18, "Asia/Tokyo", "de_DE")
    assert 'value="cfo@nimbus.example, ceo@nimbus.example"' in page
    assert '<option value="18" selected>18:00</option>' in page
    assert "asked by the board" in operator.get("/operator/audit").text


def test_it_is_switched_off_and_keeps_its_addresses(operator: Visitor, panel: Any) -> None:
    save(operator)
    page = save(operator, enabled="").text

    assert "The digest is switched off." in page
    assert panel.alice().digest.read().enabled is False
    assert "cfo@nimbus.example" in page


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"email": "cfo@nimbus.example\nBcc: all@evil.example"}, "email"),
        ({"email": "cfo@nimbus.example\r\n\r\nHello"}, "email"),
        ({"email": "cfo@nimbus.example,\nceo@nimbus.example"}, "email"),
        ({"email": ""}, "email"),
        ({"email": " , "}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "A <a@nimbus.example>"}, "email"),
        ({"email": "a@nimbus.example, A@nimbus.example"}, "email"),
        ({"email": ",".join(f"a{number}@nimbus.example" for number in range(21))}, "email"),
        ({"hour": "24"}, "hour"),
        ({"hour": "-1"}, "hour"),
        ({"hour": ""}, "hour"),
        ({"hour": "noon"}, "hour"),
        ({"hour": "٧"}, "hour"),
        ({"timezone": "Berlin"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"locale": "xx"}, "locale"),
        ({"locale": ""}, "locale"),
        ({"reason": "x" * 5000}, "reason"),
    ],
)
def test_what_cannot_be_set_is_refused_beside_its_field_and_nothing_is_kept(
    operator: Visitor, panel: Any, fields: dict[str, str], field: str
) -> None:
    save(operator, hour="9")
    before = panel.alice().digest.read()

    answer = save(operator, **fields)

    assert answer.status_code == 422
    assert error_at(answer.text, field)
    assert panel.alice().digest.read() == before
    assert digests(panel) == []


def test_what_was_typed_stands_in_the_form_that_is_shown_again(operator: Visitor) -> None:
    page = save(operator, enabled="", email="<b>@nimbus.example", hour="23", timezone="Asia/Tokyo").text

    assert 'value="&lt;b&gt;@nimbus.example"' in page
    assert '<option value="23" selected>' in page
    assert 'value="Asia/Tokyo"' in page
    assert 'name="enabled" value="yes" >' in page


# The preview


def test_the_preview_shows_the_figures_of_yesterday(paid_yesterday: Visitor, panel: Any) -> None:
    yesterday = panel.today() - DAY
    expected = panel.alice().digest.preview(yesterday)

    page = paid_yesterday.get("/operator/digest/preview").text
    letter = paid_yesterday.get(f"/operator/digest/letter?day={yesterday}")

    assert f'id="subject">{html.escape(expected.subject)}<' in page
    assert "funds in €59.50" in expected.subject
    assert expected.text in html.unescape(page)
    assert letter.text == expected.html
    assert "€59.50" in letter.text
    assert f'src="/operator/digest/letter?day={yesterday}"' in page
    assert digests(panel) == []


def test_the_preview_shows_the_day_that_is_asked_for(operator: Visitor, panel: Any) -> None:
    day = panel.today() - 3 * DAY
    page = operator.get(f"/operator/digest/preview?day={day}").text

    assert panel.alice().digest.preview(day).subject in html.unescape(page)


def test_the_letter_runs_nothing_loads_nothing_and_is_framed_by_us_alone(operator: Visitor) -> None:
    page, letter = operator.get("/operator/digest/preview"), operator.get("/operator/digest/letter")
    of_page, of_letter = (answer.headers["Content-Security-Policy"].split("; ") for answer in (page, letter))

    assert "default-src 'none'" in of_letter
    assert "sandbox" in of_letter
    assert "form-action 'none'" in of_letter
    assert "frame-ancestors 'self'" in of_letter
    assert [rule for rule in of_letter if "unsafe" in rule] == ["style-src 'unsafe-inline'"]
    assert letter.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert letter.headers["Cache-Control"] == "no-store"
    assert "Cross-Origin-Opener-Policy" not in letter.headers
    assert "<script" not in letter.text
    assert ("default-src 'self'" in of_page, "frame-ancestors 'none'" in of_page) == (True, True)
    assert (page.headers["X-Frame-Options"], page.headers["Cross-Origin-Opener-Policy"]) == ("DENY", "same-origin")
    assert "sandbox></iframe>" in page.text


@pytest.mark.parametrize("days", [0, 1])
def test_a_day_that_has_not_ended_is_refused_beside_its_field(operator: Visitor, panel: Any, days: int) -> None:
    day = panel.today() + days * DAY
    answer = operator.get(f"/operator/digest/preview?day={day}")

    assert answer.status_code == 422
    assert "has ended" in error_at(answer.text, "day")
    assert f'value="{day}"' in answer.text
    assert operator.get(f"/operator/digest/letter?day={day}").status_code == 400


@pytest.mark.parametrize("day", ["x", "2026-13-01", "1900-01-01", "<b>"])
def test_a_day_that_is_none_is_refused_beside_its_field(operator: Visitor, day: str) -> None:
    answer = operator.client.get("/operator/digest/preview", query_string={"day": day})

    assert answer.status_code == 422
    assert error_at(answer.text, "day")
    assert "<b>" not in answer.text


# Mails


def test_a_digest_is_sent_once_to_each_address_as_text_and_html(paid_yesterday: Visitor, panel: Any) -> None:
    save(paid_yesterday)
    yesterday = panel.today() - DAY
    pages = [paid_yesterday.post(f"/operator/digest/preview?day={yesterday}", reason="now").text for _ in range(2)]
    sent = digests(panel)
    letter = panel.alice().digest.preview(yesterday)

    assert all("is sent; nobody gets it twice." in page for page in pages)
    assert sorted(mail["To"] for mail in sent) == ["ceo@nimbus.example", "cfo@nimbus.example"]
    for mail in sent:
        assert mail["Subject"] == letter.subject
        assert mail.get_body(("plain",)).get_content().strip() == letter.text.strip()
        assert mail.get_body(("html",)).get_content().strip() == letter.html.strip()
    assert "To 2 addresses" in text_of(pages[0])


def test_the_scheduler_sends_it_at_its_hour(operator: Visitor, panel: Any) -> None:
    save(operator, hour="0")
    operator.post("/demo/advance", hours="1")

    assert {mail["To"] for mail in digests(panel)} == {"ceo@nimbus.example", "cfo@nimbus.example"}


def test_nothing_is_sent_while_it_is_switched_off(operator: Visitor, panel: Any) -> None:
    page = operator.get("/operator/digest/preview").text
    answer = operator.post(f"/operator/digest/preview?day={panel.today() - DAY}")

    assert "Digests are switched off." in text_of(page)
    assert answer.status_code == 422
    assert "Digests are switched off." in text_of(answer.text)
    assert digests(panel) == []


def test_a_reason_that_is_too_long_is_refused_beside_its_field_and_nothing_is_sent(
    operator: Visitor, panel: Any
) -> None:
    save(operator)
    answer = operator.post("/operator/digest/preview", reason="x" * 5000)

    assert answer.status_code == 422
    assert error_at(answer.text, "reason")
    assert digests(panel) == []


@pytest.mark.parametrize("url", ["/operator/digest", "/operator/digest/preview", "/operator/digest/letter"])
def test_the_customer_sees_no_digest_and_sets_none(visitor: Visitor, panel: Any, url: str) -> None:
    answer = visitor.get(url)
    posted = [save(visitor), visitor.post("/operator/digest/preview")]

    assert answer.status_code == 403
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert [each.status_code for each in posted] == [403, 403]
    assert panel.alice().digest.read().enabled is False
