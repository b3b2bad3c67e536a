"""Bank transfer: the customer pays into our account, an operator confirms what arrived; no network at all.

The customer is told where to pay and with which reference. The reference is
made from the top-up's id, so the same top-up always has the same one and
nothing need be stored to find it; it is a creditor reference of ISO 11649,
whose check digits many banks' own forms verify.

>>> reference = reference_of("top_01m82v7m000000000000000000")
>>> reference, in_fours(reference)
('RF68XMY3K1GHH6GJ', 'RF68 XMY3 K1GH H6GJ')
>>> read_reference("rf68-xmy3-klgh h6gj") == reference
True

Sources: ISO 11649 (creditor reference: ``RF``, two check digits, up to 21
characters) and ISO 13616 (IBAN), which both use MOD 97-10 of ISO/IEC 7064:
the first four characters moved to the end, letters as 10 to 35, the number
leaves 1; https://www.crockford.com/base32.html (letters that are not mistaken
for digits).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import attrs
from attrs import field, frozen

from ..core.errors import ConfigurationError, GatewayError, InvalidRequest, WebhookRejected
from ..core.hashing import fingerprint
from ..core.ids import check_text
from ..core.instants import check_instant
from ..core.money import MINOR_DIGITS, Money, require_whole_minor
from ..core.references import same_line
from ..ports import (
    Capabilities,
    Checkout,
    CheckoutRequest,
    Clock,
    CurrencyLimits,
    GatewayEvent,
    Health,
    Mode,
    PaymentRef,
    PaymentSnapshot,
)
from .basic import BasicGateway
from .credentials import check_name
from .discreet import discreet
from .limits import check_amount

MAX_EVIDENCE: Final = 191

_LONGEST_MEMORY_S: Final = 100 * 365 * 86_400  # a reference follows from the top-up: nothing forgets it
_PAY_WITHIN_S: Final = 14 * 86_400  # longer than a bank takes, weekends and holidays included
_LARGEST_MINOR: Final = 99_999_999_999  # eleven digits, the most that a credit transfer carries
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SYMBOLS: Final = 12  # sixty bits: of a million references, two are the same once in two million books
_MISREAD: Final = str.maketrans("OIL", "011")
_BLANKS: Final = re.compile(r"[\s\-.]+")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?", re.ASCII)
_REFERENCE = re.compile(rf"RF[0-9]{{2}}[{_ALPHABET}]{{{_SYMBOLS}}}", re.ASCII)


def leaves_one(written: str) -> bool:
    """Tell whether an IBAN or a creditor reference, without blanks, has the right check digits.

    >>> leaves_one("DE89370400440532013000"), leaves_one("DE88370400440532013000")
    (True, False)
    """
    return _remainder(written) == 1


def reference_of(topup_id: str) -> str:
    """Make the payment reference of a top-up: sixteen characters without blanks."""
    number = int.from_bytes(hashlib.blake2b(topup_id.encode(), digest_size=8).digest(), "big")
    symbols = "".join(_ALPHABET[number >> 5 * place & 31] for place in range(_SYMBOLS))
    return f"RF{98 - _remainder('RF00' + symbols):02}{symbols}"


def read_reference(written: str) -> str:
    """Read a reference as a customer or a bank may have written it.

    Raises:
        InvalidRequest: It is none of ours, or mistyped.
    """
    typed = check_text(written, field="reference", longest=MAX_EVIDENCE)
    bare = _BLANKS.sub("", typed).upper()
    reference = bare[:4] + bare[4:].translate(_MISREAD)
    if not _REFERENCE.fullmatch(reference) or not leaves_one(reference):
        raise InvalidRequest("This is no payment reference, or it is mistyped.", field="reference")
    return reference


def in_fours(written: str) -> str:
    """Write an IBAN or a reference in groups of four, as people read them."""
    return " ".join(written[start : start + 4] for start in range(0, len(written), 4))


def _remainder(written: str) -> int:
    return int("".join(str(int(symbol, 36)) for symbol in written[4:] + written[:4])) % 97


def _account_number(iban: str) -> str:
    bare = _BLANKS.sub("", iban).upper() if isinstance(iban, str) else ""
    if not _IBAN.fullmatch(bare) or not leaves_one(bare):
        raise ConfigurationError("iban of BankTransferGateway is no IBAN, or it is mistyped.")
    return bare


def _check_holder(instance: object, attribute: object, value: str) -> None:
    try:
        check_text(value, field="account_holder", longest=140, empty=False)
    except InvalidRequest as wrong:
        raise ConfigurationError(f"BankTransferGateway: {wrong.message}") from None


def _check_bic(instance: object, attribute: object, value: object) -> None:
    if value != "" and (not isinstance(value, str) or not _BIC.fullmatch(value)):
        raise ConfigurationError("bic of BankTransferGateway has 8 or 11 letters and digits, or is left out.")


def _check_operator(instance: object, attribute: object, value: object) -> None:
    if value != "operator":
        raise ConfigurationError("confirmed_by of BankTransferGateway is 'operator'.")


def _codes(currencies: Sequence[str]) -> tuple[str, ...]:
    listed = () if isinstance(currencies, str) else tuple(currencies)
    if not listed or not all(isinstance(code, str) and code in MINOR_DIGITS for code in listed):
        raise ConfigurationError("currencies of BankTransferGateway are codes of ISO 4217, at least one.")
    return listed


def _several(value: Money | Sequence[Money]) -> tuple[Money, ...]:
    return (value,) if isinstance(value, Money) else tuple(value)


@discreet
@frozen(kw_only=True)
class BankTransferGateway(BasicGateway):
    """Takes payments by bank transfer, confirmed by an operator with the line of a bank statement.

    Attributes:
        confirmed_by: Who says that money arrived; an operator is the only way yet.
        account_holder: Whose account, as the bank writes it.
        iban: The account.
        bic: The bank, for customers whose own bank asks for it.
        name: Name in URLs, rows and quotes.
        label: What customers choose.
        currencies: What the account takes.
        minimum: Smallest total, for some currencies; one minor unit for others.
        maximum: Largest total, for some currencies.
        mode: Set by `bind`.
    """

    confirmed_by: Literal["operator"] = field(default="operator", validator=_check_operator)
    account_holder: str = field(validator=_check_holder)
    iban: str = field(converter=_account_number)
    bic: str = field(default="", validator=_check_bic)
    name: str = field(default="bank-transfer", validator=check_name)
    label: str = "Bank transfer"
    currencies: tuple[str, ...] = field(default=("EUR",), converter=_codes)
    minimum: tuple[Money, ...] = field(default=(), converter=_several)
    maximum: tuple[Money, ...] = field(default=(), converter=_several)
    mode: Mode | None = field(default=None, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        for currency in self.currencies:
            limits = self._limits(currency)
            if not 0 < limits.minimum.units <= limits.maximum.units or _is_fine(limits):
                raise ConfigurationError(f"BankTransferGateway takes no total of {currency} with these limits.")
        if {limit.currency for limit in (*self.minimum, *self.maximum)} - set(self.currencies):
            raise ConfigurationError(
                "minimum or maximum of BankTransferGateway is of a currency that it does not take."
            )

    @property
    def account(self) -> None:
        """No payment shows an account: an operator looked at it."""
        return None

    def bind(self, mode: Mode, clock: Clock) -> BankTransferGateway:
        """Give this gateway for one mode, test or live: an account number is of neither.

        Raises:
            ConfigurationError: There is no such mode.
        """
        if mode not in {"test", "live"}:
            raise ConfigurationError("mode is 'test' or 'live'.")
        return attrs.evolve(self, mode=mode)

    def capabilities(self) -> Capabilities:
        """Say what the gateway can do: tell where to pay, and wait."""
        return Capabilities(
            currencies={currency: self._limits(currency) for currency in self.currencies},
            interaction="instructions",
            create_key_valid_s=_LONGEST_MEMORY_S,
            pay_within_s=_PAY_WITHIN_S,
            asynchronous=True,
            reports_mode=False,
            signed_timestamp=False,
        )

    def check_credentials(self) -> Health:
        """Say that there is nothing to ask."""
        self._bound()
        return Health(ok=True, detail="No network: an operator confirms what arrived.")

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Tell where to pay; the same top-up has the same reference for ever.

        Raises:
            GatewayError: The currency or the amount is not taken.
        """
        self._bound()
        check_amount(request.amount, self.capabilities().currencies)
        reference = reference_of(request.topup_id)
        instructions = {
            "Account holder": self.account_holder,
            "IBAN": in_fours(self.iban),
            "BIC": self.bic,
            "Amount": str(request.amount),
            "Reference": in_fours(reference),
        }
        shown = {label: text for label, text in instructions.items() if text}
        return Checkout(checkout_id=reference, instructions=shown)

    def fetch_payment(self, ref: PaymentRef) -> PaymentSnapshot:
        """Say that the payment is open: what arrived, only an operator can tell.

        Raises:
            GatewayError: The reference is not that of the top-up.
        """
        return self._snapshot(ref)

    def cancel(self, ref: PaymentRef) -> PaymentSnapshot:
        """Say that the payment is not expected any more; money that arrives all the same can still be confirmed.

        Raises:
            GatewayError: The reference is not that of the top-up.
        """
        return attrs.evolve(self._snapshot(ref), state="canceled")

    def confirmed(self, ref: PaymentRef, *, received: Money, evidence: str, at: datetime) -> PaymentSnapshot:
        """Give the payment that an operator confirmed.

        Its id follows from ``evidence`` alone, so that one line of a bank
        statement pays one top-up, however its blanks and capitals were typed.

        Raises:
            GatewayError: The reference is not that of the top-up.
            InvalidAmount: ``received`` is not money in whole minor units above zero.
            InvalidRequest: ``evidence`` is empty, too long or unprintable, or ``at`` names no instant.
        """
        return attrs.evolve(
            self._snapshot(ref),
            state="captured",
            payment_id=f"bank_{fingerprint(_same_line(evidence))}",
            captured=require_whole_minor(received, field="received"),
            method="bank_transfer",
            created_at=check_instant(at, field="at"),
        )

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> Sequence[GatewayEvent]:
        """Refuse: nobody sends any.

        Raises:
            WebhookRejected: Always.
        """
        raise WebhookRejected("Bank transfers have no webhooks.")

    def _bound(self) -> None:
        if self.mode is None:
            raise ConfigurationError(
                "BankTransferGateway is given to Prepaid, or bound with bind(mode, clock), before use."
            )

    def _snapshot(self, ref: PaymentRef) -> PaymentSnapshot:
        self._bound()
        if ref.checkout_id != reference_of(ref.topup_id):
            raise GatewayError("The reference is not that of the top-up.", code="unknown-checkout")
        return PaymentSnapshot(checkout_id=ref.checkout_id, topup_id=ref.topup_id, state="open")

    def _limits(self, currency: str) -> CurrencyLimits:
        step = Money.from_minor(1, currency)
        most = Money.from_minor(_LARGEST_MINOR, currency)
        return CurrencyLimits(
            minimum=next((least for least in self.minimum if least.currency == currency), step),
            maximum=next((limit for limit in self.maximum if limit.currency == currency), most),
            step=step,
        )


def _is_fine(limits: CurrencyLimits) -> bool:
    return bool(limits.minimum.units % limits.step.units or limits.maximum.units % limits.step.units)


def _same_line(evidence: str) -> str:
    return same_line(check_text(evidence, field="evidence", longest=MAX_EVIDENCE, empty=False))
