"""The example panel, page by page, without a browser."""

from __future__ import annotations

import ast
import html
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from decimal import Decimal
from email import message_from_bytes, policy
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pypdf import PdfReader

from prepaid import Money
from tests.examples.visiting import TOPUPS, Visitor, hidden, money_in

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flask_app"
CUSTOMER_PAGES = (
    "/",
    "/add-funds",
    "/add-funds?amount=50.00",
    "/transactions",
    "/invoices",
    "/refunds",
    "/tax-profile",
    "/identity",
)
OPERATOR_PAGES = (
    "/operator/",
    "/operator/?days=1",
    "/operator/?days=30",
    "/operator/reports",
    "/operator/reports?since=2026-11-01&until=2026-11-30",
    "/operator/exports",
    "/operator/digest",
    "/operator/digest/preview",
    "/operator/tax-rules",
    "/operator/tax-rules/try",
    "/operator/tax-rules/try?country=FR&kind=consumer&amount=5&day=2026-11-22",
    "/operator/tax-report",
    "/operator/promotions",
    "/operator/promotion?code=WELCOME10",
    "/operator/promotion/change?code=WELCOME10",
    "/operator/new-promotion",
    "/operator/vouchers",
    "/operator/new-vouchers",
    "/operator/refunds",
    "/operator/refunds?state=all",
    "/operator/disputes",
    "/operator/disputes?state=lost",
    "/operator/refund-rules",
    "/simulated-desk",
    "/operator/identity",
    "/operator/identity?state=verified",
    "/operator/identity/of?customer=ada",
    "/operator/identity/policy",
    "/operator/audit",
)


def balance_of(page: str) -> Decimal:
    return money_in(page, 'id="balance"')


# The customer


def test_the_first_visit_shows_balance_how_long_it_lasts_and_what_runs(visitor: Visitor) -> None:
    page = visitor.get("/").text

    spent = 6 * (Decimal("0.00744") + Decimal("0.00137") + Decimal("0.00833"))
    assert balance_of(page) == Decimal("25.00") - spent
    assert "about 60 days" in page
    assert re.findall(r'data-meter="([^"]+)"', page) == ["data-1", "edge-1", "web-1"]


def test_a_restart_on_the_same_data_goes_on_where_it_was(visitor: Visitor, data: Path) -> None:
    from app import create_app

    visitor.pay("50.00")
    visitor.post("/demo/advance", hours="3")
    before = visitor.get("/").text

    again = create_app(data)
    after = Visitor(again).get("/").text
    again.extensions["panel"].billing.close()

    assert balance_of(after) == balance_of(before)


def test_a_seeding_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    from seed import seeded

    (tmp_path / "state.seeding").mkdir()
    (tmp_path / "state.seeding" / "billing.db").write_bytes(b"half")

    assert (seeded(tmp_path) / "billing.db").stat().st_size > 4
    assert not (tmp_path / "state.seeding").exists()


def test_credit_is_there_right_after_paying_with_invoice_and_mail(visitor: Visitor, panel: Any) -> None:
    before = balance_of(visitor.get("/").text)

    page = visitor.pay("50.00").text

    assert "€50.00 added" in page
    assert balance_of(page) == before + 50
    number = re.search(r"TINV\d\d-\d{6}", page)
    assert number is not None
    mail = message_from_bytes(panel.outbox.files()[0].read_bytes(), policy=policy.default)
    assert number.group() in mail["Subject"]
    (attached,) = mail.iter_attachments()
    assert attached.get_content().startswith(b"%PDF")


def test_the_summary_names_tax_adjustment_total_and_balance(visitor: Visitor) -> None:
    page = visitor.get("/add-funds?amount=50.00").text

    assert money_in(page, "VAT 19 %") == Decimal("9.50")
    assert money_in(page, "Total to pay") == Decimal("59.50")
    assert money_in(page, "Balance afterwards") == balance_of(visitor.get("/").text) + 50
    assert "Promotional adjustment" in page
    assert "because you are in DE" in page


def test_the_live_quote_is_the_summary_with_errors_by_field(visitor: Visitor) -> None:
    good = visitor.get("/add-funds/quote?amount=50.00").json
    bad = visitor.get("/add-funds/quote?amount=fifty").json

    assert money_in(good["summary"], "Total to pay") == Decimal("59.50")
    assert good["errors"] == {}
    assert good["spoken"].startswith("Total to pay €59.50, of which €9.50 tax.")
    assert set(bad["errors"]) == {"amount"}
    assert "quote" not in bad["summary"]


@pytest.mark.parametrize(
    "amount", ["abc", "-5", "0", "0.001", "1e3", "50.005", "٥٠", "NaN", "1,000", "9" * 30, "999999999.00", "<b>5</b>"]
)
def test_a_bad_amount_is_told_next_to_its_field(visitor: Visitor, amount: str) -> None:
    page = visitor.post("/add-funds", amount=amount, act="update")

    assert page.status_code == 422
    field = re.search(r'<input id="amount"[^>]*>', page.text)
    error = re.search(r'<p class="error" id="amount-error" ?>([^<]+)</p>', page.text)
    assert field is not None
    assert 'aria-describedby="amount-error"' in field.group()
    assert 'aria-invalid="true"' in field.group()
    assert error is not None
    assert "<b>" not in page.text
    assert 'value="pay"' not in page.text


def test_an_amount_with_a_decimal_comma_is_understood(visitor: Visitor) -> None:
    assert money_in(visitor.get("/add-funds?amount=12,5").text, "Credit you buy") == Decimal("12.50")


def test_without_javascript_update_and_chips_lead_to_a_page_that_can_be_reloaded(visitor: Visitor) -> None:
    updated = visitor.post("/add-funds", follow=False, amount="30.00", act="update")
    chosen = visitor.post("/add-funds", follow=False, amount="30.00", chip="100.00")

    assert (updated.status_code, updated.location) == (302, "/add-funds?amount=30.00")
    assert (chosen.status_code, chosen.location) == (302, "/add-funds?amount=100.00")


def test_a_refused_code_is_told_next_to_its_field_and_nothing_can_be_paid(visitor: Visitor) -> None:
    order = visitor.order("50.00") | {"code": "WELCOME"}

    shown = visitor.get("/add-funds?amount=50.00&code=WELCOME").text
    paid = visitor.post("/add-funds", **order)

    assert re.search(r'id="code-error" ?>This code is not known', shown)
    assert re.search(r'<button class="primary wide"[^>]*disabled', shown)
    assert "Summary" in paid.text
    assert 'id="charge"' not in paid.text


def test_nobody_pays_a_summary_of_another_amount_than_stands_in_the_form(visitor: Visitor, panel: Any) -> None:
    order = visitor.order("10.00") | {"amount": "100.00"}

    page = visitor.post("/add-funds", **order).text

    assert "Check the summary" in page
    assert money_in(page, "Total to pay") == Decimal("119.00")
    assert [topup.state for topup in panel.ada().topups.list().items] == ["credited"] * TOPUPS


def test_a_forged_summary_starts_nothing(visitor: Visitor, panel: Any) -> None:
    order = visitor.order("50.00")
    order["quote"] = order["quote"].replace('"59500000"', '"1000000"')

    page = visitor.post("/add-funds", **order).text

    assert "What you would pay has changed" in page
    assert len(panel.ada().topups.list().items) == TOPUPS


@pytest.mark.parametrize("quote", ["", "{}", "[]", "null", "x" * 5000, '{"amount":"50000000"}'])
def test_a_damaged_summary_starts_nothing(visitor: Visitor, panel: Any, quote: str) -> None:
    order = visitor.order("50.00") | {"quote": quote}

    assert "Check the summary" in visitor.post("/add-funds", **order).text
    assert len(panel.ada().topups.list().items) == TOPUPS


def test_the_pay_button_pressed_twice_begins_one_topup(visitor: Visitor, panel: Any) -> None:
    order = visitor.order("50.00")

    first = visitor.post("/add-funds", follow=False, **order).location
    second = visitor.post("/add-funds", follow=False, **order).location

    assert first == second
    assert len(panel.ada().topups.list().items) == TOPUPS + 1


def test_a_form_used_for_another_order_asks_to_look_again(visitor: Visitor, panel: Any) -> None:
    used = visitor.order("50.00")
    visitor.post("/add-funds", follow=False, **used)

    page = visitor.post("/add-funds", **visitor.order("25.00") | {"key": used["key"]}).text

    assert "This form was used before" in page
    assert hidden(page)["key"] != used["key"]
    assert len(panel.ada().topups.list().items) == TOPUPS + 1


def test_a_gateway_that_is_down_takes_nothing_and_the_same_form_goes_on(visitor: Visitor, panel: Any) -> None:
    order = visitor.order("50.00")
    panel.gateway.fault_next("create_checkout", "unavailable")

    down = visitor.post("/add-funds", **order)
    up = visitor.post("/add-funds", follow=False, **order)

    assert down.status_code == 503
    assert "Nothing was paid" in down.text
    assert hidden(down.text)["key"] == order["key"]
    assert up.location.startswith("/simulated/")
    assert len(panel.ada().topups.list().items) == TOPUPS + 1


def test_a_slow_payment_waits_and_is_credited_by_its_webhook(visitor: Visitor, panel: Any) -> None:
    before = panel.ada().balance().settled
    checkout = visitor.begin("50.00")

    waiting = visitor.post(checkout, act="later").text
    poll = re.search(r'data-poll-url="([^"]+)" data-state="processing"', waiting)
    assert poll is not None
    assert panel.ada().balance().settled == before
    assert "Top-ups under way" in visitor.get("/").text

    visitor.post(checkout, act="finish")

    assert visitor.get(poll.group(1)).json == {"state": "credited"}
    assert panel.ada().balance().settled == before + Money.of("50.00", "EUR")


@pytest.mark.parametrize(
    ("act", "said"), [("decline", "did not go through"), ("short", "We are looking"), ("cancel", "Not paid yet")]
)
def test_what_is_not_paid_as_ordered_is_not_credited(visitor: Visitor, panel: Any, act: str, said: str) -> None:
    before = panel.ada().balance().settled

    page = visitor.pay("50.00", act).text

    assert said in page
    assert panel.ada().balance().settled == before


def test_a_topup_left_behind_can_be_cancelled_or_continued(visitor: Visitor, panel: Any) -> None:
    page = visitor.pay("50.00", "cancel").text
    checkout = re.search(r'href="(/simulated/[^"]+)"', page)
    cancel = re.search(r'action="(/topups/[^"]+/cancel)"', page)
    assert checkout is not None
    assert cancel is not None

    assert "Top-up cancelled" in visitor.post(cancel.group(1)).text
    assert "This checkout is canceled" in visitor.get(checkout.group(1)).text


def test_three_hours_later_each_resource_was_charged_three_times(visitor: Visitor, panel: Any) -> None:
    before = panel.ada().transactions().items

    page = visitor.post("/demo/advance", hours="3").text

    new = [item for item in panel.ada().transactions().items if item.at > before[0].at]
    assert "9 hourly charges" in page
    assert sorted(item.resource for item in new) == ["data-1"] * 3 + ["edge-1"] * 3 + ["web-1"] * 3
    assert panel.ada().balance().settled == before[0].balance_after + sum(
        (item.amount for item in new[1:]), new[0].amount
    )


def test_the_clock_moves_by_its_two_steps_only(visitor: Visitor) -> None:
    assert [visitor.post("/demo/advance", hours=hours).status_code for hours in ("2", "-1", "x", "")] == [400] * 4


def test_pages_of_the_history_hold_every_transaction_once(visitor: Visitor, panel: Any) -> None:
    visitor.post("/demo/advance", hours="3")
    url, after = "/transactions", []
    while url:
        page = visitor.get(url).text
        after += re.findall(r'class="num after fourth"><data class="money" value="([^"]+)"', page)
        older = re.search(r'href="([^"]+)">Older', page)
        url = html.unescape(older.group(1)) if older else ""

    assert after == [f"{item.balance_after.amount:f}" for item in panel.ada().transactions(limit=200).items]
    assert len(after) == 30


def test_the_history_is_filtered_by_kind_and_refuses_what_is_none(visitor: Visitor) -> None:
    page = visitor.get("/transactions?kind=topup").text

    assert re.findall(r'data-kind="([^"]+)"', page) == ["topup"] * TOPUPS
    assert visitor.get("/transactions?kind=magic").status_code == 400
    assert visitor.get("/transactions?cursor=forged").status_code == 400


def test_an_invoice_is_downloaded_as_a_file_that_is_not_cached(visitor: Visitor, panel: Any) -> None:
    invoice = panel.ada().invoices.list().items[0]

    answer = visitor.get(f"/invoices/{invoice.id}/pdf")

    assert answer.headers["Content-Disposition"] == f"attachment; filename={invoice.number}.pdf"
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("application/pdf", "no-store")
    text = "".join(page.extract_text() for page in PdfReader(BytesIO(answer.data)).pages)
    assert invoice.number in text
    assert invoice.number in visitor.get(f"/invoices/{invoice.id}").text


def test_what_belongs_to_another_customer_is_not_found(visitor: Visitor, panel: Any) -> None:
    ben = panel.billing.customer("ben")
    invoice, topup = ben.invoices.list().items[0], ben.topups.list().items[0]

    answers = [
        visitor.get(f"/invoices/{invoice.id}"),
        visitor.get(f"/invoices/{invoice.number}/pdf"),
        visitor.get(f"/add-funds/back?topup={topup.id}"),
        visitor.get(f"/topups/{topup.id}/state"),
        visitor.post(f"/topups/{topup.id}/cancel"),
        visitor.get("/invoices/inv_unknown"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 6
    # The demo bar lists every mail; the page itself must not.
    assert not any(invoice.number in answer.text.partition("<main")[2] for answer in answers)


def test_a_wrong_tax_profile_is_told_next_to_its_field_and_keeps_what_was_typed(visitor: Visitor, panel: Any) -> None:
    before = panel.ada().tax_profile.get()

    page = visitor.post("/tax-profile", kind="business", company="", city="Köln", country="DE")

    assert page.status_code == 422
    field = re.search(r'<input id="company"[^>]*>', page.text)
    assert field is not None
    assert 'aria-invalid="true"' in field.group()
    assert 'company-error"' in field.group()
    assert 'value="Köln"' in page.text
    assert panel.ada().tax_profile.get() == before


def test_the_tax_profile_decides_the_next_quote(visitor: Visitor) -> None:
    saved = visitor.post("/tax-profile", kind="business", company="Ada SARL", country="FR")

    assert "Your tax profile is saved" in saved.text
    assert money_in(visitor.get("/add-funds?amount=50.00").text, "TVA 20 %") == Decimal("10.00")


# The operator


def test_the_operator_sees_figures_reviews_rules_acts_and_sound_books(visitor: Visitor) -> None:
    visitor.pay("50.00")
    visitor.pay("10.00", "short")
    page = visitor.be("operator").get("/operator/?days=1").text

    assert money_in(page, "Funds in") == Decimal("59.50")
    assert money_in(page, "Tax collected") == Decimal("9.50")
    assert "Another amount was paid than ordered" in page
    assert "Sound" in page
    assert "Germany" in visitor.get("/operator/tax-rules").text
    assert "tax-rule-add" in visitor.get("/operator/audit").text


def test_each_role_has_its_own_pages(visitor: Visitor) -> None:
    assert {visitor.get(url).status_code for url in OPERATOR_PAGES} == {403}
    visitor.be("operator")
    assert {visitor.get(url).status_code for url in CUSTOMER_PAGES} == {403}
    assert {visitor.get(url).status_code for url in OPERATOR_PAGES} == {200}
    assert visitor.post("/role", role="root").status_code == 400


# Safety


def test_every_form_needs_the_token_of_its_session(app: Any, visitor: Visitor) -> None:
    routes = {rule.rule for rule in app.url_map.iter_rules() if "POST" in rule.methods} - {
        "/webhooks/simulated",
        "/webhooks/simulated-identity",
    }
    urls = [re.sub("<[^>]+>", "x", route) for route in routes]
    foreign = Visitor(app).token()
    visitor.token()

    assert len(urls) == 37
    for url in urls:
        for fields in ({}, {"csrf": ""}, {"csrf": foreign}, {"csrf": "ä"}):
            answer = visitor.client.post(url, data=fields)
            assert (answer.status_code, "another session" in answer.text) == (400, True)


def test_a_webhook_needs_a_signature_instead_and_has_a_limit(visitor: Visitor) -> None:
    assert visitor.client.post("/webhooks/simulated", data=b"{}").status_code == 400
    assert visitor.client.post("/webhooks/simulated", data=b"x" * 300_000).status_code == 413
    assert visitor.client.get("/webhooks/simulated").status_code == 405


def test_a_signed_webhook_is_taken_over_its_raw_bytes(visitor: Visitor, panel: Any) -> None:
    checkout = visitor.begin("50.00").rsplit("/", 1)[1]
    panel.gateway.pay(checkout)
    headers, body = panel.gateway.events()[-1].request()

    spoilt = visitor.client.post("/webhooks/simulated", data=body + b" ", headers=headers)
    first = visitor.client.post("/webhooks/simulated", data=body, headers=headers)
    again = visitor.client.post("/webhooks/simulated", data=body, headers=headers)

    assert (spoilt.status_code, spoilt.json) == (400, {"outcome": "rejected"})
    assert (first.status_code, first.json) == (200, {"outcome": "credited"})
    assert (again.status_code, again.json) == (200, {"outcome": "duplicate"})


@pytest.mark.parametrize("url", [*CUSTOMER_PAGES, "/static/nimbus.js", "/nowhere", "/add-funds?amount=x"])
def test_every_answer_carries_the_headers_that_protect_it(visitor: Visitor, url: str) -> None:
    headers = visitor.get(url).headers

    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert (headers["Cache-Control"] == "no-store") is not url.startswith("/static")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_session_cookie_stays_with_us(app: Any, scheme: str) -> None:
    cookie = app.test_client().get("/", base_url=f"{scheme}://localhost").headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert ("Secure" in cookie) is (scheme == "https")


def test_a_host_that_is_not_ours_is_refused(visitor: Visitor) -> None:
    assert visitor.client.get("/", base_url="http://evil.example").status_code == 400


def test_secrets_are_random_and_only_their_owner_reads_them(data: Path, seeded_data: Path) -> None:
    for name in ("session-secret", "webhook-secret", "identity-webhook-secret"):
        file = data / "state" / name
        assert len(file.read_text()) >= 40
        assert (seeded_data / "state" / name).stat().st_mode & 0o077 == 0


def test_no_page_holds_inline_script_style_or_a_foreign_address(visitor: Visitor) -> None:
    pages = [visitor.get(url).text for url in (*CUSTOMER_PAGES, visitor.begin("5.00"))]
    visitor.be("operator")
    pages += [visitor.get(url).text for url in OPERATOR_PAGES]

    for page in pages:
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)|javascript:", page)
        assert not re.search(r'(?:src|href|action)="(?!/|#)', page)


def test_mails_are_handed_out_by_their_own_names_only(visitor: Visitor, panel: Any) -> None:
    name = panel.outbox.files()[0].name

    assert visitor.get(f"/demo/mails/{name}").mimetype == "message/rfc822"
    for other in ("..%2Fbilling.db", "session-secret", name.replace("-", "-0", 1), "%2e%2e"):
        assert visitor.get(f"/demo/mails/{other}").status_code == 404


def test_a_mail_sent_twice_is_one_mail(panel: Any) -> None:
    from types import SimpleNamespace

    before = len(panel.outbox.files())
    message = SimpleNamespace(to="a@example.com", subject="s", text="t", html="", attachments=(), message_key="k")

    panel.outbox.send(message)
    panel.outbox.send(message)

    assert len(panel.outbox.files()) == before + 1


# The program


def test_the_example_uses_the_public_names_alone() -> None:
    allowed = {
        "prepaid",
        "prepaid.gateways",
        "prepaid.identity_providers",
        "prepaid.permissions",
        "prepaid.ports",
        "prepaid.testing.clock",
    }
    for file in EXAMPLE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prepaid"):
                assert node.module in allowed, f"{file.name} imports {node.module}"
            if isinstance(node, ast.Attribute) and re.fullmatch("_(?!_).*", node.attr):
                own = isinstance(node.value, ast.Name) and node.value.id == "self"
                assert own, f"{file.name} reaches for {node.attr}"


def start(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(EXAMPLE / "app.py"), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_program_prints_its_address_answers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLE / "app.py"), "--port", "0"]
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert program.stdout is not None
    line = program.stdout.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert url is not None, program.communicate()

    with urllib.request.urlopen(url.group(), timeout=10) as answer:
        assert b"Nimbus" in answer.read()
    with socket.create_connection(("127.0.0.1", urlsplit(url.group()).port), timeout=10) as idle:
        assert idle.recv(1) == b""  # as browsers open in advance: let go of, and no error
    assert list(tmp_path.iterdir()) != []
    program.send_signal(signal.SIGTERM)
    _, said = program.communicate(timeout=10)

    assert (program.returncode, said) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = start("--port", str(port))
        _, said = program.communicate(timeout=20)

    assert program.returncode == 1
    assert said == f"Port {port} of 127.0.0.1 cannot be used: Address already in use.\n"
