"""What an operator may do, by name; the host decides who has which."""

from __future__ import annotations

from typing import Final

AUDIT_READ: Final = "audit.read"
CUSTOMERS_READ: Final = "customers.read"
CUSTOMERS_WRITE: Final = "customers.write"
DIGEST_READ: Final = "digest.read"
DIGEST_WRITE: Final = "digest.write"
GATEWAYS_READ: Final = "gateways.read"
GATEWAYS_WRITE: Final = "gateways.write"
IDENTITY_READ: Final = "identity.read"
IDENTITY_WRITE: Final = "identity.write"
PLUGINS_READ: Final = "plugins.read"
PROMOTIONS_READ: Final = "promotions.read"
PROMOTIONS_WRITE: Final = "promotions.write"
REFUNDS_READ: Final = "refunds.read"
REFUNDS_WRITE: Final = "refunds.write"
REPORTS_EXPORT: Final = "reports.export"
REPORTS_READ: Final = "reports.read"
SETTINGS_WRITE: Final = "settings.write"
TAX_READ: Final = "tax.read"
TAX_WRITE: Final = "tax.write"
TOPUPS_READ: Final = "topups.read"
TOPUPS_WRITE: Final = "topups.write"

ALL: Final = frozenset(
    {
        AUDIT_READ,
        CUSTOMERS_READ,
        CUSTOMERS_WRITE,
        DIGEST_READ,
        DIGEST_WRITE,
        GATEWAYS_READ,
        GATEWAYS_WRITE,
        IDENTITY_READ,
        IDENTITY_WRITE,
        PLUGINS_READ,
        PROMOTIONS_READ,
        PROMOTIONS_WRITE,
        REFUNDS_READ,
        REFUNDS_WRITE,
        REPORTS_EXPORT,
        REPORTS_READ,
        SETTINGS_WRITE,
        TAX_READ,
        TAX_WRITE,
        TOPUPS_READ,
        TOPUPS_WRITE,
    }
)
"""Every permission."""
