"""What the tests see after a click is the whole page, however slowly it arrives."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.engines.chromium import wait_after_acts

pytestmark = pytest.mark.chromium


class _SlowPages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>slow</title><link rel=icon href='data:,'><a href=/next>Next</a>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        time.sleep(0.3)
        self.wfile.write(b"<p id=last>The last line</p>")

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def slow_site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _SlowPages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("java_script", [True, False])
def test_after_a_click_the_page_is_whole(browser: Any, slow_site: str, java_script: bool) -> None:
    context = browser.new_context(base_url=slow_site, java_script_enabled=java_script)
    page = context.new_page()
    wait_after_acts(page)
    page.goto("/")
    page.click("text=Next")

    assert page.url.endswith("/next")
    assert page.is_visible("#last")
    context.close()
