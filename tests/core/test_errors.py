"""The tree of errors: stable codes, words fit to show, and nothing outside the tree."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from prepaid.core import errors
from prepaid.core.errors import (
    ConfigurationError,
    GatewayError,
    GatewayUnavailable,
    IdentityRequired,
    InsufficientCredit,
    IntegrityFault,
    InvalidAmount,
    InvalidRequest,
    NotFound,
    PrepaidError,
    PromotionRefused,
    QuoteChanged,
    RefundRefused,
    RequestRefused,
    TopupRefused,
    TransactionAborted,
    WebhookRejected,
)
from prepaid.core.money import Money

CLASSES = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, PrepaidError)]
REFUSALS = [found for found in CLASSES if issubclass(found, RequestRefused)]
SPECIAL: dict[type[RequestRefused], dict[str, Any]] = {
    InsufficientCredit: {"available": Money.of("1.50", "EUR")},
    IdentityRequired: {"status": object()},
    PromotionRefused: {"reason": "expired"},
    QuoteChanged: {"quote": object()},
    RefundRefused: {"reason": "spent"},
    TopupRefused: {"objections": ("Words.",)},
}


def _refusal(kind: type[RequestRefused]) -> RequestRefused:
    return kind("Words.", **SPECIAL.get(kind, {}))


def test_the_drawn_tree_names_every_class() -> None:
    drawn = set(re.findall(r"\b[A-Z][A-Za-z]+\b", (errors.__doc__ or "").split("::")[1].split("A refusal")[0]))

    assert {found.__name__ for found in CLASSES} == drawn


def test_codes_are_kebab_case_and_unique() -> None:
    codes = [kind.code for kind in REFUSALS]

    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_a_code_is_the_name_of_its_class(kind: type[RequestRefused]) -> None:
    assert kind.code == re.sub(r"(?<!^)([A-Z])", r"-\1", kind.__name__).lower()


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_every_refusal_carries_code_field_message_and_params(kind: type[RequestRefused]) -> None:
    refusal = _refusal(kind)

    assert (str(refusal), refusal.message) == ("Words.", "Words.")
    assert refusal.field is None or refusal.field.isidentifier()
    assert isinstance(refusal.code, str)
    with pytest.raises(TypeError):
        refusal.params["more"] = 1  # type: ignore[index]


def test_a_refusal_keeps_its_field_and_the_values_in_its_words() -> None:
    refusal = NotFound("There is no top-up 7.", field="topup", number=7)

    assert refusal.field == "topup"
    assert dict(refusal.params) == {"number": 7}


def test_insufficient_credit_says_what_was_available() -> None:
    refusal = InsufficientCredit("Too little.", available=Money.of("1.50", "EUR"))

    assert refusal.available == Money.of("1.50", "EUR")
    assert (refusal.field, dict(refusal.params)) == ("amount", {"available": "1.50 EUR"})


def test_a_changed_quote_brings_the_new_one() -> None:
    quote: Any = object()

    assert QuoteChanged("It changed.", quote=quote).quote is quote


def test_a_refused_promotion_says_why() -> None:
    refusal = PromotionRefused("This code has expired.", reason="expired")

    assert (refusal.reason, refusal.field, dict(refusal.params)) == ("expired", "code", {"reason": "expired"})


def test_what_plugins_object_is_kept_sentence_by_sentence() -> None:
    sentences = ("No.", "Never.")

    assert TopupRefused("No. Never.", objections=sentences).objections == sentences
    assert RefundRefused("No. Never.", reason="objection", objections=sentences).objections == sentences
    assert RefundRefused("It was spent.", reason="spent").objections == ()


def test_amounts_and_requests_are_refused_apart() -> None:
    assert not issubclass(InvalidAmount, InvalidRequest)
    assert issubclass(InvalidAmount, RequestRefused)


def test_a_gateway_error_is_final_unless_it_says_otherwise() -> None:
    error = GatewayError("Declined.", code="card-declined")

    assert (error.retryable, error.outcome_unknown, error.code) == (False, False, "card-declined")


@pytest.mark.parametrize("unknown", [True, False])
def test_an_unavailable_gateway_leaves_a_top_up_to_resume(unknown: bool) -> None:
    error = GatewayUnavailable("Try again.", topup_id="top_1", outcome_unknown=unknown)

    assert isinstance(error, GatewayError)
    assert (error.topup_id, error.retryable, error.outcome_unknown, error.code) == ("top_1", True, unknown, None)


@pytest.mark.parametrize("retry", [True, False])
def test_an_aborted_transaction_says_whether_to_run_it_again(retry: bool) -> None:
    assert TransactionAborted("Deadlock.", retry_whole=retry).retry_whole is retry
    assert TransactionAborted("Deadlock.").retry_whole is True


@pytest.mark.parametrize(
    "kind", [GatewayError, WebhookRejected, ConfigurationError, TransactionAborted, IntegrityFault]
)
def test_what_is_not_for_customers_is_no_refusal(kind: type[PrepaidError]) -> None:
    assert issubclass(kind, PrepaidError)
    assert not issubclass(kind, RequestRefused)


def every_error() -> list[PrepaidError]:
    eur = Money.of("1.50", "EUR")
    return [
        InvalidAmount("Too fine.", field="amount", digits=2),
        InsufficientCredit("Not enough.", available=eur),
        PromotionRefused("Unknown.", reason="unknown"),
        TopupRefused("No. Never.", objections=("No.", "Never.")),
        RefundRefused("No.", reason="objection", field=None, objections=("No.",)),
        GatewayError("Down.", retryable=True, outcome_unknown=True, code="x"),
        GatewayUnavailable("Down.", topup_id="top_1", outcome_unknown=True),
        TransactionAborted("Again.", retry_whole=True),
        ConfigurationError("Change this."),
    ]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_an_error_crosses_processes_whole(error: PrepaidError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert {**vars(copy), "params": None} == {**vars(error), "params": None}
    assert dict(getattr(copy, "params", {})) == dict(getattr(error, "params", {}))
