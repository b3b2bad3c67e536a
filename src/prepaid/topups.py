"""Top-ups from the customer's side: offer, quote, start, confirm, cancel.

A quote is a value and touches neither network nor table, but that a code which is
not known is counted as tried in vain. Starting commits the
intent with its key before the gateway is called, so that a crash or a timeout
leaves a top-up that the same key resumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve, frozen

from . import identity, objections, offering, promotions, settlement, wallets
from .config import Context, object_id, page_limit
from .core.codes import is_no_code
from .core.errors import (
    AmountOutOfRange,
    CustomerFrozen,
    GatewayError,
    GatewayUnavailable,
    KeyConflict,
    NotFound,
    PromotionRefused,
    QuoteChanged,
    QuoteExpired,
    TaxProfileInvalid,
    TaxUndecided,
    WrongState,
)
from .core.hashing import key_hash
from .core.ids import check_key
from .core.instants import local_day
from .core.keys import order
from .core.limits import LIMITS_SETTING, CurrencyTopupLimits, limits_from_record
from .core.money import Money, require_whole_minor
from .core.pages import Page, make_cursor, read_cursor
from .core.parties import Customer
from .core.quotes import Quote, QuoteClaim, claim_of
from .core.states import PAID_STATES
from .core.taxation import discounted
from .core.topups import NO_GATEWAY, Topup
from .core.urls import page_url
from .core.usage import Balance
from .offering import GatewayOffer
from .ports import CheckoutRequest, PaymentRef, ReturnHint
from .store import Duplicate, Tx, allowances, operations, topups
from .store import customers as customer_rows
from .store.allowances import Allowance
from .store.topups import StoredTopup
from .tax import deciding


def offers(context: Context, customer: Customer, amount: Money) -> tuple[GatewayOffer, ...]:
    """Name the gateways that can take an amount with its tax, in the operator's order.

    Raises:
        InvalidAmount: Not positive whole minor units.
    """
    price = _price(context, amount)
    try:
        total = deciding.taxed(context, customer, price).decision.gross
    except (TaxProfileInvalid, TaxUndecided):
        total = price  # what can be offered is shown before the tax is known
    return offering.offers(context, customer, total)


def quote(
    context: Context, customer: Customer, amount: Money, *, gateway: str | None = None, code: str | None = None
) -> Quote:
    """Price a top-up: what is credited, what tax applies and why, what will be paid.

    Args:
        context: The billing system.
        customer: Who buys.
        amount: What they typed, in whole minor units.
        gateway: Where they would pay; the first that can take it if None.
        code: Promotion code, or None.

    Raises:
        InvalidAmount: Not positive whole minor units.
        AmountOutOfRange: The total does not fit what the gateway takes.
        InvalidRequest: Unknown gateway or a currency not in use.
        TaxProfileInvalid: The tax cannot be decided without a tax profile.
        TaxUndecided: The seller's rules do not say how to tax it.
        PromotionRefused: The code does not apply.
        TooManyAttempts: Too many codes were tried in vain.
        TopupRefused: Plugins object to it.
    """
    priced = _priced(context, customer, amount, gateway=gateway, code=code)[0]
    opposed = objections.to_topup(context, customer.id, priced, moment="quote")
    if opposed is not None:
        raise opposed
    return evolve(priced, identity=identity.of_quote(context, customer.id, priced.credit, gateway=priced.gateway))


def _priced(
    context: Context,
    customer: Customer,
    amount: Money,
    *,
    gateway: str | None,
    code: str | None,
    only_fresh: bool = False,
) -> tuple[Quote, int | None]:
    price = _price(context, amount)
    taxed = deciding.taxed(context, customer, price, only_fresh=only_fresh)
    whole = taxed.decision
    if whole.net.units <= 0:
        raise AmountOutOfRange("Nothing would be left of this amount after tax.", field="amount")
    offer = _offer(context, customer, code, gateway=gateway, typed=price, credit=whole.net)
    zero = Money.zero(price.currency)
    discount = zero if offer is None else offer.adjustment.discount
    bonus = zero if offer is None else offer.adjustment.bonus
    tax = discounted(whole, discount, rounding=context.seller.rounding)
    chosen = _gateway_for(context, customer, gateway, tax.gross, offer=offer)
    moved = () if offer is None else offer.moved
    balance = _with_room(context, customer, price, credit=whole.net, besides=moved)
    priced = Quote(
        amount=price,
        gateway=chosen,
        code=None if offer is None else offer.rule.code,
        credit=whole.net,
        bonus=bonus,
        discount=discount,
        net=tax.net,
        tax=tax,
        total=tax.gross,
        balance_after=balance.settled + whole.net + bonus,
        expires_at=context.now() + context.quote_valid_for,
    )
    return priced, taxed.profile_version


def _offer(
    context: Context, customer: Customer, code: object, *, gateway: str | None, typed: Money, credit: Money
) -> promotions.Offer | None:
    if is_no_code(code):
        return None
    return promotions.look_up(context, customer, code, gateway=gateway, typed=typed, credit=credit)


def _gateway_for(
    context: Context, customer: Customer, name: str | None, total: Money, *, offer: promotions.Offer | None
) -> str:
    """Name the gateway for a total; none is needed where a discount takes all of the price."""
    if offer is not None and not total:
        if name is not None:
            context.gateway(name)
        return NO_GATEWAY
    among = offer.rule.gateways if offer is not None else ()
    return offering.choose(context, customer, name, total, among=among).name


def _with_room(
    context: Context, customer: Customer, price: Money, *, credit: Money, besides: tuple[str, ...] = ()
) -> Balance:
    """Give the balance that a top-up would raise, if the operator's limits leave room for it.

    Open top-ups that are given up for it are not counted.

    Raises:
        AmountOutOfRange: They do not.
    """
    currency, today = price.currency, local_day(context.now(), context.seller.timezone).isoformat()

    def read(tx: Tx) -> tuple[CurrencyTopupLimits, Balance, Allowance, Money]:
        limits = limits_from_record(operations.read_setting(tx, LIMITS_SETTING)).of(currency)
        balance = wallets.balance(tx, customer.id, currency, now=context.now())
        freed = topups.pending_credit(tx, besides, currency) if besides else Money.zero(currency)
        return limits, balance, allowances.find(tx, customer.id, currency), freed

    limits, balance, taken, freed = context.database.read(read)
    limits.check_amount(price)
    limits.check_room(
        credit,
        balance=balance.settled,
        pending=Money(taken.pending, currency) - freed,
        of_day=Money(taken.on(today), currency) - freed,
    )
    return balance


def _price(context: Context, amount: object) -> Money:
    price = require_whole_minor(amount)
    context.currency_or_default(price.currency)
    return price


def start(
    context: Context, customer: Customer, quoted: Quote | str, *, return_url: str, cancel_url: str, key: str
) -> Topup:
    """Begin a top-up and give it with where to pay; the same key resumes it.

    Args:
        context: The billing system.
        customer: Who buys.
        quoted: The quote the customer saw, or its token; it is priced anew.
        return_url: Page to come back to; ``topup=<id>`` is appended.
        cancel_url: Page to come back to without paying; likewise.
        key: The caller's key of this order.

    Raises:
        CustomerFrozen: The customer is frozen.
        IdentityRequired: They have to be verified first; ``status`` says why. Nothing was kept.
        QuoteExpired: The quote is too old.
        QuoteChanged: Any figure differs from what was shown; carries the new quote.
        KeyConflict: The key started something else.
        GatewayUnavailable: The gateway did not answer; the same key resumes.
        GatewayError: The gateway refused; the top-up has failed.
        InvalidRequest: A damaged quote, a URL or key of the wrong form.
        RequestRefused: Anything `quote` refuses.
    """
    claim = claim_of(quoted)
    check_key(key)
    hashed = key_hash(context.database.book_id, "topup", customer.id, key)
    code = "" if is_no_code(claim.code) else promotions.identity_of(claim.code)
    print_of = order(str(claim.amount), claim.gateway, code, shown=sorted(claim.shown.items()))
    known = context.database.read(lambda tx: topups.find_by_key(tx, hashed))
    if known is None:
        fresh, version = _reprice(context, customer, claim)
        urls = (page_url(return_url, field="return_url"), page_url(cancel_url, field="cancel_url"))
        known = _require_unopposed(context, customer, fresh, hashed=hashed)
    if known is None:
        intent = _Intent(
            quote=fresh,
            profile_version=version,
            urls=urls,
            hashed=hashed,
            print_of=print_of,
            code=code,
            asked=identity.asked_of_start(context, customer.id, fresh.credit, gateway=fresh.gateway),
        )
        known = _keep_in_place_of_earlier(context, customer, intent)
    if known.fingerprint != print_of:
        raise KeyConflict("This key started another top-up.", field="key")
    return _open(context, known)


def _reprice(context: Context, customer: Customer, claim: QuoteClaim) -> tuple[Quote, int | None]:
    if context.now() > claim.expires_at:
        raise QuoteExpired("This offer is too old; look at the new one.", field="quote")
    # A quote of nothing names no gateway; should there be something to pay by now, any will do for the new one.
    gateway = None if claim.gateway == NO_GATEWAY else claim.gateway
    fresh, version = _priced(context, customer, claim.amount, gateway=gateway, code=claim.code)
    if deciding.confirm(context, customer, fresh.tax):
        fresh, version = _priced(context, customer, claim.amount, gateway=gateway, code=claim.code, only_fresh=True)
    if fresh.shown() != claim.shown or fresh.gateway != claim.gateway:
        raise QuoteChanged("What you would pay has changed; look at the new summary.", quote=fresh)
    return fresh, version


def _require_unopposed(context: Context, customer: Customer, fresh: Quote, *, hashed: str) -> StoredTopup | None:
    """Ask plugins about a start; what its key started while they were asked is given whatever they object.

    Raises:
        TopupRefused: They object.
    """
    opposed = objections.to_topup(context, customer.id, fresh, moment="start")
    if opposed is None:
        return None
    known = context.database.read(lambda tx: topups.find_by_key(tx, hashed))
    if known is None:
        raise opposed
    return known


@frozen(kw_only=True)
class _Intent:
    """What is to be kept of a start before anybody is asked.

    Attributes:
        quote: The fresh quote.
        profile_version: The tax profile that decided its tax, or None.
        urls: Where the browser goes after paying, and otherwise.
        hashed: Hash of the caller's key.
        print_of: What the key stands for.
        code: Identity of the promotion code, or empty.
        asked: Why a plugin wants the customer verified, or empty.
    """

    quote: Quote
    profile_version: int | None
    urls: tuple[str, str]
    hashed: str
    print_of: str
    code: str
    asked: str

    @property
    def wish(self) -> promotions.Wish:
        """The promotion to reserve."""
        quote = self.quote
        gateway = None if quote.gateway == NO_GATEWAY else quote.gateway
        return promotions.Wish(code=self.code, gateway=gateway, typed=quote.amount, credit=quote.credit)


def _keep_in_place_of_earlier(context: Context, customer: Customer, intent: _Intent) -> StoredTopup:
    """Keep the intent; an earlier checkout that has the code reserved is given up first.

    Raises:
        PromotionRefused: The code does not apply, or the earlier checkout may still be paid.
    """
    if intent.code:  # nothing is given up for a start that would be refused
        context.database.read(lambda tx: _require_allowed(tx, context, customer, intent))
    _give_up_earlier(context, customer, intent.code)
    try:
        return _keep_intent(context, customer, intent)
    except PromotionRefused as refused:
        if refused.reason != "in-use":
            raise
    # Another start of the customer had it reserved just before: that one is the earlier now.
    _give_up_earlier(context, customer, intent.code)
    return _keep_intent(context, customer, intent)


def _require_allowed(tx: Tx, context: Context, customer: Customer, intent: _Intent) -> None:
    if customer_rows.frozen_at(tx, customer.id) is not None:
        raise CustomerFrozen("The customer is frozen.", field="customer")
    identity.require(tx, context, customer.id, intent.quote.credit, asked=intent.asked)


def _give_up_earlier(context: Context, customer: Customer, code: str) -> None:
    for topup_id in promotions.movable(context, customer, code) if code else ():
        # Re-reads first: what was paid is credited. What cannot be asked is in use, unless its reservation has lapsed.
        with suppress(GatewayError):
            settlement.settle(context, topup_id, close="cancel")


def _with_topup(url: str, topup_id: str) -> str:
    parts = urlsplit(url)
    # The host's own query stays byte for byte: it may be signed, or in another encoding than ours.
    query = f"{parts.query}&topup={topup_id}" if parts.query else f"topup={topup_id}"
    return urlunsplit(parts._replace(query=query))


def _keep_intent(context: Context, customer: Customer, intent: _Intent) -> StoredTopup:
    fresh, topup = intent.quote, _topup_of(context, customer, intent.quote)
    today = local_day(topup.created_at, context.seller.timezone).isoformat()
    request = _request_of(context, customer, topup, urls=intent.urls)

    def work(tx: Tx) -> StoredTopup | None:
        customer_rows.hold(tx, customer.id)
        _require_allowed(tx, context, customer, intent)
        limits = limits_from_record(operations.read_setting(tx, LIMITS_SETTING)).of(fresh.credit.currency)
        if not allowances.reserve(tx, customer.id, fresh.credit, day=today, limits=limits):
            return None
        prints = {"key_hash": intent.hashed, "fingerprint": intent.print_of}
        topups.add(tx, topup, request, profile_version=intent.profile_version, **prints)
        if intent.code:
            promotions.reserve(tx, context, customer, intent.wish, topup=topup)
        return topups.find(tx, topup.id)

    try:
        kept = context.database.write(work)
    except Duplicate:  # the same key, or the customer's first top-ups, at the same moment
        known = context.database.read(lambda tx: topups.find_by_key(tx, intent.hashed))
        kept = known or context.database.write(work)
    if kept is None:
        _with_room(context, customer, fresh.amount, credit=fresh.credit)
        raise AmountOutOfRange("Other top-ups left no room for this one; try again.", field="amount")
    return kept


def _topup_of(context: Context, customer: Customer, fresh: Quote) -> Topup:
    now = context.now()
    return Topup(
        id=context.ids.new("top"),
        customer=customer.id,
        state="starting",
        gateway=fresh.gateway,
        credit=fresh.credit,
        bonus=fresh.bonus,
        discount=fresh.discount,
        net=fresh.net,
        total=fresh.total,
        tax=fresh.tax,
        created_at=now,
        expires_at=now + _valid_for(context, fresh.gateway),
    )


def _request_of(context: Context, customer: Customer, topup: Topup, *, urls: tuple[str, str]) -> CheckoutRequest:
    return CheckoutRequest(
        topup_id=topup.id,
        amount=topup.total,
        description=f"Account credit {topup.credit} - {context.seller.name}",
        return_url=_with_topup(urls[0], topup.id),
        cancel_url=_with_topup(urls[1], topup.id),
        customer_id=customer.id,
        customer_email=customer.email,
        locale=customer.locale,
        expires_at=topup.expires_at,
        key=f"prepaid:{context.mode}:{topup.id}:checkout",
    )


def _valid_for(context: Context, gateway: str) -> timedelta:
    if gateway == NO_GATEWAY:
        return context.checkout_valid_for
    seconds = context.gateway(gateway).capabilities().pay_within_s
    return context.checkout_valid_for if seconds is None else timedelta(seconds=seconds)


def _open(context: Context, stored: StoredTopup) -> Topup:
    if stored.topup.gateway == NO_GATEWAY:
        return settlement.settle(context, stored.topup.id).topup
    if stored.checkout_id is not None or stored.topup.state != "starting":
        return stored.topup
    gateway = context.gateway(stored.topup.gateway)
    try:
        return settlement.open_checkout(context, gateway, stored).topup
    except GatewayError as error:
        if error.retryable or error.outcome_unknown:
            raise GatewayUnavailable(
                "The payment page cannot be opened now; try again.",
                topup_id=stored.topup.id,
                outcome_unknown=error.outcome_unknown,
            ) from error
        raise


def get(context: Context, customer: Customer, topup_id: object) -> Topup:
    """Read one of the customer's top-ups.

    Raises:
        NotFound: Unknown, or another customer's.
    """
    wanted = object_id(topup_id, field="topup")
    stored = context.database.read(lambda tx: topups.find(tx, wanted))
    if stored is None or stored.topup.customer != customer.id:
        raise NotFound("There is no such topup.", field="topup")
    return stored.topup


def confirm(context: Context, customer: Customer, topup_id: object) -> Topup:
    """Re-read the payment and settle; a gateway that is down leaves the top-up as it is.

    Raises:
        NotFound: Unknown, or another customer's.
    """
    return settlement.try_settle(context, get(context, customer, topup_id).id).topup


def returned(context: Context, params: Mapping[str, str]) -> Topup:
    """Settle the top-up that a return page was called for; what was sent is only a reason to look.

    Parameters that claim to be signed by the gateway and are not are recorded,
    and nobody is asked because of them.

    Raises:
        NotFound: No top-up is named, or none of that id exists.
    """
    stored = settlement.load(context, object_id(params.get("topup"), field="topup"))
    hint = _hint(context, stored, params)
    if hint.genuine is False:
        settlement.refuse(context, stored.topup, "return-not-genuine")
        return settlement.load(context, stored.topup.id).topup
    return settlement.try_settle(context, stored.topup.id, payment_id=hint.payment_id).topup


def _hint(context: Context, stored: StoredTopup, params: Mapping[str, str]) -> ReturnHint:
    gateway = context.gateways.get(stored.topup.gateway)
    if gateway is None or stored.checkout_id is None:
        return ReturnHint()
    sent = {str(name): value for name, value in params.items() if isinstance(value, str)}
    return gateway.parse_return(PaymentRef(topup_id=stored.topup.id, checkout_id=stored.checkout_id), sent)


def cancel(context: Context, customer: Customer, topup_id: object) -> Topup:
    """Give a top-up up: what was paid meanwhile is credited, the rest is made unpayable.

    Raises:
        NotFound: Unknown, or another customer's.
        WrongState: It is paid.
        GatewayError: The gateway cannot be asked; nothing has changed.
    """
    topup = get(context, customer, topup_id)
    if topup.state in PAID_STATES:
        raise WrongState("This top-up is paid.", field="topup", state=topup.state)
    settled = settlement.settle(context, topup.id, close="cancel")
    return settled.topup


def list_of(context: Context, customer: Customer, *, cursor: str | None, limit: int) -> Page[Topup]:
    """List the customer's top-ups, newest first.

    Raises:
        InvalidRequest: A cursor of another list, or a limit out of range.
    """
    size, before = page_limit(limit), read_cursor("t", cursor)
    rows = context.database.read(lambda tx: topups.of_customer(tx, customer.id, before=before, limit=size + 1))
    return Page(tuple(rows[:size]), make_cursor("t", rows[size - 1].id) if len(rows) > size else None)
