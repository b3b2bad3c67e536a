"""The example's identity verification: the customer who is guided to it, the operator who decides and sets when."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from prepaid import IdentityPolicy, Money
from tests.examples.visiting import TOPUPS, Visitor, error_at, hidden, money_in

FIRST = IdentityPolicy(before_first_topup=True)
EUR = "EUR"


def eur(amount: str) -> Money:
    return Money.of(amount, EUR)


def ask(panel: Any, *policies: IdentityPolicy) -> None:
    panel.alice().identity.policy(*policies)


def begin(visitor: Visitor) -> str:
    """Begin a verification and give the address of the provider's page."""
    return str(visitor.post("/identity", follow=False).location)


def identify(visitor: Visitor, act: str) -> str:
    return str(visitor.post(begin(visitor), act=act).text)


def state_in(page: str) -> str:
    found = re.search(r'<p id="state">(.*?)</p>', page, re.DOTALL)
    assert found is not None
    return re.sub("<[^>]+>", "", found.group(1)).strip()


# The customer


def test_without_a_policy_nobody_is_asked(visitor: Visitor) -> None:
    page = visitor.get("/add-funds?amount=50.00").text

    assert "Verify your identity" not in page
    assert state_in(visitor.get("/identity").text) == "Not verified"


def test_a_summary_leads_to_the_verification_and_then_back_to_the_topup(visitor: Visitor, panel: Any) -> None:
    ask(panel, FIRST)
    page = visitor.get("/add-funds?amount=50.00&code=WELCOME10").text
    live = visitor.get("/add-funds/quote?amount=50.00").json["summary"]
    link = re.search(r'href="(/identity\?[^"]+)"', page)
    assert link is not None

    begun = visitor.post(html.unescape(link.group(1)), follow=False).location
    back = visitor.post(begun, act="verify").text

    for shown in (page, live):
        assert "Verify your identity before anything is topped up." in shown
        assert 'value="pay"' not in shown
    assert begun.startswith("/simulated/identity/sim_")
    assert state_in(back) == "Verified"
    onward = re.search(r'href="(/add-funds\?[^"]+)">Go on with your top-up', back)
    assert onward is not None
    again = visitor.get(html.unescape(onward.group(1))).text
    assert money_in(again, 'id="bonus-line"') == Decimal("5.00")
    assert 'value="pay" >Pay €59.50' in again


def test_starting_while_it_is_asked_for_leads_to_the_verification(visitor: Visitor, panel: Any) -> None:
    order = visitor.order("50.00")
    ask(panel, FIRST)

    answer = visitor.post("/add-funds", follow=False, **order)
    page = visitor.get(answer.location).text

    assert answer.location == "/identity?amount=50.00&gateway=simulated"
    assert "Nothing was paid." in page
    assert len(panel.ada().topups.list().items) == TOPUPS


@pytest.mark.parametrize(
    ("act", "state", "said"),
    [
        ("verify", "Verified", "Your identity is verified"),
        ("later", "Under way", "otherwise you need not do anything"),
        ("again", "Under way", "go on with it"),
        ("reject", "Not successful", "You can try again."),
    ],
)
def test_what_the_provider_finds_is_told_in_words(
    visitor: Visitor, panel: Any, act: str, state: str, said: str
) -> None:
    ask(panel, FIRST)

    page = identify(visitor, act)

    assert state_in(page) == state
    assert said in page


def test_a_verification_goes_on_where_it_was_left(visitor: Visitor) -> None:
    first = begin(visitor)
    again = begin(visitor)
    visitor.post(first, act="again")
    unreadable = visitor.get(first).text
    visitor.post(first, act="later")
    waiting = visitor.post("/identity").text
    done = visitor.post(first, act="verify").text

    assert again == first
    assert "document unreadable" in unreadable
    assert "is being looked at" in waiting
    assert visitor.get("/identity/state").json == {"state": "verified"}
    assert state_in(done) == "Verified"
    assert "There is nothing left to do here." in visitor.post(first, act="reject").text


def test_a_provider_that_is_down_is_tried_again(visitor: Visitor, panel: Any) -> None:
    panel.identity.fail_next()

    down = visitor.post("/identity").text

    assert "The verification cannot be opened now. Try again." in down
    assert begin(visitor).startswith("/simulated/identity/")


def test_a_payment_under_way_waits_for_the_verification_and_is_credited_by_it(visitor: Visitor, panel: Any) -> None:
    before = panel.ada().balance().settled
    checkout = visitor.begin("50.00")
    ask(panel, FIRST)

    waiting = visitor.post(checkout, act="pay").text
    overview = visitor.get("/").text
    identify(visitor, "verify")

    assert "Waits for your identity" in overview
    assert "Verify your identity to get your credit" in waiting
    assert 'href="/identity"' in waiting
    topup = panel.ada().topups.list().items[0]
    assert topup.state == "credited"
    assert panel.ada().balance().settled == before + eur("50.00")
    assert "€50.00 added" in visitor.get(f"/add-funds/back?topup={topup.id}").text


def test_old_and_revoked_verifications_are_told_apart(visitor: Visitor, panel: Any) -> None:
    ask(panel, IdentityPolicy(before_first_topup=True, valid_for=timedelta(hours=2)))
    fresh = identify(visitor, "verify")
    panel.clock.advance(hours=3)
    old = visitor.get("/identity").text
    ask(panel, FIRST)
    panel.alice().identity.revoke("ada", reason="a doubt")

    assert ", until " in fresh
    assert state_in(old) == "Verified too long ago"
    assert state_in(visitor.get("/identity").text) == "Taken back"


def test_webhooks_of_the_identity_provider_need_its_signature(visitor: Visitor, panel: Any) -> None:
    reference = begin(visitor).rsplit("/", 1)[1]
    panel.identity.verify(reference)
    headers, body = panel.identity.webhook(reference)
    url = "/webhooks/simulated-identity"

    spoilt = visitor.client.post(url, data=body + b" ", headers=headers)
    good = visitor.client.post(url, data=body, headers=headers)

    assert (spoilt.status_code, spoilt.json) == (400, {"outcome": "rejected"})
    assert (good.status_code, good.json) == (200, {"outcome": "identity"})
    assert panel.ada().identity.status().state == "verified"


def test_pages_of_verifications_that_are_none_are_not_found(visitor: Visitor) -> None:
    assert visitor.get("/simulated/identity/x").status_code == 404
    assert visitor.post("/simulated/identity/x", act="verify").status_code == 404
    assert visitor.post(begin(visitor), act="magic").status_code == 400


# The operator


@pytest.fixture
def operator(visitor: Visitor) -> Visitor:
    return visitor.be("operator")


def decide(visitor: Visitor, **fields: str) -> Any:
    return visitor.post("/operator/identity/of?customer=ada", **fields)


def policy(visitor: Visitor, act: str = "set", **fields: str) -> Any:
    usual = {"basis": "topups", "level": "1", "act": act}
    return visitor.post("/operator/identity/policy", **{**usual, **fields})


def test_the_queue_shows_who_waits_and_who_was_decided(visitor: Visitor) -> None:
    identify(visitor, "later")
    visitor.be("operator")
    waiting = visitor.get("/operator/identity").text
    decide(visitor, action="approve", reason="seen in the office")
    verified = visitor.get("/operator/identity?state=verified").text

    assert re.findall('data-customer="([^"]+)"', waiting) == ["ada"]
    assert "To be decided" in waiting
    assert "data-customer" not in visitor.get("/operator/identity").text
    assert "seen in the office" in verified
    assert "by alice" in verified
    assert visitor.get("/operator/identity?state=magic").status_code == 400


def test_an_approval_credits_what_waited(visitor: Visitor, panel: Any) -> None:
    checkout = visitor.begin("50.00")
    ask(panel, FIRST)
    visitor.post(checkout, act="pay")
    topup = panel.ada().topups.list().items[0]
    visitor.be("operator")
    dashboard = visitor.get("/operator/").text
    looked = visitor.get(f"/operator/topups/{topup.id}").text
    person = visitor.get("/operator/identity/of?customer=ada").text

    approved = decide(visitor, action="approve", reason="passport seen").text

    assert "The customer has to be verified first" in dashboard
    assert "It is credited by itself once ada is verified." in looked
    assert "Credit what was paid" not in looked
    assert "Send it back" in looked
    assert f"/operator/topups/{topup.id}" in person
    assert "ada is verified." in approved
    assert panel.ada().topups.get(topup.id).state == "credited"
    assert "passport seen" in visitor.get("/operator/audit").text


def test_what_waits_can_be_sent_back(visitor: Visitor, panel: Any) -> None:
    checkout = visitor.begin("50.00")
    ask(panel, FIRST)
    visitor.post(checkout, act="pay")
    topup = panel.ada().topups.list().items[0].id
    visitor.be("operator")

    fields = {"action": "refund", "reason": "never verified", "key": "k"}
    page = visitor.post(f"/operator/topups/{topup}/resolve", **fields).text

    assert "The money was sent back." in page


def test_each_decision_needs_a_choice_and_a_reason_and_fits_the_state(operator: Visitor, panel: Any) -> None:
    nothing = decide(operator, reason="r")
    no_reason = decide(operator, action="approve")
    nobody = decide(operator, action="reject", reason="r")
    never = decide(operator, action="revoke", reason="r")
    approved = decide(operator, action="approve", reason="r")
    revoked = decide(operator, action="revoke", reason="a doubt")

    assert [answer.status_code for answer in (nothing, no_reason, nobody, never)] == [422] * 4
    assert "Choose what you decide." in nothing.text
    assert error_at(no_reason.text, "reason")
    assert "No verification of this customer is open." in nobody.text
    assert "This customer was never verified." in never.text
    assert "ada is verified." in approved.text
    assert "has to be verified again." in revoked.text
    assert panel.ada().identity.status().state == "revoked"


def test_a_rejected_case_is_told_to_the_customer(visitor: Visitor) -> None:
    identify(visitor, "later")
    visitor.be("operator")
    decide(visitor, action="reject", reason="another person")
    visitor.be("customer")

    assert state_in(visitor.get("/identity").text) == "Not successful"


def test_the_provider_is_asked_again_by_the_button(visitor: Visitor, panel: Any) -> None:
    reference = begin(visitor).rsplit("/", 1)[1]
    panel.identity.verify(reference)  # and its webhook is lost
    visitor.be("operator")

    panel.identity.fail_next()
    down = visitor.post("/operator/identity/recheck?customer=ada").text
    page = visitor.post("/operator/identity/recheck?customer=ada").text

    assert "The provider cannot be asked now." in down
    assert "Asked again" in page
    assert panel.ada().identity.status().state == "verified"


@pytest.mark.parametrize("customer", ["", "nobody", "<b>"])
def test_a_customer_who_does_not_exist_has_no_page(operator: Visitor, customer: str) -> None:
    url = f"/operator/identity/of?customer={customer}"

    assert operator.get(url).status_code in (400, 404)
    assert operator.post(url, action="approve", reason="r").status_code in (400, 404)
    assert operator.post(f"/operator/identity/recheck?customer={customer}").status_code in (400, 404)


def test_a_preview_writes_nothing_and_names_who_would_be_asked(operator: Visitor, panel: Any) -> None:
    page = policy(operator, "preview", above="35").text

    assert "1 of 2 customers" in page
    assert ">ada</a>" in page
    assert "More than the policy allows" in page
    assert 'value="35"' in page
    assert panel.alice().identity.policies() == ()


def test_a_policy_is_set_shown_in_words_and_ended(operator: Visitor, panel: Any) -> None:
    fields = {"above": "100", "period": "30", "valid_for": "365", "countries": "de, FR", "before_first_topup": "yes"}
    page = policy(operator, **fields).text
    [found] = panel.alice().identity.policies()
    form = operator.get("/operator/identity/policy").text
    ended = policy(operator, "none").text

    assert found == IdentityPolicy(
        before_first_topup=True,
        above=eur("100.00"),
        period=timedelta(days=30),
        valid_for=timedelta(days=365),
        countries=("DE", "FR"),
    )
    assert (
        "Customers in DE, FR are asked before the first top-up and when more than €100.00 is bought within 30 days, "
        "again after 365 days; level 1 is enough."
    ) in page
    for shown in ('value="100.00"', 'value="30"', 'value="365"', 'value="DE, FR"', 'value="yes" checked'):
        assert shown in form
    assert "Nobody has to be verified any more." in ended
    assert panel.alice().identity.policies() == ()


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({}, "above", "before the first top-up, or above an amount"),
        ({"above": "lots"}, "above", ""),
        ({"above": "-1"}, "above", ""),
        ({"above": "10", "period": "x"}, "period", "whole number"),
        ({"above": "10", "valid_for": "0"}, "valid_for", "whole number"),
        ({"above": "10", "countries": "Germany"}, "countries", ""),
        ({"above": "10", "level": "10"}, "level", "from 1 to 9"),
    ],
)
@pytest.mark.parametrize("act", ["set", "preview"])
def test_a_policy_that_cannot_be_is_refused_beside_its_field(
    operator: Visitor, panel: Any, act: str, wrong: dict[str, str], field: str, said: str
) -> None:
    answer = policy(operator, act, **wrong)

    assert answer.status_code == 422
    assert said in error_at(answer.text, field)
    assert panel.alice().identity.policies() == ()


def test_several_policies_are_named_before_they_are_replaced(operator: Visitor, panel: Any) -> None:
    ask(panel, FIRST, IdentityPolicy(above=eur("10.00"), level=2, basis="usage"))

    assert "Setting this form replaces it" in operator.get("/operator/identity/policy").text
    assert "is used" in operator.get("/operator/identity").text
    assert policy(operator, "magic", above="1").status_code == 400


def test_a_policy_that_the_form_cannot_show_is_named_before_it_is_replaced(operator: Visitor, panel: Any) -> None:
    ask(panel, IdentityPolicy(above=eur("10.00"), period=timedelta(hours=36)))

    page = operator.get("/operator/identity/policy").text

    assert "within 36 hours" in page
    assert "Setting this form replaces it" in page
    ask(panel, IdentityPolicy(above=eur("10.00"), period=timedelta(days=36)))
    assert "replaces it" not in operator.get("/operator/identity/policy").text


def test_usage_asks_at_the_next_topup(visitor: Visitor, panel: Any) -> None:
    ask(panel, IdentityPolicy(above=eur("0.01"), basis="usage"))

    page = visitor.get("/add-funds?amount=5.00").text

    assert "more than" in page
    assert "quote" in hidden(page)
