"""What tests of the Stripe simulator share: requests without the SDK, and a comparison with the SDK's types."""

from __future__ import annotations

import http.client
import json
import types
import typing
from urllib.parse import urlsplit

import stripe
import stripe.checkout
import typing_extensions
from stripe._stripe_object import UntypedStripeObject

from prepaid.testing.simulators.stripe import StripeSimulator

KEY = "sk_test_51"
VALID = {
    "mode": "payment",
    "line_items": [
        {"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 2000, "product_data": {"name": "Credit"}}}
    ],
    "success_url": "https://panel.example/back",
}
PAYMENT = "payment_intent.latest_charge.balance_transaction"
FORM = {"amount": 2000, "currency": "usd", "automatic_payment_methods": {"enabled": True}}


def plain(simulator, method, path, *, body=None, key=None, secret=KEY):
    """Send a request without the SDK."""
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/x-www-form-urlencoded"}
    if key:
        headers["Idempotency-Key"] = key
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    content = response.status, dict(response.headers), json.loads(response.read())
    connection.close()
    return content


def flattened(node, above=""):
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for name, child in children:
        inner = f"{above}[{name}]" if above else str(name)
        if isinstance(child, dict | list):
            yield from flattened(child, inner)
        else:
            yield inner, str(child)


def faults_of(value, hint, names, path="it"):  # noqa: PLR0911 - one return for each kind of annotation
    """List where a value does not fit an annotation of the SDK; a word must be one that the SDK lists."""
    if isinstance(hint, str | typing.ForwardRef):
        hint = eval(hint if isinstance(hint, str) else hint.__forward_arg__, {}, names)  # the SDK's own words
        return faults_of(value, hint, names, path)
    origin, arms = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return faults_of_union(value, arms, names, path)
    if origin in {typing.Literal, typing_extensions.Literal}:
        return [] if value in arms else [f"{path}: {value!r} is not listed"]
    if origin in {typing_extensions.NotRequired, typing.NotRequired}:
        return faults_of(value, arms[0], names, path)
    if origin is list:
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [fault for child in value for fault in faults_of(child, arms[0], names, f"{path}[]")]
    if origin is dict or origin is UntypedStripeObject:
        fits = isinstance(value, dict) and all(isinstance(child, str) for child in value.values())
        return [] if fits else [f"{path}: no map of strings"]
    if isinstance(hint, type) and (issubclass(hint, stripe.StripeObject) or hasattr(hint, "__total__")):
        return faults_of_object(value, hint, names, path)
    return [] if type(value) is hint else [f"{path}: {type(value).__name__} instead of {hint}"]


def faults_of_union(value, arms, names, path):
    words = any(typing.get_origin(arm) in {typing.Literal, typing_extensions.Literal} for arm in arms)
    found = [faults_of(value, arm, names, path) for arm in arms if not (words and arm is str)]
    return [] if [] in found else max(found, key=len)


def faults_of_object(value, kind, names, path):
    if not isinstance(value, dict):
        return [f"{path}: no object"]
    fields = {
        name: hint for base in reversed(kind.__mro__) for name, hint in getattr(base, "__annotations__", {}).items()
    }
    found = [f"{path}: unknown {name}" for name in value if name not in fields]
    for name, child in value.items():
        found += faults_of(child, fields[name], names, f"{path}.{name}") if name in fields else []
    return found


class Names(dict):
    """Names for annotations: the SDK's classes, loaded when asked for; what is not exported fits nothing."""

    def __missing__(self, name):
        return getattr(stripe, name, None) or getattr(stripe.checkout, name, Unexported)


class Unexported:
    """Stands for a class of the SDK that has a name in annotations only."""


NAMES = Names(vars(typing))


def unlike(value, kind):
    return faults_of(value, kind, NAMES)


HAPPENINGS = [
    lambda sim, at: None,
    StripeSimulator.pay,
    StripeSimulator.decline,
    StripeSimulator.complete_later,
    lambda sim, at: sim.complete_later(at, waits_for_customer=True),
    StripeSimulator.authorise,
    StripeSimulator.cancel_payment,
    StripeSimulator.expire,
    lambda sim, at: (sim.pay(at), sim.refund(at, 500), sim.dispute(at)),
    lambda sim, at: (sim.complete_later(at), sim.fail(at)),
    lambda sim, at: (sim.complete_later(at), sim.succeed(at)),
]
