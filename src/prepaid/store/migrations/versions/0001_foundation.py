"""The first schema: books, ledger, top-ups, meters, documents, outbox.

Frozen as released; `prepaid.store.schema` is what the code uses, and a test
compares the two.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(length: int) -> sa.types.TypeEngine[str]:
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


ID, WORD, HASH, KEY, NAME = _text(32), _text(32), _text(64), _text(191), _text(254)
CODE, DAY = sa.String(3), sa.String(10)
INSTANT = sa.BigInteger()
PROSE = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
BINARY = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

INTEGERS = {
    "account": ("balance", "held", "floor", "seq"),
    "transfer": ("amount",),
    "grant": ("size", "remaining", "debt_paid"),
    "topup": ("credit", "bonus", "discount", "net", "tax", "total"),
    "payment": ("captured",),
    "invoice": ("net", "tax", "total", "sequence"),
}
APPEND_ONLY = ("transfer", "audit", "invoice", "document_file", "tax_profile")


def upgrade() -> None:
    """Make every table and the triggers that keep history unchanged."""
    _books_and_customers()
    _ledger()
    _topups()
    _usage()
    _documents()
    _operations()
    for table in APPEND_ONLY:
        _keep_history(f"prepaid_{table}")


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    checks = []
    if op.get_bind().dialect.name == "sqlite":
        checks = [
            sa.CheckConstraint(f"typeof({column}) = 'integer'", name=op.f(f"ck_prepaid_{name}_{column}_integer"))
            for column in INTEGERS.get(name, ())
        ]
    op.create_table(f"prepaid_{name}", *parts, *checks, mysql_engine="InnoDB", mysql_charset="utf8mb4")


def _keep_history(table: str) -> None:
    dialect = op.get_bind().dialect.name
    refusal = f"{table} is append-only"
    if dialect == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION prepaid_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_keep BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION prepaid_refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_keep_all BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION prepaid_refuse_change()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        body = (
            f"BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            if dialect == "sqlite"
            else f"FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{refusal}'"
        )
        op.execute(f"CREATE TRIGGER {table}_keep_{verb.lower()} BEFORE {verb} ON {table} {body}")


def _books_and_customers() -> None:
    _table(
        "book",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("mode", WORD, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_book"),
        sa.UniqueConstraint("name", "mode", name="uq_prepaid_book_name_mode"),
    )
    _table(
        "currency",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("code", CODE, nullable=False),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.Column("minor_digits", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("book_id", "code", name="pk_prepaid_currency"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_currency_book_id"),
    )
    _table(
        "customer",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("email", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("locale", WORD, nullable=False),
        sa.Column("group_names", PROSE, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "id", name="pk_prepaid_customer"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_customer_book_id"),
    )
    _table(
        "tax_profile",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("content", PROSE, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "customer", "version", name="pk_prepaid_tax_profile"),
        sa.ForeignKeyConstraint(
            ["book_id", "customer"],
            ["prepaid_customer.book_id", "prepaid_customer.id"],
            name="fk_prepaid_tax_profile_book_id_customer",
        ),
    )


def _ledger() -> None:
    _table(
        "account",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("owner", KEY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("replayed_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_account"),
        sa.UniqueConstraint("book_id", "id", name="uq_prepaid_account_book_id_id"),
        sa.UniqueConstraint(
            "book_id", "kind", "owner", "currency", name="uq_prepaid_account_book_id_kind_owner_currency"
        ),
        sa.CheckConstraint("held >= 0", name=op.f("ck_prepaid_account_ck_prepaid_account_held_not_negative")),
        sa.CheckConstraint(
            "kind = 'wallet' or (balance = 0 and seq = 0)",
            name=op.f("ck_prepaid_account_ck_prepaid_account_only_wallets_have_balances"),
        ),
        sa.ForeignKeyConstraint(
            ["book_id", "currency"],
            ["prepaid_currency.book_id", "prepaid_currency.code"],
            name="fk_prepaid_account_book_id_currency",
        ),
    )
    _table(
        "grant",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("debt_paid", sa.BigInteger(), nullable=False),
        sa.Column("open", sa.SmallInteger(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("tax_state", WORD, nullable=False),
        sa.Column("source_topup", ID),
        sa.Column("cost_net_minor", sa.BigInteger(), nullable=False),
        sa.Column("cost_tax_minor", sa.BigInteger(), nullable=False),
        sa.Column("effective_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_grant"),
        sa.UniqueConstraint("book_id", "id", name="uq_prepaid_grant_book_id_id"),
        sa.CheckConstraint(
            "(open = 1 and remaining > 0) or (open = 0 and remaining = 0)",
            name=op.f("ck_prepaid_grant_ck_prepaid_grant_open_is_remaining"),
        ),
        sa.CheckConstraint(
            "size > 0 and remaining >= 0 and remaining <= size and debt_paid >= 0",
            name=op.f("ck_prepaid_grant_ck_prepaid_grant_within_size"),
        ),
        sa.ForeignKeyConstraint(
            ["book_id", "wallet_id"],
            ["prepaid_account.book_id", "prepaid_account.id"],
            name="fk_prepaid_grant_book_id_wallet_id",
        ),
    )
    op.create_index(
        "ix_prepaid_grant_wallet_id_open_priority_expires_at_id",
        "prepaid_grant",
        ["wallet_id", "open", "priority", "expires_at", "id"],
    )
    _table(
        "transfer",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("transaction_id", ID, nullable=False),
        sa.Column("part", sa.SmallInteger(), nullable=False),
        sa.Column("debit_id", sa.BigInteger(), nullable=False),
        sa.Column("credit_id", sa.BigInteger(), nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger()),
        sa.Column("wallet_seq", sa.BigInteger()),
        sa.Column("wallet_after", sa.BigInteger()),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("grant_id", ID),
        sa.Column("cause_type", WORD, nullable=False),
        sa.Column("cause_id", KEY, nullable=False),
        sa.Column("reverses", ID),
        sa.Column("key_hash", HASH, nullable=False),
        sa.Column("fingerprint", HASH, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("effective_at", INSTANT, nullable=False),
        sa.Column("posted_at", INSTANT, nullable=False),
        sa.Column("description", NAME),
        sa.Column("resource", KEY),
        sa.Column("resource_kind", KEY),
        sa.Column("project", KEY),
        sa.Column("period_start", INSTANT),
        sa.Column("period_end", INSTANT),
        sa.Column("charge_period_key", HASH),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_transfer"),
        sa.UniqueConstraint("book_id", "charge_period_key", name="uq_prepaid_transfer_book_id_charge_period_key"),
        sa.UniqueConstraint("book_id", "key_hash", "part", name="uq_prepaid_transfer_book_id_key_hash_part"),
        sa.UniqueConstraint("wallet_id", "wallet_seq", name="uq_prepaid_transfer_wallet_id_wallet_seq"),
        sa.CheckConstraint("amount > 0", name=op.f("ck_prepaid_transfer_ck_prepaid_transfer_amount_positive")),
        sa.CheckConstraint("debit_id <> credit_id", name=op.f("ck_prepaid_transfer_ck_prepaid_transfer_two_accounts")),
        sa.CheckConstraint(
            "(wallet_id is null and wallet_seq is null and wallet_after is null) or (wallet_id in (debit_id, credit_id) and wallet_seq is not null and wallet_after is not null)",
            name=op.f("ck_prepaid_transfer_ck_prepaid_transfer_wallet_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["book_id", "credit_id"],
            ["prepaid_account.book_id", "prepaid_account.id"],
            name="fk_prepaid_transfer_book_id_credit_id",
        ),
        sa.ForeignKeyConstraint(
            ["book_id", "debit_id"],
            ["prepaid_account.book_id", "prepaid_account.id"],
            name="fk_prepaid_transfer_book_id_debit_id",
        ),
        sa.ForeignKeyConstraint(
            ["book_id", "grant_id"],
            ["prepaid_grant.book_id", "prepaid_grant.id"],
            name="fk_prepaid_transfer_book_id_grant_id",
        ),
    )
    op.create_index("ix_prepaid_transfer_book_id_posted_at", "prepaid_transfer", ["book_id", "posted_at"])
    op.create_index("ix_prepaid_transfer_book_id_transaction_id", "prepaid_transfer", ["book_id", "transaction_id"])


def _topups() -> None:
    _table(
        "topup",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.Column("bonus", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("decision", PROSE, nullable=False),
        sa.Column("key_hash", HASH, nullable=False),
        sa.Column("fingerprint", HASH, nullable=False),
        sa.Column("gateway_key", KEY, nullable=False),
        sa.Column("request", PROSE, nullable=False),
        sa.Column("checkout_id", KEY),
        sa.Column("checkout", PROSE),
        sa.Column("failure", WORD, nullable=False),
        sa.Column("invoice_id", ID),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("next_poll_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("settled_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_topup"),
        sa.UniqueConstraint("book_id", "gateway", "checkout_id", name="uq_prepaid_topup_book_id_gateway_checkout_id"),
        sa.UniqueConstraint("book_id", "id", name="uq_prepaid_topup_book_id_id"),
        sa.UniqueConstraint("book_id", "key_hash", name="uq_prepaid_topup_book_id_key_hash"),
        sa.CheckConstraint(
            "credit > 0 and total >= 0 and net + tax = total", name=op.f("ck_prepaid_topup_ck_prepaid_topup_adds_up")
        ),
        sa.ForeignKeyConstraint(
            ["book_id", "customer"],
            ["prepaid_customer.book_id", "prepaid_customer.id"],
            name="fk_prepaid_topup_book_id_customer",
        ),
    )
    op.create_index("ix_prepaid_topup_book_id_customer_id", "prepaid_topup", ["book_id", "customer", "id"])
    op.create_index("ix_prepaid_topup_book_id_next_poll_at", "prepaid_topup", ["book_id", "next_poll_at"])
    op.create_index("ix_prepaid_topup_book_id_state", "prepaid_topup", ["book_id", "state"])
    _table(
        "payment",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("topup_id", ID, nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("payment_id", KEY, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("captured", sa.BigInteger(), nullable=False),
        sa.Column("method", WORD, nullable=False),
        sa.Column("fee", sa.BigInteger()),
        sa.Column("fee_currency", CODE),
        sa.Column("posted_as", WORD, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_payment"),
        sa.UniqueConstraint("book_id", "gateway", "payment_id", name="uq_prepaid_payment_book_id_gateway_payment_id"),
        sa.UniqueConstraint("book_id", "topup_id", name="uq_prepaid_payment_book_id_topup_id"),
        sa.CheckConstraint("captured > 0", name=op.f("ck_prepaid_payment_ck_prepaid_payment_captured_positive")),
        sa.ForeignKeyConstraint(
            ["book_id", "topup_id"],
            ["prepaid_topup.book_id", "prepaid_topup.id"],
            name="fk_prepaid_payment_book_id_topup_id",
        ),
    )
    _table(
        "webhook_event",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("gateway", WORD, nullable=False),
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("topup_id", ID),
        sa.Column("body_sha256", HASH, nullable=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("processed_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_webhook_event"),
        sa.UniqueConstraint("book_id", "gateway", "event_id", name="uq_prepaid_webhook_event_book_id_gateway_event_id"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_webhook_event_book_id"),
    )
    _table(
        "tax_rule",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("content", PROSE, nullable=False),
        sa.Column("retired_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_tax_rule"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_tax_rule_book_id"),
    )
    op.create_index("ix_prepaid_tax_rule_book_id_country", "prepaid_tax_rule", ["book_id", "country"])


def _usage() -> None:
    _table(
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
        sa.Column("billed_hours", sa.Integer(), nullable=False),
        sa.Column("due_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_meter"),
        sa.UniqueConstraint("book_id", "id", name="uq_prepaid_meter_book_id_id"),
        sa.UniqueConstraint("book_id", "resource", "started_at", name="uq_prepaid_meter_book_id_resource_started_at"),
        sa.UniqueConstraint("book_id", "running", name="uq_prepaid_meter_book_id_running"),
        sa.ForeignKeyConstraint(
            ["book_id", "customer"],
            ["prepaid_customer.book_id", "prepaid_customer.id"],
            name="fk_prepaid_meter_book_id_customer",
        ),
    )
    op.create_index("ix_prepaid_meter_book_id_customer", "prepaid_meter", ["book_id", "customer"])
    op.create_index("ix_prepaid_meter_book_id_due_at", "prepaid_meter", ["book_id", "due_at"])
    _table(
        "meter_segment",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("meter_id", ID, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT),
        sa.Column("rate", WORD, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "meter_id", "starts_at", name="pk_prepaid_meter_segment"),
        sa.ForeignKeyConstraint(
            ["book_id", "meter_id"],
            ["prepaid_meter.book_id", "prepaid_meter.id"],
            name="fk_prepaid_meter_segment_book_id_meter_id",
        ),
    )


def _documents() -> None:
    _table(
        "invoice_series",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("last_on", DAY, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "kind", "year", name="pk_prepaid_invoice_series"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_invoice_series_book_id"),
    )
    _table(
        "invoice",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("number", WORD, nullable=False),
        sa.Column("customer", KEY, nullable=False),
        sa.Column("topup_id", ID, nullable=False),
        sa.Column("currency", CODE, nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("issued_on", DAY, nullable=False),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("snapshot", PROSE, nullable=False),
        sa.Column("sha256", HASH, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_invoice"),
        sa.UniqueConstraint("book_id", "id", name="uq_prepaid_invoice_book_id_id"),
        sa.UniqueConstraint(
            "book_id", "kind", "year", "sequence", name="uq_prepaid_invoice_book_id_kind_year_sequence"
        ),
        sa.UniqueConstraint("book_id", "number", name="uq_prepaid_invoice_book_id_number"),
        sa.CheckConstraint("net + tax = total", name=op.f("ck_prepaid_invoice_ck_prepaid_invoice_adds_up")),
        sa.ForeignKeyConstraint(
            ["book_id", "topup_id"],
            ["prepaid_topup.book_id", "prepaid_topup.id"],
            name="fk_prepaid_invoice_book_id_topup_id",
        ),
    )
    op.create_index("ix_prepaid_invoice_book_id_customer_id", "prepaid_invoice", ["book_id", "customer", "id"])
    op.create_index("ix_prepaid_invoice_book_id_topup_id", "prepaid_invoice", ["book_id", "topup_id"])
    _table(
        "document_file",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("invoice_id", ID, nullable=False),
        sa.Column("media_type", WORD, nullable=False),
        sa.Column("content", BINARY, nullable=False),
        sa.Column("sha256", HASH, nullable=False),
        sa.Column("renderer", KEY, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "invoice_id", "media_type", name="pk_prepaid_document_file"),
        sa.ForeignKeyConstraint(
            ["book_id", "invoice_id"],
            ["prepaid_invoice.book_id", "prepaid_invoice.id"],
            name="fk_prepaid_document_file_book_id_invoice_id",
        ),
    )


def _operations() -> None:
    _table(
        "outbox",
        sa.Column("id", ID, nullable=False),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("topic", WORD, nullable=False),
        sa.Column("dedupe_key", KEY, nullable=False),
        sa.Column("payload", PROSE, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", INSTANT, nullable=False),
        sa.Column("progress", PROSE, nullable=False),
        sa.Column("last_error", NAME, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("done_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_outbox"),
        sa.UniqueConstraint("book_id", "topic", "dedupe_key", name="uq_prepaid_outbox_book_id_topic_dedupe_key"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_outbox_book_id"),
    )
    op.create_index("ix_prepaid_outbox_book_id_state_next_at", "prepaid_outbox", ["book_id", "state", "next_at"])
    _table(
        "audit",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("action", WORD, nullable=False),
        sa.Column("target", KEY, nullable=False),
        sa.Column("reason", PROSE, nullable=False),
        sa.Column("state_before", PROSE, nullable=False),
        sa.Column("state_after", PROSE, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prepaid_audit"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_audit_book_id"),
    )
    op.create_index("ix_prepaid_audit_book_id_at", "prepaid_audit", ["book_id", "at"])
    _table(
        "job_lease",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("holder", KEY, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("book_id", "name", name="pk_prepaid_job_lease"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_job_lease_book_id"),
    )
    _table(
        "setting",
        sa.Column("book_id", sa.Integer(), nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("value", PROSE, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("book_id", "name", name="pk_prepaid_setting"),
        sa.ForeignKeyConstraint(["book_id"], ["prepaid_book.id"], name="fk_prepaid_setting_book_id"),
    )
