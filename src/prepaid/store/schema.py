"""Every table, once; the migrations are compared with it by a test.

All names carry the prefix ``prepaid_``; every row carries its book, and foreign
keys include it, so that nothing crosses from one seller or mode to another.
Money is ``BIGINT`` ledger units, an instant ``BIGINT`` microseconds: types that
mean the same on every engine. On SQLite, whose columns take anything, a CHECK
keeps money an integer.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, SmallInteger, String, UniqueConstraint, text

from . import columns, schema_digest, schema_identity, schema_payments, schema_promotions, schema_rollups, schema_tax
from .columns import (
    BINARY,
    HASH,
    ID,
    KEY,
    NAME,
    PREFIX,
    PROSE,
    ROOM,
    SERIAL,
    WORD,
    Instant,
    book_column,
    table,
    to,
    to_book,
)

metadata = columns.metadata
MONEY_COLUMNS = columns.MONEY_COLUMNS

topup = schema_payments.topup
payment = schema_payments.payment
topup_allowance = schema_payments.topup_allowance
refund = schema_payments.refund
refund_request = schema_payments.refund_request
dispute = schema_payments.dispute
reconciliation = schema_payments.reconciliation
webhook_event = schema_payments.webhook_event

promotion = schema_promotions.promotion
promotion_customer = schema_promotions.promotion_customer
redemption = schema_promotions.redemption
code_attempt = schema_promotions.code_attempt
voucher = schema_promotions.voucher

digest = schema_digest.digest

identity = schema_identity.identity
identity_case = schema_identity.identity_case

rollup = schema_rollups.rollup
rollup_day = schema_rollups.rollup_day

tax_profile = schema_tax.tax_profile
tax_rule = schema_tax.tax_rule
tax_identity = schema_tax.tax_identity
tax_id_check = schema_tax.tax_id_check
tax_register = schema_tax.tax_register
tax_approval = schema_tax.tax_approval
location_evidence = schema_tax.location_evidence
tax_entry = schema_tax.tax_entry
tax_correction = schema_tax.tax_correction

book = table(
    "book",
    Column("id", Integer, primary_key=True),
    Column("name", KEY, nullable=False),
    Column("mode", WORD, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("name", "mode"),
)

currency = table(
    "currency",
    book_column(primary=True),
    Column("code", String(3), primary_key=True),
    Column("scale", SmallInteger, nullable=False),
    Column("minor_digits", SmallInteger, nullable=False),
    to_book(),
)

customer = table(
    "customer",
    book_column(primary=True),
    Column("id", KEY, primary_key=True),
    Column("email", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("locale", WORD, nullable=False),
    Column("group_names", PROSE, nullable=False),
    Column("frozen_at", Instant),
    # Their tax id as registers know it, so that it can be found by the number.
    Column("tax_number", KEY),
    # Raised by whoever begins or settles a top-up of theirs: on every engine, one comes after the other.
    Column("turn", BigInteger, nullable=False),
    Column("since", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "book_id", "tax_number"),
    to_book(),
)

account = table(
    "account",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    book_column(),
    Column("kind", WORD, nullable=False),
    Column("owner", KEY, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    # The next instant at which a grant or a hold begins or lapses; a posting that finds it passed deals with it first.
    Column("next_due_at", Instant, nullable=False),
    # Below this balance something new must be told; NULL until it was worked out.
    Column("alert_at", BigInteger),
    Column("told", SmallInteger, nullable=False),
    Column("suspend_at", Instant),
    Column("replayed_at", Instant),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("book_id", "kind", "owner", "currency"),
    UniqueConstraint("book_id", "id"),
    Index(None, "book_id", "next_due_at"),
    Index(None, "book_id", "suspend_at"),
    CheckConstraint("held >= 0", name="held_not_negative"),
    CheckConstraint("kind = 'wallet' or (balance = 0 and seq = 0)", name="only_wallets_have_balances"),
    to("currency", "currency", remote=("code",)),
    postgresql_with=ROOM,
)

grant = table(
    "grant",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("wallet_id", BigInteger, nullable=False),
    Column("kind", WORD, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("debt_paid", BigInteger, nullable=False),
    # What of it expired or was voided: a bonus is kept for what was used, and that was not.
    Column("gone", BigInteger, nullable=False),
    Column("open", SmallInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tax_state", WORD, nullable=False),
    Column("source_topup", ID),
    Column("cost_net_minor", BigInteger, nullable=False),
    Column("cost_tax_minor", BigInteger, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("notice_at", Instant),
    # Of a grant that begins later: its key, and what to post when it does.
    Column("key_hash", HASH),
    Column("posting", PROSE),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "key_hash"),
    Index(None, "wallet_id", "open", "priority", "expires_at", "id"),
    Index(None, "book_id", "open", "notice_at"),
    Index(None, "book_id", "source_topup"),
    CheckConstraint(
        "size > 0 and remaining >= 0 and remaining <= size and debt_paid >= 0 and gone >= 0", name="within_size"
    ),
    # The flag, not a predicate on remaining, keeps ordinary burns out of the index (heap-only updates on PostgreSQL).
    # 0 is used up, 1 can be spent, 2 begins later.
    CheckConstraint("(open in (1, 2) and remaining > 0) or (open = 0 and remaining = 0)", name="open_is_remaining"),
    to("account", "wallet_id", remote=("id",)),
    postgresql_with=ROOM,
)

hold = table(
    "hold",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("wallet_id", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("state", WORD, nullable=False),
    Column("label", PROSE, nullable=False),
    Column("key_hash", HASH, nullable=False),
    Column("fingerprint", HASH, nullable=False),
    Column("transaction_id", ID),
    # Of one that a dispute made: it ends with the dispute alone.
    Column("dispute_id", ID),
    Column("expires_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "key_hash"),
    Index(None, "wallet_id", "state", "expires_at"),
    CheckConstraint("amount > 0 and captured >= 0 and captured <= amount", name="within_amount"),
    to("account", "wallet_id", remote=("id",)),
)

transfer = table(
    "transfer",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    book_column(),
    Column("transaction_id", ID, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("debit_id", BigInteger, nullable=False),
    Column("credit_id", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("wallet_id", BigInteger),
    Column("wallet_seq", BigInteger),
    Column("wallet_after", BigInteger),
    Column("kind", WORD, nullable=False),
    Column("grant_id", ID),
    Column("cause_type", WORD, nullable=False),
    Column("cause_id", KEY, nullable=False),
    Column("reverses", ID),
    Column("key_hash", HASH, nullable=False),
    Column("fingerprint", HASH, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("posted_at", Instant, nullable=False),
    Column("description", NAME),
    Column("resource", KEY),
    Column("resource_kind", KEY),
    Column("project", KEY),
    Column("period_start", Instant),
    Column("period_end", Instant),
    Column("charge_period_key", HASH),
    UniqueConstraint("book_id", "key_hash", "part"),
    UniqueConstraint("wallet_id", "wallet_seq"),
    Index(None, "book_id", "posted_at"),
    Index(None, "book_id", "transaction_id"),
    # Most rows have neither: what an index does not hold it need not write.
    *(
        Index(
            None,
            "book_id",
            name,
            unique=unique,
            postgresql_where=text(f"{name} IS NOT NULL"),
            sqlite_where=text(f"{name} IS NOT NULL"),
        )
        for name, unique in (("reverses", False), ("charge_period_key", True))
    ),
    CheckConstraint("amount > 0", name="amount_positive"),
    CheckConstraint("debit_id <> credit_id", name="two_accounts"),
    CheckConstraint(
        "(wallet_id is null and wallet_seq is null and wallet_after is null) or "
        "(wallet_id in (debit_id, credit_id) and wallet_seq is not null and wallet_after is not null)",
        name="wallet_whole",
    ),
    # No foreign keys: each would look up, and on PostgreSQL lock, a row that all charges share. `check` proves them.
)

meter = table(
    "meter",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("resource", KEY, nullable=False),
    # The resource again while it runs, NULL after: one running meter per resource, by a unique key.
    Column("running", KEY),
    Column("customer", KEY, nullable=False),
    Column("kind", KEY, nullable=False),
    Column("project", KEY, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("stopped_at", Instant),
    Column("billed_until", Instant, nullable=False),
    # Parts of a ledger unit that are counted and not charged, or the other way round; see core.metering.
    Column("residue", BigInteger, nullable=False),
    # What was counted in the month of the last hour, in parts: more than 64 bits hold.
    Column("month", WORD, nullable=False),
    Column("month_cost", WORD, nullable=False),
    Column("due_at", Instant),
    # 1 while it has hours to count, 0 after. The flag is in an index, not the instant, which changes with each hour:
    # on PostgreSQL that would write all indexes anew.
    Column("open", SmallInteger, nullable=False),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "running"),
    UniqueConstraint("book_id", "resource", "started_at"),
    Index(None, "book_id", "open"),
    Index(None, "book_id", "customer"),
    to("customer", "customer", remote=("id",)),
    postgresql_with=ROOM,
)

meter_segment = table(
    "meter_segment",
    book_column(primary=True),
    Column("meter_id", ID, primary_key=True),
    Column("starts_at", Instant, primary_key=True, autoincrement=False),
    Column("ends_at", Instant),
    Column("rate", WORD, nullable=False),
    Column("increment", WORD, nullable=False),
    Column("monthly_cap", WORD),
    Column("minimum_s", Integer, nullable=False),
    to("meter", "meter_id", remote=("id",)),
)

resource_owner = table(
    "resource_owner",
    book_column(primary=True),
    Column("resource", KEY, primary_key=True),
    Column("biller", KEY, nullable=False),
    Column("created_at", Instant, nullable=False),
    to_book(),
)

invoice_series = table(
    "invoice_series",
    book_column(primary=True),
    Column("kind", WORD, primary_key=True),
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("last_on", String(10), nullable=False),
    to_book(),
)

invoice = table(
    "invoice",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("kind", WORD, nullable=False),
    Column("year", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("number", WORD, nullable=False),
    Column("customer", KEY, nullable=False),
    Column("topup_id", ID, nullable=False),
    # The top-up, or the refund or dispute that took a part of it back or did not: one document of a kind for each.
    Column("cause_id", ID, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("issued_on", String(10), nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("snapshot", PROSE, nullable=False),
    Column("sha256", HASH, nullable=False),
    UniqueConstraint("book_id", "id"),
    UniqueConstraint("book_id", "number"),
    UniqueConstraint("book_id", "kind", "year", "sequence"),
    UniqueConstraint("book_id", "kind", "cause_id", "turn"),
    Index(None, "book_id", "customer", "id"),
    Index(None, "book_id", "topup_id"),
    CheckConstraint("net + tax = total", name="adds_up"),
    to("topup", "topup_id", remote=("id",)),
)

document_file = table(
    "document_file",
    book_column(primary=True),
    Column("invoice_id", ID, primary_key=True),
    Column("media_type", WORD, primary_key=True),
    Column("content", BINARY, nullable=False),
    Column("sha256", HASH, nullable=False),
    Column("renderer", KEY, nullable=False),
    Column("created_at", Instant, nullable=False),
    to("invoice", "invoice_id", remote=("id",)),
)

outbox = table(
    "outbox",
    Column("id", ID, primary_key=True),
    book_column(),
    Column("topic", WORD, nullable=False),
    Column("dedupe_key", KEY, nullable=False),
    Column("payload", PROSE, nullable=False),
    Column("state", WORD, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Instant, nullable=False),
    Column("claimed_until", Instant, nullable=False),
    Column("progress", PROSE, nullable=False),
    Column("last_error", NAME, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("done_at", Instant),
    UniqueConstraint("book_id", "topic", "dedupe_key"),
    Index(None, "book_id", "state", "next_at"),
    to_book(),
)

audit = table(
    "audit",
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    book_column(),
    Column("at", Instant, nullable=False),
    Column("actor", KEY, nullable=False),
    Column("action", WORD, nullable=False),
    Column("target", KEY, nullable=False),
    # Whom it was about, if anybody: their acts are found whatever they were done to.
    Column("customer", KEY),
    Column("reason", PROSE, nullable=False),
    Column("state_before", PROSE, nullable=False),
    Column("state_after", PROSE, nullable=False),
    Index(None, "book_id", "id"),
    Index(None, "book_id", "at"),
    Index(None, "book_id", "actor", "id"),
    Index(None, "book_id", "action", "id"),
    Index(None, "book_id", "target", "id"),
    Index(None, "book_id", "customer", "id"),
    to_book(),
)

job_lease = table(
    "job_lease",
    book_column(primary=True),
    Column("name", WORD, primary_key=True),
    Column("holder", KEY, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("finished_at", Instant),
    to_book(),
)

setting = table(
    "setting",
    book_column(primary=True),
    Column("name", WORD, primary_key=True),
    Column("value", PROSE, nullable=False),
    Column("updated_at", Instant, nullable=False),
    to_book(),
)

APPEND_ONLY: tuple[str, ...] = tuple(
    PREFIX + name
    for name in (
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
)
"""Tables whose rows triggers keep from being changed or removed."""
