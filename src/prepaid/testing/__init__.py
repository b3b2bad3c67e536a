"""Tools shipped for those who test a panel or a gateway with this library in it: nothing here touches real money.

`GatewayContract` is imported when it is asked for; it needs no package beyond
those of the library, and any runner of tests that knows pytest's conventions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contract import GatewayContract, ProviderDriver

__all__ = ["GatewayContract", "ProviderDriver"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import contract

    return getattr(contract, name)
