"""How a sale is taxed: one pure function for quote, start and the operator's try-out.

It finds out where the customer is, what their tax id is worth, which rule decides, and says all of that in the
decision, with a sentence a customer can read. A book without rules does not collect tax and needs no profile; once a
rule exists, a customer without a country cannot be taxed and is asked for one.

Sources: Directive 2006/112/EC Art. 44, 45, 58 (place of supply), 196 (reverse charge); Implementing Regulation (EU)
282/2011 Art. 18 (a business shows its status by a VAT number that was confirmed), 24b and 24f (evidence of place).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

from attrs import evolve, field, frozen

from ..core.errors import TaxProfileInvalid, TaxUndecided
from ..core.money import Money
from ..core.parties import Address, Evidence, Seller, TaxProfile
from ..core.tax_amounts import add_tax, contained_tax
from ..core.tax_ids import TaxId, TaxIdState
from ..core.tax_rules import TaxComponent, TaxRule
from ..core.taxation import TaxDecision, tax_lines
from . import wording
from .rules import Case, RuleSet
from .territories import BY_ID, Location, locate

EVIDENCE_FOR: Final = timedelta(days=180)
"""How long a piece of evidence tells where a customer is."""

RECENT: Final = timedelta(days=30)
"""How long ago a register may have found a tax id valid for `accept_recent`."""


@frozen(kw_only=True)
class KnownTaxId:
    """What is known of a customer's tax id.

    Attributes:
        state: See `prepaid.core.tax_ids.TaxIdState`.
        tax_id: The number, or None if there is none of the right form.
        checked_at: When a register last said something of it, or None.
        valid_at: When a register last found it valid, or None.
        consultation: Number of the register's answer, or empty.
        approved_by: The operator who vouched for it, or empty.
    """

    state: TaxIdState = "none"
    tax_id: TaxId | None = None
    checked_at: datetime | None = None
    valid_at: datetime | None = None
    consultation: str = field(default="", repr=False)
    approved_by: str = ""


@frozen(kw_only=True)
class Exemption:
    """An operator's word that a customer is exempt.

    Attributes:
        reason: Why, as documents print it.
        code: Code of the reason, such as ``"VATEX-EU-151"``, or empty.
        approved_by: The operator.
    """

    reason: str
    code: str = ""
    approved_by: str


@frozen(kw_only=True)
class Sale:
    """What is to be taxed, and all that is known of it.

    Attributes:
        price: In whole minor units: without tax, or containing it if the
            seller's prices are inclusive.
        at: When the tax is decided.
        day: Tax point, in the seller's zone.
        seller: Who sells.
        profile: The customer's tax profile, or None.
        tax_id: What is known of their tax id.
        exemption: Why they are exempt, or None.
        evidence: What else tells where they are, the newest of each kind.
    """

    price: Money
    at: datetime
    day: date
    seller: Seller
    profile: TaxProfile | None
    tax_id: KnownTaxId = KnownTaxId()
    exemption: Exemption | None = None
    evidence: tuple[Evidence, ...] = ()


@frozen(kw_only=True)
class _Facts:
    """What a decision rests on beside its rule.

    Attributes:
        location: Where the customer is taken to be.
        evidence: What tells so.
        counts: Their tax id counts as valid.
        policy: The outage policy that said so, or said it does not; or empty.
        warnings: What an operator should look at.
        contested: Other countries that evidence names, where more of it is asked for than there is.
    """

    location: Location
    evidence: tuple[str, ...]
    contested: tuple[str, ...] = ()
    counts: bool = False
    policy: str = ""
    warnings: tuple[str, ...] = ()

    def warned(self, *warnings: str) -> _Facts:
        return evolve(self, warnings=(*self.warnings, *warnings))


def decide(sale: Sale, rules: RuleSet) -> TaxDecision:
    """Decide one sale.

    Raises:
        TaxProfileInvalid: Rules exist, and the customer has no country; or the seller waits for the tax id's register.
        TaxUndecided: The customer's place has rules, and none for the day.
    """
    if not rules:
        return _not_collecting(sale, wording.NO_RULES)
    if sale.profile is None:
        raise TaxProfileInvalid("Tell us your country first: it decides the tax.", field="country")
    facts = _with_state(sale, rules, _placed(sale, sale.profile))
    decision = _decide_at(sale, sale.profile, rules, facts)
    for country in facts.contested if not decision.total else ():
        # Of places that the evidence names, nobody gets to choose one without tax.
        try:
            elsewhere = _decide_at(sale, sale.profile, rules, _moved(sale, facts, country))
        except TaxUndecided:
            continue
        if elsewhere.total:
            return elsewhere
    return decision


def _decide_at(sale: Sale, profile: TaxProfile, rules: RuleSet, facts: _Facts) -> TaxDecision:
    """Decide a sale to a customer in a place."""
    case = Case(
        location=facts.location,
        day=sale.day,
        customer=profile.kind,
        has_valid_tax_id=facts.counts,
        seller=sale.seller,
    )
    choice, place = rules.choose(case), facts.location.place
    matters = _matters(sale, case, rules, choice.rule)
    if matters and facts.policy == "hold":
        raise TaxProfileInvalid(
            "Your tax id is being verified and its register does not answer now; try again later.",
            field="tax_id",
            state=sale.tax_id.state,
        )
    facts = facts if matters else evolve(facts, policy="")
    if choice.rule is None:
        missing = " or ".join(choice.missing)
        why = f"No registration ({missing}) for {place}." if choice.is_named else f"No tax rule names {place}."
        return _not_collecting(sale, wording.not_collected(place), facts.warned(why), matters=matters)
    if choice.rule.treatment == "not_collecting":
        facts = facts.warned(f"A rule says to collect nothing in {place}.")
    return _by_rule(sale, choice.rule, facts, matters=matters)


def _matters(sale: Sale, case: Case, rules: RuleSet, chosen: TaxRule | None) -> bool:
    """Tell whether another answer on the tax id would lead to other taxes."""
    if sale.tax_id.state == "none" or sale.exemption is not None:  # exempt from tax, or without tax: none either way
        return False
    try:
        other = rules.choose(evolve(case, has_valid_tax_id=not case.has_valid_tax_id)).rule
    except TaxUndecided:  # in another way, that is
        return True
    return _taxes(other) != _taxes(chosen)


def _taxes(rule: TaxRule | None) -> tuple[TaxComponent, ...]:
    return () if rule is None else tuple(component for component in rule.components if component.percent)


def _placed(sale: Sale, profile: TaxProfile) -> _Facts:
    """Place a customer: a proven business where it says it is, anybody else where most of the evidence says."""
    said = (f"address {profile.address.country}", *(f"{item.kind} {item.country}" for item in sale.evidence))
    at_home = _with_worth(sale, _Facts(location=_at_home(sale, profile.address), evidence=said))
    if profile.kind == "business" and at_home.counts:
        return at_home
    home = _area(at_home.location)
    areas = [_area_of(item.country, sale.day, at_home.location) for item in sale.evidence]
    counted = {home: 1 + areas.count(home)} | {area: areas.count(area) for area in areas if area not in (home, None)}
    most = max(counted, key=lambda area: counted[area])
    if counted[most] > max(counted[home], 1):
        return _moved(sale, at_home, sale.evidence[areas.index(most)].country)
    others = tuple(dict.fromkeys(item.country for item, area in zip(sale.evidence, areas, strict=True) if area != home))
    lacking = counted[home] < sale.seller.evidence_required
    doubts = _doubts(sale, at_home.location, others, lacking=lacking)
    return evolve(at_home, contested=others if lacking else ()).warned(*doubts)


def _moved(sale: Sale, facts: _Facts, country: str) -> _Facts:
    """Place a customer in a country that their address does not name."""
    elsewhere = _Facts(location=locate(Address(country=country), sale.day), evidence=facts.evidence)
    warning = f"Evidence points to {country}, the address to {facts.location.country}."
    return _with_worth(sale, elsewhere.warned(warning))


def _area_of(country: str, day: date, home: Location) -> str | None:
    """Say for what area a country speaks, or None: for an island with a code of its own, the country around it.

    Its people have cards and numbers of that country, and so have people who only say that they live there.
    """
    around = BY_ID.get(home.territory)
    if around is not None and country == around.country and country != home.area:
        return None if around.has_own_code else _area(home)
    return _area(locate(Address(country=country), day))


def _area(location: Location) -> str:
    return location.area or location.place


def _doubts(sale: Sale, home: Location, others: tuple[str, ...], *, lacking: bool) -> tuple[str, ...]:
    contrary = tuple(f"Some evidence points to {country}, the address to {home.country}." for country in others)
    if not lacking:
        return contrary
    required = sale.seller.evidence_required
    return (*contrary, f"Too little tells the place; {required} agreeing pieces of evidence are asked for.")


def _at_home(sale: Sale, address: Address) -> Location:
    """Place an address; a tax id that tells the state tells it better."""
    location, known = locate(address, sale.day), sale.tax_id.tax_id
    if known is None or not known.subdivision or known.country != location.country:
        return location
    return evolve(location, subdivision=known.subdivision)


def _with_state(sale: Sale, rules: RuleSet, facts: _Facts) -> _Facts:
    """Ask for the state and the postal code where rules depend on them.

    Raises:
        TaxProfileInvalid: One is not known, and the customer's own address can tell it.
    """
    location = facts.location
    own = sale.profile is not None and sale.profile.address.country == location.country
    at_home = location.area == _area(locate(sale.seller.address, sale.day))
    names_states = rules.names_states_of(location.area, sale.day, from_there=at_home)
    if own and names_states and not location.subdivision:
        raise TaxProfileInvalid("Tell us your state or province: it decides the tax.", field="subdivision")
    codes, state = () if location.postcode else location.codes, location.subdivision
    if own and any(rules.names_postcodes_of(code, state, sale.day) for code in codes):
        raise TaxProfileInvalid("Tell us your postal code: it decides the tax.", field="postcode")
    if names_states and not location.subdivision:
        return facts.warned(f"The state in {location.country} is not known, and rules ask for it.")
    if names_states and at_home and not sale.seller.address.subdivision:
        return facts.warned("The seller's own state is not known, and rules may ask for it.")
    return facts


_AWAITED: Final = ("pending", "unavailable", "expired")


def _with_worth(sale: Sale, facts: _Facts) -> _Facts:
    """Say what the customer's tax id is worth."""
    known, location = sale.tax_id, facts.location
    if known.state == "malformed":
        return facts.warned("The tax id is not a number of its country.")
    if known.tax_id is None or known.state in ("none", "format_only", "invalid"):
        return facts
    if known.tax_id.country not in (location.area, location.country):
        return facts.warned(f"The tax id is of {known.tax_id.country}, the customer in {location.country}.")
    if known.state not in _AWAITED:
        return evolve(facts, counts=True)
    return _under_policy(sale, known, facts)


def _under_policy(sale: Sale, known: KnownTaxId, facts: _Facts) -> _Facts:
    """Say what a tax id is worth whose register has not answered, or too long ago."""
    policy = sale.seller.outage_policy
    facts = evolve(facts, policy=policy)
    match policy:
        case "accept_recent" if known.valid_at is not None and sale.at - known.valid_at <= RECENT:
            return evolve(facts, counts=True).warned(f"The tax id was last found valid on {known.valid_at:%Y-%m-%d}.")
        case "accept_format" if known.tax_id is not None and not known.tax_id.of_person:
            return evolve(facts, counts=True).warned("The tax id is accepted by its form alone.")
        case _:
            return facts.warned("The tax id is not verified yet.")


def _by_rule(sale: Sale, rule: TaxRule, facts: _Facts, *, matters: bool) -> TaxDecision:
    shared: dict[str, Any] = {
        "jurisdiction": rule.jurisdiction_for(_area(facts.location)),
        "rule_ids": (rule.id,) if rule.id else (),
        **_grounds(sale, facts),
    }
    if rule.treatment == "standard" and sale.exemption is not None:
        return _exempted(sale, sale.exemption, shared)
    inclusive, currency = sale.seller.prices == "inclusive", sale.price.currency
    compute = contained_tax if inclusive else add_tax
    amounts = compute(sale.price.minor, rule.components, rounding=sale.seller.rounding)
    net, gross = Money.from_minor(amounts.net, currency), Money.from_minor(amounts.gross, currency)
    return TaxDecision(
        treatment=rule.treatment,
        lines=tax_lines(net, rule.components, amounts.tax, rounding=sale.seller.rounding),
        net=net,
        total=gross - net,
        gross=gross,
        category=rule.category,
        reason=rule.reason,
        note=rule.note,
        explanation=_explain(sale, rule, facts, matters=matters),
        tax_id_matters=matters,
        **shared,
    )


def _explain(sale: Sale, rule: TaxRule, facts: _Facts, *, matters: bool) -> str:
    place = facts.location.place
    if rule.treatment != "standard":
        return wording.untaxed(rule, place=place, proof=facts.policy if facts.counts and matters else None)
    inclusive = sale.seller.prices == "inclusive"
    said = wording.taxed(rule.components, place=place, jurisdiction=rule.jurisdiction, inclusive=inclusive)
    doubt = wording.unproven(sale.tax_id.state) if matters and not facts.counts else ""
    return f"{said} {doubt}".strip()


def _exempted(sale: Sale, exemption: Exemption, shared: dict[str, Any]) -> TaxDecision:
    return TaxDecision(
        treatment="exempt",
        **_without_tax(sale),
        category="E",
        reason=exemption.code,
        note=exemption.reason,
        explanation=wording.EXEMPTED,
        **{**shared, "approved_by": exemption.approved_by},
    )


def _not_collecting(sale: Sale, explanation: str, facts: _Facts | None = None, *, matters: bool = False) -> TaxDecision:
    return TaxDecision(
        treatment="not_collecting",
        **_without_tax(sale),
        category="O",
        reason="not-collecting",
        explanation=explanation,
        tax_id_matters=matters,
        **_grounds(sale, facts),
    )


def _without_tax(sale: Sale) -> dict[str, Any]:
    return {"net": sale.price, "total": Money.zero(sale.price.currency), "gross": sale.price}


def _grounds(sale: Sale, facts: _Facts | None) -> dict[str, Any]:
    known = sale.tax_id
    told: dict[str, Any] = {
        "tax_id": known.tax_id.number if known.tax_id is not None else "",
        "tax_id_country": known.tax_id.country if known.tax_id is not None else "",
        "tax_id_state": known.state,
        "checked_at": known.checked_at,
        "consultation": known.consultation,
        "approved_by": known.approved_by,
    }
    if facts is None:
        return told
    return told | {
        "place": facts.location.place,
        "evidence": facts.evidence,
        "policy": facts.policy,
        "tax_id_counted": facts.counts,
        "warnings": facts.warnings,
    }
