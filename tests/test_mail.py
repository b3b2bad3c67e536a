"""Mail over SMTP: real servers on loopback that take, refuse, stall and drop."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import logging
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading
import time
import traceback
from datetime import UTC, datetime

import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from hypothesis import given, settings
from hypothesis import strategies as st

from prepaid.core.errors import ConfigurationError, InvalidRequest
from prepaid.invoicing.letters import invoice_mail
from prepaid.invoicing.pdf import PdfRenderer
from prepaid.mail import LONGEST_HEADER, SmtpMailer
from prepaid.ports import Attachment, Mailer, MailMessage
from tests.invoicing.samples import BUYER, SELLER, invoice

SENDER = "billing@nimbus.example"
SECRET = "s3cr3t-pa55"


class FixedClock:
    def now(self):
        return datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


class Postbox:
    """Keeps what was accepted; refuses recipients it was told to."""

    def __init__(self):
        self.envelopes, self.refused, self.hello = [], set(), ""

    async def handle_EHLO(self, server, session, envelope, hostname, responses):  # noqa: N802 - aiosmtpd's name
        session.host_name = self.hello = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        self.envelopes.append(envelope)
        return "250 accepted"

    @property
    def mails(self):
        contents = (item.content.replace(b"\r\n", b"\n") for item in self.envelopes)
        return [email.message_from_bytes(content, policy=email.policy.default) for content in contents]


@contextlib.contextmanager
def serve(handler, *, listen_with=None, **options):
    """Run an SMTP server on a free port of this machine."""
    loop, ready, port = asyncio.new_event_loop(), threading.Event(), []

    async def start():
        made = await loop.create_server(
            lambda: SMTP(handler, loop=loop, hostname="server.test", **options), "127.0.0.1", 0, ssl=listen_with
        )
        port.append(made.sockets[0].getsockname()[1])
        return made

    def run():
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(start())
        loop.call_soon(ready.set)
        loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        assert not thread.is_alive()


@contextlib.contextmanager
def scripted(answers, *, after_data=b"250 accepted\r\n"):
    """Run a server that gives one answer per verb; None stalls, b"" hangs up; count the mails it saw whole."""
    seen = []
    done = threading.Event()

    def talk(connection):
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 server.test\r\n")
            for line in lines:
                verb = line[:4].upper().strip().decode()
                answer = answers.get(verb, b"250 OK\r\n")
                if verb == "DATA" and answer == b"354 go\r\n":
                    connection.sendall(answer)
                    seen.append(b"".join(iter(lines.readline, b".\r\n")))
                    answer = after_data
                if answer is None:
                    done.wait(20)
                    return
                if not answer:
                    return
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run():
            with contextlib.suppress(OSError):
                talk(listener.accept()[0])

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1], seen
        finally:
            done.set()
            listener.close()
            thread.join(10)


@pytest.fixture
def postbox():
    return Postbox()


@pytest.fixture
def mailer(postbox):
    with serve(postbox) as port:
        yield SmtpMailer(f"smtp://127.0.0.1:{port}", sender=SENDER, timeout_s=10, clock=FixedClock())


def message(**changes):
    return MailMessage(**{"to": "ada@example.com", "subject": "S", "text": "T", "message_key": "k", **changes})


def plain_mailer(port, **options):
    return SmtpMailer(f"smtp://127.0.0.1:{port}", sender=SENDER, **{"timeout_s": 10, **options})


# What arrives


def test_mailer_keeps_the_contract(mailer):
    assert isinstance(mailer, Mailer)


def test_invoice_arrives_whole_with_text_html_and_file(mailer, postbox):
    document = invoice(buyer=BUYER, seller=SELLER)
    pdf = PdfRenderer().render(document)
    mailer.send(invoice_mail(document, pdf, to="ada@example.com"))
    [mail] = postbox.mails
    assert postbox.envelopes[0].mail_from == SENDER
    assert postbox.envelopes[0].rcpt_tos == ["ada@example.com"]
    assert (mail["From"], mail["To"]) == (SENDER, "ada@example.com")
    assert mail["Subject"] == "Invoice INV26-000007 from Nimbus GmbH"
    assert mail["Date"].datetime == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "Total: €54.00" in mail.get_body(("plain",)).get_content()
    assert "<td" in mail.get_body(("html",)).get_content()
    [attachment] = mail.iter_attachments()
    assert attachment.get_filename() == "INV26-000007.pdf"
    assert attachment.get_content_type() == "application/pdf"
    assert attachment.get_content() == pdf


def test_letters_of_all_scripts_round_trip(mailer, postbox):
    words = "Żółć 日本 مرحبا 👩 ₹"
    mailer.send(message(subject=words, text=words, html=f"<p>{words}</p>"))
    [mail] = postbox.mails
    assert mail["Subject"] == words
    assert mail.get_body(("plain",)).get_content().strip() == words
    assert mail.get_body(("html",)).get_content().strip() == f"<p>{words}</p>"
    assert postbox.envelopes[0].content.isascii()


def test_half_a_character_does_not_stop_a_mail(mailer, postbox):
    mailer.send(message(subject="a\udfff b", text="half \ud800 a letter", html="<p>\udfff"))
    [mail] = postbox.mails
    assert mail["Subject"] == "a b"
    assert mail.get_body(("plain",)).get_content() == "half ? a letter\n"


def test_text_alone_is_a_simple_mail(mailer, postbox):
    mailer.send(message(text=".\n..leading dots\n" + "x" * 3000))
    [mail] = postbox.mails
    assert not mail.is_multipart()
    assert mail.get_content() == ".\n..leading dots\n" + "x" * 3000 + "\n"


def test_message_id_is_the_same_at_every_attempt_and_another_for_another_mail(mailer, postbox):
    for key in ("invoice/1", "invoice/1", "invoice/2"):
        mailer.send(message(message_key=key))
    first, again, other = (mail["Message-ID"] for mail in postbox.mails)
    assert first == again != other
    assert first.startswith("<")
    assert first.endswith("@nimbus.example>")


def test_server_is_greeted_in_the_name_of_the_sender(mailer, postbox):
    mailer.send(message())
    assert postbox.hello == "nimbus.example"


def test_date_comes_from_the_machine_without_a_clock(postbox):
    with serve(postbox) as port:
        before = datetime.now(UTC).replace(microsecond=0)
        plain_mailer(port).send(message())
        assert before <= postbox.mails[0]["Date"].datetime <= datetime.now(UTC)


# Hostile words


@pytest.mark.parametrize(
    "break_", ["\r\n", "\n", "\r", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x00", "\ud800"]
)
def test_line_breaks_in_a_subject_neither_stop_the_mail_nor_add_headers(mailer, postbox, break_):
    mailer.send(message(subject=f"Invoice{break_}Bcc: victim@example.com{break_}{break_}body"))
    [mail] = postbox.mails
    assert mail["Subject"] == "Invoice Bcc: victim@example.com body"
    assert mail["Bcc"] is None
    assert postbox.envelopes[0].rcpt_tos == ["ada@example.com"]
    assert mail.get_content() == "T\n"


@pytest.mark.parametrize(
    "words",
    ["=?utf-8?q?a=0D=0ABcc:_victim=40example.com?=", "=?utf-8?b?DQpCY2M6IHZpY3RpbUBleGFtcGxlLmNvbQ==?=",
     "=?utf-8?q?a?= =?utf-8?q?=0ABcc:_victim=40example.com?=", "==??utf-8?q?=0ABcc:_v?=", "=\x00?utf-8?q?=0ABcc:_v?="],
)  # fmt: skip
def test_words_that_look_encoded_are_not_decoded_into_headers(mailer, postbox, words):
    mailer.send(message(subject=f"Invoice from {words}"))
    [mail] = postbox.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("Invoice from =")
    assert mail.get_content() == "T\n"


def test_no_words_at_all_stop_a_mail_or_add_a_header(postbox):
    with serve(postbox) as port:
        mailer = plain_mailer(port, clock=FixedClock())

        @settings(max_examples=100)
        @given(st.text(alphabet=st.characters(), max_size=120), st.text(alphabet=st.characters(), max_size=300))
        def send(words, body):
            mailer.send(message(subject=words, text=body, html=f"<p>{body}"))
            mail = postbox.mails[-1]
            assert sorted(mail.keys()) == [
                "Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To",
            ]  # fmt: skip
            assert "\n" not in mail["Subject"]
            postbox.envelopes.clear()

        send()


def test_subject_is_cut_to_a_length(mailer, postbox):
    mailer.send(message(subject="é" * 100_000))
    assert postbox.mails[0]["Subject"] == "é" * LONGEST_HEADER


@pytest.mark.parametrize(
    ("name", "sent"),
    [("../../etc/passwd", "_.._etc_passwd"),
     ("a\r\nX-Evil: 1.pdf", "a_X-Evil_1.pdf"), ("", "file"), ("Ü.pdf", "Ü.pdf")],
)  # fmt: skip
def test_file_names_hold_no_path_and_no_header(mailer, postbox, name, sent):
    mailer.send(message(attachments=(Attachment(filename=name, content=b"x", media_type="text/csv\r\nX: 1"),)))
    [attachment] = postbox.mails[0].iter_attachments()
    assert attachment.get_filename() == sent
    assert attachment.get_content_type() == "application/octet-stream"


@pytest.mark.parametrize(
    "address",
    ["", "ada", "ada@", "@example.com", "a@example.com, b@example.com", "Ada <a@example.com>",
     "a@example.com\r\nBcc: b@x.org",
     "a@example.com\n", "list:a@example.com", '"a b"@example.com', "a@example.com>\r\nRCPT TO:<b@x.org", "a@b@c.org",
     "a@-example.com", "ä@example.com", "a@example.com\u2028", "a" * 65 + "@example.com", None],
)  # fmt: skip
def test_only_one_plain_address_is_written_to(mailer, postbox, address):
    with pytest.raises(InvalidRequest) as refused:
        mailer.send(message(to=address))
    assert refused.value.field == "to"
    assert postbox.envelopes == []


# Servers that fail


def test_refused_recipient_is_an_error_and_nothing_is_sent(mailer, postbox):
    postbox.refused.add("ada@example.com")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        mailer.send(message())
    assert postbox.envelopes == []
    mailer.send(message(to="bob@example.com"))
    assert len(postbox.envelopes) == 1


def test_nobody_listening_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        plain_mailer(port).send(message())


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_stalled_server_is_given_up_within_the_timeout(verb):
    with scripted({verb: None}) as (port, seen):
        started = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            plain_mailer(port, timeout_s=0.3).send(message())
        assert 0.2 < time.monotonic() - started < 5
        assert seen == []


@pytest.mark.parametrize(
    "after_data", [b"", b"451 try later\r\n", b"554 no\r\n", None], ids=["drop", "451", "554", "stall"]
)
def test_mail_that_was_not_acknowledged_counts_as_not_sent(after_data):
    with scripted({"DATA": b"354 go\r\n"}, after_data=after_data) as (port, seen):
        with pytest.raises(OSError):  # noqa: PT011 - each way of failing has words of its own
            plain_mailer(port, timeout_s=0.5).send(message())
        assert len(seen) == 1


@pytest.mark.parametrize("goodbye", [None, b"", b"500 what\r\n"], ids=["stall", "drop", "error"])
def test_mail_that_was_acknowledged_counts_as_sent_however_the_server_says_goodbye(goodbye):
    with scripted({"DATA": b"354 go\r\n", "QUIT": goodbye}) as (port, seen):
        plain_mailer(port, timeout_s=0.3).send(message())
        assert len(seen) == 1


# Credentials


def authenticator(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"user", SECRET.encode())
    return AuthResult(success=good, handled=False, message=f"535 no {data.password!r}")


# aiosmtpd warns of credentials without TLS; here they never leave the machine.
speaks_auth = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
AUTH = {"authenticator": authenticator, "auth_required": True, "auth_require_tls": False}


def every_word_of(error):
    """Give all an error could show in a log or a report, with what it was raised from."""
    chain = []
    while error is not None:
        chain += [str(error), repr(error), repr(error.args), *traceback.format_exception(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(chain)


@speaks_auth
def test_credentials_are_used_and_may_be_percent_encoded(postbox):
    with serve(postbox, **AUTH) as port:
        SmtpMailer(f"smtp://us%65r:{SECRET}@127.0.0.1:{port}", sender=SENDER).send(message())
    assert len(postbox.envelopes) == 1


@speaks_auth
def test_refused_credentials_are_an_error_without_the_password(postbox, caplog):
    caplog.set_level(logging.DEBUG)
    wrong = "wrong-pa55word"
    with serve(postbox, **AUTH) as port:
        mailer = SmtpMailer(f"smtp://user:{wrong}@127.0.0.1:{port}", sender=SENDER)
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            mailer.send(message())
    assert refused.value.smtp_code == 535
    assert wrong not in every_word_of(refused.value)
    assert not [record for record in caplog.records if record.name.startswith("prepaid")]
    assert postbox.envelopes == []


def test_password_is_in_no_representation():
    mailer = SmtpMailer(f"smtp://user:{SECRET}@127.0.0.1:2525", sender=SENDER)
    assert repr(mailer) == "SmtpMailer('smtp://127.0.0.1:2525', sender='billing@nimbus.example')"
    assert SECRET not in repr(vars(mailer))


@pytest.mark.parametrize(
    ("url", "shown"),
    [("smtp://localhost", "smtp://localhost:25"), ("smtps://mail.example", "smtps://mail.example:465"),
     ("smtp://[::1]:2525/", "smtp://[::1]:2525"), ("smtp://mail.example:587?starttls=require", "smtp://mail.example:587"),
     (f"smtp://u:{SECRET}@localhost", "smtp://localhost:25"), (f"smtps://u:{SECRET}@mail.example", "smtps://mail.example:465"),
     (f"smtp://u:{SECRET}@mail.example?starttls=require", "smtp://mail.example:25")],
)  # fmt: skip
def test_good_urls_are_read(url, shown):
    assert repr(SmtpMailer(url, sender=SENDER)) == f"SmtpMailer('{shown}', sender='{SENDER}')"


@pytest.mark.parametrize(
    "url",
    ["", "localhost:25", "http://localhost", "smtp://", "smtp://:25", "smtp://host:port", "smtp://host:0", "smtp://host:70000",
     "smtp://host/path", "smtp://host#x", "smtp://host?starttls=maybe", "smtps://host?starttls=require", "smtp://ho st",
     "smtp://[::1", "smtp://[zz]", "smtp://-host", None, 25,
     f"smtps://user:{SECRET}/x@host", f"smtps://user:{SECRET}#x@host", f"smtps://user:{SECRET}?x@host",
     f"smtps://user:{SECRET}%C3%A9@host", f"smtps://user:{SECRET}%0D%0AX@host", f"smtps://:{SECRET}@host",
     "smtps://user@host", f"smtp://user:{SECRET}@mail.example", f"smtp://user:{SECRET}@192.0.2.1",
     f"smtps://user:{SECRET}\u2100@host"],
)  # fmt: skip
def test_bad_urls_are_configuration_errors_that_never_repeat_them(url):
    with pytest.raises(ConfigurationError) as wrong:
        SmtpMailer(url, sender=SENDER)
    assert SECRET not in every_word_of(wrong.value)
    assert "SmtpMailer" in str(wrong.value)


@pytest.mark.parametrize("sender", ["", "billing", "Nimbus <a@b.example>", "a@b.example\r\nX: 1", None])
def test_bad_sender_is_a_configuration_error(sender):
    with pytest.raises(ConfigurationError, match="sender"):
        SmtpMailer("smtp://localhost", sender=sender)


@pytest.mark.parametrize("timeout_s", [0, -1, 601, True, "20", None, float("nan")])
def test_bad_timeout_is_a_configuration_error(timeout_s):
    with pytest.raises(ConfigurationError, match="timeout_s"):
        SmtpMailer("smtp://localhost", sender=SENDER, timeout_s=timeout_s)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for this machine that no authority has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "key.pem"]
    command = [openssl, "req", "-x509", *key, *subject, *usage, "-days", "2", "-out", folder / "cert.pem"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@speaks_auth
def test_credentials_go_over_tls_from_the_start(postbox, tls, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    with serve(postbox, listen_with=tls, **AUTH) as port:
        SmtpMailer(f"smtps://user:{SECRET}@127.0.0.1:{port}", sender=SENDER).send(message())
    assert len(postbox.envelopes) == 1


def test_starttls_comes_before_credentials(postbox, tls, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    options = {**AUTH, "auth_require_tls": True, "require_starttls": True}
    with serve(postbox, tls_context=tls, **options) as port:
        SmtpMailer(f"smtp://user:{SECRET}@127.0.0.1:{port}?starttls=require", sender=SENDER).send(message())
    assert len(postbox.envelopes) == 1


def test_certificate_nobody_vouches_for_is_refused(postbox, tls):
    with serve(postbox, tls_context=tls) as port:
        mailer = SmtpMailer(f"smtp://127.0.0.1:{port}?starttls=require", sender=SENDER)
        with pytest.raises(ssl.SSLCertVerificationError):
            mailer.send(message())
    assert postbox.envelopes == []


@speaks_auth
def test_server_without_the_required_tls_gets_nothing(postbox):
    with serve(postbox, **AUTH) as port:
        mailer = SmtpMailer(f"smtp://user:{SECRET}@127.0.0.1:{port}?starttls=require", sender=SENDER)
        with pytest.raises(smtplib.SMTPNotSupportedError):
            mailer.send(message())
    assert postbox.envelopes == []
