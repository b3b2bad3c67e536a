"""Facts about PayPal's replies, looked up in its published descriptions: each field's form, by its path.

Source: https://github.com/paypal/paypal-rest-api-specifications as of February
2024, from ``openapi/``: ``checkout_orders_v2.json`` (``order``),
``payments_payment_v2.json`` (``capture-2``, ``refund``),
``customer_disputes_v1.json`` (``dispute_search``, ``dispute``),
``reporting_transactions_v1.json`` (``search_response``),
``notifications_webhooks_v1.json`` (``event``, ``verify_webhook_signature``).
"""

from __future__ import annotations

ANY = r".*"
LINE = r".{1,127}"
MERCHANT = r"[2-9A-HJ-NP-Z]{13}"
TIME = (
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])[T,t]([0-1][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)"
    r"([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
VALUE = r"(?=.{1,32}$)((-?[0-9]+)|(-?([0-9]+)?[.][0-9]+))"
CAPTURE_STATUS = "COMPLETED|DECLINED|PARTIALLY_REFUNDED|PENDING|REFUNDED|FAILED"
CAPTURE_REASON = (
    "BUYER_COMPLAINT|CHARGEBACK|ECHECK|INTERNATIONAL_WITHDRAWAL|OTHER|PENDING_REVIEW|"
    "RECEIVING_PREFERENCE_MANDATES_MANUAL_ACTION|REFUNDED|TRANSACTION_APPROVED_AWAITING_FUNDING|UNILATERAL|"
    "VERIFICATION_REQUIRED"
)
DISPUTE_REASON = (
    "MERCHANDISE_OR_SERVICE_NOT_RECEIVED|MERCHANDISE_OR_SERVICE_NOT_AS_DESCRIBED|UNAUTHORISED|CREDIT_NOT_PROCESSED|"
    "DUPLICATE_TRANSACTION|INCORRECT_AMOUNT|PAYMENT_BY_OTHER_MEANS|CANCELED_RECURRING_BILLING|PROBLEM_WITH_REMITTANCE|"
    "OTHER"
)


def money(name):
    return {f"{name}.currency_code": ".{3}", f"{name}.value": VALUE}


def links():
    return {"links.href": ANY, "links.rel": ANY, "links.method": "GET|POST|PUT|DELETE|HEAD|CONNECT|OPTIONS|PATCH"}


def under(path, facts):
    return {f"{path}.{name}": form for name, form in facts.items()}


CAPTURE = {
    "id": ANY,
    "status": CAPTURE_STATUS,
    "status_details.reason": CAPTURE_REASON,
    **money("amount"),
    "final_capture": bool,
    "seller_protection.status": "ELIGIBLE|PARTIALLY_ELIGIBLE|NOT_ELIGIBLE",
    **money("seller_receivable_breakdown.gross_amount"),
    **money("seller_receivable_breakdown.paypal_fee"),
    **money("seller_receivable_breakdown.net_amount"),
    "custom_id": ".{0,127}",
    "invoice_id": ANY,
    "create_time": TIME,
    "update_time": TIME,
    **links(),
}
PAYEE = {"payee.email_address": r"[^@]+@[^@]+", "payee.merchant_id": MERCHANT}
CAPTURE_BY_ITSELF = {**CAPTURE, **PAYEE, "supplementary_data.related_ids.order_id": "[A-Z0-9]{1,20}"}
REFUND = {
    "id": ANY,
    "status": "CANCELLED|FAILED|PENDING|COMPLETED",
    "status_details.reason": "ECHECK",
    **money("amount"),
    "custom_id": r"[A-Za-z0-9-_.,]{1,127}",
    "invoice_id": ANY,
    "note_to_payer": ANY,
    **money("seller_payable_breakdown.gross_amount"),
    **money("seller_payable_breakdown.net_amount"),
    "create_time": TIME,
    "update_time": TIME,
    **links(),
}
ORDER = {
    "id": ANY,
    "intent": "CAPTURE|AUTHORIZE",
    "status": "CREATED|SAVED|APPROVED|VOIDED|COMPLETED|PAYER_ACTION_REQUIRED",
    "create_time": TIME,
    **links(),
    "purchase_units.reference_id": ".{1,256}",
    "purchase_units.custom_id": LINE,
    "purchase_units.invoice_id": LINE,
    "purchase_units.description": LINE,
    **money("purchase_units.amount"),
    **under("purchase_units", PAYEE),
    **under("purchase_units.payments.captures", CAPTURE),
    **under("purchase_units.payments.refunds", REFUND),
}
DISPUTE_IN_LIST = {
    "dispute_id": "[A-Za-z0-9-]{1,255}",
    "create_time": TIME,
    "update_time": TIME,
    "reason": DISPUTE_REASON,
    "status": "OPEN|WAITING_FOR_BUYER_RESPONSE|WAITING_FOR_SELLER_RESPONSE|UNDER_REVIEW|RESOLVED|OTHER",
    **money("dispute_amount"),
    "dispute_life_cycle_stage": "INQUIRY|CHARGEBACK|PRE_ARBITRATION|ARBITRATION",
    "dispute_channel": "INTERNAL|EXTERNAL|ALERT",
}
DISPUTE_LIST = {
    **under("items", DISPUTE_IN_LIST),
    "items.dispute_state": (
        "OPEN_INQUIRIES|REQUIRED_ACTION|REQUIRED_OTHER_PARTY_ACTION|UNDER_PAYPAL_REVIEW|APPEALABLE|RESOLVED"
    ),
    **links(),
}
DISPUTE = {
    **DISPUTE_IN_LIST,
    "disputed_transactions.seller_transaction_id": "[A-Za-z0-9-]{1,255}",
    "disputed_transactions.buyer_transaction_id": "[A-Za-z0-9-]{1,255}",
    **money("disputed_transactions.gross_amount"),
    "disputed_transactions.custom": ".{1,2000}",
    "dispute_outcome.outcome_code": (
        "RESOLVED_BUYER_FAVOUR|RESOLVED_SELLER_FAVOUR|RESOLVED_WITH_PAYOUT|CANCELED_BY_BUYER|ACCEPTED|DENIED|NONE"
    ),
    "money_movements.affected_party": "SELLER|BUYER|PAYMENT_PROCESSOR",
    "money_movements.type": "DEBIT|CREDIT",
    "money_movements.reason": "DISPUTE_SETTLEMENT_FEE|DISPUTE_SETTLEMENT|DISPUTE_FEE|CHARGEBACK_FEE",
    **money("money_movements.amount"),
}
ROW = {
    "transaction_id": "[a-zA-Z0-9]{1,24}",
    "transaction_event_code": "[a-zA-Z0-9]{1,5}",
    "transaction_initiation_date": TIME,
    "transaction_updated_date": TIME,
    **money("transaction_amount"),
    **money("fee_amount"),
    "transaction_status": "[a-zA-Z0-9]",
    "paypal_reference_id": "[a-zA-Z0-9]{1,24}",
    "paypal_reference_id_type": "ODR|TXN|SUB|PAP",
    "custom_field": r"[a-zA-Z0-9_'\-., \":;\!?]{1,127}",
    "invoice_id": r"[a-zA-Z0-9_'\-., \":;\!?]{1,127}",
}
REPORT = {
    **under("transaction_details.transaction_info", ROW),
    "account_number": "[a-zA-Z0-9]{1,255}",
    "page": int,
    "total_items": int,
    "total_pages": int,
    **links(),
}
EVENT = {
    "id": ANY,
    "event_version": "[0-9]+.[0-9]+",
    "create_time": TIME,
    "resource_type": ANY,
    "event_type": ANY,
    "summary": ANY,
}
VERIFICATION = {
    "auth_algo": "[a-zA-Z0-9]{1,100}",
    "cert_url": "https?://.{1,490}",
    "transmission_id": r"(?!\d+$)(?=.{1,50}$)\w+\S+",
    "transmission_sig": r"(?!\d+$)(?=.{1,500}$)\w+\S+",
    "transmission_time": TIME,
    "webhook_id": "[a-zA-Z0-9]{1,50}",
}
