"""Prepaid credit billing to embed in a cloud panel.

Make a `Prepaid`, register customers, let them top up, charge what they use::

    billing = Prepaid(database="sqlite:///billing.db", mode="test", seller=seller, gateways=[...])

Start with the tutorial in the documentation; `prepaid.core.errors` draws the
tree of refusals.
"""

from . import permissions
from .app import Prepaid
from .core.digest import DigestSettings
from .core.documents import Invoice, InvoiceLine, Party
from .core.errors import (
    AmountOutOfRange,
    ConfigurationError,
    CurrencyMismatch,
    CustomerFrozen,
    GatewayError,
    GatewayUnavailable,
    IdentityRequired,
    InsufficientCredit,
    IntegrityFault,
    InvalidAmount,
    InvalidRequest,
    KeyConflict,
    NotAllowed,
    NotFound,
    PrepaidError,
    PromotionRefused,
    QuoteChanged,
    QuoteExpired,
    RefundRefused,
    RequestRefused,
    TaxProfileInvalid,
    TaxUndecided,
    TooManyAttempts,
    TopupRefused,
    TransactionAborted,
    WebhookRejected,
    WrongState,
)
from .core.events import Event
from .core.grants import BurnOrder, CreditGrant
from .core.holds import Hold
from .core.identity import IdentityCase, IdentityPolicy, IdentityStatus
from .core.limits import TopupLimits
from .core.money import Money
from .core.pages import Page
from .core.parties import Address, Customer, Evidence, Registration, Seller, TaxProfile
from .core.promotions import Bonus, Discount, Fixed, Percent, Promotion, Tiers
from .core.quotes import Quote
from .core.rates import Rate
from .core.redemption import Redemption
from .core.refund_requests import EligibleRefund, RefundRules, RequestedRefund
from .core.refunds import Dispute, Refund
from .core.tax_rules import TaxComponent, TaxRule
from .core.taxation import TaxDecision, TaxLine
from .core.thresholds import Thresholds
from .core.topups import CheckoutLink, Topup
from .core.usage import (
    Balance,
    BillingRun,
    Charge,
    ChargeOutcome,
    Meter,
    Permission,
    Transaction,
    UsageLine,
    UsageStatement,
)
from .core.vouchers import NewVoucher, RedeemedVoucher, Voucher
from .doors.host import ReturnResult
from .gateway_facts import TopupFacts
from .gateway_status import GatewayStatus
from .hookspecs import PluginSetup, hookimpl
from .identity_ports import IdentityQuestion
from .integrity import Finding, IntegrityReport
from .jobs import JobRun
from .mail import SmtpMailer
from .objection_ports import RefundQuestion, TopupQuestion
from .offering import GatewayOffer
from .plugins import PluginInfo
from .promoting import PromotionStatus
from .reconciliation import ReconciliationItem, ReconciliationReport
from .reconciling import KeptReconciliation
from .refund_desk import RefundCase
from .reporting.daily import Day
from .reporting.digest_letter import DigestLetter
from .reporting.exports import Exported, ExportFormat
from .reporting.forward import RollForward
from .reporting.gateways import GatewayFigures
from .reporting.summary import Summary
from .reporting.taxes import TaxSum
from .store import configure_sqlite
from .store.audits import AuditEntry
from .store.tax_entries import TaxCorrection
from .tax.importing import RuleDiff
from .tax.records import CustomerTax, TaxIdStatus
from .verification import IdentityPreview, PreviewedCustomer
from .webhooks import WebhookResult

__version__ = "0.1.0"

__all__ = [
    "Address",
    "AmountOutOfRange",
    "AuditEntry",
    "Balance",
    "BillingRun",
    "Bonus",
    "BurnOrder",
    "Charge",
    "ChargeOutcome",
    "CheckoutLink",
    "ConfigurationError",
    "CreditGrant",
    "CurrencyMismatch",
    "Customer",
    "CustomerFrozen",
    "CustomerTax",
    "Day",
    "DigestLetter",
    "DigestSettings",
    "Discount",
    "Dispute",
    "EligibleRefund",
    "Event",
    "Evidence",
    "ExportFormat",
    "Exported",
    "Finding",
    "Fixed",
    "GatewayError",
    "GatewayFigures",
    "GatewayOffer",
    "GatewayStatus",
    "GatewayUnavailable",
    "Hold",
    "IdentityCase",
    "IdentityPolicy",
    "IdentityPreview",
    "IdentityQuestion",
    "IdentityRequired",
    "IdentityStatus",
    "InsufficientCredit",
    "IntegrityFault",
    "IntegrityReport",
    "InvalidAmount",
    "InvalidRequest",
    "Invoice",
    "InvoiceLine",
    "JobRun",
    "KeptReconciliation",
    "KeyConflict",
    "Meter",
    "Money",
    "NewVoucher",
    "NotAllowed",
    "NotFound",
    "Page",
    "Party",
    "Percent",
    "Permission",
    "PluginInfo",
    "PluginSetup",
    "Prepaid",
    "PrepaidError",
    "PreviewedCustomer",
    "Promotion",
    "PromotionRefused",
    "PromotionStatus",
    "Quote",
    "QuoteChanged",
    "QuoteExpired",
    "Rate",
    "ReconciliationItem",
    "ReconciliationReport",
    "RedeemedVoucher",
    "Redemption",
    "Refund",
    "RefundCase",
    "RefundQuestion",
    "RefundRefused",
    "RefundRules",
    "Registration",
    "RequestRefused",
    "RequestedRefund",
    "ReturnResult",
    "RollForward",
    "RuleDiff",
    "Seller",
    "SmtpMailer",
    "Summary",
    "TaxComponent",
    "TaxCorrection",
    "TaxDecision",
    "TaxIdStatus",
    "TaxLine",
    "TaxProfile",
    "TaxProfileInvalid",
    "TaxRule",
    "TaxSum",
    "TaxUndecided",
    "Thresholds",
    "Tiers",
    "TooManyAttempts",
    "Topup",
    "TopupFacts",
    "TopupLimits",
    "TopupQuestion",
    "TopupRefused",
    "Transaction",
    "TransactionAborted",
    "UsageLine",
    "UsageStatement",
    "Voucher",
    "WebhookRejected",
    "WebhookResult",
    "WrongState",
    "configure_sqlite",
    "hookimpl",
    "permissions",
]
