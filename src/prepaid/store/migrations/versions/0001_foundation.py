"""The first schema: books, ledger, top-ups, meters, documents, outbox.

Frozen as released; `prepaid.store.schema` is what the code uses, and a test
compares the two.
"""

import sqlalchemy as sa

from prepaid.store.migrations import (
    foundation_digest,
    foundation_ledger,
    foundation_payments,
    foundation_promotions,
    foundation_rollups,
    foundation_tax,
)
from prepaid.store.migrations.building import (
    BINARY,
    CODE,
    DAY,
    HASH,
    ID,
    INSTANT,
    KEY,
    NAME,
    PROSE,
    SERIAL,
    WORD,
    index,
    keep_history,
    refers,
    table,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = (
    "transfer",
    "audit",
    "invoice",
    "document_file",
    "tax_profile",
    "tax_id_check",
    "location_evidence",
    "reconciliation",
    "tax_entry",
    "digest",
)


def upgrade() -> None:
    """Make every table and the triggers that keep history unchanged."""
    for make in TABLES:
        make()
    for name in APPEND_ONLY:
        keep_history(name)


def _book() -> None:
    table(
        "book",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("mode", WORD, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "mode"),
    )


def _currency() -> None:
    table(
        "currency",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("minor_digits", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("book_id", "code"),
        refers("book"),
    )


def _customer() -> None:
    table(
        "customer",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("email", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("locale", WORD, nullable=False),
        sa.Column("group_names", PROSE, nullable=False),
        sa.Column("frozen_at", INSTANT),
        sa.Column("tax_number", KEY),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "id"),
        refers("book"),
    )
    index("customer", "book_id", "tax_number")


def _meter() -> None:
    table(
        "meter",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("running", KEY),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("project", KEY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("stopped_at", INSTANT),
        sa.Column("billed_until", INSTANT, nullable=False),
        sa.Column("residue", sa.BigInteger(), nullable=False),
        sa.Column("month", WORD, nullable=False),
        sa.Column("month_cost", WORD, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("open", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "resource", "started_at"),
        sa.UniqueConstraint("book_id", "running"),
        refers("customer", "customer", "id"),
        integers=("residue",),
        roomy=True,
    )
    index("meter", "book_id", "customer")
    index("meter", "book_id", "open")


def _meter_segment() -> None:
    table(
        "meter_segment",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("meter_id", ID, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT),
        sa.Column("rate", WORD, nullable=False),
        sa.Column("increment", WORD, nullable=False),
        sa.Column("monthly_cap", WORD),
        sa.Column("minimum_s", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("book_id", "meter_id", "starts_at"),
        refers("meter", "meter_id", "id"),
    )


def _resource_owner() -> None:
    table(
        "resource_owner",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("resource", KEY, nullable=False),
        sa.Column("biller", KEY, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "resource"),
        refers("book"),
    )


def _invoice_series() -> None:
    table(
        "invoice_series",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("last_on", DAY, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "kind", "year"),
        refers("book"),
    )


def _invoice() -> None:
    table(
        "invoice",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("number", WORD, nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("topup_id", ID, nullable=False),
        sa.Column("cause_id", ID, nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("issued_on", DAY, nullable=False),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("snapshot", PROSE, nullable=False),
        sa.Column("sha256", HASH, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "id"),
        sa.UniqueConstraint("book_id", "kind", "cause_id", "turn"),
        sa.UniqueConstraint("book_id", "kind", "year", "sequence"),
        sa.UniqueConstraint("book_id", "number"),
        sa.CheckConstraint("net + tax = total", name="adds_up"),
        refers("topup", "topup_id", "id"),
        integers=("net", "tax", "total", "sequence"),
    )
    index("invoice", "book_id", "customer", "id")
    index("invoice", "book_id", "topup_id")


def _document_file() -> None:
    table(
        "document_file",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("invoice_id", ID, nullable=False),
        sa.Column("media_type", WORD, nullable=False),
        sa.Column("content", BINARY, nullable=False),
        sa.Column("sha256", HASH, nullable=False),
        sa.Column("renderer", KEY, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "invoice_id", "media_type"),
        refers("invoice", "invoice_id", "id"),
    )


def _outbox() -> None:
    table(
        "outbox",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("topic", WORD, nullable=False),
        sa.Column("dedupe_key", KEY, nullable=False),
        sa.Column("payload", PROSE, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT, nullable=False),
        sa.Column("claimed_until", INSTANT, nullable=False),
        sa.Column("progress", PROSE, nullable=False),
        sa.Column("last_error", NAME, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("done_at", INSTANT),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("book_id", "topic", "dedupe_key"),
        refers("book"),
    )
    index("outbox", "book_id", "state", "next_at")


def _audit() -> None:
    table(
        "audit",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("action", WORD, nullable=False),
        sa.Column("target", KEY, nullable=False),
        sa.Column("customer", KEY),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("state_before", PROSE, nullable=False),
        sa.Column("state_after", PROSE, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        refers("book"),
    )
    index("audit", "book_id", "id")
    index("audit", "book_id", "at")
    for column in ("actor", "action", "target", "customer"):
        index("audit", "book_id", column, "id")


def _job_lease() -> None:
    table(
        "job_lease",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("holder", KEY, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("book_id", "name"),
        refers("book"),
    )


def _setting() -> None:
    table(
        "setting",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("value", PROSE, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "name"),
        refers("book"),
    )


TABLES = (
    _book,
    _currency,
    _customer,
    foundation_tax.tax_profile,
    foundation_ledger.account,
    foundation_ledger.grant,
    foundation_ledger.hold,
    foundation_ledger.transfer,
    foundation_payments.topup,
    foundation_payments.payment,
    foundation_promotions.promotion,
    foundation_promotions.promotion_customer,
    foundation_promotions.redemption,
    foundation_promotions.code_attempt,
    foundation_promotions.voucher,
    foundation_promotions.identity,
    foundation_promotions.identity_case,
    foundation_payments.topup_allowance,
    foundation_payments.refund,
    foundation_payments.refund_request,
    foundation_payments.dispute,
    foundation_payments.reconciliation,
    foundation_payments.webhook_event,
    foundation_tax.tax_rule,
    foundation_tax.tax_identity,
    foundation_tax.tax_id_check,
    foundation_tax.tax_register,
    foundation_tax.tax_approval,
    foundation_tax.location_evidence,
    _meter,
    _meter_segment,
    _resource_owner,
    _invoice_series,
    _invoice,
    _document_file,
    foundation_tax.tax_entry,
    foundation_tax.tax_correction,
    _outbox,
    _audit,
    _job_lease,
    _setting,
    foundation_rollups.rollup,
    foundation_rollups.rollup_day,
    foundation_digest.digest,
)
