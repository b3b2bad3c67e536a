"""What an operator approves for a customer's tax: an exemption, or a tax id that no register can confirm."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from .. import audit
from ..config import Context
from ..core.errors import InvalidRequest, NotFound, WrongState
from ..core.ids import check_text
from ..core.parties import Customer
from ..store import Tx, customers, tax_facts
from ..store.tax_facts import EXEMPTION, TAX_ID, Approval
from . import corrections, registers

_CODE: Final = re.compile(r"[A-Za-z0-9-]{0,40}", re.ASCII)
MAX_NOTE: Final = 300


def exempt(
    context: Context, customer: Customer, *, reason: str, code: str = "", valid_to: date | None = None, actor: str
) -> None:
    """Charge a customer no tax from now on, whatever the rules say; an earlier exemption is replaced.

    Args:
        context: The billing system.
        customer: Who is exempt.
        reason: Why, as documents print it.
        code: Code of the reason, such as ``"VATEX-EU-151"``, or empty.
        valid_to: First day on which they are not exempt any more, or None.
        actor: The operator.

    Raises:
        InvalidRequest: No reason, a code of another form, or not a date to come.
    """
    why = check_text(audit.check_reason(reason), field="reason", longest=MAX_NOTE)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise InvalidRequest("code is a code such as 'VATEX-EU-151'.", field="code")
    _approve(context, customer, EXEMPTION, number="", reason=why, code=code, valid_to=valid_to, actor=actor)


def end_exemption(context: Context, customer: Customer, *, reason: str, actor: str) -> None:
    """Let the rules decide a customer's tax again.

    Raises:
        InvalidRequest: No reason.
        NotFound: They are not exempt.
    """
    _take_back(context, customer, EXEMPTION, reason=reason, actor=actor)


def vouch(context: Context, customer: Customer, *, reason: str, valid_to: date | None = None, actor: str) -> None:
    """Take the tax id of a customer's profile for verified, as long as they keep that number.

    Raises:
        InvalidRequest: No reason, or not a date to come.
        WrongState: Their profile has no tax id of the right form.
    """
    why = audit.check_reason(reason)
    profile = context.database.read(lambda tx: customers.current_profile(tx, customer.id))
    state, tax_id = registers.read_profile(profile[1] if profile else None)
    if tax_id is None:
        raise WrongState("The customer's profile has no tax id of the right form.", field="tax_id", state=state)
    _approve(context, customer, TAX_ID, number=tax_id.key, reason=why, code="", valid_to=valid_to, actor=actor)


def stop_vouching(context: Context, customer: Customer, *, reason: str, actor: str) -> None:
    """Take a tax id for what its register says of it again.

    Raises:
        InvalidRequest: No reason.
        NotFound: Nobody vouches for it.
    """
    _take_back(context, customer, TAX_ID, reason=reason, actor=actor)


def _approve(
    context: Context,
    customer: Customer,
    kind: str,
    *,
    number: str,
    reason: str,
    code: str,
    valid_to: date | None,
    actor: str,
) -> None:
    if valid_to is not None and (type(valid_to) is not date or valid_to <= context.current_day()):
        raise InvalidRequest("valid_to is a date to come, or None.", field="valid_to")
    approval = Approval(
        id=context.ids.new("apr"),
        customer=customer.id,
        kind=kind,
        number=number,
        reason=reason,
        code=code,
        actor=actor,
        valid_to=valid_to,
        created_at=context.now(),
    )

    def work(tx: Tx) -> None:
        if any(known.id == approval.id for known in tax_facts.approvals(tx, customer.id)):
            return  # the commit was made, its answer lost
        tax_facts.end_approvals(tx, customer.id, kind, approval.created_at)
        tax_facts.add_approval(tx, approval)
        if kind == TAX_ID:
            corrections.answered(tx, context, number, is_valid=True, customer=customer.id)
        after = {"code": code, "valid_to": valid_to.isoformat() if valid_to else None}
        audit.of_customer(tx, context, customer.id, actor=actor, action=f"tax-{kind}", reason=reason, after=after)

    context.database.write(work)


def _take_back(context: Context, customer: Customer, kind: str, *, reason: str, actor: str) -> None:
    why, now = audit.check_reason(reason), context.now()

    def work(tx: Tx) -> bool:
        ended = tax_facts.end_approvals(tx, customer.id, kind, now)
        if ended:
            audit.of_customer(tx, context, customer.id, actor=actor, action=f"tax-{kind}-end", reason=why)
        return bool(ended) or tax_facts.ended_at(tx, customer.id, kind) == now  # the commit was made, its answer lost

    if not context.database.write(work):
        raise NotFound("There is nothing of that kind to end.", field="customer")
