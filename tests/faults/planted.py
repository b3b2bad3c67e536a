"""Defects to plant in a forked process, each a mistake that real billing systems made.

They patch the library of the process they are called in, so they are called
only in processes that end soon.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import select, update

from prepaid import documents, jobs, outbox, repayment, topups
from prepaid.core import keys
from prepaid.invoicing import delivery
from prepaid.invoicing.letters import invoice_mail
from prepaid.refund_desk import deciding
from prepaid.settlement import settling
from prepaid.store import Database, Tx, fast_sqlite, grants, payments, raw, schema
from prepaid.store import documents as document_rows
from prepaid.store import outbox as outbox_rows
from prepaid.store import refunds as refund_rows
from prepaid.store import topups as topup_rows
from prepaid.usage import billing, charges

Defect = Callable[[], None]


@frozen
class _Hasty(Tx):
    """Commits after each statement."""

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        result = self.connection.execute(statement, parameters)
        kept = result.freeze()() if result.returns_rows else result
        self.connection.commit()
        return kept


def every_statement_commits_by_itself() -> None:
    def once(self: Database, work: Callable[[Tx], Any], book_id: int) -> Any:
        with self.engine.connect() as connection:
            done = work(_Hasty(connection, book_id))
            connection.commit()  # what was sent below `execute`
            return done

    Database._once = once


def _twice_settled() -> None:
    settling.PAID_STATES = ()

    def step(tx: Tx, topup_id: str, target: str, **values: Any) -> bool:
        table = schema.topup
        tx.execute(update(table).where(table.c.id == topup_id).values(state=target, **values))
        return True

    topup_rows.step = step


def settlement_looks_at_no_state() -> None:
    """Leave out the look at the state, at the start and in the transaction; unique keys are left."""
    _twice_settled()


def _never_the_same(identify: Callable[..., keys.Identity]) -> Callable[..., keys.Identity]:
    return lambda *parts, **named: identify(*parts, **named)._replace(key_hash=secrets.token_hex(32))


def settlement_rests_on_nothing() -> None:
    """Leave out the state and make every unique key of settlement a new one each time."""
    _twice_settled()
    add = payments.add

    def add_payment(tx: Tx, topup: Any, payment: Any, **rest: Any) -> None:
        if payments.owner(tx, topup.gateway, payment.payment_id) is None:
            add(tx, topup, payment, **rest)

    payments.add = add_payment
    keys.settlement = _never_the_same(keys.settlement)
    write_effect = outbox_rows.add

    def add_again(tx: Tx, *, topic: str, dedupe_key: str, **row: Any) -> None:
        table = schema.outbox
        known = select(table.c.id).where(table.c.topic == topic, table.c.dedupe_key == dedupe_key)
        again = tx.execute(known).first() is not None
        write_effect(tx, topic=topic, dedupe_key=f"{dedupe_key}/again" if again else dedupe_key, **row)

    outbox_rows.add = add_again


def mail_goes_out_before_the_commit() -> None:
    issue = documents.issue

    def issue_and_send(tx: Tx, context: Any, *parts: Any, **rest: Any) -> Any:
        invoice = issue(tx, context, *parts, **rest)
        context.mailer.send(invoice_mail(invoice, b"", to="ada@example.com"))
        return invoice

    documents.issue = issue_and_send
    render = delivery.file_of
    jobs.HANDLERS[outbox.INVOICE_MAIL] = lambda context, effect: render(
        context, delivery.get(context, effect.payload["invoice"])
    )


def an_effect_is_done_before_it_is_had() -> None:
    deliver, table = outbox._deliver, schema.outbox

    def note_then_deliver(context: Any, effect: Any, handler: Any) -> bool:
        mine = update(table).where(table.c.id == effect.id)
        context.database.write(lambda tx: tx.execute(mine.values(state="done")))
        return deliver(context, effect, handler)

    outbox._deliver = note_then_deliver


def effects_are_written_after_the_commit() -> None:
    write = Database.write

    def write_then_tell(self: Database, work: Callable[[Tx], Any]) -> Any:
        rows: list[dict[str, Any]] = []
        add = outbox_rows.add
        outbox_rows.add = lambda tx, **row: rows.append(row)
        try:
            result = write(self, work)
        finally:
            outbox_rows.add = add
        for row in rows:
            write(self, lambda tx, row=row: add(tx, **row))
        return result

    Database.write = write_then_tell


def a_charge_has_no_key() -> None:
    charges.usage = _never_the_same(charges.usage)


def with_a_new_key_each_time(execute: Callable[..., None]) -> Callable[..., None]:
    """Let no attempt of a fast charge know what an earlier one may have left."""

    def forgetful(cursor: Any, statement: str, parameters: Any = (), **options: Any) -> None:
        if "key_hash" in parameters:
            parameters |= {"key_hash": secrets.token_hex(32)}
        execute(cursor, statement, parameters, **options)

    return forgetful


def the_transfer_of_a_fast_charge_is_written_after_the_commit() -> None:
    execute = raw.execute

    def hasty(cursor: Any, statement: str, *parameters: Any, **options: Any) -> None:
        if statement is fast_sqlite._ADD:
            execute(cursor, "COMMIT")
            execute(cursor, "BEGIN IMMEDIATE")
        execute(cursor, statement, *parameters, **options)

    raw.execute = hasty


def the_number_is_taken_in_a_transaction_of_its_own() -> None:
    take, open_series = document_rows.take_number, documents.open_series

    def open_and_take(context: Any) -> Any:
        series = open_series(context)
        place = context.database.write(lambda tx: take(tx, documents.INVOICE, series.year, series.today))
        document_rows.take_number = lambda *_: place
        return series

    documents.open_series = open_and_take


def the_gateway_is_called_before_the_intent_is_kept() -> None:
    keep = topups._keep_intent

    def ask_first(context: Any, customer: Any, intent: Any) -> Any:
        add = topup_rows.add

        def add_after_asking(tx: Tx, topup: Any, request: Any, **keys: Any) -> None:
            context.gateway(intent.quote.gateway).create_checkout(request)
            add(tx, topup, request, **keys)

        topup_rows.add = add_after_asking
        return keep(context, customer, intent)

    topups._keep_intent = ask_first


def the_gateway_gets_a_new_key_each_time() -> None:
    open_checkout = settling.open_checkout

    def reopen(context: Any, gateway: Any, stored: Any) -> Any:
        return open_checkout(context, gateway, evolve(stored, request=evolve(stored.request, key=secrets.token_hex(8))))

    settling.open_checkout = topups.settlement.open_checkout = reopen


def hours_are_charged_without_a_key() -> None:
    """Charge each hour in a transaction of its own, and note the hours in another, without any key."""
    billing.metered_hour = _never_the_same(billing.metered_hour)
    billing.period_key = lambda *parts: secrets.token_hex(32)
    every_statement_commits_by_itself()


def a_debit_leaves_its_grants_for_later() -> None:
    """Write the balance and the transfers in one transaction, the grants in a second."""
    spend, write = grants.spend, Database.write

    def write_then_spend(self: Database, work: Callable[[Tx], Any]) -> Any:
        later: list[tuple[Any, ...]] = []
        grants.spend = lambda tx, *parts: later.append(parts)
        result = write(self, work)
        for parts in later:
            write(self, lambda tx, parts=parts: spend(tx, *parts))
        return result

    Database.write = write_then_spend


def the_gateway_gives_back_before_the_intent_is_kept() -> None:
    keep = repayment.keep

    def ask_first(tx: Tx, context: Any, refund: Any) -> None:
        keep(tx, context, refund)
        stored = refund_rows.find(tx, refund.id)
        assert stored is not None
        repayment._send(context, context.gateway(refund.gateway), stored, topup_rows.payment_ref(tx, refund.topup_id))

    repayment.keep = ask_first


def a_refund_is_sent_again_under_a_new_key_without_a_look() -> None:
    def send(context: Any, gateway: Any, stored: Any) -> Any:
        again = evolve(stored, gateway_key=secrets.token_hex(8))
        return repayment._send(context, gateway, again, repayment._ref(context, stored.refund))

    repayment._find_or_send = send


def _what_is_left_for_later(owner: Any, name: str, answer: Any) -> None:
    """Do something that belongs to a transaction in another one after it."""
    act, write = getattr(owner, name), Database.write

    def write_then_act(self: Database, work: Callable[[Tx], Any]) -> Any:
        later: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def put_off(tx: Tx, *parts: Any, **rest: Any) -> Any:
            later.append((parts, rest))
            return answer

        setattr(owner, name, put_off)
        result = write(self, work)
        setattr(owner, name, act)
        for parts, rest in later:
            write(self, lambda tx, parts=parts, rest=rest: act(tx, *parts, **rest))
        return result

    Database.write = write_then_act


def the_credit_of_a_refund_leaves_after_the_commit() -> None:
    _what_is_left_for_later(deciding, "take", None)


def the_credit_note_of_a_refund_comes_after_the_commit() -> None:
    _what_is_left_for_later(documents, "issue_credit_note", None)
