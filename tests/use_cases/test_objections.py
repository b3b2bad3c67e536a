"""Plugins that object: what they say refuses a sale or a refund, what they do wrong does too, and nothing is kept."""

from __future__ import annotations

import pytest

import prepaid
from prepaid import (
    Bonus,
    ConfigurationError,
    CustomerFrozen,
    Discount,
    KeyConflict,
    Money,
    NotFound,
    Percent,
    Promotion,
    RefundRefused,
    TopupRefused,
)
from prepaid.plugins import MAX_LINE, MOST_OBJECTIONS, UNDECIDED
from tests.use_cases.refund_steps import approve, ask, checkout_id, give_back, proven, refunds_of
from tests.use_cases.steps import (
    ADA,
    BACK,
    BILLING,
    EVE,
    SQLITE,
    SQLITE_FIRST,
    charge,
    checkout_of,
    counts,
    deliver,
    eur,
    operator,
    top_up,
)


class Objecting:
    """A plugin that objects as it is told, and remembers what it was asked."""

    def __init__(self, *told):
        self.told, self.asked, self.during = list(told), [], None

    def answer(self, question):
        self.asked.append(question)
        if self.during is not None:
            during, self.during = self.during, None
            during()
        if isinstance(self.told, Exception):
            raise self.told
        return self.told(question) if callable(self.told) else self.told


class Sales(Objecting):
    @prepaid.hookimpl
    def prepaid_topup_objections(self, request):
        return self.answer(request)


class OtherSales(Sales):
    pass


class Refunds(Objecting):
    @prepaid.hookimpl
    def prepaid_refund_objections(self, request):
        return self.answer(request)


class OtherRefunds(Refunds):
    pass


@pytest.fixture
def wire(open_billing):
    """Give a function that wires plugins, and registers two customers."""

    def wired(*plugins, **options):
        billing = open_billing(plugins=plugins, **options)
        for customer in (ADA, EVE):
            billing.customers.register(customer, currency="EUR")
        return billing

    return wired


def quote(billing, amount="50.00", **options):
    return billing.customer(ADA).topups.quote(eur(amount), **options)


def begin(billing, quoted, key="order"):
    return billing.customer(ADA).topups.start(quoted, return_url=BACK, cancel_url=BILLING, key=key)


def decided(billing, request_id):
    return operator(billing).refunds.get(request_id).request


def kept(billing):
    """Count all rows but accounts and series of documents, which are opened when they may be needed."""
    return {table: number for table, number in counts(billing).items() if table not in ("account", "invoice_series")}


def in_use(billing):
    return billing._database.engine.pool.checkedout()


# A top-up


@SQLITE_FIRST
def test_an_objection_refuses_the_quote_and_tells_its_sentence(wire):
    plugin = Sales("Pay your last invoice first.")
    billing = wire(plugin)

    with pytest.raises(TopupRefused) as refused:
        quote(billing)

    assert (refused.value.message, refused.value.code) == ("Pay your last invoice first.", "topup-refused")
    assert (refused.value.objections, refused.value.field) == (("Pay your last invoice first.",), None)
    [question] = plugin.asked
    assert (question.customer_id, question.moment, question.quote.credit) == (ADA, "quote", eur("50"))
    assert (question.quote.gateway, question.quote.total, question.quote.code) == ("simulated", eur("50"), None)


@SQLITE_FIRST
def test_an_objection_that_comes_between_refuses_the_start_and_keeps_nothing(wire):
    plugin = Sales()
    billing = wire(plugin)
    rule = Promotion(code="WELCOME", effect=Bonus(Percent("10")), uses_per_customer=1)
    operator(billing).promotions.create(rule)
    quoted = quote(billing, code="welcome")
    plugin.told, before = ["We are closed."], counts(billing)

    with pytest.raises(TopupRefused) as refused:
        begin(billing, quoted)

    assert refused.value.objections == ("We are closed.",)
    assert counts(billing) == before
    assert [(each.moment, each.quote.code, each.quote.bonus) for each in plugin.asked] == [
        ("quote", "WELCOME", eur("5")),
        ("start", "WELCOME", eur("5")),
    ]
    plugin.told = []
    assert begin(billing, quoted).state == "pending"  # neither its key nor its code was used up
    proven(billing)


@SQLITE
def test_an_earlier_checkout_with_the_code_is_not_given_up_for_a_start_that_is_refused(wire):
    plugin = Sales()
    billing = wire(plugin)
    operator(billing).promotions.create(Promotion(code="ONCE", effect=Bonus(Percent("10")), uses_per_customer=1))
    earlier = begin(billing, quote(billing, code="ONCE"), key="earlier")
    quoted, plugin.told = quote(billing, code="ONCE"), ["No."]

    with pytest.raises(TopupRefused):
        begin(billing, quoted)

    assert billing.customer(ADA).topups.get(earlier.id).state == "pending"


@SQLITE
def test_the_objections_of_all_plugins_are_told_in_their_order_and_each_once(wire):
    first, other = Sales("Too much.", "Too soon."), OtherSales("Too soon.", "Too late.")
    billing = wire(first, other)

    with pytest.raises(TopupRefused) as refused:
        quote(billing)

    assert refused.value.objections == ("Too much.", "Too soon.", "Too late.")
    assert refused.value.message == "Too much. Too soon. Too late."


@SQLITE
def test_without_objections_nothing_changes(wire, simulated):
    for nothing in ([], (), set(), iter(())):
        plugin = Sales()
        plugin.told = nothing
        billing = wire(plugin)
        assert top_up(billing, simulated).state == "credited"
        assert [each.moment for each in plugin.asked] == ["quote", "start"]


class Shown(str):
    __slots__ = ()


WRONG = {
    "an error": lambda question: 1 / 0,
    "an error with what a customer told": lambda question: (_ for _ in ()).throw(RuntimeError("ada@example.com")),
    "a refusal of its own": lambda question: (_ for _ in ()).throw(prepaid.InvalidRequest("ada@example.com")),
    "nothing": lambda question: None,
    "one text": lambda question: "Pay your last invoice first.",
    "one text of a kind of its own": lambda question: Shown("No."),
    "an empty text": lambda question: "",
    "bytes": lambda question: b"No.",
    "yes": lambda question: True,
    "no": lambda question: False,
    "a number": lambda question: 1,
    "a list of numbers": lambda question: [1],
    "a list of nothing": lambda question: [None],
    "an empty sentence": lambda question: [""],
    "a blank sentence": lambda question: ["No.", "  "],
    "a sentence that is too long": lambda question: ["x" * (MAX_LINE + 1)],
    "a sentence that cannot be shown": lambda question: ["No.\x00"],
    "lists of sentences": lambda question: [["No."]],
    "more than can be read": lambda question: [f"No {number}." for number in range(MOST_OBJECTIONS + 1)],
    "sentences without an end": lambda question: iter(lambda: "No.", ""),
    "an error among its sentences": lambda question: (str(1 // (1 - place)) + "." for place in range(3)),
}


@pytest.mark.parametrize("told", WRONG.values(), ids=WRONG)
@SQLITE
def test_a_plugin_that_fails_or_answers_something_else_refuses_quote_and_start(wire, caplog, told):
    plugin = Sales()
    billing = wire(plugin)
    quoted, before = quote(billing), counts(billing)
    plugin.told = told

    for call in (lambda: quote(billing), lambda: begin(billing, quoted)):
        with pytest.raises(TopupRefused) as refused:
            call()
        assert refused.value.objections == (UNDECIDED,)

    assert counts(billing) == before
    assert "the plugin Sales failed in prepaid_topup_objections" in caplog.text
    assert "ada@example.com" not in caplog.text


@SQLITE
def test_what_the_others_object_is_told_beside_a_plugin_that_fails(wire):
    failing, other = Sales(), OtherSales("Too soon.")
    failing.told = RuntimeError("down")
    billing = wire(failing, other)

    with pytest.raises(TopupRefused) as refused:
        quote(billing)

    assert refused.value.objections == (UNDECIDED, "Too soon.")


@SQLITE
def test_as_many_sentences_as_can_be_read_are_told(wire):
    sentences = [f"Reason {number}." for number in range(MOST_OBJECTIONS)]
    billing = wire(Sales(*sentences))

    with pytest.raises(TopupRefused) as refused:
        quote(billing)

    assert refused.value.objections == tuple(sentences)


class Asynchronous:
    @prepaid.hookimpl
    async def prepaid_topup_objections(self, request):
        return []


class AsynchronousRefunds:
    @prepaid.hookimpl
    async def prepaid_refund_objections(self, request):
        return []


class AsynchronousSentences:
    @prepaid.hookimpl
    async def prepaid_topup_objections(self, request):
        yield "No."


class WrongArgument:
    @prepaid.hookimpl
    def prepaid_refund_objections(self, refund):
        return []


class Misspelt:
    @prepaid.hookimpl
    def prepaid_topup_objection(self, request):
        return []


@pytest.mark.parametrize("plugin", [Asynchronous, AsynchronousRefunds, AsynchronousSentences, WrongArgument, Misspelt])
@SQLITE
def test_a_plugin_that_cannot_work_is_named_when_it_is_wired(open_billing, plugin):
    with pytest.raises(ConfigurationError, match=plugin.__name__):
        open_billing(plugins=[plugin()])


@SQLITE_FIRST
def test_the_same_key_gives_its_first_answer_and_asks_nobody(wire, simulated):
    plugin = Sales()
    billing = wire(plugin)
    quoted, other = quote(billing), quote(billing, "20.00")
    first = begin(billing, quoted)
    asked, plugin.told = len(plugin.asked), ["No more."]

    assert begin(billing, quoted).id == first.id
    with pytest.raises(KeyConflict):
        begin(billing, other)
    assert len(plugin.asked) == asked


@SQLITE_FIRST
def test_a_start_that_its_own_key_made_while_plugins_were_asked_is_the_answer(wire):
    plugin = Sales()
    billing = wire(plugin)
    quoted, made = quote(billing), []

    def by_another_worker():
        made.append(begin(billing, quoted).id)
        plugin.told = ["You have an open top-up already."]

    plugin.during = by_another_worker

    assert [begin(billing, quoted).id] == made
    with pytest.raises(TopupRefused):
        begin(billing, quoted, key="another")
    assert len(billing.customer(ADA).topups.list().items) == 1


@SQLITE_FIRST
def test_a_start_whose_gateway_was_down_is_resumed_without_asking(wire, simulated):
    plugin = Sales()
    billing = wire(plugin)
    quoted = quote(billing)
    simulated.fault_next("create_checkout", "unavailable")
    with pytest.raises(prepaid.GatewayUnavailable):
        begin(billing, quoted)
    plugin.told = ["No."]

    assert begin(billing, quoted).state == "pending"


@SQLITE_FIRST
def test_what_was_started_is_credited_whatever_is_objected_later(wire, simulated):
    plugin = Sales()
    billing = wire(plugin)
    topup = begin(billing, quote(billing))
    asked, plugin.told = len(plugin.asked), RuntimeError("down")
    simulated.pay(checkout_of(topup))

    assert [deliver(billing, each).outcome for each in simulated.events()] == ["credited"]
    assert billing.customer(ADA).topups.confirm(topup.id).state == "credited"
    assert billing.customer(ADA).balance().settled == eur("50")
    assert len(plugin.asked) == asked
    proven(billing)


@SQLITE
def test_plugins_are_asked_about_what_is_sold_for_nothing_too(wire):
    plugin = Sales()
    billing = wire(plugin)
    operator(billing).promotions.create(Promotion(code="FREE", effect=Discount(Percent("100"))))
    quoted, plugin.told = quote(billing, code="FREE"), ["Not for you."]

    with pytest.raises(TopupRefused):
        begin(billing, quoted)

    assert billing.customer(ADA).balance().settled == eur("0")


@SQLITE
def test_what_is_refused_before_is_not_asked_about(wire):
    plugin = Sales()
    billing = wire(plugin)

    for wrong in ("0.001", "0"):
        with pytest.raises(prepaid.RequestRefused):
            quote(billing, wrong)
    assert plugin.asked == []


# A refund


@pytest.fixture
def refunding(wire, simulated):
    """Give a billing system with a plugin that objects to refunds, and a top-up of 50."""
    plugin = Refunds()
    billing = wire(plugin)
    return billing, plugin, top_up(billing, simulated)


@SQLITE_FIRST
def test_an_objection_refuses_a_request_and_keeps_nothing(refunding):
    billing, plugin, topup = refunding
    plugin.told, before = ["Close your project first."], counts(billing)

    with pytest.raises(RefundRefused) as refused:
        ask(billing, topup, "20", key="asked")

    refusal = refused.value
    assert (refusal.code, refusal.reason, refusal.field) == ("refund-refused", "objection", None)
    assert (refusal.message, refusal.objections) == ("Close your project first.", ("Close your project first.",))
    assert counts(billing) == before
    [question] = plugin.asked
    assert (question.customer_id, question.kind, question.subject_id) == (ADA, "topup", topup.id)
    assert (question.amount, question.moment, question.request_id) == (eur("20"), "request", None)
    assert question.actor == f"customer:{ADA}"
    plugin.told = []
    assert ask(billing, topup, "20", key="asked").state == "requested"


@SQLITE_FIRST
def test_an_objection_refuses_a_request_about_a_charge(refunding):
    billing, plugin, _ = refunding
    used, plugin.told = charge(billing, "5"), ["It ran."]

    with pytest.raises(RefundRefused, match="It ran"):
        ask(billing, used, "5")

    assert [(each.kind, each.subject_id) for each in plugin.asked] == [("charge", used.transaction_id)]


@SQLITE_FIRST
@pytest.mark.parametrize("kind", ["topup", "charge"])
def test_an_objection_refuses_an_approval_and_nothing_moves(refunding, kind):
    billing, plugin, topup = refunding
    used = charge(billing, "5")
    request = ask(billing, topup, "20") if kind == "topup" else ask(billing, used, "5")
    plugin.told, before = ["Under investigation."], kept(billing)

    with pytest.raises(RefundRefused) as refused:
        approve(billing, request, "4")

    assert (refused.value.reason, refused.value.objections) == ("objection", ("Under investigation.",))
    assert kept(billing) == before
    assert decided(billing, request.id).state == "requested"
    question = plugin.asked[-1]
    assert (question.moment, question.actor, question.request_id) == ("approval", "alice@nimbus.example", request.id)
    assert (question.customer_id, question.amount, question.kind) == (ADA, eur("4"), kind)
    assert question.subject_id == (topup.id if kind == "topup" else used.transaction_id)
    plugin.told = []
    assert approve(billing, request, "4").state == "refunded"
    proven(billing)


@SQLITE
def test_a_request_that_is_objected_to_can_be_rejected_and_withdrawn(refunding):
    billing, plugin, topup = refunding
    first = ask(billing, topup, "20")
    plugin.told = ["No."]

    assert billing.customer(ADA).refunds.withdraw(first.id).state == "withdrawn"
    plugin.told = []
    second, plugin.told = ask(billing, topup, "20"), ["No."]
    assert operator(billing).refunds.reject(second.id, reason="no").state == "rejected"


@SQLITE
def test_the_objections_of_all_plugins_to_a_refund_are_told(wire, simulated):
    first, other = Refunds(), OtherRefunds()
    billing = wire(first, other)
    topup = top_up(billing, simulated)
    first.told, other.told = ["Too much.", "Too soon."], RuntimeError("down")

    with pytest.raises(RefundRefused) as refused:
        ask(billing, topup, "20")

    assert refused.value.objections == ("Too much.", "Too soon.", UNDECIDED)


@pytest.mark.parametrize("told", WRONG.values(), ids=WRONG)
@SQLITE
def test_a_plugin_that_fails_or_answers_something_else_refuses_request_and_approval(refunding, caplog, told):
    billing, plugin, topup = refunding
    request = ask(billing, charge(billing, "5"), "5")
    plugin.told, before = told, kept(billing)

    for call in (lambda: ask(billing, topup, "20"), lambda: approve(billing, request)):
        with pytest.raises(RefundRefused) as refused:
            call()
        assert (refused.value.objections, refused.value.message) == ((UNDECIDED,), UNDECIDED)

    assert kept(billing) == before
    assert "the plugin Refunds failed in prepaid_refund_objections" in caplog.text
    assert "ada@example.com" not in caplog.text


@SQLITE_FIRST
def test_the_key_of_a_request_gives_its_first_answer_and_asks_nobody(refunding):
    billing, plugin, topup = refunding
    first = ask(billing, topup, "20", key="same")
    asked, plugin.told = len(plugin.asked), ["No more."]

    assert ask(billing, topup, "20", key="same") == first
    with pytest.raises(KeyConflict):
        ask(billing, topup, "21", key="same")
    assert len(plugin.asked) == asked


@SQLITE_FIRST
def test_a_request_that_its_own_key_made_while_plugins_were_asked_is_the_answer(refunding):
    billing, plugin, topup = refunding
    made = []

    def by_another_worker():
        made.append(ask(billing, topup, "20", key="same").id)
        plugin.told = ["One at a time."]

    plugin.during = by_another_worker

    assert [ask(billing, topup, "20", key="same").id] == made


@SQLITE_FIRST
def test_an_approval_again_changes_nothing_and_asks_nobody(refunding):
    billing, plugin, topup = refunding
    request = ask(billing, topup, "20")
    done = approve(billing, request)
    asked, plugin.told = len(plugin.asked), ["No more."]

    assert approve(billing, request) == done
    assert len(plugin.asked) == asked


@SQLITE_FIRST
def test_an_approval_that_another_operator_gave_while_plugins_were_asked_is_the_answer(refunding):
    billing, plugin, topup = refunding
    request = ask(billing, topup, "20")

    def by_another_operator():
        assert approve(billing, request, actor="bob@nimbus.example").state == "refunded"
        plugin.told = ["It went back already."]

    plugin.during = by_another_operator

    assert approve(billing, request).state == "refunded"
    assert len(refunds_of(billing, topup)) == 1


@SQLITE_FIRST
def test_of_two_operators_each_is_asked_about_and_the_first_answer_stays(refunding):
    billing, plugin, topup = refunding
    operator(billing).settings.approvals(two_person_above=eur("10"))
    request = ask(billing, topup, "20")

    plugin.told = ["Not yet."]
    with pytest.raises(RefundRefused):
        approve(billing, request)
    assert decided(billing, request.id).state == "requested"
    plugin.told = []
    assert approve(billing, request).state == "confirming"
    plugin.told = ["Stop."]
    assert approve(billing, request).state == "confirming"  # the same operator again: nothing would move
    with pytest.raises(RefundRefused, match="Stop"):
        approve(billing, request, actor="bob@nimbus.example")
    assert refunds_of(billing, topup) == ()
    plugin.told = []
    assert approve(billing, request, actor="bob@nimbus.example").state == "refunded"
    proven(billing)


@SQLITE
def test_plugins_are_not_told_of_what_is_another_customers_or_too_much(refunding):
    billing, plugin, topup = refunding

    with pytest.raises(NotFound):
        ask(billing, topup, "20", customer=EVE)
    with pytest.raises(RefundRefused) as refused:
        ask(billing, topup, "50.01")
    assert refused.value.reason == "spent"
    operator(billing).customers.freeze(ADA, reason="x")
    with pytest.raises(CustomerFrozen):
        ask(billing, topup, "20")
    assert plugin.asked == []


@SQLITE_FIRST
def test_money_that_went_back_is_recorded_whatever_is_objected(refunding, simulated):
    billing, plugin, topup = refunding
    plugin.told = ["No."]

    assert operator(billing).refunds.record(topup.id, eur("20"), reference="SEPA 77", reason="sent").credit == eur("20")
    simulated.refund_at_provider(checkout_id(billing, topup), eur("10"))
    deliver(billing, simulated.events()[-1])

    assert [each.origin for each in refunds_of(billing, topup)] == ["outside", "gateway"]
    assert plugin.asked == []
    proven(billing)


@SQLITE_FIRST
def test_a_refund_that_is_on_its_way_is_pursued_whatever_is_objected(refunding, simulated, clock):
    billing, plugin, topup = refunding
    simulated.fault_next("refund", "timeout-after-accept")
    request = ask(billing, topup, "20")
    assert approve(billing, request).state == "approved"
    asked, plugin.told = len(plugin.asked), ["No."]
    clock.advance(minutes=2)
    billing.run_due()

    assert decided(billing, request.id).state == "refunded"
    assert len(plugin.asked) == asked


# A payment in review


@pytest.fixture
def reviewing(wire, simulated):
    """Give a billing system with a plugin that objects to refunds, and a payment of 60 for a top-up of 50."""
    plugin = Refunds()
    billing = wire(plugin)
    topup = begin(billing, quote(billing))
    simulated.pay(checkout_of(topup), amount=eur("60"))
    assert billing.customer(ADA).topups.confirm(topup.id).state == "review"
    return billing, plugin, topup


def resolve(billing, topup, action="refund", key="k"):
    return operator(billing).topups.resolve(topup.id, action=action, reason="wrong amount", key=key)


@SQLITE_FIRST
@pytest.mark.parametrize(("action", "amount"), [("refund", "60"), ("credit_quoted", "10")])
def test_an_objection_keeps_a_payment_in_review_from_going_back(reviewing, action, amount):
    billing, plugin, topup = reviewing
    plugin.told, before = ["Under investigation."], counts(billing)

    with pytest.raises(RefundRefused, match="Under investigation"):
        resolve(billing, topup, action)

    assert counts(billing) == before
    assert billing.customer(ADA).topups.get(topup.id).state == "review"
    [question] = plugin.asked
    assert (question.moment, question.amount, question.subject_id) == ("review", eur(amount), topup.id)
    assert (question.customer_id, question.actor) == (ADA, "alice@nimbus.example")
    assert resolve(billing, topup, "credit_received").state == "credited"  # nothing goes back: nobody is asked
    assert len(plugin.asked) == 1
    proven(billing)


@SQLITE_FIRST
def test_a_review_that_was_ended_gives_its_first_answer_and_asks_nobody(reviewing):
    billing, plugin, topup = reviewing
    done = resolve(billing, topup)
    asked, plugin.told = len(plugin.asked), ["No more."]

    assert resolve(billing, topup) == done
    assert len(plugin.asked) == asked


@SQLITE_FIRST
def test_a_review_that_its_own_key_ended_while_plugins_were_asked_is_the_answer(reviewing):
    billing, plugin, topup = reviewing

    def by_another_worker():
        resolve(billing, topup)
        plugin.told = ["It went back already."]

    plugin.during = by_another_worker

    assert resolve(billing, topup).state == "refunded"
    assert len(refunds_of(billing, topup)) == 1
    proven(billing)


# Where they are asked


class Both(Objecting):
    """Notes how many connections of the books are in use when it is asked."""

    billing = None

    @prepaid.hookimpl
    def prepaid_topup_objections(self, request):
        self.asked.append((request.moment, in_use(self.billing)))
        return []

    @prepaid.hookimpl
    def prepaid_refund_objections(self, request):
        self.asked.append((request.moment, in_use(self.billing)))
        return []


def test_plugins_are_asked_outside_any_transaction(wire, simulated):
    plugin = Both()
    plugin.billing = billing = wire(plugin)
    give_back(billing, top_up(billing, simulated), "20")
    topup = begin(billing, quote(billing))
    simulated.pay(checkout_of(topup), amount=Money.of("60", "EUR"))
    billing.customer(ADA).topups.confirm(topup.id)
    resolve(billing, topup)

    assert {moment for moment, _ in plugin.asked} == {"quote", "start", "request", "approval", "review"}
    assert {connections for _, connections in plugin.asked} == {0}
