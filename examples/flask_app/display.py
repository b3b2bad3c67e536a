"""How amounts, times and states read: exact, aligned, and never by colour alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import Any

from babel import Locale
from markupsafe import Markup

from prepaid import Money, Rate, TaxRule, Transaction
from wiring import TRANSFER, ZONE

_CENTS = re.compile(r"(.*?[.][0-9]{2})([0-9]*)")

KINDS = {
    "topup": "Top-up",
    "charge": "Usage",
    "bonus": "Promotional credit",
    "goodwill": "Goodwill",
    "refund": "Refund",
    "refund-reversal": "Refund that came back",
    "reversal": "Correction",
    "adjustment": "Adjustment",
    "expiry": "Expired credit",
    "voucher": "Voucher",
    "external": "Credit from elsewhere",
    "migration": "Balance brought along",
    "dispute": "Disputed payment, taken back",
    "dispute-reversal": "Disputed payment, given back",
    "clawback": "Bonus taken back",
}

# Of these the history shows what was written down; of the others, what they are.
DESCRIBED = ("charge", "voucher")

DOCUMENTS = {"invoice": "Invoice", "credit-note": "Credit note"}

STATES = {
    "starting": ("wait", "Being prepared"),
    "pending": ("wait", "Waiting for payment"),
    "processing": ("wait", "Payment in progress"),
    "credited": ("good", "Credited"),
    "failed": ("bad", "Declined"),
    "expired": ("bad", "Lapsed"),
    "canceled": ("off", "Cancelled"),
    "review": ("wait", "In review"),
    "refunded": ("off", "Refunded"),
}

OPEN = ("starting", "pending", "processing")
PAID = ("credited", "review", "refunded")

REFUNDS = {
    "starting": ("wait", "Being sent"),
    "unknown": ("wait", "Being looked up"),
    "pending": ("wait", "On its way"),
    "succeeded": ("good", "Sent back"),
    "failed": ("bad", "Failed"),
    "canceled": ("bad", "Cancelled"),
}

DISPUTES = {
    "inquiry": ("wait", "Inquiry"),
    "open": ("bad", "Open"),
    "won": ("good", "Won"),
    "lost": ("bad", "Lost"),
}

HELD = "identity-required"  # why a top-up waits for its customer

IDENTITIES = {
    "unverified": ("off", "Not verified"),
    "pending": ("wait", "Under way"),
    "verified": ("good", "Verified"),
    "rejected": ("bad", "Not successful"),
    "expired": ("wait", "Verified too long ago"),
    "revoked": ("bad", "Taken back"),
}

CASES = {
    "starting": ("wait", "Being begun"),
    "pending": ("wait", "The customer is at it"),
    "submitted": ("wait", "To be decided"),
    "verified": ("good", "Verified"),
    "rejected": ("bad", "Rejected"),
    "canceled": ("off", "Given up"),
}

# Why somebody has to be verified; a word that is not here is shown as it is.
ASKED_FOR = {
    "first-topup": "Before the first top-up",
    "above": "More than the policy allows",
    "plugin": "A plugin asks",
}

# Why a top-up waits for an operator; a word that is not here is shown as it is.
REASONS = {
    "amount-differs": "Another amount was paid than ordered",
    "currency-differs": "Paid in another currency than ordered",
    "second-payment": "A checkout was paid a second time",
    "balance-full": "The balance cannot hold so much",
    HELD: "The customer has to be verified first",
    "refund-pending": "The money is on its way back",
    "refund-failed": "The money could not be sent back",
    "refund-currency": "Money went back in another currency than was paid",
    "refund-exceeds-payment": "More went back than was left of the payment",
    "refund-unlisted": "The gateway gave back more than it lists",
}

PROMOTIONS = {
    "scheduled": ("wait", "Not yet"),
    "active": ("good", "Active"),
    "used-up": ("off", "Used up"),
    "expired": ("off", "Over"),
    "ended": ("off", "Ended"),
}

REDEMPTIONS = {
    "reserved": ("wait", "Reserved"),
    "redeemed": ("good", "Redeemed"),
    "released": ("off", "Given back"),
    "lost": ("bad", "Paid too late"),
}

VOUCHERS = {
    "open": ("wait", "Open"),
    "redeemed": ("good", "Redeemed"),
    "expired": ("off", "Over"),
    "ended": ("off", "Ended"),
}

# Look, name, and what follows from it for the customer.
_UNTIL_THEN = "Until then, tax is charged as without a tax id."
TAX_ID_STATES = {
    "none": ("off", "None", ""),
    "malformed": ("bad", "Wrong form", "It does not change your tax; correct it below."),
    "format_only": ("off", "Not verified", "No register knows numbers of this kind, so it does not change your tax."),
    "pending": ("wait", "Being verified", f"Its register has not answered yet. {_UNTIL_THEN}"),
    "valid": ("good", "Verified", ""),
    "invalid": ("bad", "Not valid", "Its register does not know it, so it does not change your tax."),
    "unavailable": ("wait", "Register does not answer", f"It is asked again by itself. {_UNTIL_THEN}"),
    "manual": ("good", "Accepted by us", ""),
    "expired": ("wait", "Verified too long ago", f"Its register is asked again. {_UNTIL_THEN}"),
}
ASKED_AGAIN = ("pending", "invalid", "unavailable", "expired")

TREATMENTS = {
    "standard": "Taxed",
    "zero": "Zero rate",
    "exempt": "Exempt",
    "reverse_charge": "Reverse charge",
    "out_of_scope": "Out of scope",
    "not_collecting": "Not collected",
}

CORRECTIONS = {
    "tax-to-return": "Tax was charged; the tax id turned out to be valid",
    "tax-missing": "No tax was charged; the tax id turned out not to be valid",
}

_BUYERS = {"any": "Everybody", "consumer": "Consumers", "business": "Businesses"}
_PLACES = {
    "any": "",
    "same_country": " at home",
    "other_country": " abroad",
    "same_subdivision": " in our state",
    "other_subdivision": " in another state",
}
_PROOFS = {"any": "", "valid": " with a valid tax id", "not_valid": " without a valid tax id"}

COUNTRIES = sorted(
    (
        (code, name)
        for code, name in Locale("en").territories.items()
        if re.fullmatch("[A-Z]{2}", code) and code not in {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
    ),
    key=lambda country: country[1],
)


def money(amount: Money, *, signed: bool = False) -> Markup:
    """Write an amount exactly; what is finer than a cent is set apart, so that columns stay aligned."""
    sign = "−" if amount.units < 0 else "+" if signed and amount.units else ""
    shown = abs(amount).format("en")
    whole, fine = match.groups() if (match := _CENTS.fullmatch(shown)) else (shown, "")
    return Markup('<data class="money" value="{}">{}{}<span class="fine">{}</span></data>').format(
        f"{amount.amount:f}", sign, whole, fine
    )


def plain_money(amount: Money) -> str:
    """Write an amount as plain text."""
    return f"{'−' if amount.units < 0 else ''}{abs(amount).format('en')}"


def hourly(rate: Rate) -> Markup:
    """Write a price per hour, exactly."""
    return Markup('<data class="money" value="{0}">{1}{0}</data>').format(f"{rate.amount:f}", _symbol(rate.currency))


def _symbol(currency: str) -> str:
    return Money.zero(currency).format("en").rstrip("0.")


def when(instant: datetime) -> Markup:
    """Write an instant in the seller's zone."""
    local = instant.astimezone(ZONE)
    return Markup('<time datetime="{}">{}</time>').format(
        local.isoformat(timespec="seconds"), f"{local:%-d %b %Y, %H:%M}"
    )


def in_zone(instant: datetime) -> date:
    """Give the day of an instant in the seller's zone."""
    return instant.astimezone(ZONE).date()


def clock(instant: datetime) -> str:
    """Write the time of day in the seller's zone."""
    return f"{instant.astimezone(ZONE):%H:%M}"


def day(date: date) -> str:
    """Write a date."""
    return f"{date:%-d %b %Y}"


def percent(value: Decimal) -> str:
    """Write a rate without needless zeros."""
    return f"{value.normalize():f}"


def taxes(taxed: Iterable[Any]) -> str:
    """Write the components of a rule."""
    return " + ".join(f"{item.name} {percent(item.percent)} %" for item in taxed)


def buyers(rule: TaxRule) -> str:
    """Say who a rule applies to."""
    return _BUYERS[rule.customer] + _PLACES[rule.seller] + _PROOFS[rule.tax_id]


def place(code: str) -> str:
    """Name a country, a territory of one, or where tax rules apply besides."""
    names = {**dict(COUNTRIES), "EU": "European Union", "*": "Everywhere"}
    return names.get(code) or f"{names.get(code[:2], code[:2])} ({code})"


def mail_head(file: Path) -> dict[str, Any]:
    """Read what a list of mails shows of one."""
    head = BytesHeaderParser(policy=default).parsebytes(file.read_bytes())
    return {"subject": head["Subject"], "to": head["To"], "at": head["Date"].datetime}


def happened(item: Transaction) -> str:
    """Name a line of the history."""
    if item.kind in DESCRIBED and item.description:
        return item.description
    if item.kind == "clawback" and item.amount.units > 0:
        return "Bonus given back"
    return KINDS.get(item.kind, item.kind)


def document_of(item: Transaction) -> str:
    """Name the document that a line of the history leads to."""
    return DOCUMENTS["invoice" if item.kind in ("topup", "bonus") else "credit-note"]


def lasting(hours: int) -> str:
    """Say how long a balance lasts."""
    if hours < 1:
        return "less than an hour"
    if hours < 48:
        return f"about {hours} hour{'s' if hours > 1 else ''}"
    return f"about {hours // 24:,} days"


def register(app: Any) -> None:
    """Give the templates of an app these words."""
    filters = (
        money,
        plain_money,
        hourly,
        when,
        clock,
        day,
        percent,
        lasting,
        taxes,
        buyers,
        place,
        happened,
        document_of,
    )
    app.jinja_env.filters.update({function.__name__: function for function in filters})
    words = {"KINDS": KINDS, "STATES": STATES, "REFUNDS": REFUNDS, "DISPUTES": DISPUTES, "REASONS": REASONS}
    words |= {"DOCUMENTS": DOCUMENTS}
    words |= {"PROMOTIONS": PROMOTIONS, "REDEMPTIONS": REDEMPTIONS, "VOUCHERS": VOUCHERS}
    words |= {"IDENTITIES": IDENTITIES, "CASES": CASES, "ASKED_FOR": ASKED_FOR, "HELD": HELD}
    words |= {"TAX_ID_STATES": TAX_ID_STATES, "TREATMENTS": TREATMENTS, "CORRECTIONS": CORRECTIONS}
    app.jinja_env.globals.update(words, COUNTRIES=COUNTRIES, TRANSFER=TRANSFER.name, demo_mail=mail_head)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
