"""The public face: sorted, complete, and each name really there."""

from __future__ import annotations

import prepaid


def test_the_public_names_are_sorted_and_named_once():
    assert prepaid.__all__ == sorted(set(prepaid.__all__))


def test_every_public_name_can_be_imported():
    assert [name for name in prepaid.__all__ if not hasattr(prepaid, name)] == []


def test_nothing_private_is_public():
    assert [name for name in prepaid.__all__ if name.startswith("_")] == []


def test_every_public_class_and_function_says_what_it_is():
    things = {name: getattr(prepaid, name) for name in prepaid.__all__}
    assert [name for name, thing in things.items() if not thing.__doc__] == []
