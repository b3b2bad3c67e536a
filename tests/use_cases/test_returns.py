"""Return URLs: the host's own stay byte for byte, and only pages a browser may be sent to are taken."""

from __future__ import annotations

import pytest

from prepaid import (
    InvalidRequest,
)
from tests.use_cases.steps import (
    BACK,
    BILLING,
    SQLITE,
    checkout_of,
    counts,
    eur,
)

URLS = {"return_url": BACK, "cancel_url": BILLING}


def requests_of(simulated, topup):
    return simulated.page(checkout_of(topup))


# Where the browser comes back to


@SQLITE
@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://panel.example/back", "https://panel.example/back?topup={id}"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000?topup={id}"),
        ("https://panel.example/back?lang=fr", "https://panel.example/back?lang=fr&topup={id}"),
        ("https://panel.example/back?lang=fr#credit", "https://panel.example/back?lang=fr&topup={id}#credit"),
        ("https://panel.example/?empty=&flag", "https://panel.example/?empty=&flag&topup={id}"),
        ("https://panel.example/?sig=%E9%2F%2b", "https://panel.example/?sig=%E9%2F%2b&topup={id}"),
    ],
)
def test_the_top_up_is_appended_to_both_urls_and_the_rest_stays_as_it_was(billing, ada, simulated, url, sent):
    topup = ada.topups.start(ada.topups.quote(eur("50.00")), return_url=url, cancel_url=url, key="form-1")

    page = requests_of(simulated, topup)
    assert page.return_url == page.cancel_url == sent.format(id=topup.id)


@SQLITE
@pytest.mark.parametrize(
    "url",
    [
        "",
        "/back",
        "back",
        "javascript:alert(1)",
        "ftp://panel.example/",
        "https://",
        "https://ada:secret@panel.example/",
        "https://panel.example/\r\nSet-Cookie: x",
        "https://[::1/back",
        "https://panel.example/" + "a" * 2000,
        "https://panel.example/a b",
        "https://panel.example:0/",
        "https://panel.example:65536/",
        "https://panel.example:back/",
        None,
        b"https://panel.example/",
        5,
    ],
)
def test_a_url_that_no_browser_should_be_sent_to_is_refused(billing, ada, url):
    quote = ada.topups.quote(eur("50.00"))
    for field in ("return_url", "cancel_url"):
        with pytest.raises(InvalidRequest) as refused:
            ada.topups.start(quote, **{**URLS, field: url}, key="form-1")
        assert refused.value.field == field
    assert counts(billing)["topup"] == 0
