"""A small cloud panel with prepaid billing in it; start it with ``python examples/flask_app/app.py``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from flask import Flask, flash, redirect, render_template, request, send_file, session, url_for
from werkzeug.exceptions import HTTPException, SecurityError, abort
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

import customer_pages
import digest_pages
import display
import dispute_pages
import export_pages
import identity_desk_pages
import identity_pages
import operator_pages
import promotion_pages
import promotion_words
import provider_desk_pages
import refund_desk_pages
import refund_pages
import refund_words
import report_pages
import report_words
import security
import simulated_pages
import tax_pages
import voucher_pages
from forms import sentence
from prepaid import NotFound, RequestRefused
from seed import seeded
from wiring import PEOPLE, Panel, open_panel, panel, role

HOST = "127.0.0.1"
USUAL_PORT = 8000
STEPS_H = (1, 3)
PAGES = (
    customer_pages,
    refund_pages,
    identity_pages,
    operator_pages,
    report_pages,
    export_pages,
    digest_pages,
    refund_desk_pages,
    dispute_pages,
    tax_pages,
    promotion_pages,
    voucher_pages,
    identity_desk_pages,
    simulated_pages,
    provider_desk_pages,
)


def create_app(data: Path, *, clock: Any = None) -> Flask:
    """Make the panel upon a data directory, which is filled the first time."""
    app = Flask(__name__)
    opened = app.extensions["panel"] = open_panel(seeded(data), clock)
    opened.billing.upgrade_database()
    security.protect(app, opened.secret_key)
    display.register(app)
    promotion_words.register(app)
    refund_words.register(app)
    report_words.register(app)
    for module in PAGES:
        app.register_blueprint(module.pages)
    app.add_url_rule("/role", view_func=change_role, methods=["POST"])
    app.add_url_rule("/demo/advance", view_func=advance, methods=["POST"])
    app.add_url_rule("/demo/mails/<name>", view_func=mail)
    app.context_processor(_demo)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(RequestRefused, _refused)
    return app


def change_role() -> Any:
    """Switch between the demo's people; a real panel signs people in."""
    person = request.form.get("role", "")
    if person not in PEOPLE:
        abort(400)
    session["person"] = person
    return _home()


def _home() -> Any:
    return redirect(url_for("operator.dashboard" if role() == "operator" else "customer.overview"))


def advance() -> Any:
    """Move the demo's clock hour by hour and run what has become due, as a scheduler would."""
    hours = request.form.get("hours", type=int)
    if hours not in STEPS_H:
        abort(400)
    charged = 0
    for _ in range(hours):
        panel().clock.advance(hours=1)
        charged += sum(run.count for run in panel().billing.run_due() if run.name == "meters")
    flash(f"{hours} hour{'s' if hours > 1 else ''} later: {charged} hourly charges posted.")
    return _home()


def mail(name: str) -> Any:
    """Hand out a mail that was sent."""
    file = panel().outbox.file(name)
    if file is None:
        abort(404)
    return send_file(file, mimetype="message/rfc822", as_attachment=True)


def _demo() -> dict[str, Any]:
    return {
        "demo_now": panel().clock.now(),
        "demo_mails": panel().outbox.files(),
        "demo_steps": STEPS_H,
        "role": role(),
        "person": session.get("person", "customer"),
        "people": PEOPLE,
    }


def _http_error(error: HTTPException) -> Any:
    if isinstance(error, SecurityError):
        return error  # for another host than ours there are no addresses to draw a page with
    return render_template("error.html", title=error.name, text=error.description), error.code


def _refused(refused: RequestRefused) -> Any:
    if isinstance(refused, NotFound):
        return render_template("error.html", title="Not found", text=sentence(refused)), 404
    return render_template("error.html", title="That cannot be done", text=sentence(refused)), 400


class _Handler(WSGIRequestHandler):
    """Lets go of connections that browsers open in advance, so that they do not hold up the end."""

    timeout = 2

    def log_error(self, format: str, *args: Any) -> None:
        """Say what went wrong; that nobody asked anything did not."""
        if not any(isinstance(each, TimeoutError) for each in args):
            super().log_error(format, *args)


class _Server(ThreadedWSGIServer):
    """Finishes the requests under way before it ends."""

    daemon_threads = False


def main() -> None:
    """Serve the panel on loopback until interrupted."""
    options = _options()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="prepaid-example-") as fresh, _listen(options.port) as listening:
        app = create_app(options.data or Path(fresh))
        opened: Panel = app.extensions["panel"]
        opened.billing.run_due()  # hours that passed since the last time
        port = listening.getsockname()[1]
        server = _Server(HOST, port, app, _Handler, fd=listening.fileno())
        _end_by_signal(server)
        print(f"Nimbus runs at http://{HOST}:{port}/ (Ctrl+C ends it)", flush=True)
        if options.data is None:
            print("Everything is forgotten at the end; keep it with --data DIR.", flush=True)
        server.serve_forever()
        opened.billing.close()


def _end_by_signal(server: _Server) -> None:
    """End the loop from outside it: an exception in the middle of it would tear a request apart.

    The handler only puts: it may interrupt the start of a thread, and could not start another one then.
    """
    signals: SimpleQueue[int] = SimpleQueue()

    def wait() -> None:
        signals.get()
        server.shutdown()

    threading.Thread(target=wait, daemon=True).start()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _: signals.put(number))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A cloud panel with prepaid billing, for a look around.")
    parser.add_argument("--port", type=int, help=f"port to listen on ({USUAL_PORT}, or any free one)")
    parser.add_argument("--data", type=Path, help="directory to keep the demo in (a temporary one)")
    return parser.parse_args()


def _listen(port: int | None) -> socket.socket:
    """Take the port that was asked for, else the usual one, else any."""
    for wanted in (USUAL_PORT, 0) if port is None else (port,):
        try:
            return socket.create_server((HOST, wanted))
        except OSError as error:
            problem = error
    sys.exit(f"Port {port} of {HOST} cannot be used: {os.strerror(problem.errno or 0)}.")


if __name__ == "__main__":
    main()
