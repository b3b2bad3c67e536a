"""Many tax rules at once: read from CSV or from a package of rates, compared with those in use, shown, then applied.

An import decides the days that its rules cover, and no others. Where a rule in use says the same, nothing is changed;
where it says something else, it ends on the first day of the new one, and goes on after its last. Rules in use that
the import does not mention stay as they are, and so does a rule that the import lets end without a successor: a
country's rules never leave days open.

What is shown is what is done: a `RuleDiff` is applied whole, in one transaction, or not at all.

Sources: the European Commission's *Taxes in Europe Database* (TEDB), as published by the package eu-vat-rates-data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import chain, pairwise
from typing import Any, Final

from attrs import evolve, frozen

from .. import audit
from ..config import Context
from ..core.countries import country_code
from ..core.errors import ConfigurationError, InvalidRequest, NotFound, RequestRefused
from ..core.money import EXACT, parse_decimal
from ..core.tax_rules import MOST_PERCENT, TaxComponent, TaxRule
from . import rulebook
from .rule_csv import rules_from_csv, rules_to_csv
from .rules import check_together, series_of

__all__ = [
    "RuleDiff",
    "apply",
    "compare",
    "export_csv",
    "from_csv",
    "from_vat_rates",
    "rules_from_csv",
    "rules_from_vat_rates",
    "rules_to_csv",
]

REGISTRATIONS: Final = ("local", "oss")

_CONTENT: Final = "components treatment category reason note jurisdiction".split()
_LAST: Final = date.max


@frozen(kw_only=True)
class RuleDiff:
    """What an import would change; made by `compare`, done by `apply`.

    Attributes:
        added: Rules that come into use, but for those that replace others.
        ended: Rules in use that get an end, each with its first day out of force.
        replaced: Rules in use that give way to another from their first day on, each with the other.
        unchanged: Rules of the import that are in force already.
    """

    added: tuple[TaxRule, ...] = ()
    ended: tuple[tuple[TaxRule, date], ...] = ()
    replaced: tuple[tuple[TaxRule, TaxRule], ...] = ()
    unchanged: tuple[TaxRule, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing would change."""
        return not (self.added or self.ended or self.replaced)

    @property
    def retired(self) -> tuple[TaxRule, ...]:
        """The rules that go out of use; of an ended one, a copy with its end comes into use."""
        return (*(rule for rule, _ in self.ended), *(rule for rule, _ in self.replaced))

    @property
    def fresh(self) -> tuple[TaxRule, ...]:
        """The rules that come into use."""
        shortened = (evolve(rule, valid_to=day, id="") for rule, day in self.ended)
        return tuple(dict.fromkeys((*shortened, *(new for _, new in self.replaced), *self.added)))

    def lines(self) -> tuple[str, ...]:
        """Say what would change: ``+`` added, ``~`` ended, ``!`` replaced, ``=`` how many are in force already."""
        said = [(rule, f"~ {_title(rule)} ends {day}") for rule, day in self.ended]
        said += [(old, f"! {_title(old)} from {old.valid_from} {_replaced(old, new)}") for old, new in self.replaced]
        said += [(rule, f"+ {_title(rule)} {_days(rule)}") for rule in self.added]
        by_place = sorted(said, key=lambda pair: _place(pair[0]))
        return (*(line for _, line in by_place), f"= {len(self.unchanged)} unchanged")


def _title(rule: TaxRule) -> str:
    place = rule.territory or rule.subdivision or rule.country
    conditions = (
        rule.postcode and f"postcode {rule.postcode}",
        rule.customer != "any" and rule.customer,
        rule.tax_id != "any" and f"tax id {rule.tax_id}".replace("_", " "),
        rule.seller != "any" and f"seller in {rule.seller}".replace("_", " "),
        rule.requires_registration and f"registered {' or '.join(rule.requires_registration)}",
        rule.priority and f"priority {rule.priority}",
    )
    said = ", ".join(condition for condition in conditions if condition)
    return f"{place} ({said}) {_what(rule)}" if said else f"{place} {_what(rule)}"


def _what(rule: TaxRule) -> str:
    taxes = " and ".join(map(_tax, rule.components))
    said = taxes if rule.treatment == "standard" else rule.treatment.replace("_", " ")
    return f"{said} of {rule.jurisdiction}" if rule.jurisdiction else said


def _tax(item: TaxComponent) -> str:
    part = f" of {item.base_percent.normalize(EXACT):f} %" if item.base_percent != MOST_PERCENT else ""
    whose = f" to {item.jurisdiction}" if item.jurisdiction else ""
    on = f" on {' + '.join(item.compound_on)}" if item.compound_on else ""
    return f"{item.name} {item.percent.normalize(EXACT):f} %{part}{whose}{on}"


def _replaced(old: TaxRule, new: TaxRule) -> str:
    names = [name for name in ("category", "reason", "note") if getattr(old, name) != getattr(new, name)]
    beside = "".join(f", {name} {getattr(old, name)!r} by {getattr(new, name)!r}" for name in names)
    return f"is replaced by {_what(new)} {_days(new)}{beside}"


def _days(rule: TaxRule) -> str:
    days = f"from {rule.valid_from}" + (f" to {rule.valid_to}" if rule.valid_to else "")
    return f"{days} ({rule.source})" if rule.source else days


def compare(stored: Iterable[TaxRule], wanted: Iterable[TaxRule]) -> RuleDiff:
    """Find out what has to change for wanted rules to decide their days.

    Args:
        stored: The rules in use.
        wanted: Rules in any order; ids do not count.

    Raises:
        InvalidRequest: Two wanted rules match the same sales on one day, or what would then be in use contradicts
            itself or leaves days open.
    """
    kept, asked = tuple(stored), tuple(evolve(rule, id="") for rule in wanted)
    known, diff = _by_series(kept), RuleDiff()
    for series, rules in _by_series(asked).items():
        _check_apart(rules)
        diff = _joined(diff, _compare_series(known.get(series, []), rules))
    diff = _ordered(diff)
    gone = frozenset(diff.retired)
    check_together([*(rule for rule in kept if rule not in gone), *diff.fresh], fresh=diff.fresh)
    return diff


def _by_series(rules: Iterable[TaxRule]) -> dict[tuple[object, ...], list[TaxRule]]:
    found: dict[tuple[object, ...], list[TaxRule]] = {}
    for rule in sorted(rules, key=lambda rule: rule.valid_from):
        found.setdefault(series_of(rule), []).append(rule)
    return found


def _check_apart(rules: Sequence[TaxRule]) -> None:
    for earlier, later in pairwise(rules):
        if _end(earlier) > later.valid_from:
            raise InvalidRequest(
                f"Two wanted rules of {later.country} match the same sales on {later.valid_from}.", field="valid_from"
            )


def _end(rule: TaxRule) -> date:
    return rule.valid_to or _LAST


def _meets(one: TaxRule, other: TaxRule) -> bool:
    return one.valid_from < _end(other) and other.valid_from < _end(one)


def _says_the_same(known: TaxRule, wanted: TaxRule) -> bool:
    covers = known.valid_from <= wanted.valid_from and _end(wanted) <= _end(known)
    return covers and all(getattr(known, name) == getattr(wanted, name) for name in _CONTENT)


def _compare_series(known: Sequence[TaxRule], wanted: Sequence[TaxRule]) -> RuleDiff:
    """Compare rules that match the same sales, both by day and apart from each other."""
    new: list[TaxRule] = []
    unchanged: list[TaxRule] = []
    for rule in wanted:
        # What is cut by an earlier one does not reach as far as it did.
        whole = (old for old in known if not any(_meets(old, earlier) for earlier in new))
        (unchanged if any(_says_the_same(old, rule) for old in whole) else new).append(rule)
    met = [(old, [rule for rule in new if _meets(old, rule)]) for old in known]
    cut = [(old, by) for old, by in met if by]
    replaced = tuple((old, by[0]) for old, by in cut if by[0].valid_from <= old.valid_from)
    taken = [rule for _, rule in replaced]
    return RuleDiff(
        added=(*(rule for rule in new if rule not in taken), *(part for old, by in cut for part in _after(old, by))),
        ended=tuple((old, by[0].valid_from) for old, by in cut if by[0].valid_from > old.valid_from),
        replaced=replaced,
        unchanged=tuple(unchanged),
    )


def _after(old: TaxRule, by: Sequence[TaxRule]) -> list[TaxRule]:
    """Give what is left of a rule between those that cut it, and after the last."""
    starts = [_end(rule) for rule in by]
    ends = [*(rule.valid_from for rule in by[1:]), _end(old)]
    return [
        evolve(old, id="", valid_from=first, valid_to=None if after == _LAST else after)
        for first, after in zip(starts, ends, strict=True)
        if first < after
    ]


def _joined(one: RuleDiff, other: RuleDiff) -> RuleDiff:
    return RuleDiff(
        added=one.added + other.added,
        ended=one.ended + other.ended,
        replaced=one.replaced + other.replaced,
        unchanged=one.unchanged + other.unchanged,
    )


def _ordered(diff: RuleDiff) -> RuleDiff:
    return RuleDiff(
        added=tuple(sorted(diff.added, key=_place)),
        ended=tuple(sorted(diff.ended, key=lambda pair: _place(pair[0]))),
        replaced=tuple(sorted(diff.replaced, key=lambda pair: _place(pair[0]))),
        unchanged=tuple(sorted(diff.unchanged, key=_place)),
    )


def _place(rule: TaxRule) -> tuple[Any, ...]:
    return (*series_of(rule), rule.valid_from)


def rules_from_vat_rates(
    valid_from: date, *, countries: Iterable[str] | None = None, requires_registration: Iterable[str] = REGISTRATIONS
) -> tuple[TaxRule, ...]:
    """Give a rule with the standard rate of each member state of the EU, from the package eu-vat-rates-data.

    The package has the rates of one day and no history, so that the caller says from when they count. Its reduced
    rates are left out, because it does not say what they are for, and credit for hosting has the standard rate; so
    are those of regions such as Madeira, because they stand among the reduced ones without a name.

    The rules are for every customer of a state, and nearer than one of the ``"EU"``: reverse charge needs a rule of
    each state, too.

    Args:
        valid_from: First day of the rules.
        countries: Member states, such as ``"FR"``; all of them if None.
        requires_registration: Schemes one of which the seller must be in.

    Raises:
        InvalidRequest: Not a date, or not a member state.
        ConfigurationError: The package is not installed, or has no rate for one of them.
    """
    rates, version = _vat_rates()
    asked = sorted(rates) if countries is None else _member_states(countries, rates)
    source = f"eu-vat-rates-data of {version}, from TEDB of the European Commission"
    schemes = tuple(requires_registration)
    return tuple(
        TaxRule(
            code, (_standard(code, rates[code]),), requires_registration=schemes, valid_from=valid_from, source=source
        )
        for code in asked
    )


def _vat_rates() -> tuple[dict[str, Any], str]:
    try:
        import eu_vat_rates_data
    except ImportError:
        raise ConfigurationError(
            "Rates of the EU come from the package eu-vat-rates-data: pip install 'prepaid[vat-rates]'."
        ) from None
    found = eu_vat_rates_data.get_all_rates().items()
    rates = {country_code(code): rate for code, rate in found if rate["eu_member"]}
    return rates, str(eu_vat_rates_data.data_version)


def _member_states(countries: object, rates: dict[str, Any]) -> list[str]:
    if isinstance(countries, str) or not isinstance(countries, Iterable):
        raise InvalidRequest("countries is a list of country codes.", field="countries")
    codes = sorted({country_code(code, field="countries") for code in countries})
    for code in codes:
        if code not in rates:
            raise InvalidRequest(f"{code} is no member state of the EU.", field="countries")
    return codes


def _standard(code: str, rate: dict[str, Any]) -> tuple[str, str]:
    try:
        percent = parse_decimal(str(rate["standard"]))  # written out: a float of the package is never computed with
        return str(rate["vat_abbr"]), f"{percent.normalize(EXACT):f}"
    except (KeyError, RequestRefused):
        raise ConfigurationError(f"The installed eu-vat-rates-data has no standard rate for {code}.") from None


def from_csv(context: Context, text: str) -> RuleDiff:
    """Compare rules in CSV with those in use; writes nothing.

    Raises:
        InvalidRequest: As `rules_from_csv` and `compare`.
    """
    return compare(rulebook.active(context), rules_from_csv(text))


def from_vat_rates(context: Context, valid_from: date, countries: Iterable[str] | None = None) -> RuleDiff:
    """Compare the standard rates of the EU's member states with the rules in use; writes nothing.

    Raises:
        InvalidRequest: As `rules_from_vat_rates` and `compare`.
        ConfigurationError: As `rules_from_vat_rates`.
    """
    return compare(rulebook.active(context), rules_from_vat_rates(valid_from, countries=countries))


def export_csv(context: Context) -> str:
    """Write the rules in use as CSV, without their ids."""
    return rules_to_csv(rulebook.active(context))


def apply(context: Context, diff: RuleDiff, *, reason: str, actor: str) -> tuple[TaxRule, ...]:
    """Do what a diff shows, all of it in one transaction, and give the rules that came into use.

    Args:
        context: The billing system.
        diff: What `compare` found.
        reason: Why, for the audit.
        actor: The operator.

    Raises:
        InvalidRequest: Not a `RuleDiff`, no reason, or the rules in use have changed and now contradict it.
        NotFound: The rules in use have changed, and the diff would be another now.
    """
    if not _is_diff(diff):
        raise InvalidRequest("diff is a RuleDiff.", field="diff")
    why = audit.check_reason(reason)
    wanted = (*diff.added, *diff.unchanged, *(new for _, new in diff.replaced))

    def guard(known: Sequence[TaxRule]) -> None:
        again = compare(known, dict.fromkeys(evolve(rule, id="") for rule in wanted))
        if frozenset(again.retired) != frozenset(diff.retired) or frozenset(again.fresh) != frozenset(diff.fresh):
            raise NotFound("The rules have changed since the diff was made; look at a new one.", field="diff")

    retire = {rule.id for rule in diff.retired}
    return rulebook.change(context, add=diff.fresh, retire=retire, actor=actor, reason=why, guard=guard)


def _is_diff(diff: object) -> bool:
    if not isinstance(diff, RuleDiff):
        return False
    try:
        pairs = [*((old, new) for old, new in diff.replaced), *((rule, rule) for rule, _ in diff.ended)]
        rules = (*diff.added, *diff.unchanged, *chain(*pairs))
        days = [day for _, day in diff.ended]
    except (TypeError, ValueError):
        return False
    return all(isinstance(rule, TaxRule) for rule in rules) and all(type(day) is date for day in days)
