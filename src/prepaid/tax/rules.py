"""Which rule decides a sale: what it matches, which of several is the nearest, and when two contradict each other.

The nearest rule wins. Rules are compared by these, in this order; the first that differs decides:

1. the higher ``priority``; 2. a postal code is named; 3. a territory is named; 4. a state or province is named; 5. the
country by its own code, then the country whose tax applies there (of Monaco, France), then ``"EU"``, then ``"*"``;
6. ``tax_id`` is not ``"any"``; 7. ``customer`` is not ``"any"``; 8. ``seller`` names a subdivision, then a country,
then ``"any"``; 9. a registration is required.

So a rule for all of the EU, such as the reverse charge, goes before the rates of countries and territories by its
priority; without one, what is nearer in place is nearer.

Two rules that are equal in all of them and could both match one sale on one day are refused when the second is
added. So is a hole between two rules that match the same sales.

A rate that somebody forgot must not become another one, or zero. So it is an error, never a reason to look further
away, if a rule that would go before the one that decides has ended without a successor (retire it if that is meant), or
if rules name the country or the EU, none of them fits or has begun, and none but one for everywhere is left. What is
planned beside others changes nothing today; nor, on its own, does a rule that needs a registration the seller has not.

Sources: the order of places follows the specificity of the law they come from; EN 16931 and 2006/112/EC name none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Final

from attrs import frozen

from ..core.errors import InvalidRequest, TaxUndecided
from ..core.parties import Registration, Seller
from ..core.postcodes import PostcodePattern
from ..core.tax_rules import EU, EVERYWHERE, TaxRule
from .territories import BY_ID, TERRITORIES, Location, is_in_eu, locate

_SELLER_RANK: Final = {
    "any": 0,
    "same_country": 1,
    "other_country": 1,
    "same_subdivision": 2,
    "other_subdivision": 2,
}
_OWN, _AREA, _GROUP, _ANYWHERE = 3, 2, 1, 0

Rank = tuple[int, bool, bool, bool, int, bool, bool, int, bool]


@frozen(kw_only=True)
class Case:
    """What of a sale rules look at.

    Attributes:
        location: Where the customer is.
        day: Tax point, in the seller's zone.
        customer: ``"consumer"`` or ``"business"``.
        has_valid_tax_id: Their tax id counts as valid.
        seller: Who sells.
    """

    location: Location
    day: date
    customer: str
    has_valid_tax_id: bool
    seller: Seller

    def relations(self) -> frozenset[str]:
        """Name what the seller's place is, seen from the customer's."""
        home = locate(self.seller.address, self.day)
        mine, theirs = home.area or home.place, self.location.area or self.location.place
        if mine != theirs:
            return frozenset({"any", "other_country"})
        states = home.subdivision, self.location.subdivision
        same = states[0] == states[1] != ""
        return frozenset({"any", "same_country", "same_subdivision" if same else "other_subdivision"})


@lru_cache(maxsize=8192)
def _pattern(written: str) -> PostcodePattern:
    return PostcodePattern.of(written)


def rank(rule: TaxRule, *, closeness: int | None = None) -> Rank:
    """Give what rules are compared by; the greater one is nearer."""
    if closeness is None:
        closeness = {EU: _GROUP, EVERYWHERE: _ANYWHERE}.get(rule.country, _OWN)
    return (
        rule.priority,
        rule.postcode != "",
        rule.territory != "",
        rule.subdivision != "",
        closeness,
        rule.tax_id != "any",
        rule.customer != "any",
        _SELLER_RANK[rule.seller],
        bool(rule.requires_registration),
    )


def _closeness(rule: TaxRule, case: Case) -> int | None:
    """Say how near a rule's country is to the customer's place; None if it is elsewhere."""
    location = case.location
    if rule.country == EVERYWHERE:
        return _ANYWHERE
    if rule.country == EU:
        return _GROUP if is_in_eu(location.area, case.day) else None
    if rule.territory:
        return _OWN if rule.territory == location.territory else None
    if rule.country not in location.codes:
        return None
    return _OWN if rule.country == location.country else _AREA


def _is_about(rule: TaxRule, location: Location) -> bool:
    return rule.subdivision in ("", location.subdivision) and (
        not rule.postcode or _pattern(rule.postcode).matches(location.postcode)
    )


def _fits(rule: TaxRule, case: Case, relations: frozenset[str]) -> bool:
    return (
        rule.customer in ("any", case.customer)
        and rule.tax_id in ("any", "valid" if case.has_valid_tax_id else "not_valid")
        and rule.seller in relations
    )


def is_registered(rule: TaxRule, case: Case) -> bool:
    """Tell whether the seller is in one of the schemes that a rule requires, for the place it is about."""
    if not rule.requires_registration:
        return True
    in_force = [registration for registration in case.seller.registrations if registration.covers(case.day)]
    if "state" in rule.requires_registration and any(_is_of_state(each, case.location) for each in in_force):
        return True
    return any(each.scheme in rule.requires_registration and _reaches(each, rule, case) for each in in_force)


def _is_of_state(registration: Registration, location: Location) -> bool:
    return registration.scheme == "local" and registration.subdivision == location.subdivision != ""


def _reaches(registration: Registration, rule: TaxRule, case: Case) -> bool:
    match registration.scheme:
        case "local":
            return _reaches_locally(registration, rule, case)
        case "oss" | "non_union_oss":
            return is_in_eu(case.location.area, case.day)
        case _:
            return registration.country == case.seller.address.country


def _reaches_locally(registration: Registration, rule: TaxRule, case: Case) -> bool:
    location = case.location
    is_taxed_there = rule.jurisdiction in ("", location.area) or location.territory in (rule.territory, rule.country)
    if is_taxed_there and location.territory and location.territory in (registration.country, registration.subdivision):
        return True
    if location.territory and not location.area:  # its tax is its own, not that of the country around it
        return False
    states = {"", rule.subdivision}
    if rule.seller in ("same_subdivision", "other_subdivision"):  # each state registers its own sellers for all
        states.add(case.seller.address.subdivision)
    return registration.country == (rule.jurisdiction or location.area) and registration.subdivision in states


def _before(rule: TaxRule) -> tuple[int, bool, bool, bool, int]:
    """Give what of a rank is about the place: an ended rule that is greater in it has a gap after it."""
    return rule.priority, rule.postcode != "", rule.territory != "", rule.subdivision != "", _level(rule)


@frozen
class Choice:
    """Which rule decides.

    Attributes:
        rule: The rule, or None if nothing is collected.
        is_named: Some rule is about the customer's place.
        missing: Of None: the registration that a rule would have needed.
    """

    rule: TaxRule | None
    is_named: bool = True
    missing: tuple[str, ...] = ()


class RuleSet:
    """Rules that do not contradict each other, made ready to be asked."""

    def __init__(self, rules: Iterable[TaxRule]) -> None:
        """Sort rules by country; their order makes no difference."""
        self.rules = tuple(rules)
        self._by_country: dict[str, list[TaxRule]] = {}
        for rule in self.rules:
            self._by_country.setdefault(rule.country, []).append(rule)

    def __len__(self) -> int:
        return len(self.rules)

    def names_states_of(self, country: str, day: date, *, from_there: bool) -> bool:
        """Tell whether some rule depends on the state of a customer in a country; or of a seller who is there, too.

        One that has ended does: without a successor it stops the sales of its state. So does one that is planned, as
        long as its country has no other.
        """
        places = (country, EU, EVERYWHERE) if from_there else (country,)
        return any(
            rule.subdivision or (from_there and rule.seller in ("same_subdivision", "other_subdivision"))
            for place in places
            for rule in self._begun(place, day)
        )

    def names_postcodes_of(self, country: str, subdivision: str, day: date) -> bool:
        """Tell whether some rule of a country depends on the postal code of a customer in one of its states."""
        return any(rule.postcode and rule.subdivision in ("", subdivision) for rule in self._begun(country, day))

    def _begun(self, country: str, day: date) -> Sequence[TaxRule]:
        """Give the rules of a country that have begun; all if none has, so that nothing of them is overlooked."""
        rules = self._by_country.get(country, ())
        return [rule for rule in rules if rule.valid_from <= day] or rules

    def choose(self, case: Case) -> Choice:
        """Find the rule that decides a sale.

        Raises:
            TaxUndecided: Rules of the place cover other days or other customers, or two are equally near.
        """
        about = [pair for pair in self._about(case) if not _begins_with_a_registration(pair[1], case)]
        relations = case.relations()
        near = [(closeness, rule) for closeness, rule in about if _fits(rule, case, relations)]
        in_force = [(closeness, rule) for closeness, rule in near if rule.covers(case.day)]
        chosen = _nearest([(closeness, rule) for closeness, rule in in_force if is_registered(rule, case)])
        _refuse_gaps(case, [rule for _, rule in near], chosen, is_covered=bool(in_force))
        if chosen is not None and _level(chosen) > _ANYWHERE:
            return Choice(chosen)
        unregistered = [rule for _, rule in in_force if _level(rule) > _ANYWHERE]
        if not unregistered and any(_level(rule) > _ANYWHERE for _, rule in about):
            raise TaxUndecided(f"The tax rules of {case.location.place} do not cover such a customer.", field="country")
        if unregistered or (chosen is None and in_force):
            return Choice(None, missing=_required(unregistered or [rule for _, rule in in_force]))
        return Choice(chosen, is_named=chosen is not None)

    def _about(self, case: Case) -> list[tuple[int, TaxRule]]:
        """Give the rules that are about the customer's place, whoever they are, and how near."""
        territory = BY_ID.get(case.location.territory)
        countries = (*case.location.codes, *((territory.country, territory.id) if territory else ()), EU, EVERYWHERE)
        return [
            (closeness, rule)
            for country in dict.fromkeys(countries)
            for rule in self._by_country.get(country, ())
            if (closeness := _closeness(rule, case)) is not None and _is_about(rule, case.location)
        ]


def _refuse_gaps(case: Case, near: Sequence[TaxRule], chosen: TaxRule | None, *, is_covered: bool) -> None:
    """Refuse a sale that a rule would have decided which ended without a successor, or has not begun."""
    followed = {series_of(rule) for rule in near if rule.covers(case.day)}
    for rule in near:
        if rule.covers(case.day) or series_of(rule) in followed:
            continue
        if chosen is None:
            forgotten = not is_covered
        elif rule.valid_from > case.day:
            # What is planned is no reason to sell nothing today, unless only a rule for everywhere is there instead.
            forgotten = _level(chosen) == _ANYWHERE < _level(rule)
        else:
            forgotten = _before(rule) > _before(chosen) and is_registered(rule, case)
        if forgotten:
            raise TaxUndecided(f"The tax rules of {case.location.place} do not cover {case.day}.", field="country")


def _begins_with_a_registration(rule: TaxRule, case: Case) -> bool:
    return rule.valid_from > case.day and not is_registered(rule, case)


def _level(rule: TaxRule) -> int:
    return {EU: _GROUP, EVERYWHERE: _ANYWHERE}.get(rule.country, _OWN)


def _nearest(found: Sequence[tuple[int, TaxRule]]) -> TaxRule | None:
    ranked = sorted(((rank(rule, closeness=closeness), rule) for closeness, rule in found), key=lambda pair: pair[0])
    if len(ranked) > 1 and ranked[-1][0] == ranked[-2][0]:
        raise TaxUndecided("Two tax rules are equally near; the seller has to look at them.", field="country")
    return ranked[-1][1] if ranked else None


def _required(rules: Iterable[TaxRule]) -> tuple[str, ...]:
    return tuple(sorted({scheme for rule in rules for scheme in rule.requires_registration}))


def check_together(rules: Sequence[TaxRule], *, fresh: Sequence[TaxRule] | None = None) -> None:
    """Make sure that rules can be kept together.

    Args:
        rules: All of them.
        fresh: Those among which, and around which, no hole may be; all if None.

    Raises:
        InvalidRequest: A territory that does not exist, two rules that are equally near and could match the same
            sale, or a hole between two that match the same sales.
    """
    for rule in rules:
        _check_territory(rule)
    groups: dict[tuple[Rank, str], list[TaxRule]] = {}
    for rule in sorted(rules, key=lambda rule: rule.valid_from):
        groups.setdefault((rank(rule), rule.territory or rule.country), []).append(rule)
    for same_rank in groups.values():
        for earlier, later in _pairs(same_rank):
            _check_pair(earlier, later)
    touched = {series_of(rule) for rule in (rules if fresh is None else fresh)}
    _check_holes([rule for rule in rules if series_of(rule) in touched])


def _pairs(rules: Sequence[TaxRule]) -> Iterator[tuple[TaxRule, TaxRule]]:
    """Give the pairs, in the order of their rules, whose postal codes might meet."""
    seen: list[TaxRule] = []
    by_code: dict[str, list[TaxRule]] = {}
    with_classes: list[TaxRule] = []
    for rule in rules:
        codes = _pattern(rule.postcode).codes() if rule.postcode else None
        # Thousands of single codes are looked up; a pattern with classes is compared with all.
        near = seen if codes is None else [*with_classes, *(other for code in codes for other in by_code.get(code, ()))]
        yield from ((other, rule) for other in near)
        seen.append(rule)
        if codes is None:
            with_classes.append(rule)
        else:
            for code in codes:
                by_code.setdefault(code, []).append(rule)


def _check_territory(rule: TaxRule) -> None:
    if not rule.territory:
        _check_reachable(rule)
        return
    territory = BY_ID.get(rule.territory)
    if territory is None or rule.country not in (territory.country, territory.id):
        raise InvalidRequest(f"{rule.country} has no territory {rule.territory}.", field="territory")


def _check_reachable(rule: TaxRule) -> None:
    """Refuse a state that lies in a territory which rules of its country do not reach."""
    for territory in TERRITORIES:
        if territory.country == rule.country != territory.area and rule.subdivision in territory.subdivisions:
            raise InvalidRequest(
                f"{rule.subdivision} has a tax of its own; name the territory {territory.id}.", field="subdivision"
            )


def _check_pair(earlier: TaxRule, later: TaxRule) -> None:
    if earlier.valid_to is not None and earlier.valid_to <= later.valid_from:
        return
    if series_of(earlier) == series_of(later):
        raise InvalidRequest(
            f"Two rules of {later.country} are in force on {later.valid_from}; end the earlier one first.",
            field="valid_from",
        )
    if _meet(earlier, later):
        differ = earlier.requires_registration != later.requires_registration
        how = "let both require the same registrations" if differ else "give one a higher priority"
        raise InvalidRequest(
            f"Two rules of {later.country} are equally near on {later.valid_from}; {how}.", field="priority"
        )


def _meet(one: TaxRule, other: TaxRule) -> bool:
    """Tell whether two rules of one rank and country could match the same sale."""
    same = ("territory", "subdivision", "customer", "tax_id", "seller")
    if any(getattr(one, name) != getattr(other, name) for name in same):
        return False
    return one.postcode == other.postcode or _pattern(one.postcode).meets(_pattern(other.postcode))


def series_of(rule: TaxRule) -> tuple[object, ...]:
    """Give what a rule matches, apart from its days: rules that agree in it follow each other."""
    names = "postcode territory subdivision tax_id customer seller requires_registration priority".split()
    return (rule.territory or rule.country, *(getattr(rule, name) for name in names))


def _check_holes(rules: Sequence[TaxRule]) -> None:
    series: dict[tuple[object, ...], list[TaxRule]] = {}
    for rule in rules:
        series.setdefault(series_of(rule), []).append(rule)
    for following in series.values():
        for earlier, later in pairwise(sorted(following, key=lambda rule: rule.valid_from)):
            if earlier.valid_to is not None and earlier.valid_to < later.valid_from:
                raise InvalidRequest(
                    f"No rule of {later.country} would be in force on {earlier.valid_to}.", field="valid_from"
                )
