"""What every identity provider is configured with: a name, a label, a level; and how reasons are written."""

from __future__ import annotations

import re
from typing import Final

from attrs import Attribute

from ..core.errors import ConfigurationError
from ..core.identity import MAX_LEVEL
from ..gateways.credentials import NAME

MAX_LABEL: Final = 64
REASON: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
"""A machine word that says why a verification was not successful."""


def check_name(instance: object, attribute: Attribute[str], value: object) -> None:
    """Refuse a name that could not stand in a URL.

    Raises:
        ConfigurationError: Not lower-case letters, digits and dashes, at most 32, after a letter.
    """
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ConfigurationError(
            f"name of {type(instance).__name__} is a letter and up to 31 lower-case letters, digits or dashes."
        )


def check_label(instance: object, attribute: Attribute[str], value: object) -> None:
    """Refuse a label that nobody could read.

    Raises:
        ConfigurationError: Not 1 to 64 printable characters.
    """
    if not isinstance(value, str) or not 0 < len(value.strip()) <= len(value) <= MAX_LABEL or not value.isprintable():
        raise ConfigurationError(f"label of {type(instance).__name__} is 1 to {MAX_LABEL} printable characters.")


def check_level(instance: object, attribute: Attribute[int], value: object) -> None:
    """Refuse a level that no policy could ask for.

    Raises:
        ConfigurationError: Not a whole number from 1 to 9.
    """
    if type(value) is not int or not 1 <= value <= MAX_LEVEL:
        raise ConfigurationError(f"level of {type(instance).__name__} is a whole number from 1 to {MAX_LEVEL}.")


def check_flag(instance: object, attribute: Attribute[bool], value: object) -> None:
    """Refuse a switch that is neither on nor off.

    Raises:
        ConfigurationError: Not True or False.
    """
    if type(value) is not bool:
        raise ConfigurationError(f"{attribute.name} of {type(instance).__name__} is True or False.")


def not_bound(provider: object) -> ConfigurationError:
    """Make the error for a provider that is used before it has a mode and a clock."""
    return ConfigurationError(
        f"{type(provider).__name__} is given to Prepaid, or bound with bind(mode, clock), before use."
    )
